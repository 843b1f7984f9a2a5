//! Lists: what is told of them, and their films as the files of one archive.

mod faults;
mod information;
mod large;
mod resuming;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::answer::{Answer, Ending};
use crate::support::daemon::Daemon;
use crate::support::run;
use crate::support::ytdlp::{self, Site, download_path};

/// A quality at which each film is small, and in one file of known length.
const SMALL: [(&str, &str); 2] = [("quality", "360"), ("container", "mp4")];

/// A site with a list of these entries.
fn site(entries: &Value) -> Site {
    let site = Site::start();
    for id in ["one", "two", "three"] {
        site.put_film(id);
    }
    site.put_page("best", &json!({ "title": "The best", "entries": entries }));
    site
}

fn list_url(site: &Site, name: &str) -> String {
    site.origin.url(&format!("list?list={name}"))
}

/// The path of an archive of the list.
fn archive_path(site: &Site, format: &str, parameters: &[(&str, &str)]) -> String {
    let parameters = [&SMALL[..], &[("as", format)], parameters].concat();
    download_path(&list_url(site, "best"), &parameters)
}

fn whole(daemon: &Daemon, path: &str) -> Answer {
    let answer = daemon.get(path);
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.text());
    answer
}

/// The film as it is downloaded by itself.
fn film(site: &Site, daemon: &Daemon, id: &str) -> Vec<u8> {
    whole(daemon, &download_path(&site.page_url(id), &SMALL)).body
}

/// The files of an archive, with their names, as tar or Python unpack it.
fn unpacked(archive: &[u8], format: &str) -> Vec<(String, Vec<u8>)> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(format!("archive.{format}"));
    std::fs::write(&file, archive).unwrap();
    let into = directory.path().join("files");
    std::fs::create_dir(&into).unwrap();
    let commands: &[&[&str]] = match format {
        "tar" => &[&["tar", "-xf"]],
        _ => &[
            &["unzip", "-tq"],
            &["7z", "t"],
            &[
                "python3",
                "-c",
                "import sys, zipfile; assert zipfile.ZipFile(sys.argv[1]).testzip() is None",
            ],
            &["python3", "-c", "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall()"],
        ],
    };
    for command in commands {
        let ran = run(Command::new(command[0]).args(&command[1..]).arg(&file).current_dir(&into));
        assert!(ran.status.success(), "{command:?}: {ran:?}");
    }
    files_in(&into)
}

fn files_in(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| {
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_list_becomes_an_archive_of_known_length() {
    for (way, format) in ytdlp::WAYS.into_iter().zip(["tar", "zip"]) {
        let (site, daemon) = (site(&json!(["one", "two", "three"])), ytdlp::daemon(way));
        let path = archive_path(&site, format, &[("length", "wait")]);
        let answer = whole(&daemon, &path);
        let head = &answer.head;
        assert_eq!(head.header("Content-Length"), Some(&*answer.body.len().to_string()));
        let name = head.header("Content-Disposition").unwrap();
        assert!(name.contains(&format!("filename=\"The best.{format}\"")), "{name}");
        let media_type = if format == "tar" { "application/x-tar" } else { "application/zip" };
        assert_eq!(head.header("Content-Type"), Some(media_type));
        assert!(head.header("ETag").is_some(), "{head:?}");
        let files = unpacked(&answer.body, format);
        let expected = ["one", "two", "three"];
        assert_eq!(files.len(), expected.len());
        for ((index, id), (name, bytes)) in (1..).zip(expected).zip(&files) {
            assert_eq!(*name, format!("{index:03} A film_ {id}.mp4"));
            assert!(*bytes == film(&site, &daemon, id), "{format}: {id}");
        }
        let head = crate::support::client::ask(daemon.address(), "HEAD", &path, "").head;
        for field in ["Content-Length", "ETag", "Content-Type"] {
            assert_eq!(head.header(field), answer.head.header(field), "{field}");
        }
        // Another server plans the same.
        let other = ytdlp::daemon(way);
        assert!(whole(&other, &path).body == answer.body, "{format}");
    }
}

#[test]
fn an_archive_starts_before_it_is_planned() {
    let (site, daemon) = (site(&json!(["one", "two"])), ytdlp::daemon(""));
    for format in ["tar", "zip"] {
        let answer = whole(&daemon, &archive_path(&site, format, &[("length", "none")]));
        assert_eq!(answer.head.header("Transfer-Encoding"), Some("chunked"));
        assert_eq!(answer.head.header("Accept-Ranges"), Some("none"));
        let files = unpacked(&answer.body, format);
        assert_eq!(files.len(), 2);
        assert!(files[1].1 == film(&site, &daemon, "two"), "{format}");
    }
}

#[test]
fn files_of_unknown_length_are_in_a_zip() {
    let (site, daemon) = (site(&json!(["one", "two"])), ytdlp::daemon(""));
    let of = |format: &str| {
        let path =
            download_path(&list_url(&site, "best"), &[("container", "opus"), ("as", format)]);
        unpacked(&whole(&daemon, &path).body, format)
    };
    let files = of("zip");
    assert_eq!(files[0].0, "001 A film_ one.opus");
    assert!(files.iter().all(|(_, bytes)| bytes.len() > 100_000), "{:?}", files[0].1.len());
    for (name, text) in of("tar") {
        let text = String::from_utf8(text).unwrap();
        assert!(name.ends_with(".txt") && text.contains("use as=zip"), "{name}: {text}");
    }
}

#[test]
fn several_links_make_an_archive_in_their_order() {
    let (site, daemon) = (site(&json!([])), ytdlp::daemon(""));
    let links = ["two", "one", "list?list=best"].map(|id| match id {
        "list?list=best" => list_url(&site, "best"),
        id => site.page_url(id),
    });
    let more = [("url", &*links[1]), ("url", &*links[2]), ("as", "tar")];
    let path = download_path(&links[0], &[&SMALL[..], &more].concat());
    let answer = whole(&daemon, &path);
    assert!(answer.head.header("Content-Disposition").unwrap().contains("videos.tar"));
    let files = unpacked(&answer.body, "tar");
    assert!(files[0].1 == film(&site, &daemon, "two") && files[1].1 == film(&site, &daemon, "one"));
    let text = String::from_utf8_lossy(&files[2].1);
    assert!(text.contains("(playlist)"), "{text}");
    let lone = daemon.get(&download_path(&links[0], &[("url", &*links[1])]));
    assert_eq!((lone.head.status, lone.code().as_str()), (400, "missing-parameter"));
}

#[test]
fn items_select_entries() {
    let (site, daemon) = (site(&json!(["one", "two", "three"])), ytdlp::daemon(""));
    for (items, expected) in
        [("1,3", &["one", "three"][..]), ("2-", &["two", "three"]), ("3-9", &["three"])]
    {
        let path = archive_path(&site, "tar", &[("items", items)]);
        let files = unpacked(&whole(&daemon, &path).body, "tar");
        let names: Vec<_> = files.iter().map(|(name, _)| name.split(['_', '.']).nth(1)).collect();
        let expected: Vec<_> = expected.iter().map(|id| format!(" {id}")).collect();
        assert_eq!(names, expected.iter().map(|id| Some(&**id)).collect::<Vec<_>>(), "{items}");
    }
    let none = daemon.get(&archive_path(&site, "tar", &[("items", "4-9")]));
    assert_eq!((none.head.status, none.code().as_str()), (404, "not-available"));
    for wrong in ["0", "2,1", "x", "1-2-3"] {
        let refused = daemon.get(&archive_path(&site, "tar", &[("items", wrong)]));
        assert_eq!(
            (refused.head.status, refused.code().as_str()),
            (400, "bad-parameter"),
            "{wrong}"
        );
    }
    let alone = daemon.get(&download_path(&list_url(&site, "best"), &[("items", "1")]));
    assert_eq!(alone.code(), "missing-parameter");
}

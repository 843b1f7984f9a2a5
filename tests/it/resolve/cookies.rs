//! Files of cookies: whose are sent with which page, that they are only read, and that nobody sees what was read with
//! the cookies of somebody else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::barrier::Gate;
use crate::support::client::{Client, ask};
use crate::support::daemon::{Daemon, binary};
use crate::support::resource::Resource;
use crate::support::run;
use crate::support::ytdlp::{self, FILM, Site, WAYS, download_path, path_of, sizes};

/// Begins each value of a cookie, and stands nowhere else.
const VALUE: &str = "hunter";

/// Writes a file of cookies as a browser exports it: one for the site, and one that is not for it.
fn cookies_file(directory: &Path, name: &str, value: &str) -> PathBuf {
    let file = directory.join(name);
    let text = format!(
        "# Netscape HTTP Cookie File\r\n\r\n#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t1999999999\tsid\t{VALUE}-{value}\r\n\
         .films.example\tTRUE\t/\tTRUE\t0\tother\t{VALUE}-of-others\r\n"
    );
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

/// Writes a file of tokens; the secret of each is its name.
fn tokens_file(directory: &Path, tokens: &[(&str, Option<&Path>)]) -> PathBuf {
    let file = directory.join("tokens.toml");
    let table = |(name, cookies): &(&str, Option<&Path>)| {
        let hash: String = digest(&SHA256, name.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let key = cookies.map(|file| format!("cookies_file = {:?}\n", file.display()));
        format!("[{name}]\nhash = {hash:?}\n{}", key.unwrap_or_default())
    };
    fs::write(&file, tokens.iter().map(table).collect::<String>()).unwrap();
    file
}

/// A daemon that is open to all, and knows these tokens.
fn daemon(way: &str, cookies: Option<&Path>, tokens: Option<&Path>) -> Daemon {
    Daemon::start(&config(way, cookies, tokens, &[]))
}

fn config(way: &str, cookies: Option<&Path>, tokens: Option<&Path>, arguments: &[&str]) -> String {
    let cookies = cookies.map(|file| format!("cookies_file = {:?}\n", file.display()));
    let tokens = tokens.map(|file| format!("[access]\ntokens_file = {:?}\n", file.display()));
    let (cookies, tokens) = (cookies.unwrap_or_default(), tokens.unwrap_or_default());
    ytdlp::config(arguments, &format!("{way}{cookies}{tokens}[log]\nlevel = \"debug\"\n"))
}

/// What the holder of a token gets.
fn get(daemon: &Daemon, token: Option<&str>, path: &str) -> Answer {
    let fields = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    ask(daemon.address(), "GET", path, &fields.unwrap_or_default())
}

/// The title in what the holder of a token gets.
fn title(daemon: &Daemon, token: Option<&str>, path: &str) -> String {
    let answer = get(daemon, token, path);
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    assert!(!answer.text().contains(VALUE), "{}", answer.text());
    let page: Value = serde_json::from_slice(&answer.body).unwrap();
    page["title"].as_str().unwrap().to_owned()
}

fn info_path(site: &Site) -> String {
    path_of("info", &site.page_url(FILM), &[])
}

/// What the page of a video was requested with, in order.
fn cookies_sent(site: &Site, id: &str) -> Vec<String> {
    let page = format!("/page/{id}");
    let requests = site.origin.requests().into_iter().filter(|request| request.path == page);
    requests.map(|request| request.header("cookie").unwrap_or("none").to_owned()).collect()
}

/// Pages that differ by their titles: "1" for the first reading, and so on.
fn put_numbered(site: &Site, count: usize) {
    let formats = sizes(["18"]);
    let pages: Vec<Value> = (1..=count)
        .map(|number| json!({ "formats": formats, "info": { "title": number.to_string() } }))
        .collect();
    site.put_pages(FILM, &pages.iter().collect::<Vec<_>>());
}

fn assert_silent(daemon: &Daemon) {
    let log = daemon.log();
    assert!(log.contains("read a page of 127.0.0.1") && !log.contains(VALUE), "{log}");
}

/// Whether a file below a directory contains the value of a cookie.
fn is_below(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().flatten().any(|entry| {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        kind.is_dir() && is_below(&path)
            || kind.is_file() && String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(VALUE)
    })
}

#[test]
fn a_page_is_read_with_the_cookies_of_now_and_their_file_stays_as_it_is() {
    for way in WAYS {
        let (site, directory) = (Site::start(), tempfile::tempdir().unwrap());
        put_numbered(&site, 3);
        let file = cookies_file(directory.path(), "cookies.txt", "1");
        let daemon = daemon(way, Some(&file), None);
        let state = |file: &Path| {
            (fs::read(file).unwrap(), fs::metadata(file).unwrap().modified().unwrap())
        };
        let before = state(&file);
        assert_eq!(title(&daemon, None, &info_path(&site)), "1");
        assert_eq!(title(&daemon, None, &info_path(&site)), "1");
        assert!(state(&file) == before, "{way} wrote to the file");
        // What was read with other cookies is not what these find.
        cookies_file(directory.path(), "cookies.txt", "2");
        assert_eq!(title(&daemon, None, &info_path(&site)), "2");
        cookies_file(directory.path(), "cookies.txt", "1");
        assert_eq!(title(&daemon, None, &info_path(&site)), "1");
        assert_eq!(cookies_sent(&site, FILM), ["sid=hunter-1", "sid=hunter-2"], "{way}");
        // Media of the same site belong to the same account, as in a browser.
        let film = daemon.get(&download_path(&site.page_url(FILM), &[]));
        assert_eq!(film.head.status, 200, "{}", film.text());
        for request in site.media_requests() {
            let sent = request.header("cookie").unwrap();
            assert!(sent.contains("sid=hunter-1") && !sent.contains("others"), "{sent}");
        }
        assert!(!is_below(daemon.runtime_dir()), "{way} left a copy");
        assert_silent(&daemon);
    }
}

#[test]
fn nobody_sees_what_was_read_with_the_cookies_of_somebody_else() {
    for way in WAYS {
        let (site, directory) = (Site::start(), tempfile::tempdir().unwrap());
        let file = |name: &str| cookies_file(directory.path(), name, name);
        let (alice, bob, all) = (file("alice"), file("bob"), file("all"));
        let tokens = [("alice", Some(&*alice)), ("bob", Some(&*bob)), ("carol", None)];
        let tokens = tokens_file(directory.path(), &tokens);
        put_numbered(&site, 9);
        let daemon = daemon(way, Some(&all), Some(&tokens));
        let who = [Some("alice"), Some("bob"), Some("carol"), None];
        for _ in 0..2 {
            let titles = who.map(|token| title(&daemon, token, &info_path(&site)));
            // Who has no cookies of their own has those for all.
            assert_eq!(titles, ["1", "2", "3", "3"], "{way}");
        }
        let sent = ["sid=hunter-alice", "sid=hunter-bob", "sid=hunter-all"];
        assert_eq!(cookies_sent(&site, FILM), sent, "{way}");
        assert_silent(&daemon);
    }
}

/// Each list is read for each of them, and so is each archive planned.
#[test]
fn lists_and_archives_are_for_those_with_the_same_cookies() {
    for way in WAYS {
        let (site, directory) = (Site::start(), tempfile::tempdir().unwrap());
        let alice = cookies_file(directory.path(), "alice", "alice");
        let tokens = tokens_file(directory.path(), &[("alice", Some(&alice)), ("bob", None)]);
        let list = |title: &str| json!({ "title": title, "entries": [FILM] });
        site.put_pages("best", &[&list("for alice"), &list("for bob")]);
        let daemon = daemon(way, None, Some(&tokens));
        let list_url = site.origin.url("list?list=best");
        let (info, parameters) =
            (path_of("info", &list_url, &[]), [("quality", "360"), ("as", "tar")]);
        for _ in 0..2 {
            for name in ["alice", "bob"] {
                assert_eq!(title(&daemon, Some(name), &info), format!("for {name}"), "{way}");
                let archive = get(&daemon, Some(name), &download_path(&list_url, &parameters));
                let disposition = archive.head.header("Content-Disposition").unwrap();
                assert!(disposition.contains(&format!("for {name}")), "{way}: {disposition}");
            }
        }
        assert_eq!(cookies_sent(&site, "best"), ["sid=hunter-alice", "none"], "{way}");
        assert_eq!(cookies_sent(&site, FILM), ["sid=hunter-alice", "none"], "{way}");
    }
}

#[test]
fn a_reading_that_runs_and_a_failure_are_for_those_with_the_same_cookies() {
    let (site, directory, gate) = (Site::start(), tempfile::tempdir().unwrap(), Gate::default());
    let alice = cookies_file(directory.path(), "alice", "alice");
    let tokens = tokens_file(directory.path(), &[("alice", Some(&alice)), ("bob", None)]);
    let daemon = daemon(WAYS[0], None, Some(&tokens));
    let page = |title: &str| {
        let page = json!({ "formats": sizes(["18"]), "info": { "title": title } });
        Resource::bytes(page.to_string())
    };
    site.put_at_page(FILM, page("for alice").gate(1, &gate).becomes(page("for bob"), 1));
    let mut client = Client::connect(daemon.address());
    client.ask(&info_path(&site), &["Authorization: Bearer alice"]);
    gate.reached();
    assert_eq!(title(&daemon, Some("bob"), &info_path(&site)), "for bob");
    gate.open();
    assert!(client.answer().text().contains("for alice"));

    // Without formats, a page is a failure that is remembered.
    let empty = Resource::bytes(json!({ "formats": {} }).to_string());
    site.put_at_page("other", empty.becomes(page("for bob"), 1));
    let info = path_of("info", &site.page_url("other"), &[]);
    for _ in 0..2 {
        assert_eq!(get(&daemon, Some("alice"), &info).code(), "no-format");
        assert_eq!(title(&daemon, Some("bob"), &info), "for bob");
    }
    assert_eq!(site.reads("other"), 2);
}

#[test]
fn a_cover_is_for_those_with_the_same_cookies() {
    let (site, directory) = (Site::start(), tempfile::tempdir().unwrap());
    let alice = cookies_file(directory.path(), "alice", "alice");
    let tokens = tokens_file(directory.path(), &[("alice", Some(&alice)), ("bob", None)]);
    let daemon = daemon(WAYS[0], None, Some(&tokens));
    let image = |of: &str| [&b"\xff\xd8\xff picture of "[..], of.as_bytes()].concat();
    let page = |of: &str| {
        let thumbnail = site.origin.put(of, Resource::bytes(image(of)));
        let page = json!({ "formats": sizes(["140-1"]), "info": { "thumbnails": [{ "url": thumbnail }] } });
        Resource::bytes(page.to_string())
    };
    site.put_at_page(FILM, page("alice").becomes(page("bob"), 1));
    let path = download_path(&site.page_url(FILM), &[("container", "mp3")]);
    for of in ["alice", "bob", "alice"] {
        let sound = get(&daemon, Some(of), &path).body;
        let image = image(of);
        assert!(sound.windows(image.len()).any(|window| window == image), "{of}");
    }
    assert_eq!(site.reads(FILM), 2);
}

/// Each child of the fork server begins with what its parent has, which must not be what another child had.
#[test]
fn no_page_is_read_with_the_cookies_of_the_one_before() {
    for way in WAYS {
        let (site, directory) = (Site::start(), tempfile::tempdir().unwrap());
        let alice = cookies_file(directory.path(), "alice", "alice");
        let tokens = tokens_file(directory.path(), &[("alice", Some(&alice))]);
        let daemon = daemon(way, None, Some(&tokens));
        for (id, token, sent) in [
            ("one", None, "none"),
            ("two", Some("alice"), "sid=hunter-alice"),
            ("three", None, "none"),
            ("four", Some("alice"), "sid=hunter-alice"),
        ] {
            site.put_film(id);
            title(&daemon, token, &path_of("info", &site.page_url(id), &[]));
            assert_eq!(cookies_sent(&site, id), [sent], "{way} {id}");
        }
    }
}

/// yt-dlp writes all that it knows to the file of its argument: that must not be more than was in it.
#[test]
fn cookies_of_a_token_take_the_place_of_those_in_the_arguments() {
    for way in WAYS {
        let (site, directory) = (Site::start(), tempfile::tempdir().unwrap());
        let file = |name: &str| cookies_file(directory.path(), name, name);
        let (alice, old) = (file("alice"), file("old"));
        let tokens = tokens_file(directory.path(), &[("alice", Some(&alice))]);
        let arguments = ["--cookies", old.to_str().unwrap()];
        let more = format!("[sandbox]\nwrite = [{old:?}]\n");
        let daemon = Daemon::start(&(config(way, None, Some(&tokens), &arguments) + &more));
        put_numbered(&site, 2);
        assert_eq!(title(&daemon, Some("alice"), &info_path(&site)), "1");
        assert_eq!(title(&daemon, None, &info_path(&site)), "2");
        assert_eq!(cookies_sent(&site, FILM), ["sid=hunter-alice", "sid=hunter-old"], "{way}");
        let written = fs::read_to_string(&old).unwrap();
        assert!(written.contains("hunter-old") && !written.contains("hunter-alice"), "{written}");
    }
}

#[test]
fn without_its_cookies_no_page_is_read() {
    for way in WAYS {
        let (site, directory) = (Site::start(), tempfile::tempdir().unwrap());
        let alice = directory.path().join("alice");
        let file = cookies_file(directory.path(), "cookies.txt", "1");
        let tokens = tokens_file(directory.path(), &[("alice", Some(&alice))]);
        let daemon = daemon(way, Some(&file), Some(&tokens));
        daemon.logs("the cookies_file of [alice]: the file cannot be read");
        let refused = |token, key: &str, why: &str| {
            for path in [info_path(&site), download_path(&site.page_url(FILM), &[])] {
                let answer = get(&daemon, token, &path);
                assert_eq!((answer.head.status, answer.code().as_str()), (500, "resolver-failed"));
                let text = answer.text();
                assert!(text.contains(key) && text.contains(why), "{text}");
                let path = directory.path().to_str().unwrap();
                assert!(!text.contains(VALUE) && !text.contains(path), "{text}");
            }
        };
        refused(Some("alice"), "cookies_file of the token", "No such file");
        assert_eq!(site.reads(FILM), 0);
        // That of another token concerns nobody else.
        title(&daemon, None, &info_path(&site));
        let key = "resolver.cookies_file";
        fs::write(&file, format!("[{{\"sid\": \"{VALUE}2\"}}]")).unwrap();
        refused(None, key, "not as JSON");
        fs::remove_file(&file).unwrap();
        refused(None, key, "No such file");
        // As root, nothing else cannot be read.
        std::os::unix::fs::symlink("cookies.txt", &file).unwrap();
        refused(None, key, "symbolic link");
        fs::remove_file(&file).unwrap();
        cookies_file(directory.path(), "cookies.txt", "1");
        title(&daemon, None, &info_path(&site));
        assert_eq!(site.reads(FILM), 1, "{way}");
        assert_silent(&daemon);
    }
}

#[test]
fn a_server_without_its_cookies_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("missing.txt");
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\nruntime_dir = {:?}\n[resolver]\ncookies_file = {file:?}\n",
        directory.path().join("run")
    );
    let config = directory.path().join("c.toml");
    fs::write(&config, text).unwrap();
    for (command, expected) in [
        ("serve", "missing.txt (resolver.cookies_file): the file cannot be read: No such file"),
        ("check", "cookies  FAILED "),
    ] {
        let ended = run(Command::new(binary()).args([command, "--config"]).arg(&config));
        let said = [ended.stdout, ended.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

/// The children have the same user, and those of the fork server the same parent.
#[test]
fn no_page_can_look_into_the_reading_of_another() {
    for way in WAYS {
        let (site, daemon, gate) = (Site::start(), ytdlp::daemon(way), Gate::default());
        site.put_at_page("held", Resource::bytes("{}").gate(1, &gate));
        let held = Client::get(daemon.address(), &path_of("info", &site.page_url("held"), &[]));
        gate.reached();
        let answer = get(&daemon, None, &path_of("info", &site.page_url("look-around"), &[]));
        let said = answer.text();
        assert!(said.contains("saw mem:13 fd/1:13"), "{way}: {said}");
        assert!(!said.contains(":0"), "{way}: {said}");
        gate.open();
        drop(held);
    }
}

//! What a client sees when something in a list fails: the archive is valid and says what it lacks, or it ends visibly.

use serde_json::json;

use super::{archive_path, film, site, unpacked, whole};
use crate::support::abreast;
use crate::support::answer::Ending;
use crate::support::client::ask;
use crate::support::daemon::Daemon;
use crate::support::resource::{Fault, Resource};
use crate::support::ytdlp::{self, file};

const LENGTHS: [&str; 2] = ["wait", "none"];

#[test]
fn what_fails_becomes_a_text_that_says_why() {
    let entries = json!(["private", "one", {"list": "nested"}, {"title": "Gone"}, "hang", "two"]);
    let site = site(&entries);
    site.put_page("nested", &json!({ "title": "Nested", "entries": ["one"] }));
    // Reading a page takes less, but for the one that never ends.
    let daemon = ytdlp::daemon("timeout = \"10s\"\n");
    let kinds =
        ["tar", "zip"].into_iter().flat_map(|format| LENGTHS.map(|length| (format, length)));
    abreast(4, kinds, |(format, length)| {
        let path = archive_path(&site, format, &[("length", length)]);
        let files = unpacked(&whole(&daemon, &path).body, format);
        assert_eq!(files.len(), 6, "{format}, {length}");
        for (index, id) in [(1, "one"), (5, "two")] {
            assert!(files[index].1 == film(&site, &daemon, id), "{format}, {length}: {id}");
        }
        for (index, code) in
            [(0, "private"), (2, "playlist"), (3, "unsupported-link"), (4, "resolve-timeout")]
        {
            let (name, text) = &files[index];
            let text = String::from_utf8_lossy(text);
            let is_told = name.ends_with(".txt") && text.contains(&format!("({code})"));
            assert!(is_told, "{format}, {length}: {name}: {text}");
        }
        assert_eq!(files[3].0, "004 Gone.txt");
    });
}

#[test]
fn a_file_that_breaks_off_ends_the_archive_visibly() {
    for format in ["tar", "zip"] {
        for length in LENGTHS {
            let site = site(&json!(["one", "two"]));
            let content = std::fs::read(file("134")).unwrap();
            let cut = Resource::bytes(content).only_bounded_ranges().fault(Fault::CutAt(200_000));
            let config = ytdlp::config(&[], "");
            let daemon =
                Daemon::start(&config.replace("[upstream]\n", "[upstream]\nretries = 0\n"));
            let path = archive_path(&site, format, &[("length", length)]);
            site.origin.put("f/two/134", cut);
            let answer = daemon.get(&path);
            assert_eq!(answer.head.status, 200, "{format}, {length}: {}", answer.text());
            assert_ne!(answer.ending, Ending::Complete, "{format}, {length}");
        }
    }
}

#[test]
fn a_file_that_changes_after_the_plan_ends_the_archive_visibly() {
    for format in ["tar", "zip"] {
        let (site, daemon) = (site(&json!(["one", "two"])), ytdlp::daemon(""));
        let path = archive_path(&site, format, &[("length", "wait")]);
        let first = whole(&daemon, &path);
        let other = Resource::file(file("140-0")).only_bounded_ranges().keep_alive();
        let other = other.last_modified("Sat, 02 May 2026 10:00:00 GMT");
        site.origin.put("f/two/140-1", other);
        let second = daemon.get(&path);
        let is_other_archive = second.head.header("ETag") != first.head.header("ETag");
        assert!(second.ending != Ending::Complete || is_other_archive, "{format}");
        // It is planned anew.
        let third = whole(&daemon, &path);
        assert_ne!(third.head.header("ETag"), first.head.header("ETag"));
        unpacked(&third.body, format);
    }
}

#[test]
fn a_list_that_is_too_long_says_so() {
    let site = site(&json!(["one", "two", "three"]));
    let daemon = ytdlp::daemon("[limits]\narchive_entries = 2\n");
    for length in LENGTHS {
        let refused = daemon.get(&archive_path(&site, "tar", &[("length", length)]));
        assert_eq!((refused.head.status, refused.code().as_str()), (422, "too-many-entries"));
    }
    whole(&daemon, &archive_path(&site, "tar", &[("items", "2-3")]));
    // yt-dlp does not count what it does not read.
    let site = super::site(&json!(vec!["one"; 150]));
    let files =
        unpacked(&whole(&daemon, &archive_path(&site, "zip", &[("length", "none")])).body, "zip");
    let (name, text) = &files[2];
    assert_eq!(name, "003 missing.txt");
    assert!(String::from_utf8_lossy(text).contains("items"), "{files:?}");
}

#[test]
fn a_token_for_some_sites_is_for_the_entries_on_these() {
    // The SHA-256 of "abc".
    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let site = site(&json!(["one", {"id": "x", "url": "http://films.example:1/watch?v=x"}]));
    let tokens = tempfile::NamedTempFile::new().unwrap();
    let token = format!("[alice]\nhash = \"{HASH}\"\nsites = [\"127.0.0.1\"]\n");
    std::fs::write(tokens.path(), token).unwrap();
    let access = format!("[access]\nmode = \"closed\"\ntokens_file = {:?}\n", tokens.path());
    let daemon = ytdlp::daemon(&access);
    for length in LENGTHS {
        let path = archive_path(&site, "tar", &[("length", length)]);
        let answer = ask(daemon.address(), "GET", &path, "Authorization: Bearer abc\r\n");
        assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete));
        let files = unpacked(&answer.body, "tar");
        assert!(files[0].0.ends_with(".mp4"), "{}", files[0].0);
        let text = String::from_utf8_lossy(&files[1].1);
        assert!(text.contains("(not-allowed)"), "{text}");
        assert_eq!(daemon.get(&path).head.status, 401);
    }
}

//! Archives behave like static files: ranges, and downloads that were interrupted.

use std::process::Command;

use serde_json::json;

use super::{archive_path, site, whole};
use crate::support::answer::Ending;
use crate::support::client::{Client, ask};
use crate::support::daemon::Daemon;
use crate::support::run;
use crate::support::ytdlp;

fn range(daemon: &Daemon, path: &str, from: usize, to: usize) -> (u16, Vec<u8>) {
    let field = format!("Range: bytes={from}-{}\r\n", to - 1);
    let answer = ask(daemon.address(), "GET", path, &field);
    assert_eq!(answer.ending, Ending::Complete, "{from}..{to}");
    (answer.head.status, answer.body)
}

#[test]
fn every_range_of_a_tar_is_that_of_the_whole() {
    let (site, daemon) = (site(&json!(["one", "private", "two"])), ytdlp::daemon(""));
    let path = archive_path(&site, "tar", &[("length", "wait")]);
    let archive = whole(&daemon, &path).body;
    let at = |found: &[u8]| archive.windows(found.len()).position(|bytes| bytes == found).unwrap();
    // Around the header of each file, the text, and the end.
    let places = [
        0,
        512,
        at(b"002 missing"),
        at(b"is missing"),
        at(b"003 A film"),
        archive.len() - 1024,
        archive.len(),
    ];
    let mut checked = 0;
    for place in places {
        for from in [place.saturating_sub(700), place.saturating_sub(1), place, place + 1] {
            for len in [1, 600, 5000] {
                let to = (from + len).min(archive.len());
                if from < to {
                    let (status, bytes) = range(&daemon, &path, from, to);
                    assert_eq!(status, 206);
                    assert!(bytes == archive[from..to], "{from}..{to}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 60, "{checked}");
    // Another server knows the same places.
    let other = ytdlp::daemon("");
    for part in 0..4 {
        let from = archive.len() * part / 4 + 77;
        let to = (from + archive.len() / 4).min(archive.len());
        assert!(range(&other, &path, from, to) == (206, archive[from..to].to_vec()), "{part}");
    }
}

#[test]
fn a_zip_goes_on_where_its_checksums_are_known() {
    let (site, daemon) = (site(&json!(["one", "two", "three"])), ytdlp::daemon(""));
    let path = archive_path(&site, "zip", &[("length", "wait")]);
    let fresh = ytdlp::daemon("");
    let archive = whole(&fresh, &path).body;
    // Nothing was sent by this one: the end cannot be known, and the client gets all.
    let (status, bytes) = range(&daemon, &path, archive.len() / 2, archive.len());
    assert_eq!(status, 200);
    assert!(bytes == archive);
    for place in
        [1, 100_000, archive.len() / 3, archive.len() / 2, archive.len() - 300, archive.len() - 1]
    {
        let (status, bytes) = range(&daemon, &path, place, archive.len());
        assert_eq!(status, 206, "{place}");
        assert!(bytes == archive[place..], "{place}");
    }
}

/// curl is ended at random places, and goes on with `-C -`.
#[test]
fn curl_resumes_an_archive() {
    for format in ["tar", "zip"] {
        let (site, daemon) = (site(&json!(["one", "two", "three"])), ytdlp::daemon(""));
        let path = archive_path(&site, format, &[("length", "wait")]);
        let expected = whole(&ytdlp::daemon(""), &path).body;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("archive");
        let url = daemon.url(&path);
        let mut places: Vec<usize> = (0..5).map(|_| fastrand::usize(1..expected.len())).collect();
        places.sort_unstable();
        for place in places {
            // It has this much when it is ended; what it does not read waits in sockets.
            let got = std::fs::metadata(&file).map_or(0, |file| file.len() as usize);
            if place <= got {
                continue;
            }
            let field = format!("Range: bytes={got}-");
            let mut client = Client::connect(daemon.address());
            let fields: &[&str] = if got == 0 { &[] } else { &[&field] };
            client.ask(&path, fields);
            assert_eq!(client.head().status, if got == 0 { 200 } else { 206 });
            let more = client.read_raw(place - got);
            let mut bytes = std::fs::read(&file).unwrap_or_default();
            bytes.extend(more);
            std::fs::write(&file, bytes).unwrap();
        }
        let ran =
            run(Command::new("curl").args(["-sS", "-f", "-C", "-", "-o"]).arg(&file).arg(&url));
        assert!(ran.status.success(), "{format}: {ran:?}");
        assert!(std::fs::read(&file).unwrap() == expected, "{format}");
    }
}

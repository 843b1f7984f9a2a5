//! One finished file behaves as on the server that it comes from: length, ranges, conditions.

use crate::support::answer::{Answer, Ending};
use crate::support::barrier::Gate;
use crate::support::client::{ask, mux_path};
use crate::support::curl::curl;
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::film::track_file;
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::{media, run};

struct Passing {
    origin: Origin,
    daemon: Daemon,
    path: String,
    content: Vec<u8>,
}

impl Passing {
    fn of(resource: impl Fn(Resource) -> Resource) -> Self {
        let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
        let file = track_file("video");
        let url = origin.put("v", resource(Resource::file(file)));
        let path = mux_path(Some(&url), None, &[("name", "A film")]);
        Self { origin, daemon, path, content: std::fs::read(file).unwrap() }
    }

    fn ask(&self, method: &str, fields: &str) -> Answer {
        ask(self.daemon.address(), method, &self.path, fields)
    }
}

#[test]
fn a_lone_file_is_passed_through_as_it_is() {
    let passing = Passing::of(|resource| resource.ranges().etag("\"1\""));
    let answer = passing.ask("GET", "");
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete));
    assert!(answer.body == passing.content);
    let header = |name| answer.head.header(name).unwrap_or_default().to_owned();
    assert_eq!(header("Content-Length"), passing.content.len().to_string());
    assert_eq!(header("Content-Type"), "video/mp4");
    assert_eq!(header("Accept-Ranges"), "bytes");
    assert!(header("Content-Disposition").contains("A film.mp4"));
    assert!(header("Server-Timing").contains("engine;desc=\"pass\""));
    let head = passing.ask("HEAD", "").head;
    for name in ["Content-Length", "Content-Type", "Accept-Ranges", "ETag"] {
        assert_eq!(head.header(name), answer.head.header(name), "{name}");
    }
}

#[test]
fn head_and_small_ranges_fetch_little() {
    let passing = Passing::of(|resource| resource.ranges().etag("\"1\""));
    passing.ask("HEAD", "");
    passing.ask("GET", "Range: bytes=2000000-2000009\r\n");
    for request in passing.origin.requests() {
        let (first, last) = request
            .header("range")
            .unwrap()
            .strip_prefix("bytes=")
            .unwrap()
            .split_once('-')
            .unwrap();
        let len = last.parse::<u64>().unwrap() + 1 - first.parse::<u64>().unwrap();
        assert!(len <= 64 << 10, "{request:?}");
    }
}

#[test]
fn ranges_lead_to_parts() {
    let passing = Passing::of(|resource| resource.ranges().etag("\"1\""));
    let (content, len) = (&passing.content, passing.content.len());
    for (range, start, end) in [
        ("0-".to_owned(), 0, len),
        ("0-0".to_owned(), 0, 1),
        ("0-99999".to_owned(), 0, 100_000),
        ("65535-65536".to_owned(), 65_535, 65_537),
        ("100-199".to_owned(), 100, 200),
        ("1000000-".to_owned(), 1_000_000, len),
        ("-1000".to_owned(), len - 1000, len),
        (format!("{}-", len - 1), len - 1, len),
        (format!("500000-{}", len * 2), 500_000, len),
    ] {
        let answer = passing.ask("GET", &format!("Range: bytes={range}\r\n"));
        assert_eq!((answer.head.status, answer.ending), (206, Ending::Complete), "{range}");
        assert!(answer.body == content[start..end], "{range}");
        let said = format!("bytes {start}-{}/{len}", end - 1);
        assert_eq!(answer.head.header("Content-Range"), Some(said.as_str()));
        assert_eq!(answer.head.header("Content-Length"), Some((end - start).to_string().as_str()));
    }
    let answer = passing.ask("GET", &format!("Range: bytes={len}-\r\n"));
    assert_eq!((answer.head.status, answer.code().as_str()), (416, "range-not-satisfiable"));
    assert_eq!(answer.head.header("Content-Range"), Some(format!("bytes */{len}").as_str()));
    for range in ["bytes=1-2,5-6", "bytes=x", "lines=1-2"] {
        let answer = passing.ask("GET", &format!("Range: {range}\r\n"));
        assert_eq!((answer.head.status, answer.body.len()), (200, len), "{range}");
    }
}

/// As players ask first. More than is wanted is here already, and what comes is not waited for.
#[test]
fn a_part_within_the_first_bytes_waits_for_no_more() {
    for at in [1000, 20_000] {
        let gate = Gate::default();
        let passing = Passing::of(|resource| resource.ranges().etag("\"1\"").gate(at, &gate));
        let answer = passing.ask("GET", "Range: bytes=0-0\r\n");
        assert_eq!((answer.head.status, answer.ending), (206, Ending::Complete), "{at}");
        assert!(answer.body == passing.content[..1]);
        passing.daemon.logs(": complete, pass, 1 bytes sent");
    }
}

#[test]
fn conditions_are_kept() {
    let passing = Passing::of(|resource| resource.ranges().etag("\"1\""));
    let etag = passing.ask("HEAD", "").head.header("ETag").unwrap().to_owned();
    let status = |fields: &str| passing.ask("GET", fields).head.status;
    assert_eq!(status(&format!("If-None-Match: {etag}\r\n")), 304);
    assert_eq!(status(&format!("If-Match: {etag}\r\n")), 200);
    assert_eq!(status("If-Match: \"x\"\r\n"), 412);
    assert_eq!(status(&format!("Range: bytes=1-2\r\nIf-Range: {etag}\r\n")), 206);
    assert_eq!(status("Range: bytes=1-2\r\nIf-Range: \"x\"\r\n"), 200);
    // Another daemon says the same of the same file, and something else of another one.
    let again = Passing::of(|resource| resource.ranges().etag("\"1\""));
    assert_eq!(again.ask("HEAD", "").head.header("ETag"), Some(etag.as_str()));
    let changed = Passing::of(|resource| resource.ranges().etag("\"2\""));
    assert_ne!(changed.ask("HEAD", "").head.header("ETag"), Some(etag.as_str()));
}

#[test]
fn an_origin_without_ranges_gives_none() {
    let passing = Passing::of(|resource| resource);
    let answer = passing.ask("GET", "Range: bytes=1-2\r\n");
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete));
    assert!(answer.body == passing.content);
    assert_eq!(answer.head.header("Accept-Ranges"), Some("none"));
    assert_eq!(answer.head.header("ETag"), None);
    let unknown = Passing::of(|resource| resource.fault(Fault::Chunked));
    let answer = unknown.ask("GET", "");
    assert_eq!(answer.head.header("Transfer-Encoding"), Some("chunked"));
    assert!(answer.body == unknown.content && answer.ending == Ending::Complete);
}

/// One file with picture and sound in it.
#[test]
fn a_film_is_passed_whole_unless_its_sound_alone_is_wanted() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let (film, directory) = (media::finished(), tempfile::tempdir().unwrap());
    let url = origin.put("film", Resource::file(film).ranges());
    let file = |path: &str| {
        let answer = daemon.get(path);
        assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{path}");
        let file = directory.path().join("answer");
        std::fs::write(&file, &answer.body).unwrap();
        (answer.head.header("Content-Type").unwrap().to_owned(), file)
    };
    let streams = |file: &std::path::Path| {
        let output = run(std::process::Command::new("ffprobe")
            .args(["-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0"])
            .arg(file));
        String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let (kind, whole) = file(&mux_path(Some(&url), None, &[]));
    assert_eq!(kind, "video/mp4");
    assert!(std::fs::read(whole).unwrap() == std::fs::read(film).unwrap());
    let (kind, sound) = file(&mux_path(None, Some(&url), &[]));
    assert_eq!((kind.as_str(), streams(&sound).as_str()), ("audio/mp4", "audio"));
    // Into another container both go along.
    let (kind, both) = file(&mux_path(Some(&url), None, &[("container", "mkv")]));
    assert_eq!((kind.as_str(), streams(&both).as_str()), ("video/x-matroska", "video audio"));
}

/// A file that no muxer could join while it arrives needs none.
#[test]
fn a_file_with_its_index_at_the_end_is_passed_through() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let url = origin.put("v", Resource::file(media::index_at_end()).ranges());
    let answer = daemon.get(&mux_path(Some(&url), None, &[]));
    assert!(answer.body == std::fs::read(media::index_at_end()).unwrap());
}

#[test]
fn curl_resumes_what_was_cut() {
    let passing = Passing::of(|resource| resource.ranges().etag("\"1\""));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("film.mp4");
    std::fs::write(&file, &passing.content[..1_234_567]).unwrap();
    let url = passing.daemon.url(&passing.path);
    let output = run(std::process::Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "-C", "-", "-o"])
        .arg(&file)
        .arg(&url));
    assert!(output.status.success(), "{output:?}");
    assert!(std::fs::read(&file).unwrap() == passing.content);
    assert_eq!(curl(&["-r", "7-9", &url]).body, passing.content[7..10]);
}

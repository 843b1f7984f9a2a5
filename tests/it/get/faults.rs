//! An upstream that fails: the status names the kind of the problem, and no file looks complete.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;

use ytcanal::get::ExitStatus;
use ytcanal::problem_code::ProblemCode;

use super::Shell;
use crate::support::client::any_path;
use crate::support::daemon::Daemon;
use crate::support::film::{put_film, track_file};
use crate::support::media;
use crate::support::origin::{Origin, refused_url};
use crate::support::resource::{Fault, Resource};

/// Short waits and few retries, so that a fault is one soon.
const IMPATIENT: &str =
    "[upstream]\nallow = [\"127.0.0.0/8\"]\nretries = 1\nstall_timeout = \"3s\"\n";

/// Faults of the video that the theme `matrix` has not, each with the status and the problem code.
fn faults() -> Vec<(&'static str, Resource, i32, &'static str)> {
    let film = || Resource::file(track_file("video")).ranges().etag("\"film\"");
    let half = film().len() / 2;
    let short = fs::read(track_file("video")).unwrap()[..half as usize].to_vec();
    let chunked = Resource::file(track_file("video")).fault(Fault::ChunkedCutAt(half));
    vec![
        ("cut in chunks", chunked, 5, "upstream-cut"),
        ("lie", Resource::bytes(short).fault(Fault::LengthTooLargeBy(half)), 5, "upstream-cut"),
        ("busy", film().fault(Fault::Status(503, vec![])), 6, "upstream-busy"),
        ("index", Resource::file(media::index_at_end()), 3, "index-at-end"),
    ]
}

#[test]
fn a_fault_has_its_status_and_no_file() {
    let (origin, healthy) = (Origin::start(), Origin::start());
    let [video, audio] = put_film(&healthy);
    let daemon = Daemon::start(IMPATIENT);
    let engines = ["auto", "ffmpeg"];
    let whole = engines.map(|engine| {
        daemon.get(&any_path(Some(&video), Some(&audio), &[("engine", engine)])).body
    });
    let check = |name: &str, engine: &str, faulty: Resource, status: i32, code: &str| {
        let url = origin.put(&format!("{name}-{engine}").replace(' ', "-"), faulty);
        let shell = Shell::with(IMPATIENT);
        let arguments = ["--audio", &audio, "--engine", engine, "-o", "a.mp4", "--video"];
        let ran = shell.get(&[&arguments[..], &[&url]].concat());
        println!("{name:16} {engine:6} exit {:?} {}", ran.status, ran.stderr.trim());
        assert_eq!(ran.status, Some(status), "{name} by {engine}: {ran:?}");
        assert!(ran.stderr.contains(&format!("({code})\n")), "{name} by {engine}: {ran:?}");
        assert!(ran.stdout.is_empty() && !shell.path("a.mp4").exists(), "{name} by {engine}");
        assert!(!shell.has_leftovers(), "{name} by {engine}");
        // Nothing of it is taken for a part of the true file.
        let ran = shell.get(&[&arguments[..], &[&video]].concat());
        assert_eq!(ran.status, Some(0), "{name} by {engine}, then healthy: {ran:?}");
        let expected = &whole[usize::from(engine == "ffmpeg")];
        assert!(shell.read("a.mp4") == *expected, "{name} by {engine}, then healthy");
        assert_eq!(shell.files(), ["a.mp4"], "{name} by {engine}");
    };
    let check = &check;
    thread::scope(|scope| {
        for engine in engines {
            // Most of them only wait.
            for (name, faulty, status, code) in faults() {
                scope.spawn(move || check(name, engine, faulty, status, code));
            }
        }
    });
}

/// What does not depend on bytes.
#[test]
fn a_request_that_cannot_be_made_has_its_status() {
    let (origin, shell) = (Origin::start(), Shell::new());
    let [video, _] = put_film(&origin);
    let refused = refused_url();
    let table: [(&[&str], i32, &str); 13] = [
        (&[], 2, "missing link"),
        (&["https://a.example/", "--video", &video], 2, "not both"),
        (&["https://a.example/", "--name", "a"], 2, "--name needs --video"),
        (&["--video", &video, "--codec", "vp9"], 2, "--codec needs a page link"),
        (&["https://a.example/", "--sponsorblock", "mark"], 2, "(sponsorblock-off)"),
        (&["https://a.example/", "--sponsorblock", "x"], 2, "(bad-parameter)"),
        (&["--video", "file:///etc/passwd"], 2, "(bad-url)"),
        (&["--video", &video, "--start", "x"], 2, "(bad-parameter)"),
        (&["file:///etc/passwd"], 2, "(bad-link)"),
        (&["--video", &video, "--start", "1:00:00"], 2, "(start-beyond-end)"),
        (&["--video", &refused], 5, "(upstream-unreachable)"),
        (&["--video", "http://10.0.0.1/"], 4, "(address-refused)"),
        (&["--video", &video, "--colour"], 2, "--colour"),
    ];
    for (arguments, status, word) in table {
        let ran = shell.get(arguments);
        assert_eq!(ran.status, Some(status), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(word), "{arguments:?}: {ran:?}");
        assert!(shell.files().is_empty(), "{arguments:?}: {:?}", shell.files());
    }
    let missing = Shell::with(&format!("{}[muxer]\nffmpeg = \"/nowhere\"\n", super::LOOPBACK));
    let ran = missing.get(&["--video", &video, "--engine", "ffmpeg", "--start", "5"]);
    assert_eq!(ran.status, Some(8), "{ran:?}");
    assert!(ran.stderr.contains("(muxer-missing)"), "{ran:?}");
    let invalid = Shell::with("listen = 5\n").get(&["--video", &video]);
    assert_eq!(invalid.status, Some(1), "{invalid:?}");
}

/// docs/cli.md has each problem code in the row of its status.
#[test]
fn every_problem_code_has_a_documented_status() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, table) = text.split_once("| status | meaning | problem codes |\n").expect("the table");
    let (table, _) = table.split_once("<!-- end -->").expect("the end of the table");
    let mut documented = BTreeMap::new();
    for row in table.lines().skip(1).filter(|row| !row.is_empty()) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [status, meaning, codes] = cells[..] else { panic!("cells of {row}") };
        assert!(!meaning.is_empty(), "{row}");
        let status: u8 = status.parse().unwrap();
        for code in codes.split(", ").filter(|code| !code.is_empty()) {
            let before = documented.insert(code.trim_matches('`').to_owned(), status);
            assert_eq!(before, None, "{code} is there twice");
        }
    }
    let given = ProblemCode::ALL.iter();
    let given = given.map(|code| (code.as_str().to_owned(), ExitStatus::of_problem(*code).code()));
    assert_eq!(documented, given.collect::<BTreeMap<_, _>>());
}

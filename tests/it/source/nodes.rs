//! Many servers behind one name, which name the same file differently.

use ytcanal::error::UpstreamError;

use super::{content, read, settings, track};
use crate::support::answer::Ending;
use crate::support::client::{ask, mux_path, splice_path};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::film::{TRACKS, track_file};
use crate::support::origin::Origin;
use crate::support::resource::{Node, Resource};

const DATES: [&str; 2] = ["Sun, 22 Nov 2026 10:00:00 GMT", "Sun, 22 Nov 2026 10:00:07 GMT"];

fn of(nodes: &[Node], bytes: Vec<u8>) -> Resource {
    Resource::bytes(bytes).ranges().nodes(nodes)
}

#[test]
fn the_same_file_may_have_another_name_on_each_node() {
    let date = Some(DATES[0]);
    let [n0, n1, n2] = ["\"n0\"", "\"n1\"", "\"n2\""].map(Some);
    let tables: [&[Node]; 10] = [
        &[(n0, date), (n1, date)],
        &[(n0, date), (n1, date), (n2, date)],
        &[(n0, date), (None, date)],
        &[(None, date), (n0, date)],
        &[(n0, date), (Some("W/\"n0\""), date)],
        &[(n0, date), (Some("\"n0-gzip\""), date)],
        &[(n0, date), (n0, Some(DATES[1]))],
        &[(Some("W/\"n0\""), date), (Some("W/\"n1\""), date)],
        // Nothing but the same name proves that it is the same file, and it comes again.
        &[(n0, None), (n1, None)],
        &[(n0, None), (None, None), (n2, None)],
    ];
    for keep_alive in [false, true] {
        for nodes in tables {
            let origin = Origin::start();
            let film = of(nodes, content());
            let film = if keep_alive { film.keep_alive() } else { film };
            let outcome = read(&settings(), &track(&origin.put("v", film)));
            assert!(outcome == Ok(content()), "{nodes:?}: {:?}", outcome.map(|all| all.len()));
            assert!(origin.requests().len() <= 16, "{nodes:?}: {}", origin.requests().len());
        }
    }
}

#[test]
fn another_file_of_the_same_date_is_another_one() {
    let date = Some(DATES[0]);
    let other: Vec<u8> = content().iter().map(|byte| byte ^ 1).collect();
    let first: Node = (Some("\"n0\""), date);
    for then in [
        (Some("\"n1\""), date),
        (None, date),
        (Some("\"n0\""), Some(DATES[1])),
        (Some("\"n1\""), None),
        (None, None),
    ] {
        let origin = Origin::start();
        let film = of(&[first], content()).becomes(of(&[then], other.clone()), 1);
        let outcome = read(&settings(), &track(&origin.put("v", film)));
        let is_seen = matches!(
            outcome,
            Err(UpstreamError::EntityChanged(_) | UpstreamError::ValidatorsDisagree)
        );
        assert!(is_seen, "{then:?}: {:?}", outcome.map(|all| all.len()));
    }
    // Without a date, a name that stays away is enough.
    let film = of(&[(Some("\"n0\""), None)], content());
    let film = film.becomes(of(&[(Some("\"n1\""), None)], content()), 1);
    let origin = Origin::start();
    let outcome = read(&settings(), &track(&origin.put("v", film)));
    assert!(
        matches!(outcome, Err(UpstreamError::EntityChanged(_))),
        "{:?}",
        outcome.map(|all| all.len())
    );
}

/// What a client was told of a file holds as long as it may be the same, whichever server answers; and
/// if it is not, nobody gets the two as one.
#[test]
fn what_a_client_is_told_does_not_depend_on_the_node() {
    let daemon = Daemon::start(LOOPBACK);
    let dates = ["Sun, 22 Nov 2026 10:00:00 GMT", "Sun, 22 Nov 2026 10:00:07 GMT"].map(Some);
    let names = ["\"n0\"", "\"n1\"", "\"n2\""].map(Some);
    let tables: [&[Node]; 4] = [
        &[(names[0], dates[0]), (names[1], dates[0])],
        &[(names[0], dates[0]), (names[1], dates[0]), (names[2], dates[0])],
        &[(names[0], dates[0]), (names[0], dates[1])],
        &[(names[0], None), (names[1], None)],
    ];
    for nodes in tables {
        let origin = Origin::start();
        let put = |track: &str, change: fn(Vec<u8>) -> Vec<u8>| {
            let bytes = change(std::fs::read(track_file(track)).unwrap());
            origin.put(track, Resource::bytes(bytes).ranges().keep_alive().nodes(nodes))
        };
        let [video, audio] = TRACKS.map(|track| put(track, |bytes| bytes));
        for path in [mux_path(Some(&video), None, &[]), splice_path(&video, &audio, &[])] {
            let told = |method: &str, fields: &str| ask(daemon.address(), method, &path, fields);
            let first = told("HEAD", "").head.header("ETag").expect("an ETag").to_owned();
            let whole = told("GET", "");
            assert_eq!((whole.head.status, whole.ending), (200, Ending::Complete), "{nodes:?}");
            for from in [10, 300_000, 1_000_000] {
                let fields = format!("Range: bytes={from}-\r\nIf-Range: {first}\r\n");
                let rest = told("GET", &fields);
                assert_eq!((rest.head.status, rest.ending), (206, Ending::Complete), "{nodes:?}");
                assert!(rest.body == whole.body[from..], "{nodes:?}, from {from}");
                assert_eq!(rest.head.header("ETag"), Some(&*first), "{nodes:?}");
                assert_eq!(told("HEAD", "").head.header("ETag"), Some(&*first), "{nodes:?}");
            }
        }
    }
}

/// A file is replaced within the second of its date, by one that is as long.
#[test]
fn two_files_of_one_date_are_never_joined() {
    let daemon = Daemon::start(LOOPBACK);
    let date = Some("Sun, 22 Nov 2026 10:00:00 GMT");
    let origin = Origin::start();
    let bytes = std::fs::read(track_file("video")).unwrap();
    let mut other = bytes.clone();
    other[700_000..701_000].iter_mut().for_each(|byte| *byte ^= 1);
    let of = |bytes: &[u8], name| Resource::bytes(bytes).ranges().nodes(&[(Some(name), date)]);
    let url = origin.put("v", of(&bytes, "\"1\""));
    let path = mux_path(Some(&url), None, &[]);
    let before = ask(daemon.address(), "GET", &path, "");
    assert!(before.body == bytes);
    origin.put("v", of(&other, "\"2\""));
    let etag = before.head.header("ETag").unwrap();
    let fields = format!("Range: bytes=500000-\r\nIf-Range: {etag}\r\n");
    let after = ask(daemon.address(), "GET", &path, &fields);
    assert_eq!(after.head.status, 200);
    assert!(after.body == other);
    assert_ne!(after.head.header("ETag"), Some(etag));
}

//! What an upstream is asked for: no more than the answer needs.

use std::collections::BTreeMap;

use super::{TestSetup, header};
use crate::support::answer::Ending;
use crate::support::client::ask;
use crate::support::daemon::LOOPBACK;
use crate::support::film::TRACKS;
use crate::support::{media, request_range};

/// The heads of both tracks.
const HEADS: u64 = 2 * (64 << 10);

/// No fragment of the longer film is longer than this: each is asked for up to its end.
const FRAGMENT: u64 = 1 << 20;

/// All bytes that were asked for, and how many requests it were.
fn asked(stage: &TestSetup, act: impl FnOnce()) -> (u64, usize) {
    let asked = stage.asked_during(act);
    (asked.iter().map(|(_, range)| range.end - range.start).sum(), asked.len())
}

#[test]
fn what_sends_nothing_fetches_next_to_nothing() {
    for known in [false, true] {
        for (method, fields, status) in [
            ("GET", "Range: bytes=99999999-\r\n", 416),
            ("GET", "If-Match: \"other\"\r\n", 412),
            ("GET", "If-None-Match: *\r\n", 304),
            ("HEAD", "", 200),
            ("HEAD", "If-None-Match: *\r\n", 304),
            ("HEAD", "Range: bytes=1000000-\r\n", 200),
        ] {
            let stage = TestSetup::new();
            if known {
                stage.etag();
            }
            let (bytes, requests) = asked(&stage, || {
                assert_eq!(stage.ask(method, fields).head.status, status, "{method} {fields}");
            });
            let limits = if known { (2, 2) } else { (HEADS, 2) };
            assert!(bytes <= limits.0 && requests <= limits.1, "{fields}: {bytes} in {requests}");
        }
    }
}

#[test]
fn an_index_is_asked_for_at_once_however_long_it_is() {
    // Where it is at the end, there is a look at its header first.
    for (faststart, most) in [(true, 2), (false, 3)] {
        let stage = TestSetup::of_film(LOOPBACK, &media::long_indexes(faststart));
        let requests = stage.asked_during(|| assert_ne!(stage.etag(), "", "{faststart}"));
        for track in TRACKS {
            let of_it = requests.iter().filter(|(path, _)| path.ends_with(track));
            let ranges: Vec<_> = of_it.map(|(_, range)| range.clone()).collect();
            assert!(ranges.len() <= most, "{track}: {ranges:?}");
        }
    }
}

#[test]
fn a_part_fetches_itself_and_the_head_of_its_fragments() {
    let stage = TestSetup::of_film(LOOPBACK, &media::five_minutes().tracks);
    let whole = stage.whole().body;
    let middle = whole.len() / 2;
    for (known, head) in [(true, 0), (false, HEADS)] {
        for (first, len) in [(middle, 1), (middle, 1 << 20), (0, 1), (whole.len() - 1, 1)] {
            let stage = if known {
                &stage
            } else {
                &TestSetup::of_film(LOOPBACK, &media::five_minutes().tracks)
            };
            let (bytes, requests) = asked(stage, || {
                let field = format!("Range: bytes={first}-{}\r\n", first + len - 1);
                let answer = stage.ask("GET", &field);
                assert_eq!((answer.head.status, answer.ending), (206, Ending::Complete));
                assert!(answer.body == whole[first..first + len]);
            });
            // The way into a fragment: its head, and what is passed over rather than asked anew.
            let way = 2 * (128 << 10) + (32 << 10);
            let limit = head + len as u64 + way + FRAGMENT;
            assert!(bytes <= limit, "{first}+{len}, {known}: {bytes} of {limit}");
            assert!(requests <= 8, "{requests}");
        }
    }
}

#[test]
fn a_trimmed_film_fetches_what_is_left_of_it() {
    let pair = &media::five_minutes().tracks;
    let lens = [&pair.video, &pair.audio].map(|file| std::fs::metadata(file).unwrap().len());
    for (trim, seconds) in
        [("&start=100&end=130", 30), ("&end=20", 20), ("&start=285", 15), ("&start=0&end=5", 5)]
    {
        let stage = TestSetup::of_film(LOOPBACK, pair);
        let path = format!("{}{trim}", stage.path);
        let requests = |act: &mut dyn FnMut()| {
            let before = stage.origin.requests().len();
            act();
            let mut sums = BTreeMap::from(TRACKS.map(|track| (format!("/{track}"), 0)));
            for request in stage.origin.requests().split_off(before) {
                let range = request_range(&request);
                *sums.get_mut(&request.path).unwrap() += range.end - range.start;
            }
            sums
        };
        let sums = requests(&mut || {
            let answer = ask(stage.daemon.address(), "GET", &path, "");
            assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete));
            assert!(header(&answer, "Server-Timing").contains("splice"));
        });
        for (track, len) in TRACKS.iter().zip(lens) {
            // A fragment of 5 seconds more at either end, and the bit rate is not the same at all
            // times.
            let limit = len * (seconds + 10) / 300 * 5 / 4 + HEADS / 2;
            let asked = sums[&format!("/{track}")];
            assert!(asked <= limit, "{trim} {track}: {asked} of {limit}, in all {len}");
        }
    }
}

//! Films whose timestamps begin again (EXT-X-DISCONTINUITY): they go on, whatever the kind of their segments.

use super::live::{film, goes_on, has_frames, put_twice};
use super::*;
use crate::support::hls::{LIVE, live_source};

/// The first half of a film twice, in a playlist that is complete.
#[test]
fn a_film_goes_on_where_its_timestamps_begin_again() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let half = frames(&live_source(), "v")[..125].to_vec();
    let expected = [&half[..], &half].concat();
    thread::scope(|scope| {
        for kind in &LIVE[..4] {
            let (origin, daemon, expected) = (&origin, &daemon, &expected);
            scope.spawn(move || {
                let directory = kind.name.replace([' ', ','], "-");
                let url = put_twice(origin, &film(kind.name), &directory, &[(0, 10, true)]);
                let none = ("length", "none");
                let mkv = ("container", "mkv");
                for parameters in [&[][..], &[none], &[mkv]] {
                    let what = format!("{}: {parameters:?}", kind.name);
                    let answer = daemon.get(&any_path(Some(&url), None, parameters));
                    assert_whole(&answer, &what);
                    let is_exact = parameters.is_empty();
                    let length = answer.head.header("Content-Length");
                    assert_eq!(length.is_some(), is_exact, "{what}");
                    if is_exact {
                        assert_ranges(daemon, &any_path(Some(&url), None, &[]), &answer, 10);
                    }
                    let engine = answer.head.header("Server-Timing").unwrap_or_default();
                    assert!(!engine.contains("pass"), "{what}: {engine}");
                    // ffmpeg does not know how long it is going to be.
                    if parameters != [mkv] {
                        has_frames(&answer.body, expected, &what);
                    }
                    goes_on(&answer.body, &what);
                }
            });
        }
    });
}

//! Plans that are kept: how many, for whom, and for how long they are right.

use super::{ONE, TWO, TestSetup, header, healthy};
use crate::support::answer::Ending;
use crate::support::client::{any_path, ask, splice_path};
use crate::support::daemon::LOOPBACK;
use crate::support::film::TRACKS;
use crate::support::resource::{Fault, Resource};
use crate::support::{media, request_range};

#[test]
fn a_hundred_films_do_not_fill_more_than_the_cache() {
    let stage = TestSetup::with(&format!("[muxer]\nplan_cache = \"32KiB\"\n{LOOPBACK}"));
    let film = |number: usize| {
        let [video, audio] = TRACKS
            .map(|track| stage.origin.put(&format!("{track}{number}"), healthy(track).etag(ONE)));
        splice_path(&video, &audio, &[])
    };
    let paths: Vec<_> = (0..100).map(film).collect();
    // Whether its plan was known: then one byte of each track is asked for.
    let is_known = |path: &String| {
        let asked = stage.asked_during(|| {
            assert_eq!(ask(stage.daemon.address(), "HEAD", path, "").head.status, 200);
        });
        asked.iter().all(|(_, range)| range.end - range.start == 1)
    };
    let known: Vec<_> = paths.iter().filter(|path| is_known(path)).collect();
    assert!(known.is_empty(), "{known:?}");
    let known = paths.iter().rev().take_while(|path| is_known(path)).count();
    // A plan of the minute has two indexes of twelve fragments, and a head.
    assert!((1..=16).contains(&known), "{known} plans in 32 KiB");
}

#[test]
fn without_a_cache_everything_is_the_same() {
    let stage = TestSetup::with(&format!("[muxer]\nplan_cache = \"0B\"\n{LOOPBACK}"));
    let whole = stage.whole();
    assert!(whole.body == TestSetup::new().whole().body);
    let part =
        stage.ask("GET", &format!("Range: bytes=1000000-\r\nIf-Range: {}\r\n", stage.etag()));
    assert_eq!((part.head.status, part.ending), (206, Ending::Complete));
    assert!(part.body == whole.body[1_000_000..]);
}

#[test]
fn a_changed_upstream_is_noticed_by_all_who_come_back() {
    for track in TRACKS {
        let stage = TestSetup::new();
        let whole = stage.whole();
        let old = header(&whole, "ETag");
        // Another file of the same length; each question meets it with the old plan in the cache.
        let new = |etags: [&'static str; 2]| {
            for (name, etag) in TRACKS.iter().zip(etags) {
                stage.origin.put(name, renamed(name, *name == track && etag == TWO).etag(etag));
            }
        };
        let changed = if track == "video" { [TWO, ONE] } else { [ONE, TWO] };
        let with = |method, fields: &str| {
            new([ONE, ONE]);
            assert_eq!(stage.etag(), old);
            new(changed);
            let answer = stage.ask(method, fields);
            let known = header(&answer, "ETag") == old;
            assert!(!known, "{track} {method} {fields}: the old one, {}", answer.head.status);
            (answer.head.status, answer)
        };
        assert_eq!(with("HEAD", "").0, 200);
        assert_eq!(with("HEAD", &format!("If-None-Match: {old}\r\n")).0, 200);
        assert_eq!(with("GET", &format!("If-Match: {old}\r\n")).0, 412);
        let (status, answer) = with("GET", "");
        assert_eq!((status, answer.ending), (200, Ending::Complete));
        assert_ne!(answer.body, whole.body);
        // All of it, whatever part was wanted: also one that needs nothing of the other track, or
        // nothing of any.
        let len = whole.body.len();
        for range in ["1000000-".into(), "0-0".into(), format!("{}-", len - 1), "100-199".into()] {
            let field = format!("Range: bytes={range}\r\nIf-Range: {old}\r\n");
            let (status, whole) = with("GET", &field);
            assert_eq!((status, whole.ending), (200, Ending::Complete), "{track} {range}");
            assert!(whole.body == answer.body, "{track} {range}");
            let field = format!("Range: bytes={range}\r\nIf-Match: {old}\r\n");
            assert_eq!(with("GET", &field).0, 412, "{track} {range}");
        }
    }
}

/// A track of the minute whose handler may have another name, and its media another byte: the same
/// layout of another film.
fn renamed(track: &str, is_renamed: bool) -> Resource {
    let mut bytes = healthy(track).read();
    if is_renamed {
        let at = bytes.windows(4).position(|name| name == b"hdlr").unwrap() + 24;
        bytes[at] ^= 1;
        let last = bytes.windows(4).rposition(|name| name == b"mdat").unwrap();
        bytes[last + 100] ^= 1;
    }
    Resource::bytes(bytes).ranges().keep_alive()
}

#[test]
fn where_nothing_tells_files_apart_no_plan_is_kept() {
    let stage = TestSetup::of(LOOPBACK, healthy);
    let old = stage.whole();
    assert_eq!(header(&old, "ETag"), "");
    assert_eq!(header(&old, "Accept-Ranges"), "bytes");
    let part = stage.ask("GET", "Range: bytes=1000000-\r\n");
    assert_eq!((part.head.status, part.ending), (206, Ending::Complete));
    assert!(part.body == old.body[1_000_000..]);
    let condition = "Range: bytes=1000000-\r\nIf-Range: \"any\"\r\n";
    assert_eq!(stage.ask("GET", condition).head.status, 200);
    // Another file of the same length, with another head: not the old head before the new media.
    for track in TRACKS {
        stage.origin.put(track, renamed(track, true));
    }
    let new = stage.whole();
    let afresh = TestSetup::of(LOOPBACK, |track| renamed(track, true));
    assert!(new.body != old.body && new.body == afresh.whole().body, "neither is it");
}

#[test]
fn a_plan_does_not_make_anybody_wait_longer() {
    let settings = "stall_timeout = \"2s\"\n";
    let stage = TestSetup::with(&format!("{LOOPBACK}{settings}"));
    let busy = vec![("Retry-After", "40".to_owned())];
    for (fault, status) in
        [(Fault::Silent, 504), (Fault::Status(429, busy), 503), (Fault::Status(404, vec![]), 404)]
    {
        stage.restore();
        stage.etag();
        stage.origin.put("video", healthy("video").etag(ONE).fault(fault.clone()));
        let before = stage.origin.requests().len();
        let answer = stage.ask("GET", "Range: bytes=2000000-\r\n");
        assert_eq!(answer.head.status, status, "{fault:?} {}", answer.code());
        let asked = stage.origin.requests().split_off(before);
        let asked = asked.iter().filter(|request| request.path == "/video").count();
        // With the plan, and afresh: each has two more tries at most.
        assert!(asked <= 6, "{fault:?}: asked {asked} times");
    }
}

#[test]
fn the_configuration_names_the_engine_unless_the_client_does() {
    let opus = &media::webm().audio;
    for (configured, fits, does_not) in [
        ("ffmpeg", "ffmpeg\"", Ok("ffmpeg\"")),
        ("splice", "splice\"", Err((422, "splice-refused"))),
        ("auto", "splice\"", Ok("ffmpeg (the files are in different container formats)\"")),
    ] {
        let stage = TestSetup::with(&format!("[muxer]\nengine = {configured:?}\n{LOOPBACK}"));
        let [video, audio] = TRACKS.map(|track| stage.origin.url(track));
        let opus = stage.origin.put("opus", Resource::file(opus).ranges().etag(ONE));
        let made = |audio: &str, extra: &[(&str, &str)]| {
            let path = any_path(Some(&video), Some(audio), extra);
            let answer = ask(stage.daemon.address(), "GET", &path, "");
            if answer.head.status != 200 {
                return Err((answer.head.status, answer.code()));
            }
            assert_eq!(answer.ending, Ending::Complete);
            Ok(header(&answer, "Server-Timing").split_once("desc=\"").unwrap().1.to_owned())
        };
        assert_eq!(made(&audio, &[]).unwrap(), fits, "{configured}");
        assert_eq!(made(&audio, &[("engine", "auto")]).unwrap(), fits, "{configured}");
        assert_eq!(made(&audio, &[("engine", "splice")]).unwrap(), "splice\"", "{configured}");
        assert_eq!(made(&audio, &[("engine", "ffmpeg")]).unwrap(), "ffmpeg\"", "{configured}");
        let mixed = made(&opus, &[]);
        let mixed = mixed.as_deref().map_err(|(status, code)| (*status, code.as_str()));
        assert_eq!(mixed, does_not, "{configured}");
        assert_eq!(made(&opus, &[("engine", "splice")]).unwrap_err().0, 422, "{configured}");
    }
}

#[test]
fn only_whole_requests_are_bounded() {
    // Every request of a spliced stream is a bounded range: some servers answer nothing else.
    let stage = TestSetup::of(LOOPBACK, |track| healthy(track).only_bounded_ranges().etag(ONE));
    stage.whole();
    stage.etag();
    assert!(!stage.origin.requests().iter().any(|request| request_range(request).is_empty()));
}

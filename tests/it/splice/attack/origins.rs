//! Origins that answer late, never, with garbage, or for another file.

use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use ytcanal::cancel::CancelToken;
use ytcanal::config;
use ytcanal::error::{Error, UpstreamError as Seen};
use ytcanal::fetch::TrackReader;
use ytcanal::http_client::UpstreamClient;
use ytcanal::media::{Metadata, RefreshHandle, RemoteLocation, Track, TrackKind};

use super::{ONE, TWO, TestSetup, header, healthy, with_more};
use crate::support::answer::Ending;
use crate::support::daemon::LOOPBACK;
use crate::support::film::TRACKS;
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource, WrongRange};
use crate::support::spliced::{Film, as_it_is};
use crate::support::{PATIENCE, abreast, media, number_from, webms};

/// Waits that pass while a test can wait, and are long for everything that is well.
const SHORT: &str = "stall_timeout = \"5s\"\n";

/// A track whose first bytes are as they should be, and then it becomes another one: the second
/// request is the look behind the media.
fn then(track: &str, other: Resource) -> Resource {
    with_more(track).etag(ONE).becomes(other, 1)
}

#[test]
fn a_look_that_fails_is_told_and_not_guessed() {
    let whole = TestSetup::new().whole().body;
    let status = |status| Fault::Status(status, vec![]);
    let faulty = |fault: Fault| move |track: &str| with_more(track).etag(ONE).fault(fault.clone());
    type Becomes = Box<dyn Fn(&str) -> Resource + Sync>;
    let cases: Vec<(&str, Becomes, u16, &str)> = vec![
        (
            "late",
            Box::new(|track| with_more(track).etag(ONE).delay(Duration::from_secs(1))),
            200,
            "",
        ),
        ("never", Box::new(faulty(Fault::Silent)), 504, "upstream-timeout"),
        ("not HTTP", Box::new(faulty(Fault::Garbage)), 502, "upstream-protocol"),
        ("404", Box::new(faulty(status(404))), 404, "upstream-not-found"),
        ("416", Box::new(faulty(status(416))), 502, "upstream-status"),
        ("500", Box::new(faulty(status(500))), 502, "upstream-status"),
        (
            "other bytes",
            Box::new(faulty(Fault::WrongRange(WrongRange::Shifted))),
            502,
            "upstream-range",
        ),
        ("all of it", Box::new(faulty(Fault::IgnoreRange)), 502, "upstream-changed"),
        ("gzip", Box::new(faulty(Fault::Encoded)), 502, "upstream-encoded"),
        (
            "another validator",
            Box::new(|track| with_more(track).etag(TWO)),
            502,
            "upstream-changed",
        ),
        ("no validator", Box::new(with_more), 502, "upstream-changed"),
        (
            "another length",
            Box::new(|track| {
                Resource::bytes([with_more(track).read(), vec![0]].concat()).ranges().etag(ONE)
            }),
            502,
            "upstream-changed",
        ),
    ];
    let looks = cases.iter().flat_map(|case| TRACKS.map(|track| (case, track)));
    abreast(4, looks, |((name, becomes, status, code), track)| {
        // The sound is so short that what lies in front is passed over.
        let is_found = (*name, track) == ("all of it", "audio");
        let (status, code) = if is_found { (200, "") } else { (*status, *code) };
        let stage = TestSetup::of(&format!("{LOOPBACK}{SHORT}"), |name| {
            if name == track { then(name, becomes(name)) } else { with_more(name).etag(ONE) }
        });
        let baseline = stage.daemon.baseline();
        let answer = stage.ask("GET", "");
        let seen = (answer.head.status, answer.ending);
        assert_eq!(seen, (status, Ending::Complete), "{name} {track} {}", answer.code());
        assert_eq!(answer.code(), code, "{name} {track}");
        assert!(status != 200 || answer.body == whole, "{name} {track}");
        stage.daemon.settles(&baseline, PATIENCE);
    });
}

#[test]
fn an_index_that_takes_too_long_to_read_is_left_to_ffmpeg() {
    // Without an index each fragment is looked at: a dozen times half a second.
    let pair = media::in_fragments("+frag_keyframe+empty_moov+default_base_moof+skip_trailer");
    let slow = |track: &str| {
        let file = if track == "video" { &pair.video } else { &pair.audio };
        Resource::file(file).ranges().keep_alive().etag(ONE).delay(Duration::from_millis(500))
    };
    let stage = TestSetup::of(&format!("[muxer]\nplan_timeout = \"1s\"\n{LOOPBACK}"), slow);
    let refused = stage.ask("GET", "");
    assert_eq!((refused.head.status, refused.code().as_str()), (422, "splice-refused"));
    let why = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(why.contains("took too long to read"), "{why}");
}

#[test]
fn cues_at_the_end_are_looked_for_with_the_same_care() {
    let (video, audio) = webms::long_film();
    for (fault, status) in [
        (Fault::None, 200),
        (Fault::Silent, 504),
        (Fault::Garbage, 502),
        (Fault::Status(500, vec![]), 502),
    ] {
        let file = |track: &str| {
            let file = if track == "video" { &video } else { &audio };
            Resource::file(file).ranges().etag(ONE)
        };
        let becomes = |track: &str| file(track).becomes(file(track).fault(fault.clone()), 1);
        let stage = TestSetup::of(&format!("{LOOPBACK}{SHORT}"), becomes);
        let answer = stage.ask("GET", "");
        assert_eq!((answer.head.status, answer.ending), (status, Ending::Complete), "{fault:?}");
    }
}

#[test]
fn an_index_of_random_bytes_is_refused_or_of_no_consequence() {
    let seed = number_from("YTCANAL_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("YTCANAL_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let stage = TestSetup::new();
    let baseline = stage.daemon.baseline();
    for _ in 0..60 {
        for track in TRACKS {
            let mut bytes = healthy(track).read();
            // Somewhere in the head, or in what stands behind the media.
            let len = bytes.len();
            let at =
                if random.bool() { random.usize(0..3000) } else { random.usize(len - 300..len) };
            let end = (at + random.usize(1..40)).min(len);
            bytes[at..end].iter_mut().for_each(|byte| *byte = random.u8(..));
            stage.origin.put(track, Resource::bytes(bytes).ranges().etag(TWO));
        }
        stage.daemon.get("/healthz");
        let answer = stage.ask("GET", "");
        let is_told = (400..=502).contains(&answer.head.status) && answer.head.status != 500;
        let status = answer.head.status;
        assert!(status == 200 || is_told, "{status} {} of seed {seed}", answer.code());
        // Not taken for the same file as the one before, of which the plan may be known.
        stage.restore();
        stage.ask("HEAD", "");
    }
    stage.daemon.settles(&baseline, PATIENCE);
    assert!(!stage.daemon.log().contains("panicked"), "a thread panicked");
}

#[test]
fn whatever_contradicts_a_plan_is_an_error_of_its_track() {
    let seed = number_from("YTCANAL_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("YTCANAL_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let tags = Metadata::default();
    for pair in [media::minute(), media::webm(), media::edit_listed()] {
        let mut film = Film::of(&pair.video, &pair.audio);
        let plan = film.plan(&as_it_is(&tags));
        for _ in 0..150 {
            let file = random.usize(..2);
            let bytes = &mut film.files[file].1;
            let len = bytes.len();
            let at = damaged_place(bytes, &mut random);
            let end = (at + random.usize(1..9)).min(len);
            let before = bytes[at..end].to_vec();
            bytes[at..end].iter_mut().for_each(|byte| *byte = random.u8(..));
            let from = random.u64(..plan.len());
            for part in [0..plan.len(), from..plan.len(), from..(from + 1000).min(plan.len())] {
                // Nor is more read than the plan needs: the film sees to it.
                match film.emit(&plan, part.clone()) {
                    Ok(made) => assert_eq!(made.len() as u64, part.end - part.start),
                    Err(Error::Upstream { fault: Seen::IndexMismatch(_), .. }) => {}
                    Err(error) => panic!("{error} (seed {seed}, {part:?}, byte {at})"),
                }
            }
            film.files[file].1[at..end].copy_from_slice(&before);
        }
    }
}

/// In the head of a fragment or a block of either family, if one is near.
fn damaged_place(bytes: &[u8], random: &mut Rng) -> usize {
    let at = random.usize(..bytes.len());
    let near = bytes[at..].windows(4).position(|name| {
        [&b"moof"[..], b"mdat", b"traf", b"trun", b"\x1f\x43\xb6\x75"].contains(&name)
    });
    near.map_or(at, |near| at + near + random.usize(..12)).saturating_sub(4).min(bytes.len() - 9)
}

#[test]
fn a_file_without_validators_that_changes_at_a_break_is_a_broken_download() {
    for track in TRACKS {
        let half = healthy(track).len() / 2;
        let stage = TestSetup::of(LOOPBACK, |name| {
            if name != track {
                return healthy(name);
            }
            let mut other = healthy(name).read();
            other[half as usize - 1000..].iter_mut().for_each(|byte| *byte ^= 1);
            let other = Resource::bytes(other).ranges();
            // It is cut in the second part.
            healthy(name).fault(Fault::CutAt(half)).becomes(other, 2)
        });
        let answer = stage.ask("GET", "");
        assert_eq!(answer.head.status, 200);
        assert_ne!(answer.ending, Ending::Complete, "{track}");
        // It is the repeated bytes that tell.
        stage.daemon.logs("are different now");
        assert_eq!(header(&answer, "ETag"), "");
    }
}

/// Nothing in its media would tell; what its index says is only true of the first one.
#[test]
fn a_file_without_validators_that_changes_behind_its_index_is_a_broken_download() {
    const REPEATED: &str = "the bytes before the break are different now";
    const GONE: &str = "bytes read earlier are different now";
    let middle = "Range: bytes=9000000-\r\n";
    for (faststart, requests, fields, said) in [
        // The media go on with what was looked at.
        (true, 2, "", REPEATED),
        (false, 5, "", REPEATED),
        // They are far from there.
        (true, 2, middle, GONE),
        (false, 5, middle, GONE),
    ] {
        let pair = media::long_indexes(faststart);
        let file = |name: &str| if name == "video" { &pair.video } else { &pair.audio };
        let film = |name: &str| Resource::file(file(name)).ranges();
        let whole = TestSetup::of(LOOPBACK, film).ask("GET", fields);
        assert_eq!(whole.ending, Ending::Complete);
        for track in TRACKS {
            let stage = TestSetup::of(LOOPBACK, |name| {
                let resource = film(name);
                if name != track {
                    return resource;
                }
                let other = resource.read().iter().map(|byte| byte ^ 1).collect::<Vec<_>>();
                resource.becomes(Resource::bytes(other).ranges(), requests)
            });
            let answer = stage.ask("GET", fields);
            assert_eq!(answer.head.status, whole.head.status);
            assert!(header(&answer, "Server-Timing").contains("splice"));
            assert_ne!(answer.ending, Ending::Complete, "{track}, {faststart}, {fields}");
            stage.daemon.logs(said);
        }
    }
}

/// All that is wanted of its media is here when its index is looked at, which is that of another one.
#[test]
fn a_file_without_validators_that_changes_while_it_is_looked_at_is_an_error() {
    let filter = "sine=frequency=440:sample_rate=48000:duration=30";
    let sound = media::progressive("short-sound", filter, &["-c:a", "aac", "-b:a", "96k"]);
    let film = |name: &str| {
        Resource::file(if name == "video" { media::index_at_end() } else { &sound }).ranges()
    };
    let changed = |name: &str| {
        let mut other = film(name).read();
        let half = other.len() / 2;
        other[64..half].iter_mut().for_each(|byte| *byte ^= 1);
        film(name).becomes(Resource::bytes(other).ranges(), 1)
    };
    TestSetup::of(LOOPBACK, film).whole();
    let stage =
        TestSetup::of(LOOPBACK, |name| if name == "video" { film(name) } else { changed(name) });
    let answer = stage.ask("GET", "");
    assert_eq!((answer.head.status, answer.code().as_str()), (502, "upstream-changed"));
}

#[test]
fn a_download_that_fails_is_told_by_its_cause() {
    const TIMES: usize = 10;
    for track in TRACKS {
        let stage = TestSetup::of(&format!("{LOOPBACK}retries = 0\n"), |name| {
            let resource = healthy(name).etag(ONE);
            let half = resource.len() / 2;
            if name == track { resource.fault(Fault::CutAt(half)) } else { resource }
        });
        for _ in 0..TIMES {
            let answer = stage.ask("GET", "");
            assert_eq!(answer.head.status, 200);
            assert_ne!(answer.ending, Ending::Complete);
        }
        let ended = format!("ytcanal_streams_ended_total{{result=\"{}\"}}", "upstream-cut");
        assert_eq!(stage.daemon.metric(&ended), TIMES as f64);
        stage.daemon.logs(&format!("{track} upstream: "));
        assert!(!stage.daemon.log().contains("was cancelled"), "the cause is not in the log");
        // What broke is no reason to make the plan anew.
        let asked = stage.asked_during(|| drop(stage.etag()));
        let is_anew = |range: &Range<u64>| range.start == 0 && *range != (0..1);
        assert!(!asked.iter().any(|(_, range)| is_anew(range)), "{asked:?}");
    }
}

#[test]
fn a_fresh_location_must_lead_to_the_file_that_was_told_of() {
    let origin = Origin::start();
    let old = origin.put("old", Resource::bytes([1; 9]).ranges().etag(ONE));
    let url = |url: &str| RemoteLocation::from(url.parse::<url::Url>().unwrap());
    let settings = config::UpstreamConfig {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        ..config::UpstreamConfig::default()
    };
    let upstream = UpstreamClient::new(&settings).unwrap();
    let file = thread::scope(|scope| {
        let track = Track { kind: TrackKind::Video, location: url(&old), refresh: None };
        let stop = Arc::new(CancelToken::new().unwrap());
        let source = TrackReader::open(scope, &upstream, &track, u64::MAX, &stop).unwrap();
        stop.cancel();
        source.file().clone()
    });
    origin.put("old", Resource::bytes("").fault(Fault::Status(403, vec![])));
    for (etag, is_same) in [(ONE, true), (TWO, false)] {
        let fresh = origin.put("fresh", Resource::bytes([2; 9]).ranges().etag(etag));
        for part in [0..1, 3..5] {
            let fresh = url(&fresh);
            let refresh = Some(RefreshHandle::new(move |_, _| Ok(fresh.clone())));
            let track = Track { kind: TrackKind::Video, location: url(&old), refresh };
            let reopened = thread::scope(|scope| {
                let stop = Arc::new(CancelToken::new().unwrap());
                let opened = TrackReader::open_range(
                    scope,
                    &upstream,
                    &track,
                    part.clone(),
                    u64::MAX,
                    &file,
                    &stop,
                );
                stop.cancel();
                opened.map(drop)
            });
            match reopened {
                Ok(()) => assert!(is_same, "another file was taken for it, {part:?}"),
                Err(Error::Upstream { fault: Seen::EntityChanged(_), .. }) => assert!(!is_same),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

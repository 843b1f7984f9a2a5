//! Live streams: followed until they end; whatever else ends them is visible.

use std::time::{Duration, Instant};

use super::*;
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::framemd5::{Packet, frames as timed_frames, packets};
use crate::support::hls::{LIVE, live_source};
use crate::support::live::{LiveList, Window, chain, playlist, status};

/// Retries are few, and what shows nothing new is given up soon.
const SETTINGS: &str = "[limits]\nstreams = 64\nstreams_per_client = 64\nmuxers = 64\nmuxers_per_client = 64\n\
    [upstream]\nallow = [\"127.0.0.0/8\"]\nretries = 2\nstall_timeout = \"2s\"\n";
/// What the film has at each request: it moves on by one or two segments, and ends.
const STATES: [Window; 5] =
    [(0, 4, false), (1, 6, false), (3, 8, false), (4, 9, false), (5, 10, true)];

pub(super) fn film(name: &str) -> SegmentedFilm {
    let kind = LIVE.into_iter().find(|kind| kind.name == name).expect("there is this kind");
    SegmentedFilm::of(kind, &live_source())
}

/// Puts a live film on an origin, with these states; returns the request for all of it.
fn put(origin: &Origin, directory: &str, name: &str, states: &[Window]) -> String {
    let film = film(name);
    let url = film.put(origin, directory);
    let is_apart = name.ends_with("apart");
    let lists: &[&str] =
        if is_apart { &["stream_0.m3u8", "stream_1.m3u8"] } else { &["list.m3u8"] };
    for list in lists {
        LiveList::of(&film, list).put(origin, &format!("{directory}/{list}"), states);
    }
    url
}

fn from_oldest(url: &str) -> String {
    any_path(Some(url), None, &[("start", "0")])
}

fn count(origin: &Origin, path: &str) -> usize {
    let path = format!("/{path}");
    origin.requests().iter().filter(|request| request.path == path).count()
}

pub(super) fn has_frames(body: &[u8], expected: &[String], what: &str) {
    let directory = tempfile::tempdir().unwrap();
    let file = written(directory.path(), body);
    let found = frames(&file, "v");
    assert!(found == expected, "{what}: {} frames of {}", found.len(), expected.len());
    // Sound is coded in frames that do not end with the film.
    let sound = frames(&file, "a").len() as f64 * 1024.0 / 48_000.0;
    let duration = expected.len() as f64 / 25.0;
    assert!((sound - duration).abs() < 0.3, "{what}: {sound} s of sound");
    let duration = media::file_duration(&file).unwrap() - duration;
    assert!(duration.abs() < 0.3, "{what}: {duration} s too long");
}

#[test]
fn a_stream_that_ends_has_all_frames_and_no_length() {
    let (origin, daemon) = (Origin::start(), Daemon::start(SETTINGS));
    let expected = frames(&live_source(), "v");
    thread::scope(|scope| {
        for kind in &LIVE[..4] {
            let (origin, daemon, expected) = (&origin, &daemon, &expected);
            scope.spawn(move || {
                let directory = kind.name.replace([' ', ','], "-");
                let url = put(origin, &directory, kind.name, &STATES);
                let fields = "Range: bytes=0-99\r\nIf-Range: \"x\"\r\n";
                let answer = ask(daemon.address(), "GET", &from_oldest(&url), fields);
                assert_whole(&answer, kind.name);
                for absent in ["Content-Length", "ETag"] {
                    assert_eq!(answer.head.header(absent), None, "{}", kind.name);
                }
                assert_eq!(answer.head.header("Accept-Ranges"), Some("none"));
                has_frames(&answer.body, expected, kind.name);
            });
        }
    });
}

#[test]
fn a_stream_begins_near_its_newest_segment() {
    let (origin, daemon) = (Origin::start(), Daemon::start(SETTINGS));
    let expected = frames(&live_source(), "v");
    for name in ["fragments, apart", "transport stream"] {
        let directory = name.replace([' ', ','], "-");
        let url = put(&origin, &directory, name, &[(0, 6, false), (2, 8, true)]);
        let answer = daemon.get(&any_path(Some(&url), None, &[("length", "wait")]));
        assert_whole(&answer, name);
        // 1.5 s before the end of the sixth second.
        has_frames(&answer.body, &expected[4 * 25..8 * 25], name);
    }
}

#[test]
fn neither_a_length_nor_a_time_range_is_to_be_had() {
    let (origin, daemon) = (Origin::start(), Daemon::start(SETTINGS));
    let url = put(&origin, "x", "fragments", &[(0, 6, false)]);
    let started = Instant::now();
    let path = any_path(Some(&url), None, &[("length", "wait")]);
    let head = ask(daemon.address(), "HEAD", &path, "").head;
    assert_eq!((head.status, head.header("Content-Length")), (200, None));
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    for range in [("start", "5"), ("end", "5")] {
        let answer = daemon.get(&any_path(Some(&url), None, &[range]));
        assert_eq!((answer.head.status, answer.code().as_str()), (400, "bad-parameter"));
        assert!(answer.text().contains("is live"), "{}", answer.text());
    }
    let other = [("engine", "splice"), ("container", "mkv")];
    assert_eq!(daemon.get(&any_path(Some(&url), None, &other)).code(), "splice-refused");
    LiveList::of(&film("fragments"), "list.m3u8").put(&origin, "x/list.m3u8", &[(0, 0, false)]);
    let answer = daemon.get(&any_path(Some(&url), None, &[]));
    assert_eq!(answer.code(), "upstream-busy", "{}", answer.text());
}

#[test]
fn a_client_that_leaves_ends_it_at_once() {
    let (origin, daemon) = (Origin::start(), Daemon::start(SETTINGS));
    let film = film("transport stream");
    let url = film.put(&origin, "x");
    let mut list = LiveList::of(&film, "list.m3u8");
    list.target = "1";
    let states: Vec<Window> = (2..9).map(|first| (0, first, false)).collect();
    list.put(&origin, "x/list.m3u8", &states);
    let mut client = Client::get(daemon.address(), &from_oldest(&url));
    client.first_byte();
    drop(client);
    thread::sleep(Duration::from_millis(300));
    let before = origin.requests().len();
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(origin.requests().len(), before, "{:?}", origin.requests().last());
}

/// What a download of a live stream comes to.
fn outcome(daemon: &Daemon, url: &str) -> Option<Vec<u8>> {
    let answer = daemon.get(&from_oldest(url));
    let is_whole = answer.head.status == 200 && answer.ending == Ending::Complete;
    is_whole.then_some(answer.body)
}

#[test]
fn what_is_missing_or_ends_without_an_end_is_visible() {
    let (origin, daemon) = (Origin::start(), Daemon::start(SETTINGS));
    let cases: [(&str, &[Window]); 4] = [
        ("segments that were never listed", &[(0, 3, false), (4, 8, false), (5, 10, true)]),
        ("nothing new", &[(0, 3, false), (1, 5, false)]),
        ("it begins again", &[(3, 7, false), (0, 3, false)]),
        ("an older end", &[(0, 6, false), (0, 5, true)]),
    ];
    thread::scope(|scope| {
        for (number, (what, states)) in cases.into_iter().enumerate() {
            let (origin, daemon) = (&origin, &daemon);
            scope.spawn(move || {
                let url = put(origin, &number.to_string(), "fragments", states);
                assert!(outcome(daemon, &url).is_none(), "{what}");
            });
        }
    });
    daemon.logs("before they could be read");
    eventually("the other ones tell why", Duration::from_secs(5), || {
        let log = daemon.log();
        (log.matches("waiting for a new segment").count() == 3).then_some(())
    });
}

#[test]
fn faults_of_the_playlist_are_mended() {
    let (origin, daemon) = (Origin::start(), Daemon::start(SETTINGS));
    let film = film("transport stream");
    let list = LiveList::of(&film, "list.m3u8");
    let state = |window| playlist(list.text(window));
    let (begin, end) = ((0, 5, false), (3, 10, true));
    let expected = outcome(&daemon, &put(&origin, "x", "transport stream", &[begin, end]));
    let expected = expected.expect("nothing is wrong yet");
    let stall = state((0, 5, false)).fault(Fault::StallAt(20));
    let elsewhere = origin.put("elsewhere/list.m3u8", playlist("#EXTM3U\n".into()));
    let cases: Vec<(&str, Vec<Resource>)> = vec![
        ("500 twice", vec![state(begin), status(500), status(500), state(end)]),
        ("404 once", vec![state(begin), status(404), state(end)]),
        ("a stall", vec![state(begin), stall, state(end)]),
        ("just being written", vec![state(begin), playlist(String::new()), state(end)]),
        ("an older server", vec![state((0, 5, false)), state((0, 4, false)), state(end)]),
        (
            "a redirect",
            vec![state(begin).fault(Fault::Redirect(elsewhere)), state(begin), state(end)],
        ),
    ];
    thread::scope(|scope| {
        for (number, (what, states)) in cases.into_iter().enumerate() {
            let (origin, daemon, film, expected) = (&origin, &daemon, &film, &expected);
            scope.spawn(move || {
                let url = film.put(origin, &number.to_string());
                // Segments are relative to where the redirect leads.
                if what == "a redirect" {
                    film.put(origin, "elsewhere");
                    origin.put("elsewhere/list.m3u8", state(begin));
                }
                origin.put(&format!("{number}/list.m3u8"), chain(states));
                let body = outcome(daemon, &url);
                assert!(body.as_ref() == Some(expected), "{what}: {}", daemon.log());
            });
        }
    });
    assert_eq!(count(&origin, "elsewhere/list.m3u8"), 1, "the first URL is the one to reload");
}

#[test]
fn keys_change_and_initialisation_segments_move() {
    let (origin, daemon) = (Origin::start(), Daemon::start(SETTINGS));
    let expected = frames(&live_source(), "v");
    // Half a film with one key, and half with another one.
    let [one, other] = ["transport stream, encrypted", "transport stream, encrypted again"];
    let [one, other] = [one, other].map(film);
    let mut list = LiveList::of(&one, "list.m3u8");
    let rest = LiveList::of(&other, "list.m3u8").segments.split_off(5);
    list.segments.truncate(5);
    list.segments.extend(rest.into_iter().map(|mut segment| {
        let moved = |line: &mut String| match line.strip_prefix('#') {
            None => *line = format!("../other/{line}"),
            Some(_) => *line = line.replace("URI=\"", "URI=\"../other/"),
        };
        segment.lines.iter_mut().for_each(moved);
        segment.state.iter_mut().for_each(moved);
        segment
    }));
    let url = one.put(&origin, "keys");
    other.put(&origin, "other");
    list.put(&origin, "keys/list.m3u8", &STATES);
    has_frames(&outcome(&daemon, &url).expect("keys change"), &expected, "keys");
    for key in ["keys/key", "other/key-2"] {
        assert_eq!(count(&origin, key), 1, "{key}");
    }

    let fragments = film("fragments");
    let url = fragments.put(&origin, "init");
    for (name, is_same) in [("the-same.mp4", true), ("another.mp4", false)] {
        fragments.put_with(&origin, "init", |file, resource| {
            if file == "init.mp4" {
                let mut bytes = resource.read();
                let last = bytes.len() - 1;
                bytes[last] ^= u8::from(!is_same);
                origin.put(&format!("init/{name}"), Resource::bytes(bytes).keep_alive());
            }
            resource
        });
        let mut list = LiveList::of(&fragments, "list.m3u8");
        for segment in &mut list.segments[5..] {
            segment.state = vec![format!("#EXT-X-MAP:URI=\"{name}\"")];
        }
        list.put(&origin, "init/list.m3u8", &STATES);
        let body = outcome(&daemon, &url);
        assert_eq!(body.is_some(), is_same, "{}", daemon.log());
        body.into_iter().for_each(|body| has_frames(&body, &expected, name));
    }
}

/// Whatever happens to a segment, at whichever place.
#[test]
fn a_fault_of_a_live_segment_is_mended_or_visible() {
    let (origin, daemon) = (Origin::start(), Daemon::start(SETTINGS));
    let states = [(0, 4, false), (2, 10, true)];
    let mut cells = Vec::new();
    for name in ["fragments", "transport stream"] {
        let film = film(name);
        let whole =
            outcome(&daemon, &put(&origin, &format!("whole-{}", cells.len()), name, &states));
        let expected = whole.expect("nothing is wrong yet");
        let (list, names) = (LiveList::of(&film, "list.m3u8"), film.segments());
        for ((fault, broken), place) in faults::faults()
            .into_iter()
            .flat_map(|fault| [0, 5, 9].map(|place| (fault.clone(), place)))
        {
            let directory = format!("cell-{}", cells.len());
            let url = film.put_with(&origin, &directory, |segment, resource| {
                if segment == names[place] { broken.apply(&film, &names, place) } else { resource }
            });
            list.put(&origin, &format!("{directory}/list.m3u8"), &states);
            let what = format!("{name}, live, segment {place}: {fault}");
            cells.push(faults::Cell { what, path: from_oldest(&url), expected: expected.clone() });
        }
    }
    faults::judge(&daemon, &cells);
}

/// How much later the second half of a stream is than the first one, which has the same content: in
/// nanoseconds, by a packet that is in each of them once.
fn lateness(packets: &[Packet]) -> i64 {
    let times = |md5: &str| -> Vec<i64> {
        packets.iter().filter(|packet| packet.md5 == md5).map(|packet| packet.pts).collect()
    };
    let twice = packets.iter().skip(packets.len() / 4).map(|packet| times(&packet.md5));
    let twice =
        twice.into_iter().find(|times| times.len() == 2).expect("a packet that is there twice");
    twice[1] - twice[0]
}

/// Puts the first half of a film twice, in a playlist with these states: its timestamps begin again.
pub(super) fn put_twice(
    origin: &Origin,
    film: &SegmentedFilm,
    directory: &str,
    states: &[Window],
) -> String {
    let url = film.put(origin, directory);
    for path in ["stream_0.m3u8", "stream_1.m3u8", "list.m3u8"] {
        if film.has(path) {
            let mut list = LiveList::of(film, path);
            list.segments.truncate(5);
            list.segments.extend_from_within(..);
            list.segments[5].lines.insert(0, "#EXT-X-DISCONTINUITY".to_owned());
            list.put(origin, &format!("{directory}/{path}"), states);
        }
    }
    url
}

/// Panics unless the second half is later than the first one by as much as that lasts, and nothing is earlier than
/// what precedes it.
pub(super) fn goes_on(body: &[u8], what: &str) {
    let directory = tempfile::tempdir().unwrap();
    let file = written(directory.path(), body);
    let [video, audio] = [timed_frames(&file, "v"), packets(&file, "a")];
    for packets in [&packets(&file, "v"), &audio] {
        assert!(packets.is_sorted_by(|one, next| one.dts < next.dts), "{what}");
    }
    let (video, audio) = (lateness(&video), lateness(&audio));
    assert!((video - 5_000_000_000).abs() < 50_000_000, "{what}: {video}");
    assert!((video - audio).abs() < 2_000_000, "{what}: {video} and {audio}");
}

/// The first half of the film twice: its timestamps begin again.
#[test]
fn timestamps_that_begin_again_are_carried_on() {
    let (origin, daemon) = (Origin::start(), Daemon::start(SETTINGS));
    let half = frames(&live_source(), "v")[..125].to_vec();
    for name in ["transport stream", "fragments", "fragments, apart"] {
        let film = film(name);
        let place = name.replace([' ', ','], "-");
        let url = film.put(&origin, &place);
        put_twice(&origin, &film, &place, &STATES);
        let body = outcome(&daemon, &url);
        let body = body.unwrap_or_else(|| panic!("{name}: {}", daemon.log()));
        has_frames(&body, &[&half[..], &half].concat(), name);
        goes_on(&body, name);
    }
    // What follows has other streams.
    let [one, other] = ["transport stream", "transport stream, video alone"].map(film);
    let (url, mut list) = (one.put(&origin, "other"), LiveList::of(&one, "list.m3u8"));
    other.put(&origin, "alone");
    let mut rest = LiveList::of(&other, "list.m3u8").segments.split_off(5);
    rest[0].lines.insert(0, "#EXT-X-DISCONTINUITY".to_owned());
    for line in rest.iter_mut().flat_map(|segment| &mut segment.lines) {
        if !line.starts_with('#') {
            *line = format!("../alone/{line}");
        }
    }
    list.segments.truncate(5);
    list.segments.extend(rest);
    list.put(&origin, "other/list.m3u8", &STATES);
    assert!(outcome(&daemon, &url).is_none());
    daemon.logs("streams have become other ones");
}

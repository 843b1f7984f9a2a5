//! Spliced files over HTTP: they behave like files.

use ytcanal::media::Metadata;

use crate::support::answer::{Answer, Ending};
use crate::support::client::{any_path, ask, mux_path, splice_path};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::film::{TRACKS, track_file};
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::spliced::{Film, as_it_is};
use crate::support::{PATIENCE, media, request_range};

const ONE: &str = "\"1\"";
const TWO: &str = "\"2\"";

/// The minute on an origin, and a daemon.
struct TestSetup {
    origin: Origin,
    daemon: Daemon,
    path: String,
}

impl TestSetup {
    fn new() -> Self {
        let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
        let path = put(&origin, [ONE, ONE]);
        Self { origin, daemon, path }
    }

    fn ask(&self, method: &str, fields: &str) -> Answer {
        ask(self.daemon.address(), method, &self.path, fields)
    }

    fn etag(&self) -> String {
        header(&self.ask("HEAD", ""), "ETag")
    }
}

/// Puts the minute there, with these entity tags; says the request for it.
fn put(origin: &Origin, etags: [&'static str; 2]) -> String {
    let [video, audio] = [0, 1].map(|place| {
        let file = Resource::file(track_file(TRACKS[place])).ranges().keep_alive();
        origin.put(TRACKS[place], file.etag(etags[place]))
    });
    splice_path(&video, &audio, &[("name", "A film")])
}

fn header(answer: &Answer, name: &str) -> String {
    answer.head.header(name).unwrap_or_default().to_owned()
}

/// What the engine makes of the minute, without a daemon.
fn expected() -> Vec<u8> {
    let pair = media::minute();
    let film = Film::of(&pair.video, &pair.audio);
    let tags = Metadata { title: Some("A film".into()), ..Metadata::default() };
    let plan = film.plan(&as_it_is(&tags));
    film.emit(&plan, 0..plan.len()).unwrap()
}

#[test]
fn a_pair_is_served_like_a_file() {
    let scene = TestSetup::new();
    let baseline = scene.daemon.baseline();
    let whole = scene.ask("GET", "");
    assert_eq!((whole.head.status, whole.ending), (200, Ending::Complete), "{}", whole.text());
    assert!(whole.body == expected(), "not the bytes that the engine makes");
    let len = whole.body.len();
    assert_eq!(header(&whole, "Content-Length"), len.to_string());
    assert_eq!(header(&whole, "Content-Type"), "video/mp4");
    assert_eq!(header(&whole, "Accept-Ranges"), "bytes");
    assert!(header(&whole, "Content-Disposition").contains("A film.mp4"));
    assert!(header(&whole, "Server-Timing").contains("engine;desc=\"splice\""));
    let etag = header(&whole, "ETag");
    let part = |range: &str, condition: &str| {
        let answer = scene.ask("GET", &format!("Range: {range}\r\n{condition}"));
        assert_eq!(answer.ending, Ending::Complete, "{range}");
        answer
    };
    for (range, wanted) in [
        ("bytes=0-0", 0..1),
        ("bytes=1000000-1999999", 1_000_000..2_000_000),
        ("bytes=-77777", len - 77_777..len),
        ("bytes=1234567-", 1_234_567..len),
    ] {
        for condition in ["".into(), format!("If-Range: {etag}\r\n")] {
            let answer = part(range, &condition);
            assert_eq!(answer.head.status, 206, "{range}");
            let said = format!("bytes {}-{}/{len}", wanted.start, wanted.end - 1);
            assert_eq!(header(&answer, "Content-Range"), said);
            assert!(answer.body == whole.body[wanted.clone()], "{range}");
        }
    }
    assert_eq!(part("bytes=5-9", "If-Range: \"other\"\r\n").head.status, 200);
    let beyond = part(&format!("bytes={len}-"), "");
    assert_eq!(beyond.head.status, 416);
    assert_eq!(header(&beyond, "Content-Range"), format!("bytes */{len}"));
    for (field, status) in [
        (format!("If-None-Match: {etag}"), 304),
        ("If-None-Match: \"other\"".into(), 200),
        (format!("If-Match: {etag}"), 200),
        ("If-Match: \"other\"".into(), 412),
    ] {
        assert_eq!(scene.ask("HEAD", &format!("{field}\r\n")).head.status, status, "{field}");
    }
    scene.daemon.settles(&baseline, PATIENCE);
}

#[test]
fn a_head_is_that_of_the_file_and_touches_no_media() {
    let scene = TestSetup::new();
    let head = scene.ask("HEAD", "");
    // The first 64 KiB of each track tell everything.
    let requests = scene.origin.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    for request in requests {
        let range = request.header("range").unwrap().strip_prefix("bytes=").unwrap();
        let (first, last) = range.split_once('-').unwrap();
        let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
        assert!(first == 0 && last < 65536, "{request:?}");
    }
    let whole = scene.ask("GET", "");
    for name in ["Content-Length", "Content-Type", "Accept-Ranges", "ETag"] {
        assert_eq!(header(&head, name), header(&whole, name), "{name}");
        assert_ne!(header(&head, name), "", "{name}");
    }
}

#[test]
fn the_etag_is_the_same_everywhere_and_changes_with_any_input() {
    let (one, other) = (TestSetup::new(), TestSetup::new());
    let etag = one.etag();
    assert_eq!(etag, other.etag());
    for etags in [[TWO, ONE], [ONE, TWO]] {
        // The plan of before is still kept, but its files have changed.
        put(&one.origin, etags);
        let changed = one.ask("GET", "");
        assert_eq!((changed.head.status, changed.ending), (200, Ending::Complete));
        assert_ne!(header(&changed, "ETag"), etag);
        assert_eq!(one.etag(), header(&changed, "ETag"));
    }
    put(&one.origin, [ONE, ONE]);
    assert_eq!(one.etag(), etag);
    let trimmed = format!("{}&start=20", one.path);
    let trimmed = ask(one.daemon.address(), "HEAD", &trimmed, "");
    assert!(![etag, String::new()].contains(&header(&trimmed, "ETag")));
}

#[test]
fn who_comes_back_does_not_have_the_heads_read_again() {
    let scene = TestSetup::new();
    let len: u64 = header(&scene.ask("HEAD", ""), "Content-Length").parse().unwrap();
    let before = scene.origin.requests().len();
    let answer = scene.ask("GET", &format!("Range: bytes={}-\r\n", len / 2));
    assert_eq!(answer.head.status, 206);
    let asked = scene.origin.requests().split_off(before);
    assert!(TRACKS.iter().all(|track| asked.iter().any(|request| request.path[1..] == **track)));
    for request in &asked {
        assert_eq!(request.header("if-range"), Some(ONE));
        assert!(request_range(request).start > 100_000, "{request:?}");
    }
}

#[test]
fn media_are_copied_only_where_they_must_be_seen() {
    for (proven, part) in [(true, 0.7..1.0), (false, 0.0..0.001)] {
        let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
        let [video, audio] = TRACKS.map(|track| {
            let file = Resource::file(track_file(track)).ranges().keep_alive();
            origin.put(track, if proven { file.etag(ONE) } else { file })
        });
        for path in [splice_path(&video, &audio, &[]), mux_path(Some(&video), None, &[])] {
            let uncopied = || daemon.metric("ytcanal_zero_copy_bytes_total");
            let before = uncopied();
            let answer = ask(daemon.address(), "GET", &path, "");
            assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete));
            let of_all = (uncopied() - before) / answer.body.len() as f64;
            assert!(part.contains(&of_all), "{path}, {proven}: {of_all}");
        }
    }
}

#[test]
fn a_file_that_changes_in_mid_download_is_a_broken_download() {
    for track in TRACKS {
        let scene = TestSetup::new();
        let file = || Resource::file(track_file(track)).ranges();
        let half = file().len() / 2;
        // The second request goes on with what broke there, in another file.
        let becomes = file().etag(TWO);
        let first = file().etag(ONE).fault(Fault::CutAt(half)).becomes(becomes, 1);
        scene.origin.put(track, first);
        let answer = scene.ask("GET", "");
        assert_eq!(answer.head.status, 200);
        assert_ne!(answer.ending, Ending::Complete, "{track}");
        let again = scene.ask("GET", "");
        assert_eq!((again.head.status, again.ending), (200, Ending::Complete));
        assert_ne!(header(&again, "ETag"), header(&answer, "ETag"));
    }
}

#[test]
fn bytes_that_contradict_the_plan_are_a_broken_download() {
    for track in TRACKS {
        let scene = TestSetup::new();
        let mut bytes = std::fs::read(track_file(track)).unwrap();
        let moofs: Vec<_> =
            (0..bytes.len() - 4).filter(|at| &bytes[*at..at + 4] == b"moof").collect();
        let last = *moofs.last().unwrap();
        bytes[last..last + 4].copy_from_slice(b"moox");
        scene.origin.put(track, Resource::bytes(bytes).ranges().etag(ONE));
        let answer = scene.ask("GET", "");
        assert_eq!(answer.head.status, 200);
        assert_ne!(answer.ending, Ending::Complete, "{track}");
        scene.daemon.logs("contradicts");
    }
}

#[test]
fn what_cannot_be_spliced_says_why() {
    let scene = TestSetup::new();
    let sound = media::webm().audio.clone();
    let [video, audio] = [
        scene.origin.put("video", Resource::file(track_file("video")).ranges().etag(ONE)),
        scene.origin.put("opus", Resource::file(&sound).ranges().etag(ONE)),
    ];
    let refused = ask(scene.daemon.address(), "GET", &splice_path(&video, &audio, &[]), "");
    assert_eq!((refused.head.status, refused.code().as_str()), (422, "splice-refused"));
    assert!(refused.text().contains("different container formats"), "{}", refused.text());
    let auto = any_path(Some(&video), Some(&audio), &[]);
    let answer = ask(scene.daemon.address(), "GET", &auto, "");
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete));
    let timing = header(&answer, "Server-Timing");
    assert!(timing.contains("ffmpeg (the files are in different container formats)"), "{timing}");
    let plain = scene.origin.put("plain", Resource::file(track_file("audio")));
    let unranged = any_path(Some(&video), Some(&plain), &[]);
    let timing = header(&ask(scene.daemon.address(), "GET", &unranged, ""), "Server-Timing");
    assert!(timing.contains("ffmpeg (audio: its upstream"), "{timing}");
}

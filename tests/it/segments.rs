//! Media in segments (HLS): one file, with a length where the lengths of the segments are known.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fastrand::Rng;

use crate::support::answer::{Answer, Ending};
use crate::support::client::{any_path, ask};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::hls::{KINDS, Kind, LATE, WRAPPING, named, source};
use crate::support::media;
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::run;
use crate::support::segmented::SegmentedFilm;
use crate::support::synchrony::{H264_SLICES, assert_most_packets, both_tracks};

mod codecs;
mod discontinuous;
mod faults;
mod live;
mod muxed;
mod packed;
mod padding;
mod reported;
mod seeks;
mod shaka;
mod streaming;
mod trim;

/// The hashes of the decoded frames of a stream.
fn frames(file: &Path, stream: &str) -> Vec<String> {
    let output =
        run(Command::new("ffmpeg").args(["-v", "error", "-nostdin", "-i"]).arg(file).args([
            "-map",
            &format!("0:{stream}"),
            "-fps_mode",
            "passthrough",
            "-f",
            "framehash",
            "-",
        ]));
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{file:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

fn written(directory: &Path, body: &[u8]) -> std::path::PathBuf {
    let file = directory.join("film.mp4");
    std::fs::write(&file, body).unwrap();
    file
}

fn assert_whole(answer: &Answer, what: &str) {
    assert_eq!(
        (answer.head.status, answer.ending),
        (200, Ending::Complete),
        "{what}: {}",
        answer.text()
    );
}

/// Runs `check` for all kinds, and for films that begin late or whose timestamps wrap, with the number of each.
fn with_each_kind(check: impl Fn(usize, Kind) + Sync) {
    let kinds: Vec<_> = KINDS.into_iter().chain(LATE).chain([WRAPPING]).enumerate().collect();
    let (next, check) = (AtomicUsize::new(0), &check);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((number, kind)) = kinds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(*number, *kind);
                }
            });
        }
    });
}

#[test]
fn every_kind_has_the_packets_of_its_film() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let own = both_tracks(&source(), &H264_SLICES);
    let pictures = frames(&source(), "v");
    let expected = media::file_duration(&source()).unwrap();
    with_each_kind(|number, kind| {
        let url = SegmentedFilm::new(kind).put(&origin, &number.to_string());
        let answer = daemon.get(&any_path(Some(&url), None, &[]));
        assert_whole(&answer, kind.name);
        let length = answer.head.header("Content-Length");
        assert_eq!(length.is_some(), kind.is_exact, "{}: {:?}", kind.name, answer.head);
        let directory = tempfile::tempdir().unwrap();
        let file = written(directory.path(), &answer.body);
        assert!(pictures == frames(&file, "v"), "{}", kind.name);
        assert!(!frames(&file, "a").is_empty());
        let made = both_tracks(&file, &H264_SLICES);
        assert_most_packets(&own, &made, kind.name);
        // Fragments are not moved by less than a second.
        let begin = made[1][0].pts as f64 / 1e9;
        assert!((-0.1..1.1).contains(&begin), "{}: {begin}", kind.name);
        let duration = media::file_duration(&file).unwrap() - begin.max(0.0);
        assert!((duration - expected).abs() < 0.25, "{}: {duration}", kind.name);
    });
}

#[test]
fn what_has_a_length_behaves_like_a_file() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let other = Daemon::start(LOOPBACK);
    with_each_kind(|number, kind| {
        let url = SegmentedFilm::new(kind).put(&origin, &number.to_string());
        let path = any_path(Some(&url), None, &[]);
        let whole = daemon.get(&path);
        let etag = whole.head.header("ETag").expect("it has an ETag").to_owned();
        let head = ask(other.address(), "HEAD", &path, "").head;
        assert_eq!(head.header("ETag"), Some(&*etag), "{}", kind.name);
        assert_eq!(head.header("Content-Length"), whole.head.header("Content-Length"));
        assert_ranges(&other, &path, &whole, 200);
    });
}

/// Their padding is asked for until it is known that they consist of packets.
#[test]
fn encrypted_transport_streams_tell_their_lengths_by_one_request_each() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let kind = named("transport stream, encrypted");
    let film = SegmentedFilm::of(kind, &media::five_minutes().finished());
    let segments = film.segments().len();
    let path = any_path(Some(&film.put(&origin, "film")), None, &[]);
    let head = ask(daemon.address(), "HEAD", &path, "").head;
    assert!(head.header("Content-Length").is_some(), "{head:?}");
    let asked = origin.requests().len();
    assert!(segments > 50 && asked < segments + 40, "{asked} requests for {segments} segments");
    let answer = daemon.get(&path);
    assert_whole(&answer, kind.name);
}

/// Requests this number of byte ranges at random, each of which must be that of the whole.
fn assert_ranges(daemon: &Daemon, path: &str, whole: &Answer, count: usize) {
    let etag = whole.head.header("ETag").expect("it has an ETag");
    let mut random = Rng::with_seed(7);
    for _ in 0..count {
        let start = random.usize(..whole.body.len());
        let end = random.usize(start..whole.body.len()) + 1;
        let fields = format!("Range: bytes={start}-{}\r\nIf-Range: {etag}\r\n", end - 1);
        let part = ask(daemon.address(), "GET", path, &fields);
        assert_eq!(part.head.status, 206, "{path}: {}", part.text());
        assert!(part.body == whole.body[start..end], "{path}: {start}..{end}");
    }
}

/// A link to a playlist need not look like one.
#[test]
fn a_playlist_is_recognised_by_its_first_bytes() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let film = SegmentedFilm::new(named("fragments"));
    let named = daemon.get(&any_path(Some(&film.put(&origin, "x")), None, &[]));
    let text = film.text("list.m3u8");
    let plain = origin.put("x/watch", Resource::bytes(text).ranges());
    let answer = daemon.get(&any_path(Some(&plain), None, &[]));
    assert_whole(&answer, "a playlist without a name");
    assert!(answer.body == named.body);
}

#[test]
fn the_length_can_be_waited_for_or_left_out() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let url = SegmentedFilm::new(named("fragments")).put(&origin, "x");
    let get = |length: &str| daemon.get(&any_path(Some(&url), None, &[("length", length)]));
    let [auto, wait, none] = ["auto", "wait", "none"].map(get);
    for (answer, has_length) in [(&auto, true), (&wait, true), (&none, false)] {
        assert_whole(answer, "fragments");
        assert_eq!(answer.head.header("Content-Length").is_some(), has_length);
    }
    // Without a length, the segments come as they are, with the same media.
    assert!(auto.body == wait.body && is_same_media(&auto.body, &none.body));
    assert_eq!(get("long").code(), "bad-parameter");
}

/// The boxes of a file: their types and contents.
fn boxes(body: &[u8]) -> Vec<([u8; 4], &[u8])> {
    let (mut boxes, mut rest) = (Vec::new(), body);
    while let [a, b, c, d, kind @ ..] = rest {
        let len = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        boxes.push((*kind.first_chunk().unwrap(), &rest[8..len]));
        rest = &rest[len..];
    }
    boxes
}

/// Whether the fragments of both have the same media, but for zeros that fill up those of `exact`.
fn is_same_media(exact: &[u8], plain: &[u8]) -> bool {
    let media = |body| boxes(body).into_iter().filter(|(kind, _)| kind == b"mdat");
    let is_same = |exact: &[u8], plain: &[u8]| {
        exact.strip_prefix(plain).is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
    };
    media(exact).count() == media(plain).count()
        && media(exact).zip(media(plain)).all(|((_, exact), (_, plain))| is_same(exact, plain))
}

/// What a playlist may not do, each by its name.
#[test]
fn playlists_that_cannot_be_used_are_refused() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let cases: [(&str, u16, &str); 6] = [
        (
            "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"",
            422,
            "drm",
        ),
        ("#EXT-X-KEY:METHOD=AES-128,URI=\"nothing-there\"", 404, "upstream-not-found"),
        ("#EXT-X-KEY:METHOD=AES-128,URI=\"short-key\"", 502, "upstream-playlist"),
        ("#EXT-X-GAP", 502, "upstream-playlist"),
        ("#EXT-X-BYTERANGE:12", 502, "upstream-playlist"),
        ("#EXT-X-KEY:METHOD=AES-128,URI=\"http://10.0.0.1/key\"", 403, "address-refused"),
    ];
    origin.put("x/short-key", Resource::bytes("fifteen bytes !"));
    for (line, status, code) in cases {
        let film = SegmentedFilm::new(named("transport stream"));
        let film = film.edit(|text| text.replacen("#EXTINF", &format!("{line}\n#EXTINF"), 1));
        let answer = daemon.get(&any_path(Some(&film.put(&origin, "x")), None, &[]));
        assert_eq!((answer.head.status, answer.code().as_str()), (status, code), "{line}");
    }
}

#[test]
fn segments_elsewhere_are_subject_to_the_address_policy() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let film = SegmentedFilm::new(named("transport stream"));
    let film =
        film.edit(|text| text.replacen("\nlist3.ts", "\nhttp://169.254.169.254/list3.ts", 1));
    let answer = daemon.get(&any_path(Some(&film.put(&origin, "x")), None, &[]));
    assert!(answer.head.status == 403 || answer.ending != Ending::Complete, "{:?}", answer.head);
}

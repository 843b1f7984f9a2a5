//! DASH in WebM, as ffmpeg and Shaka Packager make it: clusters behind what initialises them.

use std::path::PathBuf;

use serde_json::json;

use super::dash::{file, has_duration, is_whole};
use crate::support::answer::Ending;
use crate::support::client::ask;
use crate::support::framemd5::{Packet, frames, packets};
use crate::support::hls::{DASH_WEBM, DASH_WEBM_NUMBERED};
use crate::support::media;
use crate::support::resource::Resource;
use crate::support::segmented::SegmentedFilm;
use crate::support::shaka::WEBM_DASH;
use crate::support::synchrony::{assert_same_packets, both_tracks};
use crate::support::ytdlp::{self, Site, WAYS, download_path};

/// Fifteen seconds, with a key frame every five.
fn source() -> PathBuf {
    let webm = media::webm();
    let inputs = ["-i", webm.video.to_str().unwrap(), "-i", webm.audio.to_str().unwrap()];
    let words = [&inputs[..], &["-c", "copy"]].concat();
    let words: Vec<_> = words.into_iter().map(String::from).collect();
    media::generate("webm-finished", "webm", &words)
}

/// The names of the files of a film.
#[derive(Clone, Copy)]
struct Names {
    /// Of what initialises a track.
    init: fn(usize) -> String,
    /// Of a segment of a track.
    segment: fn(usize, usize) -> String,
    /// How many segments a track has at most.
    count: usize,
}

const BY_FFMPEG: Names = Names {
    init: |track| format!("init-stream{track}.webm"),
    segment: |track, number| format!("chunk-stream{track}-{number:05}.webm"),
    count: usize::MAX,
};
/// Of five seconds each.
const NUMBERED: Names = Names { count: 3, ..BY_FFMPEG };
const BY_SHAKA: Names = Names {
    init: |track| format!("{}.webm", ["v", "a"][track]),
    segment: |track, number| format!("{}{number}.webm", ["v", "a"][track]),
    count: usize::MAX,
};

fn films() -> [(&'static str, SegmentedFilm, &'static str, Names); 3] {
    let of = |kind| SegmentedFilm::of(kind, &source());
    [
        ("timeline", of(DASH_WEBM), "dash.mpd", BY_FFMPEG),
        ("numbered", of(DASH_WEBM_NUMBERED), "dash.mpd", NUMBERED),
        ("shaka", SegmentedFilm::packaged(WEBM_DASH, &source()), "manifest.mpd", BY_SHAKA),
    ]
}

/// The packets of both tracks, by their segments one after the other: the packagers shift the tracks against each
/// other.
fn own_packets(film: &SegmentedFilm, names: Names) -> [Vec<Packet>; 2] {
    [("v", 0), ("a", 1)].map(|(stream, track)| {
        let segments = (1..).map(|number| (names.segment)(track, number));
        // As many as the duration of the film has.
        let segments = segments.take_while(|name| film.has(name)).take(names.count);
        let init = film.content(&(names.init)(track));
        let all = segments.fold(init, |before, name| [before, film.content(&name)].concat());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), all).unwrap();
        packets(file.path(), stream)
    })
}

#[test]
fn segments_of_webm_are_one_file() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(WAYS[0]));
    let other = ytdlp::daemon(WAYS[1]);
    for (what, film, manifest, names) in films() {
        film.put(&site.origin, &format!("f/{what}"));
        site.put_page(what, &json!({"formats": {}, "manifests": [manifest]}));
        let own = own_packets(&film, names);
        for length in ["auto", "none"] {
            let path = download_path(&site.page_url(what), &[("length", length)]);
            let answer = daemon.get(&path);
            let what = format!("{what}, length={length}");
            is_whole(&answer, length == "auto", &what);
            assert_eq!(answer.head.header("Content-Type"), Some("video/webm"), "{what}");
            let file = file(&answer);
            assert_same_packets(&own, &both_tracks(file.path(), &["-c", "copy"]), &what);
            // Each is decoded.
            let counts = ["v", "a"].map(|stream| frames(file.path(), stream).len());
            assert_eq!(counts, own.each_ref().map(Vec::len), "{what}");
            if length == "none" {
                continue;
            }
            let timing = answer.head.header("Server-Timing").unwrap();
            assert!(timing.contains("splice") && !timing.contains("ffmpeg"), "{what}: {timing}");
            has_duration(file.path(), 15.0, &what);
            // Another instance has the same bytes.
            let head = ask(other.address(), "HEAD", &path, "").head;
            assert_eq!(head.header("ETag"), answer.head.header("ETag"), "{what}");
            let mut random = fastrand::Rng::with_seed(7);
            for _ in 0..200 {
                let start = random.usize(..answer.body.len());
                let end = random.usize(start..answer.body.len()) + 1;
                let field = format!("Range: bytes={start}-{}\r\n", end - 1);
                let part = ask(other.address(), "GET", &path, &field);
                assert_eq!((part.head.status, part.ending), (206, Ending::Complete), "{what}");
                assert!(part.body == answer.body[start..end], "{what}: {start}..{end}");
            }
        }
    }
}

#[test]
fn one_track_and_time_ranges() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(WAYS[0]));
    for (what, film, manifest, names) in films() {
        film.put(&site.origin, &format!("f/{what}"));
        site.put_page(what, &json!({"formats": {}, "manifests": [manifest]}));
        let get = |more: &[(&str, &str)]| daemon.get(&download_path(&site.page_url(what), more));
        let [pictures, sounds] = own_packets(&film, names);
        let audio = get(&[("quality", "audio"), ("container", "webm")]);
        is_whole(&audio, true, what);
        let audio = file(&audio);
        let md5s = |packets: &[Packet]| -> Vec<String> {
            packets.iter().map(|packet| packet.md5.clone()).collect()
        };
        assert_eq!(md5s(&packets(audio.path(), "a")), md5s(&sounds), "{what}");
        has_duration(audio.path(), 15.0, what);
        // From one key frame to the next.
        let before = site.media_requests().len();
        let part = get(&[("start", "6"), ("end", "9")]);
        is_whole(&part, true, what);
        let part = file(&part);
        assert!(md5s(&packets(part.path(), "v")) == md5s(&pictures[125..250]), "{what}");
        has_duration(part.path(), 5.0, what);
        // Of the others, no more than their first bytes.
        let is_read = |track: usize, number: usize| {
            let end = format!("/{}", (names.segment)(track, number));
            site.media_requests()[before..].iter().any(|request| {
                request.path.ends_with(&end) && request.header("range") != Some("bytes=0-4095")
            })
        };
        assert!(is_read(0, 2), "{what}");
        let count = if what == "numbered" { 3 } else { 8 };
        for number in [2, count - 1].into_iter().filter(|_| count > 3) {
            assert!(!is_read(1, number), "{what}: audio {number}");
        }
    }
}

/// A cluster without the last two fifths of its blocks.
fn shortened(cluster: &[u8]) -> Vec<u8> {
    // An ID of four bytes.
    let width = cluster[4].leading_zeros() as usize + 1;
    let mut at = 4 + width;
    while at < cluster.len() * 3 / 5 {
        let width = cluster[at + 1].leading_zeros() as usize + 1;
        let size = cluster[at + 1..at + 1 + width]
            .iter()
            .fold(0, |size, byte| size << 8 | usize::from(*byte));
        at += 1 + width + (size & !(1 << (7 * width)));
    }
    let content = &cluster[4 + width..at];
    let size = (content.len() as u64 | 1 << 56).to_be_bytes();
    [&cluster[..4], &size, content].concat()
}

#[test]
fn a_segment_that_is_another_one_or_cut_is_visible() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(WAYS[0]));
    let is_visible =
        |what: &str, film: &SegmentedFilm, manifest: &str, name: &str, other: &[u8]| {
            let id = format!("{what}-{}-{}", name.replace('.', "-"), other.len());
            film.put_with(&site.origin, &format!("f/{id}"), |own, resource| {
                let changed = Resource::bytes(other).ranges().etag("\"1\"").keep_alive();
                if own == name { changed } else { resource }
            });
            site.put_page(&id, &json!({"formats": {}, "manifests": [manifest]}));
            let answer = daemon.get(&download_path(&site.page_url(&id), &[]));
            let is_whole = answer.head.status == 200 && answer.ending == Ending::Complete;
            assert!(!is_whole, "{id}: it looks whole");
        };
    for (what, film, manifest, names) in films() {
        for number in 1..=3 {
            let other = film.content(&(names.segment)(0, number % 3 + 1));
            is_visible(what, &film, manifest, &(names.segment)(0, number), &other);
        }
        // Where one duration stands for all segments, it says nothing of the last one, so that it says nothing of others.
        let numbers: &[usize] = if what == "numbered" { &[] } else { &[1, 4, 8] };
        for number in numbers {
            let name = (names.segment)(1, *number);
            is_visible(what, &film, manifest, &name, &shortened(&film.content(&name)));
        }
    }
}

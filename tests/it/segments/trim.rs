//! Time ranges of segments of all kinds: exact, and of no more segments than needed.

use super::*;
use crate::support::framemd5::{frames as timed_frames, packets};

#[test]
fn a_time_range_is_a_file_of_its_own() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let other = Daemon::start(LOOPBACK);
    let directory = tempfile::tempdir().unwrap();
    let source = crate::support::hls::source();
    let (pictures, sounds) = (timed_frames(&source, "v"), packets(&source, "a"));
    let apart = || SegmentedFilm::new(named("transport stream, apart"));
    for (name, film) in [
        ("one", SegmentedFilm::new(named("transport stream, encrypted"))),
        ("apart", apart()),
        ("packed", apart().with_packed_audio()),
        ("fragments-apart", SegmentedFilm::new(named("fragments, apart"))),
    ] {
        let url = film.put(&origin, name);
        let tags = [("title", "A title"), ("artist", "An artist"), ("date", "2026-11-29")];
        let path =
            any_path(Some(&url), None, &[&[("start", "10.5"), ("end", "15")], &tags[..]].concat());
        let whole = daemon.get(&path);
        assert_whole(&whole, name);
        assert!(whole.head.header("Server-Timing").unwrap().contains("splice"), "{name}");
        let file = written(directory.path(), &whole.body);
        assert_eq!(media::tags(&file), tags.map(|(_, value)| value.to_owned()), "{name}");
        let duration = media::file_duration(&file).unwrap();
        assert!(duration > 5.7 && duration < 8.2, "{name}: {duration}");
        let shown = timed_frames(&file, "v");
        assert!(
            shown
                .iter()
                .map(|frame| &frame.md5)
                .eq(pictures[250..400].iter().map(|frame| &frame.md5))
        );
        let heard = packets(&file, "a");
        let first = sounds.iter().position(|packet| packet.md5 == heard[0].md5).unwrap();
        let moved = |source: i64, own: i64| source - own;
        let apart = moved(sounds[first].pts, heard[0].pts) - moved(pictures[250].pts, shown[0].pts);
        // The film itself was shifted by what its B-frames are late.
        assert!(apart.abs() < 2_000_000, "{name}: {apart} ns apart");

        let of_segments = origin.requests();
        let of_segments = of_segments.iter().filter(|request| {
            let is_own = request.path.contains(&format!("{name}/"));
            let size = |range: &str| {
                let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
                Some(to.parse::<u64>().ok()? - from.parse::<u64>().ok()?)
            };
            is_own && request.header("range").and_then(size).is_none_or(|size| size > 4096)
        });
        let video =
            |number: u32| ["list", "stream_0"].map(|list| format!("{name}/{list}{number}."));
        let names: Vec<_> = of_segments.map(|request| request.path.clone()).collect();
        // The first one tells what they are.
        for number in [1, 2, 3, 10, 13] {
            let is_read =
                names.iter().any(|path| video(number).iter().any(|own| path.contains(own)));
            assert!(!is_read, "{name}: segment {number} is not needed: {names:?}");
        }
        assert_ranges(&other, &path, &whole, 200);
    }
}

/// By ffmpeg, and so without a length.
#[test]
fn a_time_range_of_fragments_with_both_tracks() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let directory = tempfile::tempdir().unwrap();
    let source = crate::support::hls::source();
    let sounds = packets(&source, "a");
    for kind in ["fragments", "fragments in one file"] {
        let url = SegmentedFilm::new(named(kind)).put(&origin, &kind.replace(' ', "-"));
        let range = [("start", "10.5"), ("end", "15")];
        let answer = daemon.get(&any_path(Some(&url), None, &range));
        assert_whole(&answer, kind);
        assert_eq!(answer.head.header("Content-Length"), None, "{kind}");
        let file = written(directory.path(), &answer.body);
        // From the key frame before the start on.
        let (pictures, shown) = (timed_frames(&source, "v"), timed_frames(&file, "v"));
        assert!((125..=130).contains(&shown.len()), "{kind}: {} frames", shown.len());
        let mut pairs = pictures[250..].iter().zip(&shown);
        assert!(pairs.all(|(own, other)| own.md5 == other.md5), "{kind}");
        let heard = packets(&file, "a");
        let first = sounds.iter().position(|packet| packet.md5 == heard[0].md5).unwrap();
        let moved = |source: i64, own: i64| source - own;
        let apart = moved(sounds[first].pts, heard[0].pts) - moved(pictures[250].pts, shown[0].pts);
        assert!(apart.abs() < 2_000_000, "{kind}: {apart} ns apart");
    }
}

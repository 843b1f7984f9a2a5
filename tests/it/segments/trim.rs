//! Time ranges of transport streams and packed audio: exact, and of no more segments than needed.

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
    ] {
        let url = film.put(&origin, name);
        let path = any_path(Some(&url), None, &[("start", "10.5"), ("end", "15")]);
        let whole = daemon.get(&path);
        assert_whole(&whole, name);
        assert!(whole.head.header("Server-Timing").unwrap().contains("splice"), "{name}");
        let file = written(directory.path(), &whole.body);
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
            |number: u32| ["list", "stream_0"].map(|list| format!("{name}/{list}{number}.ts"));
        let names: Vec<_> = of_segments.map(|request| request.path.clone()).collect();
        // The first ones are short, and requested ahead.
        for number in [4, 10, 13] {
            let is_read =
                names.iter().any(|path| video(number).iter().any(|own| path.ends_with(own)));
            assert!(!is_read, "{name}: segment {number} is not needed: {names:?}");
        }
        assert_ranges(&other, &path, &whole, 200);
    }
}

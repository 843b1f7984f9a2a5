//! Fragments of MP4 with video and audio in one: as they are, behind a moov with their duration, and an index.

use super::*;
use crate::support::framemd5::packets;

#[test]
fn fragments_with_both_tracks_have_a_duration_and_an_index() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let directory = tempfile::tempdir().unwrap();
    for (number, kind) in ["fragments", "fragments in one file"].into_iter().enumerate() {
        let url = SegmentedFilm::new(named(kind)).put(&origin, &number.to_string());
        let path = any_path(Some(&url), None, &[]);
        let whole = daemon.get(&path);
        assert_whole(&whole, kind);
        assert!(whole.head.header("Server-Timing").unwrap().contains("splice"), "{:?}", whole.head);
        let file = directory.path().join("film.mp4");
        std::fs::write(&file, &whole.body).unwrap();
        // As they come, with a duration, too.
        let plain = daemon.get(&any_path(Some(&url), None, &[("length", "none")]));
        assert_whole(&plain, kind);
        let source = directory.path().join("plain.mp4");
        std::fs::write(&source, &plain.body).unwrap();
        for stream in ["v", "a"] {
            assert_eq!(packets(&source, stream), packets(&file, stream), "{kind}: {stream}");
        }
        assert_eq!(frames(&source, "v"), frames(&file, "v"), "{kind}");
        let durations = [&file, &source].map(|file| media::streamed_duration(file));
        for duration in durations.into_iter().chain([media::file_duration(&file)]) {
            let duration = duration.expect("it has a duration");
            assert!((duration - 30.0).abs() < 0.25, "{kind}: {duration}");
        }
        let count = |kind: &[u8; 4], body: &[u8]| {
            boxes(body).iter().filter(|(other, _)| other == kind).count()
        };
        assert_eq!(count(b"sidx", &whole.body), 2, "{kind}: one for each track");
        assert_eq!(count(b"sidx", &plain.body), 0, "{kind}: it would lead elsewhere");
        assert!(is_same_media(&whole.body, &plain.body), "{kind}");
        assert_ranges(&Daemon::start(LOOPBACK), &path, &whole, 200);
    }
}

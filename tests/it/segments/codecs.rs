//! HEVC, and AC-3 and E-AC-3, in every kind of segments.

use std::path::PathBuf;

use super::*;
use crate::support::synchrony::{HEVC_SLICES, assert_same_packets};

const SECONDS: u32 = 6;

/// A film of these codecs, with a key frame every second.
fn film(name: &str, video: &str, audio: &str) -> PathBuf {
    let coded = format!("{video} -pix_fmt yuv420p -g 25 -bf 2 {audio} -movflags +faststart");
    let coded: Vec<String> = coded.split_whitespace().map(str::to_owned).collect();
    let (picture, sound) = (media::picture("320x180", 25, SECONDS), media::sound(48_000, SECONDS));
    media::generate(name, "mp4", &[&picture[..], &sound, &coded].concat())
}

#[test]
fn all_codecs_keep_their_packets() {
    let hevc = "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=25 -tag:v hvc1";
    let h264 = "-c:v libx264 -preset ultrafast";
    let films = [
        ("hevc-ac3", hevc, "-c:a ac3 -b:a 192k", &HEVC_SLICES),
        ("h264-eac3", h264, "-c:a eac3 -b:a 192k", &H264_SLICES),
        ("hevc-eac3", hevc, "-c:a eac3 -b:a 192k", &HEVC_SLICES),
    ];
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    thread::scope(|scope| {
        for (name, video, audio, slices) in films {
            let (origin, daemon) = (&origin, &daemon);
            scope.spawn(move || {
                let source = film(name, video, audio);
                let own = both_tracks(&source, slices);
                // Without the first frame of audio: what precedes the film in it is cut off by edit lists only.
                let decoded = |file: &Path| [frames(file, "v"), frames(file, "a").split_off(1)];
                let own_frames = decoded(&source);
                for kind in
                    ["fragments", "fragments, apart", "transport stream", "transport stream, apart"]
                {
                    let what = format!("{name}, {kind}");
                    let url = SegmentedFilm::of(named(kind), &source)
                        .put(origin, &what.replace([' ', ','], "-"));
                    for length in ["auto", "none"] {
                        let what = format!("{what}, length={length}");
                        let answer = daemon.get(&any_path(Some(&url), None, &[("length", length)]));
                        assert_whole(&answer, &what);
                        let is_exact = answer.head.header("Content-Length").is_some();
                        assert_eq!(is_exact, length == "auto", "{what}: {:?}", answer.head);
                        let directory = tempfile::tempdir().unwrap();
                        let file = written(directory.path(), &answer.body);
                        assert_same_packets(&own, &both_tracks(&file, slices), &what);
                        assert!(own_frames == decoded(&file), "{what}");
                        let duration = media::file_duration(&file).unwrap();
                        assert!((duration - f64::from(SECONDS)).abs() < 0.2, "{what}: {duration}");
                    }
                }
            });
        }
    });
}

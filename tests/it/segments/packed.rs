//! Packed audio (RFC 8216 §3.4): beside video in any kind of segments, and alone.

use super::*;
use crate::support::framemd5::packets;

/// When the first and the last frame of video are presented, in nanoseconds.
fn shown(file: &Path) -> (i64, i64) {
    let times: Vec<_> = packets(file, "v").iter().map(|packet| packet.pts).collect();
    (*times.iter().min().unwrap(), *times.iter().max().unwrap())
}

/// By how much audio begins later than video, in nanoseconds.
fn audio_later(file: &Path) -> i64 {
    packets(file, "a")[0].pts - shown(file).0
}

#[test]
fn packed_audio_is_in_sync() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let directory = tempfile::tempdir().unwrap();
    let kinds = [("transport stream, apart", true), ("fragments, apart", false)];
    for (number, (kind, is_exact)) in kinds.into_iter().enumerate() {
        let film = SegmentedFilm::new(named(kind));
        let url = film.put(&origin, &format!("plain-{number}"));
        let expected = daemon.get(&any_path(Some(&url), None, &[]));
        assert_whole(&expected, kind);
        let file = written(directory.path(), &expected.body);
        let (sound, later) = (packets(&file, "a"), audio_later(&file));
        let pictures = frames(&file, "v");

        let url = film.with_packed_audio().put(&origin, &format!("packed-{number}"));
        let answer = daemon.get(&any_path(Some(&url), None, &[]));
        assert_whole(&answer, kind);
        let timing = answer.head.header("Server-Timing");
        assert_eq!(answer.head.header("Content-Length").is_some(), is_exact, "{kind}: {timing:?}");
        let file = written(directory.path(), &answer.body);
        assert!(frames(&file, "v") == pictures, "{kind}");
        let own: Vec<_> = packets(&file, "a").into_iter().map(|packet| packet.md5).collect();
        assert!(own.iter().eq(sound.iter().map(|packet| &packet.md5)), "{kind}");
        let apart = audio_later(&file) - later;
        assert!(apart.abs() < 2_000_000, "{kind}: {apart} ns apart");
    }
}

/// Through ffmpeg, for another container.
#[test]
fn streams_with_aac_become_matroska() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let directory = tempfile::tempdir().unwrap();
    let of = |kind| SegmentedFilm::new(named(kind));
    for (name, film, start, first) in [
        ("one", of("transport stream"), "10.5", 250),
        ("packed", of("transport stream, apart").with_packed_audio(), "0", 0),
    ] {
        let url = film.put(&origin, name);
        let whole = daemon.get(&any_path(Some(&url), None, &[("container", "mp4")]));
        let file = written(directory.path(), &whole.body);
        let sounds = packets(&file, "a");
        let answer =
            daemon.get(&any_path(Some(&url), None, &[("container", "mkv"), ("start", start)]));
        assert_whole(&answer, name);
        let mkv = directory.path().join("film.mkv");
        std::fs::write(&mkv, &answer.body).unwrap();
        assert!(frames(&mkv, "v") == frames(&file, "v")[first..], "{name}");
        let own = packets(&mkv, "a");
        assert!(sounds.iter().rev().zip(own.iter().rev()).all(|(one, other)| one.md5 == other.md5));
        let begin = shown(&mkv).0;
        assert!(begin.abs() < 200_000_000, "{name} begins at {begin} ns");
        let seconds = media::file_duration(&mkv).unwrap() + first as f64 / 25.0;
        assert!((seconds - 30.0).abs() < 0.6, "{name}: {seconds}");
        let ends = |file: &Path| packets(file, "a").last().unwrap().pts - shown(file).1;
        let apart = ends(&mkv) - ends(&file);
        assert!(apart.abs() <= 2_000_000, "{name}: {apart} ns apart");
    }
}

#[test]
fn packed_audio_alone() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let directory = tempfile::tempdir().unwrap();
    let film = SegmentedFilm::new(named("transport stream, apart")).with_packed_audio();
    film.put(&origin, "x");
    let url = origin.url("x/stream_1.m3u8");
    for container in ["auto", "mp4"] {
        let path = any_path(None, Some(&url), &[("container", container)]);
        let answer = daemon.get(&path);
        assert_whole(&answer, container);
        assert!(answer.head.header("Content-Length").is_some(), "{container}");
        assert_eq!(answer.head.header("Content-Type"), Some("audio/mp4"), "{container}");
        let file = written(directory.path(), &answer.body);
        let duration = media::file_duration(&file).unwrap();
        assert!((duration - 30.0).abs() < 0.1, "{container}: {duration}");
        assert!(frames(&file, "a").len() > 1400, "{container}");
        assert_ranges(&Daemon::start(LOOPBACK), &path, &answer, 200);
    }
}

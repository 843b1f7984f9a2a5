//! MPEG transport streams as single files: joined to MP4, with their tracks in sync, whenever their clock
//! begins; and nothing cut looks whole.

use std::path::{Path, PathBuf};

use super::{Formats, film, read};
use crate::support::answer::Ending;
use crate::support::framemd5::{Packet, frames};
use crate::support::media;

const MILLISECOND: i64 = 1_000_000;

fn source() -> PathBuf {
    film("mp4", true, &["-bf", "2", "-c:a", "aac"])
}

/// These streams of a file as a transport stream whose clock begins at this second.
fn ts(file: &Path, maps: &[&str], begin: &str) -> PathBuf {
    let words = [&["-i", file.to_str().unwrap()][..], maps, &["-c", "copy"]].concat();
    let words = [&words[..], &["-output_ts_offset", begin, "-f", "mpegts"]].concat();
    let words: Vec<String> = words.into_iter().map(String::from).collect();
    media::generate("stream", "ts", &words)
}

/// Holds that both files have the same frames, equally long after the first one of their video.
fn assert_same_frames(source: &Path, joined: &Path, what: &str) {
    let [before, after] = [source, joined].map(|file| (frames(file, "v"), frames(file, "a")));
    let compare = |before: &(Vec<Packet>, Vec<Packet>), after: &(Vec<Packet>, Vec<Packet>)| {
        for (before, after) in [(&before.0, &after.0), (&before.1, &after.1)] {
            assert_eq!(before.len(), after.len(), "{what}: number of frames");
        }
        let zero = |of: &(Vec<Packet>, Vec<Packet>)| of.0[0].pts;
        let pairs = before.0.iter().zip(&after.0).chain(before.1.iter().zip(&after.1));
        for (own, other) in pairs {
            assert_eq!(own.md5, other.md5, "{what}");
            let moved = (own.pts - zero(before)) - (other.pts - zero(after));
            assert!(moved.abs() <= 2 * MILLISECOND, "{what}: {own:?} became {other:?}");
        }
    };
    compare(&before, &after);
    assert!(after.0[0].pts.abs() < 200 * MILLISECOND, "{what} begins at {}", after.0[0].pts);
}

#[test]
fn a_transport_stream_becomes_an_mp4_in_sync() {
    let (formats, source) = (Formats::new(), source());
    for begin in ["0", "36000"] {
        let source = ts(&source, &["-map", "0:v", "-map", "0:a"], begin);
        let both = read(&source);
        let (file, kind) = formats.file(Some(&both), None, &[], begin);
        assert_eq!(kind, "video/mp4");
        assert_same_frames(&source, &file, &format!("both in one, from {begin}"));
        let [video, audio] =
            ["0:v", "0:a"].map(|map| read(&ts(&source, &["-copyts", "-map", map], "0")));
        let (file, _) = formats.file(Some(&video), Some(&audio), &[], begin);
        assert_same_frames(&source, &file, &format!("apart, from {begin}"));
        let disguised = [&b"\x89PNG\r\n\x1a\n G G G"[..], &both].concat();
        let (file, _) = formats.file(Some(&disguised), None, &[], "behind an image");
        assert_same_frames(&source, &file, "behind an image");
        let (file, kind) = formats.file(None, Some(&audio), &[], "audio alone");
        assert_eq!(
            (kind.as_str(), frames(&file, "a").len()),
            ("audio/mp4", frames(&source, "a").len())
        );
        let part = [("start", "1"), ("end", "3")];
        let (file, _) = formats.file(Some(&both), None, &part, "trimmed");
        let duration = media::streamed_duration(&file).unwrap();
        assert!((duration - 2.0).abs() < 0.2, "from {begin}, a part lasts {duration} s");
    }
}

#[test]
fn a_cut_or_encrypted_transport_stream_is_refused() {
    let (formats, source) = (Formats::new(), source());
    let mut both = read(&ts(&source, &["-map", "0:v", "-map", "0:a"], "0"));
    let answer = formats.get(Some(&both[..both.len() - 100]), None, &[]);
    assert!((answer.head.status, answer.ending) != (200, Ending::Complete), "cut in a packet");
    assert_eq!(formats.refusal(Some(&both), None, &[("engine", "splice")]), "splice-refused");
    for packet in both.chunks_exact_mut(188).filter(|packet| packet[1] & 0x1f == 1) {
        packet[3] |= 0x80;
    }
    assert_eq!(formats.refusal(Some(&both), None, &[]), "drm");
    assert_eq!(formats.refusal(Some(&b"G".repeat(9000)), None, &[]), "not-media");
}

//! Packed audio (RFC 8216 §3.4): frames in segments, each with the timestamp of its first frame in a tag.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::run;

/// A segment, and its duration.
pub(crate) type Segment = (Vec<u8>, Duration);

/// How frames become segments.
#[derive(Clone, Copy)]
pub(crate) struct Packing {
    /// Frames a segment.
    pub(crate) frames: usize,
    /// Samples a frame, and a second.
    pub(crate) samples: u64,
    pub(crate) rate: u64,
    /// The timestamp of the first frame, in ticks of 1/90000 s, if there are timestamps.
    pub(crate) begin: Option<u64>,
}

/// The segments of a file that consists of frames.
pub(crate) fn pack(file: &Path, packing: Packing) -> Vec<Segment> {
    let Packing { frames, samples, rate, begin } = packing;
    let output = run(Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "packet=size", "-of", "csv=p=0"])
        .arg(file));
    let text = String::from_utf8(output.stdout).unwrap();
    let sizes = text.lines().map(|line| line.trim_end_matches(',').parse().unwrap());
    let sizes: Vec<usize> = sizes.collect();
    let bytes = std::fs::read(file).unwrap();
    assert_eq!(sizes.iter().sum::<usize>(), bytes.len(), "{file:?} has more than frames");
    let (mut at, mut index) = (0, 0);
    let segments = sizes.chunks(frames).map(|sizes| {
        let len: usize = sizes.iter().sum();
        let time = begin.map(|begin| begin + (index * samples * 90_000 + rate / 2) / rate);
        let segment = [&time.map(tag).unwrap_or_default()[..], &bytes[at..at + len]].concat();
        at += len;
        index += sizes.len() as u64;
        (segment, Duration::from_micros(sizes.len() as u64 * samples * 1_000_000 / rate))
    });
    segments.collect()
}

/// An ID3 tag with this timestamp, behind a comment.
pub(crate) fn tag(time: u64) -> Vec<u8> {
    let frame = |kind: &[u8; 4], content: &[u8]| {
        [kind, &[0, 0, 0, content.len() as u8], &[0, 0][..], content].concat()
    };
    let comment = frame(b"COMM", b"\x03eng\0a comment");
    let owner = &b"com.apple.streaming.transportStreamTimestamp\0"[..];
    let stamp = frame(b"PRIV", &[owner, &(time % (1 << 33)).to_be_bytes()].concat());
    let len = (comment.len() + stamp.len()) as u8;
    [&b"ID3\x04\0\0\0\0\0"[..], &[len], &comment, &stamp].concat()
}

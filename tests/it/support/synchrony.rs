//! Films compared with what was made of them: the same packets, on the same clock but for one shift.

use std::path::Path;

use super::framemd5::{Packet, framemd5, packets};

/// How far apart times may be, in nanoseconds.
const APART: i64 = 2_000_000;
/// How many frames of audio may be there or not: coders begin with one, and frames do not end with the film.
const ODD_FRAMES: usize = 3;

/// What is compared of H.264: every container gets parameter sets of its own, and nothing else is another.
pub(crate) const H264_SLICES: [&str; 4] =
    ["-c", "copy", "-bsf:v", "h264_mp4toannexb,filter_units=remove_types=7-9"];
/// Likewise of HEVC.
pub(crate) const HEVC_SLICES: [&str; 4] =
    ["-c", "copy", "-bsf:v", "hevc_mp4toannexb,filter_units=remove_types=32-35"];

/// The packets of video, so far as they are compared, and of audio.
pub(crate) fn both_tracks(file: &Path, slices: &[&str]) -> [Vec<Packet>; 2] {
    [framemd5(file, "v", slices), packets(file, "a")]
}

/// Panics unless the packets are those of the source, at the same times but for one shift of both tracks.
pub(crate) fn assert_same_packets(source: &[Vec<Packet>; 2], made: &[Vec<Packet>; 2], what: &str) {
    for (name, (own, other)) in ["video", "audio"].into_iter().zip(source.iter().zip(made)) {
        assert!(md5s(own) == md5s(other), "{what}: other packets of {name}");
    }
    assert_synchronous(source, made, what);
}

/// Likewise, but for frames of audio at both ends.
pub(crate) fn assert_most_packets(source: &[Vec<Packet>; 2], made: &[Vec<Packet>; 2], what: &str) {
    assert!(md5s(&source[0]) == md5s(&made[0]), "{what}: other packets of video");
    let (own, other) = (&source[1], &made[1]);
    assert!(own.len().abs_diff(other.len()) <= ODD_FRAMES, "{what}: {} of audio", other.len());
    let count = own.len() - 2 * ODD_FRAMES;
    let common = &own[ODD_FRAMES..][..count];
    let found = (0..=2 * ODD_FRAMES).find_map(|skip| {
        let part = other.get(skip..skip + count)?;
        (md5s(part) == md5s(common)).then(|| part.to_vec())
    });
    let found = found.unwrap_or_else(|| panic!("{what}: other packets of audio"));
    let source = [source[0].clone(), common.to_vec()];
    assert_synchronous(&source, &[made[0].clone(), found], what);
}

fn md5s(packets: &[Packet]) -> Vec<&str> {
    packets.iter().map(|packet| &*packet.md5).collect()
}

fn assert_synchronous(source: &[Vec<Packet>; 2], made: &[Vec<Packet>; 2], what: &str) {
    let mut shift = None;
    for (own, other) in source.iter().flatten().zip(made.iter().flatten()) {
        let by = *shift.get_or_insert(other.pts - own.pts);
        let apart = other.pts - own.pts - by;
        assert!(apart.abs() <= APART, "{what}: {own:?} became {other:?}");
    }
}

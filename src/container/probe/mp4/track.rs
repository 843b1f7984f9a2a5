//! Reads a track of an MP4 (ISO/IEC 14496-12 §8.3 to §8.7): its kind, codec and encryption.

use std::num::NonZeroU16;

use super::{Codec, ProbeInfo};
use crate::container::isobmff::edit_list::EditList;
use crate::container::isobmff::fields::{handler_type, sample_count};
use crate::container::isobmff::partial::{PartialBox, boxes, find};
use crate::container::parameter_sets::{self, SampleEntry};
use crate::media::TrackKind;

/// Returns the handler type of a track (§8.4.3).
pub(super) fn handler(trak: &[u8]) -> Option<&[u8; 4]> {
    find(trak, &[b"mdia", b"hdlr"]).and_then(handler_type)
}

/// The kind of a track, and the number of its samples.
pub(super) struct Track {
    pub(super) kind: Option<TrackKind>,
    pub(super) samples: Option<u32>,
}

/// Reads a trak, or its available beginning, and records its facts in `info`.
pub(super) fn track(trak: &[u8], info: &mut ProbeInfo) -> Track {
    let elst = find(trak, &[b"edts", b"elst"]);
    info.needs_edit_list |= elst.is_some_and(|elst| !is_identity_edit(elst));
    info.needs_edit_list |= has_negative_composition_offsets(trak);
    let kind = match handler(trak) {
        Some(b"vide") => Some(TrackKind::Video),
        Some(b"soun") => Some(TrackKind::Audio),
        _ => None,
    };
    let stsd = find(trak, &[b"mdia", b"minf", b"stbl", b"stsd"]).and_then(|stsd| stsd.get(8..));
    let entry = stsd.and_then(|stsd| boxes(stsd).next());
    let codec = entry.as_ref().map(|entry| Codec::of_sample_entry(entry.kind, entry.payload));
    match kind {
        Some(TrackKind::Video) if info.video.is_none() => {
            info.video = codec;
            info.sample_entry = entry.as_ref().and_then(complete_sample_entry);
        }
        Some(TrackKind::Video) => {}
        Some(TrackKind::Audio) => info.audio = info.audio.or(codec),
        None => return Track { kind, samples: samples_of(trak) },
    }
    let mut entries = stsd.into_iter().flat_map(boxes);
    if entries.any(|entry| is_encrypted(&entry)) {
        info.is_encrypted = Some(true);
    }
    Track { kind, samples: samples_of(trak) }
}

/// Returns the sample entry type for a video description with complete parameter sets.
fn complete_sample_entry(entry: &PartialBox<'_>) -> Option<SampleEntry> {
    /// The length of the fields before its boxes (§12.1.3).
    const VISUAL: usize = 78;
    let bytes = entry.payload.get(VISUAL..)?;
    parameter_sets::sample_entry(&entry.kind, |kind| find(bytes, &[kind]))
}

/// Returns whether samples of this description are encrypted: its type says so (common encryption,
/// ISO/IEC 23001-7 §4.2, PIFF likewise, FairPlay), or its scheme.
fn is_encrypted(entry: &PartialBox<'_>) -> bool {
    const SCHEMES: [&[u8; 4]; 7] = [b"cenc", b"cbc1", b"cens", b"cbcs", b"piff", b"itun", b"adkm"];
    let scheme = entry.payload.windows(12).find(|window| window.starts_with(b"schm"));
    entry.kind.starts_with(b"enc")
        || entry.kind.starts_with(b"drm")
        || scheme.is_some_and(|scheme| SCHEMES.iter().any(|known| scheme[8..] == known[..]))
}

/// Returns whether some samples are presented before they are decoded (§8.6.1.3, and QuickTime in its
/// version 0): ffmpeg then counts from the first decode time, which is before 0.
fn has_negative_composition_offsets(trak: &[u8]) -> bool {
    let ctts = find(trak, &[b"mdia", b"minf", b"stbl", b"ctts"]);
    let entries = ctts.and_then(|ctts| ctts.get(8..));
    entries.is_some_and(|entries| entries.chunks_exact(8).any(|entry| entry[4] & 0x80 != 0))
}

/// Returns the number of samples of a track in the moov itself (§8.7.3).
fn samples_of(trak: &[u8]) -> Option<u32> {
    find(trak, &[b"mdia", b"minf", b"stbl", b"stsz"]).and_then(sample_count)
}

/// Returns the pre-skip of an Opus track, from the box dOps ("Encapsulation of Opus in ISO Base Media File
/// Format" §4.3.2). The box is deeply nested (trak, mdia, minf, stbl, stsd, Opus) and its type unusual, so it
/// is searched.
pub(super) fn opus_pre_skip(moov: &[u8]) -> Option<NonZeroU16> {
    let at = moov.windows(4).position(|window| window == b"dOps")?;
    NonZeroU16::new(u16::from_be_bytes(*moov.get(at + 6..)?.first_chunk()?))
}

/// Returns whether an edit list (§8.6.6) has one edit at media time 0.
fn is_identity_edit(elst: &[u8]) -> bool {
    let list = EditList::read(elst).filter(|list| list.count == 1);
    list.and_then(|list| list.edits().next()).is_some_and(|edit| edit.media_time == 0)
}

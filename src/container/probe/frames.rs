//! Probes raw audio, frames without a container: MPEG audio (ISO/IEC 11172-3 and 13818-3), ADTS (ISO/IEC
//! 13818-7 §6.2), AC-3 and Enhanced AC-3 (ETSI TS 102 366).
//!
//! The sync word of a frame is short, and occurs by chance. So several frames must follow one another,
//! each where the one before it ends, and agree.

use std::time::Duration;

use super::{Codec, Format, Probe, ProbeInfo, View, ac3, from_ticks, mpeg_audio, tags};

/// The number of consecutive frames that are no coincidence, if the first is where it should be.
const MIN_FRAMES: usize = 3;
/// The number of consecutive frames if the first was searched among unknown bytes.
const MIN_FRAMES_SEARCHED: usize = 6;
/// How far the first frame is searched: cut files begin within a frame.
const MAX_JUNK: usize = 4 << 10;
/// How many bytes are read to see whether all frames have the same length.
const WINDOW: usize = 16 << 10;
/// The number of bytes of a frame that are parsed.
const HEADER: usize = 8;

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::container) struct Frame {
    pub(in crate::container) codec: Codec,
    pub(in crate::container) len: usize,
    /// Samples per channel; 0 for a frame that only adds to the one before.
    pub(in crate::container) samples: u32,
    /// Samples per second.
    pub(in crate::container) rate: u32,
    /// The fields that must be equal in all frames of a file.
    pub(in crate::container) same: u32,
    /// Bits per second, if that is more exact than the length: padding makes some frames longer.
    pub(in crate::container) bits: u32,
}

/// Consecutive frames.
struct Run {
    first: Frame,
    count: usize,
    bytes: usize,
    samples: u64,
    /// Whether all frames have the rate of the first.
    is_constant: bool,
    /// Whether some AC-3 frames are Enhanced AC-3.
    is_enhanced: bool,
}

/// Probes a file that may consist of frames; `None` if it does not.
pub(super) fn sniff(view: &View<'_>) -> Result<Option<ProbeInfo>, Probe> {
    let front = tags::skip(view)?;
    let Some((at, run)) = find(view, &front)? else { return Ok(None) };
    let first = run.first;
    let format = match first.codec {
        Codec::Aac => Format::Adts,
        _ if run.is_enhanced => Format::Eac3,
        Codec::Ac3 | Codec::Eac3 => Format::Ac3,
        _ => Format::Mp3,
    };
    let codec = if run.is_enhanced { Codec::Eac3 } else { first.codec };
    let duration = duration(view, at, &run)?;
    // ffmpeg takes any bytes before the first AC-3 frame for a frame; in the other formats it searches
    // the first frame, and reads the tags.
    let skip = if matches!(format, Format::Ac3 | Format::Eac3) { at } else { front.foreign };
    let info = ProbeInfo { end: duration, audio: Some(codec), skip, ..ProbeInfo::of(format) };
    Ok(Some(info))
}

/// Finds the first frame, and those after it.
fn find(view: &View<'_>, front: &tags::Front) -> Result<Option<(u64, Run)>, Probe> {
    if let Some(run) = run(view, front.end, MIN_FRAMES)? {
        return Ok(Some((front.end, run)));
    }
    // Unknown bytes without a tag are mostly another format.
    let max_junk = if front.is_tagged { MAX_JUNK } else { MAX_JUNK / 2 };
    let bytes = view.need(front.end, max_junk + WINDOW)?;
    for at in 1..max_junk.min(bytes.len()) {
        if frame(&bytes[at..]).is_none() {
            continue;
        }
        let at = front.end + at as u64;
        if let Some(run) = run(view, at, MIN_FRAMES_SEARCHED)? {
            return Ok(Some((at, run)));
        }
    }
    Ok(None)
}

/// Returns the frames from `at` on, if there are at least `min_frames`, or all that the file has.
fn run(view: &View<'_>, at: u64, min_frames: usize) -> Result<Option<Run>, Probe> {
    let bytes = view.need(at, HEADER)?;
    let Some(first) = frame(bytes) else { return Ok(None) };
    let mut run =
        Run { first, count: 0, bytes: 0, samples: 0, is_constant: true, is_enhanced: false };
    loop {
        // A full window, if it is available; no more is awaited than necessary.
        let needed = run.bytes + HEADER;
        let bytes = if run.count < min_frames { view.need(at, needed)? } else { view.need(at, 0)? };
        let Some(rest) = bytes.get(run.bytes..).filter(|rest| rest.len() >= HEADER) else {
            // The file ends, or the available bytes do.
            let is_complete = run.count > 0 && run.bytes <= bytes.len();
            return Ok(
                (run.count >= min_frames || is_complete && min_frames == MIN_FRAMES).then_some(run)
            );
        };
        match frame(rest).filter(|frame| frame.same == first.same) {
            Some(next) => {
                run.is_constant &= (next.bits, next.rate) == (first.bits, first.rate);
                run.is_enhanced |= next.codec == Codec::Eac3;
                run.count += 1;
                run.bytes += next.len;
                run.samples += u64::from(next.samples);
            }
            // A tag may follow the last frame.
            None if run.count >= min_frames => return Ok(Some(run)),
            None => {
                let ends = [&b"TAG"[..], b"APETAGEX", b"3DI", b"LYRICSBEGIN"];
                let is_tag = ends.iter().any(|mark| rest.starts_with(mark));
                return Ok((run.count > 0 && is_tag && min_frames == MIN_FRAMES).then_some(run));
            }
        }
        if run.bytes >= WINDOW && run.count >= min_frames {
            return Ok(Some(run));
        }
    }
}

/// Parses the frame header at the start of `bytes`.
pub(in crate::container) fn frame(bytes: &[u8]) -> Option<Frame> {
    match bytes {
        [0x0b, 0x77, ..] => ac3::frame(bytes),
        [0xff, second, ..] if second & 0xf6 == 0xf0 => mpeg_audio::adts(bytes),
        [0xff, second, ..] if second & 0xe0 == 0xe0 => mpeg_audio::frame(bytes),
        _ => None,
    }
}

/// Returns the duration of the file: by a summary in the first frame, or by the constant bit rate.
fn duration(view: &View<'_>, at: u64, run: &Run) -> Result<Option<Duration>, Probe> {
    let first = run.first;
    if let Some(frames) = mpeg_audio::declared_frames(view.need(at, 0)?, first.codec) {
        let samples = u64::from(frames) * u64::from(first.samples);
        return Ok(from_ticks(samples, u64::from(first.rate)));
    }
    let Some(len) = view.len.filter(|_| run.is_constant && first.codec != Codec::Aac) else {
        return Ok(None);
    };
    let bytes = u128::from(len.saturating_sub(at));
    let samples = bytes * u128::from(run.samples) / run.bytes as u128;
    Ok(u64::try_from(samples).ok().and_then(|samples| from_ticks(samples, first.rate.into())))
}

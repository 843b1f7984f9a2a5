//! Raw audio: frames, one behind the other, without a container. MPEG audio (ISO/IEC 11172-3 and
//! 13818-3), ADTS (ISO/IEC 13818-7 §6.2), AC-3 and Enhanced AC-3 (ETSI TS 102 366).
//!
//! A frame has only a weak mark, which any bytes may have by chance. So several must follow one
//! another, each where the one before it says, and agree.

use std::time::Duration;

use super::{Codec, Format, Probe, ProbeInfo, View, ac3, from_ticks, mpeg_audio, tags};

/// So many frames in a row are no chance, if the first is where it should be.
const ENOUGH: usize = 3;
/// And so many if the first was looked for, among bytes that mean nothing.
const ENOUGH_FOUND: usize = 6;
/// How far the first frame is looked for: those who cut files do not look for one.
const LONGEST_JUNK: usize = 4 << 10;
/// How much is looked at to see whether all frames are of one length.
const WINDOW: usize = 16 << 10;
/// All that is read of a frame's beginning.
const HEADER: usize = 8;

/// A frame, by its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) codec: Codec,
    pub(super) len: usize,
    /// How many samples of each channel; 0 for a frame that only adds to the one before.
    pub(super) samples: u32,
    /// Samples a second.
    pub(super) rate: u32,
    /// What must be the same in all frames of a file.
    pub(super) same: u32,
    /// Bits a second, if that says more than the length: padding makes some frames longer.
    pub(super) bits: u32,
}

/// Frames in a row.
struct Run {
    first: Frame,
    count: usize,
    bytes: usize,
    samples: u64,
    /// Whether each takes as much as the first.
    is_constant: bool,
    /// Of AC-3 whether some frames are of the enhanced kind.
    is_enhanced: bool,
}

/// Looks at a file that may consist of frames; `None` if it does not.
pub(super) fn sniff(view: &View<'_>) -> Result<Option<ProbeInfo>, Probe> {
    let front = tags::pass(view)?;
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
    // ffmpeg takes whatever is in front of the first frame of AC-3 for one; of the others it looks
    // for the first, and reads the tags.
    let skip = if matches!(format, Format::Ac3 | Format::Eac3) { at } else { front.foreign };
    let head = ProbeInfo { end: duration, audio: Some(codec), skip, ..ProbeInfo::of(format) };
    Ok(Some(head))
}

/// The first frame, and those behind it.
fn find(view: &View<'_>, front: &tags::Front) -> Result<Option<(u64, Run)>, Probe> {
    if let Some(run) = run(view, front.end, ENOUGH)? {
        return Ok(Some((front.end, run)));
    }
    // Something that is not silence, nor marked in any way, is mostly something else.
    let longest = if front.is_tagged { LONGEST_JUNK } else { LONGEST_JUNK / 2 };
    let bytes = view.need(front.end, longest + WINDOW)?;
    for at in 1..longest.min(bytes.len()) {
        if frame(&bytes[at..]).is_none() {
            continue;
        }
        let at = front.end + at as u64;
        if let Some(run) = run(view, at, ENOUGH_FOUND)? {
            return Ok(Some((at, run)));
        }
    }
    Ok(None)
}

/// The frames from `at` on, if there are at least `enough`, or all that there are.
fn run(view: &View<'_>, at: u64, enough: usize) -> Result<Option<Run>, Probe> {
    let bytes = view.need(at, HEADER)?;
    let Some(first) = frame(bytes) else { return Ok(None) };
    let mut run =
        Run { first, count: 0, bytes: 0, samples: 0, is_constant: true, is_enhanced: false };
    loop {
        // All of a window, if it is here; no more is waited for than is needed.
        let least = run.bytes + HEADER;
        let bytes = if run.count < enough { view.need(at, least)? } else { view.need(at, 0)? };
        let Some(rest) = bytes.get(run.bytes..).filter(|rest| rest.len() >= HEADER) else {
            // The file ends, or what can be seen of it.
            let is_whole = run.count > 0 && run.bytes <= bytes.len();
            return Ok((run.count >= enough || is_whole && enough == ENOUGH).then_some(run));
        };
        match frame(rest).filter(|frame| frame.same == first.same) {
            Some(next) => {
                run.is_constant &= (next.bits, next.rate) == (first.bits, first.rate);
                run.is_enhanced |= next.codec == Codec::Eac3;
                run.count += 1;
                run.bytes += next.len;
                run.samples += u64::from(next.samples);
            }
            // Behind the last frame there may be a tag.
            None if run.count >= enough => return Ok(Some(run)),
            None => {
                let ends = [&b"TAG"[..], b"APETAGEX", b"3DI", b"LYRICSBEGIN"];
                let is_tag = ends.iter().any(|mark| rest.starts_with(mark));
                return Ok((run.count > 0 && is_tag && enough == ENOUGH).then_some(run));
            }
        }
        if run.bytes >= WINDOW && run.count >= enough {
            return Ok(Some(run));
        }
    }
}

/// The frame that these bytes begin with.
fn frame(bytes: &[u8]) -> Option<Frame> {
    match bytes {
        [0x0b, 0x77, ..] => ac3::frame(bytes),
        [0xff, second, ..] if second & 0xf6 == 0xf0 => mpeg_audio::adts(bytes),
        [0xff, second, ..] if second & 0xe0 == 0xe0 => mpeg_audio::frame(bytes),
        _ => None,
    }
}

/// How long the frames play: a summary in the first tells it, or their being all alike.
fn duration(view: &View<'_>, at: u64, run: &Run) -> Result<Option<Duration>, Probe> {
    let first = run.first;
    if let Some(frames) = mpeg_audio::frames_told(view.need(at, 0)?, first.codec) {
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

//! Probes Wave64 (Sony, "64-bit WAVE"): like WAVE, but with names of 16 bytes and sizes of 8, which include
//! the header, and chunks that begin at multiples of 8.

use super::riff::{Fmt, is_placeholder};
use super::{Format, HeaderPatch, Probe, ProbeInfo, View};

/// The length of what precedes the chunks: two names, and the size of the file between them.
pub(in crate::container) const OPENING: u64 = 40;
/// The length of a chunk header: a name and a size.
pub(in crate::container) const HEADER: u64 = 24;
/// The rest of a name after its four letters, except for that of the file.
const REST: [u8; 12] = *b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a";
const RIFF: &[u8; 16] = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00";
const WAVE: [u8; 16] = named(b"wave");
const FMT: [u8; 16] = named(b"fmt ");
/// The name of the chunk with the audio.
pub(in crate::container) const DATA: [u8; 16] = named(b"data");
/// The maximum number of chunks before the samples.
const MAX_CHUNKS: usize = 64;

const fn named(letters: &[u8; 4]) -> [u8; 16] {
    let mut name = [0; 16];
    let mut at = 0;
    while at < 16 {
        name[at] = if at < 4 { letters[at] } else { REST[at - 4] };
        at += 1;
    }
    name
}

/// Returns whether the bytes begin a Wave64 file.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(RIFF)
}

pub(super) fn sniff(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    let info = ProbeInfo::of(Format::Wave64);
    if !view.need(HEADER, 16)?.starts_with(&WAVE) {
        return Err(super::not_media("it is RIFF with 64-bit sizes, but not WAVE"));
    }
    let (mut at, mut format) = (OPENING, None);
    for _ in 0..MAX_CHUNKS {
        let bytes = view.need(at, HEADER as usize)?;
        let Some(len) = bytes.get(16..24).and_then(|len| len.first_chunk()) else { break };
        let (len, payload) = (u64::from_le_bytes(*len), at + HEADER);
        if bytes.starts_with(&FMT) {
            format = Fmt::read(view.need(payload, 26)?);
        }
        if bytes.starts_with(&DATA) {
            let left = view.len.map(|len| len.saturating_sub(at));
            // A writer that cannot seek back leaves the largest signed number.
            let is_unknown = is_placeholder(len) && left.is_some_and(|left| left != len);
            let len = left.filter(|_| is_unknown).unwrap_or(len);
            let size_at = u32::try_from(at + 16).ok().filter(|_| is_unknown);
            let patch = size_at.map(|at| HeaderPatch { at, value: len, is_wide: true });
            let audio_len = Some(len).filter(|len| !is_placeholder(*len));
            let audio_len = audio_len.and_then(|len| len.checked_sub(HEADER));
            let end = format.and_then(|format| format.duration(audio_len?, None));
            // Tags follow the samples, where no demuxer reads them.
            let until = audio_len.map_or(u64::MAX, |_| at.saturating_add(len));
            let audio = format.map(|format| format.codec);
            return Ok(ProbeInfo { end, audio, header_patch: patch, until, ..info });
        }
        let Some(next) = at.checked_add(len).and_then(|end| end.checked_next_multiple_of(8)) else {
            break;
        };
        if len < HEADER {
            break;
        }
        at = next;
    }
    Ok(info)
}

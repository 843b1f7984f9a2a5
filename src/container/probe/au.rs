//! Probes AU (Sun, NeXT; `.snd` in "/etc/magic"): a header, and then only audio.

use super::{Codec, Format, Probe, ProbeInfo, View, from_ticks};

/// The length of the required fields: offset of the audio, size, encoding, rate and channels.
const HEADER: usize = 24;
/// The placeholder for an unknown size.
const UNKNOWN: u32 = u32::MAX;

pub(super) fn sniff(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    let bytes = view.need(0, HEADER)?;
    let field = |number: usize| Some(u32::from_be_bytes(*bytes.get(number * 4..)?.first_chunk()?));
    let fields = [1, 2, 3, 4, 5].map(field);
    let [Some(offset), Some(size), Some(encoding), Some(rate), Some(channels)] = fields else {
        return Err(super::not_media("it is an AU file with an incomplete header"));
    };
    let info = ProbeInfo::of(Format::Au);
    let width = match encoding {
        1 | 2 | 27 => 1u64,
        3 => 2,
        4 => 3,
        5 | 6 => 4,
        7 => 8,
        _ => return Ok(ProbeInfo { audio: Some(Codec::Other), ..info }),
    };
    let left = view.len.map(|len| len.saturating_sub(offset.into()));
    let size = if size == UNKNOWN { left } else { Some(size.into()) };
    let each_second = u64::from(rate) * u64::from(channels).saturating_mul(width).min(1 << 31);
    let end = size.and_then(|size| from_ticks(size, each_second));
    Ok(ProbeInfo { end, audio: Some(Codec::Pcm), ..info })
}

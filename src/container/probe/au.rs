//! AU (Sun, NeXT; "/etc/magic" knows it as `.snd`): a header, and behind it nothing but sound.

use super::{Codec, Format, Probe, ProbeInfo, View, from_ticks};

/// The fields that each has: where the sound begins, its size, encoding, rate, and channels.
const HEADER: usize = 24;
/// The size that a writer tells that does not know it.
const UNKNOWN: u32 = u32::MAX;

pub(super) fn sniff(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    let bytes = view.need(0, HEADER)?;
    let field = |place: usize| Some(u32::from_be_bytes(*bytes.get(place * 4..)?.first_chunk()?));
    let fields = [1, 2, 3, 4, 5].map(field);
    let [Some(offset), Some(size), Some(encoding), Some(rate), Some(channels)] = fields else {
        return Err(super::not_media("it is an au file without all of its header"));
    };
    let head = ProbeInfo::of(Format::Au);
    let width = match encoding {
        1 | 2 | 27 => 1u64,
        3 => 2,
        4 => 3,
        5 | 6 => 4,
        7 => 8,
        _ => return Ok(ProbeInfo { audio: Some(Codec::Other), ..head }),
    };
    let left = view.len.map(|len| len.saturating_sub(offset.into()));
    let size = if size == UNKNOWN { left } else { Some(size.into()) };
    let each_second = u64::from(rate) * u64::from(channels).saturating_mul(width).min(1 << 31);
    let end = size.and_then(|size| from_ticks(size, each_second));
    Ok(ProbeInfo { end, audio: Some(Codec::Pcm), ..head })
}

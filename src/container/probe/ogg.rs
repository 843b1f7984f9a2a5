//! Ogg (RFC 3533): what its streams are stands in their first pages, which all come first, and when
//! it ends in its last.

use std::num::NonZeroU16;
use std::time::Duration;

use super::{Codec, Format, Probe, ProbeInfo, View, from_ticks};

/// The header of a page, without its table of segments.
const PAGE: usize = 27;
/// No more streams are in a file.
const MOST_STREAMS: usize = 16;
/// Where the last page is looked for: none is longer.
const TAIL: u64 = 64 << 10;

/// What the first page of a stream says of it.
#[derive(Clone, Copy)]
struct Stream {
    serial: u32,
    codec: Codec,
    /// Whether it is one of pictures; `None` if it is neither that nor sound.
    is_picture: Option<bool>,
    /// Samples a second, of sound.
    rate: u64,
    skip: u16,
}

pub(super) fn sniff(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    let (mut at, mut streams) = (0, Vec::new());
    for _ in 0..MOST_STREAMS {
        let page = view.need(at, PAGE)?;
        let is_first = page.starts_with(b"OggS") && page.get(5).is_some_and(|flags| flags & 2 != 0);
        let Some(segments) = page.get(26).filter(|_| is_first).copied() else { break };
        let head = PAGE + usize::from(segments);
        let page = view.need(at, head)?;
        let Some(table) = page.get(PAGE..head) else { break };
        let len: usize = table.iter().map(|len| usize::from(*len)).sum();
        let page = view.need(at, head + len)?;
        let serial = page.get(14..).and_then(|rest| rest.first_chunk()).copied();
        let Some(packet) = page.get(head..) else { break };
        streams.extend(stream(packet, u32::from_le_bytes(serial.unwrap_or_default())));
        at += (head + len) as u64;
    }
    let of = |wanted| streams.iter().find(|stream| stream.is_picture == Some(wanted)).copied();
    let (picture, sound) = (of(true), of(false));
    let opus = sound.filter(|sound| sound.codec == Codec::Opus);
    let duration = match sound.filter(|_| picture.is_none()) {
        Some(sound) => last(view, sound)?,
        None => None,
    };
    Ok(ProbeInfo {
        end: duration,
        video: picture.map(|stream| stream.codec),
        audio: sound.map(|stream| stream.codec),
        has_picture: Some(picture.is_some()),
        pre_skip: opus.and_then(|opus| NonZeroU16::new(opus.skip)),
        ..ProbeInfo::of(Format::Ogg)
    })
}

/// By its first packet, as the mappings of the codecs have it (RFC 7845 §5.1 for Opus).
fn stream(packet: &[u8], serial: u32) -> Option<Stream> {
    let sound = |codec, rate| Stream { serial, codec, is_picture: Some(false), rate, skip: 0 };
    let picture = |codec| Stream { serial, codec, is_picture: Some(true), rate: 0, skip: 0 };
    let rate = |at: usize| {
        let rate = packet.get(at..).and_then(|rest| rest.first_chunk()).copied();
        u64::from(u32::from_le_bytes(rate.unwrap_or_default()))
    };
    Some(match packet {
        [b'O', b'p', b'u', b's', b'H', b'e', b'a', b'd', ..] => {
            let skip = packet.get(10..).and_then(|rest| rest.first_chunk()).copied();
            let skip = u16::from_le_bytes(skip.unwrap_or_default());
            Stream { skip, ..sound(Codec::Opus, 48_000) }
        }
        [1, b'v', b'o', b'r', b'b', b'i', b's', ..] => sound(Codec::Vorbis, rate(12)),
        [0x7f, b'F', b'L', b'A', b'C', ..] => {
            // The native head stands behind nine bytes, STREAMINFO's rate in its 20 bits there.
            let bits = packet.get(9 + 18..).and_then(|rest| rest.first_chunk::<4>());
            let rate = u64::from(u32::from_be_bytes(bits.copied().unwrap_or_default()) >> 12);
            sound(Codec::Flac, rate)
        }
        [b'S', b'p', b'e', b'e', b'x', b' ', ..] => sound(Codec::Speex, rate(36)),
        [0x80, b't', b'h', b'e', b'o', b'r', b'a', ..] => picture(Codec::Theora),
        [b'O', b'V', b'P', b'8', b'0', ..] => picture(Codec::Vp8),
        [b'B', b'B', b'C', b'D', ..] | [1, b'v', b'i', b'd', b'e', b'o', ..] => {
            picture(Codec::Other)
        }
        _ => return None,
    })
}

/// When a stream of sound ends: the position that its last page tells, in samples.
fn last(view: &View<'_>, of: Stream) -> Result<Option<Duration>, Probe> {
    let Some(len) = view.len else { return Ok(None) };
    let from = len.saturating_sub(TAIL);
    let bytes = view.want(from, (len - from) as usize)?;
    if from + bytes.len() as u64 != len {
        return Ok(None);
    }
    let mut pages = bytes.windows(PAGE).rev().filter(|page| page.starts_with(b"OggS\0"));
    let page =
        pages.find(|page| page[14..18] == of.serial.to_le_bytes() && page[6..14] != [0xff; 8]);
    let position = page.and_then(|page| page[6..14].first_chunk().copied());
    let samples = position.map(u64::from_le_bytes).map(|at| at.saturating_sub(of.skip.into()));
    Ok(samples.and_then(|samples| from_ticks(samples, of.rate)))
}

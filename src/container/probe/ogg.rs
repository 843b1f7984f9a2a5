//! Probes Ogg (RFC 3533): the first pages, which come before all others, describe the streams, and the
//! last page has the duration.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use super::{Codec, Format, Probe, ProbeInfo, View, from_ticks};

/// The length of a page header without its segment table.
const PAGE: usize = 27;
/// The maximum number of streams.
const MAX_STREAMS: usize = 16;
/// How much of the end is searched for the last page: no page is longer.
const TAIL: u64 = 64 << 10;

/// The facts in the first page of a stream.
#[derive(Clone, Copy)]
struct Stream {
    serial: u32,
    codec: Codec,
    /// Whether the stream is video; `None` if it is neither video nor audio.
    is_video: Option<bool>,
    /// Samples per second of audio.
    rate: u64,
    channels: u8,
    skip: u16,
}

pub(super) fn sniff(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    let (mut at, mut streams) = (0, Vec::new());
    for _ in 0..MAX_STREAMS {
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
    let of = |wanted| streams.iter().find(|stream| stream.is_video == Some(wanted)).copied();
    let (video, audio) = (of(true), of(false));
    let opus = audio.filter(|audio| audio.codec == Codec::Opus);
    let duration = match audio.filter(|_| video.is_none()) {
        Some(audio) => stream_end(view, audio)?,
        None => None,
    };
    Ok(ProbeInfo {
        end: duration,
        video: video.map(|stream| stream.codec),
        audio: audio.map(|stream| stream.codec),
        has_video: Some(video.is_some()),
        sampling: audio.filter(|_| streams.len() == 1).and_then(sampling),
        pre_skip: opus.and_then(|opus| NonZeroU16::new(opus.skip)),
        ..ProbeInfo::of(Format::Ogg)
    })
}

/// Returns sampling rate and number of channels of a stream, if both are known.
fn sampling(stream: Stream) -> Option<(NonZeroU32, u8)> {
    let rate = NonZeroU32::new(u32::try_from(stream.rate).ok()?)?;
    Some((rate, stream.channels)).filter(|(_, channels)| *channels > 0)
}

/// Recognises a stream by its first packet, by the mappings of the codecs (RFC 7845 §5.1 for Opus).
fn stream(packet: &[u8], serial: u32) -> Option<Stream> {
    let audio = |codec, rate, channels: Option<&u8>| {
        let channels = channels.copied().unwrap_or(0);
        Stream { serial, codec, is_video: Some(false), rate, channels, skip: 0 }
    };
    let video =
        |codec| Stream { serial, codec, is_video: Some(true), rate: 0, channels: 0, skip: 0 };
    let rate = |at: usize| {
        let rate = packet.get(at..).and_then(|rest| rest.first_chunk()).copied();
        u64::from(u32::from_le_bytes(rate.unwrap_or_default()))
    };
    Some(match packet {
        [b'O', b'p', b'u', b's', b'H', b'e', b'a', b'd', ..] => {
            let skip = packet.get(10..).and_then(|rest| rest.first_chunk()).copied();
            let skip = u16::from_le_bytes(skip.unwrap_or_default());
            Stream { skip, ..audio(Codec::Opus, 48_000, packet.get(9)) }
        }
        [1, b'v', b'o', b'r', b'b', b'i', b's', ..] => {
            audio(Codec::Vorbis, rate(12), packet.get(11))
        }
        [0x7f, b'F', b'L', b'A', b'C', ..] => {
            // The native header follows nine bytes; STREAMINFO has the rate in 20 bits.
            let bits = packet.get(9 + 18..).and_then(|rest| rest.first_chunk::<4>());
            let rate = u64::from(u32::from_be_bytes(bits.copied().unwrap_or_default()) >> 12);
            audio(Codec::Flac, rate, None)
        }
        [b'S', b'p', b'e', b'e', b'x', b' ', ..] => audio(Codec::Speex, rate(36), None),
        [0x80, b't', b'h', b'e', b'o', b'r', b'a', ..] => video(Codec::Theora),
        [b'O', b'V', b'P', b'8', b'0', ..] => video(Codec::Vp8),
        [b'B', b'B', b'C', b'D', ..] | [1, b'v', b'i', b'd', b'e', b'o', ..] => video(Codec::Other),
        _ => return None,
    })
}

/// Returns the end of an audio stream by the granule position of its last page, in samples.
fn stream_end(view: &View<'_>, of: Stream) -> Result<Option<Duration>, Probe> {
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

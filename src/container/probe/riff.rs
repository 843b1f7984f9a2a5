//! WAVE, in RIFF or RF64 (EBU Tech 3306), and AIFF: uncompressed sound, mostly.
//!
//! A writer that cannot go back leaves its sizes as they were, 0 or the largest there is. Where the
//! file's own length is known, that is put in their place before a demuxer reads them: it would
//! take the end of the file for a cut.

use std::time::Duration;

use super::{Codec, Format, HeaderPatch, Probe, ProbeInfo, View, from_ticks};

/// No file has more chunks in front of its samples.
const MOST_CHUNKS: usize = 64;

/// Whether it is WAVE.
pub(super) fn is_wave(bytes: &[u8]) -> bool {
    let kind = bytes.get(..4);
    matches!(kind, Some(b"RIFF" | b"RF64" | b"BW64")) && bytes.get(8..12) == Some(b"WAVE")
}

/// What a WAVE says of itself.
pub(super) fn wave(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    let head = ProbeInfo { audio: None, ..ProbeInfo::of(Format::Wav) };
    let (mut at, mut format, mut wide, mut samples) = (12, None, None, None);
    for _ in 0..MOST_CHUNKS {
        let bytes = view.need(at, 8)?;
        let (Some(kind), Some(len)) = (bytes.first_chunk::<4>(), u32_at(bytes, 4)) else { break };
        let payload = at + 8;
        match kind {
            b"fmt " => format = Fmt::read(view.need(payload, 26)?),
            b"fact" => samples = u32_at(view.need(payload, 4)?, 0),
            // The size of the file, and then that of the samples.
            b"ds64" => {
                wide = u64_at(view.need(payload, 16)?, 8).map(|len| (payload + 8, len));
            }
            b"data" => {
                let (size_at, size) = match wide {
                    Some(wide) if len == u32::MAX => wide,
                    _ => (at + 4, u64::from(len)),
                };
                let is_wide = size_at != at + 4;
                let left = view.len.map(|len| len.saturating_sub(payload));
                let is_unknown = is_placeholder(size) && left.is_some_and(|left| left != size);
                let size = if is_unknown { left.unwrap_or(size) } else { size };
                let place = u32::try_from(size_at).ok().filter(|_| is_unknown);
                let mend = place.map(|at| HeaderPatch { at, value: size, is_wide });
                let duration = format.and_then(|format| format.duration(size, samples));
                let audio = format.map(|format| format.codec);
                let duration = duration.filter(|_| is_unknown || !is_placeholder(size));
                return Ok(ProbeInfo { end: duration, audio, header_patch: mend, ..head });
            }
            _ => {}
        }
        // Chunks begin at even places.
        at = payload + u64::from(len) + u64::from(len & 1);
    }
    Ok(head)
}

/// Whether a size is what a writer leaves there that does not know it: nothing, or about the most
/// that it can count to, with or without a sign.
pub(in crate::container) fn is_placeholder(size: u64) -> bool {
    const ABOUT: u64 = 64 << 10;
    let near = |most: u64| size <= most && most - size <= ABOUT;
    size == 0 || near(1 << 31) || near(u32::MAX.into()) || near(i64::MAX as u64) || near(u64::MAX)
}

/// What its samples are like.
#[derive(Clone, Copy)]
pub(super) struct Fmt {
    pub(super) codec: Codec,
    /// Samples a second, of each channel.
    rate: u32,
    bytes_per_second: u32,
}

impl Fmt {
    pub(super) fn read(fmt: &[u8]) -> Option<Fmt> {
        let tag = u16::from_le_bytes(*fmt.first_chunk()?);
        // Behind the marks of an extensible format stands the tag of another (WAVEFORMATEXTENSIBLE).
        let tag = match tag {
            0xfffe => u16::from_le_bytes(*fmt.get(24..)?.first_chunk()?),
            tag => tag,
        };
        let codec = match tag {
            1 | 3 | 6 | 7 => Codec::Pcm,
            0x50 => Codec::Mp2,
            0x55 => Codec::Mp3,
            0xff => Codec::Aac,
            0x2000 => Codec::Ac3,
            0x2001 => Codec::Dts,
            _ => Codec::Other,
        };
        Some(Fmt { codec, rate: u32_at(fmt, 4)?, bytes_per_second: u32_at(fmt, 8)? })
    }

    /// How long so many bytes play. How many bytes of compressed sound make a second is no more than a
    /// hint; the samples are counted, if the writer could go back.
    pub(super) fn duration(self, bytes: u64, samples: Option<u32>) -> Option<Duration> {
        let counted = samples.filter(|count| self.codec != Codec::Pcm && *count < u32::MAX);
        let counted = counted.and_then(|count| from_ticks(count.into(), self.rate.into()));
        counted.or_else(|| from_ticks(bytes, self.bytes_per_second.into()))
    }
}

/// Whether it is AIFF.
pub(super) fn is_aiff(bytes: &[u8]) -> bool {
    bytes.starts_with(b"FORM") && matches!(bytes.get(8..12), Some(b"AIFF" | b"AIFC"))
}

/// What an AIFF says of itself. Tags stand behind its samples, where no demuxer looks for them.
pub(super) fn aiff(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    let mut head = ProbeInfo { audio: Some(Codec::Pcm), ..ProbeInfo::of(Format::Aiff) };
    let mut at = 12;
    for _ in 0..MOST_CHUNKS {
        let bytes = view.need(at, 8)?;
        let Some(len) = bytes.get(4..8).and_then(|len| len.first_chunk()) else { break };
        let len = u64::from(u32::from_be_bytes(*len));
        let end = at + 8 + len + (len & 1);
        match bytes.first_chunk() {
            Some(b"COMM") => head.end = comm(view.need(at + 8, 18)?),
            Some(b"SSND") => {
                return Ok(ProbeInfo { until: if len > 0 { end } else { u64::MAX }, ..head });
            }
            _ => {}
        }
        at = end;
    }
    Ok(head)
}

/// The common chunk: channels, sample frames, sample size, and the rate as an 80-bit float.
fn comm(bytes: &[u8]) -> Option<Duration> {
    let frames = u32::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    let exponent = u16::from_be_bytes(*bytes.get(8..)?.first_chunk()?);
    let mantissa = u64::from_be_bytes(*bytes.get(10..)?.first_chunk()?);
    let shift = 16_383u16.checked_add(63)?.checked_sub(exponent)?;
    from_ticks(frames.into(), mantissa.checked_shr(shift.into())?)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 16-bit stereo at 48 kHz, 192,000 bytes a second.
    fn file(size: u32) -> Vec<u8> {
        let fmt = [
            &[1, 0, 2, 0][..],
            &48_000u32.to_le_bytes(),
            &192_000u32.to_le_bytes(),
            &[4, 0, 16, 0],
        ];
        let fmt = [&b"fmt \x10\0\0\0"[..], &fmt.concat()].concat();
        [b"RIFF\xff\xff\xff\xffWAVE", &fmt[..], b"data", &size.to_le_bytes(), &[0; 8]].concat()
    }

    fn head(size: u32, len: u64) -> ProbeInfo {
        wave(&View::front(&file(size), Some(len), false)).unwrap()
    }

    #[test]
    fn sizes_that_nobody_knew_are_mended_and_others_are_not() {
        let second = Some(Duration::from_secs(1));
        for unknown in [0, u32::MAX, u32::MAX - 36, 0x7fff_0000, 0x7fff_f000, 0x8000_0000] {
            let head = head(unknown, 192_044);
            let mend = HeaderPatch { at: 40, value: 192_000, is_wide: false };
            assert_eq!((head.end, head.header_patch), (second, Some(mend)), "{unknown:x}");
        }
        // This one is cut, or has a tag behind it.
        for known in [192_000, 0x3000_0000] {
            assert_eq!(head(known, 192_044).header_patch, None);
        }
        assert_eq!(head(192_000, 192_044).end, second);
        assert_eq!(head(192_000, 192_044).audio, Some(Codec::Pcm));
        let unknown = wave(&View::front(&file(u32::MAX), None, false)).unwrap();
        assert_eq!((unknown.end, unknown.header_patch), (None, None));
    }

    #[test]
    fn samples_of_compressed_sound_are_counted() {
        let with_fact = |tag: u8| {
            let mut file = file(192_000);
            file[20] = tag;
            file.splice(36..36, *b"fact\x04\0\0\0\0\x77\x01\0");
            wave(&View::front(&file, Some(192_056), false)).unwrap().end
        };
        assert_eq!(with_fact(2), Some(Duration::from_secs(2)), "0x17700 samples");
        assert_eq!(with_fact(1), Some(Duration::from_secs(1)), "uncompressed");
    }
}

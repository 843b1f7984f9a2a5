//! Probes WAVE, in RIFF or RF64 (EBU Tech 3306), and AIFF.
//!
//! A writer that cannot seek back leaves placeholders in the size fields, 0 or the maximum. If the length
//! of the file is known, the placeholder is corrected before a demuxer reads it: otherwise it would take
//! the end of the file for a truncation.

use std::time::Duration;

use super::{Codec, Format, HeaderPatch, Probe, ProbeInfo, View, from_ticks};

/// The maximum number of chunks before the samples.
const MAX_CHUNKS: usize = 64;

/// Returns whether the bytes begin a WAVE file.
pub(super) fn is_wave(bytes: &[u8]) -> bool {
    let kind = bytes.get(..4);
    matches!(kind, Some(b"RIFF" | b"RF64" | b"BW64")) && bytes.get(8..12) == Some(b"WAVE")
}

/// Probes a WAVE file.
pub(super) fn wave(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    let info = ProbeInfo { audio: None, ..ProbeInfo::of(Format::Wav) };
    let (mut at, mut format, mut wide, mut samples) = (12, None, None, None);
    for _ in 0..MAX_CHUNKS {
        let bytes = view.need(at, 8)?;
        let (Some(kind), Some(len)) = (bytes.first_chunk::<4>(), u32_at(bytes, 4)) else { break };
        let payload = at + 8;
        match kind {
            b"fmt " => format = Fmt::read(view.need(payload, 26)?),
            b"fact" => samples = u32_at(view.need(payload, 4)?, 0),
            // The size of the file is followed by that of the samples.
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
                let patch = place.map(|at| HeaderPatch { at, value: size, is_wide });
                let duration = format.and_then(|format| format.duration(size, samples));
                let audio = format.map(|format| format.codec);
                let duration = duration.filter(|_| is_unknown || !is_placeholder(size));
                return Ok(ProbeInfo { end: duration, audio, header_patch: patch, ..info });
            }
            _ => {}
        }
        // Chunks begin at even offsets.
        at = payload + u64::from(len) + u64::from(len & 1);
    }
    Ok(info)
}

/// Returns whether a size is a placeholder of a writer that cannot seek back: 0, or about the maximum of
/// a signed or unsigned field.
pub(in crate::container) fn is_placeholder(size: u64) -> bool {
    const ABOUT: u64 = 64 << 10;
    let is_about = |max: u64| size <= max && max - size <= ABOUT;
    size == 0
        || is_about(1 << 31)
        || is_about(u32::MAX.into())
        || is_about(i64::MAX as u64)
        || is_about(u64::MAX)
}

/// The format of the samples.
#[derive(Clone, Copy)]
pub(super) struct Fmt {
    pub(super) codec: Codec,
    /// Samples per second and channel.
    rate: u32,
    bytes_per_second: u32,
}

impl Fmt {
    pub(super) fn read(fmt: &[u8]) -> Option<Fmt> {
        let tag = u16::from_le_bytes(*fmt.first_chunk()?);
        // An extensible format has the tag of another format in its GUID (WAVEFORMATEXTENSIBLE).
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

    /// Returns the duration of `bytes` bytes. The byte rate of compressed audio is only a hint; the number
    /// of samples is preferred, if the writer could store it.
    pub(super) fn duration(self, bytes: u64, samples: Option<u32>) -> Option<Duration> {
        let counted = samples.filter(|count| self.codec != Codec::Pcm && *count < u32::MAX);
        let counted = counted.and_then(|count| from_ticks(count.into(), self.rate.into()));
        counted.or_else(|| from_ticks(bytes, self.bytes_per_second.into()))
    }
}

/// Returns whether the bytes begin an AIFF file.
pub(super) fn is_aiff(bytes: &[u8]) -> bool {
    bytes.starts_with(b"FORM") && matches!(bytes.get(8..12), Some(b"AIFF" | b"AIFC"))
}

/// Probes an AIFF file. Tags follow the samples, where no demuxer reads them.
pub(super) fn aiff(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    let mut info = ProbeInfo { audio: Some(Codec::Pcm), ..ProbeInfo::of(Format::Aiff) };
    let mut at = 12;
    for _ in 0..MAX_CHUNKS {
        let bytes = view.need(at, 8)?;
        let Some(len) = bytes.get(4..8).and_then(|len| len.first_chunk()) else { break };
        let len = u64::from(u32::from_be_bytes(*len));
        let end = at + 8 + len + (len & 1);
        match bytes.first_chunk() {
            Some(b"COMM") => info.end = comm(view.need(at + 8, 18)?),
            Some(b"SSND") => {
                return Ok(ProbeInfo { until: if len > 0 { end } else { u64::MAX }, ..info });
            }
            _ => {}
        }
        at = end;
    }
    Ok(info)
}

/// Reads the common chunk: channels, sample frames, sample size, and the rate as an 80-bit float.
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

    fn info(size: u32, len: u64) -> ProbeInfo {
        wave(&View::front(&file(size), Some(len), false)).unwrap()
    }

    #[test]
    fn sizes_that_nobody_knew_are_mended_and_others_are_not() {
        let second = Some(Duration::from_secs(1));
        for unknown in [0, u32::MAX, u32::MAX - 36, 0x7fff_0000, 0x7fff_f000, 0x8000_0000] {
            let info = info(unknown, 192_044);
            let patch = HeaderPatch { at: 40, value: 192_000, is_wide: false };
            assert_eq!((info.end, info.header_patch), (second, Some(patch)), "{unknown:x}");
        }
        // This one is cut, or has a tag behind it.
        for known in [192_000, 0x3000_0000] {
            assert_eq!(info(known, 192_044).header_patch, None);
        }
        assert_eq!(info(192_000, 192_044).end, second);
        assert_eq!(info(192_000, 192_044).audio, Some(Codec::Pcm));
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

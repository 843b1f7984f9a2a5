//! Probes native FLAC (RFC 9639), whose first metadata block has the duration.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Codec, Format, Probe, ProbeInfo, View, from_ticks};

/// The length of the signature, the header of STREAMINFO, and as much of it as is read (§8.2).
const HEADER_LEN: usize = 4 + 4 + 18;

/// Probes a file with its signature at `at`.
pub(super) fn sniff(view: &View<'_>, at: u64) -> Result<ProbeInfo, Probe> {
    let bytes = view.need(at, HEADER_LEN)?;
    let audio = Some(Codec::Flac);
    let (end, sampling) = (stream_info(bytes), sampling(bytes));
    Ok(ProbeInfo { end, audio, sampling, ..ProbeInfo::of(Format::Flac) })
}

fn stream_info(bytes: &[u8]) -> Option<Duration> {
    // 20 bits of sample rate, 3 of channels, 5 of sample size, and 36 of the number of samples.
    let bits = u64::from_be_bytes(*bytes.get(4 + 4 + 10..)?.first_chunk()?);
    let (rate, samples) = (bits >> 44, bits & 0xf_ffff_ffff);
    if bytes[4] & 0x7f != 0 { None } else { from_ticks(samples, rate) }
}

fn sampling(bytes: &[u8]) -> Option<(NonZeroU32, u8)> {
    let bits = u32::from_be_bytes(*bytes.get(4 + 4 + 10..)?.first_chunk()?);
    Some((NonZeroU32::new(bits >> 12)?, (bits >> 9 & 7) as u8 + 1))
}

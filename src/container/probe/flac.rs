//! Native FLAC (RFC 9639): how long it plays stands in its first block of metadata.

use std::time::Duration;

use super::{Codec, Format, Probe, ProbeInfo, View, from_ticks};

/// The mark, the header of STREAMINFO, and as much of it as is read (§8.2).
const HEAD: usize = 4 + 4 + 18;

/// What a file says that has its mark at `at`.
pub(super) fn sniff(view: &View<'_>, at: u64) -> Result<ProbeInfo, Probe> {
    let duration = stream_info(view.need(at, HEAD)?);
    Ok(ProbeInfo { end: duration, audio: Some(Codec::Flac), ..ProbeInfo::of(Format::Flac) })
}

fn stream_info(bytes: &[u8]) -> Option<Duration> {
    // 20 bits of sampling rate, 3 of channels, 5 of sample size, and then 36 of their number.
    let bits = u64::from_be_bytes(*bytes.get(4 + 4 + 10..)?.first_chunk()?);
    let (rate, samples) = (bits >> 44, bits & 0xf_ffff_ffff);
    if bytes[4] & 0x7f != 0 { None } else { from_ticks(samples, rate) }
}

//! Writes the headers of a moov, of its tracks and of their media (ISO/IEC 14496-12 §8.2 to §8.4).
//!
//! **Invariant:** nothing is copied from the old headers that the joined file makes untrue.

use super::Unsupported;
use super::trak::MALFORMED;
use crate::container::isobmff::{Mp4Box, boxed, u32_at, u64_at};

/// The identity matrix.
pub(super) const UNITY: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// Returns a movie header (§8.2.2) without a creation time, so that the same inputs always give the
/// same bytes.
pub(super) fn mvhd(scale: u32, duration: u64, next_track: u32) -> Vec<u8> {
    let times = header_times([0, 0], &scale.to_be_bytes(), duration);
    let rate_and_volume = [0x1_0000u32, 0x100_0000, 0, 0].map(u32::to_be_bytes);
    let matrix = UNITY.map(u32::to_be_bytes);
    let rest = [matrix.as_flattened(), &[0; 24], &next_track.to_be_bytes()].concat();
    boxed(b"mvhd", &[&header_version(duration, 0), &times, rate_and_volume.as_flattened(), &rest])
}

/// Returns version and flags of a header with this duration. A duration of 32 set bits would mean
/// "unknown", hence takes 64 bits.
pub(super) fn header_version(duration: u64, flags: u32) -> [u8; 4] {
    let version = if duration < u64::from(u32::MAX) { 0 } else { 1 << 24 };
    (version | flags).to_be_bytes()
}

/// Returns creation and modification time, the fields `own` of the header, and the duration.
pub(super) fn header_times(made: [u64; 2], own: &[u8], duration: u64) -> Vec<u8> {
    let is_wide = duration >= u64::from(u32::MAX);
    let time = |time: u64| match u32::try_from(time) {
        _ if is_wide => time.to_be_bytes().to_vec(),
        // A time beyond 2040 does not fit and is omitted.
        narrow => narrow.unwrap_or(0).to_be_bytes().to_vec(),
    };
    [time(made[0]), time(made[1]), own.to_vec(), time(duration)].concat()
}

/// Returns a track header (§8.3.2): enabled, in the presentation, without an alternate group.
pub(super) fn tkhd(found: &Mp4Box<'_>, id: u32, duration: u64) -> Result<Vec<u8>, Unsupported> {
    let payload = found.payload();
    let version_and_flags = u32_at(payload, 0).ok_or(MALFORMED)?;
    let (made, rest) = match version_and_flags >> 24 {
        0 => ([u32_at(payload, 4), u32_at(payload, 8)].map(|time| time.map(u64::from)), 24),
        1 => ([u64_at(payload, 4), u64_at(payload, 12)], 36),
        _ => return Err(MALFORMED),
    };
    let mut rest =
        *payload.get(rest..).and_then(|rest| rest.first_chunk::<60>()).ok_or(MALFORMED)?;
    rest[10..12].fill(0);
    let made = made.map(Option::unwrap_or_default);
    let own = [id.to_be_bytes(), [0; 4]];
    let times = header_times(made, own.as_flattened(), duration);
    let version = header_version(duration, (version_and_flags & 0xff_ffff) | 3);
    Ok(boxed(b"tkhd", &[&version, &times, &rest]))
}

/// Returns a media header (§8.4.2) with another duration.
pub(super) fn mdhd(found: &Mp4Box<'_>, duration: u64) -> Result<Vec<u8>, Unsupported> {
    let mut mdhd = found.bytes.to_vec();
    let payload = &mut mdhd[found.header..];
    let wide = payload.first() != Some(&0);
    let narrow = u32::try_from(duration).ok().map(u32::to_be_bytes);
    let (at, duration) = match (wide, &narrow) {
        (true, _) => (24, &duration.to_be_bytes()[..]),
        (false, Some(narrow)) => (16, &narrow[..]),
        (false, None) => return Err(Unsupported("the file has timestamps that are too large")),
    };
    payload.get_mut(at..at + duration.len()).ok_or(MALFORMED)?.copy_from_slice(duration);
    Ok(mdhd)
}

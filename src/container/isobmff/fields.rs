//! Reads the fields of boxes that both the probe and splice need (ISO/IEC 14496-12 §8.2 to §8.8). The
//! parameters are payloads, which begin with a version and flags.

use super::{u32_at, u64_at};

/// The times of a movie header (mvhd, §8.2.2) or a media header (mdhd, §8.4.2), which begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeHeader {
    /// Ticks per second.
    pub timescale: u32,
    /// The duration in ticks, if it is known.
    pub duration: Option<u64>,
}

impl TimeHeader {
    /// Reads a mvhd or mdhd.
    pub fn read(payload: &[u8]) -> Option<TimeHeader> {
        let (timescale, duration) = match payload.first()? {
            0 => (u32_at(payload, 12)?, u32_at(payload, 16)?.into()),
            1 => (u32_at(payload, 20)?, u64_at(payload, 24)?),
            _ => return None,
        };
        Some(TimeHeader { timescale, duration: known(duration) })
    }
}

/// The identity and duration of a track (tkhd, §8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackHeader {
    /// The flags: bit 0 means enabled.
    pub flags: u32,
    /// The track_ID.
    pub id: u32,
    /// The duration in the movie timescale, all edits together, if it is known.
    pub duration: Option<u64>,
}

impl TrackHeader {
    /// Reads a tkhd.
    pub fn read(payload: &[u8]) -> Option<TrackHeader> {
        let (id, duration) = match payload.first()? {
            0 => (u32_at(payload, 12)?, u32_at(payload, 20)?.into()),
            _ => (u32_at(payload, 20)?, u64_at(payload, 28)?),
        };
        let flags = u32_at(payload, 0)? & 0xff_ffff;
        Some(TrackHeader { flags, id, duration: known(duration) })
    }
}

/// Returns a duration, unless all its bits are set, which means unknown. Some writers set those of the
/// narrow field in the wide one.
fn known(ticks: u64) -> Option<u64> {
    (ticks != u64::MAX && ticks != u64::from(u32::MAX)).then_some(ticks)
}

/// Returns the handler type of a hdlr (§8.4.3).
pub fn handler_type(hdlr: &[u8]) -> Option<&[u8; 4]> {
    hdlr.get(8..)?.first_chunk()
}

/// Returns the number of samples of a stsz or stz2 (§8.7.3).
pub fn sample_count(stsz: &[u8]) -> Option<u32> {
    u32_at(stsz, 8)
}

/// Returns the duration of a movie with its fragments (mehd, §8.8.2), in the movie timescale.
pub fn fragment_duration(mehd: &[u8]) -> Option<u64> {
    wide_or_narrow(mehd).and_then(known)
}

/// Returns the decode time of the first sample of a fragment (tfdt, §8.8.12), in the media timescale.
pub fn decode_time(tfdt: &[u8]) -> Option<u64> {
    wide_or_narrow(tfdt)
}

/// Returns a single number, whose width the version tells.
fn wide_or_narrow(payload: &[u8]) -> Option<u64> {
    match payload.first()? {
        0 => u32_at(payload, 4).map(u64::from),
        _ => u64_at(payload, 4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_tells_the_width() {
        let narrow = [0, 0, 0, 7, 1000, 61_000, 9].map(u32::to_be_bytes).concat();
        let header = TimeHeader { timescale: 1000, duration: None };
        assert_eq!(
            TimeHeader::read(&[&[0; 8], &narrow[8..12], &narrow[16..20], &[0xff; 4]].concat()),
            Some(header)
        );
        let wide = [1 << 24, 0, 0, 0, 0, 1000, 1, 2].map(u32::to_be_bytes).concat();
        let header = TimeHeader { timescale: 1000, duration: Some(1 << 32 | 2) };
        assert_eq!(TimeHeader::read(&wide), Some(header));
        assert_eq!(TimeHeader::read(&wide[..31]), None);
        assert_eq!(TimeHeader::read(&[2; 40]), None);
        assert_eq!(decode_time(&[1 << 24, 1, 2].map(u32::to_be_bytes).concat()), Some(1 << 32 | 2));
        assert_eq!(decode_time(&[0, 1, 2].map(u32::to_be_bytes).concat()), Some(1));
    }

    #[test]
    fn a_track_header_tells_identity_and_duration() {
        let narrow = [3, 0, 0, 7, 0, u32::MAX].map(u32::to_be_bytes).concat();
        let header = TrackHeader { flags: 3, id: 7, duration: None };
        assert_eq!(TrackHeader::read(&narrow), Some(header));
        let wide = [1 << 24 | 2, 0, 0, 0, 0, 7, 0, 0, 9].map(u32::to_be_bytes).concat();
        let header = TrackHeader { flags: 2, id: 7, duration: Some(9) };
        assert_eq!(TrackHeader::read(&wide), Some(header));
    }
}

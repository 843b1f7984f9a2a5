//! Reads when the tracks of an MP4 begin and end, as far as the first bytes have it: track headers, edit
//! lists, segment indexes (sidx) and the first fragment (ISO/IEC 14496-12 §8.3, §8.6.6, §8.16.3, §8.8.12).

use std::time::Duration;

use super::{descend, from_ticks, known_duration, mvhd_duration, u32_at, u64_at};

/// The times of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// The track_ID.
    pub(super) id: u32,
    /// The duration in the movie timescale, all edits together.
    movie_duration: u64,
    /// The media timescale.
    scale: u64,
    /// The media time that is presented first, and the duration of the empty edit before it, in the movie
    /// timescale.
    media_time: u64,
    empty: u64,
}

impl Times {
    /// Reads a trak, or its available beginning.
    pub(super) fn read(trak: &[u8]) -> Option<Times> {
        let tkhd = descend(trak, b"tkhd")?;
        let (id, movie_duration) = match tkhd.first()? {
            0 => (u32_at(tkhd, 12)?, u64::from(u32_at(tkhd, 20)?)),
            _ => (u32_at(tkhd, 20)?, u64_at(tkhd, 28)?),
        };
        // The mdhd begins like the mvhd.
        let mdhd = descend(trak, b"mdia").and_then(|mdia| descend(mdia, b"mdhd"));
        let (_, scale) = mdhd.and_then(mvhd_duration)?;
        let elst = descend(trak, b"edts").and_then(|edts| descend(edts, b"elst"));
        let (empty, media_time) = elst.and_then(first_edit).unwrap_or_default();
        Some(Times { id, movie_duration, scale, media_time, empty })
    }

    /// Returns the begin by the edit list, in a file with this movie timescale.
    pub(super) fn begin(&self, movie_scale: u64) -> Duration {
        from_ticks(self.empty, movie_scale).unwrap_or_default()
    }

    /// Returns the end by the track header, in a file with this movie timescale.
    pub(super) fn end(&self, movie_scale: u64) -> Option<Duration> {
        known_duration(self.movie_duration, movie_scale)
    }

    /// Returns the presentation time of a media time.
    pub(super) fn presentation_time(&self, time: u64) -> Duration {
        from_ticks(time.saturating_sub(self.media_time), self.scale).unwrap_or_default()
    }
}

/// Returns the duration of the empty edits at the beginning, and the media time of the first other edit.
fn first_edit(elst: &[u8]) -> Option<(u64, u64)> {
    let is_64_bit = *elst.first()? != 0;
    let mut empty = 0u64;
    for edit in elst.get(8..)?.chunks_exact(if is_64_bit { 20 } else { 12 }) {
        let (segment, time) = match is_64_bit {
            false => (u64::from(u32_at(edit, 0)?), i64::from(u32_at(edit, 4)?.cast_signed())),
            true => (u64_at(edit, 0)?, u64_at(edit, 8)?.cast_signed()),
        };
        match u64::try_from(time) {
            Ok(time) => return Some((empty, time)),
            Err(_) => empty = empty.saturating_add(segment),
        }
    }
    None
}

/// A segment index (sidx).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentIndex {
    /// The track_ID of its segments.
    pub(super) track: u32,
    scale: u64,
    /// The earliest presentation time.
    pub(super) earliest: u64,
    /// The distance from the end of the index to the first segment.
    offset: u64,
    /// The number of references.
    count: u64,
    bytes: u64,
    ticks: u64,
}

impl SegmentIndex {
    /// Reads a sidx, of which at least the fixed fields must be available.
    pub(super) fn read(sidx: &[u8]) -> Option<SegmentIndex> {
        let (track, scale) = (u32_at(sidx, 4)?, u64::from(u32_at(sidx, 8)?));
        let (earliest, offset, fields_end) = match sidx.first()? {
            0 => (u64::from(u32_at(sidx, 12)?), u64::from(u32_at(sidx, 16)?), 20),
            _ => (u64_at(sidx, 12)?, u64_at(sidx, 20)?, 28),
        };
        let count = u16::from_be_bytes(*sidx.get(fields_end + 2..)?.first_chunk()?);
        let (mut bytes, mut ticks) = (0u64, 0u64);
        for entry in sidx.get(fields_end + 4..)?.chunks_exact(12).take(usize::from(count)) {
            bytes += u64::from(u32_at(entry, 0)? & 0x7fff_ffff);
            ticks += u64::from(u32_at(entry, 4)?);
        }
        Some(SegmentIndex { track, scale, earliest, offset, count: count.into(), bytes, ticks })
    }

    /// Returns the presentation time at which the track begins.
    pub(super) fn begin(&self, times: Option<Times>) -> Duration {
        let media_time = times.filter(|times| times.scale == self.scale);
        let media_time = media_time.map_or(0, |times| times.media_time);
        from_ticks(self.earliest.saturating_sub(media_time), self.scale).unwrap_or_default()
    }

    /// Returns the total duration of the segments, if they extend to the end of a file of `len` bytes in
    /// which the index ends at `end`: some files have one index per fragment, none of which covers the file.
    pub(super) fn length(&self, end: u64, len: Option<u64>) -> Option<Duration> {
        let covered = end.checked_add(self.offset)?.checked_add(self.bytes)?;
        let is_complete = match len {
            // After the last segment there may be a random access index (mfra), and a last fragment without
            // samples of this track.
            Some(len) => covered <= len && len - covered <= (len / 16).max(self.count * 64 + 256),
            // An index per fragment would have one reference.
            None => self.count > 1,
        };
        is_complete.then(|| from_ticks(self.ticks, self.scale))?
    }
}

/// Returns the first track of a fragment, and its decode time, in its ticks.
pub(super) fn first_time(moof: &[u8]) -> Option<(u32, u64)> {
    let traf = descend(moof, b"traf")?;
    let track = descend(traf, b"tfhd").and_then(|tfhd| u32_at(tfhd, 4));
    let tfdt = descend(traf, b"tfdt")?;
    let time = match tfdt.first()? {
        0 => u64::from(u32_at(tfdt, 4)?),
        _ => u64_at(tfdt, 4)?,
    };
    Some((track.unwrap_or_default(), time))
}

//! When the tracks of an MP4 begin and end, as far as its front tells: track headers, edit lists,
//! segment indexes (sidx) and the first fragment (ISO/IEC 14496-12 §8.3, §8.6.6, §8.16.3, §8.8.12).

use std::time::Duration;

use super::{descend, from_ticks, meaningful, mvhd_duration, u32_at, u64_at};

/// What a track says of its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// What fragments call it.
    pub(super) id: u32,
    /// Its length in the time scale of the film, all edits together.
    in_film: u64,
    /// Ticks a second of its media.
    scale: u64,
    /// Which time of its media is shown first, and for how long nothing is before, in the time
    /// scale of the film.
    media_time: u64,
    empty: u64,
}

impl Times {
    /// Reads a trak, or as much of it as is there.
    pub(super) fn read(trak: &[u8]) -> Option<Times> {
        let tkhd = descend(trak, b"tkhd")?;
        let (id, in_film) = match tkhd.first()? {
            0 => (u32_at(tkhd, 12)?, u64::from(u32_at(tkhd, 20)?)),
            _ => (u32_at(tkhd, 20)?, u64_at(tkhd, 28)?),
        };
        // The header of the media is laid out like that of the film.
        let mdhd = descend(trak, b"mdia").and_then(|mdia| descend(mdia, b"mdhd"));
        let (_, scale) = mdhd.and_then(mvhd_duration)?;
        let elst = descend(trak, b"edts").and_then(|edts| descend(edts, b"elst"));
        let (empty, media_time) = elst.and_then(first_edit).unwrap_or_default();
        Some(Times { id, in_film, scale, media_time, empty })
    }

    /// When it begins, by its edit list, in a film of this time scale.
    pub(super) fn begin(&self, film_scale: u64) -> Duration {
        from_ticks(self.empty, film_scale).unwrap_or_default()
    }

    /// When it ends, by its header, in a film of this time scale.
    pub(super) fn end(&self, film_scale: u64) -> Option<Duration> {
        meaningful(self.in_film, film_scale)
    }

    /// When this time of its media is shown.
    pub(super) fn shown(&self, time: u64) -> Duration {
        from_ticks(time.saturating_sub(self.media_time), self.scale).unwrap_or_default()
    }
}

/// How long nothing is shown at first, and where the first edit begins that shows anything.
fn first_edit(elst: &[u8]) -> Option<(u64, u64)> {
    let wide = *elst.first()? != 0;
    let mut empty = 0u64;
    for edit in elst.get(8..)?.chunks_exact(if wide { 20 } else { 12 }) {
        let (segment, time) = match wide {
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

/// A segment index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentIndex {
    /// The track whose segments they are.
    pub(super) track: u32,
    scale: u64,
    /// When they begin.
    pub(super) earliest: u64,
    /// How far behind the index they begin.
    offset: u64,
    /// How many there are.
    count: u64,
    bytes: u64,
    ticks: u64,
}

impl SegmentIndex {
    /// Reads a sidx that is here as far as its entries.
    pub(super) fn read(sidx: &[u8]) -> Option<SegmentIndex> {
        let (track, scale) = (u32_at(sidx, 4)?, u64::from(u32_at(sidx, 8)?));
        let (earliest, offset, behind) = match sidx.first()? {
            0 => (u64::from(u32_at(sidx, 12)?), u64::from(u32_at(sidx, 16)?), 20),
            _ => (u64_at(sidx, 12)?, u64_at(sidx, 20)?, 28),
        };
        let count = u16::from_be_bytes(*sidx.get(behind + 2..)?.first_chunk()?);
        let (mut bytes, mut ticks) = (0u64, 0u64);
        for entry in sidx.get(behind + 4..)?.chunks_exact(12).take(usize::from(count)) {
            bytes += u64::from(u32_at(entry, 0)? & 0x7fff_ffff);
            ticks += u64::from(u32_at(entry, 4)?);
        }
        Some(SegmentIndex { track, scale, earliest, offset, count: count.into(), bytes, ticks })
    }

    /// When its track begins to be shown.
    pub(super) fn begin(&self, times: Option<Times>) -> Duration {
        let media_time = times.filter(|times| times.scale == self.scale);
        let media_time = media_time.map_or(0, |times| times.media_time);
        from_ticks(self.earliest.saturating_sub(media_time), self.scale).unwrap_or_default()
    }

    /// How long the segments play together, if they reach to the end of a file of `len` bytes in
    /// which the index ends at `end`: some files have one index for each fragment, which tells
    /// nothing of the whole.
    pub(super) fn length(&self, end: u64, len: Option<u64>) -> Option<Duration> {
        let covered = end.checked_add(self.offset)?.checked_add(self.bytes)?;
        let is_whole = match len {
            // Behind the last segment there may be an index for random access (mfra), and a last
            // fragment that has nothing of this track.
            Some(len) => covered <= len && len - covered <= (len / 16).max(self.count * 64 + 256),
            // An index of each fragment would have one reference.
            None => self.count > 1,
        };
        is_whole.then(|| from_ticks(self.ticks, self.scale))?
    }
}

/// The first track of a fragment, and when it begins there, in its ticks.
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

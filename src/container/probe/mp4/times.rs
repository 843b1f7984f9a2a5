//! Reads when the tracks of an MP4 begin and end, as far as the first bytes have it: track headers, edit
//! lists, segment indexes (sidx) and the first fragment (ISO/IEC 14496-12 §8.3, §8.6.6, §8.16.3, §8.8.12).

use std::time::Duration;

use super::from_ticks;
use crate::container::isobmff::edit_list::EditList;
use crate::container::isobmff::fields::{TimeHeader, TrackHeader, decode_time};
use crate::container::isobmff::partial::find;
use crate::container::isobmff::sidx::{Reference, SegmentIndex};
use crate::container::isobmff::u32_at;

/// The times of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// The track_ID.
    pub(super) id: u32,
    /// The duration in the movie timescale, all edits together.
    movie_duration: Option<u64>,
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
        let track = TrackHeader::read(find(trak, &[b"tkhd"])?)?;
        let media = TimeHeader::read(find(trak, &[b"mdia", b"mdhd"])?)?;
        let list = find(trak, &[b"edts", b"elst"]).and_then(EditList::read);
        let (empty, media_time) = list.and_then(first_edit).unwrap_or_default();
        Some(Times {
            id: track.id,
            movie_duration: track.duration,
            scale: media.timescale.into(),
            media_time,
            empty,
        })
    }

    /// Returns the begin by the edit list, in a file with this movie timescale.
    pub(super) fn begin(&self, movie_scale: u64) -> Duration {
        from_ticks(self.empty, movie_scale).unwrap_or_default()
    }

    /// Returns the end by the track header, in a file with this movie timescale.
    pub(super) fn end(&self, movie_scale: u64) -> Option<Duration> {
        self.movie_duration.and_then(|ticks| from_ticks(ticks, movie_scale))
    }

    /// Returns the presentation time of a media time.
    pub(super) fn presentation_time(&self, time: u64) -> Duration {
        from_ticks(time.saturating_sub(self.media_time), self.scale).unwrap_or_default()
    }
}

/// Returns the duration of the empty edits at the beginning, and the media time of the first other edit.
fn first_edit(list: EditList<'_>) -> Option<(u64, u64)> {
    let mut empty = 0u64;
    for edit in list.edits() {
        match u64::try_from(edit.media_time) {
            Ok(time) => return Some((empty, time)),
            Err(_) => empty = empty.saturating_add(edit.segment),
        }
    }
    None
}

/// The sum of the segments of a segment index (sidx).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segments {
    /// The track_ID of the segments.
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

impl Segments {
    pub(super) fn of(index: SegmentIndex<'_>) -> Segments {
        let sum = |of: fn(Reference) -> u32| index.references().map(|one| u64::from(of(one))).sum();
        Segments {
            track: index.track,
            scale: index.timescale.into(),
            earliest: index.earliest,
            offset: index.first_offset,
            count: index.count.into(),
            bytes: sum(|reference| reference.len),
            ticks: sum(|reference| reference.duration),
        }
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
    let traf = find(moof, &[b"traf"])?;
    let track = find(traf, &[b"tfhd"]).and_then(|tfhd| u32_at(tfhd, 4));
    let time = decode_time(find(traf, &[b"tfdt"])?)?;
    Some((track.unwrap_or_default(), time))
}

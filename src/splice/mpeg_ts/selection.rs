//! Selects the segments that a time range needs, and puts the clocks of all files and of their parts in
//! line.
//!
//! The joined file begins with a key frame. Audio that is earlier is left out, but for about a frame,
//! which the edit list hides; so nothing has to be known of the audio of the first segment beforehand.

use std::ops::Range;

use super::remux::StreamConfig;
use super::timing::Clock;
use super::{LATER, OutputTrack, Track};
use crate::container::mpeg_ts::pes::{TICKS_PER_SECOND, WRAP};
use crate::container::mpeg_ts::{Times, duration, ticks};
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::options::TimeRange;

/// By how much a segment may begin earlier than a time range ends without being part of it, in ticks:
/// declared durations are rounded.
const ROUNDING: u64 = TICKS_PER_SECOND / 100;
/// The maximum difference of the times at which two files have the same discontinuity: a second.
const MAX_APART: u64 = TICKS_PER_SECOND;
const OTHER_PARTS: Unsupported = Unsupported("video and audio have other discontinuities");

/// What is joined.
pub(super) struct Selection<'t> {
    pub(super) files: Vec<SelectedFile<'t>>,
    /// Where the time range begins, if not at the beginning.
    pub(super) cut: Option<Cut>,
}

/// The segments of a file that are joined.
pub(super) struct SelectedFile<'t> {
    pub(super) kind: TrackKind,
    pub(super) track: &'t Track,
    pub(super) segments: Range<usize>,
}

/// Where a time range begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// The time, by the durations of the segments.
    time: u64,
    /// The timestamps there. Those of video are those of a key frame.
    pub(super) times: Times,
    /// The part between discontinuities.
    part: usize,
}

/// The time of the joined file.
pub(super) struct Timeline {
    /// The timestamp that is 0.
    pub(super) origin: u64,
    /// When the presentation begins.
    pub(super) begin: u64,
    /// The time, by the durations of the segments, at which the presentation begins.
    zero: u64,
    /// The clock of each part.
    clocks: Vec<Clock>,
}

impl<'t> Selection<'t> {
    /// Selects the segments within `range`.
    pub(super) fn new(
        files: &[(TrackKind, &'t Track)],
        range: TimeRange,
    ) -> Result<Selection<'t>, Unsupported> {
        let start = ticks(range.start);
        if start > 0 && files.iter().any(|(_, track)| start >= track.end) {
            return Err(Unsupported("the media ends before the requested start"));
        }
        let (kind, lead) = *files.first().ok_or(Unsupported("there is no track"))?;
        let cut = Some(start).filter(|start| *start > 0).and_then(|start| lead.cut(kind, start));
        let mut end = range.end.map(ticks);
        let mut selected = Vec::with_capacity(files.len());
        for (kind, track) in files {
            let from = cut.map_or(0, |cut| match (kind, &track.entry) {
                (TrackKind::Video, Some(entry)) => entry.segment,
                _ => track.audio_from(cut),
            });
            let until = end.map_or(track.segments.len(), |end| track.segment_at(end, ROUNDING));
            let segments = from..until.max(from + 1);
            // Audio ends when the video does, whatever other audio does.
            if selected.is_empty() {
                let is_cut = segments.end < track.segments.len();
                end = Some(track.begins(segments.end)).filter(|_| is_cut);
            }
            selected.push(SelectedFile { kind: *kind, track, segments });
        }
        Ok(Selection { files: selected, cut })
    }

    /// Returns how long a file lasts in the joined file.
    pub(super) fn duration(&self, file: &SelectedFile<'_>) -> u64 {
        let zero = self.cut.map_or(0, |cut| cut.time);
        file.track.begins(file.segments.end).saturating_sub(zero)
    }

    /// Returns when the segments of the first file are presented in the joined file, in milliseconds.
    pub(super) fn starts(&self, timeline: &Timeline) -> Vec<u64> {
        let segments =
            self.files.iter().take(1).flat_map(|SelectedFile { track, segments, .. }| {
                segments.clone().map(|index| timeline.of(track, index).1.max(0).cast_unsigned())
            });
        segments.map(|ticks| ticks * 1000 / TICKS_PER_SECOND).collect()
    }

    /// Returns the time of the joined file, for these tracks of it. After a discontinuity the presentation
    /// goes on when the segments before have ended, as their list declares it; all files have the same
    /// discontinuities.
    pub(super) fn timeline(&self, tracks: &[OutputTrack<'_>]) -> Result<Timeline, Unsupported> {
        let origin = origin(tracks);
        let clock = Clock { origin };
        let begin = match self.cut {
            Some(cut) => clock.ticks(cut.times.pts, 0).max(0).cast_unsigned(),
            None => presentation_begin(tracks, origin),
        };
        let (zero, first) = self.cut.map_or((0, 0), |cut| (cut.time, cut.part));
        let parts = self.files.first().map_or(0, |file| file.track.parts.len());
        if self.files.iter().any(|file| file.track.parts.len() != parts) {
            return Err(OTHER_PARTS);
        }
        let mut timeline =
            Timeline { origin, begin, zero, clocks: vec![clock; parts.min(first + 1)] };
        for number in first + 1..parts {
            let starts = self.files.iter().map(|file| file.track.part_time(number));
            let time = starts.clone().min().unwrap_or_default();
            if starts.max().is_some_and(|latest| latest - time > MAX_APART) {
                return Err(OTHER_PARTS);
            }
            let firsts = tracks.iter().filter_map(|track| {
                let firsts = track.track.parts[number].firsts;
                match track.stream.config {
                    StreamConfig::Video(_) => firsts.video.map(|times| times.pts),
                    StreamConfig::Audio(_) => firsts.audio,
                }
            });
            let earliest = earliest(firsts);
            let origin = earliest.wrapping_sub(begin).wrapping_sub(time.wrapping_sub(zero)) % WRAP;
            timeline.clocks.push(Clock { origin });
        }
        Ok(timeline)
    }
}

impl Timeline {
    /// Returns the timeline on which the timestamps of the first part are as they are.
    pub(super) fn with_timestamps(mut self) -> Timeline {
        for clock in &mut self.clocks {
            clock.origin = clock.origin.wrapping_sub(self.origin) % WRAP;
        }
        self.begin += std::mem::take(&mut self.origin);
        self
    }

    /// Returns when the joined file begins, in nanoseconds from the beginning of the media.
    pub(super) fn origin_nanos(&self) -> i128 {
        i128::try_from(duration(self.zero).as_nanos()).unwrap_or_default()
    }

    /// Returns the clock of the segment at `index`, and when that begins after the presentation does.
    pub(super) fn of(&self, track: &Track, index: usize) -> (Clock, i64) {
        let part = track.part_of(index).min(self.clocks.len().saturating_sub(1));
        let time = track.begins(index).cast_signed() - self.zero.cast_signed();
        (self.clocks[part], time)
    }
}

impl Track {
    /// Returns where the time range begins that starts at `start`, if that is not at the beginning.
    fn cut(&self, kind: TrackKind, start: u64) -> Option<Cut> {
        match kind {
            TrackKind::Video => self.entry.map(|entry| {
                let (part, time) = self.presentation(entry.segment, entry.times.pts);
                Cut { time, times: entry.times, part }
            }),
            TrackKind::Audio => {
                let part = self.part_of(self.segment_at(start + 1, 0).saturating_sub(1));
                let first = self.parts[part].firsts.audio.unwrap_or_default();
                let pts = first.wrapping_add(start - self.part_time(part)) % WRAP;
                Some(Cut { time: start, times: Times { pts, dts: pts }, part })
            }
        }
    }

    /// Returns the index of the segment with which the audio of a time range begins.
    fn audio_from(&self, cut: Cut) -> usize {
        let from = self.segment_at(cut.time.saturating_sub(LATER) + 1, 0).saturating_sub(1);
        self.parts.get(cut.part).map_or(from, |part| from.max(part.segment))
    }

    /// Returns the index of the first segment that begins at `time` or later, or earlier by `tolerance` at
    /// most.
    pub(super) fn segment_at(&self, time: u64, tolerance: u64) -> usize {
        self.segments.partition_point(|segment| segment.time + tolerance < time)
    }

    /// Returns the part to which a segment belongs.
    fn part_of(&self, index: usize) -> usize {
        self.parts.partition_point(|part| part.segment <= index).saturating_sub(1)
    }

    fn part_time(&self, part: usize) -> u64 {
        self.begins(self.parts[part].segment)
    }

    /// Returns when video with this timestamp, in this segment, is presented, and the part in which that
    /// is.
    pub(super) fn presentation(&self, segment: usize, pts: u64) -> (usize, u64) {
        let part = self.part_of(segment);
        let (begin, expected) = (self.part_time(part), self.begins(segment));
        let origin = self.parts[part].firsts.video.map_or(pts, |times| times.pts);
        let ticks = Clock { origin }.ticks(pts, expected - begin);
        (part, begin.saturating_add_signed(ticks))
    }
}

/// Returns the earliest timestamp of all tracks, which is 0 in the joined file.
fn origin(tracks: &[OutputTrack<'_>]) -> u64 {
    earliest(tracks.iter().map(|track| track.first.dts))
}

/// Returns the earliest of these timestamps, all of which are near to one another.
pub(super) fn earliest(timestamps: impl Iterator<Item = u64> + Clone) -> u64 {
    let any = timestamps.clone().next().unwrap_or_default();
    let earliest = timestamps.map(|time| Clock { origin: any }.ticks(time, 0)).min();
    any.wrapping_add_signed(earliest.unwrap_or_default()) % WRAP
}

/// Returns by how much the presentation of the first frame of all tracks is later than the origin.
fn presentation_begin(tracks: &[OutputTrack<'_>], origin: u64) -> u64 {
    tracks.iter().map(|track| track.begin(origin)).min().unwrap_or_default()
}

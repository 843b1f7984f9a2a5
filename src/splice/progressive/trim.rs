//! Selects the samples of the tracks for a time range, and computes their edit lists. Pure.
//!
//! The first track, the video if there is one, determines where the joined file begins: at a sync
//! sample. The other tracks follow: each begins with the sample that is presented at that time, and its
//! edit list starts within that sample.

use std::time::Duration;

use super::presentation_times::{PresentationTimes, TOO_LONG};
use super::{ParsedTrack, Selection};
use crate::error::Unsupported;
use crate::options::TimeRange;
use crate::splice::edits::{Edit, NANOS, NORMAL_RATE, Rescale, SimpleEdit, rescaled, simple};

/// The origin of the timestamps in a trimmed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeOrigin {
    /// The beginning of the trimmed file.
    Trimmed,
    /// The beginning of the input.
    Input,
}

/// Selects the samples of the tracks for `trim`, which is in the time of the input. `scale` is the
/// movie timescale of the joined file. Also returns when that begins, in nanoseconds of the input.
pub(super) fn select(
    tracks: &[ParsedTrack<'_>],
    trim: TimeRange,
    origin: TimeOrigin,
    scale: u32,
) -> Result<(Vec<Selection>, i64), Unsupported> {
    if trim.is_full() {
        let selections = tracks.iter().map(|track| untrimmed(track, scale));
        return Ok((selections.collect::<Result<_, _>>()?, 0));
    }
    if trim.end.is_some_and(|end| end <= trim.start) {
        return Err(Unsupported("the requested end is not after the start"));
    }
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).map_err(|_| TOO_LONG);
    let mut from = CutPoint::About(nanos(trim.start)?);
    let mut end = trim.end.map(nanos).transpose()?;
    let mut selections = Vec::new();
    for track in tracks {
        let timeline = PresentationTimeline::of(track)?;
        let (start, zero) = timeline.start(from)?;
        let cut_end = timeline.end_at(start.sample, end)?;
        let skipped = if origin == TimeOrigin::Input { zero } else { 0 };
        let empty = start.empty.checked_add(skipped).ok_or(TOO_LONG)?;
        selections.push(timeline.selection(track, scale, CutStart { empty, ..start }, &cut_end)?);
        // The audio lasts as long as the video, whatever other audio does.
        if let CutPoint::About(_) = from {
            end = end.map(|end| cut_end.presentation_end.map_or(end, |until| until.max(end)));
        }
        from = CutPoint::Exactly(zero);
    }
    let (CutPoint::About(begin) | CutPoint::Exactly(begin)) = from;
    Ok((selections, begin))
}

/// Returns the decode time of the last sync sample of a track that is presented no later than `start`.
pub(super) fn entry(track: &ParsedTrack<'_>, start: Duration) -> Option<Duration> {
    let start = CutPoint::About(i64::try_from(start.as_nanos()).ok()?);
    let timeline = PresentationTimeline::of(track).ok()?;
    let (CutStart { sample, .. }, _) = timeline.start(start).ok()?;
    let decoded = track.tables.times.total_before(sample)?;
    let nanos = timeline.nanos(i64::try_from(decoded).ok()?).ok()?;
    Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
}

/// Selects all samples of a track.
fn untrimmed(track: &ParsedTrack<'_>, scale: u32) -> Result<Selection, Unsupported> {
    let edits = rescaled(&track.edits, Rescale { from: track.movie_scale, to: scale })?;
    // The sum cannot overflow: the number of samples has 32 bits, and so has each duration.
    let runs = track.tables.times.runs();
    let media = runs.map(|(count, delta)| u64::from(count) * u64::from(delta)).sum();
    Ok(Selection { samples: 0..track.tables.count(), edits, media, is_cut: false })
}

/// The requested start of a track, in nanoseconds of the input.
#[derive(Clone, Copy)]
enum CutPoint {
    /// At the last sync sample at or before this time.
    About(i64),
    /// At exactly this time, even within a sample.
    Exactly(i64),
}

/// The start of a trimmed track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CutStart {
    /// The first sample.
    sample: u32,
    /// The media time that is presented first.
    shown: i64,
    /// The duration of the empty edit before it, in nanoseconds.
    empty: i64,
}

/// The end of a trimmed track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CutEnd {
    /// The sample after the last one.
    sample: u32,
    /// The media time at which the presentation ends.
    shown: i64,
    /// The same in nanoseconds of the input; `None` at the end of the track.
    presentation_end: Option<i64>,
}

/// The presentation of a track.
struct PresentationTimeline {
    shown: PresentationTimes,
    /// The sync samples, counted from 0; `None` if all are.
    sync: Option<Vec<u32>>,
    /// The media time at which the presentation ends.
    end: i64,
    /// The media time at which the presentation begins.
    media_time: i64,
    /// The duration of the empty edit before it, in nanoseconds.
    empty: i64,
    scale: u32,
}

impl PresentationTimeline {
    fn of(track: &ParsedTrack<'_>) -> Result<PresentationTimeline, Unsupported> {
        let simple =
            simple(&track.edits).ok_or(Unsupported("the edit list is not a single edit"))?;
        let SimpleEdit { empty, media_time, segment } = simple;
        let nanos = Rescale { from: track.movie_scale, to: NANOS }.floor(empty)?;
        let empty = i64::try_from(nanos).map_err(|_| TOO_LONG)?;
        let (shown, mut end) = PresentationTimes::of(&track.tables)?;
        let scale = track.trak.scale;
        if let Some(segment) = segment {
            let segment = Rescale { from: track.movie_scale, to: scale }.ceil(segment)?;
            let until = i64::try_from(segment).ok().and_then(|ticks| ticks.checked_add(media_time));
            end = end.min(until.ok_or(TOO_LONG)?);
        }
        let sync = track.tables.sync_numbers().map(|sync| sync.map(|number| number - 1).collect());
        Ok(PresentationTimeline { shown, sync, end, media_time, empty, scale })
    }

    /// Converts a media time to a presentation time in nanoseconds.
    fn nanos(&self, ticks: i64) -> Result<i64, Unsupported> {
        let since = i128::from(ticks) - i128::from(self.media_time);
        let nanos = (since * i128::from(NANOS)).div_euclid(self.scale.into());
        i64::try_from(nanos + i128::from(self.empty)).map_err(|_| TOO_LONG)
    }

    /// Converts a presentation time to a media time, rounding to the nearest.
    fn ticks(&self, nanos: i64) -> Result<i64, Unsupported> {
        let since = (i128::from(nanos) - i128::from(self.empty)) * i128::from(self.scale);
        let ticks = (since + i128::from(NANOS / 2)).div_euclid(NANOS.into());
        i64::try_from(ticks + i128::from(self.media_time)).map_err(|_| TOO_LONG)
    }

    /// Returns the first media time that is presented no earlier than `nanos`.
    fn from(&self, nanos: i64) -> i64 {
        let since = (i128::from(nanos) - i128::from(self.empty)) * i128::from(self.scale);
        let ticks = -(-since).div_euclid(NANOS.into()) + i128::from(self.media_time);
        i64::try_from(ticks).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
    }

    /// Returns the last sync sample that is presented no later than `ticks`.
    fn sync_before(&self, ticks: i64) -> Option<u32> {
        let is_before = |sample: &u32| self.shown.at(*sample).is_some_and(|at| at <= ticks);
        match &self.sync {
            Some(sync) => sync.iter().copied().rfind(is_before),
            None => self.shown.last_up_to(ticks),
        }
    }

    /// Returns the start of the track if the file starts at `from`, and the exact presentation time of
    /// that start.
    fn start(&self, from: CutPoint) -> Result<(CutStart, i64), Unsupported> {
        let (CutPoint::About(at) | CutPoint::Exactly(at)) = from;
        if at >= self.nanos(self.end)? {
            return Err(Unsupported("the track ends before the requested start"));
        }
        if at < self.empty {
            let sample = self.sync_before(self.media_time).unwrap_or(0);
            return Ok((CutStart { sample, shown: self.media_time, empty: self.empty - at }, at));
        }
        let ticks = self.ticks(at)?;
        let before = self.sync_before(ticks);
        let shown = match (from, before) {
            (CutPoint::About(_), Some(sample)) => {
                self.shown.at(sample).ok_or(TOO_LONG)?.max(self.media_time)
            }
            _ => ticks,
        };
        let start = CutStart { sample: before.unwrap_or(0), shown, empty: 0 };
        Ok((start, if let CutPoint::About(_) = from { self.nanos(shown)? } else { at }))
    }

    /// Returns the end of the track that begins with the sample `first`, so that no omitted sample is
    /// presented before a selected one.
    fn end_at(&self, first: u32, end: Option<i64>) -> Result<CutEnd, Unsupported> {
        let own = CutEnd { sample: self.shown.count(), shown: self.end, presentation_end: None };
        let Some(end) = end else { return Ok(own) };
        let Some((sample, shown)) = self.shown.cut_behind(first, &(self.from(end)..self.end))
        else {
            return Ok(own);
        };
        Ok(CutEnd { sample, shown, presentation_end: Some(self.nanos(shown)?) })
    }

    fn selection(
        &self,
        track: &ParsedTrack<'_>,
        scale: u32,
        start: CutStart,
        cut_end: &CutEnd,
    ) -> Result<Selection, Unsupported> {
        let samples = start.sample..cut_end.sample;
        let time = |sample| track.tables.times.total_before(sample).ok_or(TOO_LONG);
        let decoded = time(start.sample)?;
        let media = time(cut_end.sample)? - decoded;
        // A gap at the start becomes an empty edit: players disagree about an edit that begins before
        // the first sample.
        let shown = self.shown.earliest(&samples).unwrap_or(start.shown).max(start.shown);
        let gap = self.nanos(shown)? - self.nanos(start.shown)?;
        let start =
            CutStart { shown, empty: start.empty.checked_add(gap).ok_or(TOO_LONG)?, ..start };
        let decoded = i64::try_from(decoded).map_err(|_| TOO_LONG)?;
        let media_time = start.shown - decoded;
        if media_time < 0 {
            return Err(Unsupported("samples are presented before they are decoded"));
        }
        let ticks = u64::try_from(cut_end.shown - start.shown).ok().filter(|ticks| *ticks > 0);
        let ticks =
            ticks.ok_or(Unsupported("the track has no samples in the requested time range"))?;
        let segment = Rescale { from: self.scale, to: scale }.ceil(ticks)?;
        let empty = u64::try_from(start.empty).map_err(|_| TOO_LONG)?;
        let empty = Rescale { from: NANOS, to: scale }.round(empty)?;
        let mut edits = Vec::new();
        if empty > 0 {
            edits.push(Edit { segment: empty, media_time: -1, rate: NORMAL_RATE });
        }
        edits.push(Edit { segment, media_time, rate: NORMAL_RATE });
        Ok(Selection { samples, edits, media, is_cut: true })
    }
}

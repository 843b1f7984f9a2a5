//! Which samples of the tracks are wanted, and when they are shown. Pure.
//!
//! The first track, the picture if there is one, says where the joined file begins: at a sample that
//! can be decoded alone. The other follows: it begins with the sample that is heard at that time,
//! and its edit list says where within that sample.

use std::time::Duration;

use super::shown::{Shown, TOO_LONG};
use super::{ParsedTrack, Selection};
use crate::error::Unsupported;
use crate::options::TimeRange;
use crate::splice::edits::{Edit, NANOS, NORMAL, Rescale, SimpleEdit, rescaled, simple};

/// From when on the times of a part count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// From its own beginning.
    Anew,
    /// From that of the film.
    Kept,
}

/// What of the tracks is wanted, in the time scale of the joined file. `trim` is by their own clock.
pub(super) fn select(
    tracks: &[ParsedTrack<'_>],
    trim: TimeRange,
    clock: Clock,
    scale: u32,
) -> Result<Vec<Selection>, Unsupported> {
    if trim.is_full() {
        return tracks.iter().map(|track| whole(track, scale)).collect();
    }
    if trim.end.is_some_and(|end| end <= trim.start) {
        return Err(Unsupported("the requested end is not after the start"));
    }
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).map_err(|_| TOO_LONG);
    let mut from = CutPoint::About(nanos(trim.start)?);
    let mut end = trim.end.map(nanos).transpose()?;
    let mut selections = Vec::new();
    for track in tracks {
        let line = PresentationTimeline::of(track)?;
        let (start, zero) = line.start(from)?;
        let stop = line.stop(start.sample, end)?;
        let passed = if clock == Clock::Kept { zero } else { 0 };
        let empty = start.empty.checked_add(passed).ok_or(TOO_LONG)?;
        selections.push(line.selection(track, scale, CutStart { empty, ..start }, &stop)?);
        // What is seen longer is heard longer too.
        end = end.map(|end| stop.shown_until.map_or(end, |until| until.max(end)));
        from = CutPoint::Exactly(zero);
    }
    Ok(selections)
}

/// When the last sample of a track that can be decoded alone, and is shown no later than `start`, is
/// decoded.
pub(super) fn entry(track: &ParsedTrack<'_>, start: Duration) -> Option<Duration> {
    let start = CutPoint::About(i64::try_from(start.as_nanos()).ok()?);
    let line = PresentationTimeline::of(track).ok()?;
    let (CutStart { sample, .. }, _) = line.start(start).ok()?;
    let decoded = track.tables.times.total_before(sample)?;
    let nanos = line.nanos(i64::try_from(decoded).ok()?).ok()?;
    Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
}

/// All of a track.
fn whole(track: &ParsedTrack<'_>, scale: u32) -> Result<Selection, Unsupported> {
    let edits = rescaled(&track.edits, Rescale { from: track.movie_scale, to: scale })?;
    // Neither sum can overflow: there are not that many samples.
    let runs = track.tables.times.runs();
    let media = runs.map(|(count, delta)| u64::from(count) * u64::from(delta)).sum();
    Ok(Selection { samples: 0..track.tables.count(), edits, media, is_cut: false })
}

/// Where a track is to begin, in nanoseconds of the film.
#[derive(Clone, Copy)]
enum CutPoint {
    /// Where it can be cut, then or before.
    About(i64),
    /// Then, be it within a sample.
    Exactly(i64),
}

/// Where a track begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CutStart {
    /// With which sample.
    sample: u32,
    /// Which time of its media is shown first.
    shown: i64,
    /// For how many nanoseconds nothing is shown before.
    empty: i64,
}

/// Where a track ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CutEnd {
    /// Before which sample.
    sample: u32,
    /// Until which time of its media it is shown.
    shown: i64,
    /// That, in nanoseconds of the film, if it is not its own end.
    shown_until: Option<i64>,
}

/// When the samples of a track are shown.
struct PresentationTimeline {
    shown: Shown,
    /// Those that can be decoded alone, counted from 0; all, if it is not said.
    sync: Option<Vec<u32>>,
    /// When the last one is over, or is not shown any more.
    end: i64,
    /// Where its media begin to be shown.
    media_time: i64,
    /// When they do, in nanoseconds.
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
        let (shown, mut end) = Shown::of(&track.tables)?;
        let scale = track.trak.scale;
        if let Some(segment) = segment {
            let segment = Rescale { from: track.movie_scale, to: scale }.ceil(segment)?;
            let until = i64::try_from(segment).ok().and_then(|ticks| ticks.checked_add(media_time));
            end = end.min(until.ok_or(TOO_LONG)?);
        }
        let sync = track.tables.sync_numbers().map(|sync| sync.map(|number| number - 1).collect());
        Ok(PresentationTimeline { shown, sync, end, media_time, empty, scale })
    }

    /// When this time of the media is shown.
    fn nanos(&self, ticks: i64) -> Result<i64, Unsupported> {
        let since = i128::from(ticks) - i128::from(self.media_time);
        let nanos = (since * i128::from(NANOS)).div_euclid(self.scale.into());
        i64::try_from(nanos + i128::from(self.empty)).map_err(|_| TOO_LONG)
    }

    /// Which time of the media is shown then: the nearest.
    fn ticks(&self, nanos: i64) -> Result<i64, Unsupported> {
        let since = (i128::from(nanos) - i128::from(self.empty)) * i128::from(self.scale);
        let ticks = (since + i128::from(NANOS / 2)).div_euclid(NANOS.into());
        i64::try_from(ticks + i128::from(self.media_time)).map_err(|_| TOO_LONG)
    }

    /// The first time of the media that is shown no earlier than that.
    fn from(&self, nanos: i64) -> i64 {
        let since = (i128::from(nanos) - i128::from(self.empty)) * i128::from(self.scale);
        let ticks = -(-since).div_euclid(NANOS.into()) + i128::from(self.media_time);
        i64::try_from(ticks).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
    }

    /// The last sample that can be decoded alone and is shown no later than `ticks`.
    fn sync_before(&self, ticks: i64) -> Option<u32> {
        let is_before = |sample: &u32| self.shown.at(*sample).is_some_and(|at| at <= ticks);
        match &self.sync {
            Some(sync) => sync.iter().copied().rfind(is_before),
            None => self.shown.last_up_to(ticks),
        }
    }

    /// Where the track begins if the film begins `from` there, and when in the film that is.
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

    /// Where the track ends that begins with the sample `first`: so that nothing that is left out
    /// is shown before anything that is kept.
    fn stop(&self, first: u32, end: Option<i64>) -> Result<CutEnd, Unsupported> {
        let own = CutEnd { sample: self.shown.count(), shown: self.end, shown_until: None };
        let Some(end) = end else { return Ok(own) };
        let Some((sample, shown)) = self.shown.cut_behind(first, &(self.from(end)..self.end))
        else {
            return Ok(own);
        };
        Ok(CutEnd { sample, shown, shown_until: Some(self.nanos(shown)?) })
    }

    fn selection(
        &self,
        track: &ParsedTrack<'_>,
        scale: u32,
        start: CutStart,
        stop: &CutEnd,
    ) -> Result<Selection, Unsupported> {
        let samples = start.sample..stop.sample;
        let time = |sample| track.tables.times.total_before(sample).ok_or(TOO_LONG);
        let decoded = time(start.sample)?;
        let media = time(stop.sample)? - decoded;
        // Where nothing is shown at first, the edit list says so: players disagree about a track that
        // it lets begin before its first sample.
        let shown = self.shown.earliest(&samples).unwrap_or(start.shown).max(start.shown);
        let wait = self.nanos(shown)? - self.nanos(start.shown)?;
        let start =
            CutStart { shown, empty: start.empty.checked_add(wait).ok_or(TOO_LONG)?, ..start };
        let decoded = i64::try_from(decoded).map_err(|_| TOO_LONG)?;
        let media_time = start.shown - decoded;
        if media_time < 0 {
            return Err(Unsupported("samples are presented before they are decoded"));
        }
        let ticks = u64::try_from(stop.shown - start.shown).ok().filter(|ticks| *ticks > 0);
        let ticks =
            ticks.ok_or(Unsupported("the track has no samples in the requested time range"))?;
        let segment = Rescale { from: self.scale, to: scale }.ceil(ticks)?;
        let empty = u64::try_from(start.empty).map_err(|_| TOO_LONG)?;
        let empty = Rescale { from: NANOS, to: scale }.round(empty)?;
        let mut edits = Vec::new();
        if empty > 0 {
            edits.push(Edit { segment: empty, media_time: -1, rate: NORMAL });
        }
        edits.push(Edit { segment, media_time, rate: NORMAL });
        Ok(Selection { samples, edits, media, is_cut: true })
    }
}

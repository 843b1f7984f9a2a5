//! Selects the cluster runs for a time range, and computes its exact bounds. Pure.

use std::ops::Range;
use std::time::Duration;

use super::Track;
use crate::container::mpeg_ts;
use crate::error::Unsupported;
use crate::options::TimeRange;

/// The time range of the joined file, in ticks of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeWindow {
    /// The time that becomes 0.
    pub(super) zero: u64,
    /// Blocks from this time on are dropped.
    pub(super) until: u64,
}

/// The selected contents of the joined file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RunSelection {
    /// The indexes of the runs of each track.
    pub(super) runs: Vec<Range<usize>>,
    /// `None` if nothing is trimmed; timestamps stay as they are then.
    pub(super) cut: Option<TimeWindow>,
    /// When the media begins, on the clock of the input.
    pub(super) begin: Duration,
    /// The duration of the joined file.
    pub(super) duration: Duration,
}

/// Selects the runs for `trim`, which is relative to the beginning of the media. The first track
/// determines the cuts, at the beginnings of its runs; of the other track the blocks in between are
/// selected. `tracks` must not be empty.
pub(super) fn select(tracks: &[&Track], trim: TimeRange) -> Result<RunSelection, Unsupported> {
    let begins = tracks
        .iter()
        .filter_map(|track| track.runs.first().map(|run| duration(run.time, track.info.scale)));
    let begin = begins.min().unwrap_or_default();
    let longest = tracks.iter().map(|track| track.info.duration).max().unwrap_or_default();
    if trim.is_full() {
        let runs = tracks.iter().map(|track| 0..track.runs.len()).collect();
        return Ok(RunSelection { runs, cut: None, begin, duration: longest });
    }
    // In a file that begins late, Duration may mean the duration or the end.
    let longest = if longest > begin { longest } else { begin.saturating_add(longest) };
    let trim = trim.on_clock_from(begin);
    if trim.start >= longest {
        return Err(Unsupported("the media ends before the requested start"));
    }
    if trim.end.is_some_and(|end| end <= trim.start) {
        return Err(Unsupported("the requested end is not after the start"));
    }
    let (range, cut) = cut_first_track(tracks[0], trim);
    let others = tracks[1..].iter().map(|track| overlapping(track, cut));
    let scale = tracks[0].info.scale;
    let duration =
        longest.min(duration(cut.until, scale)).saturating_sub(duration(cut.zero, scale));
    let runs = std::iter::once(range).chain(others).collect();
    Ok(RunSelection { runs, cut: Some(cut), begin, duration })
}

/// Returns the runs of the track that determines the cuts, and the cuts.
fn cut_first_track(track: &Track, trim: TimeRange) -> (Range<usize>, TimeWindow) {
    let (runs, scale) = (&track.runs, track.info.scale);
    let start = ticks(trim.start, scale);
    let first = runs.partition_point(|run| run.time <= start).saturating_sub(1);
    // Media that begins after the requested start keeps the gap.
    let zero = runs[first].time.min(start);
    let Some(end) = trim.end else {
        return (first..runs.len(), TimeWindow { zero, until: u64::MAX });
    };
    let end = ticks(end + Duration::from_nanos(scale - 1), scale);
    let next = runs.partition_point(|run| run.time < end).max(first + 1);
    let Some(run) = runs.get(next) else {
        let until = end.max(ticks(track.info.duration, scale));
        return (first..runs.len(), TimeWindow { zero, until });
    };
    // Blocks of this run that precede its cue are before the end.
    (first..next + usize::from(run.is_inside), TimeWindow { zero, until: run.time })
}

/// Returns the time of the last run with a cue at or before `start`.
pub(super) fn entry(track: &Track, start: Duration) -> Option<Duration> {
    let (runs, scale) = (&track.runs, track.info.scale);
    let behind = runs.partition_point(|run| run.time <= ticks(start, scale));
    let run = runs[..behind].iter().rfind(|run| run.is_cue)?;
    Some(duration(run.time, scale))
}

/// Returns the runs that overlap the time window.
fn overlapping(track: &Track, cut: TimeWindow) -> Range<usize> {
    let runs = &track.runs;
    let first = runs.partition_point(|run| run.time <= cut.zero).saturating_sub(1);
    let next = runs.partition_point(|run| run.time < cut.until);
    let inside = runs.get(next).is_some_and(|run| run.is_inside);
    first..(next + usize::from(inside)).max(first)
}

/// Converts a time to ticks, rounding down.
pub(super) fn ticks(time: Duration, scale: u64) -> u64 {
    u64::try_from(time.as_nanos() / u128::from(scale)).unwrap_or(u64::MAX)
}

pub(super) fn duration(ticks: u64, scale: u64) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    let nanos = u128::from(ticks) * u128::from(scale);
    let seconds = u64::try_from(nanos / SECOND).unwrap_or(u64::MAX);
    // The rest of a division by 10^9.
    Duration::new(seconds, (nanos % SECOND) as u32)
}

/// Returns a time in ticks of 1/90000 s, in which segments are compared with their list.
pub(super) fn on_clock(time: u64, scale: u64) -> i64 {
    i64::try_from(mpeg_ts::ticks(duration(time, scale))).unwrap_or(i64::MAX)
}

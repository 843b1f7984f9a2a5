//! Which pieces of the tracks are in the joined file, and when it begins and ends. Pure.

use std::ops::Range;
use std::time::Duration;

use super::Track;
use crate::error::Unsupported;
use crate::options::TimeRange;

/// The part of the film that is left, in ticks of the film.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeWindow {
    /// What becomes 0.
    pub(super) zero: u64,
    /// What begins from here on is left out.
    pub(super) until: u64,
}

/// What is in the joined file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The pieces of each track.
    pub(super) runs: Vec<Range<usize>>,
    /// Nothing if it is all of the film, whose times are then left as they are.
    pub(super) cut: Option<TimeWindow>,
    /// How long it plays.
    pub(super) duration: Duration,
}

/// Chooses. The first track says where the cuts are, at the beginnings of its pieces; of the other
/// one there is what plays in between. `trim` is counted from where the film begins. `tracks` must not
/// be empty.
pub(super) fn choose(tracks: &[&Track], trim: TimeRange) -> Result<Choice, Unsupported> {
    let begins = tracks
        .iter()
        .filter_map(|track| track.runs.first().map(|run| duration(run.time, track.info.scale)));
    let begin = begins.min().unwrap_or_default();
    let longest = tracks.iter().map(|track| track.info.duration).max().unwrap_or_default();
    if trim.is_full() {
        let runs = tracks.iter().map(|track| 0..track.runs.len()).collect();
        return Ok(Choice { runs, cut: None, duration: longest });
    }
    // A file that begins late may say how long it plays, or until when.
    let longest = if longest > begin { longest } else { begin.saturating_add(longest) };
    let trim = trim.on_clock_from(begin);
    if trim.start >= longest {
        return Err(Unsupported("the media ends before the requested start"));
    }
    if trim.end.is_some_and(|end| end <= trim.start) {
        return Err(Unsupported("the requested end is not after the start"));
    }
    let (range, cut) = lead(tracks[0], trim);
    let others = tracks[1..].iter().map(|track| within(track, cut));
    let scale = tracks[0].info.scale;
    let duration =
        longest.min(duration(cut.until, scale)).saturating_sub(duration(cut.zero, scale));
    let runs = std::iter::once(range).chain(others).collect();
    Ok(Choice { runs, cut: Some(cut), duration })
}

/// Where the track is cut that says it.
fn lead(track: &Track, trim: TimeRange) -> (Range<usize>, TimeWindow) {
    let (runs, scale) = (&track.runs, track.info.scale);
    let start = ticks(trim.start, scale);
    let first = runs.partition_point(|run| run.time <= start).saturating_sub(1);
    // A film that begins later than it is wanted begins when it is wanted.
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
    // What it has in front of its cue belongs to the part.
    (first..next + usize::from(run.is_inside), TimeWindow { zero, until: run.time })
}

/// When the last piece begins that a player may begin with, and that plays at `start`.
pub(super) fn entry(track: &Track, start: Duration) -> Option<Duration> {
    let (runs, scale) = (&track.runs, track.info.scale);
    let behind = runs.partition_point(|run| run.time <= ticks(start, scale));
    let run = runs[..behind].iter().rfind(|run| run.is_cue)?;
    Some(duration(run.time, scale))
}

/// The pieces of which something plays in this part.
fn within(track: &Track, cut: TimeWindow) -> Range<usize> {
    let runs = &track.runs;
    let first = runs.partition_point(|run| run.time <= cut.zero).saturating_sub(1);
    let next = runs.partition_point(|run| run.time < cut.until);
    let inside = runs.get(next).is_some_and(|run| run.is_inside);
    first..(next + usize::from(inside)).max(first)
}

/// Whole ticks in this time.
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

//! Leaves intervals out of the tracks: of video, whole cluster runs between cues; of audio, the blocks that belong to
//! them, or to the intervals themselves where there is no video. Pure.

use std::ops::Range;
use std::time::Duration;

use super::cut::{RunSelection, duration, ticks};
use super::{MAX_TICKS, Track};
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::media::removal::Removal;

/// What is left of the media behind an interval is left out, too, if it is no longer: pages round durations.
const REST: Duration = Duration::from_secs(1);

/// Returns what can be left out of `removal`, which is in nanoseconds from the beginning of the media, in ticks.
pub(super) fn in_ticks(
    tracks: &[&Track],
    removal: &Removal,
    selection: &RunSelection,
) -> Result<Removal, Unsupported> {
    if removal.is_empty() {
        return Ok(Removal::NONE);
    }
    if tracks.iter().any(|track| !track.declared.is_empty()) {
        return Err(Unsupported("nothing can be left out of segments"));
    }
    let lead = tracks[0];
    let scale = lead.info.scale;
    let end = end(tracks, selection.begin);
    let intervals = removal.intervals().iter().filter_map(|interval| {
        let [from, to] = [interval.start, interval.end].map(Duration::from_nanos);
        let [from, to] = [from, to].map(|time| time.saturating_add(selection.begin));
        let is_last = to.saturating_add(REST) >= end;
        let times = ticks(from, scale)..if is_last { MAX_TICKS } else { ticks(to, scale) };
        match lead.entry.kind {
            TrackKind::Video => between_cues(lead, &times),
            TrackKind::Audio => Some(times),
        }
    });
    let found = Removal::new(intervals);
    let begin = lead.runs.first().map_or(0, |run| run.time);
    if found.moved(ticks(end, scale)) <= found.moved(begin) {
        return Err(Unsupported("nothing would be left of the media"));
    }
    Ok(found)
}

/// Returns when the media ends, which begins at `begin`.
pub(super) fn end(tracks: &[&Track], begin: Duration) -> Duration {
    let longest = tracks.iter().map(|track| track.info.duration).max().unwrap_or_default();
    // In a file that begins late, Duration may mean the duration or the end.
    if longest > begin { longest } else { begin.saturating_add(longest) }
}

/// Returns the times between the first cue and the last one within an interval, or to the end.
fn between_cues(track: &Track, times: &Range<u64>) -> Option<Range<u64>> {
    let cues = || track.runs.iter().filter(|run| run.is_cue);
    let from = cues().find(|run| run.time >= times.start)?.time;
    let to = match times.end {
        MAX_TICKS => MAX_TICKS,
        end => cues().rfind(|run| run.time <= end)?.time,
    };
    (from < to).then_some(from..to)
}

/// Returns whether a run has blocks that are left.
pub(super) fn is_left(track: &Track, index: usize, removal: &Removal) -> bool {
    let time = |index: usize| track.runs.get(index).map_or(MAX_TICKS, |run| run.time);
    let run = track.runs[index];
    // Blocks before the one that its cue points to are later than those of the run before it.
    let from = if run.is_inside { time(index.saturating_sub(1)) } else { run.time };
    !removal.covers(&(from..time(index + 1)))
}

/// Returns the intervals in nanoseconds from the beginning of the media.
pub(super) fn in_nanos(removal: &Removal, begin: Duration, scale: u64) -> Removal {
    let nanos = |ticks: u64| {
        let nanos = duration(ticks, scale).saturating_sub(begin).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX)
    };
    Removal::new(removal.intervals().iter().map(|times| nanos(times.start)..nanos(times.end)))
}

//! The layout of the joined WebM file: the pieces of both tracks in the order of their times, and
//! the cues that lead to them. Pure.

use std::ops::Range;
use std::time::Duration;

use super::cut::{self, Choice, TimeWindow};
use super::{ClusterRewriteRules, Track, head};
use crate::container::Container;
use crate::error::Unsupported;
use crate::splice::{Layout, Options, Plan, layout};

/// A piece that plays longer than this keeps the other track waiting for too long: a player has to
/// hold all of it.
const MAX_RUN: Duration = Duration::from_secs(60);

/// A piece in the joined file.
struct Placed {
    /// Its track, by its place among the tracks.
    track: u8,
    /// Where it is in its own file.
    range: Range<u64>,
    /// Where it is behind the head of the joined file.
    at: u64,
    /// In ticks of the film.
    time: u64,
    is_cue: bool,
}

pub(super) fn plan(tracks: &[&Track], options: &Options<'_>) -> Result<Plan, Unsupported> {
    if tracks.len() > 1 && tracks.iter().any(|track| is_coarse(track)) {
        return Err(Unsupported(
            "the index (Cues) is too coarse to join the file with another one",
        ));
    }
    let choice = cut::choose(tracks, options.time_range)?;
    let placed = place(tracks, &choice);
    let media = placed.last().map_or(0, |last| last.at + (last.range.end - last.range.start));
    let cut = choice.cut.unwrap_or(TimeWindow { zero: 0, until: u64::MAX });
    let entries: Vec<_> = tracks.iter().map(|track| &track.entry).collect();
    let head = head::Head {
        entries: &entries,
        scale: tracks[0].info.scale,
        duration: choice.duration,
        tags: options.metadata,
        cues: &cues(&placed, cut),
        media,
    };
    let head = head.bytes()?;
    let mut layout = Layout::with_capacity(placed.len());
    let mut rules = ClusterRewriteRules::new(&entries, choice.cut);
    for run in placed {
        rules.expect(run.time);
        layout.add(run.track, run.range);
    }
    Ok(layout.plan(head, Container::Webm, choice.duration, layout::Rewriter::Clusters(rules)))
}

/// Whether a piece of the track plays for too long.
fn is_coarse(track: &Track) -> bool {
    let scale = u128::from(track.info.scale);
    let times = track.runs.iter().map(|run| u128::from(run.time) * scale);
    let ends = times.clone().skip(1).chain([track.info.duration.as_nanos()]);
    times.zip(ends).any(|(time, end)| end.saturating_sub(time) > MAX_RUN.as_nanos())
}

/// Both tracks by time. Sound first where both begin at once: what a cue leads to is the sound that
/// plays at its time, and the less lies between that and the picture the better.
fn place(tracks: &[&Track], choice: &Choice) -> Vec<Placed> {
    let mut placed = Vec::new();
    for (number, (track, range)) in (0..).zip(tracks.iter().zip(&choice.runs)) {
        placed.extend(range.clone().map(|index| Placed {
            track: number,
            range: track.at(index)..track.at(index + 1),
            at: 0,
            time: track.runs[index].time,
            is_cue: track.runs[index].is_cue,
        }));
    }
    placed.sort_by_key(|run| (run.time, std::cmp::Reverse(run.track)));
    let mut at = 0;
    for run in &mut placed {
        run.at = at;
        at += run.range.end - run.range.start;
    }
    placed
}

/// When the first track can be played from, and where that is: at its cluster or, if that is
/// earlier, at the cluster of the other track that plays then. Players look from there on; one that
/// began at the picture would be silent up to the next cluster of sound.
fn cues(placed: &[Placed], cut: TimeWindow) -> Vec<(u64, u64)> {
    let (mut cues, mut sound) = (Vec::new(), u64::MAX);
    for run in placed {
        if run.track > 0 {
            sound = run.at;
        } else if (run.is_cue && run.time < cut.until) || cues.is_empty() {
            cues.push((run.time.saturating_sub(cut.zero), run.at.min(sound)));
        }
    }
    cues
}

//! Lays out the joined WebM file: the cluster runs of all tracks in the order of their times, and the
//! cues that point to them. Pure.

use std::ops::Range;
use std::time::Duration;

use super::cut::{self, RunSelection, TimeWindow};
use super::{ClusterRewriteRules, Track, head, removal, texts};
use crate::container::Container;
use crate::error::Unsupported;
use crate::media::removal::Removal;
use crate::media::segments::Declared;
use crate::media::subtitles::Subtitles;
use crate::splice::text_track::check_total;
use crate::splice::{Layout, Options, Plan, layout};

/// The longest duration of a run. A longer one would keep the other tracks waiting, and a player would
/// have to buffer all of it.
const MAX_RUN: Duration = Duration::from_secs(60);

/// A cluster run in the joined file.
struct PlacedRun {
    /// The index of the track.
    track: u8,
    /// The byte range in the input file.
    range: Range<u64>,
    /// The offset after the header of the joined file.
    at: u64,
    /// The clusters of subtitles before it.
    text: Vec<u8>,
    /// The time in ticks of the input, and in those of the joined file.
    time: u64,
    shown: u64,
    is_cue: bool,
    /// What is declared of a segment, and whether it is the last one.
    declared: Option<(Declared, bool)>,
}

pub(super) fn plan(tracks: &[&Track], options: &Options<'_>) -> Result<Plan, Unsupported> {
    if tracks.len() > 1 && tracks.iter().any(|track| is_coarse(track)) {
        return Err(Unsupported(
            "the index (Cues) is too coarse to join the file with another one",
        ));
    }
    let mut selection = cut::select(tracks, options.time_range)?;
    let removal = removal::in_ticks(tracks, &options.metadata.removal, &selection)?;
    let cut = selection.cut.unwrap_or(TimeWindow { zero: 0, until: u64::MAX });
    let entries: Vec<_> = tracks.iter().map(|track| &track.entry).collect();
    let scale = tracks[0].info.scale;
    let begin = selection.begin.as_nanos();
    let end = cut.until.min(cut::ticks(removal::end(tracks, selection.begin), scale));
    let gone = removal.before(end).saturating_sub(removal.before(cut.zero));
    selection.duration = selection.duration.saturating_sub(cut::duration(gone, scale));
    let zero = cut::duration(removal.moved(cut.zero), scale).as_nanos();
    // Far below the limit of either type.
    let origin = zero.cast_signed() - begin.cast_signed();
    let gone = removal::in_nanos(&removal, selection.begin, scale);
    let metadata = &options.metadata.without(&gone).within(origin, selection.duration);
    let texts = texts::shown(&metadata.subtitles);
    let mut placed = ordered(tracks, &selection, &removal);
    add_texts(&mut placed, &texts, entries.len() as u64 + 1, scale);
    let media = place(&mut placed);
    check_total(placed.iter().map(|run| run.text.len()).sum())?;
    let head = head::Head {
        entries: &entries,
        texts: &texts,
        scale,
        duration: selection.duration,
        tags: metadata,
        cues: &cues(&placed, tracks.len(), cut, &removal),
        media,
    };
    let head = head.bytes()?;
    let mut layout = Layout::with_capacity(placed.len());
    let mut rules = ClusterRewriteRules::new(&entries, (selection.cut, removal), scale);
    for run in placed {
        rules.push(run.time, run.declared);
        layout.add_inline(&run.text);
        layout.add(run.track, run.range);
    }
    Ok(layout.plan(head, Container::Webm, selection.duration, layout::Rewriter::Clusters(rules)))
}

/// Puts the subtitles before the runs of the first track, each before that of its time. The tracks of text have numbers
/// from `first` on; a tick has `scale` nanoseconds.
fn add_texts(placed: &mut [PlacedRun], texts: &[&Subtitles], first: u64, scale: u64) {
    let leads: Vec<usize> = (0..placed.len()).filter(|index| placed[*index].track == 0).collect();
    let mut from = 0;
    for (number, index) in leads.iter().enumerate() {
        let next = leads.get(number + 1).map(|next| placed[*next].shown);
        let until = next.unwrap_or(u64::MAX).max(from);
        placed[*index].text = texts::clusters(texts, first, &(from..until), scale);
        from = until;
    }
}

/// Tells the runs where they are in the joined file; returns the length of all.
fn place(placed: &mut [PlacedRun]) -> u64 {
    placed.iter_mut().fold(0, |at, run| {
        run.at = at + run.text.len() as u64;
        run.at + (run.range.end - run.range.start)
    })
}

/// Returns whether a run of the track is too long.
fn is_coarse(track: &Track) -> bool {
    let scale = u128::from(track.info.scale);
    let times = track.runs.iter().map(|run| u128::from(run.time) * scale);
    let ends = times.clone().skip(1).chain([track.info.duration.as_nanos()]);
    times.zip(ends).any(|(time, end)| end.saturating_sub(time) > MAX_RUN.as_nanos())
}

/// Orders the runs of all tracks by time, audio first where both begin together: seeking to a cue then
/// finds the audio that plays at its time, as close to the video as possible.
fn ordered(tracks: &[&Track], selection: &RunSelection, removal: &Removal) -> Vec<PlacedRun> {
    let zero = removal.moved(selection.cut.map_or(0, |cut| cut.zero));
    let mut placed = Vec::new();
    for (number, (track, range)) in (0..).zip(tracks.iter().zip(&selection.runs)) {
        let left = range.clone().filter(|index| removal::is_left(track, *index, removal));
        placed.extend(left.map(|index| PlacedRun {
            track: number,
            range: track.at(index)..track.at(index + 1),
            at: 0,
            text: Vec::new(),
            time: track.runs[index].time,
            shown: removal.moved(track.runs[index].time).saturating_sub(zero),
            is_cue: track.runs[index].is_cue,
            declared: track.declared.get(index).map(|own| (*own, index + 1 == range.end)),
        }));
    }
    placed.sort_by_key(|run| (run.time, std::cmp::Reverse(run.track)));
    placed
}

/// Returns the cues: the times at which the first track can be decoded, with the offset of its cluster
/// or, if that is smaller, of the first of the clusters of the other tracks that play then. Players read from there;
/// one that began at the video would be silent up to the next audio cluster.
fn cues(
    placed: &[PlacedRun],
    tracks: usize,
    cut: TimeWindow,
    removal: &Removal,
) -> Vec<(u64, u64)> {
    let (mut cues, mut playing) = (Vec::new(), vec![u64::MAX; tracks]);
    for run in placed {
        if run.track > 0 {
            playing[usize::from(run.track)] = run.at;
        } else if (run.is_cue && run.time < cut.until && !removal.contains(run.time))
            || cues.is_empty()
        {
            let own = run.at - run.text.len() as u64;
            let first = playing.iter().fold(own, |first, at| first.min(*at));
            cues.push((run.shown, first));
        }
    }
    cues
}

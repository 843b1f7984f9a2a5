//! The order of the joined file: the samples of each track in chunks of about the same time, and
//! the chunks of the tracks in turn, so that a player finds near each other what it plays together.

use std::ops::Range;

use super::samples::Sample;
use super::{Open, Selection};
use crate::mux::splice::Refusal;
use crate::mux::splice::edits::{Scale, plain};

/// How long the samples of a chunk last together, in milliseconds.
const STEP: u64 = 500;
/// In how many chunks a track is divided at most: the pieces of two tracks, of 16 bytes each, then
/// take up half a MiB.
const MOST_CHUNKS: u64 = 1 << 14;

/// Samples that follow each other in the joined file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Which step of the time they belong to.
    step: u64,
    /// How many they are.
    pub(super) samples: u32,
    /// How many bytes they have.
    pub(super) len: u64,
    /// In how many runs of bytes they lie in their file.
    pub(super) runs: u32,
    /// What describes them all.
    pub(super) description: u32,
}

/// A track in its new chunks.
pub(super) struct Chunked {
    pub(super) chunks: Vec<Chunk>,
    /// Where the bytes of the chunks are in the file.
    pub(super) runs: Vec<Range<u64>>,
}

/// The time that is divided in steps.
#[derive(Clone, Copy)]
struct Clock {
    /// What has this time is shown first.
    zero: i128,
    /// Ticks of a step, times 1000.
    step: u128,
}

impl Clock {
    fn of(track: &Open<'_>, zero: i128, step: u64) -> Clock {
        Clock { zero, step: u128::from(step) * u128::from(track.trak.scale) }
    }

    fn step_at(self, time: u64) -> u64 {
        let since = u128::try_from(i128::from(time) - self.zero).unwrap_or(0);
        u64::try_from(since * 1000 / self.step).unwrap_or(u64::MAX)
    }

    /// When the step behind this one begins, unless it never does.
    fn end_of(self, step: u64) -> Option<u64> {
        let since = ((u128::from(step) + 1) * self.step).div_ceil(1000);
        u64::try_from(i128::try_from(since).ok()?.checked_add(self.zero)?).ok()
    }
}

/// How long chunks are to be, in milliseconds: longer for a very long film.
pub(super) fn step(tracks: &[Open<'_>], selections: &[Selection]) -> Result<u64, Refusal> {
    let mut step = STEP;
    for (track, selection) in tracks.iter().zip(selections) {
        let millis = Scale { from: track.trak.scale, to: 1000 }.down(selection.media)?;
        step = step.max(millis.div_ceil(MOST_CHUNKS));
    }
    Ok(step)
}

impl Chunked {
    /// These samples of a track, in chunks of `step` milliseconds that begin at the same times
    /// for all tracks.
    pub(super) fn of(
        track: &Open<'_>,
        samples: &Range<u32>,
        step: u64,
    ) -> Result<Chunked, Refusal> {
        let clock = Clock::of(track, zero(track)?, step);
        let mut chunked = Chunked { chunks: Vec::new(), runs: Vec::new() };
        let mut until = None;
        let all = track.tables.samples();
        for sample in all.skip(samples.start as usize).take(samples.len()) {
            let description = chunked.chunks.last().map(|chunk| chunk.description);
            let is_over = until.is_some_and(|until| sample.time >= until);
            if is_over || description != Some(sample.description) {
                // Where what describes them changes all the time, there are as many as samples.
                if chunked.chunks.len() as u64 == 4 * MOST_CHUNKS {
                    return Err(Refusal("its samples are described too variously"));
                }
                let step = clock.step_at(sample.time);
                until = clock.end_of(step);
                let description = sample.description;
                chunked.chunks.push(Chunk { step, samples: 0, len: 0, runs: 0, description });
            }
            chunked.add(sample);
        }
        Ok(chunked)
    }

    /// Adds a sample to the last chunk.
    fn add(&mut self, sample: Sample) {
        let Some(chunk) = self.chunks.last_mut() else { return };
        // That the file holds it was made sure of.
        let end = sample.at + u64::from(sample.size);
        chunk.samples += 1;
        chunk.len += u64::from(sample.size);
        match self.runs.last_mut() {
            Some(run) if chunk.runs > 0 && run.end == sample.at => run.end = end,
            _ => {
                chunk.runs += 1;
                self.runs.push(sample.at..end);
            }
        }
    }
}

/// Which time of its media a track begins with, as far as its edits are simple enough to tell. It
/// is for the order only.
fn zero(track: &Open<'_>) -> Result<i128, Refusal> {
    let Some(plain) = plain(&track.edits) else { return Ok(0) };
    let scale = Scale { from: track.movie_scale, to: track.trak.scale };
    Ok(i128::from(plain.media_time) - i128::from(scale.down(plain.empty)?))
}

/// The chunks in the order of the joined file, each with the place of its track.
pub(super) fn interleaved(tracks: &[Chunked]) -> impl Iterator<Item = (usize, Chunk)> {
    let mut next: Vec<_> = tracks.iter().map(|track| track.chunks.iter().peekable()).collect();
    std::iter::from_fn(move || {
        let steps = next.iter_mut().enumerate();
        let steps = steps.filter_map(|(place, next)| Some((next.peek()?.step, place)));
        let (_, place) = steps.min()?;
        next[place].next().map(|chunk| (place, *chunk))
    })
}

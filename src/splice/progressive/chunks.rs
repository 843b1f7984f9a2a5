//! The order of the joined file: the samples of each track in chunks of about the same time, and
//! the chunks of the files in turn, so that a player finds near each other what it plays together.
//! The tracks of one file stay in each other's order, which is the only one in which it is read.
//!
//! Everything is laid out in one go over the samples; of them nothing is kept but where chunks are.

use std::ops::Range;

use super::samples::{Batch, Samples};
use super::tables::BACKWARDS;
use super::{ParsedTrack, Selection};
use crate::error::Unsupported;
use crate::splice::Layout;
use crate::splice::edits::{Rescale, simple};

/// How long the samples of a chunk last together, in milliseconds.
const CHUNK_MILLIS: u64 = 500;
/// In how many steps a track is divided at most: the pieces of two tracks, of 16 bytes each, then
/// take up half a MiB.
const MAX_STEPS: u64 = 1 << 14;
/// The most chunks of all tracks. Where a file has two, its order may make them as short as a sample
/// is: this is 5 hours of such a file. Each takes 20 bytes.
const MAX_CHUNKS: usize = 1 << 21;
/// The most pieces: those of the sound in such a film. They are kept as long as the plan is.
const MAX_EXTENTS: usize = 1 << 19;

/// Where the chunks of a track are in the joined file.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// Each from the first byte of the media on.
    pub(super) offsets: Vec<u64>,
    /// How many samples they have and what describes them, for each run of chunks that are alike.
    pub(super) alike: Vec<Alike>,
}

/// Chunks that are alike (§8.7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alike {
    /// The first of them, counted from 1.
    pub(super) first: u32,
    pub(super) samples: u32,
    pub(super) description: u32,
}

impl Chunks {
    fn add(&mut self, offset: u64, samples: u32, description: u32) {
        self.offsets.push(offset);
        let of = |alike: &Alike| (alike.samples, alike.description);
        if self.alike.last().map(of) != Some((samples, description)) {
            // Their number is limited.
            let first = self.offsets.len() as u32;
            self.alike.push(Alike { first, samples, description });
        }
    }
}

/// The order of these samples of the tracks: the pieces of their files, and the chunks of each track.
pub(super) fn lay_out(
    tracks: &[ParsedTrack<'_>],
    selections: &[Selection],
) -> Result<(Layout, Vec<Chunks>), Unsupported> {
    let step = step(tracks, selections)?;
    let mut files: Vec<InFile<'_>> = Vec::new();
    for (place, (track, selection)) in tracks.iter().zip(selections).enumerate() {
        let samples = track.tables.samples().within(&selection.samples);
        let clock = ChunkGrid::of(track, zero(track)?, step);
        let own = InTrack { place, samples, clock };
        match files.iter_mut().find(|file| file.file == track.file) {
            Some(file) => file.tracks.push(own),
            None => files.push(InFile { file: track.file, tracks: vec![own], at: 0 }),
        }
    }
    let mut chunks: Vec<Chunks> = tracks.iter().map(|_| Chunks::default()).collect();
    let (mut extents, mut count) = (ExtentMerger::default(), 0);
    while let Some(file) = next_file(&mut files) {
        let Some(chunk) = file.next_chunk(&mut extents)? else { break };
        count += 1;
        if count > MAX_CHUNKS {
            return Err(Unsupported("the samples are in too many chunks"));
        }
        chunks[chunk.place].add(chunk.offset, chunk.samples, chunk.description);
    }
    Ok((extents.finished(), chunks))
}

/// How long chunks are to be, in milliseconds: longer for a very long film.
fn step(tracks: &[ParsedTrack<'_>], selections: &[Selection]) -> Result<u64, Unsupported> {
    let mut step = CHUNK_MILLIS;
    for (track, selection) in tracks.iter().zip(selections) {
        let millis = Rescale { from: track.trak.scale, to: 1000 }.floor(selection.media)?;
        step = step.max(millis.div_ceil(MAX_STEPS));
    }
    Ok(step)
}

/// Which time of its media a track begins with, as far as its edits are simple enough to tell. It
/// is for the order only.
fn zero(track: &ParsedTrack<'_>) -> Result<i128, Unsupported> {
    let Some(simple) = simple(&track.edits) else { return Ok(0) };
    let scale = Rescale { from: track.movie_scale, to: track.trak.scale };
    Ok(i128::from(simple.media_time) - i128::from(scale.floor(simple.empty)?))
}

/// The time that is divided in steps.
#[derive(Clone, Copy)]
struct ChunkGrid {
    /// What has this time is shown first.
    zero: i128,
    /// Ticks of a step, times 1000.
    step: u128,
}

impl ChunkGrid {
    fn of(track: &ParsedTrack<'_>, zero: i128, step: u64) -> ChunkGrid {
        ChunkGrid { zero, step: u128::from(step) * u128::from(track.trak.scale) }
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

/// The samples that are still to come of a track.
struct InTrack<'a> {
    /// Its place among all tracks.
    place: usize,
    samples: Samples<'a>,
    clock: ChunkGrid,
}

/// The samples that are still to come of a file.
struct InFile<'a> {
    file: u8,
    tracks: Vec<InTrack<'a>>,
    /// Where the last one ended.
    at: u64,
}

/// A chunk of the joined file.
struct Chunk {
    /// Of which track it is.
    place: usize,
    offset: u64,
    samples: u32,
    description: u32,
}

/// The file that goes on earliest.
fn next_file<'f, 'a>(files: &'f mut [InFile<'a>]) -> Option<&'f mut InFile<'a>> {
    let steps = files.iter_mut().enumerate();
    let steps = steps.filter_map(|(place, file)| Some((file.next_step()?, place)));
    let (_, place) = steps.min()?;
    files.get_mut(place)
}

impl InFile<'_> {
    /// Which of the tracks goes on in the file, and with which samples.
    fn next(&mut self) -> Option<(usize, Batch)> {
        let nexts = self.tracks.iter_mut().enumerate();
        let nexts = nexts.filter_map(|(of, track)| Some((of, track.samples.peek()?)));
        nexts.min_by_key(|(of, batch)| (batch.at, *of))
    }

    fn next_step(&mut self) -> Option<u64> {
        let (of, batch) = self.next()?;
        Some(self.tracks[of].clock.step_at(batch.time))
    }

    /// Samples that follow each other in the file and belong together.
    fn next_chunk(&mut self, extents: &mut ExtentMerger) -> Result<Option<Chunk>, Unsupported> {
        let Some((of, first)) = self.next() else { return Ok(None) };
        let InTrack { place, clock, .. } = self.tracks[of];
        let until = clock.end_of(clock.step_at(first.time));
        let (offset, description) = (extents.len(), first.description);
        let mut chunk = Chunk { place, offset, samples: 0, description };
        while let Some((same, batch)) = self.next()
            && same == of
            && batch.description == description
            && let count = until.map_or(batch.count, |until| batch.before(until))
            && count > 0
        {
            if batch.at < self.at {
                return Err(BACKWARDS);
            }
            // That the file holds them was made sure of.
            self.at = batch.at + batch.len(count);
            extents.add(self.file, batch.at..self.at)?;
            chunk.samples += count;
            self.tracks[of].samples.pass(&batch, count);
        }
        Ok(Some(chunk))
    }
}

/// What is one run in a file stays one piece.
#[derive(Default)]
struct ExtentMerger {
    layout: Layout,
    pending: Option<(u8, Range<u64>)>,
    count: usize,
}

impl ExtentMerger {
    /// Everything so far.
    fn len(&self) -> u64 {
        let pending = self.pending.as_ref().map_or(0, |(_, range)| range.end - range.start);
        self.layout.len() + pending
    }

    fn add(&mut self, file: u8, range: Range<u64>) -> Result<(), Unsupported> {
        match &mut self.pending {
            _ if range.is_empty() => {}
            Some((of, pending)) if *of == file && pending.end == range.start => {
                pending.end = range.end;
            }
            _ => {
                self.count += 1;
                if self.count > MAX_EXTENTS {
                    return Err(Unsupported(
                        "the samples of the tracks are interleaved too finely",
                    ));
                }
                if let Some((file, range)) = self.pending.replace((file, range)) {
                    self.layout.add(file, range);
                }
            }
        }
        Ok(())
    }

    fn finished(mut self) -> Layout {
        if let Some((file, range)) = self.pending {
            self.layout.add(file, range);
        }
        self.layout
    }
}

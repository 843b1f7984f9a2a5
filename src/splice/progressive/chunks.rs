//! Orders the joined file: the samples of each track form chunks of about the same duration, and the
//! chunks of the files alternate, so that a player finds close together what it plays together. The
//! tracks of one file keep their order, which is the only one in which the file is read.
//!
//! The layout is made in one pass over the samples; only the offsets of chunks are stored.

use std::ops::Range;

use super::samples::{Batch, Samples};
use super::tables::BACKWARDS;
use super::texts::TextCursors;
use super::{ParsedTrack, Selection};
use crate::error::Unsupported;
use crate::splice::Layout;
use crate::splice::edits::{Rescale, simple};
use crate::splice::placed_text::PlacedText;
use crate::splice::text_track::TextTracks;

/// The duration of a chunk, in milliseconds.
const CHUNK_MILLIS: u64 = 500;
/// The maximum number of steps that a track is divided into: the extents of two tracks, of 16 bytes
/// each, then take half a MiB.
const MAX_STEPS: u64 = 1 << 14;
/// The maximum number of chunks of all tracks. Where a file has two tracks, its order may make chunks
/// as short as a sample: this is 5 hours of such a file. Each takes 20 bytes.
const MAX_CHUNKS: usize = 1 << 21;
/// The maximum number of extents: those of the audio in such a file. They are stored with the plan.
const MAX_EXTENTS: usize = 1 << 19;

/// The chunks of a track in the joined file.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// The offset of each chunk, from the first byte of the media data.
    pub(super) offsets: Vec<u64>,
    /// Number of samples and sample description, for each run of chunks that are alike.
    pub(super) runs: Vec<ChunkRun>,
}

/// Consecutive chunks with the same number of samples and sample description (§8.7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkRun {
    /// The first chunk, counted from 1.
    pub(super) first: u32,
    pub(super) samples: u32,
    pub(super) description: u32,
}

impl Chunks {
    fn add(&mut self, offset: u64, samples: u32, description: u32) {
        self.offsets.push(offset);
        let of = |runs: &ChunkRun| (runs.samples, runs.description);
        if self.runs.last().map(of) != Some((samples, description)) {
            // The number of chunks is limited.
            let first = self.offsets.len() as u32;
            self.runs.push(ChunkRun { first, samples, description });
        }
    }
}

/// Orders the selected samples of the tracks, and the subtitles. Returns the extents of their files, the chunks of
/// each track, and those of the subtitles.
pub(super) fn lay_out(
    tracks: &[ParsedTrack<'_>],
    selections: &[Selection],
    texts: &TextTracks,
) -> Result<(Layout, Vec<Chunks>, Vec<PlacedText>), Unsupported> {
    let step = step(tracks, selections)?;
    let mut files: Vec<FileCursor<'_>> = Vec::new();
    for (index, (track, selection)) in tracks.iter().zip(selections).enumerate() {
        let samples = track.tables.samples().within(&selection.samples);
        let grid = ChunkGrid::of(track, zero(track)?, step);
        let own = TrackCursor { index, samples, grid };
        match files.iter_mut().find(|file| file.file == track.file) {
            Some(file) => file.tracks.push(own),
            None => files.push(FileCursor { file: track.file, tracks: vec![own], at: 0 }),
        }
    }
    let mut chunks: Vec<Chunks> = tracks.iter().map(|_| Chunks::default()).collect();
    let (mut extents, mut count) = (ExtentMerger::default(), 0);
    let mut texts = TextCursors::new(texts);
    let begin = files.iter_mut().filter_map(FileCursor::next_step).min().unwrap_or(0);
    while let Some(file) = next_file(&mut files) {
        let time = file.next_step().unwrap_or(begin).saturating_sub(begin) * step;
        texts.advance(time, &mut extents)?;
        let Some(chunk) = file.next_chunk(&mut extents)? else { break };
        count += 1;
        if count > MAX_CHUNKS {
            return Err(Unsupported("the samples are in too many chunks"));
        }
        chunks[chunk.index].add(chunk.offset, chunk.samples, chunk.description);
    }
    let texts = texts.finish(&mut extents)?;
    Ok((extents.finish(), chunks, texts))
}

/// Returns the duration of chunks in milliseconds, which is longer for very long media.
fn step(tracks: &[ParsedTrack<'_>], selections: &[Selection]) -> Result<u64, Unsupported> {
    let mut step = CHUNK_MILLIS;
    for (track, selection) in tracks.iter().zip(selections) {
        let millis = Rescale { from: track.trak.scale, to: 1000 }.floor(selection.media)?;
        step = step.max(millis.div_ceil(MAX_STEPS));
    }
    Ok(step)
}

/// Returns the media time with which the presentation of a track begins, as far as its edit list is
/// simple. It only affects the order.
fn zero(track: &ParsedTrack<'_>) -> Result<i128, Unsupported> {
    let Some(simple) = simple(&track.edits) else { return Ok(0) };
    let scale = Rescale { from: track.movie_scale, to: track.trak.scale };
    Ok(i128::from(simple.media_time) - i128::from(scale.floor(simple.empty)?))
}

/// The division of a track's time in steps.
#[derive(Clone, Copy)]
struct ChunkGrid {
    /// The media time with which the presentation begins.
    zero: i128,
    /// The ticks of a step, times 1000.
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

    /// Returns the time at which the step after this one begins, if it is not out of range.
    fn end_of(self, step: u64) -> Option<u64> {
        let since = ((u128::from(step) + 1) * self.step).div_ceil(1000);
        u64::try_from(i128::try_from(since).ok()?.checked_add(self.zero)?).ok()
    }
}

/// The remaining samples of a track.
struct TrackCursor<'a> {
    /// The index of the track.
    index: usize,
    samples: Samples<'a>,
    grid: ChunkGrid,
}

/// The remaining samples of a file.
struct FileCursor<'a> {
    file: u8,
    tracks: Vec<TrackCursor<'a>>,
    /// The end of the last sample.
    at: u64,
}

/// A chunk in the joined file.
struct Chunk {
    /// The index of its track.
    index: usize,
    offset: u64,
    samples: u32,
    description: u32,
}

/// Returns the file whose next sample is earliest.
fn next_file<'f, 'a>(files: &'f mut [FileCursor<'a>]) -> Option<&'f mut FileCursor<'a>> {
    let steps = files.iter_mut().enumerate();
    let steps = steps.filter_map(|(index, file)| Some((file.next_step()?, index)));
    let (_, index) = steps.min()?;
    files.get_mut(index)
}

impl FileCursor<'_> {
    /// Returns the track whose samples come next in the file, and these samples.
    fn next(&mut self) -> Option<(usize, Batch)> {
        let nexts = self.tracks.iter_mut().enumerate();
        let nexts = nexts.filter_map(|(of, track)| Some((of, track.samples.peek()?)));
        nexts.min_by_key(|(of, batch)| (batch.at, *of))
    }

    fn next_step(&mut self) -> Option<u64> {
        let (of, batch) = self.next()?;
        Some(self.tracks[of].grid.step_at(batch.time))
    }

    /// Takes the next samples of one track that are contiguous in the file and in one step.
    fn next_chunk(&mut self, extents: &mut ExtentMerger) -> Result<Option<Chunk>, Unsupported> {
        let Some((of, first)) = self.next() else { return Ok(None) };
        let TrackCursor { index, grid, .. } = self.tracks[of];
        let until = grid.end_of(grid.step_at(first.time));
        let (offset, description) = (extents.len(), first.description);
        let mut chunk = Chunk { index, offset, samples: 0, description };
        while let Some((same, batch)) = self.next()
            && same == of
            && batch.description == description
            && let count = until.map_or(batch.count, |until| batch.before(until))
            && count > 0
        {
            if batch.at < self.at {
                return Err(BACKWARDS);
            }
            // `Tables::check` made sure that the samples lie within the file.
            self.at = batch.at + batch.len(count);
            extents.add(self.file, batch.at..self.at)?;
            chunk.samples += count;
            self.tracks[of].samples.advance(&batch, count);
        }
        Ok(Some(chunk))
    }
}

/// Merges adjacent byte ranges of a file to one extent.
#[derive(Default)]
pub(super) struct ExtentMerger {
    layout: Layout,
    pending: Option<(u8, Range<u64>)>,
    count: usize,
}

impl ExtentMerger {
    /// Returns the length of everything added so far.
    pub(super) fn len(&self) -> u64 {
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

    /// Adds bytes that are of no file.
    pub(super) fn add_inline(&mut self, bytes: &[u8]) {
        if let Some((file, range)) = self.pending.take() {
            self.layout.add(file, range);
        }
        self.layout.add_inline(bytes);
    }

    fn finish(mut self) -> Layout {
        if let Some((file, range)) = self.pending {
            self.layout.add(file, range);
        }
        self.layout
    }
}

//! [`Samples`] iterates over the samples of a track, reading the tables of its moov in place.
//!
//! **Invariant:** it never allocates, tolerates tables that end early, and never takes more steps than
//! the tables have entries.

use std::ops::Range;

use crate::container::isobmff::{u32_at, u64_at};

/// Consecutive samples that are alike and contiguous in their file. Uncompressed audio has thousands of
/// them in each chunk, and hundreds of millions in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    /// The number of samples, at least one.
    pub(super) count: u32,
    /// The offset of the first sample in its file.
    pub(super) at: u64,
    /// The size of each sample.
    pub(super) size: u32,
    /// The decode time of the first sample, in the media timescale.
    pub(super) time: u64,
    /// The duration of each sample (sample_delta).
    pub(super) delta: u32,
    /// The composition time offset of each sample.
    pub(super) shift: i32,
    /// The index of the sample description.
    pub(super) description: u32,
}

impl Batch {
    /// Returns how many of the samples are decoded before `time`.
    pub(super) fn before(&self, time: u64) -> u32 {
        match time.checked_sub(self.time) {
            None | Some(0) => 0,
            Some(_) if self.delta == 0 => self.count,
            Some(left) => {
                let count = left.div_ceil(self.delta.into());
                u32::try_from(count).map_or(self.count, |count| count.min(self.count))
            }
        }
    }

    /// Returns the length of `count` of the samples.
    pub(super) fn len(&self, count: u32) -> u64 {
        u64::from(self.size) * u64::from(count)
    }
}

/// A run-length table: pairs of a number of samples and their common value.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunLengthTable<'a>(pub(super) &'a [u8]);

impl<'a> RunLengthTable<'a> {
    /// Returns the pairs of number and value.
    pub(super) fn runs(self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        self.0.chunks_exact(8).filter_map(|run| Some((u32_at(run, 0)?, u32_at(run, 4)?)))
    }

    /// Returns the sum of the values of all samples before `sample`.
    pub(super) fn total_before(self, sample: u32) -> Option<u64> {
        let (mut left, mut total) = (sample, 0u64);
        for (count, value) in self.runs() {
            let count = count.min(left);
            total = total.checked_add(u64::from(count) * u64::from(value))?;
            left -= count;
        }
        Some(total)
    }

    /// Returns the number of samples in the table.
    pub(super) fn sum(self) -> u64 {
        // The sum cannot overflow: the number of entries is limited by the length of a box.
        self.runs().map(|(count, _)| u64::from(count)).sum()
    }
}

/// A cursor in a [`RunLengthTable`].
#[derive(Debug, Clone, Copy)]
struct RunCursor<'a> {
    rest: &'a [u8],
    left: u32,
    value: u32,
}

impl<'a> RunCursor<'a> {
    fn of(RunLengthTable(rest): RunLengthTable<'a>) -> RunCursor<'a> {
        RunCursor { rest, left: 0, value: 0 }
    }
}

impl RunCursor<'_> {
    /// Returns the next value, and the number of samples that still have it.
    fn peek(&mut self) -> Option<(u32, u32)> {
        while self.left == 0 {
            self.left = u32_at(self.rest, 0)?;
            self.value = u32_at(self.rest, 4)?;
            self.rest = &self.rest[8..];
        }
        Some((self.value, self.left))
    }
}

/// The sizes of samples (stsz, stz2).
#[derive(Debug, Clone, Copy)]
pub(super) enum Sizes<'a> {
    /// All samples have the same size.
    Same { size: u32, count: u32 },
    /// Each sample has a size of its own, a number of this many bits.
    Each { bits: u8, sizes: &'a [u8] },
}

impl Sizes<'_> {
    /// Returns the number of samples.
    pub(super) fn count(&self) -> u32 {
        match self {
            Sizes::Same { count, .. } => *count,
            // The number came from a field of 32 bits.
            Sizes::Each { bits, sizes } => (sizes.len() / usize::from(bits / 8)) as u32,
        }
    }

    /// Returns the size of a sample, counted from 0.
    pub(super) fn of(&self, sample: u32) -> Option<u32> {
        let at = sample as usize;
        match self {
            Sizes::Same { size, count } => (sample < *count).then_some(*size),
            Sizes::Each { bits: 8, sizes } => sizes.get(at).map(|size| u32::from(*size)),
            Sizes::Each { bits: 16, sizes } => {
                sizes.get(at * 2..)?.first_chunk().map(|size| u32::from(u16::from_be_bytes(*size)))
            }
            Sizes::Each { sizes, .. } => u32_at(sizes, at * 4),
        }
    }
}

/// The chunks of a track: their offsets, and the numbers of their samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkTable<'a> {
    /// The entries of stsc (§8.7.4).
    pub(super) entries: &'a [u8],
    /// The entries of stco, or of co64 if `wide` (§8.7.5).
    pub(super) offsets: &'a [u8],
    pub(super) wide: bool,
}

/// An entry of stsc: the number of samples of each chunk from `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The first chunk, counted from 1.
    pub(super) first: u32,
    pub(super) samples: u32,
    pub(super) description: u32,
}

impl<'a> ChunkTable<'a> {
    pub(super) fn entries(self) -> impl Iterator<Item = Entry> + use<'a> {
        let number = |entry, at| u32_at(entry, at);
        self.entries.chunks_exact(12).filter_map(move |entry| {
            let (first, samples) = (number(entry, 0)?, number(entry, 4)?);
            Some(Entry { first, samples, description: number(entry, 8)? })
        })
    }

    /// Returns the number of chunks.
    pub(super) fn chunks(self) -> u32 {
        // The number came from a field of 32 bits.
        (self.offsets.len() / if self.wide { 8 } else { 4 }) as u32
    }

    /// Returns the offset of a chunk, counted from 0.
    pub(super) fn offset(self, chunk: u32) -> Option<u64> {
        let at = chunk as usize;
        match self.wide {
            true => u64_at(self.offsets, at * 8),
            false => u32_at(self.offsets, at * 4).map(u64::from),
        }
    }
}

/// An iterator over the samples of a track.
pub(super) struct Samples<'a> {
    times: RunCursor<'a>,
    shifts: Option<RunCursor<'a>>,
    sizes: Sizes<'a>,
    chunk_table: ChunkTable<'a>,
    /// The next sample, its decode time, and the sample before which the iteration ends.
    number: u32,
    time: u64,
    end: u32,
    /// The next chunk, and the current entry of stsc.
    chunk: u32,
    entry: usize,
    /// In this chunk: the offset of the next sample, the number left, and the sample description.
    at: u64,
    left: u32,
    description: u32,
}

impl<'a> Samples<'a> {
    /// Returns all samples of the tables.
    pub(super) fn new(
        times: RunLengthTable<'a>,
        shifts: Option<RunLengthTable<'a>>,
        sizes: Sizes<'a>,
        chunk_table: ChunkTable<'a>,
    ) -> Samples<'a> {
        let (times, shifts, end) = (RunCursor::of(times), shifts.map(RunCursor::of), sizes.count());
        let (number, time, chunk, entry, at, left, description) = (0, 0, 0, 0, 0, 0, 0);
        Samples {
            times,
            shifts,
            sizes,
            chunk_table,
            number,
            time,
            end,
            chunk,
            entry,
            at,
            left,
            description,
        }
    }

    /// Restricts the iteration to `samples`.
    pub(super) fn within(mut self, samples: &Range<u32>) -> Samples<'a> {
        while self.number < samples.start
            && let Some(batch) = self.peek()
        {
            self.advance(&batch, batch.count.min(samples.start - self.number));
        }
        self.end = self.end.min(samples.end);
        self
    }

    /// Returns the next samples that are alike; `None` at the end, or where the tables end early.
    pub(super) fn peek(&mut self) -> Option<Batch> {
        let count = self.end.checked_sub(self.number).filter(|count| *count > 0)?;
        while self.left == 0 {
            self.next_chunk()?;
        }
        let (delta, lasting) = self.times.peek()?;
        // Offsets are signed in either version of the table: writers and readers have agreed on it.
        let (shift, shifted) = match &mut self.shifts {
            Some(shifts) => shifts.peek()?,
            None => (0, u32::MAX),
        };
        let (size, sized) = match self.sizes {
            Sizes::Same { size, .. } => (size, u32::MAX),
            Sizes::Each { .. } => (self.sizes.of(self.number)?, 1),
        };
        let count = [count, self.left, lasting, shifted, sized].into_iter().min()?;
        let Samples { at, time, description, .. } = *self;
        let shift = shift.cast_signed();
        let batch = Batch { count, at, size, time, delta, shift, description };
        at.checked_add(batch.len(count))?;
        time.checked_add(u64::from(delta) * u64::from(count))?;
        Some(batch)
    }

    /// Advances past the first `count` samples of the next batch.
    pub(super) fn advance(&mut self, batch: &Batch, count: u32) {
        self.number += count;
        self.left -= count;
        self.times.left -= count;
        if let Some(shifts) = &mut self.shifts {
            shifts.left -= count;
        }
        // `peek` checked both sums for overflow.
        self.at += batch.len(count);
        self.time += u64::from(batch.delta) * u64::from(count);
    }

    /// Advances to the next chunk.
    fn next_chunk(&mut self) -> Option<()> {
        let entries = self.chunk_table.entries;
        if u32_at(entries, (self.entry + 1) * 12) == self.chunk.checked_add(1) {
            self.entry += 1;
        }
        self.at = self.chunk_table.offset(self.chunk)?;
        self.left = u32_at(entries, self.entry * 12 + 4)?;
        self.description = u32_at(entries, self.entry * 12 + 8)?;
        self.chunk += 1;
        Some(())
    }
}

impl Iterator for Samples<'_> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let batch = self.peek()?;
        self.advance(&batch, batch.count);
        Some(batch)
    }
}

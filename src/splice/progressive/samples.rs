//! The samples of a track, one after the other, out of tables that are read in place. Never
//! allocates, and never trusts a table to go on; never takes longer than the tables are.

use std::ops::Range;

use crate::container::isobmff::{u32_at, u64_at};

/// Samples that are alike and lie one behind the other in their file. Of sound without compression there
/// are thousands in each chunk, and hundreds of millions in a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    /// How many, at least one.
    pub(super) count: u32,
    /// Where the first one begins in its file.
    pub(super) at: u64,
    /// That of each.
    pub(super) size: u32,
    /// When the first one is decoded, in the time scale of its media.
    pub(super) time: u64,
    /// How long each lasts.
    pub(super) delta: u32,
    /// How much later each is shown.
    pub(super) shift: i32,
    /// Their sample description.
    pub(super) description: u32,
}

impl Batch {
    /// How many of them are decoded before this time.
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

    /// How many bytes so many of them have.
    pub(super) fn len(&self, count: u32) -> u64 {
        u64::from(self.size) * u64::from(count)
    }
}

/// A table of runs: of so many samples, each has this value.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunLengthTable<'a>(pub(super) &'a [u8]);

impl<'a> RunLengthTable<'a> {
    /// How many samples, and which value they have.
    pub(super) fn runs(self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        self.0.chunks_exact(8).filter_map(|run| Some((u32_at(run, 0)?, u32_at(run, 4)?)))
    }

    /// What all samples in front of this one last together.
    pub(super) fn total_before(self, sample: u32) -> Option<u64> {
        let (mut left, mut total) = (sample, 0u64);
        for (count, value) in self.runs() {
            let count = count.min(left);
            total = total.checked_add(u64::from(count) * u64::from(value))?;
            left -= count;
        }
        Some(total)
    }

    /// How many samples it tells of.
    pub(super) fn sum(self) -> u64 {
        // No table is so long that this could overflow.
        self.runs().map(|(count, _)| u64::from(count)).sum()
    }
}

/// The value of each sample in turn.
#[derive(Debug, Clone, Copy)]
struct Each<'a> {
    rest: &'a [u8],
    left: u32,
    value: u32,
}

impl<'a> Each<'a> {
    fn of(RunLengthTable(rest): RunLengthTable<'a>) -> Each<'a> {
        Each { rest, left: 0, value: 0 }
    }
}

impl Each<'_> {
    /// The next one, and how many samples have it.
    fn peek(&mut self) -> Option<(u32, u32)> {
        while self.left == 0 {
            self.left = u32_at(self.rest, 0)?;
            self.value = u32_at(self.rest, 4)?;
            self.rest = &self.rest[8..];
        }
        Some((self.value, self.left))
    }
}

/// The sizes of samples.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sizes<'a> {
    /// All have the same.
    Same { size: u32, count: u32 },
    /// Each has its own, a number of this many bits.
    Each { bits: u8, sizes: &'a [u8] },
}

impl Sizes<'_> {
    /// How many samples there are.
    pub(super) fn count(&self) -> u32 {
        match self {
            Sizes::Same { count, .. } => *count,
            // The number stood in 32 bits.
            Sizes::Each { bits, sizes } => (sizes.len() / usize::from(bits / 8)) as u32,
        }
    }

    /// The size of a sample, counted from 0.
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

/// Where chunks are, and how many samples they have.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkTable<'a> {
    /// Those of stsc (§8.7.4).
    pub(super) entries: &'a [u8],
    /// Those of stco, or of co64 when they are `wide` (§8.7.5).
    pub(super) offsets: &'a [u8],
    pub(super) wide: bool,
}

/// From which chunk on chunks have how many samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Counted from 1.
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

    /// How many chunks there are.
    pub(super) fn chunks(self) -> u32 {
        // The number stood in 32 bits.
        (self.offsets.len() / if self.wide { 8 } else { 4 }) as u32
    }

    /// Where a chunk begins, counted from 0.
    pub(super) fn offset(self, chunk: u32) -> Option<u64> {
        let at = chunk as usize;
        match self.wide {
            true => u64_at(self.offsets, at * 8),
            false => u32_at(self.offsets, at * 4).map(u64::from),
        }
    }
}

/// The samples of a track.
pub(super) struct Samples<'a> {
    times: Each<'a>,
    shifts: Option<Each<'a>>,
    sizes: Sizes<'a>,
    places: ChunkTable<'a>,
    /// The next sample, when it is decoded, and before which one they end.
    number: u32,
    time: u64,
    end: u32,
    /// The next chunk, and the entries that are still to come.
    chunk: u32,
    entry: usize,
    /// Where the next sample of this chunk is, how many are left, and what describes them.
    at: u64,
    left: u32,
    description: u32,
}

impl<'a> Samples<'a> {
    /// All of them, as far as the tables tell.
    pub(super) fn new(
        times: RunLengthTable<'a>,
        shifts: Option<RunLengthTable<'a>>,
        sizes: Sizes<'a>,
        places: ChunkTable<'a>,
    ) -> Samples<'a> {
        let (times, shifts, end) = (Each::of(times), shifts.map(Each::of), sizes.count());
        let (number, time, chunk, entry, at, left, description) = (0, 0, 0, 0, 0, 0, 0);
        Samples {
            times,
            shifts,
            sizes,
            places,
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

    /// Of them, these.
    pub(super) fn within(mut self, samples: &Range<u32>) -> Samples<'a> {
        while self.number < samples.start
            && let Some(batch) = self.peek()
        {
            self.pass(&batch, batch.count.min(samples.start - self.number));
        }
        self.end = self.end.min(samples.end);
        self
    }

    /// The next ones that are alike. `None` at the end, or where the tables end early.
    pub(super) fn peek(&mut self) -> Option<Batch> {
        let count = self.end.checked_sub(self.number).filter(|count| *count > 0)?;
        while self.left == 0 {
            self.turn()?;
        }
        let (delta, lasting) = self.times.peek()?;
        // They are signed in either version of the table: writers and readers have agreed.
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

    /// Passes over the first `count` of the batch that is next.
    pub(super) fn pass(&mut self, batch: &Batch, count: u32) {
        self.number += count;
        self.left -= count;
        self.times.left -= count;
        if let Some(shifts) = &mut self.shifts {
            shifts.left -= count;
        }
        // That neither is too large was seen.
        self.at += batch.len(count);
        self.time += u64::from(batch.delta) * u64::from(count);
    }

    /// Goes on to the next chunk.
    fn turn(&mut self) -> Option<()> {
        let entries = self.places.entries;
        if u32_at(entries, (self.entry + 1) * 12) == self.chunk.checked_add(1) {
            self.entry += 1;
        }
        self.at = self.places.offset(self.chunk)?;
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
        self.pass(&batch, batch.count);
        Some(batch)
    }
}

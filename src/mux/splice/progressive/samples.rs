//! The samples of a track, one after the other, out of tables that are read in place. Never
//! allocates, and never trusts a table to go on.

use crate::mux::splice::boxes::{u32_at, u64_at};

/// A sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// Where it begins in its file.
    pub(super) at: u64,
    pub(super) size: u32,
    /// When it is decoded, in the time scale of its media.
    pub(super) time: u64,
    pub(super) delta: u32,
    /// How much later it is shown.
    pub(super) shift: i32,
    /// Its sample description.
    pub(super) description: u32,
}

/// A table of runs: of so many samples, each has this value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Runs<'a>(pub(super) &'a [u8]);

impl<'a> Runs<'a> {
    /// How many samples, and which value they have.
    pub(super) fn runs(self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        self.0.chunks_exact(8).filter_map(|run| Some((u32_at(run, 0)?, u32_at(run, 4)?)))
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
    fn of(Runs(rest): Runs<'a>) -> Each<'a> {
        Each { rest, left: 0, value: 0 }
    }
}

impl Iterator for Each<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.left == 0 {
            self.left = u32_at(self.rest, 0)?;
            self.value = u32_at(self.rest, 4)?;
            self.rest = &self.rest[8..];
        }
        self.left -= 1;
        Some(self.value)
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
pub(super) struct Places<'a> {
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

impl<'a> Places<'a> {
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

/// All samples of a track.
pub(super) struct Samples<'a> {
    times: Each<'a>,
    shifts: Option<Each<'a>>,
    sizes: Sizes<'a>,
    places: Places<'a>,
    /// The next sample, and when it is decoded.
    number: u32,
    time: u64,
    /// The next chunk, and the entries that are still to come.
    chunk: u32,
    entry: usize,
    /// Where the next sample of this chunk is, how many are left, and what describes them.
    at: u64,
    left: u32,
    description: u32,
}

impl<'a> Samples<'a> {
    pub(super) fn new(
        times: Runs<'a>,
        shifts: Option<Runs<'a>>,
        sizes: Sizes<'a>,
        places: Places<'a>,
    ) -> Samples<'a> {
        let (times, shifts) = (Each::of(times), shifts.map(Each::of));
        let (number, time, chunk, entry, at, left, description) = (0, 0, 0, 0, 0, 0, 0);
        Samples { times, shifts, sizes, places, number, time, chunk, entry, at, left, description }
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
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        while self.left == 0 {
            self.turn()?;
        }
        let (at, time, size) = (self.at, self.time, self.sizes.of(self.number)?);
        let delta = self.times.next()?;
        let shift = match &mut self.shifts {
            // They are signed in either version of the table: writers and readers have agreed.
            Some(shifts) => shifts.next()?.cast_signed(),
            None => 0,
        };
        self.left -= 1;
        self.number += 1;
        self.at = at.checked_add(size.into())?;
        self.time = time.checked_add(delta.into())?;
        Some(Sample { at, size, time, delta, shift, description: self.description })
    }
}

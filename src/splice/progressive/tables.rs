//! [`Tables`] finds and checks the sample tables of a track: durations (§8.6.1), sizes (§8.7.3), chunks
//! and offsets (§8.7.4, §8.7.5). They are read in place.
//!
//! **Invariant:** nothing is allocated by a count that a table claims.

use std::ops::Range;

use super::samples::{ChunkTable, RunLengthTable, Samples, Sizes};
use crate::container::isobmff::{self, Mp4Box, u32_at};
use crate::error::Unsupported;
use crate::splice::trak::{Trak, at_most_one, one};

/// The maximum number of samples if each has a size of its own: 30 hours at 60 frames per second. Where
/// all have the same, as in uncompressed audio, only the number of chunks matters.
const MAX_SAMPLES: u32 = 8 << 20;

const INCONSISTENT: Unsupported = Unsupported("the sample tables contradict each other");
pub(super) const BACKWARDS: Unsupported =
    Unsupported("the samples are not stored in decoding order");

/// The sample tables of a track.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a> {
    /// Sample durations (stts).
    pub(super) times: RunLengthTable<'a>,
    /// Composition time offsets (ctts), if there are any.
    pub(super) shifts: Option<RunLengthTable<'a>>,
    /// The numbers of sync samples (stss); `None` if all are.
    pub(super) sync: Option<&'a [u8]>,
    pub(super) sizes: Sizes<'a>,
    chunk_table: ChunkTable<'a>,
    descriptions: u32,
}

impl<'a> Tables<'a> {
    /// Finds the tables, without checking their consistency.
    pub(super) fn read(trak: &Trak<'a>) -> Result<Tables<'a>, Unsupported> {
        let stbl = &trak.stbl;
        let entries = table(&one(stbl, b"stsc")?, 4, 12)?;
        let chunk_table = match (at_most_one(stbl, b"stco")?, at_most_one(stbl, b"co64")?) {
            (Some(stco), None) => ChunkTable { entries, offsets: table(&stco, 4, 4)?, wide: false },
            (None, Some(co64)) => ChunkTable { entries, offsets: table(&co64, 4, 8)?, wide: true },
            _ => return Err(INCONSISTENT),
        };
        let shifts = at_most_one(stbl, b"ctts")?.map(|ctts| table(&ctts, 4, 8)).transpose()?;
        Ok(Tables {
            times: RunLengthTable(table(&one(stbl, b"stts")?, 4, 8)?),
            shifts: shifts.map(RunLengthTable),
            sync: at_most_one(stbl, b"stss")?.map(|stss| table(&stss, 4, 4)).transpose()?,
            sizes: sizes(stbl)?,
            chunk_table,
            descriptions: trak.descriptions,
        })
    }

    /// Returns the number of samples.
    pub(super) fn count(&self) -> u32 {
        self.sizes.count()
    }

    /// Checks that the tables agree with each other, and that the samples lie within `media`, in their
    /// order.
    pub(super) fn check(&self, media: &[Range<u64>]) -> Result<(), Unsupported> {
        let count = self.count();
        if count == 0 {
            return Err(Unsupported("the track has no samples"));
        }
        if matches!(self.sizes, Sizes::Each { .. }) && count > MAX_SAMPLES {
            return Err(Unsupported("the track has too many samples"));
        }
        let sums = [Some(&self.times), self.shifts.as_ref()];
        if sums.into_iter().flatten().any(|runs| runs.sum() != u64::from(count)) {
            return Err(INCONSISTENT);
        }
        let mut last = 0;
        for number in self.sync_numbers().into_iter().flatten() {
            if number <= last || number > count {
                return Err(INCONSISTENT);
            }
            last = number;
        }
        self.check_chunks()?;
        self.check_samples(media)
    }

    /// Checks that the chunks hold each sample once, and that each has a sample description.
    fn check_chunks(&self) -> Result<(), Unsupported> {
        let (mut samples, mut before) = (0u64, 0);
        let mut entries = self.chunk_table.entries().peekable();
        let chunks = self.chunk_table.chunks();
        while let Some(entry) = entries.next() {
            let next = entries.peek().map_or(chunks.checked_add(1), |next| Some(next.first));
            let of = next.and_then(|next| next.checked_sub(entry.first)).filter(|of| *of > 0);
            let follows = if before == 0 { entry.first == 1 } else { entry.first > before };
            let described = (1..=self.descriptions).contains(&entry.description);
            let (Some(of), true, true, 1..) = (of, follows, described, entry.samples) else {
                return Err(INCONSISTENT);
            };
            samples = samples.saturating_add(u64::from(of).saturating_mul(entry.samples.into()));
            before = entry.first;
        }
        if samples == u64::from(self.count()) { Ok(()) } else { Err(INCONSISTENT) }
    }

    fn check_samples(&self, media: &[Range<u64>]) -> Result<(), Unsupported> {
        let (mut count, mut before) = (0u32, 0);
        let mut media = media.iter();
        let mut within = media.next();
        for batch in self.samples() {
            count += batch.count;
            let end = batch.at + batch.len(batch.count);
            if batch.at < before {
                return Err(BACKWARDS);
            }
            while within.is_some_and(|within| within.end < end) {
                within = media.next();
            }
            if within.is_none_or(|within| batch.at < within.start) {
                return Err(Unsupported("samples lie outside the media data (mdat)"));
            }
            before = end;
        }
        if count == self.count() { Ok(()) } else { Err(INCONSISTENT) }
    }

    /// Returns the offset of the last chunk.
    pub(super) fn last_chunk(&self) -> Option<u64> {
        self.chunk_table.offset(self.chunk_table.chunks().checked_sub(1)?)
    }

    /// Returns all samples in decoding order. The iteration ends early if the tables do.
    pub(super) fn samples(&self) -> Samples<'a> {
        Samples::new(self.times, self.shifts, self.sizes, self.chunk_table)
    }

    /// Returns the numbers of the sync samples, counted from 1; `None` if all are.
    pub(super) fn sync_numbers(&self) -> Option<impl Iterator<Item = u32> + use<'a>> {
        self.sync.map(|stss| stss.chunks_exact(4).filter_map(|number| u32_at(number, 0)))
    }
}

/// Returns the entries of a table, as [`isobmff::table`] finds them.
pub(super) fn table<'a>(
    found: &Mp4Box<'a>,
    skip: usize,
    size: usize,
) -> Result<&'a [u8], Unsupported> {
    isobmff::table(found, skip, size).ok_or(INCONSISTENT)
}

/// Returns the sizes of samples, in either form (§8.7.3).
fn sizes<'a>(stbl: &[Mp4Box<'a>]) -> Result<Sizes<'a>, Unsupported> {
    match (at_most_one(stbl, b"stsz")?, at_most_one(stbl, b"stz2")?) {
        (Some(stsz), None) => match u32_at(stsz.payload(), 4) {
            Some(0) => Ok(Sizes::Each { bits: 32, sizes: table(&stsz, 8, 4)? }),
            size => {
                let count = u32_at(stsz.payload(), 8);
                let (Some(size), Some(count)) = (size, count) else { return Err(INCONSISTENT) };
                Ok(Sizes::Same { size, count })
            }
        },
        (None, Some(stz2)) => {
            let bits = stz2.payload().get(7).copied().filter(|bits| matches!(bits, 8 | 16));
            // The standard also allows 4 bits, in which no real sample size fits.
            let bits =
                bits.ok_or(Unsupported("the sample size fields (stz2) have an unsupported width"))?;
            Ok(Sizes::Each { bits, sizes: table(&stz2, 8, usize::from(bits / 8))? })
        }
        _ => Err(INCONSISTENT),
    }
}

//! The tables that tell of each sample of a track: how long (§8.6.1), how large (§8.7.3), where
//! (§8.7.4, §8.7.5). Read in place, one sample after the other; must never allocate by a count that
//! a table claims.

use std::ops::Range;

use super::samples::{ChunkTable, RunLengthTable, Samples, Sizes};
use crate::container::isobmff::{self, Found, u32_at};
use crate::error::Unsupported;
use crate::splice::trak::{Trak, at_most_one, one};

/// The most samples of a track of which each has a size of its own: 30 hours at 60 pictures a second. Where
/// all have the same, as in sound without compression, it matters only how many chunks there are.
const MAX_SAMPLES: u32 = 8 << 20;

const INCONSISTENT: Unsupported = Unsupported("the sample tables contradict each other");
pub(super) const BACKWARDS: Unsupported =
    Unsupported("the samples are not stored in decoding order");

/// The tables of a track.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a> {
    /// How long samples last (stts).
    pub(super) times: RunLengthTable<'a>,
    /// How much later than decoded they are shown (ctts), if at all.
    pub(super) shifts: Option<RunLengthTable<'a>>,
    /// The numbers of those that can be decoded alone (stss); all, if it is not there.
    pub(super) sync: Option<&'a [u8]>,
    pub(super) sizes: Sizes<'a>,
    places: ChunkTable<'a>,
    descriptions: u32,
}

impl<'a> Tables<'a> {
    /// Finds the tables; what they say is not yet consistent.
    pub(super) fn read(trak: &Trak<'a>) -> Result<Tables<'a>, Unsupported> {
        let stbl = &trak.stbl;
        let entries = table(&one(stbl, b"stsc")?, 4, 12)?;
        let places = match (at_most_one(stbl, b"stco")?, at_most_one(stbl, b"co64")?) {
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
            places,
            descriptions: trak.descriptions,
        })
    }

    /// How many samples there are.
    pub(super) fn count(&self) -> u32 {
        self.sizes.count()
    }

    /// Makes sure that the tables tell the same of the same samples, and that the samples lie within
    /// `media`, in their order.
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

    /// Makes sure that the chunks hold each sample once, and that each has a description.
    fn check_chunks(&self) -> Result<(), Unsupported> {
        let (mut samples, mut before) = (0u64, 0);
        let mut entries = self.places.entries().peekable();
        let chunks = self.places.chunks();
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

    /// Where the last chunk begins.
    pub(super) fn last_chunk(&self) -> Option<u64> {
        self.places.offset(self.places.chunks().checked_sub(1)?)
    }

    /// All samples, in the order in which they are decoded. Ends early if the tables do.
    pub(super) fn samples(&self) -> Samples<'a> {
        Samples::new(self.times, self.shifts, self.sizes, self.places)
    }

    /// The numbers of samples that can be decoded alone, counted from 1.
    pub(super) fn sync_numbers(&self) -> Option<impl Iterator<Item = u32> + use<'a>> {
        self.sync.map(|stss| stss.chunks_exact(4).filter_map(|number| u32_at(number, 0)))
    }
}

/// The entries of a table, as [`isobmff::table`] finds them.
pub(super) fn table<'a>(
    found: &Found<'a>,
    skip: usize,
    size: usize,
) -> Result<&'a [u8], Unsupported> {
    isobmff::table(found, skip, size).ok_or(INCONSISTENT)
}

/// The sizes of samples, in either form (§8.7.3).
fn sizes<'a>(stbl: &[Found<'a>]) -> Result<Sizes<'a>, Unsupported> {
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
            // Sizes of 4 bits, which the standard allows too, are none that any sample has.
            let bits =
                bits.ok_or(Unsupported("the sample size fields (stz2) have an unsupported width"))?;
            Ok(Sizes::Each { bits, sizes: table(&stz2, 8, usize::from(bits / 8))? })
        }
        _ => Err(INCONSISTENT),
    }
}

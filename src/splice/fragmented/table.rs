//! [`Table`] records the samples of fragments in the form in which a moov describes them.
//!
//! **Invariant:** a table holds at most [`MAX_SAMPLES`].

use std::iter::repeat_n;

use super::fragment::FragmentInfo;
use crate::error::Unsupported;

/// The most samples of a file whose fragments are gathered: twelve hours of audio at 48 kHz. Each
/// takes a few bytes here, and a few more in the moov.
pub(super) const MAX_SAMPLES: usize = 2 << 20;

/// The most samples of one fragment.
const MAX_SAMPLES_PER_FRAGMENT: usize = 1 << 16;

/// A number of consecutive samples, and their common value.
pub(super) type Run<T> = (u32, T);

/// A contiguous byte range of media data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) at: u64,
    pub(super) samples: u32,
    pub(super) description: u32,
}

/// The samples of fragments, in decoding order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) sizes: Vec<u32>,
    /// Durations, and composition time offsets.
    pub(super) durations: Vec<Run<u32>>,
    pub(super) offsets: Vec<Run<i32>>,
    pub(super) extents: Vec<Extent>,
    /// Sync flags.
    syncs: Vec<Run<bool>>,
    /// The offset of the next sample by default, and its sample description.
    next: u64,
    description: u32,
}

/// Iterates over the values of all samples.
fn per_sample<T: Copy>(runs: &[Run<T>]) -> impl Iterator<Item = T> {
    runs.iter().flat_map(|(count, value)| repeat_n(*value, *count as usize))
}

fn push_run<T: PartialEq>(runs: &mut Vec<Run<T>>, count: u32, value: T) -> Option<()> {
    match runs.last_mut() {
        Some((before, same)) if *same == value => *before = before.checked_add(count)?,
        _ => runs.push((count, value)),
    }
    Some(())
}

impl Table {
    /// Begins a fragment with this base data offset and sample description.
    pub(super) fn begin_fragment(&mut self, base: u64, description: u32) {
        (self.next, self.description) = (base, description);
    }

    /// Begins a run (trun) at an offset from the base, or where the run before it ended.
    pub(super) fn begin_run(&mut self, base: u64, offset: Option<i32>) -> Option<()> {
        let at = offset.map_or(Some(self.next), |offset| base.checked_add_signed(offset.into()))?;
        self.extents.push(Extent { at, samples: 0, description: self.description });
        self.next = at;
        Some(())
    }

    /// Adds `count` samples that are all alike; `None` if they exceed a limit.
    pub(super) fn push_samples(
        &mut self,
        count: u32,
        size: u32,
        duration: u32,
        offset: i64,
        is_sync: bool,
    ) -> Option<()> {
        let total = self.sizes.len().checked_add(count as usize)?;
        if total > MAX_SAMPLES_PER_FRAGMENT {
            return None;
        }
        self.sizes.resize(total, size);
        push_run(&mut self.durations, count, duration)?;
        push_run(&mut self.offsets, count, i32::try_from(offset).ok()?)?;
        push_run(&mut self.syncs, count, is_sync)?;
        let extent = self.extents.last_mut()?;
        extent.samples += count;
        self.next = self.next.checked_add(u64::from(count) * u64::from(size))?;
        Some(())
    }

    /// Frees spare memory: there are thousands of tables.
    pub(super) fn shrink(&mut self) {
        self.sizes.shrink_to_fit();
        self.durations.shrink_to_fit();
        self.offsets.shrink_to_fit();
        self.extents.shrink_to_fit();
        self.syncs.shrink_to_fit();
    }

    /// Returns the total duration of the samples.
    pub(super) fn duration(&self) -> u64 {
        // The sum cannot overflow: there are at most a few million samples.
        self.durations
            .iter()
            .map(|(count, duration)| u64::from(*count) * u64::from(*duration))
            .sum()
    }

    /// Returns whether every sample is a sync sample.
    pub(super) fn is_all_sync(&self) -> bool {
        self.syncs.iter().all(|(_, is_sync)| *is_sync)
    }

    /// Returns the decode time of the last sync sample that is presented at `until` or before, if the
    /// first sample is decoded at `from`.
    pub(super) fn last_sync(&self, from: u64, until: u64) -> Option<u64> {
        let (mut time, mut found) = (from, None);
        let mut durations = per_sample(&self.durations);
        let mut offsets = per_sample(&self.offsets);
        let syncs = per_sample(&self.syncs);
        for is_sync in syncs {
            let (duration, offset) = (durations.next()?, offsets.next()?);
            if is_sync && time.saturating_add_signed(offset.into()) <= until {
                found = Some(time);
            }
            time = time.saturating_add(duration.into());
        }
        found
    }

    /// Returns whether all samples lie in the media data of their fragment, which begins at `from`.
    pub(super) fn lies_within(&self, from: u64, info: &FragmentInfo) -> bool {
        let mut sizes = self.sizes.iter();
        self.extents.iter().all(|extent| {
            let len: u64 =
                sizes.by_ref().take(extent.samples as usize).map(|size| u64::from(*size)).sum();
            let end = extent.at.checked_add(len);
            extent.at >= from + info.media && end.is_some_and(|end| end <= from + info.len)
        })
    }

    /// Appends the samples of the next fragment, which begins at time `begins`, while this one ends at
    /// `ends`: the duration of the last sample is extended or shortened by the difference.
    pub(super) fn append(
        &mut self,
        next: Table,
        ends: u64,
        begins: u64,
    ) -> Result<(), Unsupported> {
        if begins != ends {
            let (count, last) = self.durations.pop().ok_or(NOT_CONSECUTIVE)?;
            let moved = i64::from(last) + begins.cast_signed() - ends.cast_signed();
            let moved =
                u32::try_from(moved).ok().filter(|moved| *moved > 0).ok_or(NOT_CONSECUTIVE)?;
            if count > 1 {
                self.durations.push((count - 1, last));
            }
            push_run(&mut self.durations, 1, moved).ok_or(NOT_CONSECUTIVE)?;
        }
        if self.sizes.len() + next.sizes.len() > MAX_SAMPLES {
            return Err(Unsupported("the track has too many samples"));
        }
        self.sizes.extend(next.sizes);
        for (count, duration) in next.durations {
            push_run(&mut self.durations, count, duration).ok_or(NOT_CONSECUTIVE)?;
        }
        for (count, offset) in next.offsets {
            push_run(&mut self.offsets, count, offset).ok_or(NOT_CONSECUTIVE)?;
        }
        self.extents.extend(next.extents.into_iter().filter(|extent| extent.samples > 0));
        for (count, is_sync) in next.syncs {
            push_run(&mut self.syncs, count, is_sync).ok_or(NOT_CONSECUTIVE)?;
        }
        Ok(())
    }
}

const NOT_CONSECUTIVE: Unsupported = Unsupported("the fragments are not consecutive in time");

//! The samples of fragments, one after the other: what a moov would tell of them, had it been written
//! when they were known. Must never hold more of them than its limit.

use std::iter::repeat_n;

use super::fragment::FragmentInfo;
use crate::error::Unsupported;

/// The most samples of a file whose fragments are told of so: twelve hours of sound at 48 kHz. Each
/// takes a few bytes here, and a few more in the moov.
pub(super) const MAX_SAMPLES: usize = 2 << 20;

/// The most of one fragment.
const MAX_SAMPLES_PER_FRAGMENT: usize = 1 << 16;

/// So many samples with the same value.
pub(super) type Run<T> = (u32, T);

/// A run of media without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) at: u64,
    pub(super) samples: u32,
    pub(super) description: u32,
}

/// The samples of fragments, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) sizes: Vec<u32>,
    /// How long they last, and how much later than decoded they are shown.
    pub(super) durations: Vec<Run<u32>>,
    pub(super) offsets: Vec<Run<i32>>,
    pub(super) extents: Vec<Extent>,
    /// Whether they can be decoded alone.
    syncs: Vec<Run<bool>>,
    /// Where the next sample is, if nothing else is said, and what describes it.
    next: u64,
    description: u32,
}

/// The values of all samples.
fn each<T: Copy>(runs: &[Run<T>]) -> impl Iterator<Item = T> {
    runs.iter().flat_map(|(count, value)| repeat_n(*value, *count as usize))
}

fn add<T: PartialEq>(runs: &mut Vec<Run<T>>, count: u32, value: T) -> Option<()> {
    match runs.last_mut() {
        Some((before, same)) if *same == value => *before = before.checked_add(count)?,
        _ => runs.push((count, value)),
    }
    Some(())
}

impl Table {
    /// A fragment begins, whose media are counted from `base` and described so.
    pub(super) fn begin(&mut self, base: u64, description: u32) {
        (self.next, self.description) = (base, description);
    }

    /// A run begins, this far from the base, or where the one before it ended.
    pub(super) fn run(&mut self, base: u64, offset: Option<i32>) -> Option<()> {
        let at = offset.map_or(Some(self.next), |offset| base.checked_add_signed(offset.into()))?;
        self.extents.push(Extent { at, samples: 0, description: self.description });
        self.next = at;
        Some(())
    }

    /// So many samples that are all alike; `None` if that cannot be.
    pub(super) fn samples(
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
        add(&mut self.durations, count, duration)?;
        add(&mut self.offsets, count, i32::try_from(offset).ok()?)?;
        add(&mut self.syncs, count, is_sync)?;
        let extent = self.extents.last_mut()?;
        extent.samples += count;
        self.next = self.next.checked_add(u64::from(count) * u64::from(size))?;
        Some(())
    }

    /// Takes no more room than it must: there are thousands of them.
    pub(super) fn shrink(&mut self) {
        self.sizes.shrink_to_fit();
        self.durations.shrink_to_fit();
        self.offsets.shrink_to_fit();
        self.extents.shrink_to_fit();
        self.syncs.shrink_to_fit();
    }

    /// How long the samples last together.
    pub(super) fn duration(&self) -> u64 {
        // There are no more samples than a few millions.
        self.durations.iter().map(|(count, lasts)| u64::from(*count) * u64::from(*lasts)).sum()
    }

    /// Whether each sample can be decoded alone.
    pub(super) fn is_all_sync(&self) -> bool {
        self.syncs.iter().all(|(_, is_sync)| *is_sync)
    }

    /// When the last sample is decoded that can be alone and is shown at `until` or before, the first one
    /// being decoded at `from`.
    pub(super) fn last_sync(&self, from: u64, until: u64) -> Option<u64> {
        let (mut time, mut found) = (from, None);
        let mut durations = each(&self.durations);
        let mut offsets = each(&self.offsets);
        let syncs = each(&self.syncs);
        for is_sync in syncs {
            let (lasts, offset) = (durations.next()?, offsets.next()?);
            if is_sync && time.saturating_add_signed(offset.into()) <= until {
                found = Some(time);
            }
            time = time.saturating_add(lasts.into());
        }
        found
    }

    /// Whether all of it lies in the media of its fragment, which begins at `from`.
    pub(super) fn lies_within(&self, from: u64, info: &FragmentInfo) -> bool {
        let mut sizes = self.sizes.iter();
        self.extents.iter().all(|extent| {
            let len: u64 =
                sizes.by_ref().take(extent.samples as usize).map(|size| u64::from(*size)).sum();
            let end = extent.at.checked_add(len);
            extent.at >= from + info.media && end.is_some_and(|end| end <= from + info.len)
        })
    }

    /// The samples of the next fragment, which begins at `begins` when this one ends at `ends`: what
    /// lies between is the last sample's, which lasts longer, or less.
    pub(super) fn append(
        &mut self,
        next: Table,
        ends: u64,
        begins: u64,
    ) -> Result<(), Unsupported> {
        if begins != ends {
            let (count, last) = self.durations.pop().ok_or(UNEVEN)?;
            let moved = i64::from(last) + begins.cast_signed() - ends.cast_signed();
            let moved = u32::try_from(moved).ok().filter(|moved| *moved > 0).ok_or(UNEVEN)?;
            if count > 1 {
                self.durations.push((count - 1, last));
            }
            add(&mut self.durations, 1, moved).ok_or(UNEVEN)?;
        }
        if self.sizes.len() + next.sizes.len() > MAX_SAMPLES {
            return Err(Unsupported("the track has too many samples"));
        }
        self.sizes.extend(next.sizes);
        for (count, duration) in next.durations {
            add(&mut self.durations, count, duration).ok_or(UNEVEN)?;
        }
        for (count, offset) in next.offsets {
            add(&mut self.offsets, count, offset).ok_or(UNEVEN)?;
        }
        self.extents.extend(next.extents.into_iter().filter(|extent| extent.samples > 0));
        for (count, is_sync) in next.syncs {
            add(&mut self.syncs, count, is_sync).ok_or(UNEVEN)?;
        }
        Ok(())
    }
}

const UNEVEN: Unsupported = Unsupported("the fragments are not consecutive in time");

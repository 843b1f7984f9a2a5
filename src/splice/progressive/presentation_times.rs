//! [`PresentationTimes`] holds the presentation times of the samples of a track. Most tracks present
//! samples in decoding order: then runs of equal durations are stored, be they hundreds of millions of
//! samples. Pure.

use std::ops::Range;

use super::tables::Tables;
use crate::error::Unsupported;

pub(super) const TOO_LONG: Unsupported = Unsupported("the file has timestamps that are too large");
/// The maximum number of samples with individual times: 9 hours at 60 frames per second.
const MAX_SAMPLES: u32 = 2 << 20;

/// The presentation times of samples, in the media timescale.
pub(super) enum PresentationTimes {
    /// Samples are presented in decoding order, without gaps.
    InOrder {
        /// Runs of samples with equal durations.
        runs: Vec<EqualRun>,
        count: u32,
    },
    /// Each sample has a time of its own.
    Each(Vec<i64>),
}

/// Consecutive samples with equal durations.
pub(super) struct EqualRun {
    first: u32,
    duration: u32,
    /// The presentation time of the first sample.
    at: i64,
}

impl PresentationTimes {
    /// Returns the presentation times of all samples, and the end of the last one.
    pub(super) fn of(tables: &Tables<'_>) -> Result<(PresentationTimes, i64), Unsupported> {
        let mut shifts = tables.shifts.iter().flat_map(|shifts| shifts.runs());
        let shifts = shifts.by_ref().filter(|(count, _)| *count > 0).map(|(_, shift)| shift);
        let mut shifts = shifts.map(u32::cast_signed);
        let shift = shifts.next().unwrap_or(0);
        // If the durations all differ, runs would take more memory than individual times.
        let are_few = tables.times.runs().count() <= tables.count() as usize / 2 + 1;
        match are_few && shifts.all(|other| other == shift) {
            true => PresentationTimes::in_order(tables, shift),
            false => PresentationTimes::each(tables),
        }
    }

    fn in_order(tables: &Tables<'_>, shift: i32) -> Result<(PresentationTimes, i64), Unsupported> {
        let (mut runs, mut first, mut at) = (Vec::new(), 0u32, i64::from(shift));
        for (count, duration) in tables.times.runs().filter(|(count, _)| *count > 0) {
            runs.push(EqualRun { first, duration, at });
            first = first.checked_add(count).ok_or(TOO_LONG)?;
            let together = i64::from(count).checked_mul(duration.into()).ok_or(TOO_LONG)?;
            at = at.checked_add(together).ok_or(TOO_LONG)?;
        }
        Ok((PresentationTimes::InOrder { runs, count: first }, at))
    }

    fn each(tables: &Tables<'_>) -> Result<(PresentationTimes, i64), Unsupported> {
        if tables.count() > MAX_SAMPLES {
            return Err(Unsupported("the track has too many samples to be trimmed"));
        }
        let (mut each, mut end) = (Vec::new(), 0);
        for batch in tables.samples() {
            let mut at = i64::try_from(batch.time).map_err(|_| TOO_LONG)?;
            at = at.checked_add(batch.shift.into()).ok_or(TOO_LONG)?;
            for _ in 0..batch.count {
                each.push(at);
                at = at.checked_add(batch.delta.into()).ok_or(TOO_LONG)?;
                end = end.max(at);
            }
        }
        Ok((PresentationTimes::Each(each), end))
    }

    /// Returns the number of samples.
    pub(super) fn count(&self) -> u32 {
        match self {
            PresentationTimes::InOrder { count, .. } => *count,
            // The number came from a field of 32 bits.
            PresentationTimes::Each(each) => each.len() as u32,
        }
    }

    /// Returns the presentation time of a sample.
    pub(super) fn at(&self, sample: u32) -> Option<i64> {
        match self {
            PresentationTimes::InOrder { runs, count } => {
                let index = runs.partition_point(|run| run.first <= sample);
                let run = runs.get(index.checked_sub(1)?).filter(|_| sample < *count)?;
                // `in_order` checked that no time overflows.
                Some(run.at + i64::from(sample - run.first) * i64::from(run.duration))
            }
            PresentationTimes::Each(each) => each.get(sample as usize).copied(),
        }
    }

    /// Returns the last sample in decoding order that is presented no later than `until`.
    pub(super) fn last_up_to(&self, until: i64) -> Option<u32> {
        match self {
            PresentationTimes::InOrder { .. } => self.count_while(|at| at <= until).checked_sub(1),
            PresentationTimes::Each(each) => {
                each.iter().rposition(|at| *at <= until).and_then(|at| u32::try_from(at).ok())
            }
        }
    }

    /// Returns how many samples precede the first one for which `is_so` does not hold, in a track
    /// that is in order.
    fn count_while(&self, is_so: impl Fn(i64) -> bool) -> u32 {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.at(middle).is_some_and(&is_so) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }

    /// Returns the first sample after `first` at which the track can be cut, and its earliest
    /// presentation time, which must lie within `times`: everything before that sample is presented
    /// earlier.
    pub(super) fn cut_behind(&self, first: u32, times: &Range<i64>) -> Option<(u32, i64)> {
        let PresentationTimes::Each(each) = self else {
            let mut sample = self.count_while(|at| at < times.start).max(first + 1);
            let before = self.at(sample - 1)?;
            if self.at(sample)? == before {
                sample = self.count_while(|at| at <= before);
            }
            let at = self.at(sample)?;
            return (at < times.end).then_some((sample, at));
        };
        let mut earliest = each.clone();
        for at in (1..earliest.len()).rev() {
            earliest[at - 1] = earliest[at - 1].min(earliest[at]);
        }
        let mut latest = i64::MIN;
        for (sample, time) in (0u32..).zip(each).skip(first as usize) {
            let at = earliest[sample as usize];
            if latest < at && sample > first && times.contains(&at) {
                return Some((sample, at));
            }
            latest = latest.max(*time);
        }
        None
    }

    /// Returns the earliest presentation time of `samples`.
    pub(super) fn earliest(&self, samples: &Range<u32>) -> Option<i64> {
        match self {
            PresentationTimes::InOrder { .. } => {
                self.at(samples.start).filter(|_| !samples.is_empty())
            }
            PresentationTimes::Each(each) => {
                each.get(samples.start as usize..samples.end as usize)?.iter().copied().min()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Both representations give the same answers.
        #[test]
        fn both_tell_the_same(
            pairs in prop::collection::vec((1u32..5, 0u32..4), 1..6),
            shift in -3i64..4,
            first in 0u32..8,
            times in (-4i64..30, -4i64..30),
        ) {
            let (mut runs, mut each, mut at) = (Vec::new(), Vec::new(), shift);
            for (count, duration) in pairs {
                runs.push(EqualRun { first: each.len() as u32, duration, at });
                for _ in 0..count {
                    each.push(at);
                    at += i64::from(duration);
                }
            }
            let count = each.len() as u32;
            let (first, times) = (first % count, times.0..times.1);
            let [many, single] = [PresentationTimes::InOrder { runs, count }, PresentationTimes::Each(each)];
            for sample in 0..count + 2 {
                prop_assert_eq!(many.at(sample), single.at(sample));
                let samples = first..sample.clamp(first, count);
                prop_assert_eq!(many.earliest(&samples), single.earliest(&samples));
            }
            for until in -5..30 {
                prop_assert_eq!(many.last_up_to(until), single.last_up_to(until));
            }
            prop_assert_eq!(many.cut_behind(first, &times), single.cut_behind(first, &times));
        }
    }
}

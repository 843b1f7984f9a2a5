//! When the samples of a track are shown. Most tracks show them in the order in which they are decoded:
//! then it is told of as many as are alike at once, be they hundreds of millions. Pure.

use std::ops::Range;

use super::tables::Tables;
use crate::error::Unsupported;

pub(super) const TOO_LONG: Unsupported = Unsupported("the file has timestamps that are too large");
/// Of more samples it is not told one by one when each is shown: 9 hours at 60 pictures a second.
const MAX_SAMPLES: u32 = 2 << 20;

/// In the time scale of the media.
pub(super) enum Shown {
    /// One after the other.
    InOrder {
        /// From each on samples last equally long.
        steps: Vec<Step>,
        count: u32,
    },
    /// Each at a time of its own.
    Each(Vec<i64>),
}

/// Samples that last equally long.
pub(super) struct Step {
    first: u32,
    lasts: u32,
    /// When the first one is shown.
    at: i64,
}

impl Shown {
    /// When they are shown, and when the last one is over.
    pub(super) fn of(tables: &Tables<'_>) -> Result<(Shown, i64), Unsupported> {
        let mut shifts = tables.shifts.iter().flat_map(|shifts| shifts.runs());
        let shifts = shifts.by_ref().filter(|(count, _)| *count > 0).map(|(_, shift)| shift);
        let mut shifts = shifts.map(u32::cast_signed);
        let shift = shifts.next().unwrap_or(0);
        // As steps they would take up more than one by one, if each lasts differently.
        let are_few = tables.times.runs().count() <= tables.count() as usize / 2 + 1;
        match are_few && shifts.all(|other| other == shift) {
            true => Shown::in_order(tables, shift),
            false => Shown::each(tables),
        }
    }

    fn in_order(tables: &Tables<'_>, shift: i32) -> Result<(Shown, i64), Unsupported> {
        let (mut steps, mut first, mut at) = (Vec::new(), 0u32, i64::from(shift));
        for (count, lasts) in tables.times.runs().filter(|(count, _)| *count > 0) {
            steps.push(Step { first, lasts, at });
            first = first.checked_add(count).ok_or(TOO_LONG)?;
            let together = i64::from(count).checked_mul(lasts.into()).ok_or(TOO_LONG)?;
            at = at.checked_add(together).ok_or(TOO_LONG)?;
        }
        Ok((Shown::InOrder { steps, count: first }, at))
    }

    fn each(tables: &Tables<'_>) -> Result<(Shown, i64), Unsupported> {
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
        Ok((Shown::Each(each), end))
    }

    /// How many samples there are.
    pub(super) fn count(&self) -> u32 {
        match self {
            Shown::InOrder { count, .. } => *count,
            // There are not more than were counted in 32 bits.
            Shown::Each(each) => each.len() as u32,
        }
    }

    /// When a sample is shown.
    pub(super) fn at(&self, sample: u32) -> Option<i64> {
        match self {
            Shown::InOrder { steps, count } => {
                let place = steps.partition_point(|step| step.first <= sample);
                let step = steps.get(place.checked_sub(1)?).filter(|_| sample < *count)?;
                // That no time is too large was seen.
                Some(step.at + i64::from(sample - step.first) * i64::from(step.lasts))
            }
            Shown::Each(each) => each.get(sample as usize).copied(),
        }
    }

    /// The last one that is shown no later than `until`.
    pub(super) fn last_up_to(&self, until: i64) -> Option<u32> {
        match self {
            Shown::InOrder { .. } => self.count_while(|at| at <= until).checked_sub(1),
            Shown::Each(each) => {
                each.iter().rposition(|at| *at <= until).and_then(|at| u32::try_from(at).ok())
            }
        }
    }

    /// How many there are in front of the first of which this is not so, where they are in order.
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

    /// The first sample behind `first` with which something later begins: all up to it is shown before
    /// it, and all from it on within `times`. And when that is shown.
    pub(super) fn cut_behind(&self, first: u32, times: &Range<i64>) -> Option<(u32, i64)> {
        let Shown::Each(each) = self else {
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
        for (sample, shown) in (0u32..).zip(each).skip(first as usize) {
            let at = earliest[sample as usize];
            if latest < at && sample > first && times.contains(&at) {
                return Some((sample, at));
            }
            latest = latest.max(*shown);
        }
        None
    }

    /// When the first of these is shown.
    pub(super) fn earliest(&self, samples: &Range<u32>) -> Option<i64> {
        match self {
            Shown::InOrder { .. } => self.at(samples.start).filter(|_| !samples.is_empty()),
            Shown::Each(each) => {
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
        /// What is told of many at once is what would be told one by one.
        #[test]
        fn both_tell_the_same(
            runs in prop::collection::vec((1u32..5, 0u32..4), 1..6),
            shift in -3i64..4,
            first in 0u32..8,
            times in (-4i64..30, -4i64..30),
        ) {
            let (mut steps, mut each, mut at) = (Vec::new(), Vec::new(), shift);
            for (count, lasts) in runs {
                steps.push(Step { first: each.len() as u32, lasts, at });
                for _ in 0..count {
                    each.push(at);
                    at += i64::from(lasts);
                }
            }
            let count = each.len() as u32;
            let (first, times) = (first % count, times.0..times.1);
            let [many, single] = [Shown::InOrder { steps, count }, Shown::Each(each)];
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

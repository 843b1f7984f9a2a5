//! Intervals that are left out of media. Pure.

use std::ops::Range;
use std::time::Duration;

/// Intervals of time that are left out, in any unit.
///
/// **Invariant:** none is empty, they are apart, and in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Removal(Vec<Range<u64>>);

impl Removal {
    /// Nothing is left out.
    pub const NONE: Removal = Removal(Vec::new());

    /// Joins the intervals that touch each other.
    pub fn new(intervals: impl IntoIterator<Item = Range<u64>>) -> Removal {
        let mut intervals: Vec<_> =
            intervals.into_iter().filter(|interval| interval.start < interval.end).collect();
        intervals.sort_by_key(|interval| interval.start);
        let mut apart: Vec<Range<u64>> = Vec::new();
        for interval in intervals {
            match apart.last_mut() {
                Some(last) if last.end >= interval.start => last.end = last.end.max(interval.end),
                _ => apart.push(interval),
            }
        }
        Removal(apart)
    }

    /// Returns whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the intervals.
    pub fn intervals(&self) -> &[Range<u64>] {
        &self.0
    }

    /// Returns whether what is at `time` is left out.
    pub fn contains(&self, time: u64) -> bool {
        let next = self.0.partition_point(|interval| interval.end <= time);
        self.0.get(next).is_some_and(|interval| interval.start <= time)
    }

    /// Returns whether all between two times is left out.
    pub fn covers(&self, times: &Range<u64>) -> bool {
        let next = self.0.partition_point(|interval| interval.end <= times.start);
        self.0
            .get(next)
            .is_some_and(|interval| interval.start <= times.start && times.end <= interval.end)
    }

    /// Returns how much is left out before `time`.
    pub fn before(&self, time: u64) -> u64 {
        let before = self.0.iter().take_while(|interval| interval.start < time);
        before.map(|interval| interval.end.min(time) - interval.start).sum()
    }

    /// Returns when that is without the intervals which is at `time` with them. What is left out is where it was cut.
    pub fn moved(&self, time: u64) -> u64 {
        time - self.before(time)
    }

    /// Returns when that is without the intervals, in nanoseconds, which is at `time` with them.
    pub fn moved_time(&self, time: Duration) -> Duration {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        time.saturating_sub(Duration::from_nanos(self.before(nanos)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_move_by_what_is_left_out_before_them() {
        let removal = Removal::new([40..50, 10..20, 15..30, 30..35, 60..60]);
        assert_eq!(removal.intervals(), [10..35, 40..50]);
        for (time, moved, is_removed) in [
            (0, 0, false),
            (9, 9, false),
            (10, 10, true),
            (34, 10, true),
            (35, 10, false),
            (39, 14, false),
            (40, 15, true),
            (50, 15, false),
            (u64::MAX, u64::MAX - 35, false),
        ] {
            assert_eq!(
                (removal.moved(time), removal.contains(time)),
                (moved, is_removed),
                "{time}"
            );
        }
        let covered = [10..35, 11..12, 9..12, 30..41, 40..50].map(|times| removal.covers(&times));
        assert_eq!(covered, [true, true, false, false, true]);
        assert_eq!(removal.moved_time(Duration::from_nanos(45)), Duration::from_nanos(15));
        assert!(Removal::new([5..5]).is_empty());
        assert_eq!(Removal::NONE.moved(7), 7);
    }
}

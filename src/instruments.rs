//! What the parts of the server count with: [`Counter`], [`CounterSet`] and [`Histogram`]. `metrics` renders them.
//!
//! **Invariant:** counting is an atomic addition; nothing here locks or allocates once it is made. A label is one of a
//! closed set, so every series exists from the start, at 0.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts `count` more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Returns the number so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The values of a label.
pub trait Label: Copy + 'static {
    /// All values, each at its [`index`](Label::index).
    const ALL: &'static [Self];

    /// Returns the place of the value in [`ALL`](Label::ALL).
    fn index(self) -> usize;

    /// Returns the value as text.
    fn as_str(self) -> &'static str;
}

/// Defines an enum whose values are those of a label.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$value_doc])* $value,)+
        }

        impl $crate::instruments::Label for $name {
            const ALL: &'static [$name] = &[$($name::$value,)+];

            fn index(self) -> usize {
                self as usize
            }

            fn as_str(self) -> &'static str {
                match self {
                    $($name::$value => $text,)+
                }
            }
        }
    };
}
pub(crate) use label;

/// One counter for each value of a label.
#[derive(Debug)]
pub struct CounterSet<L> {
    counters: Box<[Counter]>,
    label: std::marker::PhantomData<L>,
}

impl<L: Label> Default for CounterSet<L> {
    fn default() -> CounterSet<L> {
        let counters = L::ALL.iter().map(|_| Counter::default()).collect();
        CounterSet { counters, label: std::marker::PhantomData }
    }
}

impl<L: Label> CounterSet<L> {
    /// Returns the counter of a value.
    pub fn of(&self, value: L) -> &Counter {
        &self.counters[value.index()]
    }

    /// Returns all values with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (L, u64)> {
        L::ALL.iter().map(|value| (*value, self.of(*value).get()))
    }

    /// Returns the sum of all numbers.
    pub fn sum(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }
}

/// One histogram for each value of a label.
#[derive(Debug)]
pub struct HistogramSet<L> {
    histograms: Box<[Histogram]>,
    label: std::marker::PhantomData<L>,
}

impl<L: Label> HistogramSet<L> {
    /// Makes histograms with these upper bounds, in seconds.
    pub fn new(bounds: &'static [f64]) -> HistogramSet<L> {
        let histograms = L::ALL.iter().map(|_| Histogram::new(bounds)).collect();
        HistogramSet { histograms, label: std::marker::PhantomData }
    }

    /// Returns the histogram of a value.
    pub fn of(&self, value: L) -> &Histogram {
        &self.histograms[value.index()]
    }

    /// Returns all values with their histograms.
    pub fn iter(&self) -> impl Iterator<Item = (L, &Histogram)> {
        L::ALL.iter().map(|value| (*value, self.of(*value)))
    }
}

label! {
    /// What became of something.
    Outcome {
        /// It succeeded.
        Ok = "ok",
        /// It failed.
        Failed = "failed",
    }
}

label! {
    /// What a cache knew.
    Found {
        /// What was looked for.
        Hit = "hit",
        /// Nothing.
        Miss = "miss",
    }
}

impl CounterSet<Found> {
    /// Counts a look into a cache, and returns what was found.
    pub fn look<T>(&self, found: Option<T>) -> Option<T> {
        self.of(if found.is_some() { Found::Hit } else { Found::Miss }).increment();
        found
    }
}

/// How many durations were how long.
#[derive(Debug)]
pub struct Histogram {
    /// The upper bounds of the buckets, in seconds, ascending.
    bounds: &'static [f64],
    /// The durations in each bucket, and behind them the longer ones.
    buckets: Box<[Counter]>,
    sum_micros: Counter,
}

impl Histogram {
    /// Makes a histogram with these upper bounds, in seconds.
    pub fn new(bounds: &'static [f64]) -> Histogram {
        let buckets = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Histogram { bounds, buckets, sum_micros: Counter::default() }
    }

    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].increment();
        self.sum_micros.add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// Returns each bound with the number of durations up to it; at last, all of them with infinity.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(&self.buckets).scan(0, |total, (bound, bucket)| {
            *total += bucket.get();
            Some((bound, *total))
        })
    }

    /// Returns the number of all durations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::get).sum()
    }

    /// Returns the sum of all durations, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum_micros.get() as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_its_bucket_and_all_above() {
        let histogram = Histogram::new(&[0.1, 1.0]);
        for millis in [0, 100, 101, 1000, 5000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let cumulative: Vec<_> = histogram.cumulative().collect();
        assert_eq!(cumulative, [(0.1, 2), (1.0, 4), (f64::INFINITY, 5)]);
        assert_eq!((histogram.sum(), histogram.count()), (6.201, 5));
    }

    #[test]
    fn every_value_has_its_counter() {
        let found = CounterSet::<Found>::default();
        assert_eq!(found.look(Some(3)), Some(3));
        assert_eq!(found.look(None::<u8>), None);
        assert_eq!(found.look(None::<u8>), None);
        assert_eq!(found.iter().collect::<Vec<_>>(), [(Found::Hit, 1), (Found::Miss, 2)]);
        assert_eq!(found.sum(), 3);
        for (index, value) in Outcome::ALL.iter().enumerate() {
            assert_eq!(value.index(), index);
        }
    }
}

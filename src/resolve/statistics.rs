//! How long pages take to read, and how often they need not be.

use std::time::Duration;

use crate::instruments::{CounterSet, Found, HistogramSet, Outcome};

/// The buckets of how long it takes to read a page: a second with yt-dlp loaded, ten for scripts of YouTube.
const SECONDS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0];

/// What is counted of page readings.
#[derive(Debug)]
pub struct Statistics {
    /// How long it took to read pages, or to fail.
    pub readings: HistogramSet<Outcome>,
    /// How often a page was in the cache, or was just being read.
    pub cache: CounterSet<Found>,
}

impl Default for Statistics {
    fn default() -> Statistics {
        Statistics { readings: HistogramSet::new(SECONDS), cache: CounterSet::default() }
    }
}

impl Statistics {
    /// Counts a reading.
    pub(super) fn read<T, E>(&self, read: &Result<T, E>, elapsed: Duration) {
        let outcome = if read.is_ok() { Outcome::Ok } else { Outcome::Failed };
        self.readings.of(outcome).observe(elapsed);
    }
}

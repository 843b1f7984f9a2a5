//! Counts downloads and logins, and writes metrics for Prometheus. What other modules count, they keep themselves
//! ([`instruments`](crate::instruments)); `handler/metrics.rs` has the list of all.
//!
//! **Invariant:** they never slow a download: counting is an atomic addition.

use std::time::Duration;

use time::OffsetDateTime;

use crate::instruments::{Counter, CounterSet, HistogramSet, Label};
use crate::labels::EngineName;
use crate::problem_code::ProblemCode;

mod exposition;
mod process;

pub use exposition::{Exposition, Kind};
pub use process::write_process;

/// The buckets of the time to the first byte: milliseconds from an index that is in memory, seconds with a page to
/// read, more with a wait for a slot.
const FIRST_BYTE_SECONDS: &[f64] = &[0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0];

/// How a download ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamResult {
    /// The response is complete.
    Complete,
    /// It failed.
    Failed(ProblemCode),
}

impl Label for StreamResult {
    const ALL: &'static [StreamResult] = &{
        let mut all = [StreamResult::Complete; ProblemCode::ALL.len() + 1];
        let mut place = 1;
        while place < all.len() {
            all[place] = StreamResult::Failed(ProblemCode::ALL[place - 1]);
            place += 1;
        }
        all
    };

    fn index(self) -> usize {
        match self {
            StreamResult::Complete => 0,
            StreamResult::Failed(code) => code as usize + 1,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            StreamResult::Complete => "complete",
            StreamResult::Failed(code) => code.as_str(),
        }
    }
}

/// The counters of downloads and logins.
#[derive(Debug)]
pub struct Metrics {
    /// When the daemon was started, in seconds since 1970.
    pub start_time: f64,
    /// Downloads that began.
    streams: Counter,
    /// Downloads that ended.
    ended: CounterSet<StreamResult>,
    /// Wrong credentials that clients have shown.
    pub login_failures: Counter,
    /// The time from the request to the first byte of the body.
    pub first_byte: HistogramSet<EngineName>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            start_time: OffsetDateTime::now_utc().unix_timestamp_nanos() as f64 / 1e9,
            streams: Counter::default(),
            ended: CounterSet::default(),
            login_failures: Counter::default(),
            first_byte: HistogramSet::new(FIRST_BYTE_SECONDS),
        }
    }
}

/// Downloads at one moment.
#[derive(Debug, PartialEq, Eq)]
pub struct Streams {
    /// Those that began.
    pub begun: u64,
    /// Those that ended, by result.
    pub ended: Vec<(StreamResult, u64)>,
    /// Those that began and have not ended.
    pub in_progress: u64,
}

/// A download that is counted: when it begins, and once when it ends.
pub struct StreamCount<'m> {
    metrics: &'m Metrics,
    has_ended: bool,
}

impl Metrics {
    /// Counts a download that begins.
    pub fn stream(&self) -> StreamCount<'_> {
        self.streams.increment();
        StreamCount { metrics: self, has_ended: false }
    }

    /// Records the time from the request to the first byte of the body.
    pub fn first_byte(&self, engine: Option<EngineName>, elapsed: Duration) {
        if let Some(engine) = engine {
            self.first_byte.of(engine).observe(elapsed);
        }
    }

    /// Returns the downloads so far. Each is one that ended, or is in progress.
    pub fn streams(&self) -> Streams {
        // In this order: what begins or ends meanwhile is in progress.
        let ended: Vec<_> = self.ended.iter().collect();
        let begun = self.streams.get();
        let all_ended: u64 = ended.iter().map(|(_, count)| count).sum();
        Streams { begun, ended, in_progress: begun.saturating_sub(all_ended) }
    }
}

impl StreamCount<'_> {
    /// Counts the end of the download.
    pub fn end(&mut self, result: StreamResult) {
        self.has_ended = true;
        self.metrics.ended.of(result).increment();
    }
}

impl Drop for StreamCount<'_> {
    /// A download whose thread panicked ends, too.
    fn drop(&mut self) {
        if !self.has_ended {
            self.end(StreamResult::Failed(ProblemCode::Internal));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_has_its_place() {
        for (place, result) in StreamResult::ALL.iter().enumerate() {
            assert_eq!(result.index(), place);
        }
        assert_eq!(StreamResult::ALL.len(), ProblemCode::ALL.len() + 1);
    }

    #[test]
    fn what_began_ends_once_or_is_in_progress() {
        let metrics = Metrics::default();
        let sums = || {
            let streams = metrics.streams();
            let ended: u64 = streams.ended.iter().map(|(_, count)| count).sum();
            (streams.begun, ended, streams.in_progress)
        };
        let mut one = metrics.stream();
        let other = metrics.stream();
        assert_eq!(sums(), (2, 0, 2));
        one.end(StreamResult::Complete);
        drop(one);
        assert_eq!(sums(), (2, 1, 1));
        drop(other);
        assert_eq!(sums(), (2, 2, 0));
        let failed = (StreamResult::Failed(ProblemCode::Internal), 1);
        assert!(metrics.streams().ended.contains(&failed));
    }
}

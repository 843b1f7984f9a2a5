//! Detects an upstream that is slower than its minimum throughput. Pure.

use std::time::Duration;

/// Measures one upstream. Only the time spent waiting for it counts: a client that reads slowly is
/// not the upstream's fault.
#[derive(Debug)]
pub(super) struct ThroughputMonitor {
    min_throughput: u64,
    window: Duration,
    waited: Duration,
    bytes: u64,
}

impl ThroughputMonitor {
    pub(super) fn new(min_throughput: u64, window: Duration) -> ThroughputMonitor {
        ThroughputMonitor { min_throughput, window, waited: Duration::ZERO, bytes: 0 }
    }

    /// Records a read. The error is the rate in bytes per second if it was too low over a complete
    /// window.
    pub(super) fn record(&mut self, count: usize, waited: Duration) -> Result<(), u64> {
        self.bytes += count as u64;
        self.waited += waited;
        if self.waited < self.window {
            return Ok(());
        }
        let millis = self.waited.as_millis().max(1);
        let rate = u64::try_from(u128::from(self.bytes) * 1000 / millis).unwrap_or(u64::MAX);
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        if rate < self.min_throughput { Err(rate) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_a_second_is_too_slow_however_steady() {
        let mut monitor = ThroughputMonitor::new(1000, Duration::from_secs(10));
        let second = Duration::from_secs(1);
        let verdicts: Vec<_> = (0..10).map(|_| monitor.record(1, second)).collect();
        assert!(verdicts[..9].iter().all(Result::is_ok));
        assert_eq!(verdicts[9], Err(1));
        // A quick one that we read slowly is not.
        assert_eq!(monitor.record(10, Duration::from_millis(1)), Ok(()));
        assert_eq!(monitor.record(20_000, 10 * second), Ok(()));
    }
}

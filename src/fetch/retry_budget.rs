//! Limits retries and computes the wait before each. Pure, but for the jitter.

use std::time::Duration;

/// Wait before the second retry; each later one doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Maximum wait, unless the upstream requests a longer one.
const MAX_WAIT: Duration = Duration::from_secs(8);
/// Fewer bytes never count as progress.
const MIN_PROGRESS: u64 = 4 << 10;

/// Retries that remain while nothing progresses.
#[derive(Debug)]
pub(super) struct RetryBudget {
    retries: u32,
    /// What a healthy upstream sends within a stall timeout, which is what counts as progress.
    min_progress: u64,
    failures: u32,
    /// Bytes received since the last failure that reset the count.
    progress: u64,
}

impl RetryBudget {
    pub(super) fn new(retries: u32, min_progress: u64) -> RetryBudget {
        RetryBudget {
            retries,
            min_progress: min_progress.max(MIN_PROGRESS),
            failures: 0,
            progress: 0,
        }
    }

    /// Records received bytes.
    pub(super) fn progress(&mut self, count: usize) {
        self.progress = self.progress.saturating_add(count as u64);
        if self.progress >= self.min_progress {
            (self.failures, self.progress) = (0, 0);
        }
    }

    /// Records a failure; returns the wait before the next try, or `None` if the budget is spent.
    /// Bytes that came too slowly are no progress: a byte a second would refill the budget for
    /// ever.
    pub(super) fn spend(&mut self, too_slow: bool) -> Option<Duration> {
        if too_slow {
            self.progress = 0;
        }
        self.failures += 1;
        (self.failures <= self.retries).then(|| jittered(wait(self.failures)))
    }
}

/// Returns the wait after `failures` failures. The first retry is immediate: most connections break
/// for no lasting reason.
fn wait(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        more => FIRST_WAIT.saturating_mul(1 << (more - 2).min(16)).min(MAX_WAIT),
    }
}

/// Returns between half and all of `wait`, so that streams that failed together do not retry
/// together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Returns between 95 % and 100 % of `chunk`, so that requests are not all alike.
pub(super) fn jittered_chunk(chunk: u64) -> u64 {
    chunk - fastrand::u64(0..=chunk / 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit() {
        let waits: Vec<_> = (1..10).map(|n| wait(n).as_millis()).collect();
        assert_eq!(waits, [0, 250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
        assert_eq!(wait(u32::MAX), MAX_WAIT);
        let jittered = jittered(MAX_WAIT);
        assert!(jittered >= MAX_WAIT / 2 && jittered <= MAX_WAIT);
        assert!((9_500..=10_000).contains(&jittered_chunk(10_000)));
    }

    #[test]
    fn progress_refills_it_and_a_drip_does_not() {
        let mut budget = RetryBudget::new(2, 10_000);
        for _ in 0..10 {
            assert!(budget.spend(false).is_some());
            budget.progress(10_000);
        }
        for _ in 0..2 {
            budget.progress(9_999);
            assert!(budget.spend(true).is_some());
        }
        budget.progress(9_999);
        assert_eq!(budget.spend(true), None);
        assert_eq!(RetryBudget::new(0, 0).spend(false), None);
    }
}

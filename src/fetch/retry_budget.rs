//! How often a source asks again, and after how long. Pure, but for the jitter.

use std::time::Duration;

/// The wait before the second try; each one after it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// No wait is longer, unless the upstream asks for it.
const MAX_WAIT: Duration = Duration::from_secs(8);
/// Fewer bytes are never progress.
const MIN_PROGRESS: u64 = 4 << 10;

/// Tries that are left without progress in between.
#[derive(Debug)]
pub(super) struct RetryBudget {
    retries: u32,
    /// What a healthy upstream brings within a stall timeout, and so what counts as progress.
    min_progress: u64,
    failures: u32,
    since: u64,
}

impl RetryBudget {
    pub(super) fn new(retries: u32, enough: u64) -> RetryBudget {
        RetryBudget { retries, min_progress: enough.max(MIN_PROGRESS), failures: 0, since: 0 }
    }

    /// Takes note of bytes that came.
    pub(super) fn progress(&mut self, count: usize) {
        self.since = self.since.saturating_add(count as u64);
        if self.since >= self.min_progress {
            (self.failures, self.since) = (0, 0);
        }
    }

    /// Takes note of a failure: after how long to try again, if at all. What came too slowly is
    /// no progress, or a byte a second would refill the budget for ever.
    pub(super) fn spend(&mut self, too_slow: bool) -> Option<Duration> {
        if too_slow {
            self.since = 0;
        }
        self.failures += 1;
        (self.failures <= self.retries).then(|| jittered(wait(self.failures)))
    }
}

/// The first try again comes at once: most connections break for no reason that lasts.
fn wait(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        more => FIRST_WAIT.saturating_mul(1 << (more - 2).min(16)).min(MAX_WAIT),
    }
}

/// Somewhere between half of it and all of it, so that those who failed together do not come back
/// together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Between 95 % and 100 % of `chunk`: requests that are not all alike.
pub(super) fn jittered_chunk(chunk: u64) -> u64 {
    chunk - fastrand::u64(0..=chunk / 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit() {
        let io_guard: Vec<_> = (1..10).map(|n| wait(n).as_millis()).collect();
        assert_eq!(io_guard, [0, 250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
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

//! How quickly a track is read, and whether its reader or its upstream is to blame. Pure, but for the clock.

use std::time::{Duration, Instant};

/// Shorter times say nothing about the rate.
const MIN_ELAPSED: Duration = Duration::from_millis(10);
/// A reader is not slow before it was slow for so long.
const MIN_EVIDENCE: Duration = Duration::from_secs(1);
/// A slow reader reads fewer bytes in a second: videos are watched at less.
const SLOW_RATE: f64 = (2 << 20) as f64;

/// The progress of a reader in the recent past.
pub(super) struct Pace {
    /// Where the current response and the one before it began.
    window: [Mark; 2],
    /// How long the reader has waited for the upstream.
    waited: Duration,
}

#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    offset: u64,
    waited: Duration,
}

impl Pace {
    /// Begins at `offset`.
    pub(super) fn new(offset: u64) -> Pace {
        let mark = Mark { at: Instant::now(), offset, waited: Duration::ZERO };
        Pace { window: [mark; 2], waited: Duration::ZERO }
    }

    /// Records that a response begins at `offset`.
    pub(super) fn mark(&mut self, offset: u64) {
        let mark = Mark { at: Instant::now(), offset, waited: self.waited };
        self.window = [self.window[1], mark];
    }

    /// Records that the reader waited for the upstream.
    pub(super) fn record_wait(&mut self, duration: Duration) {
        self.waited += duration;
    }

    /// Returns bytes per second up to `offset` over the current response and the one before it, limited by the
    /// upstream or by the reader, whichever is slower. Players read as fast as possible until their buffers are full.
    pub(super) fn rate(&self, offset: u64) -> f64 {
        let Mark { at, offset: first, .. } = self.window[0];
        offset.saturating_sub(first) as f64 / at.elapsed().max(MIN_ELAPSED).as_secs_f64()
    }

    /// Returns whether the reader, now at `offset`, is slower than its upstream, and slow enough for one connection: while
    /// the next response comes, it has still to use what it took.
    pub(super) fn is_slow(&self, offset: u64) -> bool {
        let Mark { at, waited, .. } = self.window[0];
        let elapsed = at.elapsed();
        let is_waiting = (self.waited - waited) * 2 > elapsed;
        elapsed >= MIN_EVIDENCE && !is_waiting && self.rate(offset) < SLOW_RATE
    }

    /// Moves the past back.
    #[cfg(test)]
    pub(super) fn age(&mut self, by: Duration) {
        for mark in &mut self.window {
            mark.at = mark.at.checked_sub(by).unwrap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_slow_if_its_upstream_is_not() {
        let is_slow = |seconds, waited, offset| {
            let mut pace = Pace::new(0);
            pace.age(Duration::from_secs(seconds));
            pace.record_wait(Duration::from_secs(waited));
            pace.is_slow(offset)
        };
        assert!(is_slow(10, 1, 1 << 20));
        assert!(!is_slow(10, 9, 1 << 20), "the upstream is slow");
        assert!(!is_slow(10, 1, 1 << 30), "it reads 100 MiB a second");
        assert!(!is_slow(0, 0, 1 << 10), "nothing is known of it");
    }
}

//! Recovers from faults: waits, changes the next request, and retries; or fails the track.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use crate::error::{Error, UpstreamError};
use crate::fetch::TrackReader;
use crate::fetch::fallback::is_stale;

/// A busy upstream that requests a longer wait than this before its first response is reported to
/// the client, which can come back by itself.
const OPENING_WAIT: Duration = Duration::from_secs(5);

impl TrackReader<'_, '_> {
    /// Prepares the next try and waits until it is due, or fails.
    pub(super) fn recover(&mut self, fault: UpstreamError) -> Result<(), Error> {
        let redirected = self.effective_url.as_ref().is_some_and(|url| *url != self.location.url);
        self.drop_connections();
        // The target of a redirect may have expired; the original URL leads to the current one.
        let follows_again = redirected && is_stale(&fault) && self.can_resume();
        if follows_again { self.retry(&fault, Duration::ZERO) } else { self.retry_or_fail(fault) }
    }

    /// Like [`recover`](TrackReader::recover), but keeps the connection.
    pub(super) fn retry_or_fail(&mut self, fault: UpstreamError) -> Result<(), Error> {
        let wait = if self.can_resume() { self.next_attempt(&fault) } else { None };
        match (wait, fault) {
            (Some(wait), fault) => self.retry(&fault, wait),
            (None, UpstreamError::Status(status)) if self.fallbacks.is_futile => {
                Err(self.failed(UpstreamError::StillRefused(status)))
            }
            (None, fault) => Err(self.failed(fault)),
        }
    }

    /// Returns whether the transfer can resume: without ranges only before its first byte.
    fn can_resume(&self) -> bool {
        self.file().ranged || self.offset == 0
    }

    fn retry(&self, fault: &UpstreamError, wait: Duration) -> Result<(), Error> {
        self.upstream.retries_made.fetch_add(1, Ordering::Relaxed);
        log::debug!("retrying upstream in {wait:.1?}: {} {fault}", self.track);
        self.back_off(wait)
    }

    /// Waits for `wait`, and until the location becomes available.
    #[expect(clippy::disallowed_methods, reason = "that time is given as one of day")]
    pub(super) fn back_off(&self, wait: Duration) -> Result<(), Error> {
        let until = self.location.available_at;
        let early = until.and_then(|at| at.duration_since(SystemTime::now()).ok());
        let wait = wait.max(early.unwrap_or_default());
        if early.is_some_and(|early| early > self.upstream.max_wait) {
            return Err(self.failed(UpstreamError::NotYetAvailable(wait)));
        }
        match self.cancel.sleep(wait) {
            Ok(false) => Ok(()),
            Ok(true) => Err(Error::Stopped),
            Err(error) => Err(Error::system("wait for an upstream", &error)),
        }
    }

    /// Makes the change that `fault` requires; returns the wait before the next try, or `None` if
    /// there is none.
    fn next_attempt(&mut self, fault: &UpstreamError) -> Option<Duration> {
        match fault {
            UpstreamError::Unreachable(_) if self.file.is_none() => None,
            UpstreamError::Busy(_, Some(wait)) if *wait > self.max_wait() => None,
            UpstreamError::Busy(_, wait) => {
                self.budget.spend(false).map(|backoff| backoff.max(wait.unwrap_or_default()))
            }
            UpstreamError::Slow(_) => self.budget.spend(true),
            UpstreamError::Truncated { .. }
            | UpstreamError::Timeout(..)
            | UpstreamError::Unreachable(_)
            | UpstreamError::Status(408 | 500 | 502 | 504) => self.budget.spend(false),
            fault => self.try_fallback(fault).then_some(Duration::ZERO),
        }
    }

    fn max_wait(&self) -> Duration {
        let limit = if self.is_opening { OPENING_WAIT } else { Duration::MAX };
        limit.min(self.upstream.max_wait)
    }

    pub(super) fn failed(&self, fault: UpstreamError) -> Error {
        Error::Upstream { track: self.track, fault }
    }

    /// Drops the connection in use: the next request uses a new one. Idle connections have not
    /// failed and stay.
    pub(super) fn drop_connections(&mut self) {
        (self.body, self.effective_url) = (None, None);
        self.prefetched.clear();
        self.may_reuse = false;
    }
}

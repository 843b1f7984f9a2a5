//! Recovers from faults: waits, changes the next request, and retries; or fails the track.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use crate::error::{Error, UpstreamError};
use crate::fetch::cursor::Cursor;
use crate::fetch::entity::Entity;
use crate::fetch::fallback::{Fallbacks, is_stale};
use crate::fetch::requester::Requester;
use crate::fetch::retry_budget::RetryBudget;
use crate::http_client::UpstreamClient;

/// Maximum number of retries before the first response: a client that pasted a wrong link learns so
/// soon.
const OPENING_RETRIES: u32 = 2;
/// A busy upstream that requests a longer wait than this before its first response is reported to
/// the client, which can come back by itself.
const OPENING_WAIT: Duration = Duration::from_secs(5);

/// What was retried, and what may be retried yet.
pub(super) struct Retry {
    pub(super) budget: RetryBudget,
    /// What was changed after a refusal.
    pub(super) fallbacks: Fallbacks,
    /// Maximum wait that an upstream may request.
    max_wait: Duration,
    /// Whether nothing of the track has arrived yet.
    is_opening: bool,
}

impl Retry {
    /// Permits little, as nothing has arrived yet.
    pub(super) fn before_first_response(upstream: &UpstreamClient) -> Retry {
        let retries = upstream.retries.min(OPENING_RETRIES);
        Retry {
            budget: RetryBudget::new(retries, upstream.min_progress()),
            fallbacks: Fallbacks::default(),
            max_wait: upstream.max_wait.min(OPENING_WAIT),
            is_opening: true,
        }
    }

    /// Permits more: bytes have arrived, and from now on patience pays.
    pub(super) fn after_first_response(&mut self, upstream: &UpstreamClient) {
        self.budget = RetryBudget::new(upstream.retries, upstream.min_progress());
        self.max_wait = upstream.max_wait;
        self.is_opening = false;
    }
}

/// Returns whether the transfer can resume: without ranges only before its first byte.
fn can_resume(entity: Option<&Entity>, cursor: &Cursor) -> bool {
    cursor.offset == 0 || entity.is_some_and(|entity| entity.file.ranged)
}

impl Requester<'_> {
    /// Prepares the next try on a new connection and waits until it is due, or fails.
    pub(super) fn recover(
        &mut self,
        fault: UpstreamError,
        entity: Option<&mut Entity>,
        cursor: &mut Cursor,
    ) -> Result<(), Error> {
        let was_redirected = self.target.is_redirected();
        self.target.effective_url = None;
        self.may_reuse = false;
        // The target of a redirect may have expired; the original URL leads to the current one.
        if was_redirected && is_stale(&fault) && can_resume(entity.as_deref(), cursor) {
            return self.retry(&fault, Duration::ZERO);
        }
        self.retry_or_fail(fault, entity, cursor)
    }

    /// Like [`recover`](Requester::recover), but the connection has not failed.
    pub(super) fn retry_or_fail(
        &mut self,
        fault: UpstreamError,
        entity: Option<&mut Entity>,
        cursor: &mut Cursor,
    ) -> Result<(), Error> {
        let may_retry = can_resume(entity.as_deref(), cursor);
        match (may_retry.then(|| self.next_attempt(&fault, entity, cursor)).flatten(), fault) {
            (Some(wait), fault) => self.retry(&fault, wait),
            (None, UpstreamError::Status(status)) if self.retry.fallbacks.is_futile => {
                Err(self.failed(UpstreamError::StillRefused(status)))
            }
            (None, fault) => Err(self.failed(fault)),
        }
    }

    fn retry(&self, fault: &UpstreamError, wait: Duration) -> Result<(), Error> {
        self.upstream.retries_made.fetch_add(1, Ordering::Relaxed);
        log::debug!("retrying upstream in {wait:.1?}: {} {fault}", self.track);
        self.back_off(wait)
    }

    /// Waits for `wait`, and until the location becomes available.
    #[expect(clippy::disallowed_methods, reason = "that time is given as one of day")]
    pub(super) fn back_off(&self, wait: Duration) -> Result<(), Error> {
        let until = self.target.location.available_at;
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
    fn next_attempt(
        &mut self,
        fault: &UpstreamError,
        entity: Option<&mut Entity>,
        cursor: &mut Cursor,
    ) -> Option<Duration> {
        let Retry { budget, max_wait, is_opening, .. } = &mut self.retry;
        match fault {
            UpstreamError::Unreachable(_) if *is_opening && entity.is_none() => None,
            UpstreamError::Busy(_, Some(wait)) if *wait > *max_wait => None,
            UpstreamError::Busy(_, wait) => {
                budget.spend(false).map(|backoff| backoff.max(wait.unwrap_or_default()))
            }
            UpstreamError::Slow(_) => budget.spend(true),
            UpstreamError::Truncated { .. }
            | UpstreamError::Timeout(..)
            | UpstreamError::Unreachable(_)
            | UpstreamError::Status(408 | 500 | 502 | 504) => budget.spend(false),
            fault => self.try_fallback(fault, entity, cursor).then_some(Duration::ZERO),
        }
    }

    pub(super) fn failed(&self, fault: UpstreamError) -> Error {
        let fault = fault.of_browsers(self.target.location.expects_browser);
        Error::Upstream { track: self.track, fault }
    }
}

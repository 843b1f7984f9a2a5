//! Ties a connection to the stream that it serves: its waits end with that, or at a deadline, and what it
//! receives is counted.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cancel::{CancelToken, WaitOutcome};
use crate::instruments::Counter;

/// What a request counts for at least, in bytes, and an attempt to connect: both cost an upstream something, however
/// little it sends. Less than most segments have, also of audio alone.
const MIN_REQUEST_COST: u64 = 32 << 10;

/// The bounds of a connection's waits. Errors have the kind `TimedOut`, or `Other` if the stream is
/// over.
pub(crate) struct IoGuard {
    /// The stream that the connection serves, if it serves one.
    cancel: Option<Arc<CancelToken>>,
    /// When what is read or written now must be complete, however many reads it takes: the trailers
    /// of a chunked body, for example, are input that brings the reader nothing.
    deadline: Instant,
    /// The bytes that are received for all streams.
    total: Arc<Counter>,
    /// The bytes that are counted already, and still to be received.
    prepaid: u64,
}

impl IoGuard {
    /// Makes a guard for the stream of `cancel`, which is about to connect.
    pub(crate) fn new(
        cancel: &Arc<CancelToken>,
        deadline: Instant,
        total: &Arc<Counter>,
    ) -> IoGuard {
        let mut guard = IoGuard { cancel: None, deadline, total: total.clone(), prepaid: 0 };
        guard.set_cancel_token(Some(cancel));
        guard
    }

    /// Switches to another request of a stream, or to none.
    pub(crate) fn set_cancel_token(&mut self, cancel: Option<&Arc<CancelToken>>) {
        self.cancel = cancel.cloned();
        self.prepaid = MIN_REQUEST_COST;
        self.count(MIN_REQUEST_COST);
    }

    /// Returns whether the connection serves a stream.
    pub(crate) fn is_in_use(&self) -> bool {
        self.cancel.is_some()
    }

    /// Counts received bytes for the stream, which ends if its client had too much fetched.
    pub(crate) fn received(&mut self, count: usize) {
        self.total.add(count as u64);
        if let Some(cancel) = &self.cancel {
            cancel.traffic().received(count as u64);
        }
        let prepaid = self.prepaid.min(count as u64);
        self.prepaid -= prepaid;
        self.count(count as u64 - prepaid);
    }

    fn count(&self, bytes: u64) {
        if let Some(cancel) = self.cancel.as_ref().filter(|_| bytes > 0)
            && let Err(limit) = cancel.traffic().fetched(bytes)
        {
            cancel.cancel_with(limit.into());
        }
    }

    /// Allows what follows `limit` from now on.
    pub(crate) fn set_timeout(&mut self, limit: Duration) {
        self.deadline = Instant::now() + limit;
    }

    /// Waits for `fd` until the deadline.
    pub(crate) fn wait(&self, fd: BorrowedFd<'_>, interest: i16) -> io::Result<()> {
        self.wait_within(self.time_left(), fd, interest)
    }

    /// Waits for `fd`, at most for `limit`.
    pub(crate) fn wait_within(
        &self,
        limit: Duration,
        fd: BorrowedFd<'_>,
        interest: i16,
    ) -> io::Result<()> {
        let cancel = self.cancel.as_ref().ok_or_else(cancelled)?;
        match cancel.wait(fd, interest, limit)? {
            WaitOutcome::Ready => Ok(()),
            WaitOutcome::Stopped => Err(cancelled()),
            WaitOutcome::TimedOut => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Fails if the deadline has passed or the stream is over. Needed before each read: bytes that
    /// are always there are never waited for.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.time_left().is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match &self.cancel {
            Some(cancel) if !cancel.is_cancelled_cheap() => Ok(()),
            _ => Err(cancelled()),
        }
    }

    fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

fn cancelled() -> io::Error {
    io::Error::other("the stream is over")
}

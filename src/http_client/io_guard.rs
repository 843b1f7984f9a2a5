//! Bounds the waits of a connection: by the end of the stream that it serves, and by a deadline.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cancel::{CancelToken, WaitOutcome};

/// The bounds of a connection's waits. Errors have the kind `TimedOut`, or `Other` if the stream is
/// over.
pub(crate) struct IoGuard {
    /// The stream that the connection serves, if it serves one.
    cancel: Option<Arc<CancelToken>>,
    /// When what is read or written now must be complete, however many reads it takes: the trailers
    /// of a chunked body, for example, are input that brings the reader nothing.
    deadline: Instant,
}

impl IoGuard {
    /// Makes a guard for the stream of `cancel`.
    pub(crate) fn new(cancel: &Arc<CancelToken>, deadline: Instant) -> IoGuard {
        IoGuard { cancel: Some(cancel.clone()), deadline }
    }

    /// Switches to another stream, or to none.
    pub(crate) fn set_cancel_token(&mut self, cancel: Option<&Arc<CancelToken>>) {
        self.cancel = cancel.cloned();
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

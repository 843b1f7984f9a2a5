//! A connection to an upstream, whose answers may be read past ureq.
//!
//! ureq reads into a buffer of its own and copies from there, which is a large part of what it costs
//! to carry a byte. A body whose length is known, and that nothing is to be done to, is just so many
//! bytes on the connection: they are read right into where they are wanted. Every wait ends with the
//! stream. Must never know HTTP.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::unversioned::transport::{Buffers, LazyBuffers};
use ureq::{Error, Timeout};

use crate::cancel::{CancelToken, WaitOutcome};
use crate::sys;

/// What the waits of an HTTP client end with.
pub(crate) struct IoGuard(Mutex<IoLimits>);

#[derive(Clone)]
struct IoLimits {
    /// The stream that it serves, if it serves one.
    cancel: Option<Arc<CancelToken>>,
    /// When the next bytes of a body must be there, however many segments ureq has to read for
    /// them: the trailers of a chunked body give it segments, but its reader nothing.
    deadline: Option<Instant>,
}

impl IoGuard {
    /// With this stream.
    pub(crate) fn new(cancel: &Arc<CancelToken>) -> IoGuard {
        IoGuard(Mutex::new(IoLimits { cancel: Some(cancel.clone()), deadline: None }))
    }

    /// From now on with another stream, or there is nothing to be waited for.
    pub(crate) fn set_cancel_token(&self, cancel: Option<&Arc<CancelToken>>) {
        *lock(&self.0) = IoLimits { cancel: cancel.cloned(), deadline: None };
    }

    /// From now on at `deadline`, too.
    pub(crate) fn set_deadline(&self, deadline: Instant) {
        lock(&self.0).deadline = Some(deadline);
    }

    /// No longer: until the next [`until`](IoGuard::set_deadline).
    pub(crate) fn set_idle(&self) {
        lock(&self.0).deadline = None;
    }

    /// Waits for `fd`, and for `limit` at most.
    pub(crate) fn wait(
        &self,
        fd: BorrowedFd<'_>,
        interest: i16,
        limit: Duration,
        reason: Timeout,
    ) -> Result<(), Error> {
        let IoLimits { cancel, deadline } = lock(&self.0).clone();
        let left = deadline.map_or(Duration::MAX, time_left);
        match cancel.ok_or_else(cancelled)?.wait(fd, interest, limit.min(left))? {
            WaitOutcome::Ready => Ok(()),
            WaitOutcome::Stopped => Err(cancelled().into()),
            WaitOutcome::TimedOut => Err(Error::Timeout(reason)),
        }
    }

    /// Whether the stream is over.
    pub(crate) fn is_cancelled(&self) -> bool {
        lock(&self.0).cancel.as_ref().is_none_or(|cancel| cancel.is_cancelled())
    }

    /// The error if none of them is to begin: bytes that are always there are not waited for, and
    /// some that ureq reads give its reader nothing.
    fn check_limits(&self, reason: Timeout) -> Result<(), Error> {
        let ends = lock(&self.0);
        if ends.deadline.is_some_and(|deadline| time_left(deadline).is_zero()) {
            return Err(Error::Timeout(reason));
        }
        match &ends.cancel {
            Some(cancel) if !cancel.is_cancelled_cheap() => Ok(()),
            _ => Err(cancelled().into()),
        }
    }
}

fn time_left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn cancelled() -> io::Error {
    io::Error::other("the stream is over")
}

/// A connection.
pub(crate) struct Connection {
    pub(crate) socket: TcpStream,
    /// Scheme, host and port that it leads to, and where it was made to: a proxy perhaps.
    pub(crate) origin: String,
    pub(crate) peer: SocketAddr,
    io_guard: Arc<IoGuard>,
    /// What ureq has read of it and not yet used.
    buffered: AtomicUsize,
    /// An answer was read to its end: it is ready for the next question.
    is_reusable: AtomicBool,
}

impl Connection {
    pub(crate) fn new(
        socket: TcpStream,
        (to, peer): (String, SocketAddr),
        io_guard: Arc<IoGuard>,
    ) -> Arc<Connection> {
        let (buffered, is_free) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Connection { socket, origin: to, peer, io_guard, buffered, is_reusable: is_free })
    }

    /// The next bytes, as `take` takes them off the socket; 0 when the other side has closed. They are
    /// waited for until all waits end, and for `limit` at most.
    pub(crate) fn retry_when_ready(
        &self,
        limit: Duration,
        reason: Timeout,
        mut take: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Result<usize, Error> {
        loop {
            self.io_guard.check_limits(reason)?;
            match take(&self.socket) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(sys::READABLE, limit, reason)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(crate) fn wait(
        &self,
        interest: i16,
        limit: Duration,
        reason: Timeout,
    ) -> Result<(), Error> {
        self.io_guard.wait(self.socket.as_fd(), interest, limit, reason)
    }

    /// Whether nothing is on it that was not read: data or a hang-up mean that it is of no use.
    pub(crate) fn is_idle(&self) -> bool {
        let idle = sys::poll([(self.socket.as_fd(), sys::READABLE)], Some(Duration::ZERO));
        idle.is_ok_and(|[spoke]| !spoke)
    }

    /// Whether ureq has used all that it has read: what comes next is on the connection.
    pub(crate) fn is_buffer_empty(&self) -> bool {
        self.buffered.load(Ordering::Relaxed) == 0
    }

    /// The answer on it was read to its end.
    pub(crate) fn mark_reusable(&self) {
        self.is_reusable.store(true, Ordering::Relaxed);
    }

    /// Whether it was, and nothing was asked since.
    pub(crate) fn is_reusable(&self) -> bool {
        self.is_reusable.load(Ordering::Relaxed)
    }

    /// Something is being asked on it.
    pub(crate) fn mark_in_use(&self) {
        self.is_reusable.store(false, Ordering::Relaxed);
    }
}

/// ureq's buffers of a connection, which tell how much it has not used.
pub(crate) struct CountedBuffers {
    pub(crate) buffers: LazyBuffers,
    pub(crate) connection: Arc<Connection>,
}

impl CountedBuffers {
    fn count(&self) {
        self.connection.buffered.store(self.buffers.input().len(), Ordering::Relaxed);
    }
}

impl Buffers for CountedBuffers {
    fn output(&mut self) -> &mut [u8] {
        self.buffers.output()
    }

    fn input(&self) -> &[u8] {
        self.buffers.input()
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.buffers.input_append_buf()
    }

    fn input_appended(&mut self, amount: usize) {
        self.buffers.input_appended(amount);
        self.count();
    }

    fn input_consume(&mut self, amount: usize) {
        self.buffers.input_consume(amount);
        self.count();
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.buffers.tmp_and_output()
    }

    fn can_use_input(&self) -> bool {
        self.buffers.can_use_input()
    }
}

/// Nothing here is left half-changed by a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A connection to an upstream, whose response bodies may be read past ureq.
//!
//! ureq reads into a buffer of its own and copies from there, which is a large part of the cost per
//! byte. A body of known length without a transfer or content coding is plain bytes on the
//! connection; these are read directly to their destination. Every wait ends with the stream.
//!
//! **API boundary:** nothing here knows HTTP.

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

/// Bounds the waits of an HTTP client: by the stream's end and by a deadline.
pub(crate) struct IoGuard(Mutex<IoLimits>);

#[derive(Clone)]
struct IoLimits {
    /// The stream that the client serves, if it serves one.
    cancel: Option<Arc<CancelToken>>,
    /// When the next body bytes are due, however many reads ureq needs for them: the trailers of a
    /// chunked body give it input, but its reader nothing.
    deadline: Option<Instant>,
}

impl IoGuard {
    /// Makes a guard for the stream of `cancel`.
    pub(crate) fn new(cancel: &Arc<CancelToken>) -> IoGuard {
        IoGuard(Mutex::new(IoLimits { cancel: Some(cancel.clone()), deadline: None }))
    }

    /// Switches to another stream, or to none.
    pub(crate) fn set_cancel_token(&self, cancel: Option<&Arc<CancelToken>>) {
        *lock(&self.0) = IoLimits { cancel: cancel.cloned(), deadline: None };
    }

    /// Sets the deadline of every wait.
    pub(crate) fn set_deadline(&self, deadline: Instant) {
        lock(&self.0).deadline = Some(deadline);
    }

    /// Removes the deadline until the next [`set_deadline`](IoGuard::set_deadline).
    pub(crate) fn set_idle(&self) {
        lock(&self.0).deadline = None;
    }

    /// Waits for `fd`, at most for `limit`.
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

    /// Returns whether the stream is over.
    pub(crate) fn is_cancelled(&self) -> bool {
        lock(&self.0).cancel.as_ref().is_none_or(|cancel| cancel.is_cancelled())
    }

    /// Fails if the deadline has passed or the stream is over. Needed before each read: bytes that
    /// are always there are never waited for, and some of them give the reader of ureq nothing.
    fn check_limits(&self, reason: Timeout) -> Result<(), Error> {
        let limits = lock(&self.0);
        if limits.deadline.is_some_and(|deadline| time_left(deadline).is_zero()) {
            return Err(Error::Timeout(reason));
        }
        match &limits.cancel {
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

/// A TCP connection to an upstream, or to the proxy that leads there.
pub(crate) struct Connection {
    pub(crate) socket: TcpStream,
    /// Scheme, host and port of the upstream; and the address connected to, which may be that of a
    /// proxy.
    pub(crate) origin: String,
    pub(crate) peer: SocketAddr,
    io_guard: Arc<IoGuard>,
    /// Number of bytes that ureq has read and not yet consumed.
    buffered: AtomicUsize,
    /// Whether the last response was read to its end, so that the next request may be sent.
    is_reusable: AtomicBool,
}

impl Connection {
    pub(crate) fn new(
        socket: TcpStream,
        (origin, peer): (String, SocketAddr),
        io_guard: Arc<IoGuard>,
    ) -> Arc<Connection> {
        let (buffered, is_reusable) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Connection { socket, origin, peer, io_guard, buffered, is_reusable })
    }

    /// Calls `take` on the socket, waiting until it is readable (at most for `limit`); 0 when the
    /// peer has closed.
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

    /// Returns whether nothing unread has arrived: data or a hang-up on an idle connection make it
    /// unusable.
    pub(crate) fn is_idle(&self) -> bool {
        let ready = sys::poll([(self.socket.as_fd(), sys::READABLE)], Some(Duration::ZERO));
        ready.is_ok_and(|[has_event]| !has_event)
    }

    /// Returns whether ureq has consumed all that it has read, so that the next bytes come from the
    /// socket.
    pub(crate) fn is_buffer_empty(&self) -> bool {
        self.buffered.load(Ordering::Relaxed) == 0
    }

    /// Records that the response was read to its end.
    pub(crate) fn mark_reusable(&self) {
        self.is_reusable.store(true, Ordering::Relaxed);
    }

    /// Returns whether the last response was read to its end and no request was sent since.
    pub(crate) fn is_reusable(&self) -> bool {
        self.is_reusable.load(Ordering::Relaxed)
    }

    /// Records that a request is being sent.
    pub(crate) fn mark_in_use(&self) {
        self.is_reusable.store(false, Ordering::Relaxed);
    }
}

/// ureq's buffers of a connection, which count unconsumed input.
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

/// Locks `mutex`: no panic leaves its state half-changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

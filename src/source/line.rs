//! A connection to an upstream, whose answers may be read past ureq.
//!
//! ureq reads into a buffer of its own and copies from there, which is a large part of what it costs
//! to carry a byte. A body whose length is known, and that nothing is to be done to, is just so many
//! bytes on the connection: they are read right into where they are wanted. ureq does not know then
//! that its answer is over and gives the connection up, so it is kept here for the next question.
//! Every wait ends with the stream. Must never know HTTP.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::unversioned::transport::{Buffers, LazyBuffers};
use ureq::{Error, Timeout};

use crate::stop::{Stop, Wait};
use crate::sys;

/// A connection that has been at rest for longer is not used again: whoever is on the way may have
/// forgotten it, and would not say so.
const OLDEST: Duration = Duration::from_secs(15);

/// Until when the next bytes of a body must be there, however many segments ureq has to read for
/// them: the trailers of a chunked body give it segments, but its reader nothing.
#[derive(Default)]
pub(super) struct Patience(Mutex<Option<Instant>>);

impl Patience {
    /// From now on, until `deadline`.
    pub(super) fn until(&self, deadline: Instant) {
        *lock(&self.0) = Some(deadline);
    }

    /// No longer: until the next [`until`](Patience::until).
    pub(super) fn rest(&self) {
        *lock(&self.0) = None;
    }

    /// What is left of it, if it has begun to count.
    fn left(&self) -> Option<Duration> {
        let deadline = *lock(&self.0);
        deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

/// A connection of one stream.
pub(super) struct Line {
    pub(super) socket: TcpStream,
    /// Scheme, host and port that it leads to, and where it was made to: a proxy perhaps.
    to: String,
    peer: SocketAddr,
    stop: Arc<Stop>,
    patience: Arc<Patience>,
    /// What ureq has read of it and not yet used.
    buffered: AtomicUsize,
    /// An answer was read to its end past ureq: it is ready for the next question.
    is_free: AtomicBool,
}

impl Line {
    pub(super) fn new(
        socket: TcpStream,
        (to, peer): (String, SocketAddr),
        stop: Arc<Stop>,
        patience: Arc<Patience>,
    ) -> Arc<Line> {
        let (buffered, is_free) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Line { socket, to, peer, stop, patience, buffered, is_free })
    }

    /// The next bytes, as `take` takes them off the socket; 0 when the other side has closed. They are
    /// waited for until patience ends, and for `limit` at most.
    pub(super) fn next(
        &self,
        limit: Duration,
        reason: Timeout,
        mut take: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Result<usize, Error> {
        loop {
            // Also where bytes are always there: some that ureq reads give its reader nothing.
            if self.patience.left() == Some(Duration::ZERO) {
                return Err(Error::Timeout(reason));
            }
            if self.stop.is_ended() {
                return Err(over().into());
            }
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

    pub(super) fn wait(
        &self,
        interest: i16,
        limit: Duration,
        reason: Timeout,
    ) -> Result<(), Error> {
        let limit = limit.min(self.patience.left().unwrap_or(Duration::MAX));
        match self.stop.wait(self.socket.as_fd(), interest, limit)? {
            Wait::Ready => Ok(()),
            Wait::Stopped => Err(over().into()),
            Wait::TimedOut => Err(Error::Timeout(reason)),
        }
    }

    /// Whether nothing is on it that was not read: data or a hang-up mean that it is of no use.
    pub(super) fn is_idle(&self) -> bool {
        let idle = sys::poll([(self.socket.as_fd(), sys::READABLE)], Some(Duration::ZERO));
        idle.is_ok_and(|[spoke]| !spoke)
    }

    /// Whether ureq has used all that it has read: what comes next is on the connection.
    pub(super) fn is_drained(&self) -> bool {
        self.buffered.load(Ordering::Relaxed) == 0
    }

    /// The answer on it was read to its end, past ureq.
    pub(super) fn answered(&self) {
        self.is_free.store(true, Ordering::Relaxed);
    }
}

pub(super) fn over() -> io::Error {
    io::Error::other("the stream is over")
}

/// The connections of one HTTP client.
#[derive(Default)]
pub(super) struct Lines(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// On which a question was asked last.
    asked: Option<Arc<Line>>,
    /// Which is ready for another one, and not known to ureq; with the buffers that it had.
    free: Option<(Arc<Line>, LazyBuffers, Instant)>,
}

impl Lines {
    /// A question is being asked on this one.
    pub(super) fn ask_on(&self, line: &Arc<Line>) {
        lock(&self.0).asked = Some(line.clone());
    }

    /// The one on which the last question was asked, and so its answer comes.
    pub(super) fn asked(&self) -> Option<Arc<Line>> {
        lock(&self.0).asked.clone()
    }

    /// ureq lets go of this one. Where it need not, it is kept.
    pub(super) fn leave(&self, line: &Arc<Line>, buffers: &mut LazyBuffers) {
        let mut known = lock(&self.0);
        known.asked.take_if(|asked| Arc::ptr_eq(asked, line));
        if line.is_free.swap(false, Ordering::Relaxed) {
            let buffers = std::mem::replace(buffers, LazyBuffers::new(1, 1));
            known.free = Some((line.clone(), buffers, Instant::now()));
        }
    }

    /// A connection to there that was kept, if it is of use: `addresses` are those that it may lead
    /// to now.
    pub(super) fn take_free(
        &self,
        to: &str,
        addresses: &[SocketAddr],
    ) -> Option<(Arc<Line>, LazyBuffers)> {
        let (line, buffers, since) = lock(&self.0).free.take()?;
        let is_of_use = line.to == to
            && addresses.contains(&line.peer)
            && since.elapsed() < OLDEST
            && line.is_idle();
        is_of_use.then_some((line, buffers))
    }
}

/// ureq's buffers of a connection, which tell how much it has not used.
pub(super) struct Counted {
    pub(super) buffers: LazyBuffers,
    pub(super) line: Arc<Line>,
}

impl Counted {
    fn count(&self) {
        self.line.buffered.store(self.buffers.input().len(), Ordering::Relaxed);
    }
}

impl Buffers for Counted {
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
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Cancels a stream: the first error wins, the muxer is killed, and every wait ends.
//!
//! The threads of a stream wait for different things: an upstream, a pipe, a client. Each wait is a
//! `poll` on two descriptors, its own and the [`CancelToken`]'s, so one write to its eventfd ends
//! them all, and no thread has to know another. A client that hangs up and a server that aborts are
//! sources of the same epoll instance, so no thread has to watch them. Nothing else in the project
//! calls against the direction of a request.
//!
//! **Invariant:** the token takes no decisions: it stores the first cause and ignores later ones.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::sys::{self, Epoll, EventFd};
use crate::traffic::Traffic;

/// The state shared by the threads of one stream: whether and why the stream is over.
#[derive(Debug)]
pub struct CancelToken {
    cause: Mutex<Option<Arc<Error>>>,
    event: EventFd,
    /// Everything that cancels: the eventfd, the client's socket, the server's abort signal.
    sources: Epoll,
    /// Whether the eventfd was written to, for frequent checks.
    is_signalled: AtomicBool,
    /// The process group to kill, until its leader is reaped.
    process: Mutex<Option<u32>>,
    /// Counts what is fetched for the stream.
    traffic: Arc<Traffic>,
}

/// The epoll data of each source.
const SIGNALLED: u64 = 0;
const CLIENT: u64 = 1;
const ABORT: u64 = 2;
const PARENT: u64 = 3;

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitOutcome {
    /// The awaited descriptor is ready.
    Ready,
    /// The stream is over.
    Stopped,
    /// The time limit passed.
    TimedOut,
}

impl CancelToken {
    /// Makes a token that only the stream itself cancels.
    pub fn new() -> io::Result<CancelToken> {
        let (event, sources) = (EventFd::new()?, Epoll::new()?);
        sources.add(event.as_fd(), sys::READABLE, SIGNALLED)?;
        let (cause, process, is_signalled) =
            (Mutex::new(None), Mutex::new(None), AtomicBool::new(false));
        let traffic = Arc::default();
        Ok(CancelToken { cause, event, sources, is_signalled, process, traffic })
    }

    /// Makes a token that also cancels when the client hangs up on `socket`, or when `abort`
    /// becomes readable. What is fetched for the stream counts as `traffic`.
    pub fn with(
        socket: BorrowedFd<'_>,
        abort: BorrowedFd<'_>,
        traffic: &Arc<Traffic>,
    ) -> io::Result<CancelToken> {
        let cancel = CancelToken { traffic: traffic.clone(), ..CancelToken::new()? };
        cancel.sources.add(socket, sys::HUNG_UP, CLIENT)?;
        cancel.sources.add(abort, sys::READABLE, ABORT)?;
        Ok(cancel)
    }

    /// Makes a token for a part of the work, which ends with this one, or by itself.
    pub fn child(&self) -> io::Result<CancelToken> {
        let cancel = CancelToken { traffic: self.traffic.clone(), ..CancelToken::new()? };
        cancel.sources.add(self.as_fd(), sys::READABLE, PARENT)?;
        Ok(cancel)
    }

    /// Cancels the stream with `error` as its cause, unless it has one already; returns the cause.
    pub fn cancel_with(&self, error: Error) -> Arc<Error> {
        let cause = lock(&self.cause)
            .get_or_insert_with(|| Arc::new(self.outside_cause().unwrap_or(error)))
            .clone();
        self.cancel();
        cause
    }

    /// Returns the outside cause, if there is one: whatever fails then fails because of it.
    fn outside_cause(&self) -> Option<Error> {
        let ready = self.sources.ready();
        let cause = |name, error| ready.contains(&name).then_some(error);
        cause(ABORT, Error::Draining).or_else(|| cause(CLIENT, Error::ClientLeft))
    }

    /// Ends every wait and kills the muxer if it still runs, without setting a cause.
    pub fn cancel(&self) {
        self.is_signalled.store(true, Ordering::SeqCst);
        self.event.signal();
        self.kill_process();
    }

    /// Returns what is counted of the stream.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Returns the cause, if the stream failed.
    pub fn cause(&self) -> Option<Arc<Error>> {
        lock(&self.cause).clone()
    }

    /// Returns whether the stream is over.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled_cheap() || self.sleep(Duration::ZERO).unwrap_or(true)
    }

    /// Returns whether the stream was cancelled by one of its threads. This costs no system call,
    /// and misses a client that has left.
    pub fn is_cancelled_cheap(&self) -> bool {
        self.is_signalled.load(Ordering::SeqCst)
    }

    /// Waits for `fd`, for the end of the stream, or until `limit` has passed.
    pub fn wait(
        &self,
        fd: BorrowedFd<'_>,
        interest: i16,
        limit: Duration,
    ) -> io::Result<WaitOutcome> {
        let ready = sys::poll([(self.as_fd(), sys::READABLE), (fd, interest)], Some(limit))?;
        Ok(match ready {
            [true, _] => WaitOutcome::Stopped,
            [_, true] => WaitOutcome::Ready,
            _ => WaitOutcome::TimedOut,
        })
    }

    /// Waits for `duration`; returns `true` if the stream ended meanwhile.
    pub fn sleep(&self, duration: Duration) -> io::Result<bool> {
        sys::poll([(self.as_fd(), sys::READABLE)], Some(duration)).map(|[is_over]| is_over)
    }

    /// Registers the process group led by `leader`, which is killed when the stream ends, or at
    /// once if it has ended.
    pub fn attach_process(&self, leader: u32) {
        *lock(&self.process) = Some(leader);
        if self.is_cancelled_cheap() {
            self.kill_process();
        }
    }

    /// Forgets the process group before its owner reaps the leader: afterwards the pid may belong
    /// to another process, which must not be killed.
    pub fn detach_process(&self) {
        *lock(&self.process) = None;
    }

    /// Kills the registered process group.
    fn kill_process(&self) {
        // The lock is held during the kill, so that `detach_process` waits for it.
        if let Some(leader) = *lock(&self.process)
            && let Err(error) = sys::kill_group(leader)
        {
            log::warn!("cannot kill the muxer (process group {leader}): {error}");
        }
    }
}

impl AsFd for CancelToken {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sources.as_fd()
    }
}

/// Locks `mutex`: no panic leaves its state half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_child_ends_with_its_parent_and_not_the_other_way_round() {
        let parent = CancelToken::new().unwrap();
        let [one, other] = [(); 2].map(|()| parent.child().unwrap());
        one.cancel();
        assert!(one.is_cancelled() && !other.is_cancelled() && !parent.is_cancelled());
        parent.cancel();
        assert!(other.is_cancelled());
    }

    #[test]
    fn the_first_cause_wins() {
        let cancel = CancelToken::new().unwrap();
        assert!(cancel.cause().is_none());
        cancel.cancel_with(Error::ClientLeft);
        cancel.cancel_with(Error::Draining);
        assert!(matches!(*cancel.cause().unwrap(), Error::ClientLeft));
        assert!(cancel.is_cancelled());
    }

    #[test]
    fn a_client_that_leaves_is_the_cause_of_whatever_fails_then() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, abort) = (listener.accept().unwrap().0, EventFd::new().unwrap());
        let cancel = CancelToken::with(ours.as_fd(), abort.as_fd(), &Arc::default()).unwrap();
        assert!(!cancel.is_cancelled());
        drop(client);
        assert!(cancel.sleep(Duration::from_secs(60)).unwrap());
        assert!(cancel.is_cancelled() && !cancel.is_cancelled_cheap());
        cancel.cancel_with(Error::Stopped);
        assert!(matches!(*cancel.cause().unwrap(), Error::ClientLeft));
        assert!(cancel.is_cancelled_cheap());

        let cancel = CancelToken::with(ours.as_fd(), abort.as_fd(), &Arc::default()).unwrap();
        abort.signal();
        cancel.cancel_with(Error::Stopped);
        assert!(matches!(*cancel.cause().unwrap(), Error::Draining));
    }

    #[test]
    fn a_process_adopted_after_the_end_is_killed_all_the_same() {
        let cancel = CancelToken::new().unwrap();
        cancel.cancel();
        let mut command = Command::new("sleep");
        command.arg("60");
        sys::kill_on_parent_exit(&mut command);
        let mut child = command.spawn().unwrap();
        cancel.attach_process(child.id());
        assert!(!child.wait().unwrap().success());
        cancel.detach_process();
    }

    #[test]
    fn waiting_ends_when_the_stream_does() {
        let cancel = CancelToken::new().unwrap();
        let silent = EventFd::new().unwrap();
        let wait = |limit| cancel.wait(silent.as_fd(), sys::READABLE, limit).unwrap();
        assert_eq!(wait(Duration::from_millis(1)), WaitOutcome::TimedOut);
        std::thread::scope(|scope| {
            scope.spawn(|| cancel.cancel());
            assert_eq!(wait(Duration::from_secs(60)), WaitOutcome::Stopped);
        });
    }
}

//! How a stream is stopped: the first error wins, the muxer is killed, and every wait ends.
//!
//! A stream is several threads that wait for different things: an upstream, a pipe, a client.
//! Each of these waits is a `poll` on two descriptors, its own and the [`CancelToken`]'s, so one ring of
//! its bell ends them all; no thread has to know another. A client that hangs up, and a server that
//! gives up what still runs, ring in the same place: no thread has to look after them. This is the
//! only thing in the project that calls against the direction of the request.
//!
//! Must never decide who is right: it keeps the first cause and forgets the rest.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::sys::{self, Epoll, EventFd};

/// What the threads of one stream share: whether, and why, it is over.
#[derive(Debug)]
pub struct CancelToken {
    cause: Mutex<Option<Arc<Error>>>,
    bell: EventFd,
    /// Everything that rings.
    rings: Epoll,
    /// Whether the bell was rung, for those who ask often.
    ended: AtomicBool,
    /// The process group to kill, while its leader has not been reaped.
    muxer: Mutex<Option<u32>>,
}

/// What rings, by name.
const BELL: u64 = 0;
const CLIENT: u64 = 1;
const ABORT: u64 = 2;

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitOutcome {
    /// What was waited for is there.
    Ready,
    /// The stream is over.
    Stopped,
    /// The time ran out.
    TimedOut,
}

impl CancelToken {
    /// For a stream that begins.
    pub fn new() -> io::Result<CancelToken> {
        let (bell, rings) = (EventFd::new()?, Epoll::new()?);
        rings.add(bell.as_fd(), sys::READABLE, BELL)?;
        let (cause, muxer, ended) = (Mutex::new(None), Mutex::new(None), AtomicBool::new(false));
        Ok(CancelToken { cause, bell, rings, ended, muxer })
    }

    /// For a stream that is over when its client hangs up on `socket`, or when `abort` rings.
    pub fn with(socket: BorrowedFd<'_>, abort: BorrowedFd<'_>) -> io::Result<CancelToken> {
        let cancel = CancelToken::new()?;
        cancel.rings.add(socket, sys::HUNG_UP, CLIENT)?;
        cancel.rings.add(abort, sys::READABLE, ABORT)?;
        Ok(cancel)
    }

    /// Ends the stream because of `error`, unless it is over already.
    pub fn cancel_with(&self, error: Error) {
        lock(&self.cause).get_or_insert_with(|| Arc::new(self.client_left().unwrap_or(error)));
        self.cancel();
    }

    /// Who does not want the stream any more. What fails then fails because of that.
    fn client_left(&self) -> Option<Error> {
        let ready = self.rings.ready();
        let rings = |name, error| ready.contains(&name).then_some(error);
        rings(ABORT, Error::Draining).or_else(|| rings(CLIENT, Error::ClientLeft))
    }

    /// Ends every wait and kills the muxer if it still runs, without giving a cause.
    pub fn cancel(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.bell.signal();
        self.kill_process();
    }

    /// Why the stream failed, if it did.
    pub fn cause(&self) -> Option<Arc<Error>> {
        lock(&self.cause).clone()
    }

    /// Whether the stream is over.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled_cheap() || self.sleep(Duration::ZERO).unwrap_or(true)
    }

    /// Whether somebody has ended it. This costs nothing, and does not see that a client has left.
    pub fn is_cancelled_cheap(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
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

    /// Lets `time` pass; `true` when the stream ended in it.
    pub fn sleep(&self, time: Duration) -> io::Result<bool> {
        sys::poll([(self.as_fd(), sys::READABLE)], Some(time)).map(|[over]| over)
    }

    /// Puts the process group led by `leader` under this stop: from now on the end of the
    /// stream kills it. If the end has come already, it is killed here.
    pub fn attach_process(&self, leader: u32) {
        *lock(&self.muxer) = Some(leader);
        if self.is_cancelled_cheap() {
            self.kill_process();
        }
    }

    /// Lets go of the process group, which its owner is about to reap: after that its number
    /// may belong to another process, which must not be killed in its place.
    pub fn detach_process(&self) {
        *lock(&self.muxer) = None;
    }

    fn kill_process(&self) {
        // The lock is held over the kill, so that `release` waits for it.
        if let Some(leader) = *lock(&self.muxer)
            && let Err(error) = sys::kill_group(leader)
        {
            log::warn!("cannot kill the muxer (process group {leader}): {error}");
        }
    }
}

impl AsFd for CancelToken {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.rings.as_fd()
    }
}

/// Nothing here is left half-changed by a panic, so a poisoned lock is as good as a whole one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

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
        let cancel = CancelToken::with(ours.as_fd(), abort.as_fd()).unwrap();
        assert!(!cancel.is_cancelled());
        drop(client);
        assert!(cancel.sleep(Duration::from_secs(60)).unwrap());
        assert!(cancel.is_cancelled() && !cancel.is_cancelled_cheap());
        cancel.cancel_with(Error::Stopped);
        assert!(matches!(*cancel.cause().unwrap(), Error::ClientLeft));
        assert!(cancel.is_cancelled_cheap());

        let cancel = CancelToken::with(ours.as_fd(), abort.as_fd()).unwrap();
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

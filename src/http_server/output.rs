//! Where the bytes of a response go: to the socket of a client, or to a file of this process.
//!
//! **Invariant:** a response to a file ends as one to a socket does: as complete, or visibly not.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::connection::Shared;
use super::head::ResponseHead;
use super::response::Response;
use crate::problem::Problem;
use crate::sys::{self, EventFd, SplicePipe};

/// Receives a response in this process, in place of a client at the other end of a socket.
pub trait Receiver: Send + Sync {
    /// Returns what tells, by a hang-up, that nobody reads what is written.
    fn watched(&self) -> Option<BorrowedFd<'_>>;

    /// Receives the head of a media response; returns the file that its body is written to.
    fn begin(&self, head: &ResponseHead) -> io::Result<File>;

    /// Receives a small response.
    fn respond(&self, response: Response);

    /// Learns that the body is complete.
    fn complete(&self);

    /// Learns why there is no body, or no more of it; `written` is the error of the file, if that was it.
    fn fail(&self, problem: &Problem, written: Option<io::Error>);
}

/// What those who watch a response in this process share with it.
#[derive(Clone)]
pub struct LocalControl(pub(super) Arc<Shared>);

impl LocalControl {
    /// Makes the control of a response that has not begun.
    pub fn new() -> io::Result<LocalControl> {
        let (sent, zero_copy) = (AtomicU64::new(0), AtomicU64::new(0));
        let (abort, requests) = (EventFd::new()?, Arc::default());
        Ok(LocalControl(Arc::new(Shared { abort, sent, zero_copy, requests })))
    }

    /// Returns the number of bytes written.
    pub fn written(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Ends the response as incomplete.
    pub fn abort(&self) {
        self.0.abort.signal();
    }
}

/// Where the bytes of a response go.
pub(super) enum Output {
    Socket(TcpStream),
    Local(LocalOutput),
}

/// A file, once the response has begun.
pub(super) struct LocalOutput {
    receiver: Arc<dyn Receiver>,
    file: Option<File>,
    error: OnceLock<io::Error>,
    /// Never signalled: stands for a client that stays.
    stays: EventFd,
}

impl LocalOutput {
    pub(super) fn new(receiver: Arc<dyn Receiver>) -> io::Result<LocalOutput> {
        Ok(LocalOutput { receiver, file: None, error: OnceLock::new(), stays: EventFd::new()? })
    }

    pub(super) fn respond(&self, response: Response) {
        self.receiver.respond(response);
    }

    fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Moves the bytes of a pipe into the file, by a copy where its file system knows no other way.
    fn drain(&self, pipe: &SplicePipe, max_len: usize) -> io::Result<usize> {
        let mut file = self.file()?;
        match pipe.drain(file.as_fd(), max_len) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                let mut bytes = Vec::new();
                pipe.reader()?.take(max_len as u64).read_to_end(&mut bytes)?;
                file.write_all(&bytes)?;
                Ok(bytes.len())
            }
            drained => drained,
        }
    }
}

impl Output {
    /// Begins a response that ends visibly however the process ends, until it is [finished](Output::finish).
    pub(super) fn begin(&mut self, head: &ResponseHead) -> io::Result<()> {
        match self {
            Output::Socket(socket) => sys::reset_on_close(socket, true),
            Output::Local(local) => {
                local.file = Some(local.receiver.begin(head)?);
                Ok(())
            }
        }
    }

    /// Lets the response end in order.
    pub(super) fn finish(&self) -> io::Result<()> {
        match self {
            Output::Socket(socket) => sys::reset_on_close(socket, false),
            Output::Local(_) => Ok(()),
        }
    }

    /// Tells a receiver in this process that its response is complete.
    pub(super) fn complete(&self) {
        if let Output::Local(local) = self {
            local.receiver.complete();
        }
    }

    /// Tells a receiver in this process why its response is not complete.
    pub(super) fn fail(&mut self, problem: &Problem) {
        if let Output::Local(local) = self {
            local.receiver.fail(problem, local.error.take());
        }
    }

    /// Keeps why bytes could not be written, for those who cannot see it at the other end.
    pub(super) fn keep(&self, error: io::Error) {
        if let Output::Local(local) = self {
            // The first one is the cause.
            local.error.set(error).ok();
        }
    }

    /// Returns whether bodies are written as they are, without a head and framing.
    pub(super) fn is_local(&self) -> bool {
        matches!(self, Output::Local(_))
    }

    /// Returns the descriptor on which a hang-up tells that the client has left.
    pub(super) fn watched(&self) -> BorrowedFd<'_> {
        match self {
            Output::Socket(socket) => socket.as_fd(),
            Output::Local(local) => local.receiver.watched().unwrap_or_else(|| local.stays.as_fd()),
        }
    }

    /// Returns the descriptor that becomes writable.
    pub(super) fn writable(&self) -> BorrowedFd<'_> {
        match self {
            Output::Socket(socket) => socket.as_fd(),
            Output::Local(LocalOutput { file: Some(file), .. }) => file.as_fd(),
            Output::Local(local) => local.stays.as_fd(),
        }
    }

    /// Writes some of the bytes of these slices.
    pub(super) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Output::Socket(socket) => (&*socket).write_vectored(slices),
            Output::Local(local) => local.file()?.write_vectored(slices),
        }
    }

    /// Writes some of the bytes in `pipe`.
    pub(super) fn drain(&self, pipe: &SplicePipe, max_len: usize) -> io::Result<usize> {
        match self {
            Output::Socket(socket) => pipe.drain(socket.as_fd(), max_len),
            Output::Local(local) => local.drain(pipe, max_len),
        }
    }
}

//! One client's connection: what is sent to it, and whether it is still there. Every wait has a
//! limit and ends with the stream. Must never know what is being sent.

use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::body::ResponseHead;
use super::request::Request;
use super::response::Response;
use crate::cancel::CancelToken;
use crate::error::Error;
use crate::sys;

/// How long a closed connection is kept for the client to take its last bytes.
const LINGER: Duration = Duration::from_secs(2);

/// What all clients of an edge were sent.
#[derive(Debug, Default)]
pub(super) struct TrafficCounters {
    pub(super) bytes: AtomicU64,
    /// Those of them that went from socket to socket without a copy.
    pub(super) uncopied: AtomicU64,
}

/// A connection with a request on it that waits for its answer.
pub struct ClientConnection<'edge> {
    socket: TcpStream,
    peer: SocketAddr,
    stall_limit: Duration,
    /// Rung when the server gives up what still runs.
    abort: BorrowedFd<'edge>,
    /// Set at the commit point.
    committed: AtomicBool,
    sent: AtomicU64,
    sent_in_all: &'edge TrafficCounters,
}

impl<'edge> ClientConnection<'edge> {
    pub(super) fn new(
        socket: TcpStream,
        peer: SocketAddr,
        stall_limit: Duration,
        abort: BorrowedFd<'edge>,
        sent_in_all: &'edge TrafficCounters,
    ) -> ClientConnection<'edge> {
        let (committed, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        ClientConnection { socket, peer, stall_limit, abort, committed, sent, sent_in_all }
    }

    /// Its address.
    pub fn address(&self) -> IpAddr {
        self.peer.ip().to_canonical()
    }

    /// Rings when the server gives up what still runs.
    pub(super) fn abort(&self) -> BorrowedFd<'edge> {
        self.abort
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Whether media bytes have been sent, so that an error can no longer be told in words.
    pub fn is_committed(&self) -> bool {
        self.committed.load(Ordering::Relaxed)
    }

    /// Media bytes it was sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// From here on, an error can only be shown as an abort.
    pub(super) fn commit(&self) -> Result<(), Error> {
        self.committed.store(true, Ordering::Relaxed);
        sys::reset_on_close(&self.socket, true)
            .map_err(|e| Error::system("arm the reset of a connection", &e))
    }

    /// All that was announced was sent.
    pub(super) fn disarm_reset(&self) -> Result<(), Error> {
        sys::reset_on_close(&self.socket, false)
            .map_err(|e| Error::system("disarm the reset of a connection", &e))
    }

    /// So many media bytes went out to it.
    pub(super) fn count(&self, len: usize) {
        self.sent.fetch_add(len as u64, Ordering::Relaxed);
    }

    /// So many of the bytes that went out to it were not copied.
    pub(super) fn count_uncopied(&self, len: usize) {
        self.sent_in_all.uncopied.fetch_add(len as u64, Ordering::Relaxed);
    }

    /// Answers with something small and closes the connection in good order.
    pub fn respond(self, reply: Response, request: Option<&Request>) {
        let sent = match reply.print(request) {
            Ok(bytes) => self.send([&bytes], self.abort).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match sent {
            Ok(()) => self.close(),
            Err(why) => log::debug!("no answer to {}: {why}", self.address()),
        }
    }

    /// Answers with the head of a media answer alone.
    pub fn respond_head(self, head: &ResponseHead, request: &Request) {
        if self.send([&head.print(request)], self.abort).is_ok() {
            self.close();
        }
    }

    /// What ends when the client leaves, or when the server gives up what still runs.
    pub fn cancel_token(&self) -> io::Result<CancelToken> {
        CancelToken::with(self.socket.as_fd(), self.abort)
    }

    /// Sends all of these runs of bytes, one after the other; ends when nothing could be sent for the
    /// stall limit, or when `over` rings.
    pub(super) fn send<const N: usize>(
        &self,
        runs: [&[u8]; N],
        over: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        let len = runs.iter().map(|run| run.len()).sum();
        let mut runs = runs.map(IoSlice::new);
        let mut left = &mut runs[..];
        self.write_with(len, over, |mut socket| {
            let count = socket.write_vectored(left)?;
            IoSlice::advance_slices(&mut left, count);
            Ok(count)
        })
    }

    /// Has `give` give bytes to the socket until these were `len`.
    pub(super) fn write_with(
        &self,
        len: usize,
        over: BorrowedFd<'_>,
        mut give: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Result<(), Error> {
        let mut left = len;
        while left > 0 {
            match give(&self.socket) {
                Ok(0) => return Err(Error::ClientLeft),
                Ok(count) => {
                    self.sent_in_all.bytes.fetch_add(count as u64, Ordering::Relaxed);
                    left -= count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let room = (self.socket.as_fd(), sys::WRITABLE);
                    match sys::poll([(over, sys::READABLE), room], Some(self.stall_limit)) {
                        Ok([true, _]) => return Err(Error::Stopped),
                        Ok([_, true]) => {}
                        Ok(_) => return Err(Error::ClientStalled(self.stall_limit)),
                        Err(_) => return Err(Error::ClientLeft),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Error::ClientLeft),
            }
        }
        Ok(())
    }

    /// Says that there is no more, and waits a little for the client to hang up: closing with
    /// unread bytes of its in our buffer would reset the connection and lose what we sent.
    pub fn close(self) {
        if self.socket.shutdown(std::net::Shutdown::Write).is_err() {
            return;
        }
        let deadline = Instant::now() + LINGER;
        let mut sink = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let more = (self.socket.as_fd(), sys::READABLE);
            match sys::poll([(self.abort, sys::READABLE), more], Some(left)) {
                Ok([false, true]) => {}
                _ => return,
            }
            match (&self.socket).read(&mut sink) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

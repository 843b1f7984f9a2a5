//! Sends responses on the connection of a client, and detects that the client leaves or stalls.
//!
//! **Invariant:** every wait has a timeout and ends with the download; the content of a response is
//! unknown here.

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

/// How long a connection stays half-closed for the client to read the last bytes.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// The bytes sent to all clients of a server.
#[derive(Debug, Default)]
pub(super) struct TrafficCounters {
    pub(super) bytes: AtomicU64,
    /// Bytes sent by splice(2), from socket to socket without a copy.
    pub(super) zero_copy: AtomicU64,
}

/// A connection whose request waits for its response.
pub struct ClientConnection<'server> {
    socket: TcpStream,
    peer: SocketAddr,
    stall_limit: Duration,
    /// Signalled when the server aborts active connections.
    abort: BorrowedFd<'server>,
    /// Set at the commit point.
    committed: AtomicBool,
    sent: AtomicU64,
    traffic: &'server TrafficCounters,
}

impl<'server> ClientConnection<'server> {
    pub(super) fn new(
        socket: TcpStream,
        peer: SocketAddr,
        stall_limit: Duration,
        abort: BorrowedFd<'server>,
        traffic: &'server TrafficCounters,
    ) -> ClientConnection<'server> {
        let (committed, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        ClientConnection { socket, peer, stall_limit, abort, committed, sent, traffic }
    }

    /// Returns the address of the client.
    pub fn address(&self) -> IpAddr {
        self.peer.ip().to_canonical()
    }

    /// Returns the descriptor that becomes readable when the server aborts active connections.
    pub(super) fn abort(&self) -> BorrowedFd<'server> {
        self.abort
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Whether the commit point has passed, so that an error can no longer be a response.
    pub fn is_committed(&self) -> bool {
        self.committed.load(Ordering::Relaxed)
    }

    /// Returns the number of body bytes sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Passes the commit point: from here on, the only error that a client can see is a reset.
    pub(super) fn commit(&self) -> Result<(), Error> {
        self.committed.store(true, Ordering::Relaxed);
        sys::reset_on_close(&self.socket, true)
            .map_err(|e| Error::system("arm the reset of a connection", &e))
    }

    /// Lets the connection close in order, after the complete body was sent.
    pub(super) fn disarm_reset(&self) -> Result<(), Error> {
        sys::reset_on_close(&self.socket, false)
            .map_err(|e| Error::system("disarm the reset of a connection", &e))
    }

    /// Counts body bytes.
    pub(super) fn count(&self, len: usize) {
        self.sent.fetch_add(len as u64, Ordering::Relaxed);
    }

    /// Counts bytes that were sent by splice(2).
    pub(super) fn count_zero_copy(&self, len: usize) {
        self.traffic.zero_copy.fetch_add(len as u64, Ordering::Relaxed);
    }

    /// Sends a small response and closes the connection in order.
    pub fn respond(self, response: Response, request: Option<&Request>) {
        let sent = match response.print(request) {
            Ok(bytes) => self.send([&bytes], self.abort).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match sent {
            Ok(()) => self.close(),
            Err(error) => log::debug!("cannot respond to {}: {error}", self.address()),
        }
    }

    /// Sends the head of a media response without a body (HEAD, or 304).
    pub fn respond_head(self, head: &ResponseHead, request: &Request) {
        if self.send([&head.print(request)], self.abort).is_ok() {
            self.close();
        }
    }

    /// Returns a token that is cancelled when the client leaves or the server aborts.
    pub fn cancel_token(&self) -> io::Result<CancelToken> {
        CancelToken::with(self.socket.as_fd(), self.abort)
    }

    /// Sends these slices in order; fails if nothing can be sent for the stall timeout, or when
    /// `cancelled` becomes readable.
    pub(super) fn send<const N: usize>(
        &self,
        slices: [&[u8]; N],
        cancelled: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        let mut slices = slices.map(IoSlice::new);
        let mut left = &mut slices[..];
        self.write_with(len, cancelled, |mut socket| {
            let count = socket.write_vectored(left)?;
            IoSlice::advance_slices(&mut left, count);
            Ok(count)
        })
    }

    /// Calls `write` whenever the socket is writable, until `len` bytes are written.
    pub(super) fn write_with(
        &self,
        len: usize,
        cancelled: BorrowedFd<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Result<(), Error> {
        let mut left = len;
        while left > 0 {
            match write(&self.socket) {
                Ok(0) => return Err(Error::ClientLeft),
                Ok(count) => {
                    self.traffic.bytes.fetch_add(count as u64, Ordering::Relaxed);
                    left -= count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let writable = (self.socket.as_fd(), sys::WRITABLE);
                    match sys::poll([(cancelled, sys::READABLE), writable], Some(self.stall_limit))
                    {
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

    /// Shuts down the sending half, and waits for the client to close: closing a socket with unread bytes
    /// would reset the connection and lose what was sent.
    pub fn close(self) {
        if self.socket.shutdown(std::net::Shutdown::Write).is_err() {
            return;
        }
        let deadline = Instant::now() + LINGER_TIMEOUT;
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

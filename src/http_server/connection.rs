//! The socket of a client: sends bytes, and detects that the client leaves or stalls.
//!
//! **Invariant:** every wait has a timeout and ends with the download; the content of a response is
//! unknown here.

use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::output::Output;
use crate::cancel::CancelToken;
use crate::error::Error;
use crate::request_id::RequestId;
use crate::request_record::{RequestRecord, RequestTotals};
use crate::sys::{self, EventFd};
use crate::traffic::Traffic;

/// How long a connection stays half-closed for the client to read the last bytes.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// What all connections of a server share.
pub(super) struct Shared {
    /// Signalled when the server aborts active connections.
    pub(super) abort: EventFd,
    /// The bytes sent to all clients.
    pub(super) sent: AtomicU64,
    /// Those of them that were sent by splice(2), from socket to socket without a copy.
    pub(super) zero_copy: AtomicU64,
    /// The requests by route and status.
    pub(super) requests: Arc<RequestTotals>,
}

/// The connection of one client. Dropping it closes the socket.
pub(super) struct Connection {
    pub(super) output: Output,
    pub(super) peer: SocketAddr,
    /// Whether it is a Unix socket: closing that is no reset.
    pub(super) is_unix: bool,
    pub(super) stall_limit: Duration,
    pub(super) shared: Arc<Shared>,
    /// The traffic of its request.
    pub(super) traffic: Arc<Traffic>,
    /// The name and the record of its request.
    pub(super) id: RequestId,
    pub(super) record: Arc<RequestRecord>,
    /// The bytes sent of a body.
    pub(super) body_sent: u64,
}

impl Drop for Connection {
    /// Takes back what was written and the client has not received: that is not sent.
    fn drop(&mut self) {
        let Output::Socket(socket) = &self.output else { return };
        let unsent = sys::unacknowledged_bytes(socket).unwrap_or(0);
        // The request is over.
        self.traffic.fetched(unsent as u64).ok();
        self.conclude();
    }
}

impl Connection {
    /// Returns a connection on which nothing was asked yet.
    pub(super) fn new(
        output: Output,
        peer: SocketAddr,
        stall_limit: Duration,
        shared: Arc<Shared>,
    ) -> Connection {
        Connection {
            output,
            peer,
            is_unix: false,
            stall_limit,
            traffic: Arc::default(),
            id: RequestId::new(),
            record: Arc::new(RequestRecord::new(peer.ip().to_canonical(), &shared.requests)),
            body_sent: 0,
            shared,
        }
    }

    /// Returns the descriptor that becomes readable when the server aborts active connections.
    pub(super) fn abort(&self) -> BorrowedFd<'_> {
        self.shared.abort.as_fd()
    }

    /// Returns a token that is cancelled when the client leaves or the server aborts.
    pub(super) fn cancel_token(&self) -> io::Result<CancelToken> {
        CancelToken::with(self.output.watched(), self.abort(), &self.traffic)
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
        self.write_with(len, cancelled, |output| {
            let count = output.write_vectored(left)?;
            IoSlice::advance_slices(&mut left, count);
            Ok(count)
        })
    }

    /// Calls `write` whenever the output is writable, until `len` bytes are written.
    pub(super) fn write_with(
        &self,
        len: usize,
        cancelled: BorrowedFd<'_>,
        mut write: impl FnMut(&Output) -> io::Result<usize>,
    ) -> Result<(), Error> {
        let mut left = len;
        while left > 0 {
            match write(&self.output) {
                Ok(0) => return Err(Error::ClientLeft),
                Ok(count) => {
                    self.shared.sent.fetch_add(count as u64, Ordering::Relaxed);
                    self.traffic.sent(count as u64);
                    left -= count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let writable = (self.output.writable(), sys::WRITABLE);
                    match sys::poll([(cancelled, sys::READABLE), writable], Some(self.stall_limit))
                    {
                        Ok([true, _]) => return Err(Error::Stopped),
                        Ok([_, true]) => {}
                        Ok(_) => return Err(Error::ClientStalled(self.stall_limit)),
                        Err(_) => return Err(Error::ClientLeft),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.output.keep(error);
                    return Err(Error::ClientLeft);
                }
            }
        }
        Ok(())
    }

    /// Concludes the record of the request: nothing more is sent.
    fn conclude(&self) {
        self.record.conclude(self.body_sent, self.traffic.bytes_received());
    }

    /// Shuts down the sending half, and waits for the client to close: closing a socket with unread bytes
    /// would reset the connection and lose what was sent.
    pub(super) fn close(self) {
        self.conclude();
        let Output::Socket(socket) = &self.output else { return self.output.complete() };
        if socket.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let deadline = Instant::now() + LINGER_TIMEOUT;
        let mut sink = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let more = (socket.as_fd(), sys::READABLE);
            match sys::poll([(self.abort(), sys::READABLE), more], Some(left)) {
                Ok([false, true]) => {}
                _ => return,
            }
            match (&*socket).read(&mut sink) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

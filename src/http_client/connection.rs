//! A connection to an upstream, with a buffer for what precedes a body: response heads and the
//! framing of chunks. All other bytes are read directly to their destination.
//!
//! **API boundary:** nothing here knows HTTP.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use url::Origin;

use crate::cancel::CancelToken;
use crate::http_client::transport::Transport;
use crate::sys::{self, SplicePipe};

/// Size of the input buffer, and so the maximum length of a response head: a stream may have
/// several connections, with a buffer for each.
const INPUT_BUFFER: usize = 32 << 10;

/// A connection to the origin of an upstream.
pub(crate) struct Connection {
    /// Scheme, host and port.
    pub(crate) origin: Origin,
    transport: Transport,
    /// Allocated when it is needed.
    input: Box<[u8]>,
    /// The bytes in `input` that are not consumed yet.
    start: usize,
    end: usize,
}

impl Connection {
    pub(crate) fn new(origin: Origin, transport: Transport) -> Connection {
        Connection { origin, transport, input: Box::default(), start: 0, end: 0 }
    }

    /// Limits the time for what is sent or received from now on.
    pub(crate) fn set_timeout(&mut self, limit: Duration) {
        self.transport.socket_mut().guard.set_timeout(limit);
    }

    /// Begins to serve the stream of `cancel`, or none.
    pub(crate) fn set_cancel_token(&mut self, cancel: Option<&Arc<CancelToken>>) {
        self.transport.socket_mut().guard.set_cancel_token(cancel);
    }

    /// Sends `bytes`.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.transport.write_all(bytes)?;
        self.transport.flush()
    }

    /// Returns the bytes that were received and not consumed yet.
    pub(crate) fn input(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    /// Removes the first `count` bytes of [`input`](Connection::input).
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// Receives more [`input`](Connection::input), waiting for it; 0 when the peer has closed.
    pub(crate) fn fill_input(&mut self) -> io::Result<usize> {
        if self.input.is_empty() {
            self.input = vec![0; INPUT_BUFFER].into();
        }
        self.input.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let free = &mut self.input[self.end..];
        if free.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a head or line is too long"));
        }
        let count = self.transport.read(free)?;
        self.end += count;
        Ok(count)
    }

    /// Reads the next bytes; 0 when the peer has closed.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input().len().min(buffer.len());
        if count == 0 {
            return self.transport.read(buffer);
        }
        buffer[..count].copy_from_slice(&self.input()[..count]);
        self.consume(count);
        Ok(count)
    }

    /// Returns whether [`splice_into`](Connection::splice_into) can move the next bytes.
    pub(crate) fn can_splice(&self) -> bool {
        matches!(self.transport, Transport::Tcp(_)) && self.input().is_empty()
    }

    /// Moves up to `max_len` of the next bytes into `pipe`; 0 when the peer has closed.
    pub(crate) fn splice_into(&mut self, pipe: &SplicePipe, max_len: usize) -> io::Result<usize> {
        self.transport.socket_mut().receive(|tcp| pipe.fill(tcp.as_fd(), max_len))
    }

    /// Returns whether input has arrived, now or within `limit`.
    pub(crate) fn poll_input(&self, limit: Duration) -> bool {
        let socket = self.transport.socket();
        socket.guard.wait_within(limit, socket.tcp.as_fd(), sys::READABLE).is_ok()
    }

    /// Returns whether nothing has arrived that was not consumed: data or a hang-up on an idle
    /// connection make it unusable.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.input().is_empty() && self.transport.is_drained()
    }
}

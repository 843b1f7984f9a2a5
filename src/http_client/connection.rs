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

/// Maximum size of the input buffer, and so the maximum length of a response head.
pub(crate) const MAX_INPUT: usize = 32 << 10;
/// Most heads are shorter. What follows them in the buffer is of the body, and better read directly.
pub(crate) const HEAD_INPUT: usize = 4 << 10;

/// A connection to the origin of an upstream.
pub(crate) struct Connection {
    /// Scheme, host and port.
    pub(crate) origin: Origin,
    transport: Transport,
    /// Exists only while it holds something.
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
        if self.start == self.end {
            (self.input, self.start, self.end) = (Box::default(), 0, 0);
        }
    }

    /// Receives more [`input`](Connection::input), about `size` bytes, waiting for it; 0 when the peer has closed.
    pub(crate) fn fill_input(&mut self, size: usize) -> io::Result<usize> {
        let unread = self.end - self.start;
        let size = size.max(2 * unread).min(MAX_INPUT);
        if unread == MAX_INPUT {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a head or line is too long"));
        }
        let mut input = vec![0; size].into_boxed_slice();
        input[..unread].copy_from_slice(self.input());
        (self.input, self.start, self.end) = (input, 0, unread);
        let count = self.transport.read(&mut self.input[unread..])?;
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
    pub(crate) fn is_idle(&self) -> bool {
        self.input().is_empty() && self.transport.is_drained()
    }
}

//! Writes the body of a media response.
//!
//! [`ClientConnection::commit`](super::ClientConnection::commit) begins a body, which ends in one of two
//! ways: by [`BodyWriter::finish`], which the client sees as complete, or by a reset of the connection,
//! which the client sees as an error.
//!
//! **Invariant:** a body that is not finished ends with a reset, also when the process is killed.

use std::io;
use std::mem::take;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;

use log::Level;

use super::connection::Connection;
use super::head::{Framing, ResponseHead};
use super::request::Request;
use crate::archive::Checksum;
use crate::cancel::CancelToken;
use crate::error::Error;
use crate::problem::Problem;
use crate::sys::SplicePipe;

/// A media response in progress. Dropping it without [`finish`](BodyWriter::finish) resets the connection.
pub struct BodyWriter {
    connection: Connection,
    framing: Framing,
    /// The head, until it is sent with the first bytes of the body.
    head: Vec<u8>,
    /// Bytes of Content-Length that are still to be sent.
    remaining: Option<u64>,
    /// The size line of a chunk, the chunk, and its CRLF, sent in one call. It grows with what is buffered.
    buffer: Vec<u8>,
    /// Bytes of the chunk that were [written](BodyWriter::write) and not sent yet.
    buffered: usize,
    /// The checksum of the current file in an archive.
    checksum: Option<Checksum>,
    /// How many of the next bytes count for the checksum only: the client has them.
    skipped: u64,
}

/// The size line of a chunk: hexadecimal digits and CRLF, enough for [`BodyWriter::CHUNK`].
const CHUNK_PREFIX: usize = 8;
const CHUNK_SUFFIX: usize = 2;
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl BodyWriter {
    /// The maximum size of a chunk, in bytes.
    pub const CHUNK: usize = 64 << 10;
    /// From this size on, a system call costs less than a copy.
    const DIRECT_WRITE_SIZE: usize = 16 << 10;

    /// Begins a body on a connection whose reset is armed.
    pub(super) fn new(
        connection: Connection,
        head: &ResponseHead,
        request: &Request,
    ) -> BodyWriter {
        let remaining = head.length;
        let (framing, head) = if connection.output.is_local() {
            (Framing::UntilClose, Vec::new())
        } else {
            (Framing::new(request, head), head.print(request, &connection.id))
        };
        BodyWriter {
            connection,
            framing,
            head,
            remaining,
            buffer: vec![0; CHUNK_PREFIX + CHUNK_SUFFIX],
            buffered: 0,
            checksum: None,
            skipped: 0,
        }
    }

    /// Returns a token that is cancelled when the client leaves or the server aborts.
    pub fn cancel_token(&self) -> io::Result<CancelToken> {
        self.connection.cancel_token()
    }

    /// Has the next bytes added to this checksum of those before them. The first `skipped` ones are not sent.
    pub fn begin_checksum(&mut self, checksum: Checksum, skipped: u64) {
        (self.checksum, self.skipped) = (Some(checksum), skipped);
    }

    /// Returns the checksum with all bytes since it began.
    pub fn take_checksum(&mut self) -> Option<Checksum> {
        self.checksum.take()
    }

    /// Adds bytes to the checksum, if there is one; returns how many of them are not to be sent.
    fn check(&mut self, bytes: &[u8]) -> usize {
        let Some(checksum) = &mut self.checksum else { return 0 };
        checksum.update(bytes);
        let skipped = usize::try_from(self.skipped).unwrap_or(usize::MAX).min(bytes.len());
        self.skipped -= skipped as u64;
        skipped
    }

    /// Returns the number of body bytes sent.
    pub fn sent(&self) -> u64 {
        self.connection.body_sent
    }

    /// Sends `bytes`, or buffers them until they are worth a system call. The caller must
    /// [`flush`](BodyWriter::flush) before it waits for anything.
    pub fn write(&mut self, bytes: &[u8], cancelled: BorrowedFd<'_>) -> Result<(), Error> {
        let skipped = self.check(bytes);
        self.write_checked(&bytes[skipped..], cancelled)
    }

    fn write_checked(&mut self, bytes: &[u8], cancelled: BorrowedFd<'_>) -> Result<(), Error> {
        if bytes.len() >= Self::DIRECT_WRITE_SIZE && self.framing != Framing::Chunked {
            // The first bytes do not wait for the rest.
            let split = if self.head.is_empty() { bytes.len() } else { Self::DIRECT_WRITE_SIZE };
            let (now, later) = bytes.split_at(split);
            let buffered = take(&mut self.buffered);
            let len = buffered + now.len();
            self.account(len)?;
            let buffered = &self.buffer[CHUNK_PREFIX..CHUNK_PREFIX + buffered];
            self.connection.send([&take(&mut self.head), buffered, now], cancelled)?;
            self.connection.body_sent += len as u64;
            return if later.is_empty() { Ok(()) } else { self.write_checked(later, cancelled) };
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = self.buffered;
            let (now, later) = rest.split_at(rest.len().min(Self::CHUNK - at));
            self.make_room(at + now.len());
            self.buffer[CHUNK_PREFIX + at..][..now.len()].copy_from_slice(now);
            self.buffered += now.len();
            if self.buffered == Self::CHUNK {
                self.flush(cancelled)?;
            }
            rest = later;
        }
        Ok(())
    }

    /// Sends the bytes that `read` puts into the given buffer, without copying them; returns how many, 0
    /// at their end. What was buffered is sent before.
    pub fn write_from(
        &mut self,
        cancelled: BorrowedFd<'_>,
        read: impl FnOnce(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<usize, Error> {
        self.flush(cancelled)?;
        self.make_room(Self::CHUNK);
        let count = read(&mut self.buffer[CHUNK_PREFIX..CHUNK_PREFIX + Self::CHUNK])?;
        let buffer = take(&mut self.buffer);
        let skipped = self.check(&buffer[CHUNK_PREFIX..CHUNK_PREFIX + count]);
        self.buffer = buffer;
        self.buffer.copy_within(CHUNK_PREFIX + skipped..CHUNK_PREFIX + count, CHUNK_PREFIX);
        self.buffered = count - skipped;
        self.flush(cancelled)?;
        Ok(count)
    }

    /// Makes room for a chunk of `len` bytes.
    fn make_room(&mut self, len: usize) {
        let len = CHUNK_PREFIX + len + CHUNK_SUFFIX;
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
    }

    /// Sends the buffered bytes, and the head if it was not sent yet.
    pub fn flush(&mut self, cancelled: BorrowedFd<'_>) -> Result<(), Error> {
        let len = take(&mut self.buffered);
        self.account(len)?;
        let bytes = match self.framing {
            // An empty chunk would end the body.
            _ if len == 0 => &[],
            Framing::Length | Framing::UntilClose => &self.buffer[CHUNK_PREFIX..CHUNK_PREFIX + len],
            Framing::Chunked => {
                let digits = format!("{len:x}\r\n");
                let start = CHUNK_PREFIX - digits.len();
                self.buffer[start..CHUNK_PREFIX].copy_from_slice(digits.as_bytes());
                self.buffer[CHUNK_PREFIX + len..CHUNK_PREFIX + len + CHUNK_SUFFIX]
                    .copy_from_slice(b"\r\n");
                &self.buffer[start..CHUNK_PREFIX + len + CHUNK_SUFFIX]
            }
        };
        self.connection.send([&take(&mut self.head), bytes], cancelled)?;
        self.connection.body_sent += len as u64;
        Ok(())
    }

    /// Subtracts `len` from the remaining bytes of Content-Length.
    fn account(&mut self, len: usize) -> Result<(), Error> {
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.checked_sub(len as u64).ok_or(WRONG_LENGTH)?;
        }
        Ok(())
    }

    /// Returns the body as one that takes bytes as they are, if it has no chunk framing and no checksum.
    pub fn unframed(&mut self) -> Option<UnframedBody<'_>> {
        let takes_any = self.framing != Framing::Chunked && self.checksum.is_none();
        takes_any.then_some(UnframedBody(self))
    }

    /// Ends the body as complete. Fails if it has not the length of Content-Length.
    pub fn finish(mut self) -> Result<Finished, Error> {
        match self.end() {
            Ok(()) => {
                self.connection.record.complete();
                Ok(Finished(self.connection))
            }
            Err(error) => {
                let problem = self.connection.record.failed_by(&error, Level::Warn);
                self.abort(&problem);
                Err(error)
            }
        }
    }

    /// Ends the body as incomplete: resets the connection, or tells a receiver in this process why.
    pub fn abort(mut self, problem: &Problem) {
        self.connection.output.fail(problem);
    }

    /// Sends the end, and disarms the reset.
    fn end(&mut self) -> Result<(), Error> {
        let shared = self.connection.shared.clone();
        let abort = shared.abort.as_fd();
        // The head of an empty body was not sent yet.
        self.flush(abort)?;
        if self.remaining.is_some_and(|remaining| remaining > 0) {
            return Err(WRONG_LENGTH);
        }
        let last = if self.framing == Framing::Chunked { LAST_CHUNK } else { &[] };
        self.connection.send([last], abort)?;
        let finished = self.connection.output.finish();
        finished.map_err(|e| Error::system("disarm the reset of a connection", &e))
    }
}

/// A body whose bytes are sent as they are.
pub struct UnframedBody<'b>(&'b mut BodyWriter);

impl UnframedBody<'_> {
    /// Sends what was buffered.
    pub fn flush(&mut self, cancelled: BorrowedFd<'_>) -> Result<(), Error> {
        self.0.flush(cancelled)
    }

    /// Sends the `len` bytes in `pipe` by splice(2), after what was buffered.
    pub fn splice_from(
        &mut self,
        pipe: &SplicePipe,
        len: usize,
        cancelled: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        let body = &mut *self.0;
        body.flush(cancelled)?;
        body.account(len)?;
        let zero_copy = &body.connection.shared.zero_copy;
        let mut left = len;
        body.connection.write_with(len, cancelled, |output| {
            let count = output.drain(pipe, left)?;
            zero_copy.fetch_add(count as u64, Ordering::Relaxed);
            left -= count;
            Ok(count)
        })?;
        body.connection.body_sent += len as u64;
        Ok(())
    }
}

/// A connection that has its complete response.
pub struct Finished(Connection);

impl Finished {
    /// Closes the connection in order.
    pub fn close(self) {
        self.0.close();
    }
}

/// The error of a body whose length is not that of Content-Length.
const WRONG_LENGTH: Error = Error::Internal("the length of a body differs from Content-Length");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Identity, Provenance};
    use crate::config::AccessConfig;
    use crate::http_server::ClientConnection;
    use crate::http_server::connection::Shared;
    use crate::http_server::output::Output;
    use crate::http_server::request::Preconditions;
    use crate::request_record::RequestTotals;
    use crate::sys::EventFd;
    use std::io::{ErrorKind, Read};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    /// Begins a body, and returns its client.
    fn begin(length: Option<u64>) -> (BodyWriter, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let (sent, zero_copy) = (AtomicU64::new(0), AtomicU64::new(0));
        let requests = Arc::<RequestTotals>::default();
        let shared = Arc::new(Shared { abort: EventFd::new().unwrap(), sent, zero_copy, requests });
        let stall_limit = Duration::from_secs(60);
        let identity = Identity::of_peer(peer.ip(), &AccessConfig::default());
        let connection = Connection::new(Output::Socket(socket), peer, stall_limit, shared);
        let connection = ClientConnection::new(connection, identity);
        let request = Request {
            head_only: false,
            form: None,
            has_other_method: false,
            target: "/".into(),
            http_1_1: true,
            wants_html: false,
            preconditions: Preconditions::default(),
            provenance: Provenance::default(),
        };
        let head = length.into_iter().fold(ResponseHead::default(), ResponseHead::length);
        let body = connection.commit(&head, &request).map_err(|refused| refused.1).unwrap();
        (body, client)
    }

    /// Returns the body that the client received, if it ended in order.
    fn received(mut client: TcpStream) -> Result<String, ErrorKind> {
        let mut text = String::new();
        client.read_to_string(&mut text).map_err(|error| error.kind())?;
        Ok(text.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    #[test]
    fn a_finished_body_has_its_framing_and_its_end() {
        let never = EventFd::new().unwrap();
        for (length, expected) in [(Some(5), "abcde"), (None, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")] {
            let (mut body, client) = begin(length);
            body.write(b"abc", never.as_fd()).unwrap();
            // What was written comes before what is read into the buffer.
            let read = |buffer: &mut [u8]| {
                buffer[..2].copy_from_slice(b"de");
                Ok(2)
            };
            assert_eq!(body.write_from(never.as_fd(), read).unwrap(), 2);
            assert_eq!(body.write_from(never.as_fd(), |_| Ok(0)).unwrap(), 0);
            assert_eq!((body.sent(), body.unframed().is_some()), (5, length.is_some()));
            drop(body.finish().unwrap());
            assert_eq!(received(client).as_deref(), Ok(expected));
        }
        let (body, client) = begin(None);
        drop(body.finish().unwrap());
        assert_eq!(received(client).as_deref(), Ok("0\r\n\r\n"));
    }

    #[test]
    fn no_other_body_ends_in_order() {
        let never = EventFd::new().unwrap();
        for length in [Some(4), Some(2), None] {
            let (mut body, client) = begin(length);
            let written =
                body.write(b"abc", never.as_fd()).and_then(|()| body.flush(never.as_fd()));
            assert_eq!(written.is_err(), length == Some(2));
            if length.is_some() {
                assert_eq!(body.finish().err(), Some(WRONG_LENGTH));
            } else {
                drop(body);
            }
            assert_eq!(received(client), Err(ErrorKind::ConnectionReset), "{length:?}");
        }
    }
}

//! Writes a media response: head, body, and end.
//!
//! A body begins with a commit and ends in one of two ways: by [`BodyWriter::finish`], which the client
//! sees as complete, or by a reset of the connection, which the client sees as an error.
//!
//! **Invariant:** a body that is not finished ends with a reset, also when the process is killed.

use std::mem::take;
use std::os::fd::{AsFd, BorrowedFd};

use super::client::ClientConnection;
use super::request::Request;
use super::response::SERVER;
use crate::error::Error;
use crate::sys::SplicePipe;

/// The head of a media response.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    /// `None` for 200.
    status: Option<u16>,
    length: Option<u64>,
    fields: Vec<(&'static str, String)>,
}

impl ResponseHead {
    /// Sets a status other than 200.
    pub fn status(mut self, status: u16) -> ResponseHead {
        self.status = Some(status);
        self
    }

    /// Sets Content-Length; the body must have exactly this many bytes.
    pub fn length(mut self, length: u64) -> ResponseHead {
        self.length = Some(length);
        self
    }

    /// Adds a field. The value must not come from outside unless it is safe in a header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> ResponseHead {
        self.fields.push((name, value.into()));
        self
    }

    /// Returns the head as sent.
    pub(super) fn print(&self, request: &Request) -> Vec<u8> {
        let reason = match self.status {
            None => "200 OK",
            Some(206) => "206 Partial Content",
            Some(304) => "304 Not Modified",
            Some(other) => unreachable!("no media response has the status {other}"),
        };
        let mut text = format!("HTTP/1.{} {reason}\r\n", u8::from(request.http_1_1));
        let date = httpdate();
        let common = [("Server", SERVER), ("Date", date.as_str()), ("Connection", "close")];
        let own = self.fields.iter().map(|(name, value)| (*name, value.as_str()));
        let length = self.length.map(|length| length.to_string());
        let framing = match Framing::new(request, self) {
            _ if self.status == Some(304) => None,
            Framing::Chunked => Some(("Transfer-Encoding", "chunked")),
            Framing::Length => length.as_deref().map(|length| ("Content-Length", length)),
            Framing::UntilClose => None,
        };
        for (name, value) in common.into_iter().chain(own).chain(framing) {
            debug_assert!(!value.contains(['\r', '\n', '\0']), "{name}: {value:?}");
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// Returns the current time as an HTTP date, as tiny_http prints it for small responses.
#[expect(clippy::disallowed_methods, reason = "Date is the time of day")]
fn httpdate() -> String {
    httpdate::fmt_http_date(std::time::SystemTime::now())
}

/// How the end of the body is marked (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// Content-Length.
    Length,
    /// HTTP/1.1: chunked transfer coding.
    Chunked,
    /// HTTP/1.0: the end of the connection.
    UntilClose,
}

impl Framing {
    fn new(request: &Request, head: &ResponseHead) -> Framing {
        match head.length {
            Some(_) => Framing::Length,
            None if request.http_1_1 => Framing::Chunked,
            None => Framing::UntilClose,
        }
    }
}

/// A media response in progress. Dropping it without [`finish`](BodyWriter::finish) aborts it.
pub struct BodyWriter<'c, 'server> {
    client: &'c ClientConnection<'server>,
    framing: Framing,
    /// The head, until it is sent with the first bytes of the body.
    head: Vec<u8>,
    /// Bytes of Content-Length that are still to be sent.
    remaining: Option<u64>,
    /// The size line of a chunk, the chunk, and its CRLF, sent in one call.
    buffer: Box<[u8]>,
    /// Bytes in the buffer that were [written](BodyWriter::write) and not sent yet.
    buffered: usize,
}

/// The size line of a chunk: hexadecimal digits and CRLF, enough for [`BodyWriter::CHUNK`].
const CHUNK_PREFIX: usize = 8;
const CHUNK_SUFFIX: usize = 2;
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl<'c, 'server> BodyWriter<'c, 'server> {
    /// The maximum size of a chunk, in bytes.
    pub const CHUNK: usize = 64 << 10;
    /// From this size on, a system call costs less than a copy.
    const DIRECT_WRITE_SIZE: usize = 16 << 10;

    /// Passes the commit point: from here on, the only error that a client can see is a reset.
    pub fn commit(
        client: &'c ClientConnection<'server>,
        request: &Request,
        head: &ResponseHead,
    ) -> Result<BodyWriter<'c, 'server>, Error> {
        client.commit()?;
        let framing = Framing::new(request, head);
        let buffer = vec![0; CHUNK_PREFIX + Self::CHUNK + CHUNK_SUFFIX].into_boxed_slice();
        let (remaining, head) = (head.length, head.print(request));
        Ok(BodyWriter { client, framing, head, remaining, buffer, buffered: 0 })
    }

    /// Returns the buffer to fill before [`commit_buffer`](BodyWriter::commit_buffer). The body must be
    /// [flushed](BodyWriter::flush), since buffered bytes would be overwritten.
    pub fn spare_buffer(&mut self) -> &mut [u8] {
        debug_assert!(self.buffered == 0);
        &mut self.buffer[CHUNK_PREFIX..CHUNK_PREFIX + Self::CHUNK]
    }

    /// Sends `bytes`, or buffers them until they are worth a system call. The caller must
    /// [`flush`](BodyWriter::flush) before it waits for anything.
    pub fn write(&mut self, bytes: &[u8], cancelled: BorrowedFd<'_>) -> Result<(), Error> {
        if bytes.len() >= Self::DIRECT_WRITE_SIZE && self.is_unframed() {
            // The first bytes do not wait for the rest.
            let split = if self.head.is_empty() { bytes.len() } else { Self::DIRECT_WRITE_SIZE };
            let (now, later) = bytes.split_at(split);
            let buffered = take(&mut self.buffered);
            let len = buffered + now.len();
            self.account(len)?;
            let buffered = &self.buffer[CHUNK_PREFIX..CHUNK_PREFIX + buffered];
            self.client.send([&take(&mut self.head), buffered, now], cancelled)?;
            self.client.count(len);
            return if later.is_empty() { Ok(()) } else { self.write(later, cancelled) };
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = self.buffered;
            let (now, later) = rest.split_at(rest.len().min(Self::CHUNK - at));
            self.buffer[CHUNK_PREFIX + at..][..now.len()].copy_from_slice(now);
            self.buffered += now.len();
            if self.buffered == Self::CHUNK {
                self.flush(cancelled)?;
            }
            rest = later;
        }
        Ok(())
    }

    /// Sends the buffered bytes, and the head if it was not sent yet.
    pub fn flush(&mut self, cancelled: BorrowedFd<'_>) -> Result<(), Error> {
        match take(&mut self.buffered) {
            0 => self.client.send([&take(&mut self.head)], cancelled),
            buffered => self.commit_buffer(buffered, cancelled),
        }
    }

    /// Whether bytes of the body are sent as they are, without chunk framing.
    pub fn is_unframed(&self) -> bool {
        self.framing != Framing::Chunked
    }

    /// Sends the `len` bytes in `pipe` by splice(2). The body must be
    /// [unframed](BodyWriter::is_unframed) and [flushed](BodyWriter::flush).
    pub fn splice_from(
        &mut self,
        pipe: &SplicePipe,
        len: usize,
        cancelled: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        debug_assert!(self.buffered == 0 && self.head.is_empty());
        self.account(len)?;
        let mut left = len;
        self.client.write_with(len, cancelled, |socket| {
            let count = pipe.drain(socket.as_fd(), left)?;
            self.client.count_zero_copy(count);
            left -= count;
            Ok(count)
        })?;
        self.client.count(len);
        Ok(())
    }

    /// Subtracts `len` from the remaining bytes of Content-Length.
    fn account(&mut self, len: usize) -> Result<(), Error> {
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.checked_sub(len as u64).ok_or_else(wrong_length)?;
        }
        Ok(())
    }

    /// Sends the first `len` bytes of the [buffer](BodyWriter::spare_buffer).
    pub fn commit_buffer(&mut self, len: usize, cancelled: BorrowedFd<'_>) -> Result<(), Error> {
        if len == 0 {
            // An empty chunk would end the body.
            return Ok(());
        }
        self.account(len)?;
        let bytes = match self.framing {
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
        self.client.send([&take(&mut self.head), bytes], cancelled)?;
        self.client.count(len);
        Ok(())
    }

    /// Ends the body as complete.
    pub fn finish(self) -> Result<(), Error> {
        if self.buffered > 0 || self.remaining.is_some_and(|remaining| remaining > 0) {
            return Err(wrong_length());
        }
        let last = if self.framing == Framing::Chunked { LAST_CHUNK } else { &[] };
        // The head of an empty body was not sent yet.
        self.client.send([&self.head, last], self.client.abort())?;
        self.client.disarm_reset()
    }
}

/// The error of a body whose length is not that of Content-Length: a bug.
fn wrong_length() -> Error {
    let message = "its length differs from Content-Length".into();
    Error::System { operation: "complete a response body", message }
}

//! A media answer: its head, its bytes, and its end.
//!
//! A body begins with a commit and ends in one of two ways: [`BodyWriter::finish`], which the client
//! takes for complete, or with a reset of the connection, which shows it that something is
//! missing. The reset is what happens if nothing is done: when the body is dropped, and also when
//! the whole process is killed. Must never know what is being sent.

use std::mem::take;
use std::os::fd::{AsFd, BorrowedFd};

use super::client::ClientConnection;
use super::request::Request;
use super::response::SERVER;
use crate::error::Error;
use crate::sys::SplicePipe;

/// The head of a media answer.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    /// 200 if it is not set.
    status: Option<u16>,
    length: Option<u64>,
    fields: Vec<(&'static str, String)>,
}

impl ResponseHead {
    /// Another status than 200.
    pub fn status(mut self, status: u16) -> ResponseHead {
        self.status = Some(status);
        self
    }

    /// The length of the body, which must then have exactly so many bytes.
    pub fn length(mut self, length: u64) -> ResponseHead {
        self.length = Some(length);
        self
    }

    /// Adds a field. The value must be ours, or safe for a header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> ResponseHead {
        self.fields.push((name, value.into()));
        self
    }

    /// Its bytes on the wire.
    pub(super) fn print(&self, request: &Request) -> Vec<u8> {
        let reason = match self.status {
            None => "200 OK",
            Some(206) => "206 Partial Content",
            Some(304) => "304 Not Modified",
            Some(other) => unreachable!("{other} is no status of media"),
        };
        let mut text = format!("HTTP/1.{} {reason}\r\n", u8::from(request.http_1_1));
        let date = httpdate();
        let fixed = [("Server", SERVER), ("Date", date.as_str()), ("Connection", "close")];
        let own = self.fields.iter().map(|(name, value)| (*name, value.as_str()));
        let length = self.length.map(|length| length.to_string());
        let framing = match Framing::of(request, self) {
            _ if self.status == Some(304) => None,
            Framing::Chunked => Some(("Transfer-Encoding", "chunked")),
            Framing::Length => length.as_deref().map(|length| ("Content-Length", length)),
            Framing::UntilClose => None,
        };
        for (name, value) in fixed.into_iter().chain(own).chain(framing) {
            debug_assert!(!value.contains(['\r', '\n', '\0']), "{name}: {value:?}");
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// The present in the form that HTTP wants, as tiny_http prints it for small answers.
#[expect(clippy::disallowed_methods, reason = "Date is the time of day")]
fn httpdate() -> String {
    httpdate::fmt_http_date(std::time::SystemTime::now())
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// By its length, which the head says.
    Length,
    /// HTTP/1.1: a last chunk.
    Chunked,
    /// HTTP/1.0: the end of the connection.
    UntilClose,
}

impl Framing {
    fn of(request: &Request, head: &ResponseHead) -> Framing {
        match head.length {
            Some(_) => Framing::Length,
            None if request.http_1_1 => Framing::Chunked,
            None => Framing::UntilClose,
        }
    }
}

/// A media answer under way. Dropping it without [`finish`](BodyWriter::finish) is the abort.
pub struct BodyWriter<'c, 'edge> {
    client: &'c ClientConnection<'edge>,
    framing: Framing,
    /// The head, until it goes out with the first bytes.
    head: Vec<u8>,
    /// Bytes that are still to be sent, if that was announced.
    remaining: Option<u64>,
    /// Room for a chunk's length, the chunk, and its line end, to be sent as one.
    buffer: Box<[u8]>,
    /// Bytes that were [pushed](BodyWriter::write) and wait in the room to be sent.
    buffered: usize,
}

/// Digits of a chunk's length and a line end: enough for [`BodyWriter::CHUNK`].
const CHUNK_PREFIX: usize = 8;
const CHUNK_SUFFIX: usize = 2;
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl<'c, 'edge> BodyWriter<'c, 'edge> {
    /// Bytes that are sent at once.
    pub const CHUNK: usize = 64 << 10;
    /// From this length on, a call of the system costs less than a copy.
    const DIRECT_WRITE_SIZE: usize = 16 << 10;

    /// Begins it: from here on, an error can only be shown as an abort.
    pub fn commit(
        client: &'c ClientConnection<'edge>,
        request: &Request,
        head: &ResponseHead,
    ) -> Result<BodyWriter<'c, 'edge>, Error> {
        client.commit()?;
        let framing = Framing::of(request, head);
        let buffer = vec![0; CHUNK_PREFIX + Self::CHUNK + CHUNK_SUFFIX].into_boxed_slice();
        let (left, head) = (head.length, head.print(request));
        Ok(BodyWriter { client, framing, head, remaining: left, buffer, buffered: 0 })
    }

    /// Where the next bytes are to be put, for [`send`](BodyWriter::commit_buffer); the body must be
    /// [flushed](BodyWriter::flush), or what waits is lost.
    pub fn spare_buffer(&mut self) -> &mut [u8] {
        debug_assert!(self.buffered == 0);
        &mut self.buffer[CHUNK_PREFIX..CHUNK_PREFIX + Self::CHUNK]
    }

    /// Sends `bytes`, wherever they are, or keeps them until there are enough to be worth a call
    /// of the system: [`flush`](BodyWriter::flush) before any wait.
    pub fn write(&mut self, bytes: &[u8], over: BorrowedFd<'_>) -> Result<(), Error> {
        if bytes.len() >= Self::DIRECT_WRITE_SIZE && self.is_unframed() {
            // The very first do not wait for those behind them.
            let alone = if self.head.is_empty() { bytes.len() } else { Self::DIRECT_WRITE_SIZE };
            let (now, later) = bytes.split_at(alone);
            let waiting = take(&mut self.buffered);
            let len = waiting + now.len();
            self.account(len)?;
            let waiting = &self.buffer[CHUNK_PREFIX..CHUNK_PREFIX + waiting];
            self.client.send([&take(&mut self.head), waiting, now], over)?;
            self.client.count(len);
            return if later.is_empty() { Ok(()) } else { self.write(later, over) };
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = self.buffered;
            let (now, later) = rest.split_at(rest.len().min(Self::CHUNK - at));
            self.buffer[CHUNK_PREFIX + at..][..now.len()].copy_from_slice(now);
            self.buffered += now.len();
            if self.buffered == Self::CHUNK {
                self.flush(over)?;
            }
            rest = later;
        }
        Ok(())
    }

    /// Sends what was pushed and is still here, and the head, if it is.
    pub fn flush(&mut self, over: BorrowedFd<'_>) -> Result<(), Error> {
        match take(&mut self.buffered) {
            0 => self.client.send([&take(&mut self.head)], over),
            waiting => self.commit_buffer(waiting, over),
        }
    }

    /// Whether bytes can be sent as they are, with nothing around them.
    pub fn is_unframed(&self) -> bool {
        self.framing != Framing::Chunked
    }

    /// Sends the `len` bytes that are in `conduit`; the body must be [bare](BodyWriter::is_unframed), and
    /// [flushed](BodyWriter::flush).
    pub fn send_through(
        &mut self,
        conduit: &SplicePipe,
        len: usize,
        over: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        debug_assert!(self.buffered == 0 && self.head.is_empty());
        self.account(len)?;
        let mut left = len;
        self.client.write_with(len, over, |socket| {
            let count = conduit.drain(socket.as_fd(), left)?;
            self.client.count_uncopied(count);
            left -= count;
            Ok(count)
        })?;
        self.client.count(len);
        Ok(())
    }

    fn account(&mut self, len: usize) -> Result<(), Error> {
        if let Some(left) = &mut self.remaining {
            *left = left.checked_sub(len as u64).ok_or_else(wrong_length)?;
        }
        Ok(())
    }

    /// Sends the first `len` bytes of [`room`](BodyWriter::spare_buffer).
    pub fn commit_buffer(&mut self, len: usize, over: BorrowedFd<'_>) -> Result<(), Error> {
        if len == 0 {
            // An empty chunk would say that the body is complete.
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
        self.client.send([&take(&mut self.head), bytes], over)?;
        self.client.count(len);
        Ok(())
    }

    /// Tells the client that the body is complete.
    pub fn finish(self) -> Result<(), Error> {
        if self.buffered > 0 || self.remaining.is_some_and(|left| left > 0) {
            return Err(wrong_length());
        }
        let last = if self.framing == Framing::Chunked { LAST_CHUNK } else { &[] };
        // The head is still here where there was nothing to send behind it.
        self.client.send([&self.head, last], self.client.abort())?;
        self.client.disarm_reset()
    }
}

/// What is made to be sent is not what was announced: ours to mend.
fn wrong_length() -> Error {
    let said = "its length is not the one that was announced".into();
    Error::System { operation: "complete a body", message: said }
}

//! Reads a response body: never more bytes than were announced, and an end that is proven.

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::{BodyReader, Timeout};

use crate::error::UpstreamError;
use crate::http_client::connection::{Connection, IoGuard};
use crate::http_client::request::shorten;
use crate::http_client::upstream_client::{SPLICE_CHUNK, UpstreamClient};
use crate::http_client::validate::BodyRange;
use crate::sys::SplicePipe;

/// A byte range of a file that is arriving.
pub(crate) struct RangeBody {
    body: BodyReader<'static>,
    /// The connection whose bytes can be read past ureq, and whether that has begun.
    connection: Option<Arc<Connection>>,
    bypasses_ureq: bool,
    /// Whether the connection persists after the response (RFC 9112 §9.3).
    is_persistent: bool,
    /// Whether splice(2) works on this connection, as far as is known.
    splice_allowed: bool,
    /// Offset of the first byte in the file, and of the end (exclusive) if that is known.
    pub(crate) start: u64,
    pub(crate) end: Option<u64>,
    received: u64,
    io_guard: Arc<IoGuard>,
    stall_timeout: Duration,
    /// Time from the request to the response head.
    pub(crate) response_time: Duration,
}

impl RangeBody {
    /// Makes the body of a response to a request sent at `sent_at`.
    pub(crate) fn new(
        body: BodyReader<'static>,
        range: BodyRange,
        io_guard: Arc<IoGuard>,
        upstream: &UpstreamClient,
        sent_at: Instant,
    ) -> RangeBody {
        RangeBody {
            body,
            connection: None,
            bypasses_ureq: false,
            is_persistent: false,
            splice_allowed: true,
            start: range.start,
            end: range.end,
            received: 0,
            io_guard,
            stall_timeout: upstream.stall_timeout,
            response_time: sent_at.elapsed(),
        }
    }

    /// Sets the connection that carries the body as it is, uncoded; `is_persistent` says whether it
    /// stays open afterwards.
    pub(crate) fn on_connection(
        self,
        connection: Option<Arc<Connection>>,
        is_persistent: bool,
    ) -> RangeBody {
        RangeBody { connection, is_persistent, ..self }
    }

    /// Reads the next bytes. Returns 0 only at the end or if `buffer` is empty.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, UpstreamError> {
        self.io_guard.set_deadline(Instant::now() + self.stall_timeout);
        self.read_on(buffer)
    }

    fn read_on(&mut self, buffer: &mut [u8]) -> Result<usize, UpstreamError> {
        let left = self.announced().map_or(u64::MAX, |announced| announced - self.received);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if len == 0 && !buffer.is_empty() {
            return self.read_end();
        }
        let buffer = &mut buffer[..len];
        let count = match self.read_raw(|mut socket| socket.read(buffer)) {
            Some(count) => count.map_err(|error| self.raw_read_fault(&error))?,
            None => self.body.read(buffer).map_err(|error| self.read_fault(&error))?,
        };
        // ureq has checked this; checking again costs nothing, and a clean end rests on it.
        if count == 0 && len > 0 && self.end.is_some() {
            return Err(self.truncated());
        }
        self.record(count);
        Ok(count)
    }

    /// Returns whether [`splice_into`](RangeBody::splice_into) can move the next bytes: ureq has
    /// none of them in its buffer.
    pub(crate) fn can_splice(&self) -> bool {
        let bypasses_ureq =
            |connection: &Arc<Connection>| self.bypasses_ureq || connection.is_buffer_empty();
        self.splice_allowed && self.connection.as_ref().is_some_and(bypasses_ureq)
    }

    /// Moves up to `max_len` of the next bytes into `pipe`; none at the end, or where splice(2)
    /// does not work.
    pub(crate) fn splice_into(
        &mut self,
        pipe: &SplicePipe,
        max_len: u64,
    ) -> Result<usize, UpstreamError> {
        self.io_guard.set_deadline(Instant::now() + self.stall_timeout);
        let left = self.announced().map_or(0, |announced| announced - self.received);
        let max_len = usize::try_from(left.min(max_len)).unwrap_or(usize::MAX).min(SPLICE_CHUNK);
        if max_len == 0 {
            return Ok(0);
        }
        match self.read_raw(|socket| pipe.fill(socket.as_fd(), max_len)) {
            None => Ok(0),
            Some(Ok(0)) => Err(self.truncated()),
            Some(Ok(count)) => {
                self.record(count);
                Ok(count)
            }
            Some(Err(ureq::Error::Io(error))) if is_unsupported(&error) => {
                self.splice_allowed = false;
                Ok(0)
            }
            Some(Err(error)) => Err(self.raw_read_fault(&error)),
        }
    }

    /// Lets `take` read the next bytes from the connection, past ureq. Returns `None` while ureq
    /// still has bytes in its buffer.
    fn read_raw(
        &mut self,
        take: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Option<Result<usize, ureq::Error>> {
        let connection = self
            .connection
            .as_ref()
            .filter(|connection| self.bypasses_ureq || connection.is_buffer_empty())?;
        self.bypasses_ureq = true;
        Some(connection.retry_when_ready(self.stall_timeout, Timeout::RecvBody, take))
    }

    fn record(&mut self, count: usize) {
        self.received += count as u64;
        let is_over = self.bypasses_ureq && self.is_persistent && self.is_complete();
        if let Some(connection) = self.connection.as_ref().filter(|_| is_over) {
            connection.mark_reusable();
        }
    }

    /// Checks the end: a chunked body may hold more bytes than its Content-Range announced.
    fn read_end(&mut self) -> Result<usize, UpstreamError> {
        if self.bypasses_ureq {
            return Ok(0);
        }
        match self.body.read(&mut [0]).map_err(|error| self.read_fault(&error))? {
            0 => Ok(0),
            _ => Err(UpstreamError::WrongRange),
        }
    }

    /// Reads the rest of the body if it is short and has arrived, which makes the connection
    /// reusable; returns whether it did.
    pub(crate) fn drain_for_reuse(mut self) -> bool {
        /// Less than a new connection takes.
        const SOON: Duration = Duration::from_millis(10);
        const LITTLE: usize = 4 << 10;
        self.io_guard.set_deadline(Instant::now() + SOON);
        let left = self.announced().map_or(u64::MAX, |announced| announced - self.received);
        let Some(mut left) = usize::try_from(left).ok().filter(|left| *left <= LITTLE) else {
            return false;
        };
        let mut rest = [0; LITTLE];
        while left > 0 {
            match self.read_on(&mut rest[..left]) {
                Ok(count) if count > 0 => left -= count,
                _ => return false,
            }
        }
        self.read_end().is_ok()
    }

    /// Returns whether everything that was announced has been read.
    pub(crate) fn is_complete(&self) -> bool {
        self.announced() == Some(self.received)
    }

    fn announced(&self) -> Option<u64> {
        self.end.map(|end| end - self.start)
    }

    fn truncated(&self) -> UpstreamError {
        let (start, received) = (self.start, self.received);
        UpstreamError::Truncated { received: start + received, announced: self.end }
    }

    fn timeout(&self) -> UpstreamError {
        UpstreamError::Timeout("while reading", self.stall_timeout)
    }

    /// Classifies a failed read through ureq, whose own errors travel inside `io::Error`.
    fn read_fault(&self, error: &io::Error) -> UpstreamError {
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(ureq::Error::Timeout(_)) => self.timeout(),
            Some(ureq::Error::Protocol(error)) => {
                UpstreamError::Protocol(shorten(&error.to_string()))
            }
            _ => self.truncated(),
        }
    }

    /// Classifies a failed read past ureq.
    fn raw_read_fault(&self, error: &ureq::Error) -> UpstreamError {
        match error {
            ureq::Error::Timeout(_) => self.timeout(),
            _ => self.truncated(),
        }
    }
}

/// Returns whether the error means that this system, or its sandbox, does not splice between these
/// descriptors.
fn is_unsupported(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported)
}

//! A part of a file that is arriving: no byte more than was announced, and an end that is proven.

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

/// A part of a file that is arriving.
pub(crate) struct RangeBody {
    body: BodyReader<'static>,
    /// What its bytes can be read from past ureq, and whether that was begun.
    connection: Option<Arc<Connection>>,
    is_past: bool,
    /// Whether the connection is of use behind it.
    stays: bool,
    /// Whether its bytes may go through a conduit.
    pours: bool,
    /// Where it begins in the file, and where it ends, if that is known.
    pub(crate) begin: u64,
    pub(crate) end: Option<u64>,
    received: u64,
    io_guard: Arc<IoGuard>,
    stall_timeout: Duration,
    /// How long the upstream took to answer.
    pub(crate) response_time: Duration,
}

impl RangeBody {
    /// What `body` brings, which was asked for at `asked`.
    pub(crate) fn new(
        body: BodyReader<'static>,
        extent: BodyRange,
        io_guard: Arc<IoGuard>,
        upstream: &UpstreamClient,
        asked: Instant,
    ) -> RangeBody {
        RangeBody {
            body,
            connection: None,
            is_past: false,
            stays: false,
            pours: true,
            begin: extent.start,
            end: extent.end,
            received: 0,
            io_guard,
            stall_timeout: upstream.stall_timeout,
            response_time: asked.elapsed(),
        }
    }

    /// The same, which comes on this connection with nothing to be done to it; whether that stays
    /// afterwards.
    pub(crate) fn on_connection(
        self,
        connection: Option<Arc<Connection>>,
        stays: bool,
    ) -> RangeBody {
        RangeBody { connection, stays, ..self }
    }

    /// The next bytes; 0 at its end, and only there (or if `buffer` is empty).
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, UpstreamError> {
        self.io_guard.set_deadline(Instant::now() + self.stall_timeout);
        self.read_on(buffer)
    }

    fn read_on(&mut self, buffer: &mut [u8]) -> Result<usize, UpstreamError> {
        let left = self.announced().map_or(u64::MAX, |announced| announced - self.received);
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if room == 0 && !buffer.is_empty() {
            return self.read_end();
        }
        let buffer = &mut buffer[..room];
        let count = match self.read_raw(|mut socket| socket.read(buffer)) {
            Some(count) => count.map_err(|error| self.line_fault(&error))?,
            None => self.body.read(buffer).map_err(|error| self.reading_fault(&error))?,
        };
        // ureq has checked this; a second look costs nothing and is what a clean end rests on.
        if count == 0 && room > 0 && self.end.is_some() {
            return Err(self.truncated());
        }
        self.record(count);
        Ok(count)
    }

    /// Whether its next bytes can be [poured](RangeBody::splice_into): they come past ureq.
    pub(crate) fn can_splice(&self) -> bool {
        let is_past = |connection: &Arc<Connection>| self.is_past || connection.is_buffer_empty();
        self.pours && self.connection.as_ref().is_some_and(is_past)
    }

    /// Takes up to `most` of the next bytes into `conduit`; none at its end, or if they do not pour.
    pub(crate) fn splice_into(
        &mut self,
        conduit: &SplicePipe,
        most: u64,
    ) -> Result<usize, UpstreamError> {
        self.io_guard.set_deadline(Instant::now() + self.stall_timeout);
        let left = self.announced().map_or(0, |announced| announced - self.received);
        let most = usize::try_from(left.min(most)).unwrap_or(usize::MAX).min(SPLICE_CHUNK);
        if most == 0 {
            return Ok(0);
        }
        match self.read_raw(|socket| conduit.fill(socket.as_fd(), most)) {
            None => Ok(0),
            Some(Ok(0)) => Err(self.truncated()),
            Some(Ok(count)) => {
                self.record(count);
                Ok(count)
            }
            Some(Err(ureq::Error::Io(error))) if cannot(&error) => {
                self.pours = false;
                Ok(0)
            }
            Some(Err(error)) => Err(self.line_fault(&error)),
        }
    }

    /// Has `take` take the next bytes off the connection, past ureq, if that is possible: once all is
    /// used that it has read.
    fn read_raw(
        &mut self,
        take: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Option<Result<usize, ureq::Error>> {
        let connection = self
            .connection
            .as_ref()
            .filter(|connection| self.is_past || connection.is_buffer_empty())?;
        self.is_past = true;
        Some(connection.retry_when_ready(self.stall_timeout, Timeout::RecvBody, take))
    }

    fn record(&mut self, count: usize) {
        self.received += count as u64;
        let is_over = self.is_past && self.stays && self.is_read();
        if let Some(connection) = self.connection.as_ref().filter(|_| is_over) {
            connection.mark_reusable();
        }
    }

    /// Everything is here. A chunked body may still have more in it than its Content-Range said.
    fn read_end(&mut self) -> Result<usize, UpstreamError> {
        if self.is_past {
            return Ok(0);
        }
        match self.body.read(&mut [0]).map_err(|error| self.reading_fault(&error))? {
            0 => Ok(0),
            _ => Err(UpstreamError::WrongRange),
        }
    }

    /// Lets go of it. Where little of it was left, and that is there, its connection is free then:
    /// whether that is so.
    pub(crate) fn drain_for_reuse(mut self) -> bool {
        /// Less than what a new connection takes.
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

    /// Whether everything that was announced has been read.
    pub(crate) fn is_read(&self) -> bool {
        self.announced() == Some(self.received)
    }

    fn announced(&self) -> Option<u64> {
        self.end.map(|end| end - self.begin)
    }

    fn truncated(&self) -> UpstreamError {
        let (begin, received) = (self.begin, self.received);
        UpstreamError::Truncated { received: begin + received, announced: self.end }
    }

    fn timeout(&self) -> UpstreamError {
        UpstreamError::Timeout("while reading", self.stall_timeout)
    }

    /// What a failed read means. ureq's own errors travel inside `io::Error`.
    fn reading_fault(&self, error: &io::Error) -> UpstreamError {
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(ureq::Error::Timeout(_)) => self.timeout(),
            Some(ureq::Error::Protocol(error)) => {
                UpstreamError::Protocol(shorten(error.to_string()))
            }
            _ => self.truncated(),
        }
    }

    /// The same of a failed read past ureq.
    fn line_fault(&self, error: &ureq::Error) -> UpstreamError {
        match error {
            ureq::Error::Timeout(_) => self.timeout(),
            _ => self.truncated(),
        }
    }
}

/// Whether this system, or whoever confines us, has no conduits between sockets.
fn cannot(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported)
}

//! Reads a response body: never more bytes than were announced, and an end that is proven.
//!
//! **Invariant:** the connection returns to the pool at the proven end of its body, and closes if
//! the body is dropped before.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq_proto::client::Call;
use ureq_proto::client::state::RecvBody;

use crate::error::UpstreamError;
use crate::http_client::connection::{Connection, MAX_INPUT};
use crate::http_client::exchange::{ExchangeError, Framing, Response, shorten};
use crate::http_client::pool::ConnectionPool;
use crate::http_client::upstream_client::{SPLICE_CHUNK, UpstreamClient};
use crate::http_client::validate::BodyRange;
use crate::sys::SplicePipe;

/// How long the rest of a body is worth waiting for: a new connection takes longer.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_millis(10);

/// A byte range of a file that is arriving.
pub(crate) struct RangeBody {
    /// The connection that carries the body, until the body has ended.
    arriving: Option<Arriving>,
    /// Whether splice(2) works on this connection, as far as is known.
    splice_allowed: bool,
    /// Offset of the first byte in the file, and of the end (exclusive) if that is known.
    pub(crate) start: u64,
    pub(crate) end: Option<u64>,
    received: u64,
    stall_timeout: Duration,
    /// Time from the request to the response head.
    pub(crate) response_time: Duration,
}

/// The part of a body that is still to be received.
struct Arriving {
    connection: Connection,
    framing: Framing,
    /// Where the connection goes after the body, if it persists.
    pool: Option<Arc<ConnectionPool>>,
}

impl RangeBody {
    /// Makes the body of a response to a request sent at `sent_at`.
    pub(crate) fn new(
        response: Response,
        BodyRange { start, end }: BodyRange,
        upstream: &UpstreamClient,
        sent_at: Instant,
    ) -> RangeBody {
        let pool = response.is_persistent().then(|| upstream.pool.clone());
        let Response { connection, framing, .. } = response;
        let framing = match framing {
            // A message in place of the file: no end of this body is that of the file.
            Framing::Length(len) if end.is_some_and(|end| end - start != len) => {
                Framing::UntilClose
            }
            framing => framing,
        };
        let mut body = RangeBody {
            arriving: Some(Arriving { connection, framing, pool }),
            splice_allowed: true,
            start,
            end,
            received: 0,
            stall_timeout: upstream.stall_timeout,
            response_time: sent_at.elapsed(),
        };
        body.record(0);
        body
    }

    /// Reads the next bytes. Returns 0 only at the end or if `buffer` is empty.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, UpstreamError> {
        self.read_within(buffer, self.stall_timeout)
    }

    fn read_within(&mut self, buffer: &mut [u8], limit: Duration) -> Result<usize, UpstreamError> {
        let left = self.left().unwrap_or(u64::MAX);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(arriving) = self.arriving.as_mut().filter(|_| !buffer.is_empty()) else {
            return Ok(0);
        };
        arriving.connection.set_timeout(limit);
        if len == 0 {
            return self.read_end();
        }
        let count = arriving.read(&mut buffer[..len]);
        let count = count.map_err(|error| self.read_fault(error))?;
        match count {
            0 if self.end.is_some() => return Err(self.truncated()),
            0 => self.finish(),
            count => self.record(count),
        }
        Ok(count)
    }

    /// Returns whether [`splice_into`](RangeBody::splice_into) can move the next bytes: they are
    /// the file's, and none of them is in a buffer.
    pub(crate) fn can_splice(&self) -> bool {
        let is_raw = |arriving: &Arriving| {
            matches!(arriving.framing, Framing::Length(_)) && arriving.connection.can_splice()
        };
        self.splice_allowed && self.arriving.as_ref().is_some_and(is_raw)
    }

    /// Moves up to `max_len` of the next bytes into `pipe`; none at the end, or where splice(2)
    /// does not work.
    pub(crate) fn splice_into(
        &mut self,
        pipe: &SplicePipe,
        max_len: u64,
    ) -> Result<usize, UpstreamError> {
        let max_len = max_len.min(self.left().unwrap_or(0));
        let max_len = usize::try_from(max_len).unwrap_or(usize::MAX).min(SPLICE_CHUNK);
        if max_len == 0 || !self.can_splice() {
            return Ok(0);
        }
        let Some(Arriving { connection, .. }) = &mut self.arriving else { return Ok(0) };
        connection.set_timeout(self.stall_timeout);
        match connection.splice_into(pipe, max_len) {
            Ok(0) => Err(self.truncated()),
            Ok(count) => {
                self.record(count);
                Ok(count)
            }
            Err(error) if is_unsupported(&error) => {
                self.splice_allowed = false;
                Ok(0)
            }
            Err(error) => Err(self.read_fault(ExchangeError::Io(error))),
        }
    }

    fn record(&mut self, count: usize) {
        self.received += count as u64;
        let has_length = |arriving: &Arriving| matches!(arriving.framing, Framing::Length(_));
        if self.is_complete() && self.arriving.as_ref().is_some_and(has_length) {
            self.finish();
        }
    }

    /// Ends the body, whose end is proven.
    fn finish(&mut self) {
        if let Some(Arriving { connection, pool: Some(pool), .. }) = self.arriving.take() {
            pool.put_back(connection);
        }
    }

    /// Checks the end: the body may hold more bytes than its Content-Range announced.
    fn read_end(&mut self) -> Result<usize, UpstreamError> {
        let count = match &mut self.arriving {
            Some(arriving) => arriving.read(&mut [0]),
            None => Ok(0),
        };
        match count.map_err(|error| self.read_fault(error))? {
            0 => self.finish(),
            _ => return Err(UpstreamError::WrongRange),
        }
        Ok(0)
    }

    /// Receives the end of a body whose bytes were all read, such as the last chunk, if it comes
    /// within `limit`: that returns the connection to the pool.
    pub(crate) fn settle(&mut self, limit: Duration) {
        match self.is_complete().then(|| self.read_within(&mut [0], limit)) {
            None | Some(Ok(_) | Err(UpstreamError::Timeout(..))) => {}
            Some(Err(_)) => self.arriving = None,
        }
    }

    /// Reads the rest of the body if it is short and has nearly arrived, which returns the
    /// connection to the pool; returns whether it did.
    pub(crate) fn drain_for_reuse(mut self) -> bool {
        const LITTLE: usize = 4 << 10;
        let deadline = Instant::now() + DRAIN_TIMEOUT;
        let mut rest = [0; LITTLE];
        if self.left().is_none_or(|left| left > LITTLE as u64) {
            return false;
        }
        while self.arriving.is_some() {
            let limit = deadline.saturating_duration_since(Instant::now());
            if self.read_within(&mut rest, limit).is_err() {
                return false;
            }
        }
        true
    }

    /// Returns whether everything that was announced has been read.
    fn is_complete(&self) -> bool {
        self.left() == Some(0)
    }

    /// Returns how many bytes are still to be received, if the end is known.
    fn left(&self) -> Option<u64> {
        self.end.map(|end| end - self.start - self.received)
    }

    fn truncated(&self) -> UpstreamError {
        UpstreamError::Truncated { received: self.start + self.received, announced: self.end }
    }

    fn read_fault(&self, error: ExchangeError) -> UpstreamError {
        match error {
            error if error.is_timeout() => {
                UpstreamError::Timeout("while reading", self.stall_timeout)
            }
            ExchangeError::Io(_) => self.truncated(),
            ExchangeError::Protocol(why) => UpstreamError::Protocol(shorten(&why)),
        }
    }
}

impl Arriving {
    /// Reads the next bytes; 0 at the end of the body or of the connection, which differ only in a
    /// chunked body: there, the end of the connection is an error.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ExchangeError> {
        match &mut self.framing {
            Framing::Length(_) | Framing::UntilClose => Ok(self.connection.read(buffer)?),
            Framing::Chunked(call) => {
                let count = read_chunked(call, &mut self.connection, buffer)?;
                if count == 0 && !call.can_proceed() {
                    // The last chunk has come, but what must follow it has not.
                    self.pool = None;
                }
                Ok(count)
            }
        }
    }
}

/// Reads bytes of a chunked body (RFC 9112 §7.1); 0 at its end.
fn read_chunked(
    call: &mut Call<RecvBody>,
    connection: &mut Connection,
    buffer: &mut [u8],
) -> Result<usize, ExchangeError> {
    while !call.can_proceed() {
        let (consumed, count) = call.read(connection.input(), buffer)?;
        connection.consume(consumed);
        if count > 0 {
            return Ok(count);
        }
        if consumed == 0 && !call.can_proceed() && connection.fill_input(MAX_INPUT)? == 0 {
            let is_over = call.is_ended_chunked();
            let cut = io::Error::from(io::ErrorKind::UnexpectedEof);
            return if is_over { Ok(0) } else { Err(cut.into()) };
        }
    }
    Ok(0)
}

/// Returns whether the error means that this system, or its sandbox, does not splice between these
/// descriptors.
fn is_unsupported(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported)
}

//! One request and its response on a connection, by the protocol engine of ureq.
//!
//! The two halves are separate values: an [`Exchange`] is a request that was sent, and a
//! [`Response`] has the head of its response and the connection, on which the body is still to be
//! read.
//!
//! **API boundary:** nothing here knows ranges, redirects or the connection pool.

use std::io;
use std::time::Duration;

use ureq::http::header::{self, HeaderMap, HeaderValue};
use ureq::http::{self, Request, Version};
use ureq_proto::BodyMode;
use ureq_proto::client::state::{RecvBody, RecvResponse};
use ureq_proto::client::{Call, RecvResponseResult, SendRequestResult};

use crate::error::UpstreamError;
use crate::http_client::connection::{Connection, HEAD_INPUT};
use crate::text;

/// Room for a request head, or for its longest field: the cookies of a site that sets many.
const REQUEST_BUFFER: usize = 32 << 10;

/// A request that was sent, whose response is still to be received.
pub(crate) struct Exchange {
    connection: Connection,
    call: Call<RecvResponse>,
}

/// A response whose body is still to be read.
pub(crate) struct Response {
    pub(crate) head: http::Response<()>,
    pub(crate) connection: Connection,
    pub(crate) framing: Framing,
}

/// How the end of a body is recognised (RFC 9112 §6.3).
pub(crate) enum Framing {
    /// By its length.
    Length(u64),
    /// By its last chunk.
    Chunked(Box<Call<RecvBody>>),
    /// By the end of the connection.
    UntilClose,
}

/// Why an exchange failed.
pub(crate) enum ExchangeError {
    /// The connection failed, took too long, or was ended with its stream.
    Io(io::Error),
    /// What was received is not HTTP.
    Protocol(String),
}

impl From<io::Error> for ExchangeError {
    fn from(error: io::Error) -> ExchangeError {
        match error.kind() {
            // The input buffer is full.
            io::ErrorKind::InvalidInput => ExchangeError::Protocol(error.to_string()),
            _ => ExchangeError::Io(error),
        }
    }
}

impl From<ureq_proto::Error> for ExchangeError {
    fn from(error: ureq_proto::Error) -> ExchangeError {
        ExchangeError::Protocol(error.to_string())
    }
}

impl ExchangeError {
    pub(crate) fn is_timeout(&self) -> bool {
        matches!(self, ExchangeError::Io(error) if error.kind() == io::ErrorKind::TimedOut)
    }

    /// Classifies the failure of an exchange that `stall_timeout` limits.
    pub(crate) fn into_fault(self, stall_timeout: Duration) -> UpstreamError {
        match self {
            ExchangeError::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                UpstreamError::Timeout("while waiting for its response", stall_timeout)
            }
            ExchangeError::Io(error) => unreachable(&error),
            ExchangeError::Protocol(why) => UpstreamError::Protocol(shorten(&why)),
        }
    }
}

impl Exchange {
    /// Sends `request` within `limit`.
    pub(crate) fn send(
        mut connection: Connection,
        request: Request<()>,
        limit: Duration,
    ) -> Result<Exchange, ExchangeError> {
        connection.set_timeout(limit);
        let mut call = Call::new(request)?.proceed();
        let mut buffer = vec![0; REQUEST_BUFFER];
        while !call.can_proceed() {
            let count = call.write(&mut buffer)?;
            connection.send(&buffer[..count])?;
        }
        match call.proceed()? {
            Some(SendRequestResult::RecvResponse(call)) => Ok(Exchange { connection, call }),
            _ => Err(ExchangeError::Protocol("the request has a body".into())),
        }
    }

    /// Returns whether the response has begun to arrive, now or within `limit`.
    pub(crate) fn poll(&self, limit: Duration) -> bool {
        self.connection.poll_input(limit)
    }

    /// Receives the head of the response within `limit`.
    pub(crate) fn receive(self, limit: Duration) -> Result<Response, ExchangeError> {
        let Exchange { mut connection, mut call } = self;
        connection.set_timeout(limit);
        let head = loop {
            // An interim response (1xx) is consumed, and is no response.
            let (count, response) = call.try_response(connection.input(), false)?;
            connection.consume(count);
            if let Some(response) = response {
                break response;
            }
            if count == 0 && connection.fill_input(HEAD_INPUT)? == 0 {
                let closed = "it closed the connection before its response";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, closed).into());
            }
        };
        let framing = match call.proceed() {
            Some(RecvResponseResult::RecvBody(call)) => match call.body_mode() {
                BodyMode::NoBody => Framing::Length(0),
                BodyMode::LengthDelimited(len) => Framing::Length(len),
                BodyMode::Chunked => Framing::Chunked(Box::new(call)),
                BodyMode::CloseDelimited => Framing::UntilClose,
            },
            _ => Framing::Length(0),
        };
        Ok(Response { head, connection, framing })
    }
}

impl Response {
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.head.headers()
    }

    /// Returns whether the connection persists after the response (RFC 9112 §9.3).
    pub(crate) fn is_persistent(&self) -> bool {
        let says_so = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"keep-alive");
        let mut all = self.headers().get_all(header::CONNECTION).iter();
        self.head.version() == Version::HTTP_11 && all.all(says_so)
    }
}

/// Classifies a failure of a connection without a response.
pub(crate) fn unreachable(error: &io::Error) -> UpstreamError {
    // Only rustls uses this kind.
    let is_tls = error.kind() == io::ErrorKind::InvalidData;
    let text = if is_tls { format!("TLS: {error}") } else { error.to_string() };
    UpstreamError::Unreachable(shorten(&text))
}

/// Shortens a text of foreign origin to a length fit for a message.
pub(crate) fn shorten(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    text::one_line(text, MAX_CHARS)
}

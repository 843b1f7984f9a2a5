//! What can be wrong with an upstream. Messages follow "video upstream: ".

use std::fmt;
use std::time::Duration;

/// A fault of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamError {
    /// The address policy forbids its address.
    AddressRefused(String),
    /// The connection failed: DNS, refused, reset, TLS.
    Unreachable(String),
    /// The response has this status.
    Status(u16),
    /// The response has this status, and so had the one to a fresh URL from the page at the same offset.
    StillRefused(u16),
    /// The response has the status 403, from a server that may serve browsers only.
    BrowserExpected,
    /// The response is a web page instead of the file.
    WebPage,
    /// The upstream is busy (429 or 503), with the delay of its `Retry-After`.
    Busy(u16, Option<Duration>),
    /// The track must not be requested before this time has passed.
    NotYetAvailable(Duration),
    /// The upstream redirected too often, without a target, or from https to http.
    Redirect(&'static str),
    /// The response has another byte range than requested.
    WrongRange,
    /// The response has several byte ranges (multipart/byteranges) although one was requested.
    Multipart,
    /// The upstream refuses a range that reaches past the end of the file, which has this length.
    PastEnd(u64),
    /// The upstream sent the complete file although a range was requested, and the file had not changed.
    RangeIgnored,
    /// One validator (ETag, Last-Modified) changed and the other did not: either the file changed, or
    /// several servers label the same file differently.
    ValidatorsDisagree,
    /// The file changed during the download.
    EntityChanged(&'static str),
    /// The bytes of the file contradict its own index.
    IndexMismatch(&'static str),
    /// The media is damaged, or has become another one.
    Damaged(&'static str),
    /// A file that is read as a whole has more bytes than this.
    TooLong(usize),
    /// The response has no length, so that truncation could not be detected.
    LengthUnknown,
    /// The response has a content coding although none was accepted.
    UnexpectedEncoding,
    /// The file on the upstream is incomplete, by its own structure.
    Incomplete(&'static str),
    /// The body ended early.
    Truncated {
        /// The number of bytes received.
        received: u64,
        /// The number of bytes announced, if any.
        announced: Option<u64>,
    },
    /// A phase took longer than this limit.
    Timeout(&'static str, Duration),
    /// The rate in bytes per second is below `upstream.min_throughput`.
    Slow(u64),
    /// The response violates HTTP.
    Protocol(String),
}

impl UpstreamError {
    /// Returns the fault with its likely cause, if the page says that its server expects browsers.
    pub fn of_browsers(self, expects_browser: bool) -> UpstreamError {
        match self {
            UpstreamError::Status(403) | UpstreamError::StillRefused(403) if expects_browser => {
                UpstreamError::BrowserExpected
            }
            fault => fault,
        }
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpstreamError::AddressRefused(why) => write!(f, "{why}"),
            UpstreamError::Unreachable(why) => write!(f, "no connection ({why})"),
            UpstreamError::Status(status) => write!(f, "it answered with HTTP status {status}"),
            UpstreamError::StillRefused(status) => write!(
                f,
                "it answered with HTTP status {status}, and again at the same offset with a \
                 fresh URL from the page"
            ),
            UpstreamError::BrowserExpected => write!(
                f,
                "it answered with HTTP status 403; it may serve none but browsers, by their TLS \
                 handshakes (what yt-dlp calls impersonation), which is not supported; use another \
                 format of the page"
            ),
            UpstreamError::WebPage => write!(f, "it sent a web page instead of the file"),
            UpstreamError::Busy(status, _) => {
                write!(f, "it is busy (HTTP status {status})")
            }
            UpstreamError::NotYetAvailable(wait) => {
                write!(f, "the track is not available before {wait:.0?} have passed")
            }
            UpstreamError::Redirect(why) => write!(f, "{why}"),
            UpstreamError::WrongRange => write!(f, "it sent another byte range than requested"),
            UpstreamError::Multipart => {
                write!(
                    f,
                    "it sent several byte ranges (multipart/byteranges) although one was requested"
                )
            }
            UpstreamError::PastEnd(len) => {
                write!(f, "it refused a range that reaches past the end of its {len} bytes")
            }
            UpstreamError::RangeIgnored => {
                write!(f, "it sent the complete file although a byte range was requested")
            }
            UpstreamError::ValidatorsDisagree => write!(
                f,
                "its ETag or its Last-Modified changed, and nothing proves that the file is still \
                 the same"
            ),
            UpstreamError::EntityChanged(how) => {
                write!(f, "the file changed during the download: {how}")
            }
            UpstreamError::IndexMismatch(how) => {
                write!(f, "the file contradicts its own index: {how}")
            }
            UpstreamError::Damaged(how) => {
                write!(
                    f,
                    "the media is damaged, or is not what it was at its beginning: {how}; engine=ffmpeg \
                     tolerates more"
                )
            }
            UpstreamError::TooLong(limit) => {
                write!(f, "its playlist or key has more than {limit} bytes")
            }
            UpstreamError::LengthUnknown => {
                write!(f, "its response has no length, so that truncation would go unnoticed")
            }
            UpstreamError::UnexpectedEncoding => {
                write!(f, "its response is compressed although no compression was accepted")
            }
            UpstreamError::Incomplete(how) => {
                write!(f, "the file is incomplete on the server: {how}")
            }
            UpstreamError::Truncated { received, announced: Some(announced) } => {
                write!(f, "the connection ended after {received} of {announced} bytes")
            }
            UpstreamError::Truncated { received, announced: None } => {
                write!(f, "the connection ended within the response, after {received} bytes")
            }
            UpstreamError::Timeout(phase, limit) => {
                write!(f, "timed out after {limit:?} ({phase})")
            }
            UpstreamError::Slow(rate) => {
                write!(f, "it sent only {rate} bytes per second, less than upstream.min_throughput")
            }
            UpstreamError::Protocol(why) => {
                write!(f, "its response violates HTTP ({why})")
            }
        }
    }
}

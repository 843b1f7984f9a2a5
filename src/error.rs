//! [`Error`], everything that can end a download, with its message for the client.
//!
//! Messages are lower case without a full stop, and name the track and the phase.
//!
//! **Invariant:** no message holds a URL, which may carry a signature.

use std::fmt;
use std::time::Duration;

use crate::problem_code::ProblemCode;
use crate::track_kind::TrackKind;

use crate::options::TimeRange;

/// Why a download failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A limit on concurrent downloads was reached.
    LimitExceeded(LimitExceeded),
    /// A page link could not be resolved to media.
    Resolve(Box<ResolveError>),
    /// The page has no usable thumbnail.
    NoThumbnail,
    /// A track could not be fetched.
    Upstream {
        /// The track.
        track: TrackKind,
        /// The fault.
        fault: UpstreamError,
    },
    /// A track was fetched but cannot be joined.
    Unusable {
        /// The track.
        track: TrackKind,
        /// The reason.
        reason: InputError,
    },
    /// The requested time range begins after the end of the media.
    StartBeyondEnd,
    /// `engine=splice` was requested, and splice cannot join these tracks.
    NotSpliced(SpliceRefusal),
    /// ffmpeg failed.
    Ffmpeg(FfmpegError),
    /// The client closed the connection.
    ClientLeft,
    /// The client read nothing for this long.
    ClientStalled(Duration),
    /// The server is shutting down and `drain_timeout` is over.
    Draining,
    /// Another thread of the download cancelled it and reported the cause.
    Stopped,
    /// The code reached an impossible state: a bug.
    Internal(&'static str),
    /// The operating system refused an operation that every download needs.
    System {
        /// The operation, as in "cannot {operation}".
        operation: &'static str,
        /// The message of the system.
        message: String,
    },
}

/// Why a page link could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveError {
    /// The problem code of the response.
    pub code: ProblemCode,
    /// The message for people.
    pub message: String,
    /// Seconds after which a retry may help.
    pub retry_after: Option<u32>,
}

impl ResolveError {
    /// Returns whether the operator of this server has to fix the cause.
    pub fn is_server_fault(&self) -> bool {
        self.code.status() == 500
    }
}

/// Why splice cannot join these files, or cannot use one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsupported(pub &'static str);

/// Why splice was refused for a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpliceRefusal {
    /// The track that the reason concerns, if it concerns one.
    pub track: Option<TrackKind>,
    /// The reason.
    pub why: Unsupported,
}

impl fmt::Display for SpliceRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.track {
            Some(track) => write!(f, "{track}: {}", self.why.0),
            None => f.write_str(self.why.0),
        }
    }
}

/// The limit that a download would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitExceeded {
    /// `limits.streams`
    Streams,
    /// `limits.streams_per_client`
    ClientStreams,
    /// `limits.muxers`, or the half of it that a single client may use.
    Ffmpeg,
    /// The server is shutting down.
    Draining,
}

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

/// Why a fetched file cannot be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputError {
    /// The file has no supported media container; with what it looks like.
    NotMedia(&'static str),
    /// The index (moov, Tracks) follows the media; with why it cannot be read first.
    IndexAtEnd(&'static str),
    /// The samples are encrypted.
    Encrypted,
    /// The file is AAC in ADTS, which ffmpeg can put into no container but MP4 while it arrives.
    OnlyInMp4,
}

/// A failure of ffmpeg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FfmpegError {
    /// The program was not found.
    Missing(String),
    /// The program could not be started.
    Spawn(String),
    /// ffmpeg ended before its first byte: it cannot join these tracks. The last lines of its stderr.
    Refused(String),
    /// ffmpeg found something else in a track than the probe.
    Misread {
        /// The track.
        track: TrackKind,
        /// What ffmpeg found.
        message: String,
    },
    /// A track has nothing in the requested time range.
    Without {
        /// The kind of track.
        kind: TrackKind,
        /// The requested time range.
        trim: TimeRange,
    },
    /// ffmpeg failed later. The last lines of its stderr.
    Failed(String),
    /// ffmpeg succeeded, but reported that an input is truncated.
    ShortInput(String),
    /// ffmpeg neither read nor wrote for this long.
    Stalled(Duration),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::LimitExceeded(LimitExceeded::Streams) => {
                write!(
                    f,
                    "the server is at its limit of concurrent downloads (limits.streams); retry later"
                )
            }
            Error::LimitExceeded(LimitExceeded::ClientStreams) => {
                write!(
                    f,
                    "this client is at its limit of concurrent downloads (limits.streams_per_client)"
                )
            }
            Error::LimitExceeded(LimitExceeded::Ffmpeg) => {
                write!(f, "no more ffmpeg processes may run now (limits.muxers); retry later")
            }
            Error::LimitExceeded(LimitExceeded::Draining) | Error::Draining => {
                write!(f, "the server is shutting down")
            }
            Error::Resolve(why) => f.write_str(&why.message),
            Error::NoThumbnail => {
                write!(f, "no usable thumbnail is available")
            }
            Error::Upstream { track, fault } => write!(f, "{track} upstream: {fault}"),
            Error::Unusable { track, reason: InputError::NotMedia(what) } => {
                write!(f, "the {track} URL does not lead to a media file: {what}")
            }
            Error::Unusable { track, reason: InputError::IndexAtEnd(why) } => write!(
                f,
                "the {track} file has its index (moov, Tracks) at its end, which cannot be \
                 read first here ({why}); use one made for streaming (ffmpeg: -movflags +faststart)"
            ),
            Error::Unusable { track, reason: InputError::Encrypted } => {
                write!(f, "the {track} file is encrypted (DRM) and cannot be downloaded")
            }
            Error::Unusable { track, reason: InputError::OnlyInMp4 } => {
                write!(
                    f,
                    "the {track} file is AAC without a container (ADTS), which nothing but mp4 can \
                     take as it is: neither another container, nor one with a video that mp4 does \
                     not take"
                )
            }
            Error::StartBeyondEnd => write!(f, "the media ends before the requested start"),
            Error::NotSpliced(refusal) => {
                write!(
                    f,
                    "splice cannot join these tracks ({refusal}); engine=ffmpeg lets ffmpeg join them"
                )
            }
            Error::Ffmpeg(fault) => fault.fmt(f),
            Error::ClientLeft => write!(f, "the client closed the connection"),
            Error::ClientStalled(limit) => {
                write!(f, "the client read nothing for {limit:?} (limits.client_stall_timeout)")
            }
            Error::Stopped => write!(f, "the download was cancelled"),
            Error::Internal(what) => write!(f, "internal error: {what}; this is a bug in ytcanal"),
            Error::System { operation, message } => {
                write!(f, "cannot {operation}: {message}")
            }
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

impl fmt::Display for FfmpegError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FfmpegError::Missing(program) => write!(
                f,
                "ffmpeg ({program:?}) was not found; install it (apt install ffmpeg) or set \
                 muxer.ffmpeg, then run `ytcanal check`"
            ),
            FfmpegError::Spawn(message) => write!(f, "ffmpeg could not be started: {message}"),
            FfmpegError::Refused(message) => {
                write!(f, "ffmpeg cannot join these tracks: {message}")
            }
            FfmpegError::Misread { track, message } => {
                write!(f, "the {track} file cannot be joined: {message}")
            }
            FfmpegError::Without { kind, trim } => {
                let what = match kind {
                    TrackKind::Video => "no key frame of the video",
                    TrackKind::Audio => "no audio",
                };
                let (position, remedy) = match (trim.start.is_zero(), trim.end) {
                    (false, Some(_)) => ("between start and end", "begin earlier or end later"),
                    (false, None) => ("after start", "begin earlier"),
                    (true, _) => ("before end", "end later"),
                };
                write!(f, "{what} lies {position}: {remedy}")
            }
            FfmpegError::Failed(message) => write!(f, "ffmpeg failed: {message}"),
            FfmpegError::ShortInput(message) => {
                write!(f, "a file is incomplete on its server: {message}")
            }
            FfmpegError::Stalled(limit) => {
                write!(f, "ffmpeg did nothing for {limit:?} (muxer.stall_timeout)")
            }
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// Returns the error that the system refused `operation`.
    pub fn system(operation: &'static str, error: &std::io::Error) -> Error {
        Error::System { operation, message: error.to_string() }
    }
}

impl Error {
    /// Returns whether the operator of this server has to fix the cause.
    pub fn is_server_fault(&self) -> bool {
        match self {
            Error::System { .. } | Error::Internal(_) => true,
            Error::Resolve(why) => why.is_server_fault(),
            Error::Ffmpeg(fault) => {
                use FfmpegError::{Misread, Refused, ShortInput, Without};
                !matches!(fault, Refused(_) | Misread { .. } | Without { .. } | ShortInput(_))
            }
            _ => false,
        }
    }
}

impl From<LimitExceeded> for Error {
    fn from(limit: LimitExceeded) -> Error {
        Error::LimitExceeded(limit)
    }
}

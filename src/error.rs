//! Everything that can end a stream, and what a client is told about it.
//!
//! One enum and one `match` to an HTTP status. Texts are lower case without a full stop, name
//! the track and the phase, and never hold a URL, which may carry a signature.

use std::fmt;
use std::time::Duration;

use crate::problem_code::ProblemCode;
use crate::track_kind::TrackKind;

use crate::options::TimeRange;

/// Why a stream did not come to its good end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// There is no slot for another stream.
    LimitExceeded(LimitExceeded),
    /// A page link led to no film.
    Resolve(Box<ResolveError>),
    /// A film has no picture that could be shown, or be its cover.
    NoThumbnail,
    /// A track could not be fetched.
    Upstream {
        /// Which one.
        track: TrackKind,
        /// What went wrong.
        fault: UpstreamError,
    },
    /// A track was fetched but is nothing that can be joined.
    Unusable {
        /// Which one.
        track: TrackKind,
        /// What it is instead.
        reason: InputError,
    },
    /// What was wanted of the film begins behind its end.
    StartBeyondEnd,
    /// Splice alone was wanted, and it cannot join these tracks.
    NotSpliced(SpliceRefusal),
    /// The muxer did not do its work.
    Ffmpeg(FfmpegError),
    /// The client closed the connection.
    ClientLeft,
    /// The client read nothing for so long.
    ClientStalled(Duration),
    /// The server is shutting down and `drain_timeout` is over.
    Draining,
    /// Another thread of the stream has stopped it and given the cause, which counts.
    Stopped,
    /// The code is not in a state in which it can be: a bug.
    Internal(&'static str),
    /// The system refused something that every stream needs.
    System {
        /// What was being done.
        operation: &'static str,
        /// What the system said.
        message: String,
    },
}

/// Why a page link led to no film: as HTTP tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveError {
    /// What it is to clients.
    pub code: ProblemCode,
    /// A sentence for people.
    pub message: String,
    /// Seconds after which another try may help.
    pub retry_after: Option<u32>,
}

impl ResolveError {
    /// Whether it is for the operator of this server to mend.
    pub fn is_server_fault(&self) -> bool {
        self.code.status() == 500
    }
}

/// Why these files cannot be spliced, or one of them cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsupported(pub &'static str);

/// Why tracks are not spliced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpliceRefusal {
    /// The track that it is about, if it is about one.
    pub track: Option<TrackKind>,
    /// What is in the way.
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

/// Which limit a stream would have gone over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitExceeded {
    /// `limits.streams`
    Streams,
    /// `limits.streams_per_client`
    ClientStreams,
    /// `limits.muxers`, or the half of it that one client may have.
    Ffmpeg,
    /// The server is shutting down.
    Draining,
}

/// What can go wrong between us and an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamError {
    /// Its address is not one that we may connect to.
    AddressRefused(String),
    /// No connection: DNS, refused, reset, TLS.
    Unreachable(String),
    /// It answered with this status.
    Status(u16),
    /// The same, and so it did at the same place with a URL that its page gave afresh.
    StillRefused(u16),
    /// It sent a web page instead of the file.
    WebPage,
    /// It is busy (429 or 503), and said after how long to come back.
    Busy(u16, Option<Duration>),
    /// The track may not be asked for before so long.
    NotYetAvailable(Duration),
    /// It redirected too often, to nowhere, or from https to http.
    Redirect(&'static str),
    /// It sent other bytes than were asked for.
    WrongRange,
    /// It sent several parts although one was asked for.
    Multipart,
    /// It sends nothing of what reaches beyond the end of its file, which has so many bytes.
    PastEnd(u64),
    /// It sent everything although a part was asked for, unless the file had changed.
    RangeIgnored,
    /// One of its validators (ETag, Last-Modified) is another one and the other is not: it has
    /// either another file, or several servers that name the same one differently.
    ValidatorsDisagree,
    /// It is not the same file any more.
    EntityChanged(&'static str),
    /// Its bytes are not what its own index says.
    IndexMismatch(&'static str),
    /// Its answer has no length, so its end could not be told from a cut.
    LengthUnknown,
    /// Its answer is encoded although we asked for none.
    UnexpectedEncoding,
    /// Its file lacks its end, as the file says itself.
    Incomplete(&'static str),
    /// It stopped before the end.
    Truncated {
        /// So many bytes came.
        received: u64,
        /// So many were announced.
        announced: Option<u64>,
    },
    /// Nothing came for so long.
    Timeout(&'static str, Duration),
    /// It sent fewer bytes a second than `upstream.min_throughput`.
    Slow(u64),
    /// It does not speak HTTP as it should.
    Protocol(String),
}

/// Why fetched bytes cannot be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputError {
    /// Not a media container that we know; what it looks like.
    NotMedia(&'static str),
    /// A file with its index (moov, Tracks) behind the media, and why that cannot be read first.
    IndexAtEnd(&'static str),
    /// Its samples are encrypted.
    Encrypted,
    /// AAC without a container, which ffmpeg cannot put into another one than MP4 while it
    /// arrives.
    OnlyInMp4,
}

/// What can go wrong with ffmpeg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FfmpegError {
    /// There is no such program.
    Missing(String),
    /// It could not be started.
    Spawn(String),
    /// It ended before its first byte: these tracks do not go together. Its last words.
    Refused(String),
    /// It sees something else in a track than was recognised.
    Misread {
        /// The file that it is about.
        track: TrackKind,
        /// What it sees instead.
        message: String,
    },
    /// Nothing of a track is in the part that is wanted.
    Without {
        /// Which kind of track.
        kind: TrackKind,
        /// The part.
        trim: TimeRange,
    },
    /// It ended badly later on. Its last words.
    Failed(String),
    /// It ended well, but said that an input lacks its end.
    ShortInput(String),
    /// It neither read nor wrote for so long.
    Stalled(Duration),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::LimitExceeded(LimitExceeded::Streams) => {
                write!(f, "all streams of this server are in use")
            }
            Error::LimitExceeded(LimitExceeded::ClientStreams) => {
                write!(f, "this client runs as many streams as it may")
            }
            Error::LimitExceeded(LimitExceeded::Ffmpeg) => {
                write!(f, "no more ffmpeg may run now (limits.muxers)")
            }
            Error::LimitExceeded(LimitExceeded::Draining) | Error::Draining => {
                write!(f, "the server is shutting down")
            }
            Error::Resolve(why) => f.write_str(&why.message),
            Error::NoThumbnail => {
                write!(f, "there is no picture of this film that is to be had and of use")
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
                write!(f, "the {track} file is encrypted (DRM), which cannot be taken off")
            }
            Error::Unusable { track, reason: InputError::OnlyInMp4 } => {
                write!(
                    f,
                    "the {track} file is AAC without a container (ADTS), which nothing but mp4 can \
                     take as it is: neither another container, nor one with a video that mp4 does \
                     not take"
                )
            }
            Error::StartBeyondEnd => write!(f, "the film ends before start"),
            Error::NotSpliced(refused) => {
                write!(
                    f,
                    "splice cannot join these tracks ({refused}); engine=ffmpeg lets ffmpeg join them"
                )
            }
            Error::Ffmpeg(fault) => fault.fmt(f),
            Error::ClientLeft => write!(f, "the client closed the connection"),
            Error::ClientStalled(limit) => {
                write!(f, "the client read nothing for {limit:?} (limits.client_stall_timeout)")
            }
            Error::Stopped => write!(f, "the stream was stopped"),
            Error::Internal(what) => write!(f, "internal error: {what}; this is a bug in ytcanal"),
            Error::System { operation: doing, message: said } => {
                write!(f, "cannot {doing}: {said}")
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
                "it answered with HTTP status {status}, and so it did at the same place with a \
                 fresh URL from the page"
            ),
            UpstreamError::WebPage => write!(f, "it sent a web page instead of the file"),
            UpstreamError::Busy(status, _) => {
                write!(f, "it is busy and answered with HTTP status {status}")
            }
            UpstreamError::NotYetAvailable(wait) => {
                write!(f, "it may not be asked for within the next {wait:.0?}")
            }
            UpstreamError::Redirect(why) => write!(f, "{why}"),
            UpstreamError::WrongRange => write!(f, "it sent other bytes than were asked for"),
            UpstreamError::Multipart => {
                write!(f, "it sent several parts (multipart/byteranges) although one was asked for")
            }
            UpstreamError::PastEnd(len) => {
                write!(f, "it refused a range that reaches beyond its {len} bytes")
            }
            UpstreamError::RangeIgnored => {
                write!(f, "it sent everything although a part was asked for")
            }
            UpstreamError::ValidatorsDisagree => write!(
                f,
                "its ETag or its Last-Modified is another one, and nothing proves that its file \
                 is still the same"
            ),
            UpstreamError::EntityChanged(how) => {
                write!(f, "its file was changed during the download: {how}")
            }
            UpstreamError::IndexMismatch(how) => {
                write!(f, "its file contradicts its own index: {how}")
            }
            UpstreamError::LengthUnknown => write!(
                f,
                "it does not tell the length of its answer, so a cut could not be told from the \
                 end"
            ),
            UpstreamError::UnexpectedEncoding => {
                write!(f, "its answer is compressed although we asked for none")
            }
            UpstreamError::Incomplete(how) => {
                write!(f, "its file was cut before it was put there: {how}")
            }
            UpstreamError::Truncated { received, announced: Some(announced) } => {
                write!(f, "the connection ended after {received} of {announced} bytes")
            }
            UpstreamError::Truncated { received, announced: None } => {
                write!(f, "the connection ended in mid-answer, after {received} bytes")
            }
            UpstreamError::Timeout(phase, limit) => {
                write!(f, "nothing came for {limit:?} ({phase})")
            }
            UpstreamError::Slow(rate) => {
                write!(f, "it sent only {rate} bytes a second, below upstream.min_throughput")
            }
            UpstreamError::Protocol(why) => {
                write!(f, "it does not speak HTTP as it should ({why})")
            }
        }
    }
}

impl fmt::Display for FfmpegError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FfmpegError::Missing(program) => write!(
                f,
                "the muxer {program:?} was not found; install ffmpeg (apt install ffmpeg) or set \
                 muxer.ffmpeg, then run `ytcanal check`"
            ),
            FfmpegError::Spawn(said) => write!(f, "the muxer could not be started: {said}"),
            FfmpegError::Refused(said) => {
                write!(f, "the muxer cannot join these tracks: {said}")
            }
            FfmpegError::Misread { track, message: said } => {
                write!(f, "the {track} file cannot be joined: {said}")
            }
            FfmpegError::Without { kind, trim } => {
                let what = match kind {
                    TrackKind::Video => "no key frame of the video",
                    TrackKind::Audio => "no audio",
                };
                let (place, remedy) = match (trim.start.is_zero(), trim.end) {
                    (false, Some(_)) => ("between start and end", "begin earlier or end later"),
                    (false, None) => ("behind start", "begin earlier"),
                    (true, _) => ("before end", "end later"),
                };
                write!(f, "{what} lies {place}: {remedy}")
            }
            FfmpegError::Failed(said) => write!(f, "the muxer failed: {said}"),
            FfmpegError::ShortInput(said) => {
                write!(f, "a file was cut before it was put on its server: {said}")
            }
            FfmpegError::Stalled(limit) => {
                write!(f, "the muxer did nothing for {limit:?} (muxer.stall_timeout)")
            }
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The system refused `doing`.
    pub fn system(doing: &'static str, error: &std::io::Error) -> Error {
        Error::System { operation: doing, message: error.to_string() }
    }
}

impl Error {
    /// Whether it is for the operator of this server to mend.
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
    fn from(full: LimitExceeded) -> Error {
        Error::LimitExceeded(full)
    }
}

//! [`Error`], everything that can end a download, with its message for the client.
//!
//! Messages are lower case without a full stop, and name the track and the phase.
//!
//! **Invariant:** no message holds a URL, which may carry a signature.

use std::fmt;
use std::time::Duration;

use crate::problem_code::ProblemCode;
use crate::track_kind::TrackKind;

mod archive;
mod ffmpeg;
mod subtitles;
mod upstream;

pub use archive::ArchiveError;
pub use ffmpeg::FfmpegError;
pub use subtitles::{SubtitleError, SubtitleFault};
pub use upstream::UpstreamError;

/// Why a download failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A limit was reached.
    LimitExceeded(LimitExceeded),
    /// A page link could not be resolved to media.
    Resolve(Box<ResolveError>),
    /// The page has no usable thumbnail.
    NoThumbnail,
    /// The segments of SponsorBlock were requested, and the operator has not switched it on.
    SponsorBlockOff,
    /// Requested subtitles cannot be delivered.
    Subtitles(Box<SubtitleError>),
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
    /// The playlist of a track cannot be used.
    Playlist {
        /// The track.
        track: TrackKind,
        /// The reason.
        why: String,
    },
    /// The initialisation segments of a track differ.
    InitChanges {
        /// The track.
        track: TrackKind,
        /// The codecs of the first one, and those of another one.
        codecs: Box<[String; 2]>,
    },
    /// A file cannot be in an archive, or not as planned.
    Archive(ArchiveError),
    /// The requested time range begins after the end of the media.
    StartBeyondEnd,
    /// `engine=splice` was requested, and splice cannot join these tracks.
    NotSpliced(SpliceRefusal),
    /// Segments were to be removed, and only splice can do that, which cannot join these tracks, or was not tried.
    NotRemoved(Option<SpliceRefusal>),
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

/// The limit that a request would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitExceeded {
    /// The memory for lists of segments.
    Memory,
    /// All of this is in use.
    Full(Resource),
    /// The client has as much of this as it may.
    Client(Resource),
    /// The client does this too often; it may again after so many seconds.
    Rate(Rate, u32),
    /// The server is shutting down.
    Draining,
}

/// What is limited in number, in all and for each client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// `limits.connections`
    Connections,
    /// `limits.streams`
    Streams,
    /// `limits.lookups`
    Lookups,
    /// `limits.muxers`
    Muxers,
    /// `limits.encoders`
    Encoders,
    /// `resolver.processes`
    Pages,
    /// `limits.segment_memory`
    SegmentMemory,
}

/// What clients in the internet may do so often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// `limits.requests_per_minute`
    Requests,
    /// `limits.pages_per_hour`
    Pages,
    /// `limits.ingress_per_hour`, in bytes
    Ingress,
    /// `bytes_per_day` of a token
    Egress,
    /// Wrong credentials.
    Failures,
}

impl Resource {
    /// Returns what it is, and its key in the configuration.
    fn name(self) -> (&'static str, &'static str) {
        match self {
            Resource::Connections => ("open connections", "limits.connections"),
            Resource::Streams => ("concurrent downloads", "limits.streams"),
            Resource::Lookups => ("concurrent look-ups of pages and thumbnails", "limits.lookups"),
            Resource::Muxers => ("concurrent ffmpeg processes", "limits.muxers"),
            Resource::Encoders => ("concurrent encodings of audio", "limits.encoders"),
            Resource::Pages => ("pages read at a time", "resolver.processes"),
            Resource::SegmentMemory => {
                ("long segments of downloads in memory", "limits.segment_memory")
            }
        }
    }
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitExceeded::Memory => f.write_str("too many long playlists, pages or subtitles are in use; retry later"),
            LimitExceeded::Full(resource) => {
                let (what, key) = resource.name();
                write!(f, "the server is at its limit of {what} ({key}); retry later")
            }
            LimitExceeded::Client(resource) => {
                let (what, key) = resource.name();
                write!(
                    f,
                    "this client, its network or its token is at its limit of {what} ({key}_per_client, or that \
                     of the token)"
                )
            }
            LimitExceeded::Rate(Rate::Requests, _) => f.write_str(
                "this client, or its network, sends too many requests (limits.requests_per_minute)",
            ),
            LimitExceeded::Rate(Rate::Pages, _) => f.write_str(
                "this client, its network or its token had too many pages read (limits.pages_per_hour, or that of \
                 the token)",
            ),
            LimitExceeded::Rate(Rate::Ingress, _) => f.write_str(
                "much more was fetched for this client, or its network, than was sent to it \
                 (limits.ingress_per_hour)",
            ),
            LimitExceeded::Rate(Rate::Egress, _) => {
                f.write_str("the token has had as many bytes as it may in a day (its bytes_per_day)")
            }
            LimitExceeded::Rate(Rate::Failures, _) => f.write_str(
                "this client, or its network, has shown too many wrong tokens, and may try again later",
            ),
            LimitExceeded::Draining => f.write_str("the server is shutting down"),
        }
    }
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
    /// It is live, and a time range was requested.
    LiveRange,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::LimitExceeded(limit) => limit.fmt(f),
            Error::Draining => LimitExceeded::Draining.fmt(f),
            Error::Resolve(why) => f.write_str(&why.message),
            Error::NoThumbnail => {
                write!(f, "no usable thumbnail is available")
            }
            Error::SponsorBlockOff => f.write_str(
                "the segments of SponsorBlock cannot be had here: the operator of this server has not switched them on \
                 (resolver.sponsorblock)",
            ),
            Error::Subtitles(error) => error.fmt(f),
            Error::Upstream { track, fault } => write!(f, "{track} upstream: {fault}"),
            Error::Unusable { track, reason: InputError::NotMedia(what) } => {
                write!(f, "the {track} URL does not lead to a media file: {what}")
            }
            Error::Unusable { track, reason: InputError::IndexAtEnd(why) } => write!(
                f,
                "the {track} file has its index (moov, Tracks) at its end, which cannot be \
                 read first here ({why}); use one made for streaming (ffmpeg: -movflags +faststart)"
            ),
            Error::Playlist { track, why } => write!(f, "the playlist of the {track}: {why}"),
            Error::InitChanges { track, codecs } => match &**codecs {
                [from, to] if from == to => write!(
                    f,
                    "the {track} changes within its playlist: the initialisations (EXT-X-MAP) of its \
                     parts differ, with the same codec ({from})"
                ),
                [from, to] => write!(
                    f,
                    "the {track} changes within its playlist from {from} to {to}, which one file \
                     cannot hold"
                ),
            },
            Error::Unusable { track, reason: InputError::LiveRange } => write!(
                f,
                "the {track} is live, of which no time range can be requested; start=0 begins with \
                 the oldest that its playlist has, and without start it begins now"
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
            Error::Archive(why) => why.fmt(f),
            Error::StartBeyondEnd => write!(f, "the media ends before the requested start"),
            Error::NotSpliced(refusal) => {
                write!(
                    f,
                    "splice cannot join these tracks ({refusal}); engine=ffmpeg lets ffmpeg join them"
                )
            }
            Error::NotRemoved(refusal) => {
                f.write_str("segments cannot be removed from this file")?;
                refusal.map_or(Ok(()), |refusal| write!(f, " ({refusal})"))?;
                f.write_str("; another container may do, such as mp4, and sponsorblock=mark marks them")
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

impl std::error::Error for Error {}

impl Error {
    /// Returns the error that the system refused `operation`.
    pub fn system(operation: &'static str, error: &std::io::Error) -> Error {
        Error::System { operation, message: error.to_string() }
    }

    /// Returns whether the operator of this server has to fix the cause.
    pub fn is_server_fault(&self) -> bool {
        match self {
            Error::System { .. } | Error::Internal(_) => true,
            Error::Resolve(why) => why.is_server_fault(),
            Error::Ffmpeg(fault) => {
                use FfmpegError::{Miscounted, Misread, Refused, ShortInput, Without};
                !matches!(
                    fault,
                    Refused(_)
                        | Misread { .. }
                        | Without { .. }
                        | ShortInput(_)
                        | Miscounted { .. }
                )
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

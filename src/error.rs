//! Everything that can end a stream, and what a client is told about it.
//!
//! One enum and one `match` to an HTTP status. Texts are lower case without a full stop, name
//! the track and the phase, and never hold a URL, which may carry a signature.

use std::fmt;
use std::time::Duration;

use crate::media::Kind;
use crate::mux::{Refused, Trim};
use crate::resolve::ResolveError;

/// Why a stream did not come to its good end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// There is no slot for another stream.
    Full(Full),
    /// A page link led to no film.
    Unresolved(Box<ResolveError>),
    /// A film has no picture that could be shown, or be its cover.
    NoPicture,
    /// A track could not be fetched.
    Upstream {
        /// Which one.
        track: Kind,
        /// What went wrong.
        fault: Fault,
    },
    /// A track was fetched but is nothing that can be joined.
    Unusable {
        /// Which one.
        track: Kind,
        /// What it is instead.
        reason: Unusable,
    },
    /// What was wanted of the film begins behind its end.
    BeyondEnd,
    /// Splice alone was wanted, and it cannot join these tracks.
    NotSpliced(Refused),
    /// The muxer did not do its work.
    Muxer(MuxerFault),
    /// The client closed the connection.
    ClientLeft,
    /// The client read nothing for so long.
    ClientStalled(Duration),
    /// The server is shutting down and `drain_timeout` is over.
    Draining,
    /// Another thread of the stream has stopped it and given the cause, which counts.
    Stopped,
    /// The system refused something that every stream needs.
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        said: String,
    },
}

/// Which limit a stream would have gone over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// `limits.streams`
    Streams,
    /// `limits.streams_per_client`
    ClientStreams,
    /// `limits.muxers`, or the half of it that one client may have.
    Muxers,
    /// The server is shutting down.
    Draining,
}

/// What can go wrong between us and an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
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
    NotYet(Duration),
    /// It redirected too often, to nowhere, or from https to http.
    Redirect(&'static str),
    /// It sent other bytes than were asked for.
    WrongRange,
    /// It sent several parts although one was asked for.
    SeveralParts,
    /// It sends nothing of what reaches beyond the end of its file, which has so many bytes.
    PastEnd(u64),
    /// It sent everything although a part was asked for, unless the file had changed.
    RangeIgnored,
    /// One of its validators (ETag, Last-Modified) is another one and the other is not: it has
    /// either another file, or several servers that name the same one differently.
    Unproven,
    /// It is not the same file any more.
    Changed(&'static str),
    /// Its bytes are not what its own index says.
    Contradiction(&'static str),
    /// Its answer has no length, so its end could not be told from a cut.
    LengthUnknown,
    /// Its answer is encoded although we asked for none.
    Encoded,
    /// Its file lacks its end, as the file says itself.
    Incomplete(&'static str),
    /// It stopped before the end.
    Cut {
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
pub enum Unusable {
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
pub enum MuxerFault {
    /// There is no such program.
    Missing(String),
    /// It could not be started.
    Spawn(String),
    /// It ended before its first byte: these tracks do not go together. Its last words.
    Refused(String),
    /// It sees something else in a track than was recognised.
    Misread {
        /// The file that it is about.
        track: Kind,
        /// What it sees instead.
        said: String,
    },
    /// Nothing of a track is in the part that is wanted.
    Without {
        /// Which kind of track.
        kind: Kind,
        /// The part.
        trim: Trim,
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
            Error::Full(Full::Streams) => {
                write!(f, "all streams of this server are in use")
            }
            Error::Full(Full::ClientStreams) => {
                write!(f, "this client runs as many streams as it may")
            }
            Error::Full(Full::Muxers) => {
                write!(f, "no more ffmpeg may run now (limits.muxers)")
            }
            Error::Full(Full::Draining) | Error::Draining => {
                write!(f, "the server is shutting down")
            }
            Error::Unresolved(why) => f.write_str(&why.message),
            Error::NoPicture => {
                write!(f, "there is no picture of this film that is to be had and of use")
            }
            Error::Upstream { track, fault } => write!(f, "{track} upstream: {fault}"),
            Error::Unusable { track, reason: Unusable::NotMedia(what) } => {
                write!(f, "the {track} URL does not lead to a media file: {what}")
            }
            Error::Unusable { track, reason: Unusable::IndexAtEnd(why) } => write!(
                f,
                "the {track} file has its index (moov, Tracks) at its end, which cannot be \
                 read first here ({why}); use one made for streaming (ffmpeg: -movflags +faststart)"
            ),
            Error::Unusable { track, reason: Unusable::Encrypted } => {
                write!(f, "the {track} file is encrypted (DRM), which cannot be taken off")
            }
            Error::Unusable { track, reason: Unusable::OnlyInMp4 } => {
                write!(
                    f,
                    "the {track} file is AAC without a container (ADTS), which nothing but mp4 can \
                     take as it is: neither another container, nor one with a video that mp4 does \
                     not take"
                )
            }
            Error::BeyondEnd => write!(f, "the film ends before start"),
            Error::NotSpliced(refused) => {
                write!(
                    f,
                    "splice cannot join these tracks ({refused}); engine=auto would let ffmpeg"
                )
            }
            Error::Muxer(fault) => fault.fmt(f),
            Error::ClientLeft => write!(f, "the client closed the connection"),
            Error::ClientStalled(limit) => {
                write!(f, "the client read nothing for {limit:?} (limits.client_stall_timeout)")
            }
            Error::Stopped => write!(f, "the stream was stopped"),
            Error::System { doing, said } => write!(f, "cannot {doing}: {said}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::AddressRefused(why) => write!(f, "{why}"),
            Fault::Unreachable(why) => write!(f, "no connection ({why})"),
            Fault::Status(status) => write!(f, "it answered with HTTP status {status}"),
            Fault::StillRefused(status) => write!(
                f,
                "it answered with HTTP status {status}, and so it did at the same place with a \
                 fresh URL from the page"
            ),
            Fault::WebPage => write!(f, "it sent a web page instead of the file"),
            Fault::Busy(status, _) => {
                write!(f, "it is busy and answered with HTTP status {status}")
            }
            Fault::NotYet(wait) => {
                write!(f, "it may not be asked for within the next {wait:.0?}")
            }
            Fault::Redirect(why) => write!(f, "{why}"),
            Fault::WrongRange => write!(f, "it sent other bytes than were asked for"),
            Fault::SeveralParts => {
                write!(f, "it sent several parts (multipart/byteranges) although one was asked for")
            }
            Fault::PastEnd(len) => {
                write!(f, "it refused a range that reaches beyond its {len} bytes")
            }
            Fault::RangeIgnored => write!(f, "it sent everything although a part was asked for"),
            Fault::Unproven => write!(
                f,
                "its ETag or its Last-Modified is another one, and nothing proves that its file \
                 is still the same"
            ),
            Fault::Changed(how) => {
                write!(f, "its file was changed during the download: {how}")
            }
            Fault::Contradiction(how) => {
                write!(f, "its file contradicts its own index: {how}")
            }
            Fault::LengthUnknown => write!(
                f,
                "it does not tell the length of its answer, so a cut could not be told from the \
                 end"
            ),
            Fault::Encoded => write!(f, "its answer is compressed although we asked for none"),
            Fault::Incomplete(how) => {
                write!(f, "its file was cut before it was put there: {how}")
            }
            Fault::Cut { received, announced: Some(announced) } => {
                write!(f, "the connection ended after {received} of {announced} bytes")
            }
            Fault::Cut { received, announced: None } => {
                write!(f, "the connection ended in mid-answer, after {received} bytes")
            }
            Fault::Timeout(phase, limit) => write!(f, "nothing came for {limit:?} ({phase})"),
            Fault::Slow(rate) => {
                write!(f, "it sent only {rate} bytes a second, below upstream.min_throughput")
            }
            Fault::Protocol(why) => write!(f, "it does not speak HTTP as it should ({why})"),
        }
    }
}

impl fmt::Display for MuxerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MuxerFault::Missing(program) => write!(
                f,
                "the muxer {program:?} was not found; install ffmpeg (apt install ffmpeg) or set \
                 muxer.ffmpeg, then run `ytcanal check`"
            ),
            MuxerFault::Spawn(said) => write!(f, "the muxer could not be started: {said}"),
            MuxerFault::Refused(said) => {
                write!(f, "the muxer cannot join these tracks: {said}")
            }
            MuxerFault::Misread { track, said } => {
                write!(f, "the {track} file cannot be joined: {said}")
            }
            MuxerFault::Without { kind, trim } => {
                let what = match kind {
                    Kind::Video => "no key frame of the video",
                    Kind::Audio => "no audio",
                };
                let (place, remedy) = match (trim.start.is_zero(), trim.end) {
                    (false, Some(_)) => ("between start and end", "begin earlier or end later"),
                    (false, None) => ("behind start", "begin earlier"),
                    (true, _) => ("before end", "end later"),
                };
                write!(f, "{what} lies {place}: {remedy}")
            }
            MuxerFault::Failed(said) => write!(f, "the muxer failed: {said}"),
            MuxerFault::ShortInput(said) => {
                write!(f, "a file was cut before it was put on its server: {said}")
            }
            MuxerFault::Stalled(limit) => {
                write!(f, "the muxer did nothing for {limit:?} (muxer.stall_timeout)")
            }
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The system refused `doing`.
    pub fn system(doing: &'static str, error: &std::io::Error) -> Error {
        Error::System { doing, said: error.to_string() }
    }
}

impl Error {
    /// Whether it is for the operator of this server to mend.
    pub fn is_ours(&self) -> bool {
        match self {
            Error::System { .. } => true,
            Error::Unresolved(why) => why.is_server_fault(),
            Error::Muxer(fault) => {
                use MuxerFault::{Misread, Refused, ShortInput, Without};
                !matches!(fault, Refused(_) | Misread { .. } | Without { .. } | ShortInput(_))
            }
            _ => false,
        }
    }
}

impl From<Full> for Error {
    fn from(full: Full) -> Error {
        Error::Full(full)
    }
}

/// An error as HTTP tells it (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// A stable word for programs.
    pub code: &'static str,
    /// A sentence for people.
    pub detail: String,
    /// The track that is to blame.
    pub track: Option<Kind>,
    /// Seconds after which another try may help.
    pub retry_after: Option<u32>,
}

impl Problem {
    /// A problem without a track.
    pub fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, code, detail: detail.into(), track: None, retry_after: None }
    }

    /// The same, with the advice to come back after so many seconds.
    pub fn retry_after(mut self, seconds: u32) -> Problem {
        self.retry_after = Some(seconds);
        self
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Problem {
        let (status, code, retry_after) = match error {
            Error::Full(Full::Streams) => (503, "streams-full", Some(10)),
            Error::Full(Full::ClientStreams) => (503, "client-streams-full", Some(10)),
            Error::Full(Full::Muxers) => (503, "muxers-full", Some(10)),
            Error::Full(Full::Draining) | Error::Draining => (503, "draining", Some(5)),
            Error::Unresolved(why) => (why.status, why.code, why.retry_after),
            Error::NoPicture => (404, "no-thumbnail", None),
            Error::Upstream { fault, .. } => match fault {
                Fault::AddressRefused(_) => (403, "address-refused", None),
                Fault::Status(404 | 410) | Fault::StillRefused(404 | 410) => {
                    (404, "upstream-not-found", None)
                }
                Fault::Status(_) | Fault::StillRefused(_) => (502, "upstream-status", None),
                Fault::WebPage => (422, "not-media", None),
                Fault::Busy(_, wait) => (503, "upstream-busy", Some(seconds(*wait))),
                Fault::NotYet(wait) => (503, "upstream-busy", Some(seconds(Some(*wait)))),
                Fault::Unreachable(_) => (502, "upstream-unreachable", None),
                Fault::Redirect(_) => (502, "upstream-redirect", None),
                Fault::WrongRange
                | Fault::SeveralParts
                | Fault::PastEnd(_)
                | Fault::RangeIgnored => (502, "upstream-range", None),
                Fault::Changed(_) | Fault::Unproven => (502, "upstream-changed", None),
                Fault::Contradiction(_) => (502, "upstream-contradiction", None),
                Fault::LengthUnknown => (502, "upstream-length-unknown", None),
                Fault::Encoded => (502, "upstream-encoded", None),
                Fault::Cut { .. } | Fault::Incomplete(_) => (502, "upstream-cut", None),
                Fault::Timeout(..) => (504, "upstream-timeout", None),
                Fault::Slow(_) => (504, "upstream-slow", None),
                Fault::Protocol(_) => (502, "upstream-protocol", None),
            },
            Error::Unusable { reason: Unusable::NotMedia(_), .. } => (422, "not-media", None),
            Error::Unusable { reason: Unusable::IndexAtEnd(_), .. } => (422, "index-at-end", None),
            Error::Unusable { reason: Unusable::Encrypted, .. } => (422, "drm", None),
            Error::Unusable { reason: Unusable::OnlyInMp4, .. } => (422, "mux-refused", None),
            Error::BeyondEnd => (422, "start-beyond-end", None),
            Error::NotSpliced(_) => (422, "splice-refused", None),
            Error::Muxer(MuxerFault::Missing(_)) => (500, "muxer-missing", None),
            Error::Muxer(
                MuxerFault::Refused(_) | MuxerFault::Misread { .. } | MuxerFault::Without { .. },
            ) => (422, "mux-refused", None),
            Error::Muxer(MuxerFault::ShortInput(_)) => (502, "upstream-cut", None),
            Error::Muxer(_) => (500, "muxer-failed", None),
            // Only a client that closed no more than its sending half can read this one.
            Error::ClientLeft => (499, "client-left", None),
            Error::ClientStalled(_) => (408, "client-stalled", None),
            Error::Stopped => (500, "internal", None),
            Error::System { .. } => (500, "internal", None),
        };
        let track = match error {
            Error::Upstream { track, .. } | Error::Unusable { track, .. } => Some(*track),
            Error::Muxer(MuxerFault::Misread { track, .. }) => Some(*track),
            Error::NotSpliced(refused) => refused.track,
            _ => None,
        };
        Problem { status, code, detail: error.to_string(), track, retry_after }
    }
}

/// For a Retry-After field; half a minute where nothing better is known.
fn seconds(wait: Option<Duration>) -> u32 {
    wait.map_or(30, |wait| u32::try_from(wait.as_secs().saturating_add(1)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_track_status_and_code() {
        let error = Error::Upstream { track: Kind::Audio, fault: Fault::Status(410) };
        let problem = Problem::from(&error);
        assert_eq!((problem.status, problem.code), (404, "upstream-not-found"));
        assert_eq!(problem.track, Some(Kind::Audio));
        assert_eq!(problem.detail, "audio upstream: it answered with HTTP status 410");
    }

    #[test]
    fn however_long_an_upstream_wants_to_be_left_alone() {
        let fault = Fault::Busy(503, Some(Duration::from_secs(u64::MAX)));
        let problem = Problem::from(&Error::Upstream { track: Kind::Video, fault });
        assert_eq!((problem.status, problem.retry_after), (503, Some(u32::MAX)));
    }

    #[test]
    fn errors_stay_small() {
        // They travel in every Result of the byte path.
        assert!(size_of::<Error>() <= 48, "{}", size_of::<Error>());
    }
}

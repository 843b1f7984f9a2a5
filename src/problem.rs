//! Maps errors to problem details (RFC 9457): the only place that gives an error its HTTP status and
//! its problem code.

use std::time::Duration;

use crate::error::{
    ArchiveError, Error, FfmpegError, InputError, LimitExceeded, Resource, SubtitleFault,
    UpstreamError,
};
use crate::problem_code::ProblemCode;
use crate::track_kind::TrackKind;

/// A problem detail (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The problem code, stable for programs.
    pub code: ProblemCode,
    /// A sentence for users.
    pub detail: String,
    /// The track that caused it.
    pub track: Option<TrackKind>,
    /// The value of Retry-After in seconds.
    pub retry_after: Option<u32>,
}

impl Problem {
    /// Returns a problem without a track.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Problem {
        Problem {
            status: code.status(),
            code,
            detail: detail.into(),
            track: None,
            retry_after: None,
        }
    }

    /// Adds a Retry-After field of `seconds`.
    pub fn retry_after(mut self, seconds: u32) -> Problem {
        self.retry_after = Some(seconds);
        self
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Problem {
        let (code, retry_after) = match error {
            Error::LimitExceeded(limit) => of_limit(*limit),
            Error::Draining => of_limit(LimitExceeded::Draining),
            Error::Resolve(error) => (error.code, error.retry_after),
            Error::Archive(why) => match why {
                ArchiveError::Empty => (ProblemCode::NotAvailable, None),
                ArchiveError::NoLink => (ProblemCode::UnsupportedLink, None),
                ArchiveError::HostNotAllowed => (ProblemCode::NotAllowed, None),
                ArchiveError::Live | ArchiveError::LengthUnknown => {
                    (ProblemCode::NotInArchive, None)
                }
                ArchiveError::TooMany(_) => (ProblemCode::TooManyEntries, None),
                ArchiveError::Changed => (ProblemCode::UpstreamChanged, None),
            },
            Error::NoThumbnail => (ProblemCode::NoThumbnail, None),
            Error::SponsorBlockOff => (ProblemCode::SponsorblockOff, None),
            Error::Subtitles(error) => match error.reason {
                SubtitleFault::Missing(_) => (ProblemCode::NoSubtitles, None),
                SubtitleFault::Upstream(UpstreamError::AddressRefused(_)) => {
                    (ProblemCode::AddressRefused, None)
                }
                SubtitleFault::Upstream(_) | SubtitleFault::Unreadable(_) => {
                    (ProblemCode::SubtitlesFailed, None)
                }
            },
            Error::Upstream { fault, .. } => match fault {
                UpstreamError::AddressRefused(_) => (ProblemCode::AddressRefused, None),
                UpstreamError::Status(404 | 410) | UpstreamError::StillRefused(404 | 410) => {
                    (ProblemCode::UpstreamNotFound, None)
                }
                UpstreamError::Status(_)
                | UpstreamError::StillRefused(_)
                | UpstreamError::BrowserExpected => (ProblemCode::UpstreamStatus, None),
                UpstreamError::WebPage => (ProblemCode::NotMedia, None),
                UpstreamError::Busy(_, wait) => (ProblemCode::UpstreamBusy, Some(seconds(*wait))),
                UpstreamError::NotYetAvailable(wait) => {
                    (ProblemCode::UpstreamBusy, Some(seconds(Some(*wait))))
                }
                UpstreamError::Unreachable(_) => (ProblemCode::UpstreamUnreachable, None),
                UpstreamError::Redirect(_) => (ProblemCode::UpstreamRedirect, None),
                UpstreamError::WrongRange
                | UpstreamError::Multipart
                | UpstreamError::PastEnd(_)
                | UpstreamError::RangeIgnored => (ProblemCode::UpstreamRange, None),
                UpstreamError::EntityChanged(_) | UpstreamError::ValidatorsDisagree => {
                    (ProblemCode::UpstreamChanged, None)
                }
                UpstreamError::IndexMismatch(_) | UpstreamError::Damaged(_) => {
                    (ProblemCode::UpstreamContradiction, None)
                }
                UpstreamError::TooLong(_) => (ProblemCode::UpstreamPlaylist, None),
                UpstreamError::LengthUnknown => (ProblemCode::UpstreamLengthUnknown, None),
                UpstreamError::UnexpectedEncoding => (ProblemCode::UpstreamEncoded, None),
                UpstreamError::Truncated { .. } | UpstreamError::Incomplete(_) => {
                    (ProblemCode::UpstreamCut, None)
                }
                UpstreamError::Timeout(..) => (ProblemCode::UpstreamTimeout, None),
                UpstreamError::Slow(_) => (ProblemCode::UpstreamSlow, None),
                UpstreamError::Protocol(_) => (ProblemCode::UpstreamProtocol, None),
            },
            Error::Unusable { reason: InputError::NotMedia(_), .. } => {
                (ProblemCode::NotMedia, None)
            }
            Error::Unusable { reason: InputError::IndexAtEnd(_), .. } => {
                (ProblemCode::IndexAtEnd, None)
            }
            Error::Playlist { .. } => (ProblemCode::UpstreamPlaylist, None),
            Error::InitChanges { .. } => (ProblemCode::MuxRefused, None),
            Error::Unusable { reason: InputError::LiveRange, .. } => {
                (ProblemCode::BadParameter, None)
            }
            Error::Unusable { reason: InputError::Encrypted, .. } => (ProblemCode::Drm, None),
            Error::Unusable { reason: InputError::OnlyInMp4, .. } => {
                (ProblemCode::MuxRefused, None)
            }
            Error::StartBeyondEnd => (ProblemCode::StartBeyondEnd, None),
            Error::NotSpliced(_) | Error::NotRemoved(_) => (ProblemCode::SpliceRefused, None),
            Error::Ffmpeg(FfmpegError::Missing(_)) => (ProblemCode::MuxerMissing, None),
            Error::Ffmpeg(
                FfmpegError::Refused(_) | FfmpegError::Misread { .. } | FfmpegError::Without { .. },
            ) => (ProblemCode::MuxRefused, None),
            Error::Ffmpeg(FfmpegError::ShortInput(_)) => (ProblemCode::UpstreamCut, None),
            Error::Ffmpeg(FfmpegError::Miscounted { .. }) => {
                (ProblemCode::UpstreamContradiction, None)
            }
            Error::Ffmpeg(_) => (ProblemCode::MuxerFailed, None),
            // Only a client that closed just its sending half can read this.
            Error::ClientLeft => (ProblemCode::ClientLeft, None),
            Error::ClientStalled(_) => (ProblemCode::ClientStalled, None),
            Error::Stopped => (ProblemCode::Internal, None),
            Error::System { .. } | Error::Internal(_) => (ProblemCode::Internal, None),
        };
        let track = match error {
            Error::Upstream { track, .. }
            | Error::Unusable { track, .. }
            | Error::Playlist { track, .. }
            | Error::InitChanges { track, .. } => Some(*track),
            Error::Ffmpeg(FfmpegError::Misread { track, .. }) => Some(*track),
            Error::NotSpliced(refusal) | Error::NotRemoved(Some(refusal)) => refusal.track,
            _ => None,
        };
        Problem { status: code.status(), code, detail: error.to_string(), track, retry_after }
    }
}

/// Returns the code of a limit, and the value of Retry-After.
fn of_limit(limit: LimitExceeded) -> (ProblemCode, Option<u32>) {
    match limit {
        LimitExceeded::Memory => (ProblemCode::StreamsFull, Some(10)),
        LimitExceeded::Full(Resource::Connections) => (ProblemCode::ConnectionsFull, Some(5)),
        LimitExceeded::Full(Resource::Streams) => (ProblemCode::StreamsFull, Some(10)),
        LimitExceeded::Full(Resource::Lookups) => (ProblemCode::LookupsFull, Some(5)),
        LimitExceeded::Full(Resource::Muxers) => (ProblemCode::MuxersFull, Some(10)),
        LimitExceeded::Full(Resource::Encoders) => (ProblemCode::EncodersFull, Some(10)),
        LimitExceeded::Full(Resource::Pages) => (ProblemCode::ResolverBusy, Some(5)),
        LimitExceeded::Full(Resource::SegmentMemory) => (ProblemCode::SegmentMemoryFull, Some(10)),
        LimitExceeded::Client(Resource::Connections) => {
            (ProblemCode::ClientConnectionsFull, Some(5))
        }
        LimitExceeded::Client(Resource::Streams) => (ProblemCode::ClientStreamsFull, Some(10)),
        LimitExceeded::Client(Resource::Lookups) => (ProblemCode::ClientLookupsFull, Some(5)),
        LimitExceeded::Client(Resource::Muxers) => (ProblemCode::ClientMuxersFull, Some(10)),
        LimitExceeded::Client(Resource::Encoders) => (ProblemCode::ClientEncodersFull, Some(10)),
        LimitExceeded::Client(Resource::SegmentMemory) => {
            (ProblemCode::ClientSegmentMemoryFull, Some(10))
        }
        LimitExceeded::Client(Resource::Pages) => (ProblemCode::ClientResolverBusy, Some(5)),
        LimitExceeded::Rate(_, seconds) => (ProblemCode::RateLimited, Some(seconds)),
        LimitExceeded::Draining => (ProblemCode::Draining, Some(5)),
    }
}

/// Returns the value of Retry-After: 30 s where the upstream named none.
fn seconds(wait: Option<Duration>) -> u32 {
    wait.map_or(30, |wait| u32::try_from(wait.as_secs().saturating_add(1)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_track_status_and_code() {
        let error = Error::Upstream { track: TrackKind::Audio, fault: UpstreamError::Status(410) };
        let problem = Problem::from(&error);
        assert_eq!((problem.status, problem.code.as_str()), (404, "upstream-not-found"));
        assert_eq!(problem.track, Some(TrackKind::Audio));
        assert_eq!(problem.detail, "audio upstream: it answered with HTTP status 410");
    }

    #[test]
    fn a_retry_after_of_any_length_is_passed_on() {
        let fault = UpstreamError::Busy(503, Some(Duration::from_secs(u64::MAX)));
        let problem = Problem::from(&Error::Upstream { track: TrackKind::Video, fault });
        assert_eq!((problem.status, problem.retry_after), (503, Some(u32::MAX)));
    }

    #[test]
    fn errors_stay_small() {
        // Every Result of the byte path has room for one.
        assert!(size_of::<Error>() <= 48, "{}", size_of::<Error>());
    }

    #[test]
    fn an_internal_error_is_reported_as_a_bug() {
        let error = Error::Internal("a download has no track");
        assert!(error.is_server_fault() && !Error::Stopped.is_server_fault());
        let problem = Problem::from(&error);
        assert_eq!((problem.status, problem.code), (500, ProblemCode::Internal));
        assert!(problem.detail.contains("a bug in ytcanal"), "{}", problem.detail);
    }
}

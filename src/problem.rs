//! Errors as HTTP tells them: the only place where an error gets its status and its problem code.

use std::time::Duration;

use crate::error::{Error, FfmpegError, InputError, LimitExceeded, UpstreamError};
use crate::track_kind::TrackKind;

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
    pub track: Option<TrackKind>,
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
            Error::LimitExceeded(LimitExceeded::Streams) => (503, "streams-full", Some(10)),
            Error::LimitExceeded(LimitExceeded::ClientStreams) => {
                (503, "client-streams-full", Some(10))
            }
            Error::LimitExceeded(LimitExceeded::Ffmpeg) => (503, "muxers-full", Some(10)),
            Error::LimitExceeded(LimitExceeded::Draining) | Error::Draining => {
                (503, "draining", Some(5))
            }
            Error::Resolve(why) => (why.status, why.code, why.retry_after),
            Error::NoThumbnail => (404, "no-thumbnail", None),
            Error::Upstream { fault, .. } => match fault {
                UpstreamError::AddressRefused(_) => (403, "address-refused", None),
                UpstreamError::Status(404 | 410) | UpstreamError::StillRefused(404 | 410) => {
                    (404, "upstream-not-found", None)
                }
                UpstreamError::Status(_) | UpstreamError::StillRefused(_) => {
                    (502, "upstream-status", None)
                }
                UpstreamError::WebPage => (422, "not-media", None),
                UpstreamError::Busy(_, wait) => (503, "upstream-busy", Some(seconds(*wait))),
                UpstreamError::NotYetAvailable(wait) => {
                    (503, "upstream-busy", Some(seconds(Some(*wait))))
                }
                UpstreamError::Unreachable(_) => (502, "upstream-unreachable", None),
                UpstreamError::Redirect(_) => (502, "upstream-redirect", None),
                UpstreamError::WrongRange
                | UpstreamError::Multipart
                | UpstreamError::PastEnd(_)
                | UpstreamError::RangeIgnored => (502, "upstream-range", None),
                UpstreamError::EntityChanged(_) | UpstreamError::ValidatorsDisagree => {
                    (502, "upstream-changed", None)
                }
                UpstreamError::IndexMismatch(_) => (502, "upstream-contradiction", None),
                UpstreamError::LengthUnknown => (502, "upstream-length-unknown", None),
                UpstreamError::UnexpectedEncoding => (502, "upstream-encoded", None),
                UpstreamError::Truncated { .. } | UpstreamError::Incomplete(_) => {
                    (502, "upstream-cut", None)
                }
                UpstreamError::Timeout(..) => (504, "upstream-timeout", None),
                UpstreamError::Slow(_) => (504, "upstream-slow", None),
                UpstreamError::Protocol(_) => (502, "upstream-protocol", None),
            },
            Error::Unusable { reason: InputError::NotMedia(_), .. } => (422, "not-media", None),
            Error::Unusable { reason: InputError::IndexAtEnd(_), .. } => {
                (422, "index-at-end", None)
            }
            Error::Unusable { reason: InputError::Encrypted, .. } => (422, "drm", None),
            Error::Unusable { reason: InputError::OnlyInMp4, .. } => (422, "mux-refused", None),
            Error::StartBeyondEnd => (422, "start-beyond-end", None),
            Error::NotSpliced(_) => (422, "splice-refused", None),
            Error::Ffmpeg(FfmpegError::Missing(_)) => (500, "muxer-missing", None),
            Error::Ffmpeg(
                FfmpegError::Refused(_) | FfmpegError::Misread { .. } | FfmpegError::Without { .. },
            ) => (422, "mux-refused", None),
            Error::Ffmpeg(FfmpegError::ShortInput(_)) => (502, "upstream-cut", None),
            Error::Ffmpeg(_) => (500, "muxer-failed", None),
            // Only a client that closed no more than its sending half can read this one.
            Error::ClientLeft => (499, "client-left", None),
            Error::ClientStalled(_) => (408, "client-stalled", None),
            Error::Stopped => (500, "internal", None),
            Error::System { .. } => (500, "internal", None),
        };
        let track = match error {
            Error::Upstream { track, .. } | Error::Unusable { track, .. } => Some(*track),
            Error::Ffmpeg(FfmpegError::Misread { track, .. }) => Some(*track),
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
        let error = Error::Upstream { track: TrackKind::Audio, fault: UpstreamError::Status(410) };
        let problem = Problem::from(&error);
        assert_eq!((problem.status, problem.code), (404, "upstream-not-found"));
        assert_eq!(problem.track, Some(TrackKind::Audio));
        assert_eq!(problem.detail, "audio upstream: it answered with HTTP status 410");
    }

    #[test]
    fn however_long_an_upstream_wants_to_be_left_alone() {
        let fault = UpstreamError::Busy(503, Some(Duration::from_secs(u64::MAX)));
        let problem = Problem::from(&Error::Upstream { track: TrackKind::Video, fault });
        assert_eq!((problem.status, problem.retry_after), (503, Some(u32::MAX)));
    }

    #[test]
    fn errors_stay_small() {
        // They travel in every Result of the byte path.
        assert!(size_of::<Error>() <= 48, "{}", size_of::<Error>());
    }
}

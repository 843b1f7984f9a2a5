//! How ffmpeg can fail.

use std::fmt;
use std::time::Duration;

use crate::options::TimeRange;
use crate::track_kind::TrackKind;

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
    /// The encoded file has another length than the number of samples in the source was to give.
    Miscounted {
        /// The length, as far as it was made.
        len: u64,
        /// The length by the index of the source.
        expected: u64,
    },
    /// ffmpeg neither read nor wrote for this long.
    Stalled(Duration),
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
            FfmpegError::Miscounted { len, expected } => write!(
                f,
                "the source has not as many samples as it tells: {len} bytes were made of it instead of {expected}"
            ),
            FfmpegError::Stalled(limit) => {
                write!(f, "ffmpeg did nothing for {limit:?} (muxer.stall_timeout)")
            }
        }
    }
}

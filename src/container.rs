//! Media containers: parsers for boxes and elements, the probe of first bytes, and checks of
//! completeness.

use crate::track_kind::TrackKind;

pub mod completeness;
pub mod ebml;
pub mod isobmff;
pub mod mpeg_ts;
pub(crate) mod parameter_sets;
pub mod probe;
pub mod retime;

pub use parameter_sets::SampleEntry;

/// The container of the joined file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// Fragmented MP4.
    Mp4,
    /// WebM.
    Webm,
    /// Matroska.
    Mkv,
    /// MP3.
    Mp3,
    /// Ogg with Opus in it.
    Opus,
    /// Ogg with another codec in it, or whichever the source has.
    Ogg,
    /// FLAC.
    Flac,
    /// WAVE.
    Wav,
    /// Samples without a header, for a file whose header is known.
    Samples,
}

/// Media type and file extension of a joined file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputType {
    /// The media type.
    pub media_type: &'static str,
    /// The file extension.
    pub extension: &'static str,
}

/// Returns media type (RFC 4337, RFC 9559 §14) and file extension for tracks of these kinds in a
/// container.
pub fn type_of(container: Container, mut kinds: impl Iterator<Item = TrackKind>) -> OutputType {
    let has_video = kinds.any(|kind| kind == TrackKind::Video);
    let (media_type, extension) = match (container, has_video) {
        (Container::Mp4, true) => ("video/mp4", "mp4"),
        (Container::Mp4, false) => ("audio/mp4", "m4a"),
        (Container::Webm, true) => ("video/webm", "webm"),
        (Container::Webm, false) => ("audio/webm", "webm"),
        (Container::Mkv, true) => ("video/x-matroska", "mkv"),
        (Container::Mkv, false) => ("audio/x-matroska", "mka"),
        (Container::Mp3, _) => ("audio/mpeg", "mp3"),
        (Container::Opus, _) => ("audio/ogg", "opus"),
        (Container::Ogg, _) => ("audio/ogg", "ogg"),
        (Container::Flac, _) => ("audio/flac", "flac"),
        (Container::Wav | Container::Samples, _) => ("audio/wav", "wav"),
    };
    OutputType { media_type, extension }
}

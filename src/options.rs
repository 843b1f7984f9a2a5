//! The output options of a download: container, engine and time range. Pure.

use std::time::Duration;

/// The container that a client requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum ContainerChoice {
    /// The container that suits the tracks.
    #[default]
    Auto,
    /// MP4.
    Mp4,
    /// WebM.
    Webm,
    /// Matroska, which takes nearly every codec.
    Mkv,
    /// Audio only: MP4 with AAC.
    M4a,
    /// Audio only: MP3.
    Mp3,
    /// Audio only: Ogg with Opus.
    Opus,
    /// Audio only: Ogg with Vorbis or Opus.
    Ogg,
    /// Audio only: FLAC.
    Flac,
    /// Audio only: WAVE.
    Wav,
}

impl ContainerChoice {
    /// All containers.
    pub const ALL: [ContainerChoice; 10] = [
        ContainerChoice::Auto,
        ContainerChoice::Mp4,
        ContainerChoice::Webm,
        ContainerChoice::Mkv,
        ContainerChoice::M4a,
        ContainerChoice::Mp3,
        ContainerChoice::Opus,
        ContainerChoice::Ogg,
        ContainerChoice::Flac,
        ContainerChoice::Wav,
    ];

    /// Returns the container with this name in the API.
    pub fn from_name(name: &str) -> Option<ContainerChoice> {
        Self::ALL.into_iter().find(|container| container.as_str() == name)
    }

    /// Returns the name of the container in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            ContainerChoice::Auto => "auto",
            ContainerChoice::Mp4 => "mp4",
            ContainerChoice::Webm => "webm",
            ContainerChoice::Mkv => "mkv",
            ContainerChoice::M4a => "m4a",
            ContainerChoice::Mp3 => "mp3",
            ContainerChoice::Opus => "opus",
            ContainerChoice::Ogg => "ogg",
            ContainerChoice::Flac => "flac",
            ContainerChoice::Wav => "wav",
        }
    }

    /// Returns whether a file in the container may have several audio tracks.
    pub fn holds_several_audio(self) -> bool {
        !self.is_audio() || self == ContainerChoice::M4a
    }

    /// Returns whether the container holds audio only.
    pub fn is_audio(self) -> bool {
        !matches!(
            self,
            ContainerChoice::Auto
                | ContainerChoice::Mp4
                | ContainerChoice::Webm
                | ContainerChoice::Mkv
        )
    }
}

/// A time range of the media. Tracks are cut where they can be cut: at or before `start`, and at or
/// after `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct TimeRange {
    /// The start, from the beginning of the media.
    pub start: Duration,
    /// The end; `None` for the end of the media.
    pub end: Option<Duration>,
}

impl TimeRange {
    /// Shifts the range to the clock of media whose first timestamp is `begin`.
    pub fn on_clock_from(self, begin: Duration) -> TimeRange {
        let later = |time: Duration| time.saturating_add(begin);
        TimeRange { start: later(self.start), end: self.end.map(later) }
    }

    /// Returns whether the range covers all of the media.
    pub fn is_full(&self) -> bool {
        *self == TimeRange::default()
    }
}

/// The engine that joins the tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Engine {
    /// Splice where possible, ffmpeg otherwise.
    #[default]
    Auto,
    /// Splice only.
    Splice,
    /// ffmpeg only.
    Ffmpeg,
}

impl Engine {
    /// All engines, each with its name in the API.
    pub const ALL: [(Engine, &str); 3] =
        [(Engine::Auto, "auto"), (Engine::Splice, "splice"), (Engine::Ffmpeg, "ffmpeg")];

    /// Returns this engine, or `other` if this is [`Engine::Auto`].
    pub fn or(self, other: Engine) -> Engine {
        if self == Engine::Auto { other } else { self }
    }

    /// Returns the engine with this name in the API.
    pub fn from_name(name: &str) -> Option<Engine> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(engine, _)| engine)
    }
}

/// Whether the length of media in segments is found out before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum LengthPolicy {
    /// If that takes a few seconds at most.
    #[default]
    Auto,
    /// As long as indexes may be read.
    Wait,
    /// Never: the download starts at once.
    None,
}

impl LengthPolicy {
    /// All policies, each with its name in the API.
    pub const ALL: [(LengthPolicy, &str); 3] =
        [(LengthPolicy::Auto, "auto"), (LengthPolicy::Wait, "wait"), (LengthPolicy::None, "none")];

    /// Returns the policy with this name in the API.
    pub fn from_name(name: &str) -> Option<LengthPolicy> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(policy, _)| policy)
    }
}

/// The output options of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct OutputOptions {
    /// The requested container.
    pub container: ContainerChoice,
    /// The requested engine.
    pub engine: Engine,
    /// The requested time range.
    pub time_range: TimeRange,
    /// Whether the length is found out beforehand.
    pub length: LengthPolicy,
    /// Whether a live stream begins with the oldest segment of its playlist (`start=0`) rather than near
    /// its newest one.
    pub from_oldest: bool,
    /// The bit rate of the audio in kbit/s, which is encoded at this one whatever it has. `None` to encode it only if
    /// it does not fit the container.
    pub bitrate: Option<u32>,
    /// The format of the file, if it is subtitles alone.
    pub text_only: Option<TextFormat>,
}

/// The format of a file of subtitles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextFormat {
    /// WebVTT.
    Vtt,
    /// SubRip.
    Srt,
}

impl TextFormat {
    /// All formats, each with its name in the API.
    pub const ALL: [(TextFormat, &str); 2] = [(TextFormat::Vtt, "vtt"), (TextFormat::Srt, "srt")];

    /// Returns the format with this name in the API.
    pub fn from_name(name: &str) -> Option<TextFormat> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(format, _)| format)
    }
}

//! What a client would like of the file that it gets. Pure.

use std::time::Duration;

/// The container that a client would like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum ContainerChoice {
    /// Whatever suits the tracks.
    #[default]
    Auto,
    /// MP4.
    Mp4,
    /// WebM.
    Webm,
    /// Matroska, which takes nearly everything.
    Mkv,
    /// Sound alone: MP4 with AAC.
    M4a,
    /// Sound alone: MP3.
    Mp3,
    /// Sound alone: Ogg with Opus.
    Opus,
}

impl ContainerChoice {
    /// The one that is called so.
    pub fn from_name(name: &str) -> Option<ContainerChoice> {
        Some(match name {
            "auto" => ContainerChoice::Auto,
            "mp4" => ContainerChoice::Mp4,
            "webm" => ContainerChoice::Webm,
            "mkv" => ContainerChoice::Mkv,
            "m4a" => ContainerChoice::M4a,
            "mp3" => ContainerChoice::Mp3,
            "opus" => ContainerChoice::Opus,
            _ => return None,
        })
    }

    /// What it is called.
    pub fn as_str(self) -> &'static str {
        match self {
            ContainerChoice::Auto => "auto",
            ContainerChoice::Mp4 => "mp4",
            ContainerChoice::Webm => "webm",
            ContainerChoice::Mkv => "mkv",
            ContainerChoice::M4a => "m4a",
            ContainerChoice::Mp3 => "mp3",
            ContainerChoice::Opus => "opus",
        }
    }

    /// Whether there can be no picture in it.
    pub fn is_audio(self) -> bool {
        matches!(self, ContainerChoice::M4a | ContainerChoice::Mp3 | ContainerChoice::Opus)
    }
}

/// What of the film is wanted. Cuts fall where the tracks can be cut: at or before `start`, and at
/// or behind `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct TimeRange {
    /// From here on.
    pub start: Duration,
    /// Up to here; all the rest if it is not given.
    pub end: Option<Duration>,
}

impl TimeRange {
    /// The same by the clock of a film that begins then.
    pub fn on_clock_from(self, begin: Duration) -> TimeRange {
        let later = |time: Duration| time.saturating_add(begin);
        TimeRange { start: later(self.start), end: self.end.map(later) }
    }

    /// Whether nothing is left out.
    pub fn is_full(&self) -> bool {
        *self == TimeRange::default()
    }
}

/// What joins the tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Engine {
    /// Splice where it can, ffmpeg for the rest.
    #[default]
    Auto,
    /// Splice or nothing.
    Splice,
    /// ffmpeg in any case.
    Ffmpeg,
}

impl Engine {
    /// This one, or another if this says nothing.
    pub fn or(self, other: Engine) -> Engine {
        if self == Engine::Auto { other } else { self }
    }

    /// The one that is called so.
    pub fn from_name(name: &str) -> Option<Engine> {
        match name {
            "auto" => Some(Engine::Auto),
            "splice" => Some(Engine::Splice),
            "ffmpeg" => Some(Engine::Ffmpeg),
            _ => None,
        }
    }
}

/// What a client would like of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct OutputOptions {
    /// Its container.
    pub container: ContainerChoice,
    /// What makes it.
    pub engine: Engine,
    /// What of the film is in it.
    pub time_range: TimeRange,
}

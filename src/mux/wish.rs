//! What a client would like of the file that it gets. Pure.

use std::time::Duration;

/// The container that a client would like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Wanted {
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

impl Wanted {
    /// The one that is called so.
    pub fn named(name: &str) -> Option<Wanted> {
        Some(match name {
            "auto" => Wanted::Auto,
            "mp4" => Wanted::Mp4,
            "webm" => Wanted::Webm,
            "mkv" => Wanted::Mkv,
            "m4a" => Wanted::M4a,
            "mp3" => Wanted::Mp3,
            "opus" => Wanted::Opus,
            _ => return None,
        })
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Wanted::Auto => "auto",
            Wanted::Mp4 => "mp4",
            Wanted::Webm => "webm",
            Wanted::Mkv => "mkv",
            Wanted::M4a => "m4a",
            Wanted::Mp3 => "mp3",
            Wanted::Opus => "opus",
        }
    }

    /// Whether there can be no picture in it.
    pub fn is_sound(self) -> bool {
        matches!(self, Wanted::M4a | Wanted::Mp3 | Wanted::Opus)
    }
}

/// What of the film is wanted. Cuts fall where the tracks can be cut: at or before `start`, and at
/// or behind `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Trim {
    /// From here on.
    pub start: Duration,
    /// Up to here; all the rest if it is not given.
    pub end: Option<Duration>,
}

impl Trim {
    /// The same by the clock of a film that begins then.
    pub fn on_clock_from(self, begin: Duration) -> Trim {
        let later = |time: Duration| time.saturating_add(begin);
        Trim { start: later(self.start), end: self.end.map(later) }
    }

    /// Whether nothing is left out.
    pub fn is_whole(&self) -> bool {
        *self == Trim::default()
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
    pub fn named(name: &str) -> Option<Engine> {
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
pub struct Wish {
    /// Its container.
    pub container: Wanted,
    /// What makes it.
    pub engine: Engine,
    /// What of the film is in it.
    pub trim: Trim,
}

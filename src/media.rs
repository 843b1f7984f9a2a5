//! What is to be joined: tracks and where they are. Pure data, no I/O.

use std::fmt;

use url::Url;

/// Which of the two tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The picture.
    Video,
    /// The sound.
    Audio,
}

impl Kind {
    /// The word for it in parameters, errors and pipe names.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Video => "video",
            Kind::Audio => "audio",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One elementary stream and where its bytes are.
#[derive(Clone, PartialEq, Eq)]
pub struct Track {
    /// Picture or sound.
    pub kind: Kind,
    /// An http or https address. May be signed, hence secret: log only its host.
    pub url: Url,
}

impl fmt::Debug for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.kind, self.url.host_str().unwrap_or("nowhere"))
    }
}

/// A film: one or two tracks and what the file is to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// The wish for a file name, as the client gave it: not yet safe for a header.
    pub name: Option<String>,
    /// Video first; never empty, never two of a kind.
    pub tracks: Vec<Track>,
}

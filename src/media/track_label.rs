//! [`TrackLabel`]: what the header of a file says of a track for people to choose by. Pure.

use super::language::Language;
use crate::text::one_line;

/// The maximum number of audio tracks in a file. Each takes an upstream connection of its own.
pub const MAX_AUDIO_TRACKS: usize = 16;
/// The maximum length of a name, in characters: players show a list of them.
const MAX_NAME: usize = 80;

/// Language and name of a track.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TrackLabel {
    /// Its language, if it is known.
    pub language: Option<Language>,
    /// Its name.
    pub name: Option<String>,
}

impl TrackLabel {
    /// Returns a label with these texts, as far as they fit in one.
    pub fn new(tag: Option<&str>, name: Option<&str>) -> TrackLabel {
        let name = name.map(|name| one_line(name, MAX_NAME)).filter(|name| !name.is_empty());
        TrackLabel { language: tag.and_then(Language::from_tag), name }
    }

    /// Feeds `add` what distinguishes this label from others.
    pub fn identify(&self, add: &mut dyn FnMut(&[u8])) {
        let TrackLabel { language, name } = self;
        for text in [language.as_ref().map(Language::as_str), name.as_deref()] {
            add(&[text.is_some().into()]);
            add(text.unwrap_or_default().as_bytes());
        }
    }
}

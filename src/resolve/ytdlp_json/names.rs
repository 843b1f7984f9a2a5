//! Names of audio tracks, which yt-dlp has in its notes.

use crate::media::track_label::TrackLabel;

/// What is no name: qualities, and how the audio is delivered.
const GENERIC: [&str; 12] = [
    "ultralow",
    "tiny",
    "low",
    "medium",
    "high",
    "default",
    "audio",
    "audio only",
    "dash audio",
    "hls audio",
    "unknown",
    "drc",
];

/// Returns the name of an audio track with this note. YouTube's are `English original (default), medium`; those of
/// playlists (HLS) are the name alone.
pub(super) fn audio_name(note: &str) -> Option<String> {
    let name = note.split(", ").next().unwrap_or_default().trim();
    let name = name.strip_suffix("(default)").unwrap_or(name).trim();
    let is_generic = GENERIC.iter().any(|generic| name.eq_ignore_ascii_case(generic));
    TrackLabel::new(None, Some(name).filter(|_| !is_generic)).name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_quality() {
        for (note, name) in [
            ("English original (default), medium", Some("English original")),
            ("German, low, DRC", Some("German")),
            ("Deutsch", Some("Deutsch")),
            ("medium", None),
            ("Default, high", None),
            ("DASH audio", None),
            (" , x", None),
            ("", None),
        ] {
            assert_eq!(audio_name(note).as_deref(), name, "{note}");
        }
    }
}

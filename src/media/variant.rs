//! Variants: renditions that differ from the original media. Pure.
//!
//! Sites offer them beside the original, often at a higher resolution or under its very name; a
//! variant is selected only on request, or if there is nothing else.

use url::Url;

/// How a rendition differs from the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Enlarged by a program.
    Upscaled,
    /// With raised voices.
    VoiceBoost,
    /// With compressed dynamic range.
    Drc,
    /// Dubbed by a machine.
    Dubbed,
    /// With audio description.
    Described,
    /// With a sign language interpreter.
    Signed,
    /// For a 360° player.
    Spherical,
    /// Stereoscopic.
    Stereo,
    /// Spatial audio for a 360° player.
    Spatial,
    /// With the site's watermark.
    Watermarked,
    /// An excerpt.
    Preview,
    /// Known to be broken or cut.
    Damaged,
}

/// Each variant with its parameter value, and the phrases that mark it in notes.
const ALL: [(Variant, &str, &[&str]); 12] = [
    (Variant::Damaged, "damaged", &["damaged", "incomplete", "last 2 hours"]),
    (Variant::Preview, "preview", &["preview", "trailer"]),
    (Variant::Described, "described", &["descriptive", "description", "described video"]),
    (Variant::Signed, "signed", &["sign language", "sign-language"]),
    (Variant::Dubbed, "dubbed", &["dubbed-auto", "auto-dubbed", "ai dubbed", "ai-dubbed"]),
    (Variant::Upscaled, "upscaled", &["upscaled", "super resolution", "super-resolution"]),
    (Variant::VoiceBoost, "voice-boost", &["voice boost", "voice-boost"]),
    (Variant::Drc, "drc", &[" drc", "stable volume"]),
    (Variant::Stereo, "3d", &[" 3d", "stereoscopic", "side-by-side", "threed"]),
    (Variant::Spherical, "360", &["equirectangular", " mesh", "spherical", "360°", "vr180"]),
    (Variant::Spatial, "spatial", &["ambisonic"]),
    (Variant::Watermarked, "watermarked", &["watermarked"]),
];

impl Variant {
    /// Returns the parameter values of all variants.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|(_, name, _)| *name)
    }

    /// Returns its parameter value.
    pub fn as_str(self) -> &'static str {
        ALL.iter().find(|(variant, ..)| *variant == self).map_or("", |(_, name, _)| name)
    }

    /// Parses a parameter value.
    pub fn from_name(name: &str) -> Option<Variant> {
        ALL.iter().find(|(_, word, _)| *word == name).map(|(variant, ..)| *variant)
    }

    /// Detects a variant by the note of yt-dlp, the language, the URL or the id of a rendition.
    pub fn detect(id: &str, note: &str, language: Option<&str>, url: &Url) -> Option<Variant> {
        let note = format!(" {}", note.to_lowercase());
        let by_note = ALL.iter().find(|(.., words)| words.iter().any(|words| note.contains(words)));
        if let Some((variant, ..)) = by_note {
            return Some(*variant);
        }
        if language.is_some_and(|tag| tag.to_ascii_lowercase().ends_with("-desc")) {
            return Some(Variant::Described);
        }
        // YouTube's `xtags=drc=1:lang=en`, and the suffixes that yt-dlp appends to YouTube's
        // numbers. Elsewhere `sr` is Serbian.
        let tags = url.query_pairs().find(|(name, _)| name == "xtags");
        let tags = tags.map(|(_, tags)| tags.into_owned()).unwrap_or_default();
        let (number, suffix) = id.split_once('-').unwrap_or_default();
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let suffixes = suffix.split('-').filter(|_| is_number);
        let from_suffix = |suffix: &str| match suffix {
            "sr" => Some(Variant::Upscaled),
            "vb" => Some(Variant::VoiceBoost),
            "drc" => Some(Variant::Drc),
            _ => None,
        };
        let from_tag = |tag: &str| match tag.split_once('=')? {
            ("acont", "dubbed-auto") => Some(Variant::Dubbed),
            ("acont", "descriptive") => Some(Variant::Described),
            (name, "1") => from_suffix(name),
            _ => None,
        };
        let dubbed = id.contains("dubbed-auto").then_some(Variant::Dubbed);
        dubbed
            .or_else(|| tags.split(':').chain(suffixes.clone()).find_map(from_tag))
            .or_else(|| suffixes.clone().find_map(from_suffix))
    }

    /// Returns whether it has other content than the original, or less.
    pub fn has_other_content(self) -> bool {
        use Variant::{Damaged, Described, Dubbed, Preview, Signed};
        matches!(self, Dubbed | Described | Signed | Preview | Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sites_tell() {
        let of = |id: &str, note: &str, language: &str, query: &str| {
            let url = Url::parse(&format!("https://cdn.example/videoplayback?{query}")).unwrap();
            Variant::detect(id, note, Some(language), &url).map(Variant::as_str)
        };
        for (id, note, language, query, name) in [
            ("399-sr", "1080p, AI-upscaled", "", "", Some("upscaled")),
            ("399-sr", "1080p", "", "", Some("upscaled")),
            ("399", "1080p", "", "itag=399&xtags=sr%3D1", Some("upscaled")),
            ("22", "Super resolution", "", "", Some("upscaled")),
            ("140-drc", "English original (default), medium, DRC", "en", "", Some("drc")),
            ("140", "medium", "en", "xtags=acont%3Doriginal%3Adrc%3D1%3Alang%3Den", Some("drc")),
            ("251-vb", "medium", "en", "", Some("voice-boost")),
            ("251", "medium, Voice boost", "en", "", Some("voice-boost")),
            (
                "251-3",
                "German, medium",
                "de",
                "xtags=acont%3Ddubbed-auto%3Alang%3Dde",
                Some("dubbed"),
            ),
            ("251-de-dubbed-auto", "medium", "de", "", Some("dubbed")),
            ("251-4", "English descriptive, medium", "en", "", Some("described")),
            ("251-4", "medium", "en-desc", "", Some("described")),
            ("dgs", "German Sign Language", "", "", Some("signed")),
            ("313", "2160p, equirectangular", "", "", Some("360")),
            ("313", "2160p, mesh", "", "", Some("360")),
            ("84", "3D", "", "", Some("3d")),
            ("338", "ambisonics_quad", "", "", Some("spatial")),
            ("download", "watermarked", "", "", Some("watermarked")),
            ("http_mp3_preview", "Preview", "", "", Some("preview")),
            ("137", "1080p, DAMAGED", "", "", Some("damaged")),
            ("137", "1080p60 HDR", "", "", None),
            ("616", "1080p Premium", "", "", None),
            ("18", "360p", "", "xtags=", None),
            (
                "251-1",
                "English (US) original (default), medium",
                "en-US",
                "xtags=acont%3Doriginal",
                None,
            ),
            ("251-2", "Spanish, medium", "es", "xtags=acont%3Ddubbed%3Alang%3Des", None),
            ("audio-sr", "", "sr", "", None),
            ("hls-vb", "", "", "", None),
        ] {
            assert_eq!(of(id, note, language, query), name, "{id} {note} {query}");
        }
        for (variant, name, _) in ALL {
            assert_eq!(Variant::from_name(name), Some(variant));
        }
    }
}

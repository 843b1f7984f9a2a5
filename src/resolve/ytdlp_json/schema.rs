//! The fields of yt-dlp's JSON that are read. Any of them may be missing, or of another type.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

#[derive(Deserialize)]
pub(super) struct Page<'j> {
    #[serde(rename = "_type", default, deserialize_with = "lenient")]
    pub(super) kind: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) extractor: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) title: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) uploader: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) channel: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) creator: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) release_date: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) upload_date: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) duration: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) live_status: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) is_live: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) release_timestamp: Option<f64>,
    #[serde(rename = "_has_drm", default, deserialize_with = "lenient")]
    pub(super) has_drm: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) thumbnail: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) thumbnails: Option<Vec<Thumbnail>>,
    /// Parsed one by one: all together they may be long.
    #[serde(default, borrow)]
    pub(super) formats: Option<&'j RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Thumbnail {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) width: Option<f64>,
}

#[derive(Deserialize)]
pub(super) struct Format<'j> {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) format_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) format_note: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) protocol: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) ext: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) vcodec: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) acodec: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) width: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) height: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) fps: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) tbr: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) filesize: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) filesize_approx: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) dynamic_range: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) language: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) language_preference: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) preference: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) quality: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) source_preference: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) http_headers: Option<HashMap<String, String>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) cookies: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) downloader_options: Option<DownloaderOptions>,
    #[serde(default)]
    pub(super) impersonate: serde_json::Value,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) available_at: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) has_drm: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) manifest_url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) hls_media_playlist_data: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) hls_aes: Option<HlsAes>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) extra_param_to_segment_url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) extra_param_to_key_url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) fragment_base_url: Option<String>,
    /// A list of [`Fragment`], or a [`ShortFragments`].
    #[serde(default, borrow)]
    pub(super) fragments: Option<&'j RawValue>,
}

#[derive(Deserialize)]
pub(super) struct HlsAes {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) uri: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) key: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) iv: Option<String>,
}

/// A segment.
#[derive(Deserialize)]
pub(super) struct Fragment {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) path: Option<String>,
    /// `None` if it lacks the field, as initialisation segments do; an unknown duration is 0.
    #[serde(default, deserialize_with = "number_or_zero")]
    pub(super) duration: Option<f64>,
}

/// All segments, as the fork server shortens them.
#[derive(Deserialize)]
pub(super) struct ShortFragments {
    pub(super) prefix: String,
    pub(super) suffix: String,
    pub(super) parts: String,
    /// Number of successive segments, and the duration of each.
    pub(super) durations: Vec<(usize, Option<f64>)>,
}

#[derive(Deserialize)]
pub(super) struct DownloaderOptions {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) http_chunk_size: Option<f64>,
}

/// Treats a value of another type as missing.
fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Lenient<T> {
        Valid(T),
        Invalid(IgnoredAny),
    }
    Ok(match Lenient::deserialize(deserializer)? {
        Lenient::Valid(value) => Some(value),
        Lenient::Invalid(_) => None,
    })
}

fn number_or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    lenient(deserializer).map(|number| number.or(Some(0.0)))
}

/// Replaces lone surrogates by U+FFFD. Sites cut texts where JavaScript can: between the two halves
/// of a surrogate pair (`\ud83c` and `\udfac`). Python accepts such a half, serde_json does not.
pub(super) fn replace_lone_surrogates(json: &[u8]) -> Cow<'_, [u8]> {
    let surrogate = |at: usize, kinds: &str| {
        let escape = json.get(at..at + 6)?;
        let is_half = escape.starts_with(b"\\u")
            && escape[2].eq_ignore_ascii_case(&b'd')
            && kinds.as_bytes().contains(&escape[3].to_ascii_lowercase());
        is_half.then_some(())
    };
    let mut output = Vec::new();
    let (mut at, mut copied) = (0, 0);
    while let Some(offset) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += offset;
        let (is_high, is_low) = (surrogate(at, "89ab").is_some(), surrogate(at, "cdef").is_some());
        if is_high && surrogate(at + 6, "cdef").is_some() {
            at += 12;
        } else if is_high || is_low {
            output.extend_from_slice(&json[copied..at]);
            output.extend_from_slice(b"\\ufffd");
            at += 6;
            copied = at;
        } else {
            // The next byte is escaped, and may be a backslash.
            at = (at + 2).min(json.len());
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    output.extend_from_slice(&json[copied..]);
    Cow::Owned(output)
}

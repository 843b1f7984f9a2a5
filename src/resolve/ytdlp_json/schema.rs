//! The fields of yt-dlp's JSON that are read. Any of them may be missing, or of another type.

use serde::de::MapAccess;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::captions::{Captions, MAX_INLINE};
use super::lenient::{AtMost, Field, First, IsSet, Lenient, Text, Texts, lenient, structure};
use crate::media::page_list::PART_LEN;
use crate::playlist;

/// Maximum number of formats read; a video with many languages has a few hundred.
pub(super) const MAX_FORMATS: usize = 2000;
/// Maximum number of thumbnails read.
const MAX_THUMBNAILS: usize = 200;
/// Maximum number of chapters read; what is written has a lower one.
const MAX_CHAPTERS: usize = 1000;
/// Maximum number of segments of SponsorBlock; the plugin has the same.
const MAX_SPONSORBLOCK: usize = 500;
/// Maximum number of header fields of a format.
pub(super) const MAX_FIELDS: usize = 100;
/// Maximum number of segments, and of runs of them.
const MAX_SEGMENTS: usize = playlist::MAX_SEGMENTS;
/// More than a playlist may have, also in Base64.
const MAX_PLAYLIST: usize = 2 * playlist::MAX_SIZE;

#[derive(Deserialize)]
pub(super) struct PageFields<'j> {
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
    pub(super) thumbnails: Option<First<Lenient<Thumbnail>, MAX_THUMBNAILS>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) chapters: Option<Chapters>,
    /// From the plugin `sponsorblock.py`.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) sponsorblock: Option<SponsorBlockFields>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) subtitles: Option<Captions>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) automatic_captions: Option<Captions>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) playlist_count: Option<f64>,
    /// Parsed one by one: all together they may be long.
    #[serde(default, borrow)]
    pub(super) formats: Option<&'j RawValue>,
    /// The entries of a list, likewise.
    #[serde(default, borrow)]
    pub(super) entries: Option<&'j RawValue>,
}

/// An entry of a list.
#[derive(Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "_type", default, deserialize_with = "lenient")]
    pub(super) kind: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) title: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) uploader: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) channel: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) duration: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) webpage_url: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Thumbnail {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) width: Option<f64>,
}

#[derive(Deserialize)]
pub(super) struct Chapter {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) start_time: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) end_time: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) title: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct SponsorBlockFields {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) segments: Option<First<Lenient<SponsorSegment>, MAX_SPONSORBLOCK>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) failure: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct SponsorSegment {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) start: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) end: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) category: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) title: Option<String>,
}

/// Subtitles in one language and format.
#[derive(Deserialize)]
pub(super) struct Caption {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) ext: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) data: Option<Text<MAX_INLINE>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) protocol: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) http_headers: Option<Texts<MAX_FIELDS>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) fragments: Option<IsSet>,
}

#[derive(Deserialize)]
pub(super) struct Format<'j> {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) format_id: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) format_note: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) url: Option<Text<MAX_PLAYLIST>>,
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
    pub(super) http_headers: Option<Texts<MAX_FIELDS>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) cookies: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) downloader_options: Option<DownloaderOptions>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) impersonate: Option<IsSet>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) available_at: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) has_drm: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) manifest_url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) hls_media_playlist_data: Option<Text<MAX_PLAYLIST>>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) hls_aes: Option<HlsAes>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) extra_param_to_segment_url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) extra_param_to_key_url: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) is_dash_periods: Option<bool>,
    /// From the plugin `dash_periods.py`.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) period_count: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) fragment_base_url: Option<String>,
    /// [`Fragments`], or a [`ShortFragments`].
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
    #[serde(default, deserialize_with = "lenient")]
    pub(super) prefix: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) suffix: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) parts: Option<Text<MAX_PLAYLIST>>,
    /// Number of successive segments, and the duration of each.
    #[serde(default, deserialize_with = "lenient")]
    pub(super) durations: Option<AtMost<(usize, Option<f64>), MAX_SEGMENTS>>,
}

/// The segments as the command prints them.
pub(super) type Fragments = AtMost<Lenient<Fragment>, MAX_SEGMENTS>;
/// The chapters of a page.
pub(super) type Chapters = First<Lenient<Chapter>, MAX_CHAPTERS>;
/// The formats of a page, each to be parsed by itself.
pub(super) type Formats<'j> = First<&'j RawValue, MAX_FORMATS>;
/// The entries of a part of a list, each to be parsed by itself.
pub(super) type Entries<'j> = First<&'j RawValue, { PART_LEN as usize }>;

/// What tells of a format whether it is audio that a playlist lists beside its videos.
#[derive(Deserialize)]
pub(super) struct Manifest {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) vcodec: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) acodec: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) source_preference: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    pub(super) manifest_url: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct DownloaderOptions {
    #[serde(default, deserialize_with = "lenient")]
    pub(super) http_chunk_size: Option<f64>,
}

fn number_or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    lenient(deserializer).map(|number| number.or(Some(0.0)))
}

/// Implements [`Field`] for structs.
macro_rules! structures {
    ($($name:ty),*) => {$(
        impl<'de> Field<'de> for $name {
            fn from_object<A: MapAccess<'de>>(object: A) -> Result<Option<Self>, A::Error> {
                structure(object)
            }
        }
    )*};
}

structures!(
    PageFields<'de>,
    Format<'de>,
    Manifest,
    Entry,
    Thumbnail,
    Chapter,
    SponsorBlockFields,
    SponsorSegment,
    Caption,
    HlsAes,
    Fragment,
    ShortFragments,
    DownloaderOptions
);

/// Replaces lone surrogates by U+FFFD, which is as long. Sites cut texts where JavaScript can: between the two halves
/// of a surrogate pair (`\ud83c` and `\udfac`). Python accepts such a half, serde_json does not.
pub(super) fn replace_lone_surrogates(json: &mut [u8]) {
    let surrogate = |json: &[u8], at: usize, kinds: &str| {
        json.get(at..at + 6).is_some_and(|escape| {
            escape.starts_with(b"\\u")
                && escape[2].eq_ignore_ascii_case(&b'd')
                && kinds.as_bytes().contains(&escape[3].to_ascii_lowercase())
        })
    };
    let mut at = 0;
    while let Some(offset) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += offset;
        let (is_high, is_low) = (surrogate(json, at, "89ab"), surrogate(json, at, "cdef"));
        if is_high && surrogate(json, at + 6, "cdef") {
            at += 12;
        } else if is_high || is_low {
            json[at..at + 6].copy_from_slice(b"\\ufffd");
            at += 6;
        } else {
            // The next byte is escaped, and may be a backslash.
            at = (at + 2).min(json.len());
        }
    }
}

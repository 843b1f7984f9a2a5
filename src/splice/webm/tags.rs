//! Writes title, artist and date as tags and the cover as an attached file (RFC 9559 §5.1.8, §5.1.6).
//!
//! **Invariant:** nothing is shortened: what is too large is refused.

use super::head::text;
use super::ids;
use crate::container::ebml::{element, uint};
use crate::error::Unsupported;
use crate::media::Metadata;

/// The largest cover, in bytes: it delays the first media data.
const MAX_COVER: usize = 4 << 20;

/// Returns the Tags element; no bytes if there are no tags.
pub(super) fn tags(tags: &Metadata) -> Vec<u8> {
    // Names of the Matroska tag registry.
    let named = [("TITLE", &tags.title), ("ARTIST", &tags.artist), ("DATE_RELEASED", &tags.date)];
    let simple_tags: Vec<u8> = named
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .flat_map(|(name, value)| {
            let fields: [&[u8]; 2] = [&text(ids::TAG_NAME, name), &text(ids::TAG_STRING, value)];
            element(ids::SIMPLE_TAG, &fields)
        })
        .collect();
    if simple_tags.is_empty() {
        return simple_tags;
    }
    // Empty Targets mean the complete file.
    let tag = element(ids::TAG, &[&element(ids::TARGETS, &[]), &simple_tags]);
    element(ids::TAGS, &[&tag])
}

/// Returns the Attachments with the cover under the name that players expect; no bytes if there is
/// no cover.
pub(super) fn attachments(tags: &Metadata) -> Result<Vec<u8>, Unsupported> {
    let Some(cover) = &tags.cover else { return Ok(Vec::new()) };
    if cover.bytes.len() > MAX_COVER {
        return Err(Unsupported("the cover is too large"));
    }
    let (name, media_type) =
        if cover.is_jpeg { ("cover.jpg", "image/jpeg") } else { ("cover.png", "image/png") };
    let fields: [&[u8]; 4] = [
        &text(ids::FILE_NAME, name),
        &text(ids::FILE_MEDIA_TYPE, media_type),
        &element(ids::FILE_DATA, &[&cover.bytes]),
        &uint(ids::FILE_UID, 1),
    ];
    Ok(element(ids::ATTACHMENTS, &[&element(ids::ATTACHED_FILE, &fields)]))
}

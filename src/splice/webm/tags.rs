//! What a WebM file says of itself (RFC 9559 §5.1.8, §5.1.6): title, artist and date as tags, the
//! cover as an attached file. Must never shorten what it was given.

use super::head::text;
use super::ids;
use crate::container::ebml::{element, uint};
use crate::error::Unsupported;
use crate::media::Metadata;

/// A cover stands in front of the film, and whoever plays it waits for all of it.
const MAX_COVER: usize = 4 << 20;

/// The tags, or nothing.
pub(super) fn tags(tags: &Metadata) -> Vec<u8> {
    // Names of RFC 9559's companion, the Matroska tag registry.
    let named = [("TITLE", &tags.title), ("ARTIST", &tags.artist), ("DATE_RELEASED", &tags.date)];
    let said: Vec<u8> = named
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .flat_map(|(name, value)| {
            let fields: [&[u8]; 2] = [&text(ids::TAG_NAME, name), &text(ids::TAG_STRING, value)];
            element(ids::SIMPLE_TAG, &fields)
        })
        .collect();
    if said.is_empty() {
        return said;
    }
    // Without targets they are about the whole film.
    let tag = element(ids::TAG, &[&element(ids::TARGETS, &[]), &said]);
    element(ids::TAGS, &[&tag])
}

/// The cover as a file under the name that players look for, or nothing.
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

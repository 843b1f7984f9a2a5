//! Writes chapters (RFC 9559 §5.1.7).

use super::head::text;
use super::ids;
use crate::container::ebml::{element, uint};
use crate::media::chapters::Chapter;

/// Returns the Chapters element with one edition; no bytes if there are no chapters. Each lasts until the next one
/// begins, which needs no end.
pub(super) fn chapters(chapters: &[Chapter]) -> Vec<u8> {
    if chapters.is_empty() {
        return Vec::new();
    }
    let atoms = (1..).zip(chapters).map(|(uid, Chapter { start, title })| {
        let nanos = u64::try_from(start.as_nanos()).unwrap_or(u64::MAX);
        // Its language is not known (ISO 639-2).
        let language = text(ids::CHAP_LANGUAGE, "und");
        let display = element(ids::CHAPTER_DISPLAY, &[&text(ids::CHAP_STRING, title), &language]);
        let fields: [&[u8]; 3] =
            [&uint(ids::CHAPTER_UID, uid), &uint(ids::CHAPTER_TIME_START, nanos), &display];
        element(ids::CHAPTER_ATOM, &fields)
    });
    let atoms: Vec<u8> = atoms.flatten().collect();
    element(ids::CHAPTERS, &[&element(ids::EDITION_ENTRY, &[&atoms])])
}

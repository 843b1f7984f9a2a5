//! Writes title, artist, date and cover, and a list of chapters, in the form that players know from iTunes.
//!
//! The tags are a `udta` for the end of a moov (ISO/IEC 14496-12 §8.10.1), with a `meta` of handler
//! `mdir` and an `ilst` in it; its atoms are described in the QuickTime File Format Specification,
//! "Metadata". The length depends on nothing but the tags, as the plan of a file must always be the
//! same.

use crate::container::isobmff::boxed;
use crate::media::chapters::Chapter;
use crate::media::{CoverArt, Metadata};

/// The longest text, in bytes. iTunes itself stops at 255; no player shows more than this.
const MAX_TEXT: usize = 1024;
/// The largest cover, in bytes: it delays the first media data.
const MAX_COVER: usize = 4 << 20;

/// The well-known types of values.
const UTF_8: u32 = 1;
const JPEG: u32 = 13;
const PNG: u32 = 14;

/// Returns the udta box for these tags; no bytes if there are none. Empty texts and a cover that is
/// too large are omitted.
pub(crate) fn udta(tags: &Metadata) -> Vec<u8> {
    let items = [
        text(b"\xa9nam", tags.title.as_deref()),
        text(b"\xa9ART", tags.artist.as_deref()),
        text(b"\xa9day", tags.date.as_deref()),
        cover(tags.cover.as_ref()),
    ]
    .concat();
    let mut boxes = chapter_list(&tags.chapters);
    if !items.is_empty() {
        let ilst = boxed(b"ilst", &[&items]);
        boxes = [boxed(b"meta", &[&[0; 4], &handler(), &ilst]), boxes].concat();
    }
    if boxes.is_empty() { boxes } else { boxed(b"udta", &[&boxes]) }
}

/// Returns the list of chapters that Nero made up and most players read, with the start of each in 100 ns; no bytes
/// if there are none. There are at most 255, with titles of at most 255 bytes.
pub(crate) fn chapter_list(chapters: &[Chapter]) -> Vec<u8> {
    if chapters.is_empty() {
        return Vec::new();
    }
    let mut list = vec![1, 0, 0, 0, 0, 0, 0, 0, chapters.len() as u8];
    for Chapter { start, title } in chapters {
        list.extend(((start.as_nanos() / 100) as u64).to_be_bytes());
        list.push(title.len() as u8);
        list.extend(title.as_bytes());
    }
    boxed(b"chpl", &[&list])
}

/// Returns the handler that declares iTunes items (§8.4.3 of ISO/IEC 14496-12; the reserved words
/// hold the manufacturer, which some readers check).
fn handler() -> Vec<u8> {
    boxed(b"hdlr", &[&[0; 8], b"mdir", b"appl", &[0; 8], b"\0"])
}

fn text(kind: &[u8; 4], text: Option<&str>) -> Vec<u8> {
    match text.map(str::trim) {
        None | Some("") => Vec::new(),
        Some(text) => item(kind, UTF_8, truncate(text, MAX_TEXT).as_bytes()),
    }
}

fn cover(cover: Option<&CoverArt>) -> Vec<u8> {
    match cover {
        Some(cover) if (1..=MAX_COVER).contains(&cover.bytes.len()) => {
            item(b"covr", if cover.is_jpeg { JPEG } else { PNG }, &cover.bytes)
        }
        _ => Vec::new(),
    }
}

/// Returns an item with its value, without a language.
fn item(kind: &[u8; 4], value_type: u32, value: &[u8]) -> Vec<u8> {
    boxed(kind, &[&boxed(b"data", &[&value_type.to_be_bytes(), &[0; 4], value])])
}

/// Returns as much of `text` as fits into `max` bytes.
fn truncate(text: &str, max: usize) -> &str {
    (0..=max.min(text.len())).rev().find_map(|end| text.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::container::isobmff::children;
    use crate::media::removal::Removal;

    fn items(udta: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
        let inner = |bytes: &[u8]| children(bytes).unwrap()[0].payload().to_vec();
        let meta = inner(&inner(udta))[4..].to_vec();
        let [hdlr, ilst] = children(&meta).unwrap()[..] else { panic!() };
        assert_eq!(&hdlr.payload()[8..12], b"mdir");
        let items = children(ilst.payload()).unwrap();
        items.iter().map(|item| (item.kind, inner(item.payload()))).collect()
    }

    #[test]
    fn nothing_says_nothing() {
        let blank = Some("  ".to_owned());
        assert_eq!(udta(&Metadata::default()), Vec::<u8>::new());
        let cover = Some(CoverArt { is_jpeg: true, bytes: Arc::new([]) });
        assert_eq!(
            udta(&Metadata { title: blank, cover, ..Metadata::default() }),
            Vec::<u8>::new()
        );
        let large = CoverArt { is_jpeg: true, bytes: vec![0; MAX_COVER + 1].into() };
        assert_eq!(udta(&Metadata { cover: Some(large), ..Metadata::default() }), Vec::<u8>::new());
    }

    #[test]
    fn each_item_has_its_type_and_value() {
        let udta = udta(&Metadata {
            title: Some("Straße ☂".to_owned()),
            artist: Some("A".to_owned()),
            date: Some("2024-02-29".to_owned()),
            cover: Some(CoverArt { is_jpeg: false, bytes: Arc::new([1, 2, 3]) }),
            labels: Vec::new(),
            chapters: Vec::new(),
            subtitles: Vec::new(),
            removal: Removal::NONE,
        });
        let value =
            |value_type: u8, value: &[u8]| [&[0, 0, 0, value_type, 0, 0, 0, 0], value].concat();
        assert_eq!(
            items(&udta),
            [
                (*b"\xa9nam", value(1, "Straße ☂".as_bytes())),
                (*b"\xa9ART", value(1, b"A")),
                (*b"\xa9day", value(1, b"2024-02-29")),
                (*b"covr", value(14, &[1, 2, 3])),
            ]
        );
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let title = Some(format!("x{}", "ä".repeat(MAX_TEXT)));
        let udta = udta(&Metadata { title, ..Metadata::default() });
        let text = items(&udta)[0].1[8..].to_vec();
        assert_eq!(text.len(), MAX_TEXT - 1);
        assert!(String::from_utf8(text).is_ok());
    }
}

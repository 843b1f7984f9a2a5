//! Writes ID3v2.3 tags (id3.org, "ID3 tag version 2.3.0"), the version that all players read.

use std::time::Duration;

use crate::media::chapters::Chapter;
use crate::media::{CoverArt, Metadata};

/// The longest text, in characters: no player shows more.
const MAX_TEXT: usize = 1024;

/// Returns the tag for this metadata; no bytes if there is none.
pub fn tag(metadata: &Metadata) -> Vec<u8> {
    let Metadata { title, artist, date, cover, .. } = metadata;
    let (year, day) = date.as_deref().map(year_and_day).unwrap_or_default();
    let frames = [
        text(b"TIT2", title.as_deref()),
        text(b"TPE1", artist.as_deref()),
        text(b"TYER", year),
        text(b"TDAT", day.as_deref()),
        cover.as_ref().map(picture).unwrap_or_default(),
        chapters(&metadata.chapters),
    ]
    .concat();
    if frames.is_empty() {
        return frames;
    }
    // The length has seven bits in each byte.
    let len = frames.len();
    let len = [21, 14, 7, 0].map(|shift| (len >> shift & 0x7f) as u8);
    [&b"ID3\x03\0\0"[..], &len, &frames].concat()
}

/// Returns the parts of a date that have frames of their own: the year, and day and month as `DDMM`.
fn year_and_day(date: &str) -> (Option<&str>, Option<String>) {
    let digits = |at: std::ops::Range<usize>| {
        date.get(at).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let day = || Some(format!("{}{}", digits(8..10)?, digits(5..7)?));
    (digits(0..4), day().filter(|_| date.len() == 10))
}

/// Returns a frame with its head, whose length has eight bits in each byte in this version.
fn frame(id: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&id[..], &len.to_be_bytes(), &[0; 2], payload].concat()
}

/// Returns the frame of a text: in Latin 1 if it is ASCII, else in UTF-16 with a byte order mark.
fn text(id: &[u8; 4], text: Option<&str>) -> Vec<u8> {
    let text: String = text.unwrap_or_default().trim().chars().take(MAX_TEXT).collect();
    if text.is_empty() {
        return Vec::new();
    }
    let payload = if text.is_ascii() {
        [&[0], text.as_bytes()].concat()
    } else {
        let units = text.encode_utf16().flat_map(u16::to_le_bytes);
        [1, 0xff, 0xfe].into_iter().chain(units).collect()
    };
    frame(id, &payload)
}

/// Returns the frame of the front cover.
fn picture(cover: &CoverArt) -> Vec<u8> {
    let media_type = if cover.is_jpeg { "image/jpeg" } else { "image/png" };
    // Latin 1; the media type; the front cover; no description.
    frame(b"APIC", &[&[0], media_type.as_bytes(), &[0, 3, 0], &cover.bytes].concat())
}

/// Returns the frames of chapters (id3.org, "ID3v2 Chapter Frame Addendum"): a table of contents, and one for each.
fn chapters(chapters: &[Chapter]) -> Vec<u8> {
    if chapters.is_empty() {
        return Vec::new();
    }
    let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    let id = |number: usize| format!("chp{number}\0").into_bytes();
    let ids = (0..chapters.len()).flat_map(id).collect::<Vec<_>>();
    // The only one, and in this order.
    let mut frames = frame(b"CTOC", &[&b"toc\0\x03"[..], &[chapters.len() as u8], &ids].concat());
    // The last one lasts to the end.
    let ends = chapters.iter().skip(1).map(|chapter| millis(chapter.start)).chain([u32::MAX]);
    for ((number, chapter), end) in chapters.iter().enumerate().zip(ends) {
        let times = [millis(chapter.start), end].map(u32::to_be_bytes).concat();
        let title = text(b"TIT2", Some(&chapter.title));
        // No offsets in bytes.
        frames.extend(frame(b"CHAP", &[id(number), times, vec![0xff; 8], title].concat()));
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_chapter_has_a_frame() {
        let chapter = |seconds, title: &str| Chapter {
            start: Duration::from_secs(seconds),
            title: title.into(),
        };
        let frames = chapters(&[chapter(0, "A"), chapter(2, "B")]);
        let expected = [
            &b"CTOC\0\0\0\x10\0\0toc\0\x03\x02chp0\0chp1\0"[..],
            b"CHAP\0\0\0\x21\0\0chp0\0\0\0\0\0\0\0\x07\xd0\xff\xff\xff\xff\xff\xff\xff\xff",
            b"TIT2\0\0\0\x02\0\0\0A",
            b"CHAP\0\0\0\x21\0\0chp1\0\0\0\x07\xd0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"TIT2\0\0\0\x02\0\0\0B",
        ];
        assert_eq!(frames, expected.concat());
        assert!(chapters(&[]).is_empty());
    }

    #[test]
    fn a_tag_has_a_frame_for_each_text() {
        let metadata = Metadata {
            title: Some("Ab".into()),
            artist: Some("Ü".into()),
            date: Some("2024-02-29".into()),
            cover: Some(CoverArt { is_jpeg: false, bytes: [9, 8].into() }),
            ..Metadata::default()
        };
        let frames = [
            &b"TIT2\0\0\0\x03\0\0\0Ab"[..],
            b"TPE1\0\0\0\x05\0\0\x01\xff\xfe\xdc\0",
            b"TYER\0\0\0\x05\0\0\x002024",
            b"TDAT\0\0\0\x05\0\0\x002902",
            b"APIC\0\0\0\x0f\0\0\0image/png\0\x03\0\x09\x08",
        ]
        .concat();
        let head = [b'I', b'D', b'3', 3, 0, 0, 0, 0, 0, frames.len() as u8];
        assert_eq!(tag(&metadata), [&head[..], &frames].concat());
        assert!(tag(&Metadata { title: Some(" ".into()), ..Metadata::default() }).is_empty());
    }

    #[test]
    fn a_date_may_be_a_year_or_none() {
        assert_eq!(year_and_day("2024"), (Some("2024"), None));
        assert_eq!(year_and_day("soon"), (None, None));
        assert_eq!(year_and_day("2024-02-2"), (Some("2024"), None));
    }
}

//! Vorbis comments (xiph.org, "Ogg Vorbis I format specification: comment field"), with the cover as FLAC has it
//! (RFC 9639 §8.8).

use base64::prelude::{BASE64_STANDARD, Engine};

use crate::media::{CoverArt, Metadata};

/// The longest text, in bytes.
const MAX_TEXT: usize = 4096;

/// Returns the comments, each `NAME=text`.
fn comments(metadata: &Metadata) -> Vec<String> {
    let Metadata { title, artist, date, .. } = metadata;
    let texts = [("TITLE", title), ("ARTIST", artist), ("DATE", date)];
    let texts = texts.into_iter().filter_map(|(name, text)| {
        let text = text.as_deref()?.trim();
        let end = (0..=text.len().min(MAX_TEXT)).rev().find(|end| text.is_char_boundary(*end))?;
        (end > 0).then(|| format!("{name}={}", &text[..end]))
    });
    texts.chain(chapters(metadata)).collect()
}

/// Returns the comments that tell chapters (xiph.org, "Chapter Extension").
fn chapters(metadata: &Metadata) -> impl Iterator<Item = String> {
    (1..).zip(&metadata.chapters).flat_map(|(number, chapter)| {
        let millis = chapter.start.as_millis();
        let [h, m, s] = [millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60];
        let name = format!("CHAPTER{number:03}");
        let begin = format!("{name}={h:02}:{m:02}:{s:02}.{:03}", millis % 1000);
        [begin, format!("{name}NAME={}", chapter.title)]
    })
}

/// Returns a comment header without a signature.
pub(super) fn block(metadata: &Metadata) -> Vec<u8> {
    let comments = comments(metadata);
    let mut block = prefixed(b"YtCanal");
    block.extend((comments.len() as u32).to_le_bytes());
    block.extend(comments.iter().flat_map(|comment| prefixed(comment.as_bytes())));
    block
}

fn prefixed(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes()[..], text].concat()
}

/// Returns the picture of a cover. Its dimensions are not told, as the format allows.
pub(super) fn picture(cover: &CoverArt) -> Vec<u8> {
    let media_type: &[u8] = if cover.is_jpeg { b"image/jpeg" } else { b"image/png" };
    let wide = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
    [
        // The front cover.
        &3u32.to_be_bytes()[..],
        &wide(media_type.len()),
        media_type,
        // No description, no dimensions.
        &[0; 20],
        &wide(cover.bytes.len()),
        &cover.bytes,
    ]
    .concat()
}

/// Returns a metadata file of ffmpeg (ffmpeg-formats, "metadata") with these tags and the cover; for Ogg, to whose
/// comments ffmpeg adds no picture by itself.
pub fn metadata_file(metadata: &Metadata) -> Vec<u8> {
    let mut file = String::from(";FFMETADATA1\n");
    let mut lines = comments(metadata);
    if let Some(cover) = &metadata.cover {
        lines.push(format!("METADATA_BLOCK_PICTURE={}", BASE64_STANDARD.encode(picture(cover))));
    }
    for line in lines {
        let Some((name, text)) = line.split_once('=') else { continue };
        file.push_str(name);
        file.push('=');
        for letter in text.chars() {
            if matches!(letter, '=' | ';' | '#' | '\\' | '\n') {
                file.push('\\');
            }
            file.push(letter);
        }
        // For ffmpeg, a backslash at the end of a line continues it, also one that is escaped.
        if text.ends_with('\\') {
            file.push(' ');
        }
        file.push('\n');
    }
    file.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::chapters::Chapter;

    #[test]
    fn a_metadata_file_has_a_line_for_each_text() {
        let metadata = Metadata {
            title: Some("a=b;\\ #1".into()),
            date: Some(" ".into()),
            ..Metadata::default()
        };
        let file = String::from_utf8(metadata_file(&metadata)).unwrap();
        assert_eq!(file, ";FFMETADATA1\nTITLE=a\\=b\\;\\\\ \\#1\n");
        let metadata = Metadata { title: Some("a\\".into()), ..Metadata::default() };
        let file = String::from_utf8(metadata_file(&metadata)).unwrap();
        assert_eq!(file, ";FFMETADATA1\nTITLE=a\\\\ \n");
    }

    #[test]
    fn a_chapter_has_a_time_and_a_name() {
        let start = std::time::Duration::from_millis(3_723_045);
        let chapters = vec![Chapter { start, title: "A = b".into() }];
        let metadata = Metadata { chapters, ..Metadata::default() };
        assert_eq!(comments(&metadata), ["CHAPTER001=01:02:03.045", "CHAPTER001NAME=A = b"]);
    }

    #[test]
    fn a_block_counts_its_comments() {
        let metadata = Metadata { title: Some("Ab".into()), ..Metadata::default() };
        assert_eq!(block(&metadata), b"\x07\0\0\0YtCanal\x01\0\0\0\x08\0\0\0TITLE=Ab");
    }
}

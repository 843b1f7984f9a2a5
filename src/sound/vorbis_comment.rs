//! Vorbis comments (xiph.org, "Ogg Vorbis I format specification: comment field"), with the cover as FLAC has it
//! (RFC 9639 §8.8).

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
    texts.collect()
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
        lines.push(format!("METADATA_BLOCK_PICTURE={}", base64(&picture(cover))));
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
        file.push('\n');
    }
    file.into_bytes()
}

/// Encodes bytes in base64 (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for digit in 0..4 {
            let is_filled = digit <= group.len();
            let index = (bits >> (18 - 6 * digit) & 0x3f) as usize;
            text.push(if is_filled { char::from(DIGITS[index]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_metadata_file_has_a_line_for_each_text() {
        let metadata = Metadata {
            title: Some("a=b;\\ #1".into()),
            date: Some(" ".into()),
            ..Metadata::default()
        };
        let file = String::from_utf8(metadata_file(&metadata)).unwrap();
        assert_eq!(file, ";FFMETADATA1\nTITLE=a\\=b\\;\\\\ \\#1\n");
    }

    #[test]
    fn a_block_counts_its_comments() {
        let metadata = Metadata { title: Some("Ab".into()), ..Metadata::default() };
        assert_eq!(block(&metadata), b"\x07\0\0\0YtCanal\x01\0\0\0\x08\0\0\0TITLE=Ab");
    }
}

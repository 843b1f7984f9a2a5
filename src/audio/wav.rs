//! WAVE with 16-bit samples: the header with all sizes, and tags as players read them: a LIST of INFO
//! (Multimedia Programming Interface and Data Specifications 1.0), and an ID3 tag for the cover.
//!
//! More than 4 GiB are RF64 (EBU Tech 3306).

use super::id3;
use crate::media::Metadata;

/// The bytes of a sample of one channel.
pub(super) const SAMPLE_LEN: u64 = 2;
/// The longest text, in bytes.
const MAX_TEXT: usize = 1024;

/// Returns all that precedes so many samples.
pub(super) fn header(rate: u32, channels: u8, samples: u64, metadata: &Metadata) -> Vec<u8> {
    let frame_len = u64::from(channels) * SAMPLE_LEN;
    let data_len = samples.saturating_mul(frame_len);
    let tags = tags(metadata);
    let format = chunk(b"fmt ", &format(rate, channels));
    // The form type, the chunks, and the head of the last one.
    let chunks_len = 4 + format.len() as u64 + tags.len() as u64 + 8;
    match (u32::try_from(chunks_len + data_len), u32::try_from(data_len)) {
        (Ok(len), Ok(data_len)) => [
            &b"RIFF"[..],
            &len.to_le_bytes(),
            b"WAVE",
            &format,
            &tags,
            b"data",
            &data_len.to_le_bytes(),
        ]
        .concat(),
        _ => {
            const WIDE: u64 = 8 + 28;
            let sizes = [chunks_len + WIDE + data_len, data_len, samples].map(u64::to_le_bytes);
            let sizes = chunk(b"ds64", &[sizes.as_flattened(), &[0; 4]].concat());
            let unknown = u32::MAX.to_le_bytes();
            [&b"RF64"[..], &unknown, b"WAVE", &sizes, &format, &tags, b"data", &unknown].concat()
        }
    }
}

/// Inserts tags into the beginning of a file that ffmpeg writes to a pipe, whose sizes are unknown: behind the
/// format.
pub fn with_tags(mut bytes: Vec<u8>, metadata: &Metadata) -> Vec<u8> {
    let is_wave = bytes.starts_with(b"RIFF") && bytes.get(8..16) == Some(b"WAVEfmt ");
    let len = bytes.get(16..20).and_then(|len| len.first_chunk()).copied().map(u32::from_le_bytes);
    let end = len.and_then(|len| usize::try_from(len).ok()?.checked_add(20));
    if let Some(end) = end.filter(|end| is_wave && *end <= bytes.len()) {
        bytes.splice(end..end, tags(metadata));
    }
    bytes
}

fn format(rate: u32, channels: u8) -> Vec<u8> {
    let frame_len = u16::from(channels) * SAMPLE_LEN as u16;
    let bytes_per_second = rate.saturating_mul(frame_len.into());
    [
        &1u16.to_le_bytes()[..],
        &u16::from(channels).to_le_bytes(),
        &rate.to_le_bytes(),
        &bytes_per_second.to_le_bytes(),
        &frame_len.to_le_bytes(),
        &(8 * SAMPLE_LEN as u16).to_le_bytes(),
    ]
    .concat()
}

/// Returns the chunks of the tags.
fn tags(metadata: &Metadata) -> Vec<u8> {
    let Metadata { title, artist, date, cover, .. } = metadata;
    let texts = [(b"INAM", title), (b"IART", artist), (b"ICRD", date)];
    let items: Vec<u8> = texts.into_iter().flat_map(|(id, text)| item(id, text)).collect();
    let list = match items.is_empty() {
        true => Vec::new(),
        false => chunk(b"LIST", &[&b"INFO"[..], &items].concat()),
    };
    let id3 = if cover.is_some() { chunk(b"id3 ", &id3::tag(metadata)) } else { Vec::new() };
    [list, id3].concat()
}

fn item(id: &[u8; 4], text: &Option<String>) -> Vec<u8> {
    let text = text.as_deref().unwrap_or_default().trim();
    let end = (0..=text.len().min(MAX_TEXT)).rev().find(|end| text.is_char_boundary(*end));
    match &text[..end.unwrap_or(0)] {
        "" => Vec::new(),
        text => chunk(id, &[text.as_bytes(), &[0]].concat()),
    }
}

/// Returns a chunk, which begins and ends at an even offset.
fn chunk(id: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&id[..], &len.to_le_bytes(), payload, &[0][..payload.len() % 2]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_without_tags_has_44_bytes() {
        let header = header(44_100, 2, 100, &Metadata::default());
        assert_eq!(header.len(), 44);
        assert_eq!(header[4..8], 436u32.to_le_bytes());
        assert_eq!(header[40..44], 400u32.to_le_bytes());
    }

    #[test]
    fn tags_stand_before_the_samples_at_even_offsets() {
        let metadata = Metadata { title: Some("Ab".into()), ..Metadata::default() };
        let with = header(8000, 1, 3, &metadata);
        let list = b"LIST\x10\0\0\0INFOINAM\x03\0\0\0Ab\0\0";
        assert_eq!(with[36..60], list[..]);
        assert_eq!(with[4..8], (with.len() as u32 - 8 + 6).to_le_bytes());
        let unknown = [&header(8000, 1, 3, &Metadata::default())[..], &[7; 4]].concat();
        let inserted = with_tags(unknown.clone(), &metadata);
        assert_eq!(inserted, [&unknown[..36], list, &unknown[36..]].concat());
        assert_eq!(with_tags(b"RIFX".to_vec(), &metadata), b"RIFX");
    }

    #[test]
    fn more_than_4_gib_are_rf64() {
        let samples = (1u64 << 30) + 5;
        let header = header(48_000, 2, samples, &Metadata::default());
        assert_eq!((header.len(), &header[..4], &header[12..16]), (80, &b"RF64"[..], &b"ds64"[..]));
        assert_eq!(header[20..28], (80 - 8 + samples * 4).to_le_bytes());
        assert_eq!(header[28..36], (samples * 4).to_le_bytes());
    }
}

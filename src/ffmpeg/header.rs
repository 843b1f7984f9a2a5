//! Finds where the header ends and the media data begin in the output of ffmpeg. Pure.

use crate::container::ebml::ids;
use crate::container::{Container, ebml, isobmff};

/// The maximum size of a header; longer output counts as media.
const MAX_HEADER: usize = 1 << 20;

/// How much of a file was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// A part of the header, or no sign of its end.
    PartialHeader,
    /// The complete header and nothing else.
    Header,
    /// Media data, or something unknown.
    Media,
}

/// Returns how much of a file was written that begins with `bytes`.
pub(super) fn progress(container: Container, bytes: &[u8]) -> Written {
    if bytes.len() > MAX_HEADER {
        return Written::Media;
    }
    match container {
        Container::Mp4 => mp4_progress(bytes),
        Container::Webm | Container::Mkv => matroska_progress(bytes),
        Container::Ogg | Container::Opus => ogg_progress(bytes),
        Container::Mp3 => mp3_progress(bytes),
        Container::Flac => flac_progress(bytes),
        Container::Wav => wav_progress(bytes),
        Container::Samples => Written::Media,
    }
}

/// A fragmented MP4: moof boxes follow the moov box.
fn mp4_progress(bytes: &[u8]) -> Written {
    let (mut at, mut has_index) = (0, false);
    loop {
        let rest = bytes.get(at..).unwrap_or(&[]);
        let Some(found) = isobmff::header(rest) else {
            return match rest.len() {
                0 if has_index => Written::Header,
                0..16 => Written::PartialHeader,
                _ => Written::Media,
            };
        };
        let end = found.len.and_then(|len| at.checked_add(usize::try_from(len).ok()?));
        match (&found.kind, end) {
            (b"ftyp", Some(end)) if end > at => at = end,
            (b"moov", Some(end)) if end > at => (at, has_index) = (end, end <= bytes.len()),
            // A moov box of size 0: ffmpeg gave up, without an error.
            (b"moov", None) => return Written::PartialHeader,
            _ => return Written::Media,
        }
    }
}

/// Matroska: clusters follow all other elements of the segment (RFC 9559).
fn matroska_progress(bytes: &[u8]) -> Written {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or(&[]);
        let Some(found) = ebml::header(rest) else {
            return if rest.len() < ebml::MAX_HEADER {
                Written::PartialHeader
            } else {
                Written::Media
            };
        };
        let size = found.size.and_then(|size| usize::try_from(size).ok());
        at += match (found.id, size) {
            (ids::EBML, None) | (ids::CLUSTER, _) => return Written::Media,
            (ids::SEGMENT, _) => found.len,
            (_, Some(size)) if size < MAX_HEADER => found.len + size,
            _ => return Written::Media,
        };
    }
}

/// Ogg: header pages have the granule position 0 (RFC 7845 §4), or all ones if no packet ends on the page
/// (RFC 3533 §6).
fn ogg_progress(mut bytes: &[u8]) -> Written {
    const HEADER: usize = 27;
    loop {
        let Some(header) = bytes.first_chunk::<HEADER>() else { return Written::PartialHeader };
        let is_header = [[0; 8], [0xff; 8]].iter().any(|none| header[6..14] == none[..]);
        if !header.starts_with(b"OggS") || !is_header {
            return Written::Media;
        }
        let segments = usize::from(header[26]);
        let Some(table) = bytes.get(HEADER..HEADER + segments) else {
            return Written::PartialHeader;
        };
        let len = table.iter().map(|len| usize::from(*len)).sum::<usize>();
        let Some(rest) = bytes.get(HEADER + segments + len..) else {
            return Written::PartialHeader;
        };
        bytes = rest;
    }
}

/// FLAC: metadata blocks precede the frames (RFC 9639 §8.1).
fn flac_progress(bytes: &[u8]) -> Written {
    let Some(mut rest) = bytes.strip_prefix(b"fLaC") else {
        let is_cut = bytes.len() < 4 && b"fLaC".starts_with(bytes);
        return if is_cut { Written::PartialHeader } else { Written::Media };
    };
    loop {
        let Some((head, more)) = rest.split_first_chunk::<4>() else {
            return Written::PartialHeader;
        };
        let len = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
        let Some(behind) = more.get(len..) else { return Written::PartialHeader };
        if head[0] & 0x80 != 0 {
            return if behind.is_empty() { Written::PartialHeader } else { Written::Media };
        }
        rest = behind;
    }
}

/// WAVE: chunks precede that of the samples.
fn wav_progress(bytes: &[u8]) -> Written {
    let is_cut = bytes.len() < 4 && b"RIFF".starts_with(bytes);
    if !is_cut && !bytes.starts_with(b"RIFF") {
        return Written::Media;
    }
    let mut rest = bytes.get(12..).unwrap_or(&[]);
    loop {
        let Some((head, more)) = rest.split_first_chunk::<8>() else {
            return Written::PartialHeader;
        };
        if head.starts_with(b"data") {
            return if more.is_empty() { Written::PartialHeader } else { Written::Media };
        }
        let len = usize::try_from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        let len = len.unwrap_or(usize::MAX);
        let Some(behind) = more.get(len.saturating_add(len % 2)..) else {
            return Written::PartialHeader;
        };
        rest = behind;
    }
}

/// MP3: an ID3v2 tag may precede the frames (id3.org, §3.1).
fn mp3_progress(bytes: &[u8]) -> Written {
    match bytes {
        [b'I', b'D', b'3', _, _, _, a, b, c, d, rest @ ..] => {
            let len =
                [a, b, c, d].iter().fold(0, |len, byte| len << 7 | usize::from(**byte & 0x7f));
            if rest.len() > len { Written::Media } else { Written::PartialHeader }
        }
        _ if bytes.len() < 10 && b"ID3".starts_with(&bytes[..bytes.len().min(3)]) => {
            Written::PartialHeader
        }
        _ => Written::Media,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn boxed(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        [&(payload.len() as u32 + 8).to_be_bytes()[..], kind, payload].concat()
    }

    fn page(granule: u64, payload: &[u8]) -> Vec<u8> {
        let head = [&b"OggS\0\0"[..], &granule.to_le_bytes(), &[0; 12], &[1]].concat();
        [&head[..], &[payload.len() as u8], payload].concat()
    }

    /// Headers, and the first bytes of the media after them.
    fn files() -> Vec<(Container, Vec<u8>, Vec<u8>)> {
        let head = [boxed(b"ftyp", b"isom"), boxed(b"moov", &[7; 300])].concat();
        let ebml = [&b"\x1a\x45\xdf\xa3\x84aaaa\x18\x53\x80\x67\x01"[..], &[0xff; 7]].concat();
        let info = [&b"\x15\x49\xa9\x66\x40\x80"[..], &[1; 128]].concat();
        let pages = [page(0, b"OpusHead"), page(u64::MAX, &[1; 255]), page(0, b"tags")].concat();
        let tag = [&b"ID3\x04\0\0\0\0\x01\x02"[..], &[0; 130]].concat();
        vec![
            (Container::Mp4, head, boxed(b"moof", &[1; 9])),
            (Container::Mkv, [ebml, info].concat(), b"\x1f\x43\xb6\x75\x84abcd".to_vec()),
            (Container::Ogg, pages, page(960, b"sound")),
            (Container::Mp3, tag, vec![0xff, 0xfb, 0x90]),
            (
                Container::Flac,
                [&b"fLaC\0\0\0\x22"[..], &[1; 34], b"\x84\0\0\x01a"].concat(),
                vec![0xff],
            ),
            (
                Container::Wav,
                [&b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0"[..], &[1; 16], b"data\xff\xff\xff\xff"]
                    .concat(),
                vec![7],
            ),
        ]
    }

    #[test]
    fn media_begin_after_the_header() {
        for (container, head, media) in files() {
            for len in 0..head.len() {
                assert_eq!(
                    progress(container, &head[..len]),
                    Written::PartialHeader,
                    "{container:?} {len}"
                );
            }
            let has_end = container == Container::Mp4;
            let complete = if has_end { Written::Header } else { Written::PartialHeader };
            assert_eq!(progress(container, &head), complete, "{container:?}");
            assert_eq!(progress(container, &[head, media].concat()), Written::Media);
        }
        assert_eq!(progress(Container::Mp3, b"\xff\xfb"), Written::Media, "no tag");
    }

    #[test]
    fn unknown_bytes_are_not_held_back() {
        let all = [Container::Mp4, Container::Mkv, Container::Ogg, Container::Mp3];
        for container in all.into_iter().chain([Container::Flac, Container::Wav]) {
            assert_eq!(progress(container, &[0; 64]), Written::Media);
            assert_eq!(progress(container, &vec![b'I'; MAX_HEADER + 1]), Written::Media);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            which in 0usize..6,
            cut in 0usize..400,
            tail in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let (container, head, _) = files().swap_remove(which);
            progress(container, &[&head[..cut.min(head.len())], &tail].concat());
        }
    }
}

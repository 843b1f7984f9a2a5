//! Where in what ffmpeg writes the head of a file ends and its media begins. Pure.

use crate::container::{Container, ebml, isobmff};

/// The longest head that is looked at.
const LONGEST: usize = 1 << 20;

/// How far a file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// Not all of its head is there, or nothing tells whether it is.
    Head,
    /// All of its head is, and nothing else.
    WholeHead,
    /// Media, or something that is not known.
    Media,
}

/// How far a file has come that begins with `bytes`.
pub(super) fn written(container: Container, bytes: &[u8]) -> Written {
    if bytes.len() > LONGEST {
        return Written::Media;
    }
    match container {
        Container::Mp4 => boxes_written(bytes),
        Container::Webm | Container::Mkv => elements_written(bytes),
        Container::Ogg => pages_written(bytes),
        Container::Mp3 => tag_written(bytes),
    }
}

/// Fragments follow the index.
fn boxes_written(bytes: &[u8]) -> Written {
    let (mut at, mut has_index) = (0, false);
    loop {
        let rest = bytes.get(at..).unwrap_or(&[]);
        let Some(found) = isobmff::header(rest) else {
            return match rest.len() {
                0 if has_index => Written::WholeHead,
                0..16 => Written::Head,
                _ => Written::Media,
            };
        };
        let end = found.len.and_then(|len| at.checked_add(usize::try_from(len).ok()?));
        match (&found.kind, end) {
            (b"ftyp", Some(end)) if end > at => at = end,
            (b"moov", Some(end)) if end > at => (at, has_index) = (end, end <= bytes.len()),
            // ffmpeg gave it up, without any error.
            (b"moov", None) => return Written::Head,
            _ => return Written::Media,
        }
    }
}

/// Clusters are in the segment, behind everything else (RFC 9559).
fn elements_written(bytes: &[u8]) -> Written {
    const EBML: u32 = 0x1a45_dfa3;
    const SEGMENT: u32 = 0x1853_8067;
    const CLUSTER: u32 = 0x1f43_b675;
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or(&[]);
        let Some(found) = ebml::header(rest) else {
            return if rest.len() < ebml::MAX_HEADER { Written::Head } else { Written::Media };
        };
        let size = found.size.and_then(|size| usize::try_from(size).ok());
        at += match (found.id, size) {
            (EBML, None) | (CLUSTER, _) => return Written::Media,
            (SEGMENT, _) => found.len,
            (_, Some(size)) if size < LONGEST => found.len + size,
            _ => return Written::Media,
        };
    }
}

/// A page with a granule position is one of media (RFC 7845 §4); on a page of all ones no packet ends
/// (RFC 3533 §6).
fn pages_written(mut bytes: &[u8]) -> Written {
    const HEADER: usize = 27;
    loop {
        let Some(header) = bytes.first_chunk::<HEADER>() else { return Written::Head };
        let is_of_head = [[0; 8], [0xff; 8]].iter().any(|none| header[6..14] == none[..]);
        if !header.starts_with(b"OggS") || !is_of_head {
            return Written::Media;
        }
        let segments = usize::from(header[26]);
        let Some(table) = bytes.get(HEADER..HEADER + segments) else { return Written::Head };
        let len = table.iter().map(|len| usize::from(*len)).sum::<usize>();
        let Some(rest) = bytes.get(HEADER + segments + len..) else { return Written::Head };
        bytes = rest;
    }
}

/// An ID3v2 tag may be in front of the frames (id3.org, §3.1).
fn tag_written(bytes: &[u8]) -> Written {
    match bytes {
        [b'I', b'D', b'3', _, _, _, a, b, c, d, rest @ ..] => {
            let len =
                [a, b, c, d].iter().fold(0, |len, byte| len << 7 | usize::from(**byte & 0x7f));
            if rest.len() > len { Written::Media } else { Written::Head }
        }
        _ if bytes.len() < 10 && b"ID3".starts_with(&bytes[..bytes.len().min(3)]) => Written::Head,
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

    /// Heads, and the first bytes of the media behind them.
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
        ]
    }

    #[test]
    fn media_are_told_from_the_head_in_front_of_them() {
        for (container, head, media) in files() {
            for len in 0..head.len() {
                assert_eq!(written(container, &head[..len]), Written::Head, "{container:?} {len}");
            }
            let is_told = container == Container::Mp4;
            let whole = if is_told { Written::WholeHead } else { Written::Head };
            assert_eq!(written(container, &head), whole, "{container:?}");
            assert_eq!(written(container, &[head, media].concat()), Written::Media);
        }
        assert_eq!(written(Container::Mp3, b"\xff\xfb"), Written::Media, "no tag");
    }

    #[test]
    fn what_is_not_known_is_not_held_back() {
        for container in [Container::Mp4, Container::Mkv, Container::Ogg, Container::Mp3] {
            assert_eq!(written(container, &[0; 64]), Written::Media);
            assert_eq!(written(container, &vec![b'I'; LONGEST + 1]), Written::Media);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            which in 0usize..4,
            cut in 0usize..400,
            tail in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let (container, head, _) = files().swap_remove(which);
            written(container, &[&head[..cut.min(head.len())], &tail].concat());
        }
    }
}

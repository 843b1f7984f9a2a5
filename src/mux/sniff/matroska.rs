//! Matroska and WebM (RFC 8794, RFC 9559): which of the two, what is in it, and how long it plays.

use std::time::Duration;

use super::{Codec, Format, Head, LOOK_AT_MOST, Verdict, View, from_ticks, opus_head};
use crate::error::Unusable;
use crate::mux::splice::ebml::text_of;

const DOC_TYPE: u64 = 0x4282;
const SEGMENT: u64 = 0x1853_8067;
const INFO: u64 = 0x1549_a966;
const TIMESTAMP_SCALE: u64 = 0x2a_d7b1;
const DURATION: u64 = 0x4489;
const TRACKS: u64 = 0x1654_ae6b;
const TRACK_ENTRY: u64 = 0xae;
const TRACK_TYPE: u64 = 0x83;
const CODEC_ID: u64 = 0x86;
const CODEC_PRIVATE: u64 = 0x63a2;
const CONTENT_ENCODINGS: u64 = 0x6d80;
const CONTENT_ENCODING: u64 = 0x6240;
const CONTENT_ENCODING_TYPE: u64 = 0x5033;
const CONTENT_ENCRYPTION: u64 = 0x5035;
const CLUSTER: u64 = 0x1f43_b675;

pub(super) fn sniff(view: &View<'_>) -> Result<Head, Verdict> {
    let seen = view.front.len().min(LOOK_AT_MOST);
    read(&view.front[..seen], view.all || seen == LOOK_AT_MOST, view.len == Some(seen as u64))
}

/// `all` means that no more can be seen, `ends` that the file has no more.
fn read(bytes: &[u8], all: bool, ends: bool) -> Result<Head, Verdict> {
    let mut top = Elements(bytes);
    let header = top.next().filter(|header| header.whole).ok_or(Verdict::More)?;
    let mut fields = Elements(header.payload);
    let format = match fields.find(|e| e.id == DOC_TYPE).map(|e| text_of(e.payload)) {
        Some(b"webm") => Format::Webm,
        Some(b"matroska") => Format::Matroska,
        _ => return Err(not_media("it is EBML, but neither webm nor mkv")),
    };
    let mut head = Head::of(format);
    let Some(segment) = top.next().filter(|segment| segment.id == SEGMENT) else {
        return if all { Ok(head) } else { Err(Verdict::More) };
    };
    let (mut has_info, mut has_tracks) = (false, false);
    // Of a file that was cut it is told elsewhere that it was.
    let mut is_cut = segment.lacks_its_end;
    for child in Elements(segment.payload) {
        is_cut |= child.lacks_its_end;
        match child.id {
            INFO if child.whole => {
                head.duration = duration(child.payload);
                has_info = true;
            }
            TRACKS if child.whole => {
                tracks(&mut head, child.payload);
                has_tracks = true;
            }
            CLUSTER => {
                // A player that has all of the file finds them, whoever joins it meanwhile does not.
                head.index_first = has_tracks;
                return Ok(head);
            }
            _ => {}
        }
        // Behind the first cluster there is nothing of use that is not in front of it.
        if has_info && has_tracks && !ends {
            return Ok(head);
        }
    }
    match () {
        () if !all && !ends => Err(Verdict::More),
        () if ends && !is_cut => Err(not_media("it has no media in it (no clusters)")),
        () => Ok(head),
    }
}

fn not_media(what: &'static str) -> Verdict {
    Verdict::Refused(Unusable::NotMedia(what))
}

/// What the tracks say of themselves (RFC 9559 §5.1.4).
fn tracks(head: &mut Head, tracks: &[u8]) {
    let mut has_picture = false;
    for entry in Elements(tracks).filter(|entry| entry.id == TRACK_ENTRY) {
        let field = |id| Elements(entry.payload).find(|field| field.id == id);
        let codec = field(CODEC_ID).map(|id| Codec::of_codec_id(text_of(id.payload)));
        let kind = field(TRACK_TYPE).and_then(|kind| kind.payload.last().copied());
        match kind {
            Some(1) => {
                has_picture = true;
                head.video = head.video.or(codec);
            }
            Some(2) => head.audio = head.audio.or(codec),
            _ => {}
        }
        if head.pre_skip.is_none() {
            head.pre_skip = field(CODEC_PRIVATE).and_then(|private| opus_head(private.payload));
        }
        let is_played = matches!(kind, Some(1 | 2));
        head.is_encrypted |= is_played && field(CONTENT_ENCODINGS).is_some_and(is_encryption);
    }
    head.has_picture = Some(has_picture);
}

/// Whether one of these encodings is an encryption (§5.1.4.1.31); the others only make it smaller.
fn is_encryption(encodings: Element<'_>) -> bool {
    let mut encodings = Elements(encodings.payload).filter(|e| e.id == CONTENT_ENCODING);
    encodings.any(|encoding| {
        Elements(encoding.payload).any(|field| match field.id {
            CONTENT_ENCODING_TYPE => field.payload.last() == Some(&1),
            id => id == CONTENT_ENCRYPTION,
        })
    })
}

fn duration(info: &[u8]) -> Option<Duration> {
    // Nanoseconds a tick (RFC 9559 §5.1.2.9).
    let mut scale = 1_000_000;
    let mut ticks = None;
    for field in Elements(info) {
        match (field.id, field.payload) {
            (TIMESTAMP_SCALE, bytes) if (1..=8).contains(&bytes.len()) => {
                scale = bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
            }
            (DURATION, bytes) => {
                ticks = match bytes.len() {
                    4 => bytes.first_chunk().map(|b| f64::from(f32::from_be_bytes(*b))),
                    8 => bytes.first_chunk().map(|b| f64::from_be_bytes(*b)),
                    _ => None,
                };
            }
            _ => {}
        }
    }
    let nanos = ticks? * scale as f64;
    // Also false for NaN; a century is not a film.
    (nanos > 0.0 && nanos < 3.2e18).then(|| from_ticks(nanos as u64, 1_000_000_000))?
}

/// One element, of which perhaps only the beginning is there.
#[derive(Clone, Copy)]
struct Element<'a> {
    id: u64,
    payload: &'a [u8],
    whole: bool,
    /// Whether it is longer than what is there.
    lacks_its_end: bool,
}

struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let (id, id_len) = vint(self.0, 4, false)?;
        let (size, size_len) = vint(self.0.get(id_len..)?, 8, true)?;
        let rest = self.0.get(id_len + size_len..)?;
        // All value bits set: the size is unknown, the element reaches as far as it may.
        let unknown = size == (1 << (7 * size_len)) - 1;
        let there = if unknown { rest.len() } else { clamp(size, rest.len()) };
        let (payload, after) = rest.split_at(there);
        self.0 = after;
        let is_there = there as u64 == size;
        let (whole, lacks_its_end) = (!unknown && is_there, !unknown && !is_there);
        Some(Element { id, payload, whole, lacks_its_end })
    }
}

fn clamp(size: u64, available: usize) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX).min(available)
}

/// A variable-size integer of at most `longest` bytes (RFC 8794 §4), its mark kept in an ID and
/// cut off a size.
fn vint(bytes: &[u8], longest: usize, cut: bool) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let len = first.leading_zeros() as usize + 1;
    if len > longest {
        return None;
    }
    let value = bytes.get(..len)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    let mark = 1 << (7 * len);
    Some((if cut { value ^ mark } else { value }, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: &[u8], payload: &[u8]) -> Vec<u8> {
        let size = 0x4000 | u16::try_from(payload.len()).unwrap();
        [id, &size.to_be_bytes()[..], payload].concat()
    }

    fn file(doc_type: &str, info: &[u8]) -> Vec<u8> {
        let doc_type = element(&[0x42, 0x82], doc_type.as_bytes());
        let info = element(&[0x15, 0x49, 0xa9, 0x66], info);
        let opus = [&b"OpusHead\x01\x02"[..], &312u16.to_le_bytes(), &[0; 7]].concat();
        let entry = element(&[0xae], &element(&[0x63, 0xa2], &opus));
        let segment = [info, element(&[0x16, 0x54, 0xae, 0x6b], &entry)].concat();
        let header = element(&[0x1a, 0x45, 0xdf, 0xa3], &doc_type);
        [header, element(&[0x18, 0x53, 0x80, 0x67], &segment)].concat()
    }

    #[test]
    fn duration_in_ticks_of_the_timestamp_scale() {
        let scale = element(&[0x2a, 0xd7, 0xb1], &[0x0f, 0x42, 0x40]);
        let ticks = element(&[0x44, 0x89], &2500f64.to_be_bytes());
        let bytes = file("webm", &[scale, ticks].concat());
        let head = Head {
            duration: Some(Duration::from_millis(2500)),
            pre_skip: Some(Duration::from_micros(6500)),
            has_picture: Some(false),
            ..Head::of(Format::Webm)
        };
        assert_eq!(read(&bytes, false, false), Ok(head));
        assert_eq!(read(&bytes[..bytes.len() - 1], false, false), Err(Verdict::More));
    }

    #[test]
    fn senseless_durations_are_none() {
        for ticks in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
            let bytes = file("matroska", &element(&[0x44, 0x89], &ticks.to_be_bytes()));
            let Ok(head) = read(&bytes, false, false) else { panic!() };
            assert_eq!(head.duration, None, "{ticks}");
        }
    }

    #[test]
    fn other_ebml_is_refused() {
        let verdict = read(&file("ebml-something", b""), true, false);
        assert!(matches!(verdict, Err(Verdict::Refused(_))));
    }

    /// RFC 8794 §7.4 and §7.5: a text ends at its first zero.
    #[test]
    fn texts_may_be_padded_with_zeros() {
        for doc_type in ["webm\0", "matroska\0\0\0"] {
            assert!(read(&file(doc_type, b""), true, false).is_ok());
        }
    }

    fn track(fields: &[Vec<u8>]) -> Head {
        let mut head = Head::of(Format::Matroska);
        tracks(&mut head, &element(&[0xae], &fields.concat()));
        head
    }

    #[test]
    fn tracks_tell_their_codecs() {
        let id = |id: &str| element(&[0x86], id.as_bytes());
        let kind = |kind| element(&[0x83], &[kind]);
        let head = track(&[kind(1), id("V_MPEG4/ISO/AVC\0")]);
        assert_eq!((head.video, head.has_picture), (Some(Codec::H264), Some(true)));
        assert_eq!(track(&[kind(2), id("A_AC3/BSID9")]).audio, Some(Codec::Ac3));
        assert_eq!(track(&[kind(17), id("S_TEXT/UTF8")]).audio, None);
    }

    #[test]
    fn encryption_is_told_from_compression() {
        let encoding = |field: &[u8]| element(&[0x6d, 0x80], &element(&[0x62, 0x40], field));
        let kind = element(&[0x83], &[1]);
        let is_encrypted = |field: &[u8]| track(&[kind.clone(), encoding(field)]).is_encrypted;
        assert!(is_encrypted(&element(&[0x50, 0x33], &[1])));
        assert!(is_encrypted(&element(&[0x50, 0x35], b"")));
        let stripping = element(&[0x50, 0x34], &element(&[0x42, 0x54], &[3]));
        assert!(!is_encrypted(&[element(&[0x50, 0x33], &[0]), stripping].concat()));
    }

    #[test]
    fn tracks_behind_the_media_are_told() {
        let header = element(&[0x1a, 0x45, 0xdf, 0xa3], &element(&[0x42, 0x82], b"matroska"));
        let cluster = element(&[0x1f, 0x43, 0xb6, 0x75], &[0; 9]);
        let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &[]);
        let segment = element(&[0x18, 0x53, 0x80, 0x67], &[cluster, tracks].concat());
        let head = read(&[header.clone(), segment].concat(), false, true);
        assert!(!head.unwrap().index_first);
        let empty = [header, element(&[0x18, 0x53, 0x80, 0x67], b"")].concat();
        assert!(matches!(read(&empty, false, true), Err(Verdict::Refused(_))));
    }
}

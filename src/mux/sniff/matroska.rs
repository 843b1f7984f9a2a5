//! Matroska and WebM (RFC 8794, RFC 9559): which of the two, and how long do they play?

use std::time::Duration;

use super::{Format, Head, Verdict, from_ticks, opus_head};
use crate::error::Unusable;

const DOC_TYPE: u64 = 0x4282;
const SEGMENT: u64 = 0x1853_8067;
const INFO: u64 = 0x1549_a966;
const TIMESTAMP_SCALE: u64 = 0x2a_d7b1;
const DURATION: u64 = 0x4489;
const TRACKS: u64 = 0x1654_ae6b;
const TRACK_ENTRY: u64 = 0xae;
const CODEC_PRIVATE: u64 = 0x63a2;
const CLUSTER: u64 = 0x1f43_b675;

pub(super) fn sniff(bytes: &[u8], all: bool) -> Verdict {
    let mut top = Elements(bytes);
    let Some(header) = top.next() else { return Verdict::More };
    if !header.whole {
        return Verdict::More;
    }
    let mut fields = Elements(header.payload);
    let format = match fields.find(|e| e.id == DOC_TYPE).map(|e| e.payload) {
        Some(b"webm") => Format::Webm,
        Some(b"matroska") => Format::Matroska,
        _ => {
            return Verdict::Refused(Unusable::NotMedia("it is EBML, but neither webm nor mkv"));
        }
    };
    let Some(segment) = top.next() else {
        return if all { Verdict::Known(Head::of(format)) } else { Verdict::More };
    };
    let (mut info, mut tracks) = (None, None);
    if segment.id == SEGMENT {
        for child in Elements(segment.payload) {
            match child.id {
                INFO if child.whole => info = Some(child.payload),
                TRACKS if child.whole => tracks = Some(child.payload),
                _ => {}
            }
            // Behind the first cluster there is nothing of use that is not in front of it.
            if child.id == CLUSTER || (info.is_some() && tracks.is_some()) {
                let duration = info.and_then(duration);
                let pre_skip = tracks.and_then(pre_skip);
                let has_picture = tracks.map(has_picture);
                return Verdict::Known(Head {
                    duration,
                    pre_skip,
                    has_picture,
                    ..Head::of(format)
                });
            }
        }
    }
    if !all {
        return Verdict::More;
    }
    Verdict::Known(Head { duration: info.and_then(duration), ..Head::of(format) })
}

/// Whether a track is one of pictures (RFC 9559 §5.1.4.1.3).
fn has_picture(tracks: &[u8]) -> bool {
    const TRACK_TYPE: u64 = 0x83;
    Elements(tracks)
        .filter(|entry| entry.id == TRACK_ENTRY)
        .any(|entry| Elements(entry.payload).any(|f| f.id == TRACK_TYPE && f.payload == [1]))
}

fn pre_skip(tracks: &[u8]) -> Option<Duration> {
    let mut entries = Elements(tracks).filter(|entry| entry.id == TRACK_ENTRY);
    entries.find_map(|entry| {
        let codec = Elements(entry.payload).find(|field| field.id == CODEC_PRIVATE)?;
        opus_head(codec.payload)
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
struct Element<'a> {
    id: u64,
    payload: &'a [u8],
    whole: bool,
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
        Some(Element { id, payload, whole: !unknown && there as u64 == size })
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
        assert_eq!(sniff(&bytes, false), Verdict::Known(head));
        assert_eq!(sniff(&bytes[..bytes.len() - 1], false), Verdict::More);
    }

    #[test]
    fn senseless_durations_are_none() {
        for ticks in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
            let bytes = file("matroska", &element(&[0x44, 0x89], &ticks.to_be_bytes()));
            let Verdict::Known(head) = sniff(&bytes, false) else { panic!() };
            assert_eq!(head.duration, None, "{ticks}");
        }
    }

    #[test]
    fn other_ebml_is_refused() {
        assert!(matches!(sniff(&file("ebml-something", b""), true), Verdict::Refused(_)));
    }
}

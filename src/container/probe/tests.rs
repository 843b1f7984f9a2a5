//! Recognition of formats by their first bytes.

use super::*;
use proptest::prelude::*;

fn sniff(bytes: &[u8], len: Option<u64>, all: bool) -> Probe {
    super::probe(&View::front(bytes, len, all))
}

pub(super) fn refusal(bytes: &[u8]) -> &'static str {
    match sniff(bytes, None, true) {
        Probe::Unsupported(InputError::NotMedia(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn things_that_are_not_media_are_named() {
    assert!(refusal(b"").contains("empty"));
    assert!(refusal(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n").contains("playlist"));
    assert!(refusal(b"\n <!DOCTYPE html><html>").contains("web page"));
    assert!(refusal(b"{\"error\": \"no\"}").contains("JSON"));
    assert!(refusal(b"<?xml version='1.0'?><MPD>").contains("XML"));
    assert!(refusal(b"\xff\xd8\xff\xe0 a picture").contains("no supported container"));
    assert!(refusal(b"ffconcat version 1.0\nfile /etc/passwd").contains("no supported container"));
}

#[test]
fn a_start_that_could_become_anything_waits() {
    assert_eq!(sniff(b"", None, false), Probe::NeedMore);
    assert_eq!(sniff(b"\0\0\0", None, false), Probe::NeedMore);
    assert_eq!(sniff(b"RIFF", None, false), Probe::NeedMore);
}

/// Frames of `len` bytes that begin with `mark`.
fn frames(mark: &[u8], len: usize, count: usize) -> Vec<u8> {
    let mut frame = vec![0x55; len];
    frame[..mark.len()].copy_from_slice(mark);
    frame.repeat(count)
}

const MP3: &[u8] = &[0xff, 0xfb, 0x90, 0];
const ADTS: &[u8] = &[0xff, 0xf1, 0x50, 0x80, 100 >> 3, (100 & 7) << 5, 0xfc];
const AC3: &[u8] = &[0x0b, 0x77, 0, 0, 0x14, 0x40];
const EAC3: &[u8] = &[0x0b, 0x77, 0x01, 0x7f, 0x34, 0x87];

fn seen(bytes: &[u8]) -> Option<(Format, Option<Codec>)> {
    match sniff(bytes, Some(bytes.len() as u64), true) {
        Probe::Recognised(head) => Some((head.format, head.audio)),
        _ => None,
    }
}

#[test]
fn frames_need_others_behind_them() {
    for (mark, len, format, codec) in [
        (MP3, 417, Format::Mp3, Codec::Mp3),
        (&[0xff, 0xfd, 0xa4, 0], 576, Format::Mp3, Codec::Mp2),
        (ADTS, 100, Format::Adts, Codec::Aac),
        (AC3, 768, Format::Ac3, Codec::Ac3),
        (EAC3, 768, Format::Eac3, Codec::Eac3),
    ] {
        let known = Some((format, Some(codec)));
        let many = frames(mark, len, 20);
        assert_eq!(seen(&many), known);
        assert_eq!(sniff(&many[..len * 2 + 4], None, false), Probe::NeedMore, "{codec:?}");
        assert_eq!(seen(&frames(mark, len, 1)), known, "a file of one frame");
        // Two, and then something else.
        assert_eq!(seen(&[&many[..len * 2], &[0x55; 9000]].concat()), None, "{codec:?}");
        let tag = |len: u8| [b"ID3\x04\0\0\0\0\0", &[len][..], &vec![0xff; len.into()]].concat();
        assert_eq!(seen(&[&tag(90)[..], &tag(3), &[0; 700], &many].concat()), known);
        assert_eq!(seen(&[&tag(9)[..], &frames(&[0xff, 0xfb], 50, 2), &many].concat()), known);
        // Cut out of a longer one.
        assert_eq!(seen(&many[len / 2..]), known);
        assert_eq!(seen(&[&many[..len * 3], b"TAG", &[0; 125]].concat()), known);
    }
    assert_eq!(seen(&frames(MP3, 418, 20)), None);
}

#[test]
fn what_frames_tell_of_their_duration() {
    let of = |bytes: &[u8]| match sniff(bytes, Some(bytes.len() as u64), true) {
        Probe::Recognised(head) => head.end.map(|duration| duration.as_micros()),
        other => panic!("{other:?}"),
    };
    assert_eq!(of(&frames(AC3, 768, 100)), Some(3_200_000));
    assert_eq!(of(&frames(EAC3, 768, 100)), Some(3_200_000));
    assert_eq!(of(&frames(MP3, 417, 100)), Some(2_612_244));
    assert_eq!(of(&frames(ADTS, 100, 100)), None, "its frames may be of any length");
    // Of changing bit rates nobody knows, unless the first frame tells.
    let varying = [frames(MP3, 417, 5), frames(&[0xff, 0xfb, 0xa0, 0], 522, 5)].concat();
    assert_eq!(of(&varying), None);
    let mut xing = frames(MP3, 417, 1);
    xing[36..48].copy_from_slice(b"Xing\0\0\0\x03\0\0\x03\xe8");
    assert_eq!(of(&[&xing[..], &varying].concat()), Some(26_122_448));
    xing[36..40].copy_from_slice(b"VBRI");
    xing[50..54].copy_from_slice(&2000u32.to_be_bytes());
    assert_eq!(of(&[&xing[..], &varying].concat()), Some(52_244_897));
}

#[test]
fn behind_a_long_tag_is_looked_where_it_ends() {
    let tag = [&b"ID3\x04\0\0\0\x40\0\0"[..], &[0xff; 5000]].concat();
    let view = View { may_look: true, ..View::front(&tag, Some(4 << 20), false) };
    let at = 10 + (0x40 << 14);
    assert_eq!(super::probe(&view), Probe::At(at));
    let far = [(at, frames(EAC3, 768, 30))];
    let verdict = super::probe(&View { far: &far, ..view });
    assert!(
        matches!(verdict, Probe::Recognised(ProbeInfo { format: Format::Eac3, .. })),
        "{verdict:?}"
    );
    let blind = View { may_look: false, all: true, ..view };
    assert!(matches!(super::probe(&blind), Probe::Unsupported(_)));
}

const W64: &[u8] = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0\0\0\0\0\0\0\0\0\
    wave\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8adata\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a";

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_wait_for_ever(
        magic in prop::sample::select(vec![
            &b""[..], b"\x1a\x45\xdf\xa3", b"\0\0\0\x08ftyp", b"\0\0\0\x08ftyp\0\0\x01\0moov",
            b".snd\0\0\0\x18", W64, b"ID3\x04\0\0\0\0", b"\xff\xfb\x90", b"\xff\xf1", b"\x0b\x77", b"FLV\x01", b"OggS\0\x02",
            b"RIFF\0\0\0\0WAVEdata", b"RF64\0\0\0\0WAVEds64", b"FORM\0\0\0\0AIFFCOMM", b"APETAGEX",
            b"fLaC\0", b"\x89PNG\r\n\x1a\n",
        ]),
        tail in prop::collection::vec(any::<u8>(), 0..600),
        len in any::<Option<u64>>(),
    ) {
        let bytes = [magic, &tail].concat();
        prop_assert_ne!(sniff(&bytes, len, true), Probe::NeedMore);
        sniff(&bytes, len, false);
        // Each place is asked for once.
        let mut far = Vec::new();
        loop {
            let front = View::front(&bytes, len, true);
            let view = View { far: &far, may_look: true, is_thorough: true, ..front };
            let Probe::At(at) = super::probe(&view) else { break };
            prop_assert!(far.iter().all(|(asked, _)| *asked != at));
            far.push((at, tail.clone()));
        }
    }
}

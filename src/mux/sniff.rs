//! What kind of file begins with these bytes, and how long it plays. Pure: bytes in, verdict out.
//!
//! The verdict is forced on ffmpeg, which therefore never guesses: a playlist dressed as a video
//! cannot make it open other files. Nothing here allocates by a length that a file claims.

use std::time::Duration;

use crate::error::Unusable;

mod matroska;
mod mp4;

/// The container formats that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ISO base media: mp4, m4a, mov (ISO/IEC 14496-12).
    Mp4,
    /// Matroska restricted to web codecs.
    Webm,
    /// Matroska (RFC 9559).
    Matroska,
    /// Ogg (RFC 3533).
    Ogg,
    /// MPEG audio layer III, with or without ID3 tags.
    Mp3,
    /// AAC in ADTS frames.
    Adts,
    /// Native FLAC (RFC 9639).
    Flac,
    /// RIFF/WAVE.
    Wav,
}

/// What is known of a file from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its container.
    pub format: Format,
    /// How long it plays, if it says so this early.
    pub duration: Option<Duration>,
    /// Whether its timestamps may be moved against what its packets say (edit lists, codec
    /// delay), or begin below 0. Only a whole and simple MP4 index can deny it.
    pub shifted: bool,
    /// Of an Opus track: how much at its start is not to be heard.
    pub pre_skip: Option<Duration>,
    /// Whether there is a picture in it, if that is known.
    pub has_picture: Option<bool>,
    /// Whether it is an MP4 whose samples are in fragments.
    pub in_fragments: bool,
    /// Whether its index comes before its media, as it must to be joined while it arrives.
    pub index_first: bool,
}

impl Head {
    /// A file of which nothing is known but its container.
    pub(super) fn of(format: Format) -> Head {
        // Of these, the containers of sound hold nothing else, but for theora, which is dead.
        let may_have = matches!(format, Format::Mp4 | Format::Webm | Format::Matroska);
        Head {
            format,
            duration: None,
            shifted: true,
            pre_skip: None,
            has_picture: if may_have { None } else { Some(false) },
            in_fragments: false,
            index_first: true,
        }
    }
}

/// The outcome of a look at the first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// More bytes are needed to tell.
    More,
    /// It can be joined.
    Known(Head),
    /// It cannot.
    Refused(Unusable),
}

/// How many bytes [`sniff`] may ask for.
pub const LOOK_AT_MOST: usize = 64 << 10;

/// Looks at the first `bytes` of a file of `len` bytes (if that is known). `all` means that no
/// more bytes will come: the verdict is then never [`Verdict::More`].
pub fn sniff(bytes: &[u8], len: Option<u64>, all: bool) -> Verdict {
    let known = |format| Verdict::Known(Head::of(format));
    let refused = |what| Verdict::Refused(Unusable::NotMedia(what));
    let verdict = match bytes {
        [] if all => return refused("it is empty"),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => matroska::sniff(bytes, all),
        [b'O', b'g', b'g', b'S', ..] => ogg(bytes),
        [b'f', b'L', b'a', b'C', ..] => known(Format::Flac),
        [b'I', b'D', b'3', ..] => known(Format::Mp3),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => known(Format::Wav),
        _ if mp4::begins(bytes) => mp4::sniff(bytes, len, all),
        [0xff, second, ..] if second & 0xf6 == 0xf0 => frames(bytes, adts_frame_len, Format::Adts),
        [0xff, second, ..] if second & 0xe6 == 0xe2 => frames(bytes, mp3_frame_len, Format::Mp3),
        _ if bytes.len() < ENOUGH => Verdict::More,
        _ => refused(looks_like(bytes)),
    };
    match verdict {
        Verdict::More if all => refused(looks_like(bytes)),
        verdict => verdict,
    }
}

/// Bytes after which a file that is none of ours has shown it.
const ENOUGH: usize = 16;

/// A word for people about something that is not media.
fn looks_like(bytes: &[u8]) -> &'static str {
    let text = bytes.trim_ascii_start();
    let begins =
        |with: &[u8]| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    if begins(b"#EXTM3U") {
        "it is an HLS playlist, not a media file"
    } else if begins(b"<MPD") || begins(b"<?xml") {
        "it is an XML document (a DASH manifest?), not a media file"
    } else if begins(b"<!doctype") || begins(b"<html") {
        "it is a web page, not a media file"
    } else if begins(b"{") || begins(b"[") {
        "it is JSON, not a media file"
    } else {
        "it is no container that we know (mp4, webm, mkv, ogg, mp3, aac, flac, wav)"
    }
}

/// The first page holds the codec's head, and nothing else (RFC 7845 §3).
fn ogg(bytes: &[u8]) -> Verdict {
    const PAGE_HEAD: usize = 28;
    if bytes.len() < PAGE_HEAD + OPUS_HEAD_LEN {
        return Verdict::More;
    }
    Verdict::Known(Head { pre_skip: opus_head(&bytes[PAGE_HEAD..]), ..Head::of(Format::Ogg) })
}

const OPUS_HEAD_LEN: usize = 19;

/// The pre-skip in an identification header (RFC 7845 §5.1): samples of 1/48000 s.
fn opus_head(bytes: &[u8]) -> Option<Duration> {
    let rest = bytes.strip_prefix(b"OpusHead")?;
    pre_skip(u16::from_le_bytes(*rest.get(2..)?.first_chunk()?))
}

fn pre_skip(samples: u16) -> Option<Duration> {
    from_ticks(samples.into(), 48_000)
}

/// Frames of MPEG audio carry only a weak mark, so the second must follow where the first says.
fn frames(bytes: &[u8], frame_len: fn(&[u8]) -> Option<usize>, format: Format) -> Verdict {
    let refused = Verdict::Refused(Unusable::NotMedia(looks_like(b"")));
    if bytes.len() < ENOUGH {
        return Verdict::More;
    }
    let Some(first) = frame_len(bytes) else { return refused };
    match bytes.get(first..first + ENOUGH) {
        None => Verdict::More,
        Some(second) if frame_len(second).is_some() => Verdict::Known(Head::of(format)),
        Some(_) => refused,
    }
}

/// ISO/IEC 13818-7 §6.2: the frame length stands in 13 bits of the ADTS header.
pub(super) fn adts_frame_len(bytes: &[u8]) -> Option<usize> {
    let [0xff, b1, b2, b3, b4, b5, ..] = *bytes else { return None };
    let len = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5 >> 5);
    (b1 & 0xf6 == 0xf0 && (b2 >> 2) & 0xf < 13 && len > 7).then_some(len)
}

/// ISO/IEC 11172-3 §2.4.2.3 and 13818-3: the length follows from bit rate and sampling rate.
pub(super) fn mp3_frame_len(bytes: &[u8]) -> Option<usize> {
    const V1: [usize; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const V2: [usize; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let [0xff, b1, b2, ..] = *bytes else { return None };
    let (version, layer) = ((b1 >> 3) & 3, (b1 >> 1) & 3);
    let (rates, samples, base) = match version {
        3 => (V1, 144, [44_100, 48_000, 32_000]),
        2 => (V2, 72, [22_050, 24_000, 16_000]),
        0 => (V2, 72, [11_025, 12_000, 8_000]),
        _ => return None,
    };
    let bits = *rates.get(usize::from(b2 >> 4)).filter(|rate| **rate > 0)? * 1000;
    let sampling = *base.get(usize::from((b2 >> 2) & 3))?;
    (b1 & 0xe0 == 0xe0 && layer == 1).then(|| samples * bits / sampling + usize::from(b2 >> 1 & 1))
}

/// Seconds from a count of ticks, if the count means anything.
fn from_ticks(ticks: u64, per_second: u64) -> Option<Duration> {
    if ticks == 0 || per_second == 0 {
        return None;
    }
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(per_second);
    u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(bytes: &[u8]) -> &'static str {
        match sniff(bytes, None, true) {
            Verdict::Refused(Unusable::NotMedia(what)) => what,
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
        assert!(refusal(b"\xff\xd8\xff\xe0 a picture").contains("no container"));
        assert!(refusal(b"ffconcat version 1.0\nfile /etc/passwd").contains("no container"));
    }

    #[test]
    fn a_start_that_could_become_anything_waits() {
        assert_eq!(sniff(b"", None, false), Verdict::More);
        assert_eq!(sniff(b"\0\0\0", None, false), Verdict::More);
        assert_eq!(sniff(b"RIFF", None, false), Verdict::More);
    }

    #[test]
    fn mpeg_audio_needs_two_frames_in_a_row() {
        // Layer III, 128 kbit/s, 44.1 kHz: 417 bytes a frame.
        let mut mp3 = vec![0u8; 1000];
        mp3[..3].copy_from_slice(&[0xff, 0xfb, 0x90]);
        assert!(matches!(sniff(&mp3, None, true), Verdict::Refused(_)));
        assert_eq!(sniff(&mp3[..400], None, false), Verdict::More);
        mp3[417..420].copy_from_slice(&[0xff, 0xfb, 0x90]);
        let known = |format| Verdict::Known(Head::of(format));
        assert_eq!(sniff(&mp3, None, false), known(Format::Mp3));
        // ADTS, 44.1 kHz, 100 bytes a frame.
        let frame = [0xff, 0xf1, 0x50, 0x80, 100 >> 3, (100 & 7) << 5, 0xfc];
        let mut adts = vec![0u8; 300];
        adts[..7].copy_from_slice(&frame);
        adts[100..107].copy_from_slice(&frame);
        assert_eq!(sniff(&adts, None, false), known(Format::Adts));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_wait_for_ever(
            magic in prop::sample::select(vec![
                &b""[..], b"\x1a\x45\xdf\xa3", b"\0\0\0\x08ftyp", b"\0\0\0\x08ftyp\0\0\x01\0moov",
                b"ID3", b"\xff\xfb", b"\xff\xf1",
            ]),
            tail in prop::collection::vec(any::<u8>(), 0..600),
            len in any::<Option<u64>>(),
        ) {
            let bytes = [magic, &tail].concat();
            prop_assert_ne!(sniff(&bytes, len, true), Verdict::More);
            sniff(&bytes, len, false);
        }
    }
}

//! What kind of file begins with these bytes, what is in it, and how long it plays. Pure: bytes in,
//! verdict out.
//!
//! The verdict is forced on ffmpeg, which therefore never guesses: a playlist dressed as a video
//! cannot make it open other files. Nothing here allocates by a length that a file claims.

use std::num::NonZeroU16;
use std::time::Duration;

use crate::container::parameter_sets::SampleEntry;
use crate::error::InputError;
use crate::track_kind::TrackKind;

mod ac3;
mod au;
mod codec;
mod flac;
mod flv;
mod frames;
mod matroska;
mod mp4;
mod mpeg_audio;
mod ogg;
mod riff;
mod tags;
mod view;
pub(super) mod wave64;

pub use codec::Codec;
pub(super) use riff::is_placeholder;
pub use view::{PROBE_SIZE, View};

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
    /// MPEG audio of any layer, with or without tags.
    Mp3,
    /// AAC in ADTS frames.
    Adts,
    /// AC-3 without a container.
    Ac3,
    /// Enhanced AC-3 without a container.
    Eac3,
    /// Native FLAC (RFC 9639).
    Flac,
    /// RIFF/WAVE.
    Wav,
    /// Wave64, WAVE with wide sizes.
    Wave64,
    /// AIFF.
    Aiff,
    /// AU.
    Au,
    /// Flash video.
    Flv,
}

impl Format {
    /// Whether nothing but the frames of one codec is in it.
    pub fn is_raw(self) -> bool {
        matches!(self, Format::Mp3 | Format::Adts | Format::Ac3 | Format::Eac3)
    }
}

/// What is known of a file from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeInfo {
    /// Its container.
    pub format: Format,
    /// When it begins to play, on its own clock: 0 for nearly all, later for what was cut out of
    /// something longer.
    pub begin: Duration,
    /// Until when it plays, on that clock, if it says so this early.
    pub end: Option<Duration>,
    /// The same of its first picture track, if that is told apart.
    pub video_end: Option<Duration>,
    /// The same of its first sound track.
    pub audio_end: Option<Duration>,
    /// Whether its timestamps may be moved against what its packets say (edit lists, codec
    /// delay), or begin elsewhere than at 0. Only a whole and simple MP4 index can deny it.
    pub shifted: bool,
    /// Of an Opus track: how many samples of 1/48000 s at its start are not to be heard.
    pub pre_skip: Option<NonZeroU16>,
    /// Whether there is a picture in it, if that is known.
    pub has_picture: Option<bool>,
    /// Whether it is an MP4 whose samples are in fragments.
    pub in_fragments: bool,
    /// How its first picture track is coded, if that is known.
    pub video: Option<Codec>,
    /// What MP4 calls that track, if all parameter sets of its video stand in its description.
    pub sample_entry: Option<SampleEntry>,
    /// How its first sound track is coded.
    pub audio: Option<Codec>,
    /// Whether its index comes before its media, as it must to be joined while it arrives.
    pub index_first: bool,
    /// Whether its samples are encrypted; nothing if its index is so long that it may tell of more
    /// tracks than were seen.
    pub is_encrypted: Option<bool>,
    /// So many bytes in front are of no use to a demuxer.
    pub skip: u64,
    /// From this byte on they are of no use to it either: it may end before it has read them.
    pub until: u64,
    /// A size in its head that its writer did not know.
    pub header_patch: Option<HeaderPatch>,
}

/// A number in a file's head, and what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderPatch {
    /// Where it is.
    pub at: u32,
    /// What it should be.
    pub value: u64,
    /// Whether it has eight bytes, and not four.
    pub is_wide: bool,
}

impl HeaderPatch {
    /// Puts it right in `bytes`, which begin the file.
    pub fn apply(&self, bytes: &mut [u8]) {
        let value = self.value.to_le_bytes();
        let narrow = u32::try_from(self.value).unwrap_or(u32::MAX).to_le_bytes();
        let value = if self.is_wide { &value[..] } else { &narrow[..] };
        let place =
            usize::try_from(self.at).ok().and_then(|at| bytes.get_mut(at..at + value.len()));
        if let Some(place) = place {
            place.copy_from_slice(value);
        }
    }
}

impl ProbeInfo {
    /// A file of which nothing is known but its container.
    pub(crate) fn of(format: Format) -> ProbeInfo {
        let may_have = matches!(
            format,
            Format::Mp4 | Format::Webm | Format::Matroska | Format::Ogg | Format::Flv
        );
        ProbeInfo {
            format,
            begin: Duration::ZERO,
            end: None,
            video_end: None,
            audio_end: None,
            shifted: true,
            pre_skip: None,
            has_picture: if may_have { None } else { Some(false) },
            in_fragments: false,
            video: None,
            sample_entry: None,
            audio: None,
            index_first: true,
            is_encrypted: Some(false),
            skip: 0,
            until: u64::MAX,
            header_patch: None,
        }
    }
}

/// One track with what is known of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbedInput {
    /// Picture or sound.
    pub kind: TrackKind,
    /// What its first bytes say.
    pub probe: ProbeInfo,
}

/// The outcome of a look at a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// More bytes of its front are needed to tell.
    NeedMore,
    /// The bytes at this offset are.
    At(u64),
    /// It can be joined.
    Recognised(ProbeInfo),
    /// It cannot.
    Unsupported(InputError),
}

/// Looks at what is seen of a file. It asks for more of the front only while that may still come, and
/// never twice for the same place.
pub fn probe(view: &View<'_>) -> Probe {
    match recognise(view) {
        Ok(head) => Probe::Recognised(head),
        Err(Probe::NeedMore) if view.all => {
            Probe::Unsupported(InputError::NotMedia(looks_like(view.front)))
        }
        Err(verdict) => verdict,
    }
}

fn recognise(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    let bytes = view.need(0, ENOUGH)?;
    let refused = |what| Err(Probe::Unsupported(InputError::NotMedia(what)));
    match bytes {
        [] => return refused("it is empty"),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => return matroska::sniff(view),
        [b'O', b'g', b'g', b'S', ..] => return ogg::sniff(view),
        [b'F', b'L', b'V', 1, ..] => return flv::sniff(view),
        _ if riff::is_wave(bytes) => return riff::wave(view),
        [b'.', b's', b'n', b'd', ..] => return au::sniff(view),
        _ if wave64::begins(bytes) => return wave64::sniff(view),
        _ if riff::is_aiff(bytes) => return riff::aiff(view),
        _ if mp4::begins(bytes) => return mp4::sniff(view),
        _ => {}
    }
    if let Some(what) = named(bytes) {
        return refused(what);
    }
    let front = tags::pass(view)?;
    if view.need(front.end, 4)?.starts_with(b"fLaC") {
        return Ok(ProbeInfo { skip: front.foreign, ..flac::sniff(view, front.end)? });
    }
    match frames::sniff(view)? {
        Some(head) => Ok(head),
        None => refused(looks_like(bytes)),
    }
}

/// Bytes after which a file that is none of ours has shown it.
const ENOUGH: usize = 16;

/// What begins like this, if it is something that is often met and never taken.
fn named(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.trim_ascii_start();
    let begins =
        |with: &[u8]| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    if begins(b"#EXTM3U") {
        Some("it is an HLS playlist, not a media file")
    } else if begins(b"<MPD") || begins(b"<?xml") {
        Some("it is an XML document (a DASH manifest?), not a media file")
    } else if begins(b"<!doctype") || begins(b"<html") {
        Some("it is a web page, not a media file")
    } else if begins(b"{") || begins(b"[") {
        Some("it is JSON, not a media file")
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..11) == Some(b"AVI") {
        Some("it is an AVI file, which cannot be joined while it arrives")
    } else if bytes.starts_with(&[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11]) {
        Some("it is a Windows Media file (ASF), which is not taken")
    } else if bytes.starts_with(&[0, 0, 1, 0xba]) {
        Some("it is an MPEG program stream, which is not taken")
    } else if bytes.starts_with(b"RIFF") || bytes.starts_with(b".RMF") || bytes.starts_with(b"PK") {
        Some(UNKNOWN)
    } else {
        None
    }
}

fn not_media(what: &'static str) -> Probe {
    Probe::Unsupported(InputError::NotMedia(what))
}

const NEITHER: InputError = InputError::NotMedia("there is neither video nor audio in it");

const UNKNOWN: &str = "it is no container that we know (mp4, webm, mkv, ogg, flv, mp3, aac, ac3, flac, wav, aiff, au)";

/// A word for people about something that is not media.
fn looks_like(bytes: &[u8]) -> &'static str {
    named(bytes).unwrap_or(UNKNOWN)
}

/// The pre-skip in an identification header (RFC 7845 §5.1).
fn opus_head(bytes: &[u8]) -> Option<NonZeroU16> {
    let rest = bytes.strip_prefix(b"OpusHead")?;
    NonZeroU16::new(u16::from_le_bytes(*rest.get(2..)?.first_chunk()?))
}

/// How long the frame of AAC is that these bytes begin with.
pub(super) fn adts_frame_len(bytes: &[u8]) -> Option<usize> {
    mpeg_audio::adts(bytes).map(|frame| frame.len)
}

/// The same of MPEG audio.
pub(super) fn mpeg_frame_len(bytes: &[u8]) -> Option<usize> {
    mpeg_audio::frame(bytes).map(|frame| frame.len)
}

/// The same of AC-3 of either kind.
pub(super) fn ac3_frame_len(bytes: &[u8]) -> Option<usize> {
    ac3::frame(bytes).map(|frame| frame.len)
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

    fn sniff(bytes: &[u8], len: Option<u64>, all: bool) -> Probe {
        super::probe(&View::front(bytes, len, all))
    }

    fn refusal(bytes: &[u8]) -> &'static str {
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
        assert!(refusal(b"\xff\xd8\xff\xe0 a picture").contains("no container"));
        assert!(refusal(b"ffconcat version 1.0\nfile /etc/passwd").contains("no container"));
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
            let tag =
                |len: u8| [b"ID3\x04\0\0\0\0\0", &[len][..], &vec![0xff; len.into()]].concat();
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
                b"fLaC\0",
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
}

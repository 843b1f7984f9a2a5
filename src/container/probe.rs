//! [`probe`] recognises the format, tracks, codecs and duration of a file by its first bytes. Pure.
//!
//! The format is forced on ffmpeg, which therefore never guesses: a playlist disguised as a video cannot
//! make it open other files.
//!
//! **Invariant:** nothing is allocated by a length that a file claims.

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

/// The supported container formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ISO base media: mp4, m4a, mov (ISO/IEC 14496-12).
    Mp4,
    /// WebM, the subset of Matroska with web codecs.
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
    /// Wave64: WAVE with 64-bit sizes.
    Wave64,
    /// AIFF.
    Aiff,
    /// AU.
    Au,
    /// Flash video.
    Flv,
}

impl Format {
    /// Returns whether the format consists of frames of one codec only.
    pub fn is_raw(self) -> bool {
        matches!(self, Format::Mp3 | Format::Adts | Format::Ac3 | Format::Eac3)
    }
}

/// The facts about a file that its first bytes reveal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeInfo {
    /// The container format.
    pub format: Format,
    /// The presentation time at which the file begins: 0 for nearly all, later for a cutout of a longer
    /// recording.
    pub begin: Duration,
    /// The presentation time at which the file ends, if it is known this early.
    pub end: Option<Duration>,
    /// The end of the first video track, if it is known separately.
    pub video_end: Option<Duration>,
    /// The end of the first audio track, if it is known separately.
    pub audio_end: Option<Duration>,
    /// Whether presentation times may differ from the timestamps of packets (edit lists, codec delay),
    /// or may begin elsewhere than at 0. Only a complete and simple MP4 index can rule it out.
    pub shifted: bool,
    /// The pre-skip of an Opus track: samples of 1/48000 s at its start that are not presented.
    pub pre_skip: Option<NonZeroU16>,
    /// Whether the file has video, if known.
    pub has_picture: Option<bool>,
    /// Whether the file is a fragmented MP4.
    pub in_fragments: bool,
    /// The codec of the first video track, if known.
    pub video: Option<Codec>,
    /// The sample entry type for that track, if its description has all parameter sets.
    pub sample_entry: Option<SampleEntry>,
    /// The codec of the first audio track, if known.
    pub audio: Option<Codec>,
    /// Whether the index precedes the media, as joining while downloading requires.
    pub index_first: bool,
    /// Whether the samples are encrypted; `None` if the index is so long that it may describe more
    /// tracks than were read.
    pub is_encrypted: Option<bool>,
    /// The number of first bytes to withhold from a demuxer.
    pub skip: u64,
    /// The offset from which bytes are of no use to a demuxer: it may end before it has read them.
    pub until: u64,
    /// A correction of a size in the header that the writer did not know.
    pub header_patch: Option<HeaderPatch>,
}

/// A number in the header of a file, and its correct value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderPatch {
    /// The offset.
    pub at: u32,
    /// The correct value.
    pub value: u64,
    /// Whether the field has eight bytes rather than four.
    pub is_wide: bool,
}

impl HeaderPatch {
    /// Corrects `bytes`, the first bytes of the file.
    pub fn apply(&self, bytes: &mut [u8]) {
        let value = self.value.to_le_bytes();
        let low_bytes = u32::try_from(self.value).unwrap_or(u32::MAX).to_le_bytes();
        let value = if self.is_wide { &value[..] } else { &low_bytes[..] };
        let field =
            usize::try_from(self.at).ok().and_then(|at| bytes.get_mut(at..at + value.len()));
        if let Some(field) = field {
            field.copy_from_slice(value);
        }
    }
}

impl ProbeInfo {
    /// Returns the info of a file of which only the format is known.
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

/// A track and the info about its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbedInput {
    /// Video or audio.
    pub kind: TrackKind,
    /// The info about its file.
    pub probe: ProbeInfo,
}

/// The result of probing a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// More of the first bytes are needed.
    NeedMore,
    /// The bytes at this offset are needed.
    At(u64),
    /// The file can be joined.
    Recognised(ProbeInfo),
    /// The file cannot be joined.
    Unsupported(InputError),
}

/// Probes the bytes in `view`. It requests more of the first bytes only while they may still arrive, and
/// never requests the same offset twice.
pub fn probe(view: &View<'_>) -> Probe {
    match recognise(view) {
        Ok(info) => Probe::Recognised(info),
        Err(Probe::NeedMore) if view.all => {
            Probe::Unsupported(InputError::NotMedia(looks_like(view.front)))
        }
        Err(verdict) => verdict,
    }
}

fn recognise(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    let bytes = view.need(0, MIN_PROBE)?;
    let refused = |what| Err(Probe::Unsupported(InputError::NotMedia(what)));
    match bytes {
        [] => return refused("the response is empty"),
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
    if let Some(what) = known_unsupported(bytes) {
        return refused(what);
    }
    let front = tags::skip(view)?;
    if view.need(front.end, 4)?.starts_with(b"fLaC") {
        return Ok(ProbeInfo { skip: front.foreign, ..flac::sniff(view, front.end)? });
    }
    match frames::sniff(view)? {
        Some(info) => Ok(info),
        None => refused(looks_like(bytes)),
    }
}

/// The number of bytes by which an unsupported file is recognised.
const MIN_PROBE: usize = 16;

/// Returns what begins like this, if it is a common file type that is not supported.
fn known_unsupported(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.trim_ascii_start();
    let begins =
        |with: &[u8]| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    if begins(b"#EXTM3U") {
        Some("it is an HLS playlist")
    } else if begins(b"<MPD") || begins(b"<?xml") {
        Some("it is an XML document (a DASH manifest?)")
    } else if begins(b"<!doctype") || begins(b"<html") {
        Some("it is a web page")
    } else if begins(b"{") || begins(b"[") {
        Some("it is JSON")
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..11) == Some(b"AVI") {
        Some("it is an AVI file, which cannot be joined while it is downloaded")
    } else if bytes.starts_with(&[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11]) {
        Some("it is a Windows Media file (ASF), which is not supported")
    } else if bytes.starts_with(&[0, 0, 1, 0xba]) {
        Some("it is an MPEG program stream, which is not supported")
    } else if bytes.starts_with(b"RIFF") || bytes.starts_with(b".RMF") || bytes.starts_with(b"PK") {
        Some(UNKNOWN)
    } else {
        None
    }
}

fn not_media(what: &'static str) -> Probe {
    Probe::Unsupported(InputError::NotMedia(what))
}

const NEITHER: InputError = InputError::NotMedia("it has neither video nor audio");

const UNKNOWN: &str = "it is in no supported container (mp4, webm, mkv, ogg, flv, mp3, aac, ac3, flac, wav, aiff, au)";

/// Returns a description for people of a file that is not media.
fn looks_like(bytes: &[u8]) -> &'static str {
    known_unsupported(bytes).unwrap_or(UNKNOWN)
}

/// Returns the pre-skip in an Opus identification header (RFC 7845 §5.1).
fn opus_head(bytes: &[u8]) -> Option<NonZeroU16> {
    let rest = bytes.strip_prefix(b"OpusHead")?;
    NonZeroU16::new(u16::from_le_bytes(*rest.get(2..)?.first_chunk()?))
}

/// Returns the length of the AAC frame at the start of `bytes`.
pub(super) fn adts_frame_len(bytes: &[u8]) -> Option<usize> {
    mpeg_audio::adts(bytes).map(|frame| frame.len)
}

/// Returns the length of the MPEG audio frame at the start of `bytes`.
pub(super) fn mpeg_frame_len(bytes: &[u8]) -> Option<usize> {
    mpeg_audio::frame(bytes).map(|frame| frame.len)
}

/// Returns the length of the AC-3 or E-AC-3 frame at the start of `bytes`.
pub(super) fn ac3_frame_len(bytes: &[u8]) -> Option<usize> {
    ac3::frame(bytes).map(|frame| frame.len)
}

/// Converts ticks to a duration; `None` if it would be 0 or out of range.
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
        assert!(refusal(b"\xff\xd8\xff\xe0 a picture").contains("no supported container"));
        assert!(
            refusal(b"ffconcat version 1.0\nfile /etc/passwd").contains("no supported container")
        );
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

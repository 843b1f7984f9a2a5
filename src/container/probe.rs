//! [`probe`] recognises the format, tracks, codecs and duration of a file by its first bytes. Pure.
//!
//! The format is forced on ffmpeg, which therefore never guesses: a playlist disguised as a video cannot
//! make it open other files.
//!
//! **Invariant:** nothing is allocated by a length that a file claims.

use std::num::{NonZeroU16, NonZeroU32};
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
mod mpeg_ts;
mod ogg;
mod riff;
mod tags;
mod view;
pub(super) mod wave64;

pub use codec::Codec;
pub(super) use frames::{Frame as FrameHeader, frame as frame_header};
pub(crate) use mpeg_ts::is_image;
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
    /// An MPEG transport stream (ISO/IEC 13818-1).
    MpegTs,
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
    pub needs_edit_list: bool,
    /// The pre-skip of an Opus track: samples of 1/48000 s at its start that are not presented.
    pub pre_skip: Option<NonZeroU16>,
    /// Whether the file has video, if known.
    pub has_video: Option<bool>,
    /// Whether the file is a live stream, of which nothing before its first bytes counts: it begins at 0,
    /// whatever its timestamps are.
    pub is_live: bool,
    /// Whether the file is a fragmented MP4.
    pub in_fragments: bool,
    /// Whether the file is delivered in segments.
    pub in_segments: bool,
    /// Whether its timestamps begin again somewhere.
    pub is_discontinuous: bool,
    /// The codec of the first video track, if known.
    pub video: Option<Codec>,
    /// The sample entry type for that track, if its description has all parameter sets.
    pub sample_entry: Option<SampleEntry>,
    /// The codec of the first audio track, if known.
    pub audio: Option<Codec>,
    /// Whether the index precedes the media, as joining while downloading requires.
    pub is_faststart: bool,
    /// Whether the samples are encrypted; `None` if the index is so long that it may describe more
    /// tracks than were read.
    pub is_encrypted: Option<bool>,
    /// The number of first bytes to withhold from a demuxer.
    pub skip: u64,
    /// The offset from which bytes are of no use to a demuxer: it may end before it has read them.
    pub until: u64,
    /// A correction of a size in the header that the writer did not know.
    pub header_patch: Option<HeaderPatch>,
    /// Sampling rate and number of channels of the audio, if its header tells them together with its end.
    pub sampling: Option<(NonZeroU32, u8)>,
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
    /// Returns whether the audio consists of AAC frames in ADTS, each with the decoder configuration.
    pub(crate) fn has_adts(&self) -> bool {
        self.format == Format::Adts
            || self.format == Format::MpegTs && self.audio == Some(Codec::Aac)
    }

    /// Returns whether the file is packed audio: frames in segments, each with a timestamp (RFC 8216 §3.4),
    /// which demuxers ignore.
    pub(crate) fn is_packed(&self) -> bool {
        self.in_segments && self.format.is_raw()
    }

    /// Returns the info of a file of which only the format is known.
    pub(crate) fn of(format: Format) -> ProbeInfo {
        let may_have = matches!(
            format,
            Format::Mp4
                | Format::Webm
                | Format::Matroska
                | Format::Ogg
                | Format::Flv
                | Format::MpegTs
        );
        ProbeInfo {
            format,
            begin: Duration::ZERO,
            end: None,
            video_end: None,
            audio_end: None,
            needs_edit_list: true,
            pre_skip: None,
            has_video: if may_have { None } else { Some(false) },
            is_live: false,
            in_fragments: false,
            in_segments: false,
            is_discontinuous: false,
            video: None,
            sample_entry: None,
            audio: None,
            is_faststart: true,
            is_encrypted: Some(false),
            skip: 0,
            until: u64::MAX,
            header_patch: None,
            sampling: None,
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
        _ if mpeg_ts::begins(view)? => return mpeg_ts::sniff(view),
        _ => {}
    }
    if let Some(what) = known_unsupported(bytes) {
        return refused(what);
    }
    if let Some(info) = mpeg_ts::behind_image(view)? {
        return Ok(info);
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

const UNKNOWN: &str = "it is in no supported container (mp4, webm, mkv, ts, ogg, flv, mp3, aac, ac3, flac, wav, aiff, au)";

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
pub(crate) fn mpeg_frame_len(bytes: &[u8]) -> Option<usize> {
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
mod tests;

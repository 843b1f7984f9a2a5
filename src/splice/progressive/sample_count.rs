//! Counts the samples of audio in a progressive MP4, and lays out those of a time range for a decoder.
//!
//! **Invariant:** a number is returned only if the index proves it: all packets but the last have the same number of
//! samples, by the clock of the audio, and the codec gives as many.

use std::ops::Range;

use super::{HeadBoxes, Movie, ParsedTrack, TimeOrigin, for_ffmpeg, lay_out, trim};
use crate::container::isobmff::{Header, Mp4Box, header, u32_at};
use crate::error::Unsupported;
use crate::media::{Metadata, TrackKind};
use crate::options::TimeRange;
use crate::splice::Plan;
use crate::splice::edits::{self, NANOS, Rescale, simple};

/// How much before the first sample is decoded, and after the last one, as a part of a second: decoders need some
/// packets to get going (RFC 7845 §4.6: 80 ms).
const MARGIN: u64 = 4;
/// The samples in a packet of AAC.
const AAC_FRAME: u32 = 1024;
/// The highest sampling rate of AAC whose decoder may double it without being told to beforehand (SBR).
const MAX_DOUBLED_RATE: u32 = 24_000;
/// More samples than any audio has, by which nothing that is computed of them overflows.
const MAX_SAMPLES: u64 = 1 << 48;
/// The length of an AudioSampleEntry without its boxes (§12.2.3).
const ENTRY_LEN: usize = 28;

/// The audio of a file, counted in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedAudio {
    /// Samples per second.
    pub rate: u32,
    /// The number of channels, one or two.
    pub channels: u8,
    /// The first sample that is presented, counted from the first that is decoded.
    pub begin: u64,
    /// The number of samples that are presented.
    pub len: u64,
}

const UNCOUNTED: Unsupported = Unsupported("the index does not prove how many samples there are");

impl Movie {
    /// Counts the samples of the audio.
    pub(in crate::splice) fn counted_audio(&self) -> Result<CountedAudio, Unsupported> {
        let track = self.open(TrackKind::Audio, 0)?.ok_or(UNCOUNTED)?;
        let config = Config::of(&track)?;
        if config.rate != track.trak.scale || !(1..=2).contains(&config.channels) {
            return Err(UNCOUNTED);
        }
        let total = total(&track, config.frame)?;
        let edit = simple(&track.edits).filter(|edit| edit.empty == 0).ok_or(UNCOUNTED)?;
        let begin = u64::try_from(edit.media_time).map_err(|_| UNCOUNTED)?;
        let left = total.checked_sub(begin).filter(|left| *left > 0).ok_or(UNCOUNTED)?;
        let scale = Rescale { from: track.movie_scale, to: config.rate };
        // A duration in a coarser clock is rounded.
        let len = match edit.segment {
            Some(segment) if scale.ceil(segment.saturating_add(1))? < left => {
                scale.round(segment)?
            }
            _ => left,
        };
        if len == 0 {
            return Err(UNCOUNTED);
        }
        Ok(CountedAudio { rate: config.rate, channels: config.channels, begin, len })
    }

    /// Lays out the file for a decoder that has to give these samples, counted from the first that is decoded. Returns
    /// the number of samples that it lacks in front of them, too.
    pub(in crate::splice) fn decodable(
        &self,
        samples: &Range<u64>,
        rate: u32,
    ) -> Result<(Plan, u64), Unsupported> {
        let (tracks, ftyp) = for_ffmpeg(TrackKind::Audio, self, false)?;
        let boxes = HeadBoxes { ftyp: &ftyp, tags: &Metadata::default() };
        let all = || lay_out(&tracks, TimeRange::default(), TimeOrigin::Input, &boxes);
        let begin = tracks.first().and_then(|track| simple(&track.edits));
        let begin = begin.and_then(|edit| u64::try_from(edit.media_time).ok()).unwrap_or(0);
        let margin = u64::from(rate) / MARGIN;
        let Some(start) = samples.start.checked_sub(begin + margin).filter(|start| *start > 0)
        else {
            // Up to the end of the range, from the beginning on.
            return Ok((all()?, 0));
        };
        let nanos = |at: u64| {
            let nanos = Rescale { from: rate, to: NANOS }.floor(at)?;
            Ok(std::time::Duration::from_nanos(nanos))
        };
        let end = samples.end.saturating_sub(begin).saturating_add(margin);
        let trim = TimeRange { start: nanos(start)?, end: Some(nanos(end)?) };
        let scale = edits::common_timescale(tracks.iter().map(|track| track.movie_scale));
        let Ok((selections, _)) = trim::select(&tracks, trim, TimeOrigin::Input, scale) else {
            return Ok((all()?, 0));
        };
        let first = selections.first().map_or(0, |selection| selection.samples.start);
        let lacking = tracks.first().and_then(|track| track.tables.times.total_before(first));
        let plan = lay_out(&tracks, trim, TimeOrigin::Input, &boxes)?;
        match lacking.filter(|lacking| *lacking <= samples.start) {
            Some(lacking) => Ok((plan, lacking)),
            None => Ok((all()?, 0)),
        }
    }
}

/// Returns the number of samples in all packets, if all but the last have the same number, and that one is `frame`, if
/// it is known.
fn total(track: &ParsedTrack<'_>, frame: Option<u32>) -> Result<u64, Unsupported> {
    if track.tables.shifts.is_some() {
        return Err(UNCOUNTED);
    }
    let mut total = 0u64;
    let (mut each, mut is_over) = (None, false);
    for (count, delta) in track.tables.times.runs().filter(|(count, _)| *count > 0) {
        let first = *each.get_or_insert(frame.unwrap_or(delta));
        let is_last = delta < first && count == 1;
        if is_over || delta == 0 || delta != first && !is_last {
            return Err(UNCOUNTED);
        }
        is_over = is_last;
        total = u64::from(count)
            .checked_mul(delta.into())
            .and_then(|more| total.checked_add(more))
            .filter(|total| *total <= MAX_SAMPLES)
            .ok_or(UNCOUNTED)?;
    }
    Ok(total)
}

/// What the sample description tells of the audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Config {
    rate: u32,
    channels: u8,
    /// The samples in a packet, if the codec tells.
    frame: Option<u32>,
}

impl Config {
    fn of(track: &ParsedTrack<'_>) -> Result<Config, Unsupported> {
        let stsd = track.trak.stbl.iter().find(|found| found.kind == *b"stsd").ok_or(UNCOUNTED)?;
        let entry = first_box(stsd.payload().get(8..).unwrap_or_default());
        let entry = entry.filter(|_| track.trak.descriptions == 1).ok_or(UNCOUNTED)?;
        // Version 0: others have more fields.
        let payload = entry.payload();
        if payload.get(8..10) != Some(&[0, 0]) {
            return Err(UNCOUNTED);
        }
        let mut rest = payload.get(ENTRY_LEN..).unwrap_or_default();
        while let Some(found) = first_box(rest) {
            let config = match (&entry.kind, &found.kind) {
                (b"mp4a", b"esds") => aac(found.payload()),
                (b"Opus", b"dOps") => opus(found.payload()),
                (b"fLaC", b"dfLa") => flac(found.payload()),
                (b"alac", b"alac") => alac(found.payload()),
                _ => {
                    rest = &rest[found.bytes.len()..];
                    continue;
                }
            };
            return config.ok_or(UNCOUNTED);
        }
        Err(UNCOUNTED)
    }
}

/// Returns the box that the bytes begin with.
fn first_box(bytes: &[u8]) -> Option<Mp4Box<'_>> {
    let Header { kind, header, len } = header(bytes)?;
    let bytes = bytes.get(..usize::try_from(len?).ok()?)?;
    Some(Mp4Box { kind, at: 0, header, bytes })
}

/// Reads an Opus specific box (Encapsulation of Opus in ISO Base Media File Format §4.3.2).
fn opus(payload: &[u8]) -> Option<Config> {
    Some(Config { rate: 48_000, channels: *payload.get(1)?, frame: None })
}

/// Reads a FLAC specific box, which begins with STREAMINFO (RFC 9639 §8.2).
fn flac(payload: &[u8]) -> Option<Config> {
    let bits = u32_at(payload, 4 + 4 + 10)?;
    Some(Config { rate: bits >> 12, channels: (bits >> 9 & 7) as u8 + 1, frame: None })
}

/// Reads an ALACSpecificConfig (Apple Lossless Format "magic cookie").
fn alac(payload: &[u8]) -> Option<Config> {
    Some(Config {
        rate: u32_at(payload, 24)?,
        channels: *payload.get(13)?,
        frame: u32_at(payload, 4),
    })
}

/// Reads an ES descriptor (ISO/IEC 14496-1 §7.2.6) up to its AudioSpecificConfig.
fn aac(payload: &[u8]) -> Option<Config> {
    let mut rest = payload.get(4..)?;
    let es = descriptor(&mut rest, 3)?;
    // The flags tell of fields that no MP4 has.
    let mut rest = es.get(3..).filter(|_| es[2] & 0xe0 == 0)?;
    let decoder = descriptor(&mut rest, 4)?;
    let mut rest = decoder.get(13..).filter(|_| decoder[0] == 0x40)?;
    audio_specific_config(descriptor(&mut rest, 5)?)
}

/// Takes a descriptor with this tag.
fn descriptor<'b>(bytes: &mut &'b [u8], tag: u8) -> Option<&'b [u8]> {
    let (found, mut rest) = bytes.split_first()?;
    let mut len = 0usize;
    for _ in 0..4 {
        let (byte, more) = rest.split_first()?;
        (len, rest) = (len << 7 | usize::from(byte & 0x7f), more);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let (payload, more) = rest.split_at_checked(len)?;
    *bytes = more;
    (*found == tag).then_some(payload)
}

/// Reads an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) of AAC-LC that is certain to have no more samples than its
/// packets tell.
fn audio_specific_config(bytes: &[u8]) -> Option<Config> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8000, 7350,
    ];
    const LOW_COMPLEXITY: u64 = 2;
    const REPLICATION: u64 = 5;
    let mut bits = Bits { bytes, at: 0 };
    let object = bits.take(5)?;
    let rate = match bits.take(4)? {
        15 => u32::try_from(bits.take(24)?).ok()?,
        index => *RATES.get(usize::try_from(index).ok()?)?,
    };
    let channels = u8::try_from(bits.take(4)?).ok()?;
    // Frames of 960 samples, a core coder, and an extension are something else.
    if object != LOW_COMPLEXITY || bits.take(3)? != 0 {
        return None;
    }
    let is_told = bits.take(11) == Some(0x2b7) && bits.take(5) == Some(REPLICATION);
    let is_doubled = if is_told { bits.take(1)? == 1 } else { rate <= MAX_DOUBLED_RATE };
    (!is_doubled).then_some(Config { rate, channels, frame: Some(AAC_FRAME) })
}

/// A reader of bits.
struct Bits<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Bits<'_> {
    /// Takes up to 32 bits.
    fn take(&mut self, count: usize) -> Option<u64> {
        let mut value = 0;
        for at in self.at..self.at + count {
            let byte = self.bytes.get(at / 8)?;
            value = value << 1 | u64::from(byte >> (7 - at % 8) & 1);
        }
        self.at += count;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn aac_is_counted_if_nothing_can_double_it() {
        let of = |bytes: &[u8]| {
            audio_specific_config(bytes).map(|config| (config.rate, config.channels))
        };
        assert_eq!(of(&[0x12, 0x10]), Some((44_100, 2)));
        assert_eq!(of(&[0x13, 0x90]), None, "22050 Hz, which may be doubled");
        // As ffmpeg writes it: no replication.
        assert_eq!(of(&[0x13, 0x90, 0x56, 0xe5, 0x00]), Some((22_050, 2)));
        assert_eq!(of(&[0x13, 0x90, 0x56, 0xe5, 0x80]), None);
        assert_eq!(of(&[0x12, 0x14]), None, "960 samples");
        assert_eq!(of(&[0x2b, 0x92, 0x08, 0x00]), None, "HE-AAC");
    }

    #[test]
    fn descriptors_are_found() {
        let config = [5, 2, 0x12, 0x08];
        let decoder = [&[4, 17, 0x40][..], &[0; 12], &config].concat();
        let es = [&[3, 0x80, 0x80, 22, 0, 1, 0][..], &decoder].concat();
        let payload = [&[0; 4][..], &es].concat();
        let expected = Config { rate: 44_100, channels: 1, frame: Some(1024) };
        assert_eq!(aac(&payload), Some(expected));
        assert_eq!(aac(&payload[..payload.len() - 1]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let configs = [aac(&bytes), opus(&bytes), flac(&bytes), alac(&bytes)];
            let known = configs.into_iter().chain([audio_specific_config(&bytes)]).flatten();
            prop_assert!(known.count() <= 5 && first_box(&bytes).is_none_or(|b| b.bytes.len() >= 8));
        }
    }
}

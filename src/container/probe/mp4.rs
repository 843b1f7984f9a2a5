//! ISO base media files (ISO/IEC 14496-12): where the index is, and what it says of the tracks.

use std::num::NonZeroU16;
use std::time::Duration;

use super::{Codec, Format, PROBE_SIZE, Probe, ProbeInfo, View, from_ticks, not_media};
use crate::container::isobmff;
use crate::container::parameter_sets::{self, SampleEntry};
use crate::error::InputError;
use crate::media::TrackKind;

mod times;
use times::{SegmentIndex, Times};

/// Boxes that a file may begin with.
const FIRST: [&[u8; 4]; 8] =
    [b"ftyp", b"styp", b"moov", b"free", b"skip", b"wide", b"pdin", b"mdat"];

const EMPTY: InputError =
    InputError::NotMedia("it is the initialisation of fragments, and none are behind it");

/// Whether this looks like an ISO base media file.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.get(4..8).is_some_and(|kind| FIRST.iter().any(|first| *first == kind))
}

/// How far boxes are followed: a file has no more of them in front of its media.
const MOST_BOXES: usize = 64;
/// A trak is read as far as what its samples are, which stands in front of where they are.
const TRAK_FRONT: usize = 4 << 10;
/// A moof is read as far as the time of its first track, which stands near its beginning.
const MOOF_FRONT: usize = 256;

pub(super) fn sniff(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    let (mut at, mut cmaf) = (0u64, false);
    let mut index: Option<Index> = None;
    for _ in 0..MOST_BOXES {
        // Whatever stands in front of the index may be long: what a program says of itself, say.
        let bytes = if index.is_none() { view.need(at, 16)? } else { view.want(at, 16)? };
        let Some(isobmff::Header { kind, header, len }) = isobmff::header(bytes) else { break };
        let end = len.map_or(u64::MAX, |len| at.saturating_add(len));
        let long = usize::try_from(end - at).unwrap_or(usize::MAX);
        let here = view.want(at, 0)?;
        let payload = here.get(header..long.min(here.len())).unwrap_or(&[]);
        let is_whole = here.len() >= long;
        match (&kind, &mut index) {
            (b"ftyp", None) if !is_whole && long < PROBE_SIZE => {
                let ftyp = view.want(at, long)?;
                cmaf = has_negative_offsets(ftyp.get(header..).unwrap_or(&[]));
            }
            (b"ftyp", None) => cmaf = has_negative_offsets(payload),
            (b"moov", None) => index = Some(moov(view, at, header, end, cmaf)?),
            (b"sidx", Some(found)) => {
                let sidx = view.want(at, long.min(PROBE_SIZE))?;
                let sidx = sidx.get(header..long.min(sidx.len())).unwrap_or(&[]);
                found.has_media = true;
                let segments = SegmentIndex::read(sidx);
                if let Some(segments) = segments {
                    found.read_segments(segments, end, view.len);
                }
                let is_at_start = segments.is_some_and(|segments| segments.earliest == 0);
                found.is_at_start |= is_at_start;
                // Each track may have an index of its own.
                if is_at_start && found.is_told() {
                    return Ok(found.head);
                }
                // When it begins stands in its first fragment.
                found.head.shifted |=
                    !is_at_start && end.saturating_add(MOOF_FRONT as u64) > PROBE_SIZE as u64;
            }
            (b"moof", Some(found)) => {
                let moof = view.want(at, long.min(MOOF_FRONT))?;
                let first = moof.get(header..).and_then(times::first_time);
                found.head.shifted |= !found.is_at_start && first.is_none_or(|(_, time)| time != 0);
                found.begin_with(first);
                return Ok(found.head);
            }
            (b"mdat", Some(found)) => return Ok(found.head),
            (b"mdat", None) => {
                return Ok(ProbeInfo { index_first: false, ..ProbeInfo::of(Format::Mp4) });
            }
            (b"moof", None) => {
                return Err(not_media("it is a fragment without its initialisation (no moov)"));
            }
            _ => {}
        }
        let is_last = |index: Index| !index.is_fragmented || end > PROBE_SIZE as u64;
        if index.is_some_and(|index| index.is_enough && is_last(index)) {
            break;
        }
        at = end;
        if view.len.is_some_and(|len| at >= len) {
            break;
        }
    }
    let ends = view.len.is_some_and(|len| at >= len);
    match index {
        Some(index) if ends && !index.has_media => Err(Probe::Unsupported(EMPTY)),
        // When its fragments begin was not seen.
        Some(Index { head, is_at_start: true, .. }) => Ok(head),
        Some(Index { head, is_fragmented, is_enough, .. }) if is_enough || view.all || ends => {
            Ok(ProbeInfo { shifted: head.shifted || is_fragmented, ..head })
        }
        None if view.all || ends => Err(not_media("it is an mp4 without an index (no moov)")),
        _ => Err(Probe::NeedMore),
    }
}

/// What a moov says, and what it leaves open.
#[derive(Clone, Copy)]
struct Index {
    head: ProbeInfo,
    /// Whether nothing behind it tells more.
    is_enough: bool,
    is_fragmented: bool,
    /// Whether there are samples, or fragments.
    has_media: bool,
    /// Whether an index of segments says that they begin at 0.
    is_at_start: bool,
    /// The times of the first picture track.
    video: Option<Times>,
    /// The same of the first sound track.
    audio: Option<Times>,
}

impl Index {
    /// Whether no other index of segments is expected: of two tracks, each may have one.
    fn is_told(&self) -> bool {
        let ProbeInfo { video_end, audio_end, .. } = self.head;
        self.video.is_none() || self.audio.is_none() || video_end.is_some() && audio_end.is_some()
    }

    /// What an index of segments says, which ends at `end` in a file of `len` bytes.
    fn read_segments(&mut self, segments: SegmentIndex, end: u64, len: Option<u64>) {
        let is_of = |times: &Option<Times>| times.is_some_and(|times| times.id == segments.track);
        let times = [self.video, self.audio].into_iter().find(is_of).flatten();
        let begin = segments.begin(times);
        if self.head.begin.is_zero() {
            self.head.begin = begin;
        }
        let Some(length) = segments.length(end, len) else { return };
        let until = Some(begin.saturating_add(length));
        if is_of(&self.video) {
            self.head.video_end = until;
        }
        if is_of(&self.audio) {
            self.head.audio_end = until;
        }
        self.head.end = self.head.end.max(until);
    }

    /// What the first fragment says: its track, and when that begins.
    fn begin_with(&mut self, first: Option<(u32, u64)>) {
        let head = &mut self.head;
        let Some((track, time)) = first.filter(|_| head.begin.is_zero()) else { return };
        let times = [self.video, self.audio].into_iter().flatten().find(|times| times.id == track);
        head.begin = times.map_or(Duration::ZERO, |times| times.shown(time));
        // It may tell how long it plays, or until when.
        head.end =
            head.end.map(|end| if end > head.begin { end } else { head.begin.saturating_add(end) });
    }
}

/// Reads the moov at `at`. One of a progressive film may be megabytes long: of that, what is in front
/// is read.
fn moov(view: &View<'_>, at: u64, header: usize, end: u64, cmaf: bool) -> Result<Index, Probe> {
    let len = usize::try_from(end - at).unwrap_or(usize::MAX);
    let bytes = view.want(at, 0)?;
    let bytes = bytes.get(header..len.min(bytes.len())).unwrap_or(&[]);
    let is_whole = bytes.len() == len - header;
    let is_long = end > PROBE_SIZE as u64;
    let may_come = !view.all && at < view.front.len() as u64;
    if is_whole && is_beside(bytes) {
        return Err(Probe::Unsupported(super::NEITHER));
    }
    let mut index = read_moov(bytes);
    let head = &mut index.head;
    head.shifted |= cmaf || !is_whole;
    index.is_fragmented |= !is_whole && head.end.is_none();
    if is_whole {
        index.is_enough = head.end.is_some() && !index.is_fragmented;
        return Ok(index);
    }
    // What is not there yet may be a picture.
    head.has_picture = head.has_picture.filter(|there| *there);
    index.has_media = true;
    let is_told = head.end.is_some() && (head.video.is_some() || head.audio.is_some());
    if may_come && !(is_long && is_told) {
        return Err(Probe::NeedMore);
    }
    index.is_enough = true;
    let is_seen = tracks_beyond(view, at + header as u64, end, head)?;
    head.is_encrypted = head.is_encrypted.filter(|is_encrypted| *is_encrypted || is_seen);
    Ok(index)
}

/// Reads the tracks of a long moov that are not among the bytes in front, up to the first of each kind,
/// for no others are joined. False if not all of them can be seen.
fn tracks_beyond(
    view: &View<'_>,
    mut at: u64,
    end: u64,
    head: &mut ProbeInfo,
) -> Result<bool, Probe> {
    // What is in front is waited for only if all is.
    let want = |at, count| view.want(at, if view.is_thorough { count } else { 0 });
    for _ in 0..MOST_BOXES {
        if head.video.is_some() && head.audio.is_some() {
            return Ok(true);
        }
        if at >= end {
            head.has_picture = head.has_picture.or(Some(false));
            return Ok(true);
        }
        let found = isobmff::header(want(at, 16)?);
        let Some(isobmff::Header { kind, header, len: Some(len) }) = found else { break };
        if &kind == b"trak" {
            let long = usize::try_from(len).unwrap_or(usize::MAX);
            let bytes = want(at, long.min(TRAK_FRONT))?;
            let payload = bytes.get(header..long.min(bytes.len())).unwrap_or(&[]);
            if track(payload, head).kind == Some(TrackKind::Video) {
                head.has_picture = Some(true);
            }
            head.pre_skip = head.pre_skip.or(opus_pre_skip(payload));
        }
        at = at.saturating_add(len);
    }
    Ok(false)
}

/// CMAF files may shift their pictures by negative composition offsets (ISO/IEC 23000-19
/// §7.5.17), which stand in the fragments.
fn has_negative_offsets(ftyp: &[u8]) -> bool {
    ftyp.chunks_exact(4).any(|brand| matches!(brand, b"cmfc" | b"cmf2"))
}

/// One box, of which perhaps only the beginning is there.
struct Found<'a> {
    kind: [u8; 4],
    payload: &'a [u8],
}

struct Boxes<'a> {
    bytes: &'a [u8],
    at: u64,
}

impl<'a> Iterator for Boxes<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let rest = self.bytes.get(usize::try_from(self.at).ok()?..)?;
        let kind = *rest.get(4..)?.first_chunk()?;
        let (size, header) = match u32::from_be_bytes(*rest.first_chunk()?) {
            // To the end of the file.
            0 => (u64::MAX - self.at, 8),
            1 => (u64::from_be_bytes(*rest.get(8..)?.first_chunk()?), 16),
            size => (u64::from(size), 8),
        };
        if size < header as u64 {
            return None;
        }
        let end = self.at.checked_add(size)?;
        let there = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
        let payload = rest.get(header..there).unwrap_or(&[]);
        self.at = end;
        Some(Found { kind, payload })
    }
}

/// What a moov, or as much of it as is there, says of the whole film.
fn read_moov(moov: &[u8]) -> Index {
    let mut head =
        ProbeInfo { shifted: false, has_picture: Some(false), ..ProbeInfo::of(Format::Mp4) };
    let (mut in_mvhd, mut in_mehd, mut timescale) = (None, None, 0);
    let (mut fragmented, mut has_samples) = (false, false);
    let (mut video, mut audio) = (None, None);
    for child in (Boxes { bytes: moov, at: 0 }) {
        match &child.kind {
            b"mvhd" => {
                if let Some((ticks, scale)) = mvhd_duration(child.payload) {
                    timescale = scale;
                    in_mvhd = meaningful(ticks, timescale);
                }
            }
            b"mvex" => {
                fragmented = true;
                let mehd = descend(child.payload, b"mehd").and_then(mehd_duration);
                in_mehd = mehd.and_then(|ticks| meaningful(ticks, timescale));
            }
            b"trak" => {
                let track = track(child.payload, &mut head);
                let is_picture = track.kind == Some(TrackKind::Video);
                head.has_picture = head.has_picture.map(|any| any || is_picture);
                let there = track.samples.is_some_and(|count| count > 0);
                has_samples |= there;
                let times = Times::read(child.payload);
                let end = times.filter(|_| there).and_then(|times| times.end(timescale));
                match track.kind {
                    Some(TrackKind::Video) if video.is_none() => {
                        (video, head.video_end) = (times, end);
                    }
                    Some(TrackKind::Audio) if audio.is_none() => {
                        (audio, head.audio_end) = (times, end);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    // With samples of its own and fragments behind it, a moov tells of its own samples only.
    let of_all = in_mvhd.filter(|_| !(fragmented && has_samples));
    head.end = in_mehd.or(of_all);
    if has_samples && !fragmented {
        let begins = [video, audio].into_iter().flatten().map(|times| times.begin(timescale));
        head.begin = begins.min().unwrap_or_default();
    }
    if fragmented && has_samples {
        (head.video_end, head.audio_end) = (None, None);
    }
    head.pre_skip = opus_pre_skip(moov).filter(|_| head.audio == Some(Codec::Opus));
    head.in_fragments = fragmented && !has_samples;
    let is_fragmented = fragmented;
    let (is_enough, is_at_start, has_media) = (false, false, has_samples);
    Index { head, is_enough, is_fragmented, has_media, is_at_start, video, audio }
}

/// Whether all tracks of a moov are of other kinds than video and audio: text, say.
fn is_beside(moov: &[u8]) -> bool {
    let handlers = || {
        let traks = Boxes { bytes: moov, at: 0 }.filter(|found| found.kind == *b"trak");
        traks.map(|trak| handler(trak.payload))
    };
    let is_other =
        |handler: Option<&[u8]>| handler.is_some_and(|of| of != b"vide" && of != b"soun");
    handlers().next().is_some() && handlers().all(is_other)
}

/// What kind of media a track is of (§8.4.3).
fn handler(trak: &[u8]) -> Option<&[u8]> {
    let handler = descend(trak, b"mdia").and_then(|mdia| descend(mdia, b"hdlr"));
    handler.and_then(|hdlr| hdlr.get(8..12))
}

/// A track, as far as its container cares.
struct Track {
    kind: Option<TrackKind>,
    samples: Option<u32>,
}

/// Reads a track, or as much of it as is there, and notes in `head` what it says.
fn track(trak: &[u8], head: &mut ProbeInfo) -> Track {
    let edits = descend(trak, b"edts");
    head.shifted |= edits.is_some_and(|edits| !is_plain(edits));
    head.shifted |= has_early_pictures(trak);
    let kind = match handler(trak) {
        Some(b"vide") => Some(TrackKind::Video),
        Some(b"soun") => Some(TrackKind::Audio),
        _ => None,
    };
    let way: [&[u8; 4]; 4] = [b"mdia", b"minf", b"stbl", b"stsd"];
    let stsd = way.into_iter().try_fold(trak, descend).and_then(|stsd| stsd.get(8..));
    let entry = stsd.and_then(|stsd| Boxes { bytes: stsd, at: 0 }.next());
    let codec = entry.as_ref().map(|entry| Codec::of_sample_entry(entry.kind, entry.payload));
    match kind {
        Some(TrackKind::Video) if head.video.is_none() => {
            head.video = codec;
            head.sample_entry = entry.as_ref().and_then(with_all_sets);
        }
        Some(TrackKind::Video) => {}
        Some(TrackKind::Audio) => head.audio = head.audio.or(codec),
        None => return Track { kind, samples: sample_count(trak) },
    }
    let mut entries = stsd.into_iter().flat_map(|stsd| Boxes { bytes: stsd, at: 0 });
    if entries.any(|entry| is_encrypted(&entry)) {
        head.is_encrypted = Some(true);
    }
    Track { kind, samples: sample_count(trak) }
}

/// What a description of video may be called because all parameter sets are in it.
fn with_all_sets(entry: &Found<'_>) -> Option<SampleEntry> {
    /// The fields in front of its boxes (§12.1.3).
    const VISUAL: usize = 78;
    let bytes = entry.payload.get(VISUAL..)?;
    parameter_sets::sample_entry(&entry.kind, |kind| descend(bytes, kind))
}

/// Whether samples of this description are encrypted: it is called so (common encryption, ISO/IEC
/// 23001-7 §4.2, PIFF likewise, FairPlay), or says how.
fn is_encrypted(entry: &Found<'_>) -> bool {
    const SCHEMES: [&[u8; 4]; 7] = [b"cenc", b"cbc1", b"cens", b"cbcs", b"piff", b"itun", b"adkm"];
    let scheme = entry.payload.windows(12).find(|window| window.starts_with(b"schm"));
    entry.kind.starts_with(b"enc")
        || entry.kind.starts_with(b"drm")
        || scheme.is_some_and(|scheme| SCHEMES.iter().any(|known| scheme[8..] == known[..]))
}

/// Whether some samples are shown before they are decoded (§8.6.1.3, and QuickTime in its version 0):
/// ffmpeg counts from when the first is decoded, which is then before 0.
fn has_early_pictures(trak: &[u8]) -> bool {
    let way: [&[u8; 4]; 4] = [b"mdia", b"minf", b"stbl", b"ctts"];
    let entries = way.into_iter().try_fold(trak, descend).and_then(|ctts| ctts.get(8..));
    entries.is_some_and(|entries| entries.chunks_exact(8).any(|entry| entry[4] & 0x80 != 0))
}

/// How many samples a track has in the moov itself (§8.7.3).
fn sample_count(trak: &[u8]) -> Option<u32> {
    let way: [&[u8; 4]; 4] = [b"mdia", b"minf", b"stbl", b"stsz"];
    let stsz = way.into_iter().try_fold(trak, descend)?;
    u32_at(stsz, 8)
}

/// The pre-skip of an Opus track, from the box that stands for its head ("Encapsulation of Opus
/// in ISO Base Media File Format" §4.3.2). Its way down is long (trak, mdia, minf, stbl, stsd,
/// Opus) and its name a word of its own, so it is looked for.
fn opus_pre_skip(moov: &[u8]) -> Option<NonZeroU16> {
    let at = moov.windows(4).position(|window| window == b"dOps")?;
    NonZeroU16::new(u16::from_be_bytes(*moov.get(at + 6..)?.first_chunk()?))
}

fn descend<'a>(parent: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    Boxes { bytes: parent, at: 0 }.find(|found| found.kind == *kind).map(|found| found.payload)
}

/// Duration and timescale (§8.2.2): version and flags, then times of 4 or 8 bytes.
fn mvhd_duration(mvhd: &[u8]) -> Option<(u64, u64)> {
    Some(match mvhd.first()? {
        0 => (u64::from(u32_at(mvhd, 16)?), u64::from(u32_at(mvhd, 12)?)),
        _ => (u64_at(mvhd, 24)?, u64::from(u32_at(mvhd, 20)?)),
    })
}

fn mehd_duration(mehd: &[u8]) -> Option<u64> {
    match mehd.first()? {
        0 => u32_at(mehd, 4).map(u64::from),
        _ => u64_at(mehd, 4),
    }
}

/// Whether an edit list (§8.6.6) only says "from the start": one edit at media time 0.
fn is_plain(edts: &[u8]) -> bool {
    let Some(elst) = descend(edts, b"elst") else { return true };
    let media_time = match elst.first() {
        Some(0) => u32_at(elst, 12).map(u64::from),
        _ => u64_at(elst, 16),
    };
    u32_at(elst, 4) == Some(1) && media_time == Some(0)
}

/// A duration of all ones means "unknown", in either width (§8.2.2.3).
fn meaningful(ticks: u64, timescale: u64) -> Option<Duration> {
    if ticks == u64::MAX || ticks == u64::from(u32::MAX) {
        return None;
    }
    from_ticks(ticks, timescale)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests;

//! Probes ISO base media files (ISO/IEC 14496-12): the position of the index, and the tracks in it.

use std::time::Duration;

use super::{Codec, Format, PROBE_SIZE, Probe, ProbeInfo, View, from_ticks, not_media};
use crate::container::isobmff;
use crate::container::isobmff::fields::{TimeHeader, fragment_duration};
use crate::container::isobmff::partial::{boxes, find};
use crate::container::isobmff::sidx::SegmentIndex;
use crate::error::InputError;
use crate::media::TrackKind;

mod times;
mod track;
use times::{Segments, Times};
use track::{handler, opus_pre_skip, track};

/// The types of boxes that a file may begin with.
const FIRST_BOXES: [&[u8; 4]; 8] =
    [b"ftyp", b"styp", b"moov", b"free", b"skip", b"wide", b"pdin", b"mdat"];

const EMPTY: InputError = InputError::NotMedia("it is an initialization segment without fragments");

/// Returns whether the bytes begin an ISO base media file.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.get(4..8).is_some_and(|kind| FIRST_BOXES.iter().any(|first| *first == kind))
}

/// The maximum number of boxes before the media.
const MAX_BOXES: usize = 64;
/// How much of a trak is read, to reach its sample descriptions, which precede its large tables.
const TRAK_READ: usize = 4 << 10;
/// How much of a moof is read, to reach the decode time of its first track, near its beginning.
const MOOF_READ: usize = 256;

pub(super) fn sniff(view: &View<'_>) -> Result<ProbeInfo, Probe> {
    let (mut at, mut cmaf) = (0u64, false);
    let mut index: Option<Index> = None;
    for _ in 0..MAX_BOXES {
        // Boxes before the index may be long: metadata of a program, for example.
        let bytes = if index.is_none() { view.need(at, 16)? } else { view.want(at, 16)? };
        let Some(isobmff::Header { kind, header, len }) = isobmff::header(bytes) else { break };
        let end = len.map_or(u64::MAX, |len| at.saturating_add(len));
        let long = usize::try_from(end - at).unwrap_or(usize::MAX);
        let here = view.want(at, 0)?;
        let payload = here.get(header..long.min(here.len())).unwrap_or(&[]);
        let is_complete = here.len() >= long;
        match (&kind, &mut index) {
            (b"ftyp", None) if !is_complete && long < PROBE_SIZE => {
                let ftyp = view.want(at, long)?;
                cmaf = is_cmaf(ftyp.get(header..).unwrap_or(&[]));
            }
            (b"ftyp", None) => cmaf = is_cmaf(payload),
            (b"moov", None) => index = Some(moov(view, at, header, end, cmaf)?),
            (b"sidx", Some(found)) => {
                let sidx = view.want(at, long.min(PROBE_SIZE))?;
                let sidx = sidx.get(header..long.min(sidx.len())).unwrap_or(&[]);
                if found.read_sidx(sidx, end, view.len) {
                    return Ok(found.info);
                }
            }
            (b"moof", Some(found)) => {
                let moof = view.want(at, long.min(MOOF_READ))?;
                let first = moof.get(header..).and_then(times::first_time);
                found.info.needs_edit_list |=
                    !found.is_at_start && first.is_none_or(|(_, time)| time != 0);
                found.read_first_fragment(first);
                return Ok(found.info);
            }
            (b"mdat", Some(found)) => return Ok(found.info),
            (b"mdat", None) => {
                return Ok(ProbeInfo { is_faststart: false, ..ProbeInfo::of(Format::Mp4) });
            }
            (b"moof", None) => {
                return Err(not_media(
                    "it is a fragment without its initialization segment (no moov)",
                ));
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
    conclude(index, view.all || ends, ends)
}

/// Returns the verdict when no more boxes can be read. `all` means that no more bytes arrive, `ends` that the
/// file has no more.
fn conclude(index: Option<Index>, all: bool, ends: bool) -> Result<ProbeInfo, Probe> {
    match index {
        Some(index) if ends && !index.has_media => Err(Probe::Unsupported(EMPTY)),
        // The begin of the fragments was not read.
        Some(Index { info, is_at_start: true, .. }) => Ok(info),
        Some(Index { info, is_fragmented, is_enough, .. }) if is_enough || all => {
            Ok(ProbeInfo { needs_edit_list: info.needs_edit_list || is_fragmented, ..info })
        }
        None if all => Err(not_media("it is an MP4 file without an index (no moov)")),
        _ => Err(Probe::NeedMore),
    }
}

/// The facts of a moov, and what they leave open.
#[derive(Clone, Copy)]
struct Index {
    info: ProbeInfo,
    /// Whether later boxes add nothing.
    is_enough: bool,
    is_fragmented: bool,
    /// Whether there are samples or fragments.
    has_media: bool,
    /// Whether a sidx declares that its segments begin at 0.
    is_at_start: bool,
    /// The times of the first video track.
    video: Option<Times>,
    /// The times of the first audio track.
    audio: Option<Times>,
}

impl Index {
    /// Returns whether no further sidx is expected: each of two tracks may have one.
    fn has_all_ends(&self) -> bool {
        let ProbeInfo { video_end, audio_end, .. } = self.info;
        self.video.is_none() || self.audio.is_none() || video_end.is_some() && audio_end.is_some()
    }

    /// Reads a sidx that ends at `end` in a file of `len` bytes; returns whether no later box is needed.
    fn read_sidx(&mut self, sidx: &[u8], end: u64, len: Option<u64>) -> bool {
        self.has_media = true;
        let segments = SegmentIndex::read(sidx).map(Segments::of);
        if let Some(segments) = segments {
            self.read_segments(segments, end, len);
        }
        let is_at_start = segments.is_some_and(|segments| segments.earliest == 0);
        self.is_at_start |= is_at_start;
        // Each track may have a sidx of its own.
        if is_at_start && self.has_all_ends() {
            return true;
        }
        // The first fragment has the begin.
        self.info.needs_edit_list |=
            !is_at_start && end.saturating_add(MOOF_READ as u64) > PROBE_SIZE as u64;
        false
    }

    /// Records the facts of a sidx that ends at `end` in a file of `len` bytes.
    fn read_segments(&mut self, segments: Segments, end: u64, len: Option<u64>) {
        let is_of = |times: &Option<Times>| times.is_some_and(|times| times.id == segments.track);
        let times = [self.video, self.audio].into_iter().find(is_of).flatten();
        let begin = segments.begin(times);
        if self.info.begin.is_zero() {
            self.info.begin = begin;
        }
        let Some(length) = segments.length(end, len) else { return };
        let until = Some(begin.saturating_add(length));
        if is_of(&self.video) {
            self.info.video_end = until;
        }
        if is_of(&self.audio) {
            self.info.audio_end = until;
        }
        self.info.end = self.info.end.max(until);
    }

    /// Records the first fragment: its track, and its decode time.
    fn read_first_fragment(&mut self, first: Option<(u32, u64)>) {
        let info = &mut self.info;
        let Some((track, time)) = first.filter(|_| info.begin.is_zero()) else { return };
        let times = [self.video, self.audio].into_iter().flatten().find(|times| times.id == track);
        info.begin = times.map_or(Duration::ZERO, |times| times.presentation_time(time));
        // The declared duration may mean the duration or the end.
        info.end =
            info.end.map(|end| if end > info.begin { end } else { info.begin.saturating_add(end) });
    }
}

/// Reads the moov at `at`. That of a long progressive file may take megabytes: then only its first bytes
/// are read.
fn moov(view: &View<'_>, at: u64, header: usize, end: u64, cmaf: bool) -> Result<Index, Probe> {
    let len = usize::try_from(end - at).unwrap_or(usize::MAX);
    let bytes = view.want(at, 0)?;
    let bytes = bytes.get(header..len.min(bytes.len())).unwrap_or(&[]);
    let is_complete = bytes.len() == len - header;
    let is_long = end > PROBE_SIZE as u64;
    let may_come = !view.all && at < view.front.len() as u64;
    if is_complete && has_other_tracks_only(bytes) {
        return Err(Probe::Unsupported(super::NEITHER));
    }
    let mut index = read_moov(bytes);
    let info = &mut index.info;
    info.needs_edit_list |= cmaf || !is_complete;
    index.is_fragmented |= !is_complete && info.end.is_none();
    if is_complete {
        index.is_enough = info.end.is_some() && !index.is_fragmented;
        return Ok(index);
    }
    // A track that is not available yet may be video.
    info.has_video = info.has_video.filter(|is_there| *is_there);
    index.has_media = true;
    let has_all_ends = info.end.is_some() && (info.video.is_some() || info.audio.is_some());
    if may_come && !(is_long && has_all_ends) {
        return Err(Probe::NeedMore);
    }
    index.is_enough = true;
    let is_seen = tracks_beyond(view, at + header as u64, end, info)?;
    info.is_encrypted = info.is_encrypted.filter(|is_encrypted| *is_encrypted || is_seen);
    Ok(index)
}

/// Reads the tracks of a long moov that are not among the first bytes, up to the first of each kind, as no
/// others are joined. Returns false if not all of them can be read.
fn tracks_beyond(
    view: &View<'_>,
    mut at: u64,
    end: u64,
    info: &mut ProbeInfo,
) -> Result<bool, Probe> {
    // First bytes are awaited only in a thorough view.
    let want = |at, count| view.want(at, if view.is_thorough { count } else { 0 });
    for _ in 0..MAX_BOXES {
        if info.video.is_some() && info.audio.is_some() {
            return Ok(true);
        }
        if at >= end {
            info.has_video = info.has_video.or(Some(false));
            return Ok(true);
        }
        let found = isobmff::header(want(at, 16)?);
        let Some(isobmff::Header { kind, header, len: Some(len) }) = found else { break };
        if &kind == b"trak" {
            let long = usize::try_from(len).unwrap_or(usize::MAX);
            let bytes = want(at, long.min(TRAK_READ))?;
            let payload = bytes.get(header..long.min(bytes.len())).unwrap_or(&[]);
            if track(payload, info).kind == Some(TrackKind::Video) {
                info.has_video = Some(true);
            }
            info.pre_skip = info.pre_skip.or(opus_pre_skip(payload));
        }
        at = at.saturating_add(len);
    }
    Ok(false)
}

/// Returns whether the brands declare CMAF, whose fragments may have negative composition offsets
/// (ISO/IEC 23000-19 §7.5.17).
fn is_cmaf(ftyp: &[u8]) -> bool {
    ftyp.chunks_exact(4).any(|brand| matches!(brand, b"cmfc" | b"cmf2"))
}

/// Reads a moov, or its available beginning.
fn read_moov(moov: &[u8]) -> Index {
    let mut info =
        ProbeInfo { needs_edit_list: false, has_video: Some(false), ..ProbeInfo::of(Format::Mp4) };
    let (mut in_mvhd, mut in_mehd, mut timescale) = (None, None, 0);
    let (mut fragmented, mut has_samples) = (false, false);
    let (mut video, mut audio) = (None, None);
    for child in boxes(moov) {
        match &child.kind {
            b"mvhd" => {
                if let Some(header) = TimeHeader::read(child.payload) {
                    timescale = header.timescale.into();
                    in_mvhd = header.duration.and_then(|ticks| from_ticks(ticks, timescale));
                }
            }
            b"mvex" => {
                fragmented = true;
                let mehd = find(child.payload, &[b"mehd"]).and_then(fragment_duration);
                in_mehd = mehd.and_then(|ticks| from_ticks(ticks, timescale));
            }
            b"trak" => {
                let track = track(child.payload, &mut info);
                let is_video = track.kind == Some(TrackKind::Video);
                info.has_video = info.has_video.map(|any| any || is_video);
                let is_there = track.samples.is_some_and(|count| count > 0);
                has_samples |= is_there;
                let times = Times::read(child.payload);
                let end = times.filter(|_| is_there).and_then(|times| times.end(timescale));
                match track.kind {
                    Some(TrackKind::Video) if video.is_none() => {
                        (video, info.video_end) = (times, end);
                    }
                    Some(TrackKind::Audio) if audio.is_none() => {
                        (audio, info.audio_end) = (times, end);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    // The durations of a moov with samples do not cover the fragments after it.
    let of_all = in_mvhd.filter(|_| !(fragmented && has_samples));
    info.end = in_mehd.or(of_all);
    if has_samples && !fragmented {
        let begins = [video, audio].into_iter().flatten().map(|times| times.begin(timescale));
        info.begin = begins.min().unwrap_or_default();
    }
    if fragmented && has_samples {
        (info.video_end, info.audio_end) = (None, None);
    }
    info.pre_skip = opus_pre_skip(moov).filter(|_| info.audio == Some(Codec::Opus));
    info.in_fragments = fragmented && !has_samples;
    let is_fragmented = fragmented;
    let (is_enough, is_at_start, has_media) = (false, false, has_samples);
    Index { info, is_enough, is_fragmented, has_media, is_at_start, video, audio }
}

/// Returns whether all tracks of a moov are of other kinds than video and audio, such as text.
fn has_other_tracks_only(moov: &[u8]) -> bool {
    let handlers = || {
        let traks = boxes(moov).filter(|found| found.kind == *b"trak");
        traks.map(|trak| handler(trak.payload))
    };
    let is_other =
        |handler: Option<&[u8; 4]>| handler.is_some_and(|of| of != b"vide" && of != b"soun");
    handlers().next().is_some() && handlers().all(is_other)
}

#[cfg(test)]
mod tests;

//! Reads what the joined file has to tell of a transport stream before its media: the streams, the
//! configurations of their decoders, and the first timestamps.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::scan::{self, Scan, Streams};
use super::{Entry, Firsts, LATER, Part, Segment, Track};
use crate::container::completeness::Incomplete;
use crate::container::mpeg_ts::{Times, ticks};
use crate::container::probe::{Codec, Format};
use crate::splice::{ReadAt, SourceSegment, SurveyError, Unsupported};

/// The maximum number of segments.
const MAX_SEGMENTS: usize = 1 << 16;
/// The maximum number of parts between discontinuities.
const MAX_PARTS: usize = 64;

/// The maximum number of segments in which the key frame before the start of a time range is looked for.
const MAX_KEY_SEGMENTS: usize = 8;

/// Reads the index of a transport stream in segments, or of packed audio, if that is the format. Finds the
/// key frame with which a time range begins that starts at `start`.
pub(in crate::splice) fn read_index(
    format: Format,
    reader: &mut dyn ReadAt,
    start: Duration,
) -> Result<Track, SurveyError> {
    let packed = packed_codec(format);
    let Segments { list, starts, end } = segments(reader)?;
    let scans = starts.iter().map(|index| Scan::new(list[*index], packed));
    let mut scans = scans.collect::<Result<Vec<_>, _>>()?.into_iter();
    let mut first = scans.next().ok_or(NO_SEGMENTS)?;
    first.run(reader)?;
    let later: Vec<_> = scans.map(Mutex::new).collect();
    read_later(reader, &later)?;
    let (video, audio) = first.streams()?;
    let is_packed = packed.is_some();
    let (segments, parts) = (list, Vec::new());
    let mut track = Track { video, audio, is_packed, segments, end, parts, entry: None };
    track.add_first_part();
    for (scan, segment) in later.into_iter().zip(starts.into_iter().skip(1)) {
        let scan = scan.into_inner().unwrap_or_else(PoisonError::into_inner);
        let firsts = track.firsts_of(scan.streams()?)?;
        track.parts.push(Part { segment, firsts });
    }
    track.entry = find_entry(reader, &track, ticks(start))?;
    Ok(track)
}

/// Reads the beginning of a file in segments of unknown length, if that is the format, from its first bytes,
/// `is_all` of the first segment; `None` if more of them are needed. The file lasts for `duration`, if that
/// is known.
pub(in crate::splice) fn read_front(
    format: Format,
    front: &[u8],
    is_all: bool,
    duration: Option<Duration>,
) -> Result<Option<Track>, Unsupported> {
    let packed = packed_codec(format);
    let Some((video, audio)) = scan::read_front(front, is_all, packed)? else { return Ok(None) };
    let (segments, end) = (Vec::new(), duration.map_or(0, ticks));
    let is_packed = packed.is_some();
    let mut track =
        Track { video, audio, is_packed, segments, end, parts: Vec::new(), entry: None };
    track.add_first_part();
    Ok(Some(track))
}

/// Returns the first key frame of the last segment whose first one is presented at `start` or before;
/// `None` if that is the first segment.
fn find_entry(
    reader: &mut dyn ReadAt,
    track: &Track,
    start: u64,
) -> Result<Option<Entry>, SurveyError> {
    let Some(video) = &track.video else { return Ok(None) };
    // Declared times are not exact.
    let last = track.segment_at(start.saturating_add(LATER), 0).saturating_sub(1);
    for segment in (1..=last).rev().take(MAX_KEY_SEGMENTS) {
        let mut scan = Scan::for_key_frame(track.segments[segment], &video.config);
        scan.run(reader)?;
        if let Some(times) = scan.key_frame()
            && track.presentation(segment, times.pts).1 <= start
        {
            return Ok(Some(Entry { segment, times }));
        }
    }
    if last > MAX_KEY_SEGMENTS {
        return Err(Unsupported("no segment before the requested start has a key frame").into());
    }
    Ok(None)
}

/// Returns the codec of packed audio of this format.
fn packed_codec(format: Format) -> Option<Codec> {
    Some(match format {
        Format::Adts => Codec::Aac,
        Format::Ac3 => Codec::Ac3,
        Format::Eac3 => Codec::Eac3,
        Format::Mp3 => Codec::Mp3,
        _ => return None,
    })
}

/// Reads the first segments behind discontinuities.
fn read_later(reader: &mut dyn ReadAt, scans: &[Mutex<Scan>]) -> Result<(), SurveyError> {
    if scans.is_empty() {
        return Ok(());
    }
    let lock = |scan: &Mutex<Scan>| -> Range<u64> {
        scan.lock().unwrap_or_else(PoisonError::into_inner).begin()
    };
    let begins = scans.iter().map(lock).collect();
    reader.chains(begins, &|chain, at, bytes| {
        scans[chain].lock().unwrap_or_else(PoisonError::into_inner).take(at, bytes)
    })
}

/// The segments of a file, with the sums of their durations.
struct Segments {
    list: Vec<Segment>,
    /// The first segment, and those after discontinuities.
    starts: Vec<usize>,
    end: u64,
}

fn segments(reader: &dyn ReadAt) -> Result<Segments, SurveyError> {
    let list = reader
        .segments()
        .ok_or(Unsupported("the transport stream is not divided into segments of known length"))?;
    if list.is_empty() || list.len() > MAX_SEGMENTS {
        return Err(NO_SEGMENTS.into());
    }
    let is_start = |index: &usize| *index == 0 || list[*index].is_discontinuous;
    let starts: Vec<_> = (0..list.len()).filter(is_start).collect();
    if starts.len() > MAX_PARTS {
        return Err(Unsupported("there are too many discontinuities").into());
    }
    let (mut next, mut time) = (0, Duration::ZERO);
    let mut segments = Vec::with_capacity(list.len());
    for segment @ SourceSegment { offset, len, duration, .. } in list {
        if *len == 0 {
            return Err(Incomplete("a segment is empty").into());
        }
        if *offset != next {
            return Err(Unsupported("a segment is not where it should be").into());
        }
        let (from, len, declared) = (*offset, *len, segment.declared());
        segments.push(Segment { from, len, time: ticks(time), declared });
        next = offset.checked_add(len).ok_or(TOO_LONG)?;
        time = time.checked_add(*duration).filter(|time| *time < MAX_DURATION).ok_or(TOO_LONG)?;
    }
    if next != reader.len() {
        return Err(Unsupported("the segments are not the whole file").into());
    }
    Ok(Segments { list: segments, starts, end: ticks(time) })
}

const MAX_DURATION: Duration = Duration::from_secs(1000 * 24 * 3600);
const NO_SEGMENTS: Unsupported = Unsupported("there are no segments, or too many");
const TOO_LONG: Unsupported = Unsupported("the segments are too long");

impl Track {
    fn add_first_part(&mut self) {
        let firsts = Firsts { video: self.video_first(), audio: self.audio_first() };
        self.parts.push(Part { segment: 0, firsts });
    }

    fn video_first(&self) -> Option<Times> {
        self.video.as_ref().map(|video| video.first)
    }

    fn audio_first(&self) -> Option<u64> {
        self.audio.as_ref().and_then(|audio| audio.first)
    }

    /// Returns the first timestamps of streams after a discontinuity, which must be like those before.
    fn firsts_of(&self, (video, audio): Streams) -> Result<Firsts, Unsupported> {
        let is_same_video = match (&self.video, &video) {
            (Some(own), Some(other)) => own.config.is_compatible(&other.config),
            (own, other) => own.is_none() && other.is_none(),
        };
        let is_same_audio = match (&self.audio, &audio) {
            (Some(own), Some(other)) => own.config.is_compatible(&other.config),
            (own, other) => own.is_none() && other.is_none(),
        };
        if !is_same_video || !is_same_audio {
            return Err(Unsupported("the streams are others after a discontinuity"));
        }
        let video = video.map(|video| video.first);
        Ok(Firsts { video, audio: audio.and_then(|audio| audio.first) })
    }
}

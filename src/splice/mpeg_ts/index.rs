//! Reads what the joined file has to tell of a transport stream before its media: the streams, the
//! configurations of their decoders, and the first timestamps.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::region::packets_begin;
use super::remux::times;
use super::{AudioTrack, Firsts, Part, SCALE, Segment, Track, VideoTrack};
use crate::container::mpeg_ts::packet::PACKET_SIZE;
use crate::container::mpeg_ts::{
    AudioConfig, AudioFrame, AudioFrames, Demuxer, Event, Malformed, Program, Times, VideoConfig,
    VideoUnit, VideoUnits,
};
use crate::container::probe::{Codec, PROBE_SIZE};
use crate::splice::edits::{NANOS, Rescale};
use crate::splice::{ENCRYPTED, ReadAt, SourceSegment, SurveyError, Unsupported};

/// The maximum number of segments.
const MAX_SEGMENTS: usize = 1 << 16;
/// The maximum number of parts between discontinuities.
const MAX_PARTS: usize = 64;
/// How much of a segment is read to find the first frames.
const MAX_HEAD: u64 = 4 << 20;
/// The number of bytes that are read at once.
const STEP: u64 = 256 << 10;

/// Reads the index of a transport stream in segments.
pub(in crate::splice) fn read_index(reader: &mut dyn ReadAt) -> Result<Track, SurveyError> {
    let Segments { list, starts, end } = segments(reader)?;
    let mut scans = starts.iter().map(|index| Scan::new(list[*index]));
    let mut first = scans.next().ok_or(NO_SEGMENTS)?;
    let mut range = Some(first.begin());
    while let Some(next) = range {
        range = first.take(next.start, &reader.read_at(next)?)?;
    }
    let later: Vec<_> = scans.map(Mutex::new).collect();
    read_later(reader, &later)?;
    let (video, audio) = first.head.streams()?;
    let mut track = Track { video, audio, segments: list, end, parts: Vec::new() };
    let firsts = Firsts { video: track.video_first(), audio: track.audio_first() };
    track.parts.push(Part { segment: 0, firsts });
    for (scan, segment) in later.into_iter().zip(starts.into_iter().skip(1)) {
        let scan = scan.into_inner().unwrap_or_else(PoisonError::into_inner);
        let firsts = track.firsts_of(scan.head.streams()?)?;
        track.parts.push(Part { segment, firsts });
    }
    Ok(track)
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

/// Finds the first frames of a segment.
struct Scan {
    segment: Segment,
    head: Head,
    is_begun: bool,
}

impl Scan {
    fn new(segment: Segment) -> Scan {
        Scan { segment, head: Head::default(), is_begun: false }
    }

    /// Returns the first range to read. The first bytes of a file are there, without a request.
    fn begin(&self) -> Range<u64> {
        self.segment.from..self.segment.from + self.segment.len.min(PROBE_SIZE as u64)
    }

    /// Takes the bytes at this offset of the file; returns the range to read next.
    fn take(&mut self, at: u64, bytes: &[u8]) -> Result<Option<Range<u64>>, SurveyError> {
        let Segment { from, len, .. } = self.segment;
        let skipped = match std::mem::replace(&mut self.is_begun, true) {
            true => 0,
            false => packets_begin(bytes, len)
                .ok_or(Unsupported("a segment does not consist of complete packets"))?,
        };
        let (packets, _) = bytes[skipped..].as_chunks();
        for packet in packets {
            if !self.head.is_complete() {
                self.head.take(packet)?;
            }
        }
        let next = at + (skipped + packets.len() * PACKET_SIZE) as u64;
        let is_over = next + PACKET_SIZE as u64 > from + len;
        if self.head.is_complete() || is_over {
            self.head.finish()?;
            return Ok(None);
        }
        if next - from >= MAX_HEAD {
            return Err(Unsupported("the first frames are too far from the beginning").into());
        }
        Ok(Some(next..(next + STEP).min(from + len)))
    }
}

/// The segments of a file, with the sums of their durations.
struct Segments {
    list: Vec<Segment>,
    /// The first segment, and those after discontinuities.
    starts: Vec<usize>,
    end: u64,
}

fn segments(reader: &dyn ReadAt) -> Result<Segments, Unsupported> {
    let list = reader
        .segments()
        .ok_or(Unsupported("the transport stream is not divided into segments of known length"))?;
    if list.is_empty() || list.len() > MAX_SEGMENTS {
        return Err(NO_SEGMENTS);
    }
    let is_start = |index: &usize| *index == 0 || list[*index].is_discontinuous;
    let starts: Vec<_> = (0..list.len()).filter(is_start).collect();
    if starts.len() > MAX_PARTS {
        return Err(Unsupported("there are too many discontinuities"));
    }
    let scale = Rescale { from: NANOS, to: SCALE };
    let ticks = |time: Duration| {
        scale.round(u64::try_from(time.as_nanos()).map_err(|_| TOO_LONG)?).map_err(|_| TOO_LONG)
    };
    let (mut next, mut time) = (0, Duration::ZERO);
    let mut segments = Vec::with_capacity(list.len());
    for SourceSegment { offset, len, duration, .. } in list {
        if *offset != next || *len == 0 {
            return Err(Unsupported("a segment is empty, or not where it should be"));
        }
        segments.push(Segment { from: *offset, len: *len, time: ticks(time)? });
        next = offset.checked_add(*len).ok_or(TOO_LONG)?;
        time = time.checked_add(*duration).filter(|time| *time < MAX_DURATION).ok_or(TOO_LONG)?;
    }
    if next != reader.len() {
        return Err(Unsupported("the segments are not the whole file"));
    }
    Ok(Segments { list: segments, starts, end: ticks(time)? })
}

const MAX_DURATION: Duration = Duration::from_secs(1000 * 24 * 3600);
const NO_SEGMENTS: Unsupported = Unsupported("there are no segments, or too many");
const TOO_LONG: Unsupported = Unsupported("the segments are too long");

/// What was found so far.
#[derive(Default)]
struct Head {
    demuxer: Demuxer,
    video: Option<VideoHead>,
    audio: Option<AudioHead>,
    has_program: bool,
}

struct VideoHead {
    pid: u16,
    codec: Codec,
    units: VideoUnits,
    first: Option<Times>,
    config: Option<VideoConfig>,
}

struct AudioHead {
    pid: u16,
    codec: Codec,
    frames: AudioFrames,
    first: Option<u64>,
    config: Option<AudioConfig>,
}

impl Head {
    fn is_complete(&self) -> bool {
        self.has_program
            && self.video.as_ref().is_none_or(|video| video.config.is_some())
            && self.audio.as_ref().is_none_or(|audio| audio.config.is_some())
    }

    fn take(&mut self, packet: &[u8; PACKET_SIZE]) -> Result<(), Unsupported> {
        let Head { demuxer, video, audio, has_program } = self;
        let mut sink = |index, event: Event<'_>| match (index, video.as_mut(), audio.as_mut()) {
            (0, Some(video), _) => video.take(event),
            (_, _, Some(audio)) => audio.take(event),
            _ => Ok(()),
        };
        let program = demuxer.push(packet, &mut sink).map_err(unsupported)?;
        if let Some(program) = program.filter(|_| !*has_program) {
            self.select(&program)?;
        }
        Ok(())
    }

    fn select(&mut self, program: &Program) -> Result<(), Unsupported> {
        if program.is_encrypted() {
            return Err(ENCRYPTED);
        }
        const OTHER_CODEC: Unsupported =
            Unsupported("the transport stream has a codec that is not supported");
        let mut pids = Vec::new();
        if let Some((pid, codec)) = program.video() {
            let units = VideoUnits::new(codec).ok_or(OTHER_CODEC)?;
            self.video = Some(VideoHead { pid, codec, units, first: None, config: None });
            pids.push(pid);
        }
        if let Some((pid, codec)) = program.audio() {
            let frames = AudioFrames::new(codec).ok_or(OTHER_CODEC)?;
            self.audio = Some(AudioHead { pid, codec, frames, first: None, config: None });
            pids.push(pid);
        }
        if pids.is_empty() {
            return Err(Unsupported("the transport stream has neither video nor audio"));
        }
        self.demuxer.select(&pids);
        self.has_program = true;
        Ok(())
    }

    /// Ends the last frame, at the end of the segment.
    fn finish(&mut self) -> Result<(), Unsupported> {
        let Some(video) = &mut self.video else { return Ok(()) };
        let VideoHead { codec, units, first, config, .. } = video;
        let mut sink = |unit: VideoUnit<'_>| {
            read_video(*codec, unit, first, config);
            Ok(())
        };
        units.finish(&mut sink).map_err(unsupported)
    }

    fn streams(self) -> Result<(Option<VideoTrack>, Option<AudioTrack>), Unsupported> {
        if !self.is_complete() {
            return Err(Unsupported("a stream has no complete frame in the first segment"));
        }
        let video = self.video.and_then(|VideoHead { pid, codec, first, config, .. }| {
            Some(VideoTrack { pid, codec, config: config?, first: first? })
        });
        let audio = self.audio.and_then(|AudioHead { pid, codec, first, config, .. }| {
            Some(AudioTrack { pid, codec, config: config?, first: first? })
        });
        Ok((video, audio))
    }
}

impl VideoHead {
    fn take(&mut self, event: Event<'_>) -> Result<(), Malformed> {
        let VideoHead { codec, units, first, config, .. } = self;
        match event {
            Event::Begin(header) => {
                units.begin_packet(times(&header, 0));
                Ok(())
            }
            Event::Data(data) => units.push(data, &mut |unit, _| {
                read_video(*codec, unit, first, config);
                Ok(())
            }),
        }
    }
}

/// Reads the parameter sets of a frame, and the timestamps of the first one.
fn read_video(
    codec: Codec,
    unit: VideoUnit<'_>,
    first: &mut Option<Times>,
    config: &mut Option<VideoConfig>,
) {
    first.get_or_insert(unit.times);
    if config.is_none() {
        *config = VideoConfig::read(codec, &unit);
    }
}

impl AudioHead {
    fn take(&mut self, event: Event<'_>) -> Result<(), Malformed> {
        let AudioHead { codec, frames, first, config, .. } = self;
        match event {
            Event::Begin(header) => {
                frames.begin_packet(header.pts);
                Ok(())
            }
            Event::Data(data) => frames.push(data, &mut |frame: AudioFrame<'_>| {
                if config.is_none() {
                    *first = Some(frame.pts.ok_or(Malformed("the first frame has no timestamp"))?);
                    *config = Some(AudioConfig::read(*codec, frame.bytes)?);
                }
                Ok(())
            }),
        }
    }
}

fn unsupported(error: Malformed) -> Unsupported {
    if error == Malformed::SCRAMBLED { ENCRYPTED } else { Unsupported(error.0) }
}

impl Track {
    fn video_first(&self) -> Option<Times> {
        self.video.as_ref().map(|video| video.first)
    }

    fn audio_first(&self) -> Option<u64> {
        self.audio.as_ref().map(|audio| audio.first)
    }

    /// Returns the first timestamps of streams after a discontinuity, which must be like those before.
    fn firsts_of(
        &self,
        (video, audio): (Option<VideoTrack>, Option<AudioTrack>),
    ) -> Result<Firsts, Unsupported> {
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
        Ok(Firsts { video, audio: audio.map(|audio| audio.first) })
    }
}

//! Reads what the joined file has to tell of a transport stream before its media: the streams, the
//! configurations of their decoders, and the first timestamps.

use std::time::Duration;

use super::remux::times;
use super::{AudioTrack, SCALE, Segment, Track, VideoTrack};
use crate::container::mpeg_ts::packet::{PACKET_SIZE, SYNC_BYTE};
use crate::container::mpeg_ts::{
    AudioConfig, AudioFrame, AudioFrames, Demuxer, Event, Malformed, Program, Times, VideoConfig,
    VideoUnit, VideoUnits,
};
use crate::container::probe::{Codec, PROBE_SIZE, Probe, View, probe};
use crate::splice::edits::{NANOS, Rescale};
use crate::splice::{ENCRYPTED, ReadAt, SourceSegment, SurveyError, Unsupported};

/// The maximum number of segments.
const MAX_SEGMENTS: usize = 1 << 16;
/// How much of the first segment is read to find the first frames.
const MAX_HEAD: u64 = 4 << 20;
/// The number of bytes that are read at once.
const STEP: u64 = 256 << 10;

/// Reads the index of a transport stream in segments.
pub(in crate::splice) fn read_index(reader: &mut dyn ReadAt) -> Result<Track, SurveyError> {
    let segments = segments(reader)?;
    let first = segments.list.first().map_or(0, |first| first.len);
    let mut head = Head::default();
    let mut at = packets_begin(reader, first)?;
    while !head.is_complete() && at + (PACKET_SIZE as u64) <= first {
        if at >= MAX_HEAD {
            return Err(Unsupported("the first frames are too far from the beginning").into());
        }
        // The first bytes are there, without a request.
        let end = if at < PROBE_SIZE as u64 { PROBE_SIZE as u64 } else { at + STEP };
        let end = end.max(at + PACKET_SIZE as u64).min(first);
        let bytes = reader.read_at(at..end)?;
        let (packets, _) = bytes.as_chunks();
        at += (packets.len() * PACKET_SIZE) as u64;
        for packet in packets {
            if !head.is_complete() {
                head.take(packet)?;
            }
        }
    }
    head.finish()?;
    let (video, audio) = head.streams()?;
    Ok(Track { video, audio, segments: segments.list, end: segments.end })
}

/// The segments of a file, with the sums of their durations.
struct Segments {
    list: Vec<Segment>,
    end: u64,
}

fn segments(reader: &dyn ReadAt) -> Result<Segments, Unsupported> {
    let list = reader
        .segments()
        .ok_or(Unsupported("the transport stream is not divided into segments of known length"))?;
    if list.is_empty() || list.len() > MAX_SEGMENTS {
        return Err(Unsupported("there are no segments, or too many"));
    }
    if list[1..].iter().any(|segment| segment.is_discontinuous) {
        return Err(Unsupported("the timestamps of the segments are not continuous"));
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
    Ok(Segments { list: segments, end: ticks(time)? })
}

const MAX_DURATION: Duration = Duration::from_secs(1000 * 24 * 3600);
const TOO_LONG: Unsupported = Unsupported("the segments are too long");

/// Returns where the packets of the first segment begin: behind an image, if one disguises them.
fn packets_begin(reader: &mut dyn ReadAt, len: u64) -> Result<u64, SurveyError> {
    let front = reader.read_at(0..len.min(PACKET_SIZE as u64))?;
    if front.first() == Some(&SYNC_BYTE) && len.is_multiple_of(PACKET_SIZE as u64) {
        return Ok(0);
    }
    let front = reader.read_at(0..len.min(PROBE_SIZE as u64))?;
    match probe(&View::front(&front, Some(len), true)) {
        Probe::Recognised(info) if (len - info.skip).is_multiple_of(PACKET_SIZE as u64) => {
            Ok(info.skip)
        }
        _ => Err(Unsupported("a segment does not consist of complete packets").into()),
    }
}

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
                units.begin_packet(times(&header));
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

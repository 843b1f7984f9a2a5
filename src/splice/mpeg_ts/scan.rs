//! [`Scan`] finds the first frames of a segment: the streams, the configurations of their decoders, and the
//! first timestamps.

use std::ops::Range;

use super::region::{find_packets, packets_begin};
use super::timing::times;
use super::{AudioTrack, Segment, VideoTrack};
use crate::container::mpeg_ts::packet::PACKET_SIZE;
use crate::container::mpeg_ts::{
    AudioConfig, AudioFrame, AudioFrames, Demuxer, Event, Malformed, PackedAudio, Program, Times,
    VideoConfig, VideoUnit, VideoUnits,
};
use crate::container::probe::{Codec, PROBE_SIZE};
use crate::splice::{ENCRYPTED, ReadAt, SurveyError, Unsupported};

/// How much of a segment is read to find the first frames.
const MAX_HEAD: u64 = 4 << 20;
/// The number of bytes that are read at once.
const STEP: u64 = 256 << 10;

/// Finds the first frames of a segment.
pub(super) struct Scan {
    segment: Segment,
    head: Head,
    is_begun: bool,
}

/// The streams of a segment.
pub(super) type Streams = (Option<VideoTrack>, Option<AudioTrack>);

impl Scan {
    /// Returns a scan of a segment of packets, or of packed audio of this codec.
    pub(super) fn new(segment: Segment, packed: Option<Codec>) -> Result<Scan, Unsupported> {
        let head = packed.map_or(Ok(Head::default()), Head::packed)?;
        Ok(Scan { segment, head, is_begun: false })
    }

    /// Returns a scan for the first key frame of a segment with video of this configuration.
    pub(super) fn for_key_frame(segment: Segment, config: &VideoConfig) -> Scan {
        let head = Head { sought: Some(config.clone()), ..Head::default() };
        Scan { segment, head, is_begun: false }
    }

    /// Reads as much of the segment as is needed.
    pub(super) fn run(&mut self, reader: &mut dyn ReadAt) -> Result<(), SurveyError> {
        let mut range = Some(self.begin());
        while let Some(next) = range {
            range = self.take(next.start, &reader.read_at(next)?)?;
        }
        Ok(())
    }

    /// Returns the timestamps of the first key frame, if that was sought, and found.
    pub(super) fn key_frame(&self) -> Option<Times> {
        let facts = &self.head.video.as_ref()?.facts;
        facts.first.filter(|_| facts.sought.is_some())
    }

    /// Returns what was found.
    pub(super) fn streams(self) -> Result<Streams, Unsupported> {
        self.head.streams()
    }

    /// Returns the first range to read. The first bytes of a file are there, without a request.
    pub(super) fn begin(&self) -> Range<u64> {
        self.segment.from..self.segment.from + self.segment.len.min(PROBE_SIZE as u64)
    }

    /// Takes the bytes at this offset of the file; returns the range to read next.
    pub(super) fn take(
        &mut self,
        at: u64,
        bytes: &[u8],
    ) -> Result<Option<Range<u64>>, SurveyError> {
        let Segment { from, len, .. } = self.segment;
        let taken = if self.head.packed.is_some() {
            self.head.take_packed(bytes)?;
            bytes.len()
        } else {
            self.take_packets(bytes)?
        };
        let next = at + taken as u64;
        let min = if self.head.packed.is_some() { 1 } else { PACKET_SIZE as u64 };
        if self.head.is_complete() || next + min > from + len {
            self.head.finish()?;
            return Ok(None);
        }
        if next - from >= MAX_HEAD {
            return Err(Unsupported("the first frames are too far from the beginning").into());
        }
        Ok(Some(next..(next + STEP).min(from + len)))
    }

    /// Takes the packets in these bytes; returns how many of them.
    fn take_packets(&mut self, bytes: &[u8]) -> Result<usize, Unsupported> {
        let skipped = match std::mem::replace(&mut self.is_begun, true) {
            true => 0,
            false => packets_begin(bytes, self.segment.len)
                .ok_or(Unsupported("a segment does not consist of complete packets"))?,
        };
        let (packets, _) = bytes[skipped..].as_chunks();
        for packet in packets {
            if !self.head.is_complete() {
                self.head.take(packet)?;
            }
        }
        Ok(skipped + packets.len() * PACKET_SIZE)
    }
}

/// Returns the streams of a file that begins with these bytes, `is_all` of its first segment; `None` if more
/// of them are needed.
pub(super) fn read_front(
    front: &[u8],
    is_all: bool,
    packed: Option<Codec>,
) -> Result<Option<Streams>, Unsupported> {
    let mut head = packed.map_or(Ok(Head::default()), Head::packed)?;
    if packed.is_some() {
        head.take_packed(front)?;
    } else if let Some(begin) = find_packets(front) {
        let (packets, _) = front[begin..].as_chunks();
        for packet in packets {
            if !head.is_complete() {
                head.take(packet)?;
            }
        }
    }
    if is_all {
        head.finish()?;
    } else if !head.is_complete() {
        return Ok(None);
    }
    head.streams().map(Some)
}

/// What was found so far.
#[derive(Default)]
struct Head {
    demuxer: Demuxer,
    packed: Option<PackedAudio>,
    video: Option<VideoHead>,
    audio: Option<AudioHead>,
    has_program: bool,
    /// The configuration of the video whose first key frame is sought, and nothing else.
    sought: Option<VideoConfig>,
}

const OTHER_CODEC: Unsupported =
    Unsupported("the transport stream has a codec that is not supported");

struct VideoHead {
    pid: u16,
    units: VideoUnits,
    facts: VideoFacts,
}

struct VideoFacts {
    codec: Codec,
    first: Option<Times>,
    config: Option<VideoConfig>,
    /// The configuration of the video if its first frame is the first key frame.
    sought: Option<VideoConfig>,
}

struct AudioHead {
    pid: u16,
    codec: Codec,
    frames: AudioFrames,
    first: Option<u64>,
    config: Option<AudioConfig>,
}

impl Head {
    fn packed(codec: Codec) -> Result<Head, Unsupported> {
        let audio = Some(AudioHead::new(0, codec)?);
        Ok(Head {
            packed: Some(PackedAudio::default()),
            audio,
            has_program: true,
            ..Head::default()
        })
    }

    fn is_complete(&self) -> bool {
        self.has_program
            && self.video.as_ref().is_none_or(|video| video.facts.config.is_some())
            && self.audio.as_ref().is_none_or(|audio| audio.config.is_some())
    }

    fn take(&mut self, packet: &[u8; PACKET_SIZE]) -> Result<(), Unsupported> {
        let Head { demuxer, video, audio, has_program, .. } = self;
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

    fn take_packed(&mut self, bytes: &[u8]) -> Result<(), Unsupported> {
        let (Some(packed), Some(audio)) = (&mut self.packed, &mut self.audio) else {
            return Ok(());
        };
        packed.push(bytes, None, &mut |event| audio.take(event)).map_err(unsupported)
    }

    fn select(&mut self, program: &Program) -> Result<(), Unsupported> {
        if program.is_encrypted() {
            return Err(ENCRYPTED);
        }
        let mut pids = Vec::new();
        if let Some((pid, codec)) = program.video() {
            let units = VideoUnits::new(codec).ok_or(OTHER_CODEC)?;
            let sought = self.sought.clone();
            let facts = VideoFacts { codec, first: None, config: None, sought };
            self.video = Some(VideoHead { pid, units, facts });
            pids.push(pid);
        }
        if let Some((pid, codec)) = program.audio().filter(|_| self.sought.is_none()) {
            self.audio = Some(AudioHead::new(pid, codec)?);
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
        let VideoHead { units, facts, .. } = video;
        let mut sink = |unit: VideoUnit<'_>| {
            facts.read(&unit);
            Ok(())
        };
        units.finish(&mut sink).map_err(unsupported)
    }

    fn streams(self) -> Result<Streams, Unsupported> {
        if !self.is_complete() {
            return Err(Unsupported("a stream has no complete frame in the first segment"));
        }
        let is_timed = |audio: &AudioHead| audio.first.is_some();
        if self.packed.is_none() && !self.audio.as_ref().is_none_or(is_timed) {
            return Err(Unsupported("the first frame has no timestamp"));
        }
        let video = self.video.and_then(|VideoHead { pid, facts, .. }| {
            let VideoFacts { codec, first, config, .. } = facts;
            Some(VideoTrack { pid, codec, config: config?, first: first? })
        });
        let audio = self.audio.and_then(|AudioHead { pid, codec, first, config, .. }| {
            Some(AudioTrack { pid, codec, config: config?, first })
        });
        Ok((video, audio))
    }
}

impl VideoHead {
    fn take(&mut self, event: Event<'_>) -> Result<(), Malformed> {
        let VideoHead { units, facts, .. } = self;
        match event {
            Event::Begin(header) => {
                units.begin_packet(times(&header, 0));
                Ok(())
            }
            Event::Data(data) => units.push(data, &mut |unit, _| {
                facts.read(&unit);
                Ok(())
            }),
        }
    }
}

impl VideoFacts {
    /// Reads the parameter sets of a frame, and the timestamps of the first one.
    fn read(&mut self, unit: &VideoUnit<'_>) {
        let VideoFacts { codec, first, config, sought } = self;
        if let Some(sought) = sought {
            if config.is_none() && sought.is_key_frame(unit) {
                (*first, *config) = (Some(unit.times), Some(sought.clone()));
            }
            return;
        }
        first.get_or_insert(unit.times);
        if config.is_none() {
            *config = VideoConfig::read(*codec, unit);
        }
    }
}

impl AudioHead {
    fn new(pid: u16, codec: Codec) -> Result<AudioHead, Unsupported> {
        let frames = AudioFrames::new(codec).ok_or(OTHER_CODEC)?;
        Ok(AudioHead { pid, codec, frames, first: None, config: None })
    }

    fn take(&mut self, event: Event<'_>) -> Result<(), Malformed> {
        let AudioHead { codec, frames, first, config, .. } = self;
        match event {
            Event::Begin(header) => {
                frames.begin_packet(header.pts);
                Ok(())
            }
            Event::Data(data) => frames.push(data, &mut |frame: AudioFrame<'_>| {
                if config.is_none() {
                    *first = frame.pts;
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

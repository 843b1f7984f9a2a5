//! [`AudioFrames`] finds the frames of AAC in ADTS (ISO/IEC 13818-7 §6.2), AC-3, Enhanced AC-3 (ETSI TS
//! 102 366) and MPEG audio (ISO/IEC 11172-3), wherever they begin and end in PES packets.

use super::{MAX_UNIT, Malformed};
use crate::container::probe::{Codec, FrameHeader, frame_header};

mod config;

pub use config::AudioConfig;

/// The number of bytes in which the first frame must be found: more than the longest frame.
const MAX_UNSYNCED: usize = 64 << 10;

/// The number of bytes from which the length of a frame is known.
const HEADER: usize = 8;

/// A frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioFrame<'a> {
    /// The presentation timestamp modulo 2^33, if a PES packet has one for this frame.
    pub pts: Option<u64>,
    /// All bytes of the frame.
    pub bytes: &'a [u8],
}

/// Finds the frames in the payloads of PES packets.
#[derive(Debug, Clone)]
pub struct AudioFrames {
    codec: Codec,
    /// The first frame, whose parameters the others share.
    first: Option<FrameHeader>,
    bytes: Vec<u8>,
    /// The offset of the next frame.
    at: usize,
    /// Whether `at` is the begin of a frame for certain.
    is_synced: bool,
    /// Timestamps of the frame that begins at this offset, or of the next one.
    marks: Vec<(usize, u64)>,
    /// The offset at which the first PES packet of the next segment begins.
    segment_end: Option<usize>,
}

impl AudioFrames {
    /// Returns a parser for this codec; `None` if the codec is not supported.
    pub fn new(codec: Codec) -> Option<AudioFrames> {
        matches!(codec, Codec::Aac | Codec::Ac3 | Codec::Eac3 | Codec::Mp3).then(|| AudioFrames {
            codec,
            first: None,
            bytes: Vec::new(),
            at: 0,
            is_synced: false,
            marks: Vec::new(),
            segment_end: None,
        })
    }

    /// Returns a parser for frames of this configuration.
    pub fn of(config: &AudioConfig) -> AudioFrames {
        AudioFrames {
            codec: config.codec(),
            first: Some(config.first()),
            bytes: Vec::new(),
            at: 0,
            is_synced: false,
            marks: Vec::new(),
            segment_end: None,
        }
    }

    /// Begins a PES packet with this timestamp.
    pub fn begin_packet(&mut self, pts: Option<u64>) {
        let at = self.bytes.len();
        self.marks.retain(|(from, _)| *from < at);
        self.marks.extend(pts.map(|pts| (at, pts)));
    }

    /// Says that the next PES packet is the first one of the next segment. Frames that begin in it do not
    /// belong to this one; [`is_settled`](AudioFrames::is_settled) tells when all others are complete.
    pub fn end_segment(&mut self) {
        self.segment_end.get_or_insert(self.bytes.len());
    }

    /// Returns whether a frame has begun that is not complete.
    pub fn is_within_frame(&self) -> bool {
        self.at < self.bytes.len()
    }

    /// Returns whether all frames up to the first PES packet of the next segment are complete. A parser
    /// that begins with that packet must find the same frame first.
    pub fn is_settled(&self) -> Result<bool, Malformed> {
        let Some(end) = self.segment_end.filter(|end| self.at >= *end) else { return Ok(false) };
        match self.find_first(end) {
            Some(found) if found == self.at => Ok(true),
            Some(_) => Err(Malformed("audio frames do not follow one another")),
            None => Ok(false),
        }
    }

    /// Takes the next bytes; passes each complete frame to `sink`.
    pub fn push(
        &mut self,
        data: &[u8],
        sink: &mut dyn FnMut(AudioFrame<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.bytes.len() + data.len() > MAX_UNIT {
            return Err(Malformed("a frame is too long"));
        }
        self.bytes.extend_from_slice(data);
        if !self.is_synced {
            let Some(at) = self.find_first(0) else {
                let is_short = self.bytes.len() < MAX_UNSYNCED;
                return if is_short { Ok(()) } else { Err(Malformed("no audio frames are found")) };
            };
            (self.at, self.is_synced) = (at, true);
        }
        while self.segment_end.is_none_or(|end| self.at < end) {
            let rest = &self.bytes[self.at..];
            if rest.len() < HEADER {
                break;
            }
            let header = self.header(rest).ok_or(Malformed("an audio frame is damaged"))?;
            let Some(bytes) = rest.get(..header.len) else { break };
            let is_due = |(from, _): &&(usize, u64)| *from <= self.at;
            let pts = self.marks.iter().rfind(is_due).map(|(_, pts)| *pts);
            let frame = AudioFrame { pts, bytes };
            sink(frame)?;
            self.marks.retain(|(from, _)| *from > self.at);
            self.first.get_or_insert(header);
            self.at += header.len;
        }
        self.forget();
        Ok(())
    }

    /// Frees the bytes of frames that were passed on.
    fn forget(&mut self) {
        const MIN: usize = 16 << 10;
        if self.segment_end.is_none() && (self.at >= MIN || self.at == self.bytes.len()) {
            let at = self.at;
            self.bytes.drain(..at);
            self.marks.iter_mut().for_each(|(from, _)| *from = from.saturating_sub(at));
            self.at = 0;
        }
    }

    /// Returns the offset of the first frame from `from` on, where a PES packet begins: there, or where a
    /// frame ends that began before, and is followed by another one.
    fn find_first(&self, from: usize) -> Option<usize> {
        let bytes = &self.bytes[from..];
        for at in 0..bytes.len().saturating_sub(HEADER - 1) {
            let Some(header) = self.header(&bytes[at..]) else { continue };
            if at == 0 {
                return Some(from);
            }
            let next = bytes.get(at + header.len..).filter(|rest| rest.len() >= HEADER)?;
            if self.header(next).is_some() {
                return Some(from + at);
            }
        }
        None
    }

    /// Parses the header of a frame, which must agree with the first one.
    fn header(&self, bytes: &[u8]) -> Option<FrameHeader> {
        let header = frame_header(bytes).filter(|header| header.codec == self.codec)?;
        let is_same = self.first.is_none_or(|first| {
            (first.codec, first.same, first.rate) == (header.codec, header.same, header.rate)
        });
        is_same.then_some(header)
    }
}

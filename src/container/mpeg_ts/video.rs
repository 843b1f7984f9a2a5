//! [`VideoUnits`] finds the access units of AVC and HEVC video, and converts them to the form that MP4
//! has: NAL units with their lengths instead of start codes (ISO/IEC 14496-15 §4.3.3).
//!
//! An access unit begins with the first one of its NAL units, wherever that is in a PES packet; it lasts
//! until the next one begins that has a timestamp of its own. So the fields of a frame may come in one
//! PES packet.

use super::nal::{self, NalCodec, START_LEN};
use super::{MAX_UNIT, Malformed, avc, hevc};
use crate::container::probe::Codec;

/// The maximum number of parameter sets of a video.
const MAX_SETS: usize = 32;
/// The maximum length of a parameter set.
const MAX_SET_LEN: usize = 4 << 10;

/// The timestamps of an access unit, modulo 2^33.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When the picture is presented.
    pub pts: u64,
    /// When the picture is decoded.
    pub dts: u64,
}

/// An access unit in the byte stream format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoUnit<'a> {
    /// Its timestamps.
    pub times: Times,
    /// Its NAL units with start codes.
    pub bytes: &'a [u8],
}

/// What the sequence parameter set tells of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PictureFormat {
    pub(super) profile: u8,
    pub(super) width: u16,
    pub(super) height: u16,
    /// The chroma format: 1 is 4:2:0.
    pub(super) chroma: u8,
    /// Bits of luma and chroma samples.
    pub(super) depths: [u8; 2],
    /// Whether there are frames only, no fields.
    pub(super) is_progressive: bool,
    /// Whether pictures may be presented in another order than they are decoded.
    pub(super) may_reorder: bool,
    /// The aspect ratio of a pixel.
    pub(super) pixel_aspect: [u16; 2],
}

/// The configuration of a decoder, by the parameter sets of a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoConfig {
    codec: NalCodec,
    format: PictureFormat,
    sets: Vec<Vec<u8>>,
}

impl VideoConfig {
    /// Reads the parameter sets in an access unit; `None` if they are incomplete or unsupported.
    pub fn read(codec: Codec, unit: &VideoUnit<'_>) -> Option<VideoConfig> {
        let codec = NalCodec::of(codec)?;
        let mut sets: Vec<Vec<u8>> = Vec::new();
        let (mut format, mut has_picture_set) = (None, false);
        for unit in nal::units(unit.bytes) {
            let kind = nal::kind(codec, unit).unit_type;
            let is_sequence = kind == sequence_set(codec);
            let is_set = match codec {
                NalCodec::Avc => is_sequence || kind == avc::PPS,
                NalCodec::Hevc => is_sequence || matches!(kind, hevc::VPS | hevc::PPS),
            };
            if !is_set || sets.iter().any(|set| set == unit) {
                continue;
            }
            if sets.len() == MAX_SETS || unit.len() > MAX_SET_LEN {
                return None;
            }
            if is_sequence {
                format.get_or_insert(picture_format(codec, unit)?);
            }
            has_picture_set |=
                matches!((codec, kind), (NalCodec::Avc, avc::PPS) | (NalCodec::Hevc, hevc::PPS));
            sets.push(unit.to_vec());
        }
        let format = format.filter(|_| has_picture_set)?;
        Some(VideoConfig { codec, format, sets })
    }

    /// Returns the type of the sample entry, the type of its configuration box and the payload of that.
    pub fn record(&self) -> Option<([u8; 4], [u8; 4], Vec<u8>)> {
        Some(match self.codec {
            NalCodec::Avc => (*b"avc1", *b"avcC", avc::record(&self.sets, &self.format)?),
            NalCodec::Hevc => (*b"hvc1", *b"hvcC", hevc::record(&self.sets, &self.format)?),
        })
    }

    /// Returns whether the same decoder can go on with a video of the other configuration, whose parameter
    /// sets are in it.
    pub fn is_compatible(&self, other: &VideoConfig) -> bool {
        (self.codec, self.format) == (other.codec, other.format)
    }

    /// Returns whether pictures may be presented in another order than they are decoded.
    pub fn may_reorder(&self) -> bool {
        self.format.may_reorder
    }

    /// Returns width and height in pixels.
    pub fn size(&self) -> [u16; 2] {
        [self.format.width, self.format.height]
    }

    /// Returns the aspect ratio of a pixel.
    pub fn pixel_aspect(&self) -> [u16; 2] {
        self.format.pixel_aspect
    }

    /// Appends an access unit in the form of MP4 to `sample`. Returns whether decoding can begin with it.
    /// The parameter sets in it must not contradict the configuration.
    pub fn convert(&self, unit: &VideoUnit<'_>, sample: &mut Vec<u8>) -> Result<bool, Malformed> {
        let mut is_key_frame = false;
        let before = sample.len();
        for unit in nal::units(unit.bytes) {
            let kind = nal::kind(self.codec, unit).unit_type;
            is_key_frame |= begins_decoding(self.codec, kind, unit);
            if kind == sequence_set(self.codec) && !self.is_same_format(unit) {
                return Err(Malformed("the video changes its format"));
            }
            // A unit has at most `MAX_UNIT` bytes.
            sample.extend((unit.len() as u32).to_be_bytes());
            sample.extend_from_slice(unit);
        }
        if sample.len() == before { Err(Malformed("a frame is empty")) } else { Ok(is_key_frame) }
    }

    /// Returns whether decoding can begin with an access unit.
    pub fn is_key_frame(&self, unit: &VideoUnit<'_>) -> bool {
        nal::units(unit.bytes)
            .any(|unit| begins_decoding(self.codec, nal::kind(self.codec, unit).unit_type, unit))
    }

    fn is_same_format(&self, set: &[u8]) -> bool {
        self.sets.iter().any(|own| own == set)
            || picture_format(self.codec, set).as_ref() == Some(&self.format)
    }
}

/// Returns whether decoding can begin with the access unit of this NAL unit.
fn begins_decoding(codec: NalCodec, kind: u8, unit: &[u8]) -> bool {
    match codec {
        NalCodec::Avc => kind == avc::IDR || kind == avc::SEI && avc::is_recovery_point(unit),
        NalCodec::Hevc => hevc::RANDOM_ACCESS.contains(&kind),
    }
}

fn sequence_set(codec: NalCodec) -> u8 {
    match codec {
        NalCodec::Avc => avc::SPS,
        NalCodec::Hevc => hevc::SPS,
    }
}

fn picture_format(codec: NalCodec, set: &[u8]) -> Option<PictureFormat> {
    match codec {
        NalCodec::Avc => avc::picture_format(set),
        NalCodec::Hevc => hevc::picture_format(set),
    }
}

/// Finds the access units in the payloads of PES packets.
#[derive(Debug, Clone)]
pub struct VideoUnits {
    codec: NalCodec,
    /// Whether each picture must have a timestamp of its own.
    is_progressive: bool,
    /// The bytes from the current access unit on.
    bytes: Vec<u8>,
    /// The offset up to which start codes were searched.
    scanned: usize,
    /// The timestamps of the access unit that begins at this offset or later.
    next: Option<(usize, Times)>,
    /// The timestamps of the current access unit, if it has begun.
    current: Option<Times>,
    has_picture: bool,
}

impl VideoUnits {
    /// Returns a parser for this codec; `None` if the codec is not supported.
    pub fn new(codec: Codec) -> Option<VideoUnits> {
        let codec = NalCodec::of(codec)?;
        Some(VideoUnits {
            codec,
            is_progressive: false,
            bytes: Vec::new(),
            scanned: 0,
            next: None,
            current: None,
            has_picture: false,
        })
    }

    /// Returns a parser for a video of this configuration.
    pub fn of(config: &VideoConfig) -> VideoUnits {
        VideoUnits {
            codec: config.codec,
            is_progressive: config.format.is_progressive,
            bytes: Vec::new(),
            scanned: 0,
            next: None,
            current: None,
            has_picture: false,
        }
    }

    /// Begins a PES packet with these timestamps.
    pub fn begin_packet(&mut self, times: Option<Times>) {
        if let Some(times) = times {
            self.next = Some((self.bytes.len(), times));
        }
    }

    /// Begins another segment. A parser that begins there finds the same access units in it.
    pub fn begin_segment(&mut self) {
        self.has_picture = true;
    }

    /// Returns the timestamps of the access unit whose end was not found yet.
    pub fn current(&self) -> Option<Times> {
        self.current
    }

    /// Takes the next bytes. Passes an access unit to `sink` as soon as the next one begins, together with
    /// the timestamps of that.
    pub fn push(
        &mut self,
        data: &[u8],
        sink: &mut dyn FnMut(VideoUnit<'_>, Times) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.bytes.len() + data.len() > MAX_UNIT {
            return Err(Malformed("a frame is too long"));
        }
        self.bytes.extend_from_slice(data);
        while let Some(at) = nal::find_start(&self.bytes, self.scanned) {
            let Some(unit) = self.bytes.get(at + 3..at + START_LEN) else {
                self.scanned = at;
                return Ok(());
            };
            let kind = nal::kind(self.codec, unit);
            self.scanned = at + 3;
            if kind.may_begin && (self.has_picture || self.current.is_none()) {
                self.begin_unit(at, sink)?;
            }
            self.has_picture |= kind.is_picture;
        }
        // A start code may be cut at the end.
        self.scanned = self.scanned.max(self.bytes.len().saturating_sub(2));
        Ok(())
    }

    /// Ends the last access unit: no other one follows.
    pub fn finish(
        &mut self,
        sink: &mut dyn FnMut(VideoUnit<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let Some(times) = self.current.take() else { return Ok(()) };
        sink(VideoUnit { times, bytes: &self.bytes })
    }

    /// Begins an access unit with the start code at `at`, which may have another zero before it.
    fn begin_unit(
        &mut self,
        at: usize,
        sink: &mut dyn FnMut(VideoUnit<'_>, Times) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let next = self.next.filter(|(from, _)| *from <= at);
        let Some((_, next)) = next else {
            if self.current.is_some() {
                if self.is_progressive {
                    return Err(Malformed("a frame has no timestamp"));
                }
                // The second field of a frame.
                self.has_picture = false;
            }
            return Ok(());
        };
        self.next = None;
        if let Some(times) = self.current.replace(next) {
            sink(VideoUnit { times, bytes: &self.bytes[..at] }, next)?;
        }
        self.bytes.drain(..at);
        self.scanned -= at;
        self.has_picture = false;
        Ok(())
    }
}

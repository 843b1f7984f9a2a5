//! [`AudioConfig`], the configuration of a decoder by the header of a frame, and the boxes in which MP4
//! has it.

use crate::container::isobmff::boxed;
use crate::container::mpeg_ts::Malformed;
use crate::container::mpeg_ts::bits::Bits;
use crate::container::probe::{Codec, FrameHeader, frame_header};

/// The configuration of a decoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioConfig {
    codec: Codec,
    first: FrameHeader,
    channels: u16,
    /// The box with the configuration, in the sample entry.
    record: Vec<u8>,
}

impl AudioConfig {
    /// Reads the configuration in the header of a frame of this codec.
    pub fn read(codec: Codec, frame: &[u8]) -> Result<AudioConfig, Malformed> {
        let first = frame_header(frame).ok_or(UNSUPPORTED)?;
        let (channels, record) = match codec {
            Codec::Aac => aac(frame).ok_or(UNSUPPORTED)?,
            Codec::Ac3 => ac3(frame).ok_or(UNSUPPORTED)?,
            Codec::Eac3 if first.samples == EAC3_SAMPLES => {
                eac3(frame, first).ok_or(UNSUPPORTED)?
            }
            Codec::Mp3 => mpeg_audio(frame, first).ok_or(UNSUPPORTED)?,
            _ => return Err(UNSUPPORTED),
        };
        Ok(AudioConfig { codec, first, channels, record })
    }

    /// Returns whether the same decoder can go on with audio of the other configuration.
    pub fn is_compatible(&self, other: &AudioConfig) -> bool {
        let of = |config: &AudioConfig| {
            (config.codec, config.first.same, config.first.rate, config.channels)
        };
        of(self) == of(other)
    }

    /// Returns the type of the sample entry.
    pub fn entry_type(&self) -> [u8; 4] {
        match self.codec {
            Codec::Ac3 => *b"ac-3",
            Codec::Eac3 => *b"ec-3",
            _ => *b"mp4a",
        }
    }

    /// Returns the box with the configuration, in the sample entry.
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// Returns the number of channels.
    pub fn channels(&self) -> u16 {
        self.channels
    }

    /// Returns the samples per second.
    pub fn rate(&self) -> u32 {
        self.first.rate
    }

    /// Returns the samples per channel of a frame.
    pub fn samples(&self) -> u32 {
        self.first.samples
    }

    pub(super) fn codec(&self) -> Codec {
        self.codec
    }

    pub(super) fn first(&self) -> FrameHeader {
        self.first
    }

    /// Returns the bytes of a frame that are in a sample of MP4.
    pub fn payload<'f>(&self, frame: &'f [u8]) -> Result<&'f [u8], Malformed> {
        if self.codec != Codec::Aac {
            let is_alike =
                frame_header(frame).is_some_and(|header| header.samples == self.first.samples);
            return if is_alike { Ok(frame) } else { Err(UNSUPPORTED) };
        }
        // A header may be followed by a checksum; several frames with one header have several.
        let [_, flags, _, _, _, _, more, ..] = frame else { return Err(UNSUPPORTED) };
        if more & 3 != 0 {
            return Err(UNSUPPORTED);
        }
        let header = if flags & 1 == 1 { 7 } else { 9 };
        frame.get(header..).filter(|rest| !rest.is_empty()).ok_or(Malformed("a frame is empty"))
    }
}

const UNSUPPORTED: Malformed = Malformed("the audio has a form that cannot be converted");
const EAC3_SAMPLES: u32 = 1536;

/// Returns the number of channels and the configuration of AAC (ISO/IEC 14496-3 §1.6.2.1).
fn aac(frame: &[u8]) -> Option<(u16, Vec<u8>)> {
    let [_, _, b2, b3, ..] = *frame else { return None };
    let (profile, rate, channels) = (b2 >> 6, b2 >> 2 & 0xf, (b2 & 1) << 2 | b3 >> 6);
    // The configuration 0 is described in the frames.
    let count = *[0, 1, 2, 3, 4, 5, 6, 8].get(usize::from(channels)).filter(|count| **count > 0)?;
    let config = u16::from(profile + 1) << 11 | u16::from(rate) << 7 | u16::from(channels) << 3;
    Some((count, esds(0x40, &config.to_be_bytes())))
}

/// Returns the number of channels and the description of MPEG audio.
fn mpeg_audio(frame: &[u8], first: FrameHeader) -> Option<(u16, Vec<u8>)> {
    let is_mono = frame.get(3)? >> 6 == 3;
    // MPEG-1 has the higher rates (ISO/IEC 14496-1 table 5).
    let object_type = if first.rate >= 32_000 { 0x6b } else { 0x69 };
    Some((if is_mono { 1 } else { 2 }, esds(object_type, &[])))
}

/// Returns the number of channels and the description of AC-3 (ETSI TS 102 366 §4.3, annex F.4).
fn ac3(frame: &[u8]) -> Option<(u16, Vec<u8>)> {
    let [_, _, _, _, code, ..] = *frame else { return None };
    let mut bits = Bits::raw(frame.get(5..8)?);
    let (bsid, bsmod, mode) = (bits.read(5)?, bits.read(3)?, bits.read(3)?);
    if mode & 1 != 0 && mode != 1 {
        bits.skip(2)?;
    }
    if mode & 4 != 0 {
        bits.skip(2)?;
    }
    if mode == 2 {
        bits.skip(2)?;
    }
    let lfe = bits.read(1)?;
    let (rate, bit_rate) = (u32::from(code >> 6), u32::from(code & 0x3f) >> 1);
    let fields = rate << 22 | bsid << 17 | bsmod << 14 | mode << 11 | lfe << 10 | bit_rate << 5;
    Some((channels(mode, lfe), boxed(b"dac3", &[&fields.to_be_bytes()[1..]])))
}

/// Returns the number of channels and the description of Enhanced AC-3 (§E.1.2, annex F.6), of one
/// independent substream.
fn eac3(frame: &[u8], first: FrameHeader) -> Option<(u16, Vec<u8>)> {
    let mut bits = Bits::raw(frame.get(4..6)?);
    let (rate, _, mode, lfe, bsid) =
        (bits.read(2)?, bits.read(2)?, bits.read(3)?, bits.read(1)?, bits.read(5)?);
    // Kilobits per second.
    let kilobits = first.len as u64 * 8 * u64::from(first.rate) / u64::from(first.samples) / 1000;
    let kilobits = u16::try_from(kilobits).ok().filter(|rate| *rate < 1 << 13)?;
    let fields = rate << 22 | bsid << 17 | mode << 9 | lfe << 8;
    let [_, fields @ ..] = fields.to_be_bytes();
    let record = boxed(b"dec3", &[&(kilobits << 3).to_be_bytes(), &fields]);
    Some((channels(mode, lfe), record))
}

/// Returns the number of channels of an audio coding mode (table 4.3).
fn channels(mode: u32, lfe: u32) -> u16 {
    [2, 1, 2, 3, 3, 4, 4, 5][mode as usize & 7] + lfe as u16
}

/// Returns an elementary stream descriptor (ISO/IEC 14496-1 §7.2.6.5) with this decoder configuration.
fn esds(object_type: u8, specific: &[u8]) -> Vec<u8> {
    let descriptor = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
    let specific = if specific.is_empty() { Vec::new() } else { descriptor(5, specific) };
    // An audio stream; buffer size and bit rates are not known.
    let config = [&[object_type, 0x15, 0, 0, 0], &[0; 8][..], &specific].concat();
    let stream = [&[0, 0, 0][..], &descriptor(4, &config), &descriptor(6, &[2])].concat();
    boxed(b"esds", &[&[0; 4], &descriptor(3, &stream)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_frame_is_the_configuration() {
        // ADTS: LC, 44.1 kHz, stereo, 100 bytes.
        let frame = [&[0xff, 0xf1, 0x50, 0x80, 0x0c, 0x9f, 0xfc][..], &[1; 93]].concat();
        let config = AudioConfig::read(Codec::Aac, &frame).unwrap();
        assert_eq!((config.channels(), config.rate(), config.samples()), (2, 44_100, 1024));
        assert!(config.record().windows(4).any(|bytes| bytes == [5, 2, 0x12, 0x10]));
        assert_eq!(config.payload(&frame).unwrap().len(), 93);
        let with_crc = [&[0xff, 0xf0], &frame[2..]].concat();
        assert_eq!(config.payload(&with_crc).unwrap().len(), 91);
        let several = [&frame[..6], &[0xfd], &frame[7..]].concat();
        assert!(config.payload(&several).is_err());
        let undescribed = [&frame[..2], &[0x50, 0], &frame[4..]].concat();
        assert!(AudioConfig::read(Codec::Aac, &undescribed).is_err());
    }

    #[test]
    fn surround_sound_has_its_channels() {
        // 48 kHz, 384 kbit/s, 3/2 and LFE.
        let ac3 = [0x0b, 0x77, 0, 0, 0x1c, 0x40, 0xe1, 0];
        let config = AudioConfig::read(Codec::Ac3, &ac3).unwrap();
        assert_eq!((config.channels(), config.rate()), (6, 48_000));
        assert_eq!(config.record()[8..], [0x10, 0x3d, 0xc0]);
        let eac3 = [0x0b, 0x77, 0x01, 0x7f, 0x3f, 0x80, 0, 0];
        let config = AudioConfig::read(Codec::Eac3, &eac3).unwrap();
        assert_eq!((config.channels(), config.samples()), (6, 1536));
        assert_eq!(config.record()[8..], [0x06, 0, 0x20, 0x0f, 0]);
    }
}

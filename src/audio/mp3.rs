//! MP3 of constant bit rate as ffmpeg makes it with LAME: how many bytes it has, and the frame in front of it that
//! tells players how many samples are in it.
//!
//! The number of frames was found out with FFmpeg 5.1 and 9.0: the encoder fills up the last frame, and adds one more
//! of 1152 samples, or two of 576. Which frames have a byte more follows from LAME's arithmetic, and from the bit rate
//! (ISO/IEC 11172-3 §2.4.2.3): the frames together have the bit rate at any time.

use super::encoding::MP3_BITRATES;

/// The sampling rates of MPEG-1, by their index in a frame header; MPEG-2 has half, and MPEG-2.5 a quarter of them.
const RATES: [u32; 3] = [44_100, 48_000, 32_000];
/// The bit rates of MPEG-2 and MPEG-2.5, from the index 1 on (ISO/IEC 13818-3 §2.4.2.3).
const LOW_BITRATES: [u32; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
/// The samples that LAME puts before the first one.
const DELAY: u64 = 576;

/// How audio is encoded to MP3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mp3Encoding {
    /// The sampling rate.
    pub rate: u32,
    /// One or two.
    pub channels: u8,
    /// The bit rate in kbit/s.
    pub kbits: u32,
}

impl Mp3Encoding {
    /// Returns the encoding for audio with this sampling rate: at this rate where MP3 has it, else at one that keeps
    /// what can be heard.
    pub fn new(rate: u32, channels: u8, kbits: u32) -> Mp3Encoding {
        let has = |rate: u32| RATES.iter().any(|of| (0..3).any(|shift| of >> shift == rate));
        let rate = match rate {
            rate if has(rate) => rate,
            rate if rate % 44_100 == 0 => 44_100,
            // The next one above; of those beyond all, the highest.
            rate => [8000, 12_000, 16_000, 24_000, 32_000]
                .into_iter()
                .find(|known| *known >= rate)
                .unwrap_or(48_000),
        };
        let max = match rate {
            32_000.. => 320,
            16_000.. => 160,
            _ => 64,
        };
        Mp3Encoding { rate, channels, kbits: kbits.min(max) }
    }

    fn is_mpeg1(self) -> bool {
        self.rate >= 32_000
    }

    /// Returns the number of samples in a frame.
    fn frame_samples(self) -> u64 {
        if self.is_mpeg1() { 1152 } else { 576 }
    }

    /// Returns the number of frames of so many samples.
    fn frames(self, samples: u64) -> u64 {
        samples.div_ceil(self.frame_samples()) + if self.is_mpeg1() { 1 } else { 2 }
    }

    /// Returns the length of all frames of so many samples.
    pub fn len(self, samples: u64) -> u64 {
        let frames = self.frames(samples);
        let bits = self.frame_samples() / 8 * u64::from(self.kbits) * 1000;
        let rate = u64::from(self.rate);
        frames * (bits / rate) + ((frames - 1) * (bits % rate)).div_ceil(rate)
    }

    /// Returns the frame in front of so many samples. It has no audio, and a tag (Info, by Xing and LAME) with the
    /// number of samples, those that the encoder added at both ends included.
    pub fn info_frame(self, samples: u64) -> Vec<u8> {
        const TAG: usize = 4 + 4 + 4 + 4 + 100;
        const LAME: usize = 36;
        let side = match (self.is_mpeg1(), self.channels) {
            (true, 1) | (false, 2..) => 17,
            (true, _) => 32,
            (false, _) => 9,
        };
        let mut frame = self.header(4 + side + TAG + LAME);
        let (at, frame_len) = (4 + side, frame.len());
        let frames = self.frames(samples);
        let total = self.len(samples) + frame_len as u64;
        let mut tag = Vec::with_capacity(TAG + LAME);
        tag.extend(b"Info");
        // The number of frames, that of bytes, and the table to seek.
        tag.extend(7u32.to_be_bytes());
        tag.extend(narrow(frames).to_be_bytes());
        tag.extend(narrow(total).to_be_bytes());
        tag.extend((0..100u32).map(|percent| (percent * 256 / 100) as u8));
        tag.extend(b"LAME3.100");
        // The method: constant bit rate. What follows is not known: lowpass, peak, gains, flags.
        tag.push(1);
        tag.extend([0; 10]);
        tag.push(u8::try_from(self.kbits).unwrap_or(u8::MAX));
        // 12 bits each.
        let padding = (frames * self.frame_samples()).saturating_sub(samples + DELAY).min(0xfff);
        tag.extend(&((DELAY << 12 | padding) as u32).to_be_bytes()[1..]);
        // Surround, gain, preset.
        tag.extend([0; 4]);
        tag.extend(narrow(total).to_be_bytes());
        // The checksum of the music.
        tag.extend([0; 2]);
        frame[at..at + tag.len()].copy_from_slice(&tag);
        let end = at + tag.len();
        let checksum = crc16(&frame[..end]).to_be_bytes();
        frame[end..end + 2].copy_from_slice(&checksum);
        frame
    }

    /// Returns a frame without audio of at least `min` bytes, of the lowest bit rate from that of the others on.
    fn header(self, min: usize) -> Vec<u8> {
        let bitrates = if self.is_mpeg1() { MP3_BITRATES } else { LOW_BITRATES };
        let len = |kbits: u32| {
            let bits = self.frame_samples() / 8 * u64::from(kbits) * 1000;
            usize::try_from(bits / u64::from(self.rate)).unwrap_or(0)
        };
        let fits = |kbits: &u32| *kbits >= self.kbits && len(*kbits) >= min;
        let index = bitrates.iter().position(fits).unwrap_or(bitrates.len() - 1);
        let shift = (0..3).find(|shift| RATES.iter().any(|rate| rate >> shift == self.rate));
        let shift = shift.unwrap_or(0);
        let rate = RATES.iter().position(|rate| rate >> shift == self.rate).unwrap_or(0);
        let version = [0xfb, 0xf3, 0xe3][shift];
        let mode = if self.channels == 1 { 0xc0 } else { 0x40 };
        let mut frame = vec![0; len(bitrates[index]).max(min)];
        frame[..4].copy_from_slice(&[
            0xff,
            version,
            (index as u8 + 1) << 4 | (rate as u8) << 2,
            mode,
        ]);
        frame
    }
}

/// Returns a number for a field of 32 bits; players use it as a hint.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Returns CRC-16 (x¹⁶ + x¹⁵ + x² + 1, reflected), as LAME computes it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0u16, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte),
            |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths of files that FFmpeg 5.1 made.
    #[test]
    fn the_length_is_that_of_ffmpeg() {
        for (rate, kbits, samples, len) in [
            (44_100, 192, 1, 1253),
            (44_100, 192, 1152, 1253),
            (44_100, 192, 1153, 1880),
            (44_100, 192, 11_520, 6896),
            (48_000, 128, 3000, 1536),
            (22_050, 160, 500, 1567),
            (22_050, 160, 1105, 2090),
            (22_050, 160, 11_520, 11_494),
            (8000, 64, 1153, 2880),
            (11_025, 32, 11_520, 4597),
            (44_100, 32, 11_520, 1149),
        ] {
            let mp3 = Mp3Encoding::new(rate, 2, kbits);
            assert_eq!(mp3.len(samples), len, "{rate} {kbits} {samples}");
        }
    }

    #[test]
    fn rates_that_mp3_lacks_become_others_and_bit_rates_the_highest() {
        for (rate, kbits, expected) in [
            (44_100, 320, (44_100, 320)),
            (96_000, 192, (48_000, 192)),
            (88_200, 192, (44_100, 192)),
            (64_000, 192, (48_000, 192)),
            (24_000, 192, (24_000, 160)),
            (8000, 192, (8000, 64)),
            (7350, 192, (8000, 64)),
            (11_025, 32, (11_025, 32)),
            (40_000, 32, (48_000, 32)),
        ] {
            let Mp3Encoding { rate: of, kbits: at, .. } = Mp3Encoding::new(rate, 2, kbits);
            assert_eq!((of, at), expected, "{rate}");
        }
    }

    #[test]
    fn the_first_frame_is_a_frame_of_its_length() {
        for (rate, kbits, channels) in
            [(44_100, 192, 2), (44_100, 32, 1), (22_050, 32, 2), (8000, 32, 1), (48_000, 320, 2)]
        {
            let frame = Mp3Encoding::new(rate, channels, kbits).info_frame(100_000);
            assert_eq!(crate::container::probe::mpeg_frame_len(&frame), Some(frame.len()));
            assert!(frame.windows(4).any(|four| four == b"Info"));
        }
        assert_eq!(crc16(b"123456789"), 0xbb3d);
    }
}

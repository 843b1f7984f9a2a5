//! The encoders of audio: which container has which, with what bit rates and modes.

use crate::options::ContainerChoice;

/// What encodes audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoder {
    /// AAC by ffmpeg.
    Aac,
    /// MP3 by LAME.
    Mp3,
    /// Opus by libopus.
    Opus,
    /// Vorbis by libvorbis.
    Vorbis,
    /// FLAC by ffmpeg.
    Flac,
    /// None: 16-bit samples.
    Pcm,
}

/// How the bit rate of an encoder varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All frames have the same bit rate.
    Constant,
    /// The frames have this bit rate on average.
    Average,
    /// The frames have the bit rate that their quality needs.
    Variable,
    /// Nothing is lost.
    Lossless,
}

impl Mode {
    /// Returns the name of the mode in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Constant => "cbr",
            Mode::Average => "abr",
            Mode::Variable => "vbr",
            Mode::Lossless => "lossless",
        }
    }
}

/// The bit rates of MPEG-1 layer III, in kbit/s (ISO/IEC 11172-3 §2.4.2.3).
pub const MP3_BITRATES: [u32; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];

/// The nominal bit rates of Vorbis in stereo at 44.1 kHz, by quality from 0 on.
const VORBIS_BITRATES: [u32; 10] = [64, 80, 96, 112, 128, 160, 192, 224, 256, 320];

impl Encoder {
    /// Returns the encoder for a container of audio only.
    pub fn of(container: ContainerChoice) -> Option<Encoder> {
        Some(match container {
            ContainerChoice::M4a => Encoder::Aac,
            ContainerChoice::Mp3 => Encoder::Mp3,
            ContainerChoice::Opus => Encoder::Opus,
            ContainerChoice::Ogg => Encoder::Vorbis,
            ContainerChoice::Flac => Encoder::Flac,
            ContainerChoice::Wav => Encoder::Pcm,
            ContainerChoice::Auto
            | ContainerChoice::Mp4
            | ContainerChoice::Webm
            | ContainerChoice::Mkv => return None,
        })
    }

    /// Returns the name of the codec in the API.
    pub fn codec(self) -> &'static str {
        match self {
            Encoder::Aac => "aac",
            Encoder::Mp3 => "mp3",
            Encoder::Opus => "opus",
            Encoder::Vorbis => "vorbis",
            Encoder::Flac => "flac",
            Encoder::Pcm => "pcm",
        }
    }

    /// Returns how its bit rate varies. MP3 has a constant one, so that its length is known.
    pub fn mode(self) -> Mode {
        match self {
            Encoder::Mp3 => Mode::Constant,
            Encoder::Aac => Mode::Average,
            Encoder::Opus | Encoder::Vorbis => Mode::Variable,
            Encoder::Flac | Encoder::Pcm => Mode::Lossless,
        }
    }

    /// Returns the bit rate in kbit/s if none is requested: one that is transparent to most listeners. `None` if
    /// the encoder has none.
    pub fn default_bitrate(self) -> Option<u32> {
        match self {
            Encoder::Aac => Some(160),
            Encoder::Mp3 | Encoder::Vorbis => Some(192),
            Encoder::Opus => Some(128),
            Encoder::Flac | Encoder::Pcm => None,
        }
    }

    /// Checks a bit rate in kbit/s; the error is what it has to be.
    pub fn check_bitrate(self, kbits: u32) -> Result<(), &'static str> {
        let (is_allowed, wanted) = match self {
            Encoder::Mp3 => (
                MP3_BITRATES.contains(&kbits),
                "one of 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256 and 320 for mp3",
            ),
            Encoder::Aac => ((32..=320).contains(&kbits), "from 32 to 320 for m4a"),
            Encoder::Opus => ((16..=320).contains(&kbits), "from 16 to 320 for opus"),
            Encoder::Vorbis => ((64..=320).contains(&kbits), "from 64 to 320 for ogg"),
            Encoder::Flac => (false, "absent for flac, which is lossless"),
            Encoder::Pcm => (false, "absent for wav, which is not compressed"),
        };
        if is_allowed { Ok(()) } else { Err(wanted) }
    }

    /// Returns the options of ffmpeg for this bit rate, or that by default. `is_lossy` tells whether the source has
    /// no more than 16 bits of each sample to offer.
    pub fn options(self, kbits: Option<u32>, is_lossy: bool) -> String {
        let kbits = kbits.or(self.default_bitrate()).unwrap_or_default();
        match self {
            Encoder::Aac => format!("-c:a aac -b:a {kbits}k"),
            Encoder::Mp3 => format!("-c:a libmp3lame -b:a {kbits}k"),
            Encoder::Opus => format!("-c:a libopus -b:a {kbits}k"),
            Encoder::Vorbis => format!("-c:a libvorbis -q:a {}", vorbis_quality(kbits)),
            Encoder::Flac if is_lossy => "-c:a flac -sample_fmt s16".into(),
            Encoder::Flac => "-c:a flac".into(),
            Encoder::Pcm => "-c:a pcm_s16le".into(),
        }
    }
}

/// Returns the quality of Vorbis that has this nominal bit rate. As a bit rate, libvorbis would refuse it for
/// some sampling rates, and it would not vary.
fn vorbis_quality(kbits: u32) -> String {
    let above = VORBIS_BITRATES.iter().position(|rate| *rate >= kbits);
    let above = above.unwrap_or(VORBIS_BITRATES.len() - 1);
    let below = above.saturating_sub(1);
    let [from, to] = [below, above].map(|quality| VORBIS_BITRATES[quality]);
    let tenths = if from == to { 0 } else { kbits.saturating_sub(from) * 10 / (to - from) };
    format!("{:.1}", below as f32 + tenths.min(10) as f32 / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bit_rates_by_default_are_allowed() {
        use Encoder::*;
        for encoder in [Aac, Mp3, Opus, Vorbis, Flac, Pcm] {
            let kbits = encoder.default_bitrate();
            assert_eq!(encoder.mode() == Mode::Lossless, kbits.is_none());
            assert!(kbits.is_none_or(|kbits| encoder.check_bitrate(kbits).is_ok()));
            assert!(encoder.check_bitrate(0).is_err() && encoder.check_bitrate(1000).is_err());
        }
        assert!(Mp3.check_bitrate(100).is_err());
    }

    #[test]
    fn vorbis_has_a_quality_for_each_bit_rate() {
        for (kbits, quality) in
            [(64, "0.0"), (80, "1.0"), (88, "1.5"), (192, "6.0"), (300, "8.6"), (320, "9.0")]
        {
            assert_eq!(vorbis_quality(kbits), quality, "{kbits}");
        }
    }
}

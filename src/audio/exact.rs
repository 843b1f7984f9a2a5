//! Encoded files whose length is known before they are encoded.

use super::encoding::Encoder;
use super::mp3::Mp3Encoding;
use super::{id3, wav};
use crate::media::Metadata;

/// The samples of a source that are encoded, by their positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleRange {
    /// Samples per second of the source.
    pub rate: u32,
    /// The number of channels, one or two.
    pub channels: u8,
    /// The first sample.
    pub start: u64,
    /// The number of samples.
    pub len: u64,
    /// Whether the last of them is the last one of the source, by what that tells.
    pub is_last: bool,
    /// Whether positions count from the first sample that is decoded, which may not be presented: then ffmpeg has to
    /// give all of them. Otherwise they count from the first that is presented, which ffmpeg finds by itself.
    pub is_decoded: bool,
}

impl SampleRange {
    /// Returns how MP3 of this bit rate is made of the samples.
    pub fn mp3(&self, kbits: u32) -> Mp3Encoding {
        Mp3Encoding::new(self.rate, self.channels, kbits)
    }

    /// Returns the number of samples at another sampling rate: as many as are complete.
    pub fn len_at(&self, rate: u32) -> u64 {
        let len = u128::from(self.len) * u128::from(rate) / u128::from(self.rate.max(1));
        u64::try_from(len).unwrap_or(u64::MAX)
    }
}

/// The layout of an encoded file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExactLayout {
    /// What precedes the output of ffmpeg.
    pub head: Vec<u8>,
    /// The length of the output of ffmpeg.
    pub body_len: u64,
}

impl ExactLayout {
    /// Returns the layout of a file that is encoded like this; `None` if its length depends on more than that.
    pub fn new(
        encoder: Encoder,
        kbits: Option<u32>,
        samples: &SampleRange,
        metadata: &Metadata,
    ) -> Option<ExactLayout> {
        match encoder {
            Encoder::Mp3 => {
                let mp3 = samples.mp3(kbits.or(encoder.default_bitrate())?);
                let count = samples.len_at(mp3.rate);
                let head = [id3::tag(metadata), mp3.info_frame(count)].concat();
                (count > 0).then(|| ExactLayout { head, body_len: mp3.len(count) })
            }
            Encoder::Pcm => {
                let SampleRange { rate, channels, len, .. } = *samples;
                let head = wav::header(rate, channels, len, metadata);
                let body_len = len.checked_mul(u64::from(channels) * wav::SAMPLE_LEN)?;
                Some(ExactLayout { head, body_len })
            }
            Encoder::Aac | Encoder::Opus | Encoder::Vorbis | Encoder::Flac => None,
        }
    }

    /// Returns the length of the file.
    pub fn total_len(&self) -> u64 {
        self.head.len() as u64 + self.body_len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_constant_bit_rates_have_a_layout() {
        let samples = SampleRange {
            rate: 44_100,
            channels: 2,
            start: 0,
            len: 11_520,
            is_last: true,
            is_decoded: true,
        };
        let layout = |encoder| ExactLayout::new(encoder, None, &samples, &Metadata::default());
        assert_eq!(layout(Encoder::Pcm).unwrap().total_len(), 44 + 4 * 11_520);
        assert_eq!(layout(Encoder::Mp3).unwrap().body_len, 6896);
        assert_eq!(layout(Encoder::Opus), None);
        let fast = SampleRange { rate: 96_000, len: 12_345, ..samples };
        assert_eq!(fast.len_at(48_000), 6172);
    }
}

//! What is special about files of audio alone: whether it is encoded, by which options, and which samples of it; and
//! the tags, which ffmpeg cannot write to a pipe, or not with a cover. Pure.

use super::FfmpegJob;
use crate::audio::encoding::Encoder;
use crate::audio::{self, Mp3Encoding, SampleRange};
use crate::container::Container;
use crate::container::isobmff::{boxed, children, header};
use crate::container::probe::{Codec, Format, ProbeInfo};
use crate::options::{ContainerChoice, OutputOptions};
use crate::splice;

/// Returns what encodes the audio: nothing if it fits the container as it is, unless a bit rate is requested.
pub(super) fn encoder(info: ProbeInfo, options: &OutputOptions) -> Option<Encoder> {
    let encoder = Encoder::of(options.container)?;
    let is = |codec| info.audio == Some(codec);
    let fits = match options.container {
        // The codec of an MP4 may not be known yet.
        ContainerChoice::M4a => {
            is(Codec::Aac) || is(Codec::Alac) || info.format == Format::Mp4 && info.audio.is_none()
        }
        // MP4 does not distinguish MPEG audio layers II and III.
        ContainerChoice::Mp3 => is(Codec::Mp3) && info.format != Format::Mp4,
        ContainerChoice::Opus => is(Codec::Opus),
        ContainerChoice::Ogg => is(Codec::Vorbis) || is(Codec::Opus),
        ContainerChoice::Flac => is(Codec::Flac),
        ContainerChoice::Wav => is(Codec::Pcm) && info.format == Format::Wav,
        _ => true,
    };
    (!fits || options.bitrate.is_some()).then_some(encoder)
}

/// Returns whether a codec loses what more than 16 bits of a sample would tell.
fn is_lossy(codec: Option<Codec>) -> bool {
    use Codec::{Alac, Flac, IsoPcm, Pcm, TrueHd};
    !matches!(codec, Some(Alac | Flac | IsoPcm | Pcm | TrueHd))
}

impl FfmpegJob {
    /// Returns the options of an input of which samples are counted: all that are decoded are given.
    pub(super) fn input_options(&self) -> &'static str {
        match &self.samples {
            Some(samples) if samples.is_decoded => "-ignore_editlist 1 -flags2 +skip_manual",
            _ => "",
        }
    }

    /// Returns the options that encode the audio; none if it is copied.
    pub(super) fn encoder_options(&self) -> Vec<String> {
        let Some(encoder) = self.transcode else { return Vec::new() };
        let codec = self.inputs.first().and_then(|input| input.probe.audio);
        let mp3 = self.mp3();
        let kbits = mp3.map(|mp3| mp3.kbits).or(self.bitrate);
        let options = encoder.options(kbits, is_lossy(codec));
        let mut list: Vec<_> = options.split(' ').map(str::to_owned).collect();
        if let Some(samples) = &self.samples {
            list.extend(["-af".into(), filter(samples, mp3)]);
        }
        list
    }

    /// Returns how MP3 is encoded of counted samples.
    fn mp3(&self) -> Option<Mp3Encoding> {
        let samples = self.samples.filter(|_| self.transcode == Some(Encoder::Mp3))?;
        Some(samples.mp3(self.bitrate.or(Encoder::Mp3.default_bitrate())?))
    }

    /// Returns the layout of the file, if its length is known.
    pub fn exact_layout(&self) -> Option<audio::ExactLayout> {
        audio::ExactLayout::new(self.transcode?, self.bitrate, &self.samples?, &self.metadata)
    }

    /// Returns whether the file is one of audio alone by request, in a container with tags of its own kind.
    pub(super) fn has_own_tags(&self) -> bool {
        self.is_audio_only
    }

    /// Returns the file of metadata that ffmpeg reads, for Ogg.
    pub(super) fn metadata_file(&self) -> Option<Vec<u8>> {
        let is_ogg = matches!(self.container, Container::Ogg | Container::Opus);
        (is_ogg && self.has_own_tags()).then(|| audio::metadata_file(&self.metadata))
    }

    /// Adds the tags to the beginning of the output. What has a layout gets them with that.
    pub(super) fn with_tags(&self, bytes: Vec<u8>) -> Vec<u8> {
        if !self.has_own_tags() || self.exact_layout().is_some() {
            return bytes;
        }
        match self.container {
            Container::Mp3 => [audio::id3_tag(&self.metadata), bytes].concat(),
            Container::Flac => audio::flac_with_tags(
                bytes,
                self.samples.map(|samples| samples.len),
                &self.metadata,
            ),
            Container::Wav => audio::wav_with_tags(bytes, &self.metadata),
            Container::Mp4 => with_udta(bytes, &splice::udta(&self.metadata)),
            _ => bytes,
        }
    }
}

/// Returns the filter that selects the samples, and makes as many of another sampling rate as are complete.
fn filter(samples: &SampleRange, mp3: Option<Mp3Encoding>) -> String {
    let SampleRange { rate, channels, start, len, is_last, is_decoded } = *samples;
    let layout = if channels == 1 { "mono" } else { "stereo" };
    // By timestamps, which count samples, where what precedes the range is not decoded.
    let unit = if is_decoded { "pts" } else { "sample" };
    let other_rate = mp3.map(|mp3| mp3.rate).filter(|to| *to != rate);
    let mut filter =
        format!("aformat=sample_rates={rate}:channel_layouts={layout},atrim=start_{unit}={start}");
    // If the source has more samples than it tells, the file must not end here as if it were whole. A decoder that is made
    // to give all samples gives padding, too; and another rate makes a few more.
    if is_decoded || !is_last || other_rate.is_some() {
        filter += &format!(":end_{unit}={}", start.saturating_add(len));
    }
    if let Some(to) = other_rate {
        filter += &format!(",aresample={to},atrim=end_sample={}", samples.len_at(to));
    }
    filter
}

/// Replaces the udta box in the moov of a fragmented MP4. A file of an unknown shape stays as it is.
fn with_udta(bytes: Vec<u8>, udta: &[u8]) -> Vec<u8> {
    let mut at = 0;
    while let Some(found) = header(&bytes[at..]) {
        let len = found.len.and_then(|len| usize::try_from(len).ok());
        let Some(end) = len.and_then(|len| at.checked_add(len)).filter(|end| *end <= bytes.len())
        else {
            break;
        };
        if found.kind == *b"moov" {
            let moov = &bytes[at + found.header..end];
            let Some(boxes) = children(moov) else { break };
            // That of ffmpeg has nothing in it.
            let others = boxes.iter().filter(|found| found.kind != *b"udta");
            let parts: Vec<_> = others.map(|found| found.bytes).chain([udta]).collect();
            return [&bytes[..at], &boxed(b"moov", &parts), &bytes[end..]].concat();
        }
        at = end;
    }
    log::warn!("cannot write tags: ffmpeg wrote a moov box of an unknown shape");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_those_of_the_moov() {
        let (ftyp, trak) = (boxed(b"ftyp", &[b"isom"]), boxed(b"trak", &[&[1; 9]]));
        let udta = boxed(b"udta", &[b"tags"]);
        let file = [&ftyp[..], &boxed(b"moov", &[&trak]), b"more"].concat();
        let expected = [&ftyp[..], &boxed(b"moov", &[&trak, &udta]), b"more"].concat();
        assert_eq!(with_udta(file, &udta), expected);
        let other = boxed(b"udta", &[b"other"]);
        let had = [&ftyp[..], &boxed(b"moov", &[&other, &trak]), b"more"].concat();
        assert_eq!(with_udta(had, &udta), expected);
        assert_eq!(with_udta(ftyp.clone(), &udta), ftyp);
    }

    #[test]
    fn samples_are_selected_before_and_after_another_rate() {
        let samples = SampleRange {
            rate: 96_000,
            channels: 1,
            start: 1024,
            len: 4001,
            is_last: true,
            is_decoded: true,
        };
        assert_eq!(
            filter(&samples, Some(samples.mp3(128))),
            "aformat=sample_rates=96000:channel_layouts=mono,atrim=start_pts=1024:end_pts=5025,\
             aresample=48000,atrim=end_sample=2000"
        );
        let samples = SampleRange { channels: 2, is_decoded: false, ..samples };
        assert_eq!(
            filter(&samples, None),
            "aformat=sample_rates=96000:channel_layouts=stereo,atrim=start_sample=1024"
        );
        let samples = SampleRange { is_last: false, ..samples };
        assert_eq!(
            filter(&samples, None),
            "aformat=sample_rates=96000:channel_layouts=stereo,atrim=start_sample=1024:end_sample=5025"
        );
    }
}

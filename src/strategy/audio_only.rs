//! Chooses how files of audio alone are made: with a tag in front, or encoded, of samples that are counted beforehand.
//! Pure.

use std::time::Duration;

use super::{IndexResult, is_passable};
use crate::audio::SampleRange;
use crate::audio::encoding::Encoder;
use crate::container::Container;
use crate::container::probe::{Codec, Format, ProbeInfo, ProbedInput};
use crate::ffmpeg::FfmpegJob;
use crate::options::{ContainerChoice, Engine, OutputOptions, TimeRange};
use crate::splice::{CountedAudio, Plan, TrackIndex};

/// Whether a lone MP3 gets a tag: it has none in front. One that has keeps it, for it tells more than a page does.
pub fn wants_tag(input: ProbedInput, tracks: usize, options: &OutputOptions) -> bool {
    let ProbeInfo { format, audio, skip, in_segments, .. } = input.probe;
    tracks == 1
        && options.container == ContainerChoice::Mp3
        && is_passable(input, options)
        && (format, audio, skip) == (Format::Mp3, Some(Codec::Mp3), 0)
        && !in_segments
}

/// Whether a file in this container that passes through keeps its own tags and cover, or its lack of them, whatever
/// those of the page are.
pub(super) fn keeps_tags(container: ContainerChoice) -> bool {
    container.is_audio() && container != ContainerChoice::M4a
}

/// Whether the samples of the audio are counted for files in this container.
pub(super) fn counts_samples(container: ContainerChoice) -> bool {
    matches!(container, ContainerChoice::Mp3 | ContainerChoice::Wav | ContainerChoice::Flac)
}

/// Has the job encode samples that are counted, if the index of its only input, or its header, tells how many there are.
/// `feeds` gets the plan of what the decoder needs.
pub(super) fn count_samples(
    job: &mut FfmpegJob,
    feeds: &mut [Option<Plan>],
    indexes: &[Option<IndexResult>],
    options: &OutputOptions,
) {
    let is_counted = counts_samples(options.container) && options.engine != Engine::Ffmpeg;
    let ([input], Some(encoder), true) = (&job.inputs[..], job.transcode, is_counted) else {
        return;
    };
    let range = options.time_range;
    let counted = match (indexes, &mut *feeds) {
        ([Some(Ok(index))], [feed]) => of_index(index, range).map(|(samples, plan)| {
            *feed = Some(plan);
            samples
        }),
        _ => of_header(input.probe, range),
    };
    let Some(samples) = counted else { return };
    job.samples = Some(samples);
    job.time_range = TimeRange::default();
    if encoder == Encoder::Pcm {
        job.container = Container::Samples;
    }
}

/// Returns the samples of a time range by an index, and the plan of what has to be decoded for them.
fn of_index(index: &TrackIndex, range: TimeRange) -> Option<(SampleRange, Plan)> {
    let CountedAudio { rate, channels, begin, len } = index.counted_audio()?;
    let (from, to) = samples_in(range, rate, len)?;
    let (plan, lacking) = index.decodable(&(begin + from..begin + to), rate)?;
    let start = (begin + from).checked_sub(lacking)?;
    let (len, is_last) = (to - from, to == len);
    Some((SampleRange { rate, channels, start, len, is_last, is_decoded: true }, plan))
}

/// Returns the samples of a time range of a file whose header tells how many there are, and whose demuxer finds out by
/// itself which are presented.
fn of_header(info: ProbeInfo, range: TimeRange) -> Option<SampleRange> {
    let is_counted = matches!(info.format, Format::Flac | Format::Ogg)
        && info.has_video == Some(false)
        && info.begin.is_zero()
        && !info.in_segments
        && !info.is_live;
    let (rate, channels) = info.sampling.filter(|_| is_counted)?;
    let rate = rate.get();
    let len = samples_until(info.end?, rate);
    let (from, to) = samples_in(range, rate, len).filter(|_| channels <= 2)?;
    let (is_last, len) = (to == len, to - from);
    Some(SampleRange { rate, channels, start: from, len, is_last, is_decoded: false })
}

/// Returns the first sample of a time range and the one after the last; `None` if there is none.
fn samples_in(range: TimeRange, rate: u32, len: u64) -> Option<(u64, u64)> {
    let from = samples_until(range.start, rate);
    let to = range.end.map_or(len, |end| samples_until(end, rate).min(len));
    (from < to).then_some((from, to))
}

/// Returns how many samples are before a time, rounded.
fn samples_until(time: Duration, rate: u32) -> u64 {
    let samples = (time.as_nanos() * u128::from(rate) + 500_000_000) / 1_000_000_000;
    u64::try_from(samples).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn a_header_counts_the_samples_of_a_range() {
        let info = ProbeInfo {
            end: Some(Duration::from_nanos(1_370_000_000)),
            sampling: NonZeroU32::new(44_100).map(|rate| (rate, 2)),
            ..ProbeInfo::of(Format::Flac)
        };
        let seconds = |start, end| TimeRange {
            start: Duration::from_millis(start),
            end: Some(Duration::from_millis(end)),
        };
        let of = |info, range| of_header(info, range).map(|samples| (samples.start, samples.len));
        assert_eq!(of(info, TimeRange::default()), Some((0, 60_417)));
        assert_eq!(of(info, seconds(500, 1000)), Some((22_050, 22_050)));
        assert_eq!(of(info, seconds(500, 9000)), Some((22_050, 38_367)));
        assert_eq!(of(info, seconds(1370, 9000)), None);
        let many = ProbeInfo { sampling: NonZeroU32::new(44_100).map(|rate| (rate, 6)), ..info };
        assert_eq!(of(many, TimeRange::default()), None);
        assert_eq!(of(ProbeInfo { is_live: true, ..info }, TimeRange::default()), None);
    }
}

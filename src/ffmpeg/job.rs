//! Plans an ffmpeg job: the container, the mapped tracks, the transcoding, the metadata. Pure.

use std::time::Duration;

use super::audio_only;
use crate::audio::SampleRange;
use crate::audio::encoding::Encoder;
use crate::container::probe::{Codec, Format, ProbeInfo, ProbedInput};
use crate::container::{Container, OutputType, type_of};
use crate::error::{Error, InputError};
use crate::media::{Metadata, TrackKind};
use crate::options::{ContainerChoice, OutputOptions, TimeRange};

mod inputs;

/// What ffmpeg muxes, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FfmpegJob {
    /// The inputs, video first.
    pub inputs: Vec<ProbedInput>,
    /// The indexes of these among all tracks of the download.
    pub used: Vec<usize>,
    /// The tracks of the output, video first.
    pub tracks: Vec<MappedTrack>,
    /// The container of the output.
    pub container: Container,
    /// The time range of the output, on the clock of the inputs.
    pub time_range: TimeRange,
    /// The metadata of the output, at its times.
    pub metadata: Metadata,
    /// What the audio is encoded by, if it does not fit as it is.
    pub transcode: Option<Encoder>,
    /// The bit rate for that in kbit/s, if one is requested.
    pub bitrate: Option<u32>,
    /// The samples that are encoded, if they are counted. Then the time range is that of all media.
    pub samples: Option<SampleRange>,
    /// Whether a container of audio only was requested.
    pub is_audio_only: bool,
}

/// A track of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MappedTrack {
    /// The index of the input that it comes from.
    pub from: usize,
    /// The kind of the track: the first one of this kind in the input.
    pub kind: TrackKind,
    /// The codec, if known.
    pub codec: Option<Codec>,
    /// The end on the clock of the inputs, if known.
    pub end: Option<Duration>,
    /// Whether it may be missing: a video may have no audio.
    pub is_optional: bool,
}

impl FfmpegJob {
    /// Plans the job for `inputs`, without those that have no media in the time range.
    pub fn new(
        inputs: Vec<ProbedInput>,
        options: &OutputOptions,
        metadata: &Metadata,
    ) -> Result<FfmpegJob, Error> {
        let (time_range, mut tracks) = select_tracks(&inputs, options.time_range);
        if tracks.is_empty() {
            return Err(Error::StartBeyondEnd);
        }
        let (inputs, used) = inputs::used(inputs, &mut tracks);
        let container = match options.container {
            ContainerChoice::Mp4 => Container::Mp4,
            ContainerChoice::Webm => Container::Webm,
            ContainerChoice::Mkv => Container::Mkv,
            ContainerChoice::M4a => Container::Mp4,
            ContainerChoice::Mp3 => Container::Mp3,
            ContainerChoice::Opus => Container::Opus,
            ContainerChoice::Ogg => Container::Ogg,
            ContainerChoice::Flac => Container::Flac,
            ContainerChoice::Wav => Container::Wav,
            ContainerChoice::Auto => default_container(&inputs),
        };
        // One codec is for all audio tracks.
        let transcode = inputs.iter().find_map(|input| audio_only::encoder(input.probe, options));
        // Transcoded ADTS goes into any container.
        let mut raw = inputs.iter().filter(|input| input.probe.has_adts());
        if let Some(raw) = raw.next().filter(|_| transcode.is_none())
            && (container != Container::Mp4
                || options.container == ContainerChoice::Auto && !fit_mp4(&inputs))
        {
            return Err(Error::Unusable { track: raw.kind, reason: InputError::OnlyInMp4 });
        }
        let job = FfmpegJob {
            inputs,
            used,
            tracks,
            container,
            time_range,
            metadata: metadata.clone(),
            transcode,
            bitrate: options.bitrate,
            samples: None,
            is_audio_only: options.container.is_audio(),
        };
        let origin = i128::try_from(options.time_range.start.as_nanos()).unwrap_or_default();
        let durations = job.durations().into_iter().collect::<Option<Vec<_>>>();
        let duration = durations.and_then(|all| all.into_iter().max()).unwrap_or_default();
        let metadata = job.metadata.within(origin, duration);
        Ok(FfmpegJob { metadata, ..job })
    }

    /// Returns the time on the clock of the inputs that is 0 for ffmpeg: at most their begin. ffmpeg drops
    /// what is decoded before `-ss`, even the first frame of a video that is presented later. The clock of
    /// a transport stream, of segments, or of a live stream, has no zero of its own.
    pub fn zero(&self) -> Duration {
        let begin = begin(&self.inputs);
        let is_relative =
            |info: ProbeInfo| info.is_live || info.format == Format::MpegTs || info.in_segments;
        let is_relative = self.inputs.iter().all(|input| is_relative(input.probe));
        if is_relative { begin } else { self.time_range.start.min(begin) }
    }

    /// Returns the duration of each track of the output, if known.
    pub fn durations(&self) -> Vec<Option<Duration>> {
        let start = self.time_range.start.max(self.zero());
        let left =
            |end: Duration| end.min(self.time_range.end.unwrap_or(end)).saturating_sub(start);
        self.tracks.iter().map(|track| track.end.map(left)).collect()
    }

    /// Whether an MP4 needs edit lists to keep the tracks in sync. They are in the moov box, and ffmpeg
    /// knows them only at the end of the first fragment, for which the first byte has to wait. Tracks that
    /// begin at 0 with presentation times as stored need none.
    pub fn needs_edit_lists(&self) -> bool {
        !self.time_range.is_full() || self.inputs.iter().any(|input| input.probe.needs_edit_list)
    }

    /// Whether ffmpeg can write the moov box of an MP4 before it has a packet of each track.
    pub fn is_described(&self) -> bool {
        let codecs = self.inputs.iter().flat_map(codecs);
        self.transcode.is_some()
            || codecs.into_iter().all(|codec| codec.is_some_and(Codec::is_described))
    }

    /// Returns the maximum duration of a fragment of an MP4. Key frames of the video begin new fragments
    /// earlier; without video, ffmpeg would buffer all of the audio until its end.
    pub fn max_fragment_duration(&self) -> Duration {
        let has_video = self.tracks.iter().any(|track| track.kind == TrackKind::Video);
        Duration::from_secs(if has_video { 10 } else { 1 })
    }

    /// Returns the media type and the file name extension of the output.
    pub fn output_type(&self) -> OutputType {
        type_of(self.container, self.tracks.iter().map(|track| track.kind))
    }
}

/// Converts a time range to the clock of the inputs, which begins with the earliest of them, and returns
/// the tracks with media in it.
fn select_tracks(inputs: &[ProbedInput], range: TimeRange) -> (TimeRange, Vec<MappedTrack>) {
    let mut tracks = all_tracks(inputs);
    if range.is_full() {
        return (range, tracks);
    }
    let TimeRange { start, end } = range.on_clock_from(begin(inputs));
    let begins = |from: usize| inputs.get(from).map(|input| input.probe.begin);
    tracks.retain(|track| {
        let is_over = track.end.is_some_and(|over| over <= start);
        let is_later = end.is_some_and(|end| begins(track.from).is_some_and(|begin| begin >= end));
        !is_over && !is_later
    });
    // An end after the end of all tracks would become the duration in some headers.
    let is_cut = |end: &Duration| tracks.iter().any(|track| track.end.is_none_or(|own| own > *end));
    (TimeRange { start, end: end.filter(is_cut) }, tracks)
}

/// Returns the begin of the earliest input.
pub(crate) fn begin(inputs: &[ProbedInput]) -> Duration {
    inputs.iter().map(|input| input.probe.begin).min().unwrap_or_default()
}

/// Returns all tracks of the inputs. A lone video may have audio in it.
fn all_tracks(inputs: &[ProbedInput]) -> Vec<MappedTrack> {
    let map = |from: usize, input: &ProbedInput, kind, is_optional| {
        let ProbeInfo { end, video, audio, video_end, audio_end, .. } = input.probe;
        let (codec, own_end) = match kind {
            TrackKind::Video => (video, video_end),
            TrackKind::Audio => (audio, audio_end),
        };
        MappedTrack { from, kind, codec, end: own_end.or(end), is_optional }
    };
    let tracks = (0..).zip(inputs).map(|(from, input)| map(from, input, input.kind, false));
    let mut tracks: Vec<_> = tracks.collect();
    if let [lone @ ProbedInput { kind: TrackKind::Video, .. }] = inputs {
        tracks.push(map(0, lone, TrackKind::Audio, true));
    }
    tracks
}

/// Returns the codecs of the tracks of an input, as far as they are known: of a video input, also the
/// audio in it.
fn codecs(input: &ProbedInput) -> impl Iterator<Item = Option<Codec>> + use<> {
    let ProbeInfo { video, audio, .. } = input.probe;
    let is_video = input.kind == TrackKind::Video;
    let first = if is_video { video } else { audio };
    std::iter::once(first).chain(audio.filter(|_| is_video).map(Some))
}

/// Whether MP4 supports all known codecs of the inputs.
fn fit_mp4(inputs: &[ProbedInput]) -> bool {
    inputs.iter().flat_map(codecs).flatten().all(Codec::fits_mp4)
}

/// Returns the container for `auto`: the most widely supported one that can hold the inputs.
fn default_container(inputs: &[ProbedInput]) -> Container {
    let has_adts = inputs.iter().any(|input| input.probe.has_adts());
    let formats = |fits: fn(Format) -> bool| inputs.iter().all(|input| fits(input.probe.format));
    let is_mp4 = |format| {
        matches!(format, Format::Mp4 | Format::Flv | Format::MpegTs) || Format::is_raw(format)
    };
    let fit_webm = || inputs.iter().flat_map(codecs).flatten().all(Codec::fits_webm);
    if has_adts || formats(is_mp4) && fit_mp4(inputs) {
        Container::Mp4
    } else if formats(|format| format == Format::Webm) && fit_webm() {
        Container::Webm
    } else {
        Container::Mkv
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem;

    fn job(formats: &[Format], container: ContainerChoice) -> FfmpegJob {
        let kinds = [TrackKind::Video, TrackKind::Audio];
        let inputs = formats.iter().zip(kinds).enumerate().map(|(seconds, (format, kind))| {
            let duration = Some(Duration::from_secs(seconds as u64 + 1));
            let info = ProbeInfo { end: duration, ..ProbeInfo::of(*format) };
            ProbedInput { kind, probe: info }
        });
        FfmpegJob::new(inputs.collect(), &options(container), &Metadata::default()).unwrap()
    }

    fn options(container: ContainerChoice) -> OutputOptions {
        OutputOptions { container, ..OutputOptions::default() }
    }

    #[test]
    fn the_default_container_holds_both_tracks() {
        for (formats, container) in [
            (&[Format::Mp4, Format::Mp4][..], Container::Mp4),
            (&[Format::Mp4, Format::Adts], Container::Mp4),
            (&[Format::Webm, Format::Webm], Container::Webm),
            (&[Format::Mp4, Format::Webm], Container::Mkv),
            (&[Format::Matroska], Container::Mkv),
            (&[Format::Webm, Format::Flac], Container::Mkv),
            (&[Format::Webm, Format::Adts], Container::Mp4),
            (&[Format::Mp4, Format::Eac3], Container::Mp4),
            (&[Format::Flv], Container::Mp4),
            (&[Format::Mp4, Format::Wav], Container::Mkv),
        ] {
            assert_eq!(job(formats, ContainerChoice::Auto).container, container, "{formats:?}");
        }
    }

    #[test]
    fn a_codec_that_mp4_does_not_support_goes_into_matroska() {
        let of = |video, audio| {
            let info = ProbeInfo { video, audio, ..ProbeInfo::of(Format::Mp4) };
            let inputs = vec![ProbedInput { kind: TrackKind::Video, probe: info }];
            FfmpegJob::new(inputs, &options(ContainerChoice::Auto), &Metadata::default()).unwrap()
        };
        for (audio, container, is_described) in [
            (Some(Codec::Aac), Container::Mp4, true),
            (Some(Codec::Ac3), Container::Mp4, false),
            (Some(Codec::Pcm), Container::Mkv, false),
            (Some(Codec::Other), Container::Mkv, false),
            (None, Container::Mp4, true),
        ] {
            let job = of(Some(Codec::H264), audio);
            assert_eq!((job.container, job.is_described()), (container, is_described));
        }
        assert!(!of(None, Some(Codec::Aac)).is_described());
    }

    /// Unless it is transcoded.
    #[test]
    fn raw_aac_goes_into_mp4_only() {
        let job = |video, container| {
            let info = ProbeInfo { video, ..ProbeInfo::of(Format::Ogg) };
            let first = ProbedInput { kind: TrackKind::Video, probe: info };
            let info = ProbeInfo { audio: Some(Codec::Aac), ..ProbeInfo::of(Format::Adts) };
            let raw = ProbedInput { kind: TrackKind::Audio, probe: info };
            let inputs = video.map(|_| first).into_iter().chain([raw]).collect();
            let job = FfmpegJob::new(inputs, &options(container), &Metadata::default());
            job.map(|job| job.container).map_err(|error| Problem::from(&error).code.as_str())
        };
        let refused = Err("mux-refused");
        assert_eq!(job(Some(Codec::Theora), ContainerChoice::Auto), refused);
        assert_eq!(job(Some(Codec::Vp8), ContainerChoice::Auto), refused);
        assert_eq!(job(Some(Codec::H264), ContainerChoice::Mkv), refused);
        assert_eq!(job(Some(Codec::H264), ContainerChoice::Auto), Ok(Container::Mp4));
        assert_eq!(job(None, ContainerChoice::Mkv), refused);
        assert_eq!(job(None, ContainerChoice::Mp3), Ok(Container::Mp3));
        assert_eq!(job(None, ContainerChoice::Opus), Ok(Container::Opus));
    }

    #[test]
    fn a_job_has_durations_and_a_media_type() {
        let both = job(&[Format::Mp4, Format::Mp4], ContainerChoice::Auto);
        let durations = vec![Some(Duration::from_secs(1)), Some(Duration::from_secs(2))];
        assert_eq!(both.durations(), durations);
        assert_eq!(both.output_type().media_type, "video/mp4");
    }

    /// A video from 10 to 14 s with audio until 12 s.
    fn late() -> ProbeInfo {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let begin = Duration::from_secs(10);
        let (end, audio_end) = (seconds(14), seconds(12));
        ProbeInfo { begin, end, audio_end, ..ProbeInfo::of(Format::Webm) }
    }

    #[test]
    fn a_time_range_is_relative_to_the_begin_of_the_media() {
        let range = |start, end: Option<u64>| {
            let time_range =
                TimeRange { start: Duration::from_secs(start), end: end.map(Duration::from_secs) };
            let options = OutputOptions { time_range, ..OutputOptions::default() };
            let inputs = vec![ProbedInput { kind: TrackKind::Video, probe: late() }];
            FfmpegJob::new(inputs, &options, &Metadata::default()).map(|job| {
                let kinds: Vec<_> = job.tracks.iter().map(|track| track.kind).collect();
                let seconds = |time: Duration| time.as_secs();
                let durations = job.durations().into_iter().map(|time| time.map(seconds));
                let TimeRange { start, end } = job.time_range;
                (kinds, seconds(start), end.map(seconds), durations.collect::<Vec<_>>())
            })
        };
        let both = || vec![TrackKind::Video, TrackKind::Audio];
        assert_eq!(range(1, None), Ok((both(), 11, None, vec![Some(3), Some(1)])));
        assert_eq!(range(1, Some(3)), Ok((both(), 11, Some(13), vec![Some(2), Some(1)])));
        // The end is after the end of all tracks.
        assert_eq!(range(1, Some(9)), Ok((both(), 11, None, vec![Some(3), Some(1)])));
        assert_eq!(range(0, None), Ok((both(), 0, None, vec![Some(14), Some(12)])));
        // The audio has ended.
        assert_eq!(range(2, None), Ok((vec![TrackKind::Video], 12, None, vec![Some(2)])));
        assert_eq!(range(4, None), Err(Error::StartBeyondEnd));
    }

    #[test]
    fn an_input_without_media_in_the_time_range_is_left_out() {
        let early = ProbeInfo { end: Some(Duration::from_secs(4)), ..ProbeInfo::of(Format::Webm) };
        let inputs = [(TrackKind::Video, late()), (TrackKind::Audio, early)];
        let inputs: Vec<_> = inputs.map(|(kind, info)| ProbedInput { kind, probe: info }).into();
        for (start, end, left) in [(1, Some(3), TrackKind::Audio), (5, None, TrackKind::Video)] {
            let time_range =
                TimeRange { start: Duration::from_secs(start), end: end.map(Duration::from_secs) };
            let options = OutputOptions { time_range, ..OutputOptions::default() };
            let job = FfmpegJob::new(inputs.clone(), &options, &Metadata::default()).unwrap();
            let kinds: Vec<_> = job.inputs.iter().map(|input| input.kind).collect();
            assert_eq!((kinds, job.tracks.len()), (vec![left], 1));
        }
    }

    #[test]
    fn audio_is_transcoded_only_where_it_must() {
        let transcode = |format, audio, container| {
            let info = ProbeInfo { audio, ..ProbeInfo::of(format) };
            let inputs = vec![ProbedInput { kind: TrackKind::Audio, probe: info }];
            FfmpegJob::new(inputs, &options(container), &Metadata::default()).unwrap().transcode
        };
        let opus = Some(Codec::Opus);
        assert_eq!(transcode(Format::Mp4, None, ContainerChoice::M4a), None);
        assert_eq!(transcode(Format::Mp4, Some(Codec::Aac), ContainerChoice::M4a), None);
        assert_eq!(
            transcode(Format::Mp4, Some(Codec::Ac3), ContainerChoice::M4a),
            Some(Encoder::Aac)
        );
        assert_eq!(transcode(Format::Webm, opus, ContainerChoice::M4a), Some(Encoder::Aac));
        assert_eq!(transcode(Format::Mp4, None, ContainerChoice::Mp3), Some(Encoder::Mp3));
        assert_eq!(transcode(Format::Mp3, Some(Codec::Mp3), ContainerChoice::Mp3), None);
        assert_eq!(
            transcode(Format::Mp3, Some(Codec::Mp2), ContainerChoice::Mp3),
            Some(Encoder::Mp3)
        );
        assert_eq!(transcode(Format::Webm, opus, ContainerChoice::Opus), None);
        assert_eq!(transcode(Format::Webm, None, ContainerChoice::Opus), Some(Encoder::Opus));
        assert_eq!(transcode(Format::Webm, opus, ContainerChoice::Webm), None);
    }
}

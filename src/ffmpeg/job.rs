//! How ffmpeg is to join tracks: into which container, what is coded anew, what the file says. Pure.

use std::time::Duration;

use crate::container::probe::{Codec, Format, ProbeInfo, ProbedInput};
use crate::container::{Container, OutputType, type_of};
use crate::error::{Error, InputError};
use crate::media::{Metadata, TrackKind};
use crate::options::{ContainerChoice, OutputOptions, TimeRange};

/// How the tracks will be joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FfmpegJob {
    /// Video first.
    pub inputs: Vec<ProbedInput>,
    /// What of them will be in the file, video first.
    pub tracks: Vec<MappedTrack>,
    /// What the file will be.
    pub container: Container,
    /// What of the film will be in it, by the clock of the inputs.
    pub time_range: TimeRange,
    /// What it will say of itself.
    pub metadata: Metadata,
    /// How its sound is coded anew, if it does not fit as it is.
    pub transcode: Option<Transcode>,
}

/// A track that is taken from an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MappedTrack {
    /// Which input.
    pub from: TrackKind,
    /// Which of its tracks: the first of this kind.
    pub kind: TrackKind,
    /// How it is coded, if that is known.
    pub codec: Option<Codec>,
    /// Until when it plays, by the clock of the inputs, if that is known.
    pub end: Option<Duration>,
    /// Whether it may be missing: a film may have no sound.
    pub is_optional: bool,
}

/// A sound that is coded anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transcode {
    /// As AAC.
    Aac,
    /// As MP3.
    Mp3,
    /// As Opus.
    Opus,
}

impl FfmpegJob {
    /// Decides how to join `inputs`. Those that have nothing of what is wanted are left out.
    pub fn new(
        mut inputs: Vec<ProbedInput>,
        options: &OutputOptions,
        tags: &Metadata,
    ) -> Result<FfmpegJob, Error> {
        let (trim, tracks) = wanted(&inputs, options.time_range);
        if tracks.is_empty() {
            return Err(Error::StartBeyondEnd);
        }
        inputs.retain(|input| tracks.iter().any(|track| track.from == input.kind));
        let container = match options.container {
            ContainerChoice::Mp4 => Container::Mp4,
            ContainerChoice::Webm => Container::Webm,
            ContainerChoice::Mkv => Container::Mkv,
            ContainerChoice::M4a => Container::Mp4,
            ContainerChoice::Mp3 => Container::Mp3,
            ContainerChoice::Opus => Container::Ogg,
            ContainerChoice::Auto => suitable(&inputs),
        };
        let recoding = inputs.first().and_then(|input| transcode(input.probe, options.container));
        // Of what is coded anew nothing stays as it is.
        let mut raw = inputs.iter().filter(|input| input.probe.format == Format::Adts);
        if let Some(raw) = raw.next().filter(|_| recoding.is_none())
            && (container != Container::Mp4
                || options.container == ContainerChoice::Auto && !fit_mp4(&inputs))
        {
            return Err(Error::Unusable { track: raw.kind, reason: InputError::OnlyInMp4 });
        }
        Ok(FfmpegJob {
            inputs,
            tracks,
            container,
            time_range: trim,
            metadata: tags.clone(),
            transcode: recoding,
        })
    }

    /// The input that a track of this kind is taken from.
    pub fn source(&self, kind: TrackKind) -> Option<&ProbedInput> {
        let from = self.tracks.iter().find(|track| track.kind == kind)?.from;
        self.inputs.iter().find(|input| input.kind == from)
    }

    /// What of the clock of the inputs is to be 0 to ffmpeg, of a part: no later than they begin. It leaves
    /// out what is decoded before a start that it is told, be it the first picture of a film that is
    /// shown then.
    pub fn zero(&self) -> Duration {
        self.time_range.start.min(begin(&self.inputs))
    }

    /// Until when each track will play, if it tells.
    pub fn durations(&self) -> Vec<Option<Duration>> {
        let left = |end: Duration| {
            end.min(self.time_range.end.unwrap_or(end)).saturating_sub(self.time_range.start)
        };
        self.tracks.iter().map(|track| track.end.map(left)).collect()
    }

    /// Whether an MP4 needs edit lists to keep the tracks in step. They stand in the index, and
    /// ffmpeg knows them only at the end of the first fragment: the first byte has to wait for
    /// it. Only tracks that begin at 0 and were not shifted do without.
    pub fn needs_edit_lists(&self) -> bool {
        !self.time_range.is_full() || self.inputs.iter().any(|input| input.probe.shifted)
    }

    /// Whether the head of an MP4 can be written before ffmpeg has seen a packet of each track.
    pub fn is_described(&self) -> bool {
        let codecs = self.inputs.iter().flat_map(codecs);
        self.transcode.is_some()
            || codecs.into_iter().all(|codec| codec.is_some_and(Codec::is_described))
    }

    /// After how much film a fragment of an MP4 ends if no picture begins a new one before: with
    /// sound alone none ever does, and ffmpeg would keep all of it until its end.
    pub fn longest_fragment(&self) -> Duration {
        let has_picture = self.tracks.iter().any(|track| track.kind == TrackKind::Video);
        Duration::from_secs(if has_picture { 10 } else { 1 })
    }

    /// What the file is to those who get it.
    pub fn output_type(&self) -> OutputType {
        type_of(self.container, self.tracks.iter().map(|track| track.kind))
    }
}

/// What is taken of the inputs if this much of the film is wanted, and that by their own clock: a film
/// begins where the first of its files does, and a track may be over before what is wanted begins.
fn wanted(inputs: &[ProbedInput], trim: TimeRange) -> (TimeRange, Vec<MappedTrack>) {
    let mut tracks = mapped(inputs);
    if trim.is_full() {
        return (trim, tracks);
    }
    let TimeRange { start, end } = trim.on_clock_from(begin(inputs));
    let begins =
        |from| inputs.iter().find(|input| input.kind == from).map(|input| input.probe.begin);
    tracks.retain(|track| {
        let is_over = track.end.is_some_and(|over| over <= start);
        let is_later = end.is_some_and(|end| begins(track.from).is_some_and(|begin| begin >= end));
        !is_over && !is_later
    });
    // Where nothing is cut off, ffmpeg would say in some heads that it plays until there.
    let is_cut = |end: &Duration| tracks.iter().any(|track| track.end.is_none_or(|own| own > *end));
    (TimeRange { start, end: end.filter(is_cut) }, tracks)
}

/// When the first of them begins.
pub(crate) fn begin(inputs: &[ProbedInput]) -> Duration {
    inputs.iter().map(|input| input.probe.begin).min().unwrap_or_default()
}

/// All that is taken of the inputs. A lone film may have its sound with it.
fn mapped(inputs: &[ProbedInput]) -> Vec<MappedTrack> {
    let of = |input: &ProbedInput, kind, is_optional| {
        let ProbeInfo { end, video, audio, video_end, audio_end, .. } = input.probe;
        let (codec, own_end) = match kind {
            TrackKind::Video => (video, video_end),
            TrackKind::Audio => (audio, audio_end),
        };
        MappedTrack { from: input.kind, kind, codec, end: own_end.or(end), is_optional }
    };
    let mut tracks: Vec<_> = inputs.iter().map(|input| of(input, input.kind, false)).collect();
    if let [film @ ProbedInput { kind: TrackKind::Video, .. }] = inputs {
        tracks.push(of(film, TrackKind::Audio, true));
    }
    tracks
}

/// What has to become of a sound for it to be what its container promises.
fn transcode(head: ProbeInfo, wanted: ContainerChoice) -> Option<Transcode> {
    let is = |codec| head.audio == Some(codec);
    match wanted {
        ContainerChoice::M4a if matches!(head.audio, Some(Codec::Aac | Codec::Alac)) => None,
        // Of an MP4 that does not tell yet.
        ContainerChoice::M4a if head.format == Format::Mp4 && head.audio.is_none() => None,
        ContainerChoice::M4a => Some(Transcode::Aac),
        // In MP4, layer II goes by the same name.
        ContainerChoice::Mp3 if !is(Codec::Mp3) || head.format == Format::Mp4 => {
            Some(Transcode::Mp3)
        }
        ContainerChoice::Opus if !is(Codec::Opus) => Some(Transcode::Opus),
        _ => None,
    }
}

/// How the tracks are coded that are taken from an input, as far as that is known: of one that is
/// wanted for its picture, its sound goes along if it is the only input.
fn codecs(input: &ProbedInput) -> impl Iterator<Item = Option<Codec>> + use<> {
    let ProbeInfo { video, audio, .. } = input.probe;
    let is_picture = input.kind == TrackKind::Video;
    let first = if is_picture { video } else { audio };
    std::iter::once(first).chain(audio.filter(|_| is_picture).map(Some))
}

/// Whether MP4 takes all that is known of what is in them.
fn fit_mp4(inputs: &[ProbedInput]) -> bool {
    inputs.iter().flat_map(codecs).flatten().all(Codec::fits_mp4)
}

/// The narrowest container that takes whatever these files hold.
fn suitable(inputs: &[ProbedInput]) -> Container {
    let formats = |fits: fn(Format) -> bool| inputs.iter().all(|input| fits(input.probe.format));
    let is_mp4 = |format| matches!(format, Format::Mp4 | Format::Flv) || Format::is_raw(format);
    let fit_webm = || inputs.iter().flat_map(codecs).flatten().all(Codec::fits_webm);
    if !formats(|format| format != Format::Adts) || formats(is_mp4) && fit_mp4(inputs) {
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

    fn job(formats: &[Format], wanted: ContainerChoice) -> FfmpegJob {
        let kinds = [TrackKind::Video, TrackKind::Audio];
        let inputs = formats.iter().zip(kinds).enumerate().map(|(seconds, (format, kind))| {
            let duration = Some(Duration::from_secs(seconds as u64 + 1));
            let head = ProbeInfo { end: duration, ..ProbeInfo::of(*format) };
            ProbedInput { kind, probe: head }
        });
        FfmpegJob::new(inputs.collect(), &options(wanted), &Metadata::default()).unwrap()
    }

    fn options(container: ContainerChoice) -> OutputOptions {
        OutputOptions { container, ..OutputOptions::default() }
    }

    #[test]
    fn the_container_suits_both_tracks() {
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
    fn a_codec_that_mp4_does_not_take_goes_into_matroska() {
        let of = |video, audio| {
            let head = ProbeInfo { video, audio, ..ProbeInfo::of(Format::Mp4) };
            let inputs = vec![ProbedInput { kind: TrackKind::Video, probe: head }];
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

    /// It goes into nothing else, unless it is coded anew.
    #[test]
    fn raw_aac_goes_into_mp4_or_nowhere() {
        let job = |video, wanted| {
            let picture = ProbeInfo { video, ..ProbeInfo::of(Format::Ogg) };
            let sound = ProbeInfo { audio: Some(Codec::Aac), ..ProbeInfo::of(Format::Adts) };
            let picture = ProbedInput { kind: TrackKind::Video, probe: picture };
            let sound = ProbedInput { kind: TrackKind::Audio, probe: sound };
            let inputs = video.map(|_| picture).into_iter().chain([sound]).collect();
            let job = FfmpegJob::new(inputs, &options(wanted), &Metadata::default());
            job.map(|job| job.container).map_err(|error| Problem::from(&error).code.as_str())
        };
        let refused = Err("mux-refused");
        assert_eq!(job(Some(Codec::Theora), ContainerChoice::Auto), refused);
        assert_eq!(job(Some(Codec::Vp8), ContainerChoice::Auto), refused);
        assert_eq!(job(Some(Codec::H264), ContainerChoice::Mkv), refused);
        assert_eq!(job(Some(Codec::H264), ContainerChoice::Auto), Ok(Container::Mp4));
        assert_eq!(job(None, ContainerChoice::Mkv), refused);
        assert_eq!(job(None, ContainerChoice::Mp3), Ok(Container::Mp3));
        assert_eq!(job(None, ContainerChoice::Opus), Ok(Container::Ogg));
    }

    #[test]
    fn what_a_joint_tells_of_itself() {
        let both = job(&[Format::Mp4, Format::Mp4], ContainerChoice::Auto);
        let durations = vec![Some(Duration::from_secs(1)), Some(Duration::from_secs(2))];
        assert_eq!(both.durations(), durations);
        assert_eq!(both.output_type().media_type, "video/mp4");
    }

    /// A film from 10 to 14 s with a sound until 12 s.
    fn late() -> ProbeInfo {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let begin = Duration::from_secs(10);
        let (end, audio_end) = (seconds(14), seconds(12));
        ProbeInfo { begin, end, audio_end, ..ProbeInfo::of(Format::Webm) }
    }

    #[test]
    fn a_part_is_counted_from_where_the_film_begins() {
        let part = |start, end: Option<u64>| {
            let trim =
                TimeRange { start: Duration::from_secs(start), end: end.map(Duration::from_secs) };
            let options = OutputOptions { time_range: trim, ..OutputOptions::default() };
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
        assert_eq!(part(1, None), Ok((both(), 11, None, vec![Some(3), Some(1)])));
        assert_eq!(part(1, Some(3)), Ok((both(), 11, Some(13), vec![Some(2), Some(1)])));
        // Nothing is cut off at this end.
        assert_eq!(part(1, Some(9)), Ok((both(), 11, None, vec![Some(3), Some(1)])));
        assert_eq!(part(0, None), Ok((both(), 0, None, vec![Some(14), Some(12)])));
        // The sound is over.
        assert_eq!(part(2, None), Ok((vec![TrackKind::Video], 12, None, vec![Some(2)])));
        assert_eq!(part(4, None), Err(Error::StartBeyondEnd));
    }

    #[test]
    fn a_file_with_nothing_of_a_part_is_left_out() {
        let early = ProbeInfo { end: Some(Duration::from_secs(4)), ..ProbeInfo::of(Format::Webm) };
        let inputs = [(TrackKind::Video, late()), (TrackKind::Audio, early)];
        let inputs: Vec<_> = inputs.map(|(kind, head)| ProbedInput { kind, probe: head }).into();
        for (start, end, left) in [(1, Some(3), TrackKind::Audio), (5, None, TrackKind::Video)] {
            let trim =
                TimeRange { start: Duration::from_secs(start), end: end.map(Duration::from_secs) };
            let options = OutputOptions { time_range: trim, ..OutputOptions::default() };
            let job = FfmpegJob::new(inputs.clone(), &options, &Metadata::default()).unwrap();
            let kinds: Vec<_> = job.inputs.iter().map(|input| input.kind).collect();
            assert_eq!((kinds, job.tracks.len()), (vec![left], 1));
        }
    }

    #[test]
    fn a_sound_is_coded_anew_only_where_it_must() {
        let recoding = |format, audio, container| {
            let head = ProbeInfo { audio, ..ProbeInfo::of(format) };
            let inputs = vec![ProbedInput { kind: TrackKind::Audio, probe: head }];
            FfmpegJob::new(inputs, &options(container), &Metadata::default()).unwrap().transcode
        };
        let opus = Some(Codec::Opus);
        assert_eq!(recoding(Format::Mp4, None, ContainerChoice::M4a), None);
        assert_eq!(recoding(Format::Mp4, Some(Codec::Aac), ContainerChoice::M4a), None);
        assert_eq!(
            recoding(Format::Mp4, Some(Codec::Ac3), ContainerChoice::M4a),
            Some(Transcode::Aac)
        );
        assert_eq!(recoding(Format::Webm, opus, ContainerChoice::M4a), Some(Transcode::Aac));
        assert_eq!(recoding(Format::Mp4, None, ContainerChoice::Mp3), Some(Transcode::Mp3));
        assert_eq!(recoding(Format::Mp3, Some(Codec::Mp3), ContainerChoice::Mp3), None);
        assert_eq!(
            recoding(Format::Mp3, Some(Codec::Mp2), ContainerChoice::Mp3),
            Some(Transcode::Mp3)
        );
        assert_eq!(recoding(Format::Webm, opus, ContainerChoice::Opus), None);
        assert_eq!(recoding(Format::Webm, None, ContainerChoice::Opus), Some(Transcode::Opus));
        assert_eq!(recoding(Format::Webm, opus, ContainerChoice::Webm), None);
    }
}

//! Two tracks in, one file out.
//!
//! [`FfmpegJob`] decides (purely) what the file will be; [`ffmpeg`](crate::ffmpeg) makes it. Must never know HTTP
//! beyond the media type of a file.

use std::time::Duration;

use crate::container::probe::{Codec, Format, Probe, ProbeInfo, ProbedInput, View, probe};
use crate::container::{Container, OutputType, type_of};
use crate::error::{Error, InputError, SpliceRefusal, Unsupported};
use crate::ffmpeg::{FfmpegJob, begin};
use crate::media::{Metadata, TrackKind};
use crate::options::{ContainerChoice, Engine, OutputOptions, TimeRange};
use crate::splice::{self, TrackIndex};

/// What becomes of the tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// The only one is finished as it is.
    Passthrough(OutputType),
    /// They are spliced.
    Splice(splice::Plan),
    /// They are joined by ffmpeg.
    Ffmpeg(FfmpegPlan),
}

/// How ffmpeg joins tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FfmpegPlan {
    /// What it makes of them.
    pub job: FfmpegJob,
    /// What each input is given instead of its file, where that is not as it must be to be joined
    /// while it arrives, or holds more than is wanted.
    pub feeds: Vec<Option<splice::Plan>>,
    /// Why they are not spliced, if that was tried.
    pub refused: Option<SpliceRefusal>,
}

/// What splice found out about a track, or why it is of no use to it.
pub type Surveyed = Result<TrackIndex, Unsupported>;

/// Decides what becomes of `inputs`; of each there is a survey, if it was worth the while. `key_frame` is
/// where what is wanted of the video begins, if that was looked for beside it.
pub fn plan(
    mut inputs: Vec<ProbedInput>,
    surveys: &[Option<Surveyed>],
    key_frame: Option<Duration>,
    options: &OutputOptions,
    tags: &Metadata,
) -> Result<Strategy, Error> {
    if let [lone] = inputs[..]
        && is_passable(lone, options)
        && tags.cover.is_none()
    {
        if is_gathered(lone, 1, options) {
            match try_splice(&inputs, surveys, options, tags) {
                Some(Ok(plan)) => return Ok(Strategy::Splice(plan)),
                Some(Err(refused)) => log::debug!("passed through as it is: {refused}"),
                None => {}
            }
        }
        return Ok(Strategy::Passthrough(output_type(lone)));
    }
    if is_beyond(&inputs, options.time_range) {
        return Err(Error::StartBeyondEnd);
    }
    let refused = match try_splice(&inputs, surveys, options, tags) {
        Some(Ok(plan)) => return Ok(Strategy::Splice(plan)),
        Some(Err(refused)) if options.engine == Engine::Splice => {
            // Which of them it is shows when they are looked at one by one.
            if refused.why == splice::ENCRYPTED {
                feeds(&mut inputs, surveys, options.time_range)?;
            }
            return Err(Error::NotSpliced(refused));
        }
        Some(Err(refused)) => Some(refused),
        None => None,
    };
    let options = &OutputOptions {
        time_range: with_entry(&inputs, surveys, key_frame, options.time_range),
        ..*options
    };
    let feeds = feeds(&mut inputs, surveys, options.time_range)?;
    Ok(Strategy::Ffmpeg(FfmpegPlan { job: FfmpegJob::new(inputs, options, tags)?, feeds, refused }))
}

/// Whether it is worth the while to survey a track of a film that has so many: it may be spliced, or
/// ffmpeg cannot have it as it is.
pub fn is_surveyed(
    input: ProbedInput,
    tracks: usize,
    options: &OutputOptions,
    tags: &Metadata,
) -> bool {
    let is_finished =
        is_passed(input, tracks, options, tags) && !is_gathered(input, tracks, options);
    !is_finished && (options.engine != Engine::Ffmpeg || !input.probe.index_first)
}

/// Whether it is sound alone, in fragments, for which players want one index of all samples; who names
/// MP4 gets it as it is.
pub fn is_gathered(input: ProbedInput, tracks: usize, options: &OutputOptions) -> bool {
    tracks == 1
        && options.engine != Engine::Ffmpeg
        && input.kind == TrackKind::Audio
        && is_as_asked(input)
        && input.probe.in_fragments
        && matches!(options.container, ContainerChoice::Auto | ContainerChoice::M4a)
}

fn is_passed(input: ProbedInput, tracks: usize, options: &OutputOptions, tags: &Metadata) -> bool {
    tracks == 1 && is_passable(input, options) && tags.cover.is_none()
}

/// Whether more should be known of a track than its front tells, which may take another request: how
/// long it plays, if only its end tells that, and if it is joined; when it begins, if it is cut; what its
/// tracks are, if they are told of far behind, it is joined, and no survey will tell. Where no part of
/// it can be asked for (`ranged`), its end is too far.
pub fn needs_survey(
    input: ProbedInput,
    tracks: usize,
    options: &OutputOptions,
    tags: &Metadata,
    ranged: bool,
) -> bool {
    let head = input.probe;
    let is_joined = !is_passed(input, tracks, options, tags);
    match head.format {
        Format::Ogg => ranged && head.end.is_none() && is_joined,
        Format::Webm | Format::Matroska => ranged && !options.time_range.is_full(),
        Format::Mp4 => {
            let is_surveyed = ranged && options.engine != Engine::Ffmpeg;
            head.is_encrypted.is_none() && is_joined && !is_surveyed
        }
        _ => false,
    }
}

/// From when on the video of an input is to be shown, on its own clock, if its key frames are to be looked
/// for: it is cut, no survey told of them, and ffmpeg is not what was asked for.
pub fn awaits_key_frame(
    inputs: &[ProbedInput],
    kind: TrackKind,
    survey: Option<&Surveyed>,
    options: &OutputOptions,
) -> Option<Duration> {
    let OutputOptions { engine, time_range: TimeRange { start, .. }, .. } = *options;
    let is_told = matches!(survey, Some(Ok(_)));
    let is_cut = kind == TrackKind::Video && engine == Engine::Auto && !start.is_zero();
    (is_cut && !is_told).then(|| start.saturating_add(begin(inputs)))
}

/// The tracks spliced, or why not; `None` if nobody wants that.
fn try_splice(
    inputs: &[ProbedInput],
    surveys: &[Option<Surveyed>],
    options: &OutputOptions,
    tags: &Metadata,
) -> Option<Result<splice::Plan, SpliceRefusal>> {
    if options.engine == Engine::Ffmpeg {
        return None;
    }
    let surveys = surveys.iter().map(Option::as_ref).collect::<Option<Vec<_>>>()?;
    let tracks = inputs.iter().zip(surveys).map(|(input, survey)| match survey {
        Ok(survey) => Ok((input.kind, survey)),
        Err(why) => Err(SpliceRefusal { track: Some(input.kind), why: *why }),
    });
    let options = splice::Options {
        container: options.container,
        time_range: options.time_range,
        metadata: tags,
    };
    Some(tracks.collect::<Result<Vec<_>, _>>().and_then(|tracks| {
        splice::plan(&tracks, &options).map_err(|why| SpliceRefusal { track: None, why })
    }))
}

/// A part that begins with a key frame of its picture, where that is known: ffmpeg would leave out all of
/// it up to the next one. What is decoded before the start is left out, whenever it is shown.
fn with_entry(
    inputs: &[ProbedInput],
    surveys: &[Option<Surveyed>],
    key_frame: Option<Duration>,
    trim: TimeRange,
) -> TimeRange {
    let begin = begin(inputs);
    let start = trim.start.saturating_add(begin);
    let mut picture =
        inputs.iter().zip(surveys).filter(|(ProbedInput { kind, probe: head }, _)| {
            let end = head.video_end.or(head.end);
            *kind == TrackKind::Video && end.is_none_or(|end| end > start)
        });
    let entry = picture.find_map(|(_, survey)| match survey {
        Some(Ok(survey)) => survey.entry(start),
        _ => key_frame.filter(|key_frame| *key_frame <= start),
    });
    match entry.filter(|_| !trim.start.is_zero()) {
        Some(entry) => TimeRange { start: entry.saturating_sub(begin), ..trim },
        None => trim,
    }
}

/// What ffmpeg is given instead of files: a film with its samples in its index as if it were made for
/// streaming, with that index in front and no more than what is wanted. The inputs are then such
/// files. One with its index at its end can be joined in no other way.
fn feeds(
    inputs: &mut [ProbedInput],
    surveys: &[Option<Surveyed>],
    trim: TimeRange,
) -> Result<Vec<Option<splice::Plan>>, Error> {
    let alone = inputs.len() == 1;
    let trim = if trim.is_full() { trim } else { trim.on_clock_from(begin(inputs)) };
    let mut feeds = Vec::with_capacity(inputs.len());
    for (input, survey) in inputs.iter_mut().zip(surveys) {
        let laid_out = match survey {
            Some(Ok(survey)) => splice::for_streaming((input.kind, survey), alone, trim),
            Some(Err(why)) => Some(Err(*why)),
            None => None,
        };
        feeds.push(match laid_out {
            Some(Ok(plan)) => {
                let view = View::front(plan.head(), Some(plan.len()), false);
                if let Probe::Recognised(head) = probe(&view) {
                    // Cut, it keeps its clock.
                    input.probe = ProbeInfo { begin: input.probe.begin, ..head };
                }
                Some(plan)
            }
            Some(Err(splice::ENCRYPTED)) => {
                return Err(Error::Unusable { track: input.kind, reason: InputError::Encrypted });
            }
            Some(Err(Unsupported(why))) if !input.probe.index_first => {
                let reason = InputError::IndexAtEnd(why);
                return Err(Error::Unusable { track: input.kind, reason });
            }
            _ => None,
        });
    }
    Ok(feeds)
}

/// Whether a lone file is what is wanted as it is.
fn is_passable(lone: ProbedInput, options: &OutputOptions) -> bool {
    options.engine != Engine::Ffmpeg
        && options.time_range.is_full()
        && is_as_asked(lone)
        && fits(lone.probe.format, options.container)
}

/// Whether a file holds what it was named for: who asks for a picture takes the sound in it, but
/// who asks for sound alone does not want the film.
fn is_as_asked(ProbedInput { kind, probe: head }: ProbedInput) -> bool {
    kind == TrackKind::Video || head.has_picture == Some(false)
}

/// Whether a file of this format is what a client would like.
fn fits(format: Format, wanted: ContainerChoice) -> bool {
    match wanted {
        ContainerChoice::Auto => true,
        ContainerChoice::Mp4 => format == Format::Mp4,
        ContainerChoice::Webm => format == Format::Webm,
        ContainerChoice::Mkv => format == Format::Matroska,
        ContainerChoice::M4a => format == Format::Mp4,
        ContainerChoice::Mp3 => format == Format::Mp3,
        // Ogg may have Vorbis in it.
        ContainerChoice::Opus => false,
    }
}

/// Media types as IANA has them; RFC 5334 for Ogg.
fn output_type(ProbedInput { kind, probe: head }: ProbedInput) -> OutputType {
    let kinds = std::iter::once(kind);
    let (media_type, extension) = match head.format {
        Format::Mp4 => return type_of(Container::Mp4, kinds),
        Format::Webm => return type_of(Container::Webm, kinds),
        Format::Matroska => return type_of(Container::Mkv, kinds),
        Format::Ogg if kind == TrackKind::Video => ("video/ogg", "ogv"),
        Format::Ogg => ("audio/ogg", "ogg"),
        Format::Mp3 if head.audio == Some(Codec::Mp2) => ("audio/mpeg", "mp2"),
        Format::Mp3 => ("audio/mpeg", "mp3"),
        Format::Adts => ("audio/aac", "aac"),
        Format::Flac => ("audio/flac", "flac"),
        Format::Wav => ("audio/wav", "wav"),
        Format::Aiff => ("audio/aiff", "aiff"),
        Format::Au => ("audio/basic", "au"),
        Format::Wave64 => ("audio/x-w64", "w64"),
        // RFC 4184 and RFC 4598.
        Format::Ac3 => ("audio/ac3", "ac3"),
        Format::Eac3 => ("audio/eac3", "eac3"),
        Format::Flv => ("video/x-flv", "flv"),
    };
    OutputType { media_type, extension }
}

/// Whether nothing of the film is left, as far as it is known how long it plays.
fn is_beyond(inputs: &[ProbedInput], trim: TimeRange) -> bool {
    let ends = inputs.iter().map(|input| input.probe.end).collect::<Option<Vec<_>>>();
    let last = ends.and_then(|ends| ends.into_iter().max());
    last.is_some_and(|last| trim.start.saturating_add(begin(inputs)) >= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_file_that_is_as_wanted_is_passed_through() {
        let plan = |format, wanted, index_first| {
            let head = ProbeInfo { index_first, has_picture: Some(false), ..ProbeInfo::of(format) };
            let survey = (!index_first).then_some(Err(Unsupported("it is none")));
            plan(
                vec![ProbedInput { kind: TrackKind::Audio, probe: head }],
                &[survey],
                None,
                &OutputOptions { container: wanted, ..OutputOptions::default() },
                &Metadata::default(),
            )
        };
        let passed = OutputType { media_type: "audio/mpeg", extension: "mp3" };
        assert_eq!(
            plan(Format::Mp3, ContainerChoice::Auto, true),
            Ok(Strategy::Passthrough(passed))
        );
        assert!(matches!(
            plan(Format::Mp4, ContainerChoice::Mp4, false),
            Ok(Strategy::Passthrough(_))
        ));
        assert!(matches!(plan(Format::Mp4, ContainerChoice::Mkv, true), Ok(Strategy::Ffmpeg(..))));
        assert!(matches!(plan(Format::Webm, ContainerChoice::Mp4, true), Ok(Strategy::Ffmpeg(..))));
        assert!(plan(Format::Mp4, ContainerChoice::Mkv, false).is_err());
    }
}

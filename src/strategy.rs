//! Chooses how the probed tracks of a download become one file: passed through, spliced, or muxed by
//! ffmpeg. Pure.
//!
//! **Invariant:** knows of HTTP no more than the media type of a file.

use std::time::Duration;

use crate::container::probe::{Codec, Format, Probe, ProbeInfo, ProbedInput, View, probe};
use crate::container::{Container, OutputType, type_of};
use crate::error::{Error, InputError, SpliceRefusal, Unsupported};
use crate::ffmpeg::{FfmpegJob, begin};
use crate::media::{Metadata, TrackKind};
use crate::options::{ContainerChoice, Engine, OutputOptions, TimeRange};
use crate::splice::{self, TrackIndex};

mod audio_only;

pub use audio_only::wants_tag;

/// How the tracks become one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// The only track is sent as it is.
    Passthrough(OutputType),
    /// The tracks are spliced by a plan.
    Splice(splice::Plan),
    /// The tracks, whose lengths are not known, are spliced while they arrive.
    Stream(splice::StreamingPlan),
    /// The tracks are muxed by ffmpeg.
    Ffmpeg(FfmpegPlan),
}

/// How ffmpeg muxes the tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FfmpegPlan {
    /// The inputs and the output.
    pub job: FfmpegJob,
    /// For each input, the plan of a streamable file to feed instead of the remote file, where that has
    /// its index at its end or is longer than the time range.
    pub feeds: Vec<Option<splice::Plan>>,
    /// Why splice refused the tracks, if it was tried.
    pub refusal: Option<SpliceRefusal>,
}

/// The index of a track, or why splice does not support it.
pub type IndexResult = Result<TrackIndex, Unsupported>;

/// Chooses the strategy for `inputs`, with the index of each where it was read. `key_frame` is the time
/// of the key frame before the start of the time range, if it was searched for.
pub fn plan(
    mut inputs: Vec<ProbedInput>,
    indexes: &[Option<IndexResult>],
    key_frame: Option<Duration>,
    options: &OutputOptions,
    metadata: &Metadata,
) -> Result<Strategy, Error> {
    if let [lone] = inputs[..]
        && is_passed_through(lone, 1, options, metadata)
    {
        if wants_other_index(lone, 1, options, metadata) || wants_tag(lone, 1, options) {
            match try_splice(&inputs, indexes, options, metadata) {
                Some(Ok(strategy)) => return Ok(strategy),
                Some(Err(refusal)) => log::debug!("passing through: {refusal}"),
                None => {}
            }
        }
        return Ok(Strategy::Passthrough(output_type(lone, options.container)));
    }
    if starts_beyond_end(&inputs, options.time_range) {
        return Err(Error::StartBeyondEnd);
    }
    let refusal = match try_splice(&inputs, indexes, options, metadata) {
        Some(Ok(strategy)) => return Ok(strategy),
        Some(Err(refusal)) if options.engine == Engine::Splice => {
            // Fails with an error that names the encrypted track.
            if refusal.why == splice::ENCRYPTED {
                feeds(&mut inputs, indexes, options.time_range)?;
            }
            return Err(Error::NotSpliced(refusal));
        }
        Some(Err(refusal)) => Some(refusal),
        None => None,
    };
    if !metadata.removal.is_empty() {
        return Err(Error::NotRemoved(refusal));
    }
    let requested = options;
    let options = &OutputOptions {
        time_range: from_key_frame(&inputs, indexes, key_frame, options.time_range),
        ..*options
    };
    let mut feeds = feeds(&mut inputs, indexes, options.time_range)?;
    let mut job = FfmpegJob::new(inputs, options, metadata)?;
    audio_only::count_samples(&mut job, &mut feeds, indexes, requested);
    Ok(Strategy::Ffmpeg(FfmpegPlan { job, feeds, refusal }))
}

/// Whether the index of a track is read, of a download with this number of tracks: the track may be
/// spliced, or ffmpeg cannot read it as it is.
pub fn needs_index(
    input: ProbedInput,
    tracks: usize,
    options: &OutputOptions,
    metadata: &Metadata,
) -> bool {
    let is_final = is_passed_through(input, tracks, options, metadata)
        && !wants_other_index(input, tracks, options, metadata)
        && !wants_tag(input, tracks, options);
    !is_final && (options.engine != Engine::Ffmpeg || !input.probe.is_faststart)
}

/// Whether the input is a lone fragmented audio track, which is rewritten with one index of all samples
/// since players need that to seek. With `container=mp4` it is passed through.
pub fn wants_single_index(input: ProbedInput, tracks: usize, options: &OutputOptions) -> bool {
    tracks == 1
        && options.engine != Engine::Ffmpeg
        && input.kind == TrackKind::Audio
        && is_of_its_kind(input)
        && input.probe.in_fragments
        && !input.probe.is_discontinuous
        && (matches!(options.container, ContainerChoice::Auto | ContainerChoice::M4a)
            || audio_only::counts_samples(options.container))
}

/// Whether the input is a lone file that could pass through, but is better spliced: with a single index, or,
/// if it is fragmented video or WebM in segments, with its duration and an index of the segments, or with chapters.
fn wants_other_index(
    input: ProbedInput,
    tracks: usize,
    options: &OutputOptions,
    metadata: &Metadata,
) -> bool {
    let ProbeInfo { format, in_fragments, in_segments, is_live, .. } = input.probe;
    let lacks_index = match format {
        Format::Mp4 => in_fragments && input.kind == TrackKind::Video,
        Format::Webm => true,
        _ => false,
    };
    let is_segmented =
        tracks == 1 && options.engine != Engine::Ffmpeg && in_segments && lacks_index && !is_live;
    let gets_chapters = tracks == 1
        && !metadata.chapters.is_empty()
        && matches!(format, Format::Mp4 | Format::Webm)
        && !is_live;
    is_segmented || gets_chapters || wants_single_index(input, tracks, options)
}

fn is_passed_through(
    input: ProbedInput,
    tracks: usize,
    options: &OutputOptions,
    metadata: &Metadata,
) -> bool {
    let is_tagged = metadata.cover.is_some() && !audio_only::keeps_tags(options.container);
    let is_changed = !metadata.subtitles.is_empty() || !metadata.removal.is_empty();
    tracks == 1 && is_passable(input, options) && !is_tagged && !is_changed
}

/// Whether a thorough probe of a track is worth another request: for its duration, if only its end has
/// that; for its first timestamp, if it is trimmed; for its codecs, if their description is far from the
/// beginning and no index will be read. Without byte ranges (`ranged`) its end is out of reach.
pub fn needs_thorough_probe(
    input: ProbedInput,
    tracks: usize,
    options: &OutputOptions,
    metadata: &Metadata,
    ranged: bool,
) -> bool {
    let info = input.probe;
    let is_muxed = !is_passed_through(input, tracks, options, metadata);
    match info.format {
        Format::Ogg => ranged && info.end.is_none() && is_muxed,
        Format::Webm | Format::Matroska => ranged && !options.time_range.is_full(),
        Format::Mp4 => {
            let is_indexed = ranged && options.engine != Engine::Ffmpeg;
            info.is_encrypted.is_none() && is_muxed && !is_indexed
        }
        _ => false,
    }
}

/// Returns the start of the time range on the clock of the inputs, if the key frame before it must be
/// searched for: the video is trimmed, no index lists its key frames, and the engine is `auto`.
pub fn key_frame_target(
    inputs: &[ProbedInput],
    kind: TrackKind,
    index: Option<&IndexResult>,
    options: &OutputOptions,
) -> Option<Duration> {
    let OutputOptions { engine, time_range: TimeRange { start, .. }, .. } = *options;
    let is_indexed = matches!(index, Some(Ok(_)));
    let is_trimmed = kind == TrackKind::Video && engine == Engine::Auto && !start.is_zero();
    (is_trimmed && !is_indexed).then(|| start.saturating_add(begin(inputs)))
}

/// Plans a splice of the tracks, or to splice them while they arrive; `None` if an index was not read or the
/// engine is `ffmpeg`.
fn try_splice(
    inputs: &[ProbedInput],
    indexes: &[Option<IndexResult>],
    options: &OutputOptions,
    metadata: &Metadata,
) -> Option<Result<Strategy, SpliceRefusal>> {
    let tracks = match spliceable(inputs, indexes, options)? {
        Ok(tracks) => tracks,
        Err(refusal) => return Some(Err(refusal)),
    };
    let OutputOptions { container, time_range, .. } = *options;
    let options = splice::Options { container, time_range, metadata };
    let why = match splice::plan(&tracks, &options) {
        Ok(plan) => return Some(Ok(Strategy::Splice(plan))),
        Err(why) => why,
    };
    let refusal = SpliceRefusal { track: None, why };
    // Alone, it remains as it is.
    if matches!(inputs, [lone] if lone.probe.format == Format::Mp3) {
        return Some(Err(refusal));
    }
    let plan = splice::plan_streaming(&tracks, &options);
    let plan =
        plan.inspect_err(|Unsupported(why)| log::debug!("not spliced while it arrives: {why}"));
    Some(plan.map(Strategy::Stream).map_err(|_| refusal))
}

/// Returns the tracks with their indexes, or why one has none; `None` if an index was not read or the engine is
/// `ffmpeg`.
fn spliceable<'i>(
    inputs: &[ProbedInput],
    indexes: &'i [Option<IndexResult>],
    options: &OutputOptions,
) -> Option<Result<Vec<(TrackKind, &'i TrackIndex)>, SpliceRefusal>> {
    if options.engine == Engine::Ffmpeg {
        return None;
    }
    let indexes = indexes.iter().map(Option::as_ref).collect::<Option<Vec<_>>>()?;
    let tracks = inputs.iter().zip(indexes).map(|(input, index)| match index {
        Ok(index) => Ok((input.kind, index)),
        Err(why) => Err(SpliceRefusal { track: Some(input.kind), why: *why }),
    });
    Some(tracks.collect())
}

/// Moves the start of a time range back to the key frame before it, where that is known: ffmpeg would
/// drop the video up to the next key frame. What is decoded before the start is dropped, whenever it is
/// presented.
fn from_key_frame(
    inputs: &[ProbedInput],
    indexes: &[Option<IndexResult>],
    key_frame: Option<Duration>,
    range: TimeRange,
) -> TimeRange {
    let begin = begin(inputs);
    let start = range.start.saturating_add(begin);
    let mut videos = inputs.iter().zip(indexes).filter(|(ProbedInput { kind, probe: info }, _)| {
        let end = info.video_end.or(info.end);
        *kind == TrackKind::Video && end.is_none_or(|end| end > start)
    });
    let entry = videos.find_map(|(_, index)| match index {
        Some(Ok(index)) => index.entry(start),
        _ => key_frame.filter(|key_frame| *key_frame <= start),
    });
    match entry.filter(|_| !range.start.is_zero()) {
        Some(entry) => TimeRange { start: entry.saturating_sub(begin), ..range },
        None => range,
    }
}

/// Plans what ffmpeg reads instead of the remote files: a progressive MP4 as if it were made for
/// streaming, with its index in front and only the samples of the time range. Updates `inputs`
/// accordingly. ffmpeg cannot read a file with its index at its end from a pipe in any other way.
fn feeds(
    inputs: &mut [ProbedInput],
    indexes: &[Option<IndexResult>],
    range: TimeRange,
) -> Result<Vec<Option<splice::Plan>>, Error> {
    let alone = inputs.len() == 1;
    let range = if range.is_full() { range } else { range.on_clock_from(begin(inputs)) };
    let mut feeds = Vec::with_capacity(inputs.len());
    for (input, index) in inputs.iter_mut().zip(indexes) {
        let planned = match index {
            Some(Ok(index)) => splice::for_streaming((input.kind, index), alone, range),
            Some(Err(why)) => Some(Err(*why)),
            None => None,
        };
        feeds.push(match planned {
            Some(Ok(plan)) => {
                // Fragments made of segments are not there yet, but all else is known of them.
                let view = View::front(plan.head(), Some(plan.len()), input.probe.in_segments);
                if let Probe::Recognised(info) = probe(&view) {
                    // A trimmed file keeps its clock.
                    let ProbeInfo { begin, end, in_segments, .. } = input.probe;
                    input.probe = ProbeInfo { begin, in_segments, ..info };
                    if in_segments {
                        // The header has durations only.
                        let (video_end, audio_end) = (None, None);
                        input.probe = ProbeInfo { end, video_end, audio_end, ..input.probe };
                    }
                }
                Some(plan)
            }
            Some(Err(splice::ENCRYPTED)) => {
                return Err(Error::Unusable { track: input.kind, reason: InputError::Encrypted });
            }
            Some(Err(Unsupported(why))) if !input.probe.is_faststart => {
                let reason = InputError::IndexAtEnd(why);
                return Err(Error::Unusable { track: input.kind, reason });
            }
            _ => None,
        });
    }
    Ok(feeds)
}

/// Whether a lone file already is what was requested.
fn is_passable(lone: ProbedInput, options: &OutputOptions) -> bool {
    options.engine != Engine::Ffmpeg
        && options.bitrate.is_none()
        && options.time_range.is_full()
        // The timestamps of one that is live may begin anywhere.
        && !lone.probe.is_live
        && !lone.probe.is_discontinuous
        && is_of_its_kind(lone)
        && fits(lone.probe, options.container)
}

/// Whether a file holds the requested kind of media: a `video` may have audio in it, but an `audio` must
/// not have video.
fn is_of_its_kind(ProbedInput { kind, probe: info }: ProbedInput) -> bool {
    kind == TrackKind::Video || info.has_video == Some(false)
}

/// Whether a file satisfies the requested container.
fn fits(info: ProbeInfo, container: ContainerChoice) -> bool {
    let (format, is) = (info.format, |codec| info.audio == Some(codec));
    match container {
        // No browser plays a transport stream, nor AAC with a tag every few seconds.
        ContainerChoice::Auto => {
            format != Format::MpegTs && (!info.is_packed() || format == Format::Mp3)
        }
        ContainerChoice::Mp4 => format == Format::Mp4,
        ContainerChoice::Webm => format == Format::Webm,
        ContainerChoice::Mkv => format == Format::Matroska,
        ContainerChoice::M4a => format == Format::Mp4,
        ContainerChoice::Mp3 => format == Format::Mp3,
        ContainerChoice::Opus => format == Format::Ogg && is(Codec::Opus),
        ContainerChoice::Ogg => format == Format::Ogg && (is(Codec::Vorbis) || is(Codec::Opus)),
        ContainerChoice::Flac => format == Format::Flac,
        ContainerChoice::Wav => format == Format::Wav && is(Codec::Pcm),
    }
}

/// Returns the media type as registered with IANA (RFC 5334 for Ogg), and the file name extension.
fn output_type(
    ProbedInput { kind, probe: info }: ProbedInput,
    container: ContainerChoice,
) -> OutputType {
    let kinds = std::iter::once(kind);
    let (media_type, extension) = match info.format {
        Format::Mp4 => return type_of(Container::Mp4, kinds),
        Format::Webm => return type_of(Container::Webm, kinds),
        Format::Matroska => return type_of(Container::Mkv, kinds),
        Format::Ogg if kind == TrackKind::Video => ("video/ogg", "ogv"),
        Format::Ogg if container == ContainerChoice::Opus => ("audio/ogg", "opus"),
        Format::Ogg => ("audio/ogg", "ogg"),
        Format::Mp3 if info.audio == Some(Codec::Mp2) => ("audio/mpeg", "mp2"),
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
        Format::MpegTs => ("video/mp2t", "ts"),
    };
    OutputType { media_type, extension }
}

/// Whether the time range starts after the end of all inputs; `false` if an end is unknown.
fn starts_beyond_end(inputs: &[ProbedInput], range: TimeRange) -> bool {
    let ends = inputs.iter().map(|input| input.probe.end).collect::<Option<Vec<_>>>();
    let last = ends.and_then(|ends| ends.into_iter().max());
    last.is_some_and(|last| range.start.saturating_add(begin(inputs)) >= last)
}

#[cfg(test)]
mod tests;

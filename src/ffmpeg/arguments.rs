//! Builds the command line of ffmpeg. Pure.

use std::ffi::OsString;
use std::time::Duration;

use crate::container::Container;
use crate::container::probe::{Format, ProbedInput};
use crate::ffmpeg::job::MappedTrack;
use crate::ffmpeg::{FfmpegJob, report};
use crate::media::{Metadata, TrackKind};
use crate::runtime_dir::FifoSet;

mod labels;
mod text;
mod version;

pub use version::Version;

/// Returns ffmpeg's arguments for a job whose tracks come through these named pipes. Pure.
pub fn arguments(job: &FfmpegJob, fifos: &FifoSet, version: Version) -> Vec<OsString> {
    let mut list: Vec<OsString> = Vec::with_capacity(64);
    // -xerror: an input that ends in the middle of a packet is an error, not the end.
    list.extend(words("-hide_banner -nostdin -nostats -loglevel error -xerror"));
    for (index, input) in job.inputs.iter().enumerate() {
        list.extend(input_options(job, (index, input), fifos, version));
    }
    if job.metadata_file().is_some() {
        list.extend(words("-protocol_whitelist pipe -f ffmetadata -i pipe:0"));
    }
    let has_text = job.text_file().is_some();
    if has_text {
        list.extend(text::input(job));
    }
    // The first output is the report of the inputs.
    let maps: Vec<OsString> = job.tracks.iter().flat_map(map).collect();
    list.extend_from_slice(&maps);
    // Transcoded audio may begin within a packet, which the report would drop.
    if job.transcode.is_none() {
        list.extend(trim(job));
    }
    list.extend(words(&report::output(version.0)));
    list.extend(maps);
    if has_text {
        // It may be chapters alone.
        list.extend(words(&format!("-map {}:s?", job.inputs.len())));
    }
    // A track without packets is an error; only a full video may have an empty audio track.
    let may_be_empty = job.time_range.is_full() && job.tracks.iter().any(|track| track.is_optional);
    let empty = if may_be_empty { "empty_output" } else { "empty_output_stream" };
    list.extend(words(&format!("-abort_on {empty}")));
    // -copyts keeps the timestamps: otherwise each input would be shifted to begin at 0, and the tracks
    // be out of sync. +bitexact omits the random UID of a Matroska file, so that downloads are equal.
    list.extend(words("-c copy -copyts -fflags +bitexact"));
    list.extend(text::codec(job));
    list.extend(job.encoder_options().into_iter().map(OsString::from));
    for (streams, filters) in filters(job, version) {
        list.extend([format!("-bsf:{streams}").into(), filters.join(",").into()]);
    }
    list.extend(trim(job));
    list.extend(metadata(job));
    list.extend(labels::options(job));
    if has_text && !job.metadata.chapters.is_empty() && job.container != Container::Mp4 {
        list.extend(words(&format!("-map_chapters {}", job.inputs.len())));
    }
    list.extend(muxer_options(job, version));
    list.push("pipe:1".into());
    list
}

/// Returns the options of the tags. Those of files of audio alone are written otherwise, but for Ogg: there ffmpeg reads
/// them from its standard input.
fn metadata(job: &FfmpegJob) -> Vec<OsString> {
    if job.metadata_file().is_some() {
        return words(&format!("-map_metadata {}", job.inputs.len()));
    }
    if job.has_own_tags() {
        return words("-map_metadata -1");
    }
    let Metadata { title, artist, date, .. } = &job.metadata;
    let texts = [("title", title), ("artist", artist), ("date", date)].into_iter();
    let options = texts.filter_map(|(name, text)| {
        Some(["-metadata".into(), format!("{name}={}", text.as_ref()?).into()])
    });
    options.flatten().collect()
}

fn words(text: &str) -> Vec<OsString> {
    text.split(' ').map(OsString::from).collect()
}

/// Returns the options of an input, which comes through its named pipe.
fn input_options(
    job: &FfmpegJob,
    (index, input): (usize, &ProbedInput),
    fifos: &FifoSet,
    version: Version,
) -> Vec<OsString> {
    let mut list = Vec::new();
    // **Invariant:** ffmpeg opens nothing but this pipe and guesses no other format, whatever the
    // bytes contain.
    let demuxer = demuxer(input.probe.format);
    list.extend(words("-protocol_whitelist file"));
    list.extend(words(&format!("-format_whitelist {demuxer} -f {demuxer}")));
    list.extend(words(INPUT));
    list.extend(job.input_options().split_whitespace().map(OsString::from));
    let pre_skip = early_opus(job, input, version).filter(|_| input.kind == TrackKind::Audio);
    // For ffmpeg, frames without a container begin at 0.
    let begin = if input.probe.is_packed() { input.probe.begin } else { Duration::ZERO };
    let later = pre_skip.unwrap_or_default() + begin;
    let offset = later.as_secs_f64() - job.zero().as_secs_f64();
    if offset != 0.0 {
        list.extend(words(&format!("-itsoffset {offset:.6}")));
    }
    let mut pipe = OsString::from("file:");
    pipe.push(fifos.path(index));
    list.extend(["-i".into(), pipe]);
    list
}

/// Returns the output format and its options.
fn muxer_options(job: &FfmpegJob, version: Version) -> Vec<OsString> {
    let mut list = Vec::new();
    match job.container {
        Container::Mp4 => {
            // skip_trailer: the offsets of an mfra box would be wrong after the moov box has grown.
            let flags = "frag_keyframe+empty_moov+default_base_moof+skip_trailer";
            let needs_packets = job.needs_edit_lists() || !job.is_described();
            let delay = if needs_packets { "+delay_moov" } else { "" };
            // Chapters would become a track. Versions before 6.0 treat FLAC and TrueHD in MP4, which are
            // standardised by now, as experimental.
            list.extend(words("-map_chapters -1 -strict experimental"));
            let video = job.source(TrackKind::Video).and_then(|input| input.probe.sample_entry);
            if let Some(tag) = video.and_then(|entry| version.tag(entry)) {
                list.extend(words(&format!("-tag:v {tag}")));
            }
            list.extend(words(&format!("-f mp4 -movflags {flags}{delay} -frag_duration")));
            list.push(job.max_fragment_duration().as_micros().to_string().into());
        }
        Container::Webm | Container::Mkv => {
            // The muxer cannot seek back to set the duration, but reads it from a tag.
            if let Some(longest) = job.durations().into_iter().flatten().max() {
                let duration = format!("DURATION={}", clock(longest));
                list.extend(["-metadata".into(), duration.into()]);
            }
            let muxer = if job.container == Container::Webm { "webm" } else { "matroska" };
            list.extend(words(&format!("-f {muxer}")));
        }
        // A Xing header would have to be written at the start, at the end of the file.
        Container::Mp3 => list.extend(words("-f mp3 -write_xing 0 -id3v2_version 0")),
        Container::Ogg | Container::Opus => list.extend(words("-f ogg")),
        Container::Flac => list.extend(words("-f flac")),
        Container::Wav => list.extend(words("-f wav")),
        Container::Samples => list.extend(words("-f s16le")),
    }
    list
}

/// Returns the options of the time range: the output has the audio from `start` and the video from the next
/// key frame, with timestamps relative to `start`.
fn trim(job: &FfmpegJob) -> Vec<OsString> {
    let end = job.time_range.end.map(|end| end.saturating_sub(job.zero()));
    let bounds = [("-ss", start(job)), ("-to", end)].into_iter();
    let bounds = bounds.filter_map(|(name, time)| Some([name.into(), clock(time?).into()]));
    bounds.flatten().collect()
}

/// Returns where the time range starts for ffmpeg, if that is not at its beginning.
fn start(job: &FfmpegJob) -> Option<Duration> {
    let start = job.time_range.start.saturating_sub(job.zero());
    Some(start).filter(|start| !start.is_zero())
}

/// Returns the option that maps a track. `V` excludes cover art.
fn map(MappedTrack { from, kind, is_optional, .. }: &MappedTrack) -> [OsString; 2] {
    let letter = if *kind == TrackKind::Video { 'V' } else { 'a' };
    let optional = if *is_optional { "?" } else { "" };
    ["-map".into(), format!("{from}:{letter}:0{optional}").into()]
}

/// Returns by how much this ffmpeg would write the Opus audio of an input too early.
fn early_opus(job: &FfmpegJob, input: &ProbedInput, version: Version) -> Option<Duration> {
    let is_early = version.is_early_with_opus()
        && job.transcode.is_none()
        && matches!(job.container, Container::Webm | Container::Mkv);
    let samples = input.probe.pre_skip.filter(|_| is_early)?;
    Some(Duration::from_secs(1) * u32::from(samples.get()) / 48_000)
}

/// Returns the bitstream filters, by stream.
fn filters(job: &FfmpegJob, version: Version) -> Vec<(String, Vec<String>)> {
    // MP4 needs strictly increasing decode timestamps, other formats do not: with -xerror, the
    // correction that ffmpeg makes by one tick is an error.
    let may_repeat = |input: &ProbedInput| !input.probe.format.is_raw();
    let is_copied_to_mp4 = job.container == Container::Mp4 && job.transcode.is_none();
    let mut filters = Vec::new();
    let video = job.source(TrackKind::Video).filter(|_| is_copied_to_mp4);
    if let Some(input) = video.filter(|input| may_repeat(input)) {
        let is_coarse = !version.filters_in_output_timebase() && counts_millis(input.probe.format);
        let increasing = if is_coarse { INCREASING_IN_90_KHZ } else { INCREASING };
        filters.push(("v".into(), vec![increasing.into()]));
    }
    let is_lone = job.audios().count() == 1;
    for (number, (input, _)) in job.audios().enumerate() {
        let mut audio = Vec::new();
        // -itsoffset would shift the video, too. In these versions a filter counts in the timebase of the
        // output: milliseconds.
        if input.kind == TrackKind::Video
            && let Some(pre_skip) = early_opus(job, input, version)
        {
            audio.push(format!("setts=ts=TS+{:.0}", pre_skip.as_secs_f64() * 1000.0));
        }
        // ADTS has the decoder configuration in each packet, MP4 in the sample description.
        if is_copied_to_mp4 && input.probe.has_adts() {
            audio.push("aac_adtstoasc".into());
        }
        if is_copied_to_mp4 && may_repeat(input) {
            audio.push(INCREASING.into());
        }
        let streams = if is_lone { "a".into() } else { format!("a:{number}") };
        filters.push((streams, audio));
    }
    filters.retain(|(_, filters)| !filters.is_empty());
    filters
}

/// Moves a packet after the one before it, if their timestamps are equal.
const INCREASING: &str = "setts=pts=if(gt(PREV_OUTDTS+1\\,PTS)\\,PREV_OUTDTS+1\\,PTS)\
                     :dts=if(gt(PREV_OUTDTS+1\\,DTS)\\,PREV_OUTDTS+1\\,DTS)";

/// The same for timestamps in milliseconds, by ticks of 1/90000 s: moves by whole milliseconds would add up
/// where several frames have the same millisecond.
const INCREASING_IN_90_KHZ: &str = "setts=time_base=1/90000:duration=DURATION*90\
                               :pts=if(gt(PREV_OUTDTS+1\\,PTS*90)\\,PREV_OUTDTS+1\\,PTS*90)\
                               :dts=if(gt(PREV_OUTDTS+1\\,DTS*90)\\,PREV_OUTDTS+1\\,DTS*90)";

/// Returns whether the timestamps of this format are milliseconds.
fn counts_millis(format: Format) -> bool {
    matches!(format, Format::Webm | Format::Matroska | Format::Flv)
}

/// The options of each input.
///
/// * `thread_queue_size 0`: up to 5.1, ffmpeg reads several inputs on threads of their own, and
///   when they cannot seek it sleeps 10 ms whenever their queues are empty (8 packets by
///   default): a download that could take 4 s takes 45. With 0 it reads the inputs in turn on one
///   thread, without queues. Later versions do not sleep, and treat 0 as the default.
/// * `fpsprobesize 0`: no frames are read to guess a frame rate that is not used; the first
///   byte comes 25 ms earlier.
const INPUT: &str = "-thread_queue_size 0 -fpsprobesize 0";

/// Formats a duration for ffmpeg: `H:MM:SS.mmm`.
fn clock(duration: Duration) -> String {
    let (seconds, millis) = (duration.as_secs(), duration.subsec_millis());
    format!("{}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Returns ffmpeg's name of the demuxer.
fn demuxer(format: Format) -> &'static str {
    match format {
        Format::Mp4 => "mp4",
        // One demuxer reads both; either of its names works.
        Format::Webm | Format::Matroska => "matroska",
        Format::Ogg => "ogg",
        Format::Mp3 => "mp3",
        Format::Ac3 => "ac3",
        Format::Eac3 => "eac3",
        Format::Flv => "flv",
        Format::Aiff => "aiff",
        Format::Au => "au",
        Format::Wave64 => "w64",
        Format::Adts => "aac",
        Format::Flac => "flac",
        Format::Wav => "wav",
        Format::MpegTs => "mpegts",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::probe::ProbeInfo;
    use crate::options::{OutputOptions, TimeRange};
    use crate::runtime_dir::RuntimeDir;

    #[test]
    fn each_input_has_one_format_and_opens_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let dir = RuntimeDir::claim(&base.path().join("with space")).unwrap();
        let fifos = dir.fifos(2).unwrap();
        let pre_skip = std::num::NonZeroU16::new(312);
        let info = |format| ProbeInfo {
            format,
            end: None,
            needs_edit_list: false,
            pre_skip,
            ..ProbeInfo::of(format)
        };
        let input = |kind, format| ProbedInput { kind, probe: info(format) };
        let inputs =
            vec![input(TrackKind::Video, Format::Mp4), input(TrackKind::Audio, Format::Webm)];
        let job = FfmpegJob::new(inputs, &OutputOptions::default(), &Metadata::default()).unwrap();
        let list = arguments(&job, &fifos, Version(Some(60)));
        let text = list.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        assert!(text.contains("-protocol_whitelist file -format_whitelist mp4 -f mp4"), "{text}");
        assert!(text.contains("-format_whitelist matroska -f matroska"), "{text}");
        assert!(
            text.contains("-map 0:V:0 -map 1:a:0 -abort_on empty_output_stream -c copy -copyts"),
            "{text}"
        );
        let pipe = format!("file:{}", fifos.path(0).display());
        assert!(list.iter().any(|word| *word == *pipe), "{text}");
        let offset = |version| {
            let list = arguments(&job, &fifos, Version(version));
            list.iter().any(|word| word == "0.006500")
        };
        assert!(offset(Some(59)) && !offset(Some(60)) && !offset(None));
    }

    #[test]
    fn time_range_and_metadata_are_passed() {
        let base = tempfile::tempdir().unwrap();
        let dir = RuntimeDir::claim(&base.path().join("run")).unwrap();
        let fifos = dir.fifos(1).unwrap();
        let inputs =
            vec![ProbedInput { kind: TrackKind::Video, probe: ProbeInfo::of(Format::Mp4) }];
        let time_range =
            TimeRange { start: Duration::from_millis(90_500), end: Some(Duration::from_secs(99)) };
        let metadata = Metadata { title: Some("a = b".into()), ..Metadata::default() };
        let job = FfmpegJob::new(
            inputs,
            &OutputOptions { time_range, ..OutputOptions::default() },
            &metadata,
        )
        .unwrap();
        let list = arguments(&job, &fifos, Version(None));
        let text = list.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let expected = "-ss 0:01:30.500 -to 0:01:39.000 -metadata title=a = b -map_chapters -1 -strict experimental -f mp4";
        assert!(text.contains(expected), "{text}");
        let of_report = format!("-ss 0:01:30.500 -to 0:01:39.000 {}", report::output(None));
        assert!(text.contains(&of_report), "{text}");
        assert!(report::output(Some(60)).contains("-frames:a 1"));
        assert!(report::output(Some(61)).contains("noise=drop=gt(n\\,0)"));
    }

    #[test]
    fn durations_never_have_sixty_seconds() {
        assert_eq!(clock(Duration::from_micros(59_999_999)), "0:00:59.999");
        assert_eq!(clock(Duration::from_millis(36_061_005)), "10:01:01.005");
    }
}

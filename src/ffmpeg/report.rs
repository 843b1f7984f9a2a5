//! Parses the report of what ffmpeg found in its inputs, and compares it with what the probe found.
//!
//! The usual log of ffmpeg describes the inputs, too, but with text from the files: titles, languages, tag
//! names, line breaks. So ffmpeg gets a second output in the format of its own regression tests
//! (`framecrc`), with one packet of each track. Its header consists of numbers and of ffmpeg's own names.
//! It is written to standard error before the header of the file. The packets are within the time range,
//! and so tell early which tracks have media in it.
//!
//! **Invariant:** a report with two different values for one field is rejected. Pure.

use crate::container::probe::Codec;
use crate::error::{Error, FfmpegError};
use crate::ffmpeg::job::{FfmpegJob, MappedTrack};
use crate::media::TrackKind;
use crate::media::track_label::MAX_AUDIO_TRACKS;

/// Returns the arguments of the report output, after its `-map`s: one packet of each track, flushed at once.
///
/// FFmpeg 7.0 (libavformat 61) ends all tracks of an output with the first one that has its `-frames`;
/// there, a bitstream filter drops all packets but the first. Earlier versions would buffer the other
/// inputs without limit while such an output stays empty.
pub(super) fn output(major: Option<u32>) -> String {
    let first = match major {
        Some(61..) => "-bsf noise=drop=gt(n\\,0)",
        _ => "-frames:v 1 -frames:a 1",
    };
    format!("-c copy {first} -flush_packets 1 -f framecrc pipe:2")
}

/// The maximum number of tracks of a job: video, and audio.
const MAX_TRACKS: usize = 1 + MAX_AUDIO_TRACKS;

/// The report so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    tracks: [ReportedTrack; MAX_TRACKS],
    /// Whether a field was reported with two different values.
    is_contradictory: bool,
}

/// What ffmpeg reports of one track.
#[derive(Debug, Default)]
struct ReportedTrack {
    media: Option<String>,
    codec: Option<String>,
    /// The dimensions of a video, or the channel layout of an audio.
    shape: Option<String>,
    rate: Option<String>,
    /// Whether there is a packet in the time range.
    has_packet: bool,
}

impl Report {
    /// Parses a line; `false` if it is not of a report (`#codec_id 0: h264`, or a packet).
    pub(super) fn parse_line(&mut self, line: &str) -> bool {
        let mut fields = line.split(',').map(str::trim);
        if fields.clone().count() >= 6
            && let Some(track) = fields.next().and_then(|track| track.parse::<u8>().ok())
        {
            if let Some(reported) = self.tracks.get_mut(usize::from(track)) {
                reported.has_packet = true;
            }
            return true;
        }
        let Some(line) = line.strip_prefix('#') else { return false };
        let entry = line.split_once(": ").and_then(|(name, value)| {
            let (name, track) = name.split_once(' ')?;
            let reported = self.tracks.get_mut(track.parse::<usize>().ok()?)?;
            let field = match name {
                "media_type" => &mut reported.media,
                "codec_id" => &mut reported.codec,
                "dimensions" | "channel_layout_name" => &mut reported.shape,
                "sample_rate" => &mut reported.rate,
                _ => return None,
            };
            Some((field, value.trim()))
        });
        if let Some((field, value)) = entry {
            let known = field.get_or_insert_with(|| value.to_owned());
            self.is_contradictory |= known != value;
        }
        true
    }

    /// Whether all mandatory tracks of the job were reported.
    pub(super) fn is_complete(&self, job: &FfmpegJob) -> bool {
        let mut tracks = job.tracks.iter().zip(&self.tracks);
        tracks.all(|(mapped, reported)| mapped.is_optional || reported.shape.is_some())
    }

    /// Returns the kind of the first reported track without a packet in the time range so far.
    pub(super) fn missing_kind(&self, job: &FfmpegJob) -> Option<TrackKind> {
        let mut tracks = job.tracks.iter().zip(&self.tracks);
        let is_empty = |track: &ReportedTrack| !track.has_packet && track.media.is_some();
        tracks.find_map(|(mapped, reported)| is_empty(reported).then_some(mapped.kind))
    }

    /// Compares the report with the probed inputs; fails with the track that differs.
    pub(super) fn agrees_with(&self, job: &FfmpegJob) -> Result<(), Error> {
        for (mapped, reported) in job.tracks.iter().zip(&self.tracks) {
            let Some(codec) = &reported.codec else { continue };
            let misread = |message: String| {
                let track = job.inputs.get(mapped.from).map_or(mapped.kind, |input| input.kind);
                Err(Error::Ffmpeg(FfmpegError::Misread { track, message }))
            };
            if self.is_contradictory {
                return misread(format!(
                    "ffmpeg contradicts itself about its {} track",
                    mapped.kind
                ));
            }
            if let Some(difference) = reported.difference(codec, mapped) {
                return misread(difference);
            }
        }
        Ok(())
    }
}

impl ReportedTrack {
    /// Returns how the track differs from what was probed, if it does.
    fn difference(&self, codec: &str, mapped: &MappedTrack) -> Option<String> {
        let MappedTrack { kind, codec: claimed, .. } = *mapped;
        let media = self.media.as_deref().unwrap_or("nothing");
        if media != kind.as_str() {
            return Some(format!("ffmpeg reads its {kind} track as {media}"));
        }
        if matches!(codec, "none" | "unknown_codec") {
            return Some(format!("ffmpeg does not know the codec of its {kind} track"));
        }
        let found = Codec::of_ffmpeg_name(codec);
        let is_wrong = |claimed: &Codec| {
            !claimed.may_be(found) || *claimed == Codec::IsoPcm && codec == "pcm_s16le"
        };
        if let Some(claimed) = claimed.filter(is_wrong) {
            return Some(format!("its header says {claimed}, and ffmpeg finds {codec}"));
        }
        let lacks = |text: &Option<String>| {
            let mut numbers = text.iter().flat_map(|text| text.split(['x', ' ']));
            numbers.any(|number| matches!(number, "" | "0"))
        };
        let property = match kind {
            TrackKind::Video if lacks(&self.shape) => "size",
            TrackKind::Audio if lacks(&self.rate) => "sample rate",
            // MPEG-H describes its channels in its own structures, and may have objects instead.
            TrackKind::Audio if lacks(&self.shape) && found != Codec::MpegH => "number of channels",
            _ => return None,
        };
        Some(format!("ffmpeg finds no {property} in its {kind} track"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::probe::ProbedInput;
    use crate::container::probe::{Format, ProbeInfo};
    use crate::media::Metadata;
    use crate::options::OutputOptions;

    fn job(inputs: &[(TrackKind, Option<Codec>, Option<Codec>)]) -> FfmpegJob {
        let input = |&(kind, video, audio)| {
            let head = ProbeInfo { video, audio, ..ProbeInfo::of(Format::Mp4) };
            ProbedInput { kind, probe: head }
        };
        let inputs = inputs.iter().map(input).collect();
        FfmpegJob::new(inputs, &OutputOptions::default(), &Metadata::default()).unwrap()
    }

    fn pair() -> FfmpegJob {
        let (video, audio) = (Some(Codec::H264), Some(Codec::Aac));
        job(&[(TrackKind::Video, video, None), (TrackKind::Audio, None, audio)])
    }

    fn report(lines: &str) -> Report {
        let mut report = Report::default();
        assert!(lines.lines().all(|line| report.parse_line(line)), "{lines}");
        report
    }

    /// As versions 5.1, 8.0 and 9.0 write it, but for the first lines.
    const PAIR: &str = "#extradata 0:       46, 0x2cd00ebf\n#extradata 1:        5, 0x03460155\n\
        #software: Lavf59.27.100\n#tb 0: 1/12800\n#media_type 0: video\n#codec_id 0: h264\n\
        #dimensions 0: 160x90\n#sar 0: 1/1\n#tb 1: 1/44100\n#media_type 1: audio\n\
        #codec_id 1: aac\n#sample_rate 1: 44100\n#channel_layout_name 1: mono\n";

    #[test]
    fn a_report_is_complete_with_all_tracks() {
        let lines: Vec<_> = PAIR.lines().collect();
        for count in 0..lines.len() {
            assert!(!report(&lines[..count].join("\n")).is_complete(&pair()), "{count}");
        }
        let complete = report(PAIR);
        assert!(complete.is_complete(&pair()));
        assert_eq!(complete.agrees_with(&pair()), Ok(()));
        // Neither track has a packet yet: the first one is missing.
        assert_eq!(complete.missing_kind(&pair()), Some(TrackKind::Video));
        let packet = |track| format!("{PAIR}{track},    0,    0,    1,    1310, 0xe4bf8a5b\n");
        assert_eq!(report(&packet("0")).missing_kind(&pair()), Some(TrackKind::Audio));
        assert_eq!(report(&packet("1")).missing_kind(&pair()), Some(TrackKind::Video));
        assert_eq!(report(&packet("0, 0, 0, 1, 1310, 0x1\n1")).missing_kind(&pair()), None);
        // The audio of a lone video is optional.
        let lone = job(&[(TrackKind::Video, Some(Codec::H264), None)]);
        assert!(report(&lines[..8].join("\n")).is_complete(&lone));
        assert_eq!(complete.agrees_with(&lone), Ok(()));
        let lines = format!("{}\n0, 0, 0, 1, 1310, 0xe4bf8a5b", lines[..8].join("\n"));
        assert_eq!(report(&lines).missing_kind(&lone), None);
    }

    fn message(line: &str, instead: &str) -> String {
        assert!(PAIR.contains(line));
        match report(&PAIR.replace(line, instead)).agrees_with(&pair()) {
            Err(Error::Ffmpeg(FfmpegError::Misread { track, message })) => {
                format!("{track}: {message}")
            }
            other => panic!("{instead}: {other:?}"),
        }
    }

    #[test]
    fn differences_are_named() {
        let codec = message("codec_id 1: aac", "codec_id 1: mp3");
        assert_eq!(codec, "audio: its header says AAC, and ffmpeg finds mp3");
        assert!(
            message("codec_id 0: h264", "codec_id 0: none").starts_with("video: ffmpeg does not")
        );
        assert!(message("media_type 1: audio", "media_type 1: data").ends_with("track as data"));
        assert!(message("160x90", "0x0").ends_with("no size in its video track"));
        assert!(message("1: 44100", "1: 0").ends_with("no sample rate in its audio track"));
        assert!(message("1: mono", "1: 0 channels").contains("number of channels"));
    }

    #[test]
    fn related_and_unknown_codecs_agree() {
        let head = |claimed| job(&[(TrackKind::Audio, None, claimed)]);
        for (claimed, seen) in [
            (Some(Codec::Ac3), "eac3"),
            (Some(Codec::Mp3), "mp2"),
            (Some(Codec::Pcm), "pcm_s24be"),
            (Some(Codec::Pcm), "dts"),
            (Some(Codec::Aac), "mp4als"),
            (Some(Codec::Other), "amr_nb"),
            (None, "flac"),
        ] {
            let lines = format!(
                "#media_type 0: audio\n#codec_id 0: {seen}\n#sample_rate 0: 8000\n\
                 #channel_layout_name 0: 2 channels"
            );
            assert_eq!(report(&lines).agrees_with(&head(claimed)), Ok(()), "{seen}");
        }
    }

    #[test]
    fn object_audio_needs_no_channels() {
        let lines = "#media_type 0: audio\n#codec_id 0: mpegh_3d_audio\n#sample_rate 0: 48000\n\
                     #channel_layout_name 0: 0 channels";
        let job = job(&[(TrackKind::Audio, None, Some(Codec::MpegH))]);
        assert_eq!(report(lines).agrees_with(&job), Ok(()));
    }

    #[test]
    fn pcm_with_an_unread_description_is_no_other_codec() {
        let job = job(&[(TrackKind::Audio, None, Some(Codec::IsoPcm))]);
        let lines = |codec| {
            format!(
                "#media_type 0: audio\n#codec_id 0: {codec}\n#sample_rate 0: 48000\n\
                 #channel_layout_name 0: stereo"
            )
        };
        assert!(report(&lines("pcm_s16le")).agrees_with(&job).is_err());
        assert_eq!(report(&lines("pcm_s24be")).agrees_with(&job), Ok(()));
    }

    #[test]
    fn a_contradictory_report_is_rejected() {
        for lines in [format!("{PAIR}#codec_id 1: mp3\n"), format!("#codec_id 1: mp3\n{PAIR}")] {
            let report = report(&lines);
            assert!(matches!(report.agrees_with(&pair()), Err(Error::Ffmpeg(_))));
        }
        assert_eq!(report(&format!("{PAIR}{PAIR}")).agrees_with(&pair()), Ok(()));
        assert_eq!(report("#codec_id 7: x\n#\n#x y: z").agrees_with(&pair()), Ok(()));
        assert!(!Report::default().parse_line("[mp4 @ 0x5] #codec_id 0: h264"));
        assert!(
            Report::default()
                .parse_line("0,          0,          0,        1,     1310, 0xe4bf8a5b")
        );
        assert!(!Report::default().parse_line("1, 2, 3"));
    }
}

//! What ffmpeg sees in its inputs, as it reports it, held against what was recognised.
//!
//! It tells people of its inputs, too, but among what strangers write into files: titles, languages,
//! names of tags, line breaks and all. So it is given a second output, for one packet of each track, of
//! the kind that its own tests compare (`framecrc`): the head of that is made of numbers and of names
//! that ffmpeg has for things. It comes on its standard error, before the head of the file. The packets
//! are those of the part that is wanted, and so tell what has a place in it before all of it is made.
//!
//! **Invariant:** a report that says two things of one track is never believed. Pure.

use crate::container::probe::Codec;
use crate::error::{Error, FfmpegError};
use crate::ffmpeg::job::{FfmpegJob, MappedTrack};
use crate::media::TrackKind;

/// The output that is the report, of whatever was mapped in front of it. It goes out as soon as it is
/// written, and has one packet of each track.
///
/// FFmpeg 7.0 (libavformat 61) ends all tracks of an output with the first one that has its `-frames`;
/// there, a filter drops the packets behind the first one. Versions before it read ahead of the other
/// tracks without limit for an output of which nothing comes.
pub(super) fn output(major: Option<u32>) -> String {
    let first = match major {
        Some(61..) => "-bsf noise=drop=gt(n\\,0)",
        _ => "-frames:v 1 -frames:a 1",
    };
    format!("-c copy {first} -flush_packets 1 -f framecrc pipe:2")
}

/// No joint has more tracks.
const MOST: usize = 2;

/// What was reported so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    tracks: [Seen; MOST],
    /// Whether something was said twice, and not the same.
    is_contradictory: bool,
}

/// What ffmpeg says of one track.
#[derive(Debug, Default)]
struct Seen {
    media: Option<String>,
    codec: Option<String>,
    /// Its dimensions, or how many channels it has.
    shape: Option<String>,
    rate: Option<String>,
    /// Whether there is any of it in what is wanted.
    has_packet: bool,
}

impl Report {
    /// Takes note of a line, if it is one of a report: `#codec_id 0: h264`, or that of a packet.
    pub(super) fn note(&mut self, line: &str) -> bool {
        let mut fields = line.split(',').map(str::trim);
        if fields.clone().count() >= 6
            && let Some(track) = fields.next().and_then(|track| track.parse::<u8>().ok())
        {
            if let Some(seen) = self.tracks.get_mut(usize::from(track)) {
                seen.has_packet = true;
            }
            return true;
        }
        let Some(line) = line.strip_prefix('#') else { return false };
        let fact = line.split_once(": ").and_then(|(name, value)| {
            let (name, track) = name.split_once(' ')?;
            let seen = self.tracks.get_mut(track.parse::<usize>().ok()?)?;
            let field = match name {
                "media_type" => &mut seen.media,
                "codec_id" => &mut seen.codec,
                "dimensions" | "channel_layout_name" => &mut seen.shape,
                "sample_rate" => &mut seen.rate,
                _ => return None,
            };
            Some((field, value.trim()))
        });
        if let Some((field, value)) = fact {
            let known = field.get_or_insert_with(|| value.to_owned());
            self.is_contradictory |= known != value;
        }
        true
    }

    /// Whether it tells of all tracks that must be there.
    pub(super) fn is_whole(&self, job: &FfmpegJob) -> bool {
        let mut tracks = job.tracks.iter().zip(&self.tracks);
        tracks.all(|(mapped, seen)| mapped.is_optional || seen.shape.is_some())
    }

    /// The first kind of track of which nothing was seen yet that is in the part. What need not be there
    /// is in it if there is any.
    pub(super) fn awaits(&self, job: &FfmpegJob) -> Option<TrackKind> {
        let mut tracks = job.tracks.iter().zip(&self.tracks);
        let is_empty = |seen: &Seen| !seen.has_packet && seen.media.is_some();
        tracks.find_map(|(mapped, seen)| is_empty(seen).then_some(mapped.kind))
    }

    /// Whether all that it tells is as it was recognised.
    pub(super) fn agrees_with(&self, job: &FfmpegJob) -> Result<(), Error> {
        for (mapped, seen) in job.tracks.iter().zip(&self.tracks) {
            let Some(codec) = &seen.codec else { continue };
            let misread = |said: String| {
                Err(Error::Ffmpeg(FfmpegError::Misread { track: mapped.from, message: said }))
            };
            if self.is_contradictory {
                return misread(format!("ffmpeg says two things of its {} track", mapped.kind));
            }
            if let Some(why) = seen.disagreement(codec, mapped) {
                return misread(why);
            }
        }
        Ok(())
    }
}

impl Seen {
    /// Why this track cannot be joined as what it was taken for.
    fn disagreement(&self, codec: &str, mapped: &MappedTrack) -> Option<String> {
        let MappedTrack { kind, codec: claimed, .. } = *mapped;
        let media = self.media.as_deref().unwrap_or("nothing");
        if media != kind.as_str() {
            return Some(format!("what should be its {kind} track is {media} to ffmpeg"));
        }
        if matches!(codec, "none" | "unknown_codec") {
            return Some(format!("ffmpeg does not know the codec of its {kind} track"));
        }
        let seen = Codec::of_ffmpeg_name(codec);
        let is_wrong = |claimed: &Codec| {
            !claimed.may_be(seen) || *claimed == Codec::IsoPcm && codec == "pcm_s16le"
        };
        if let Some(claimed) = claimed.filter(is_wrong) {
            return Some(format!("its head says {claimed}, and to ffmpeg it is {codec}"));
        }
        let lacks = |text: &Option<String>| {
            let mut numbers = text.iter().flat_map(|text| text.split(['x', ' ']));
            numbers.any(|number| matches!(number, "" | "0"))
        };
        let what = match kind {
            TrackKind::Video if lacks(&self.shape) => "size",
            TrackKind::Audio if lacks(&self.rate) => "sample rate",
            // Those of MPEG-H are in its own descriptions, and it may have objects instead.
            TrackKind::Audio if lacks(&self.shape) && seen != Codec::MpegH => "number of channels",
            _ => return None,
        };
        Some(format!("ffmpeg finds no {what} of its {kind} track"))
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
        assert!(lines.lines().all(|line| report.note(line)), "{lines}");
        report
    }

    /// As versions 5.1, 8.0 and 9.0 write it, but for the first lines.
    const PAIR: &str = "#extradata 0:       46, 0x2cd00ebf\n#extradata 1:        5, 0x03460155\n\
        #software: Lavf59.27.100\n#tb 0: 1/12800\n#media_type 0: video\n#codec_id 0: h264\n\
        #dimensions 0: 160x90\n#sar 0: 1/1\n#tb 1: 1/44100\n#media_type 1: audio\n\
        #codec_id 1: aac\n#sample_rate 1: 44100\n#channel_layout_name 1: mono\n";

    #[test]
    fn a_report_is_whole_when_it_tells_of_all_tracks() {
        let lines: Vec<_> = PAIR.lines().collect();
        for count in 0..lines.len() {
            assert!(!report(&lines[..count].join("\n")).is_whole(&pair()), "{count}");
        }
        let whole = report(PAIR);
        assert!(whole.is_whole(&pair()));
        assert_eq!(whole.agrees_with(&pair()), Ok(()));
        // Of its tracks, the first has a packet before the other.
        assert_eq!(whole.awaits(&pair()), Some(TrackKind::Video));
        let packet = |track| format!("{PAIR}{track},    0,    0,    1,    1310, 0xe4bf8a5b\n");
        assert_eq!(report(&packet("0")).awaits(&pair()), Some(TrackKind::Audio));
        assert_eq!(report(&packet("1")).awaits(&pair()), Some(TrackKind::Video));
        assert_eq!(report(&packet("0, 0, 0, 1, 1310, 0x1\n1")).awaits(&pair()), None);
        // The sound of a film is taken if there is one.
        let film = job(&[(TrackKind::Video, Some(Codec::H264), None)]);
        assert!(report(&lines[..8].join("\n")).is_whole(&film));
        assert_eq!(whole.agrees_with(&film), Ok(()));
        let lines = format!("{}\n0, 0, 0, 1, 1310, 0xe4bf8a5b", lines[..8].join("\n"));
        assert_eq!(report(&lines).awaits(&film), None);
    }

    fn said(line: &str, instead: &str) -> String {
        assert!(PAIR.contains(line));
        match report(&PAIR.replace(line, instead)).agrees_with(&pair()) {
            Err(Error::Ffmpeg(FfmpegError::Misread { track, message: said })) => {
                format!("{track}: {said}")
            }
            other => panic!("{instead}: {other:?}"),
        }
    }

    #[test]
    fn what_is_not_as_it_was_recognised_is_named() {
        let codec = said("codec_id 1: aac", "codec_id 1: mp3");
        assert_eq!(codec, "audio: its head says AAC, and to ffmpeg it is mp3");
        assert!(said("codec_id 0: h264", "codec_id 0: none").starts_with("video: ffmpeg does not"));
        assert!(said("media_type 1: audio", "media_type 1: data").contains("is data to"));
        assert!(said("160x90", "0x0").ends_with("no size of its video track"));
        assert!(said("1: 44100", "1: 0").ends_with("no sample rate of its audio track"));
        assert!(said("1: mono", "1: 0 channels").contains("number of channels"));
    }

    #[test]
    fn relatives_agree_and_what_is_unknown_does() {
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
    fn sound_of_objects_needs_no_channels() {
        let lines = "#media_type 0: audio\n#codec_id 0: mpegh_3d_audio\n#sample_rate 0: 48000\n\
                     #channel_layout_name 0: 0 channels";
        let job = job(&[(TrackKind::Audio, None, Some(Codec::MpegH))]);
        assert_eq!(report(lines).agrees_with(&job), Ok(()));
    }

    #[test]
    fn pcm_whose_description_is_not_read_is_no_other() {
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
    fn who_says_two_things_is_not_believed() {
        for lines in [format!("{PAIR}#codec_id 1: mp3\n"), format!("#codec_id 1: mp3\n{PAIR}")] {
            let report = report(&lines);
            assert!(matches!(report.agrees_with(&pair()), Err(Error::Ffmpeg(_))));
        }
        assert_eq!(report(&format!("{PAIR}{PAIR}")).agrees_with(&pair()), Ok(()));
        assert_eq!(report("#codec_id 7: x\n#\n#x y: z").agrees_with(&pair()), Ok(()));
        assert!(!Report::default().note("[mp4 @ 0x5] #codec_id 0: h264"));
        assert!(
            Report::default().note("0,          0,          0,        1,     1310, 0xe4bf8a5b")
        );
        assert!(!Report::default().note("1, 2, 3"));
    }
}

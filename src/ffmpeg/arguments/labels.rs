//! The options that give the audio tracks their labels, and players the one to begin with.

use std::ffi::OsString;

use super::words;
use crate::container::Container;
use crate::ffmpeg::FfmpegJob;
use crate::media::language::Language;

/// Returns the options for the labels of all audio tracks; a lone one without a label has none.
pub(super) fn options(job: &FfmpegJob) -> Vec<OsString> {
    let is_lone = job.audios().count() < 2;
    let mut list = Vec::new();
    for (number, (_, label)) in job.audios().enumerate() {
        let mut set = |name: &str, value: &str| {
            list.extend([
                format!("-metadata:s:a:{number}").into(),
                format!("{name}={value}").into(),
            ]);
        };
        if let Some(language) = label.and_then(|label| label.language.as_ref()) {
            set("language", &code(language, job.container));
        }
        if let Some(name) = label.and_then(|label| label.name.as_deref()) {
            set("title", name);
            if job.container == Container::Mp4 {
                set("handler_name", name);
            }
        }
        if !is_lone {
            let role = if number == 0 { "default" } else { "0" };
            list.extend(words(&format!("-disposition:a:{number} {role}")));
        }
    }
    list
}

/// Returns the language as the container has it. Matroska's own codes are no others than those of MP4 to ffmpeg.
fn code(language: &Language, container: Container) -> String {
    let code = match container {
        Container::Webm | Container::Mkv => language.bibliographic(),
        _ => language.terminologic(),
    };
    String::from_utf8_lossy(&code).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::probe::{Codec, Format, ProbeInfo, ProbedInput};
    use crate::ffmpeg::arguments::{Version, arguments};
    use crate::media::track_label::TrackLabel;
    use crate::media::{Metadata, TrackKind};
    use crate::options::{ContainerChoice, OutputOptions};
    use crate::runtime_dir::RuntimeDir;

    fn command(audios: &[Format], labels: Vec<TrackLabel>, container: ContainerChoice) -> String {
        let base = tempfile::tempdir().unwrap();
        let dir = RuntimeDir::claim(&base.path().join("run")).unwrap();
        let fifos = dir.fifos(1 + audios.len()).unwrap();
        let input = |kind, format| {
            let audio = Some(Codec::Aac).filter(|_| kind == TrackKind::Audio);
            ProbedInput { kind, probe: ProbeInfo { audio, ..ProbeInfo::of(format) } }
        };
        let audios = audios.iter().map(|format| input(TrackKind::Audio, *format));
        let inputs = std::iter::once(input(TrackKind::Video, Format::Mp4)).chain(audios).collect();
        let options = OutputOptions { container, ..OutputOptions::default() };
        let metadata = Metadata { labels, ..Metadata::default() };
        let job = FfmpegJob::new(inputs, &options, &metadata).unwrap();
        let list = arguments(&job, &fifos, Version(Some(60)));
        list.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    fn labels() -> Vec<TrackLabel> {
        let german = TrackLabel::new(Some("de"), Some("Deutsch, Österreich"));
        vec![TrackLabel::default(), german, TrackLabel::new(Some("fr-CA"), None)]
    }

    #[test]
    fn every_audio_track_has_its_pipe_and_its_label() {
        let text = command(&[Format::Adts, Format::Mp4], labels(), ContainerChoice::Auto);
        for expected in [
            "-map 0:V:0 -map 1:a:0 -map 2:a:0",
            "input-2",
            "-bsf:a:0 aac_adtstoasc ",
            "-bsf:a:1 setts=",
            "-metadata:s:a:0 language=deu -metadata:s:a:0 title=Deutsch, Österreich -metadata:s:a:0 handler_name=Deutsch, Österreich -disposition:a:0 default",
            "-metadata:s:a:1 language=fra -disposition:a:1 0 ",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        let text = command(&[Format::Mp4, Format::Mp4], labels(), ContainerChoice::Mkv);
        assert!(
            text.contains("-metadata:s:a:0 language=ger -metadata:s:a:0 title=Deutsch"),
            "{text}"
        );
    }

    #[test]
    fn one_audio_track_has_no_choice() {
        let text = command(&[Format::Mp4], Vec::new(), ContainerChoice::Auto);
        assert!(!text.contains(":s:a") && !text.contains("-disposition"), "{text}");
        assert!(text.contains("-bsf:a setts="), "{text}");
    }
}

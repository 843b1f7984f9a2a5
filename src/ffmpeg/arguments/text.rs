//! The options of ffmpeg about text: chapters and subtitles. Pure.

use std::ffi::OsString;

use super::{start, words};
use crate::container::Container;
use crate::ffmpeg::FfmpegJob;
use crate::media::language::Language;

/// Returns the options of the text, which comes through standard input. It has the times of the output, from which
/// ffmpeg subtracts the start.
pub(super) fn input(job: &FfmpegJob) -> Vec<OsString> {
    let mut list = words("-protocol_whitelist pipe -format_whitelist matroska -f matroska");
    if let Some(start) = start(job) {
        list.extend(words(&format!("-itsoffset {:.6}", start.as_secs_f64())));
    }
    list.extend(words("-i pipe:0"));
    list
}

/// Returns the options that make the subtitles what an MP4 has, and label them: Matroska, from which they come, has other
/// codes. None for other containers.
pub(super) fn codec(job: &FfmpegJob) -> Vec<OsString> {
    let shown = job.metadata.subtitles.iter().filter(|subtitles| !subtitles.cues.is_empty());
    let shown: Vec<_> = shown.filter(|_| job.container == Container::Mp4).collect();
    let labels = shown.iter().enumerate().flat_map(|(number, subtitles)| {
        let language = Language::from_tag(&subtitles.language);
        let code = language.map_or(*b"und", |language| language.terminologic());
        let code = String::from_utf8_lossy(&code);
        words(&format!("-metadata:s:s:{number} language={code}"))
    });
    let codec = if shown.is_empty() { Vec::new() } else { words("-c:s mov_text") };
    codec.into_iter().chain(labels).collect()
}

//! WebM files of many shapes: the same packets in other clusters, with other indexes, from other
//! coders.

use std::path::{Path, PathBuf};

use super::media::{self, generate, picture, sound};

/// A file's packets muxed anew with these options of ffmpeg's muxer.
pub(crate) fn remuxed(name: &str, file: &Path, options: &[&str]) -> PathBuf {
    shifted(name, file, "0", options)
}

/// The same, and so many seconds later.
pub(crate) fn shifted(name: &str, file: &Path, by: &str, options: &[&str]) -> PathBuf {
    let copy = ["-itsoffset", by, "-i", file.to_str().unwrap(), "-c", "copy"];
    generate(
        name,
        "webm",
        &[&copy[..], options].concat().into_iter().map(String::from).collect::<Vec<_>>(),
    )
}

/// A video, 25 frames and a key frame a second.
pub(crate) fn coded_picture(coder: &[&str], seconds: u32) -> PathBuf {
    let coded = ["-g", "25", "-b:v", "100k", "-c:v"];
    let coded = [&coded[..], coder].concat().into_iter().map(String::from);
    let arguments: Vec<_> = picture("160x90", 25, seconds).into_iter().chain(coded).collect();
    generate(coder[0], "webm", &arguments)
}

/// A tone.
pub(crate) fn coded_sound(coder: &[&str], seconds: u32) -> PathBuf {
    let coded = [&["-c:a"][..], coder].concat().into_iter().map(String::from);
    let arguments: Vec<_> = sound(48_000, seconds).into_iter().chain(coded).collect();
    generate(coder[0], "webm", &arguments)
}

/// Four minutes, looped from 15 seconds, three clusters of audio a second.
pub(crate) fn long_film() -> (PathBuf, PathBuf) {
    let pair = media::webm();
    let looped = |name: &str, file: &Path, options: &[&str]| {
        let copy = ["-stream_loop", "15", "-i", file.to_str().unwrap(), "-c", "copy"];
        let arguments = [&copy[..], options].concat().into_iter().map(String::from);
        generate(name, "webm", &arguments.collect::<Vec<_>>())
    };
    let audio = looped("long-audio", &pair.audio, &["-cluster_time_limit", "300"]);
    (looped("long-video", &pair.video, &[]), audio)
}

/// A small JPEG.
pub(crate) fn cover() -> Vec<u8> {
    let frame = picture("64x64", 1, 1).into_iter();
    let arguments: Vec<_> = frame.chain(["-frames:v", "1"].map(String::from)).collect();
    std::fs::read(generate("cover", "jpg", &arguments)).unwrap()
}

//! Files of audio that can be told apart: the same length in several languages, and what players list of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::media::generate;
use super::run;

/// How audio is coded and stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coding {
    pub(crate) name: &'static str,
    pub(crate) extension: &'static str,
    pub(crate) arguments: &'static [&'static str],
}

pub(crate) const FRAGMENTED: Coding = Coding {
    name: "fragmented",
    extension: "mp4",
    arguments: &[
        "-c:a",
        "aac",
        "-b:a",
        "64k",
        "-frag_duration",
        "3000000",
        "-movflags",
        "+frag_keyframe+empty_moov+default_base_moof+dash+global_sidx",
    ],
};
pub(crate) const PROGRESSIVE: Coding =
    Coding { name: "progressive", extension: "m4a", arguments: &["-c:a", "aac", "-b:a", "64k"] };
pub(crate) const WEBM: Coding =
    Coding { name: "webm", extension: "webm", arguments: &["-c:a", "libopus", "-b:a", "48k"] };

/// Audio of this many seconds; each `number` has another frequency.
pub(crate) fn tongue(coding: Coding, number: u32, seconds: u32) -> PathBuf {
    let frequency = 300 + 137 * number;
    let source = format!("sine=frequency={frequency}:sample_rate=48000:duration={seconds}");
    let arguments = [&["-f", "lavfi", "-i", &source][..], coding.arguments].concat();
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    generate(&format!("tongue-{}-{number}", coding.name), coding.extension, &arguments)
}

/// An audio track as ffprobe lists it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) language: String,
    /// The name; empty if it is the one that muxers write by themselves.
    pub(crate) name: String,
    pub(crate) is_default: bool,
}

impl Listed {
    pub(crate) fn new(language: &str, name: &str, is_default: bool) -> Listed {
        Listed { language: language.into(), name: name.into(), is_default }
    }
}

/// The audio tracks of a file.
pub(crate) fn listed(file: &Path) -> Vec<Listed> {
    let output = run(Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-select_streams", "a"])
        .args(["-show_entries", "stream_tags:stream_disposition"])
        .arg(file));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let probed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let streams = probed["streams"].as_array().unwrap().iter();
    let listed = streams.map(|stream| {
        let text = |name: &str| stream["tags"][name].as_str().unwrap_or_default().to_owned();
        let mut names = [text("title"), text("handler_name")].into_iter();
        let name = names.find(|name| !name.is_empty() && !name.ends_with("Handler"));
        Listed {
            language: text("language"),
            name: name.unwrap_or_default(),
            is_default: stream["disposition"]["default"] == 1,
        }
    });
    listed.collect()
}

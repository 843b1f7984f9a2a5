//! Films in segments, as Shaka Packager makes them: video and audio apart.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::segmented::SegmentedFilm;
use super::{run, ytdlp};

pub(crate) const HLS: &str = "master.m3u8";
pub(crate) const DASH: &str = "manifest.mpd";

const KEY: &str = "000102030405060708090a0b0c0d0e0f";
const VECTOR: &str = "101112131415161718191a1b1c1d1e1f";

/// How a film is packaged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packaging {
    pub(crate) name: &'static str,
    /// The files of video, and those of audio, each by the fields of the packager.
    streams: [&'static str; 2],
    protection: Option<&'static str>,
    /// The playlist or manifest to begin with.
    pub(crate) entry: &'static str,
}

const TS: [&str; 2] = ["segment_template=v$Number$.ts", "segment_template=a$Number$.ts"];
const PACKED: [&str; 2] = ["segment_template=v$Number$.ts", "segment_template=a$Number$.aac"];
const CMAF: [&str; 2] = [
    "init_segment=v.mp4,segment_template=v$Number$.m4s",
    "init_segment=a.mp4,segment_template=a$Number$.m4s",
];
const BY_TIME: [&str; 2] = [
    "init_segment=v.mp4,segment_template=v$Time$.m4s",
    "init_segment=a.mp4,segment_template=a$Time$.m4s",
];
const WEBM: [&str; 2] = [
    "init_segment=v.webm,segment_template=v$Number$.webm",
    "init_segment=a.webm,segment_template=a$Number$.webm",
];
const ONE_FILE: [&str; 2] = ["output=v.mp4", "output=a.mp4"];

const fn open(name: &'static str, streams: [&'static str; 2], entry: &'static str) -> Packaging {
    Packaging { name, streams, protection: None, entry }
}

const fn protected(
    name: &'static str,
    streams: [&'static str; 2],
    scheme: &'static str,
    entry: &'static str,
) -> Packaging {
    Packaging { name, streams, protection: Some(scheme), entry }
}

/// Files of fragments, with their indexes.
pub(crate) const ONE_FILE_DASH: Packaging = open("DASH, one file", ONE_FILE, DASH);

/// Clusters behind what initialises them.
pub(crate) const WEBM_DASH: Packaging = open("DASH, WebM", WEBM, DASH);

/// What is downloaded. Packed audio is not encrypted with AES-128, whatever its playlist says then.
pub(crate) const OPEN: [Packaging; 8] = [
    open("HLS, transport streams", TS, HLS),
    open("HLS, packed audio", PACKED, HLS),
    open("HLS, CMAF", CMAF, HLS),
    open("HLS, one file", ONE_FILE, HLS),
    protected("HLS, transport streams, AES-128", TS, "aes128", HLS),
    open("DASH, numbers", CMAF, DASH),
    open("DASH, times", BY_TIME, DASH),
    ONE_FILE_DASH,
];

/// What nobody may download.
pub(crate) const PROTECTED: [Packaging; 5] = [
    protected("HLS, SAMPLE-AES in transport streams", TS, "cbcs", HLS),
    protected("HLS, SAMPLE-AES in CMAF", CMAF, "cbcs", HLS),
    protected("HLS, CENC", CMAF, "cenc", HLS),
    protected("DASH, CENC", CMAF, "cenc", DASH),
    protected("DASH, one file, CENC", ONE_FILE, "cenc", DASH),
];

impl SegmentedFilm {
    /// Packages a film.
    pub(crate) fn packaged(packaging: Packaging, source: &Path) -> SegmentedFilm {
        let Packaging { streams, protection, entry, .. } = packaging;
        SegmentedFilm::made(source, &(streams, protection), entry, |directory| {
            make(directory, source, packaging);
        })
    }
}

fn make(directory: &Path, source: &Path, packaging: Packaging) {
    let [video, audio] = packaging.streams;
    let source = source.display();
    let mut command = Command::new(ytdlp::packager());
    command
        .current_dir(directory)
        .arg(format!("input={source},stream=video,{video},playlist_name=video.m3u8"))
        .arg(format!("input={source},stream=audio,{audio},playlist_name=audio.m3u8"))
        .args(["--segment_duration", "2"]);
    match packaging.entry {
        HLS => command.args(["--hls_master_playlist_output", HLS]),
        _ => command.args(["--mpd_output", DASH, "--generate_static_live_mpd"]),
    };
    if let Some(scheme) = packaging.protection {
        let keys = format!("label=:key_id={VECTOR}:key={KEY}");
        command.args(["--enable_raw_key_encryption", "--keys", &keys, "--iv", VECTOR]).args([
            "--protection_scheme",
            scheme,
            "--clear_lead",
            "0",
            "--hls_key_uri",
            "key",
        ]);
        let key: Vec<u8> = (0..16).collect();
        fs::write(directory.join("key"), key).unwrap();
    }
    let output = run(&mut command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

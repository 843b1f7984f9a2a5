//! Films in segments, as ffmpeg's muxers for HLS and DASH make them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::segmented::SegmentedFilm;
use super::{media, run};

/// How a film is cut into segments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Whether the file that comes out has a length.
    pub(crate) is_exact: bool,
    arguments: &'static str,
    /// The playlist or manifest to begin with.
    entry: &'static str,
}

const fn kind(
    name: &'static str,
    is_exact: bool,
    entry: &'static str,
    arguments: &'static str,
) -> Kind {
    Kind { name, is_exact, arguments, entry }
}

const ONE: &str = "list.m3u8";
const APART: &str = "master.m3u8";
const DASH_MANIFEST: &str = "dash.mpd";

/// All kinds.
pub(crate) const KINDS: [Kind; 9] = [
    kind("fragments", true, ONE, "-hls_segment_type fmp4"),
    kind("fragments in one file", true, ONE, "-hls_segment_type fmp4 -hls_flags single_file"),
    kind("fragments, apart", true, APART, "-hls_segment_type fmp4"),
    kind("transport stream", true, ONE, ""),
    kind("transport stream in one file", true, ONE, "-hls_flags single_file"),
    kind("transport stream, apart", true, APART, ""),
    kind("transport stream, encrypted", true, ONE, "-hls_key_info_file info-with-iv"),
    kind("transport stream, implied vectors", true, ONE, "-hls_key_info_file info"),
    kind(
        "transport stream, later sequence numbers",
        true,
        ONE,
        "-hls_key_info_file info -start_number 7794",
    ),
];

/// DASH, with the segments by their times, or by their numbers alone.
pub(crate) const DASH: Kind = kind("DASH", true, DASH_MANIFEST, "-seg_duration 2");
pub(crate) const DASH_NUMBERED: Kind =
    kind("DASH, numbered", true, DASH_MANIFEST, "-seg_duration 5 -use_timeline 0");

/// DASH, with a list of the segments, or as files of fragments.
pub(crate) const DASH_LISTED: Kind =
    kind("DASH, listed", true, DASH_MANIFEST, "-seg_duration 2 -use_template 0");
pub(crate) const DASH_ONE_FILE: Kind =
    kind("DASH, one file", true, DASH_MANIFEST, "-seg_duration 2 -single_file 1");
pub(crate) const DASH_WEBM: Kind =
    kind("DASH, WebM", true, DASH_MANIFEST, "-seg_duration 2 -dash_segment_type webm");
pub(crate) const DASH_WEBM_NUMBERED: Kind = kind(
    "DASH, WebM, numbered",
    true,
    DASH_MANIFEST,
    "-seg_duration 5 -use_timeline 0 -dash_segment_type webm",
);

/// Films that begin at ten hours.
pub(crate) const LATE: [Kind; 2] = [
    kind("transport stream, late", true, ONE, "-output_ts_offset 36000"),
    // The timestamps themselves are late, not an edit list.
    kind(
        "fragments, apart, late",
        true,
        APART,
        "-hls_segment_type fmp4 -output_ts_offset 36000 -hls_segment_options movflags=+frag_discont",
    ),
];

/// A transport stream without tables but at the beginning of a segment.
pub(crate) const FEW_TABLES: Kind =
    kind("few tables", true, ONE, "-hls_segment_options pat_period=60:sdt_period=60");

/// A transport stream whose timestamps wrap in its third segment.
pub(crate) const WRAPPING: Kind = kind("wrapping", true, ONE, "-output_ts_offset 95438");

/// The kinds of live streams, in segments of a second.
pub(crate) const LIVE: [Kind; 6] = [
    kind("fragments", false, ONE, "-hls_time 1 -hls_segment_type fmp4"),
    kind("transport stream", false, ONE, "-hls_time 1"),
    kind("fragments, apart", false, APART, "-hls_time 1 -hls_segment_type fmp4"),
    kind("transport stream, encrypted", false, ONE, "-hls_time 1 -hls_key_info_file info"),
    kind("transport stream, video alone", false, ONE, "-hls_time 1 -an"),
    kind("transport stream, encrypted again", false, ONE, "-hls_time 1 -hls_key_info_file info-2"),
];

/// The kind with this name.
pub(crate) fn named(name: &str) -> Kind {
    KINDS.into_iter().find(|kind| kind.name == name).expect("there is this kind")
}

/// The film of all kinds: half a minute, with B-frames and key frames every second.
pub(crate) fn source() -> PathBuf {
    let coded = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -b:v 500k -g 25 -bf 2 \
                 -c:a aac -b:a 96k -movflags +faststart";
    let coded: Vec<String> = coded.split_whitespace().map(str::to_owned).collect();
    let (picture, sound) = (media::picture("320x180", 25, 30), media::sound(48_000, 30));
    media::generate("hls-source", "mp4", &[&picture[..], &sound, &coded].concat())
}

/// The film of live streams: ten seconds, with B-frames and key frames every second.
pub(crate) fn live_source() -> PathBuf {
    let coded = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -b:v 500k -g 25 -bf 2 \
                 -c:a aac -b:a 96k -movflags +faststart";
    let coded: Vec<String> = coded.split_whitespace().map(str::to_owned).collect();
    let (picture, sound) = (media::picture("320x180", 25, 10), media::sound(48_000, 10));
    media::generate("live-source", "mp4", &[&picture[..], &sound, &coded].concat())
}

impl SegmentedFilm {
    /// Makes the film of all kinds.
    pub(crate) fn new(kind: Kind) -> SegmentedFilm {
        SegmentedFilm::of(kind, &source())
    }

    /// Makes a film of a file.
    pub(crate) fn of(kind: Kind, source: &Path) -> SegmentedFilm {
        SegmentedFilm::made(source, &kind.arguments, kind.entry, |directory| {
            make(directory, source, kind);
        })
    }
}

fn make(directory: &Path, source: &Path, kind: Kind) {
    fs::write(directory.join("key"), b"0123456789abcdef").unwrap();
    fs::write(directory.join("info"), "key\nkey\n").unwrap();
    fs::write(directory.join("key-2"), b"fedcba9876543210").unwrap();
    fs::write(directory.join("info-2"), "key-2\nkey-2\n").unwrap();
    let vector = "000102030405060708090a0b0c0d0e0f";
    fs::write(directory.join("info-with-iv"), format!("key\nkey\n{vector}\n")).unwrap();
    let hls = "-f hls -hls_time 2 -hls_playlist_type vod";
    let apart = "-map 0:v -map 0:a";
    let named =
        "-var_stream_map v:0,agroup:g_a:0,agroup:g -master_pl_name master.m3u8 stream_%v.m3u8";
    let arguments = kind.arguments;
    let arguments = match kind.entry {
        DASH_MANIFEST => format!("{apart} -f dash {arguments} {DASH_MANIFEST}"),
        APART => format!("{apart} {hls} {arguments} {named}"),
        _ => format!("{hls} {arguments} {ONE}"),
    };
    let output = run(Command::new("ffmpeg")
        .current_dir(directory)
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(source)
        .args(["-c", "copy"])
        .args(arguments.split_whitespace().map(|word| word.replace("g_a", "g a"))));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

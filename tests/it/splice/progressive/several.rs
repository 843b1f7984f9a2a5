//! Files that hold more than one track: what is wanted of them, and nothing else.

use std::path::{Path, PathBuf};

use ytcanal::media::{Kind, Tags};

use super::{Joined, joined, probed};
use crate::support::framemd5::{Exactness, assert_same, packets};
use crate::support::media::generate;
use crate::support::spliced::{Film, as_it_is};

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

const VIDEO: &str = "testsrc=size=160x120:rate=25:duration=12";
const SECOND: &str = "testsrc2=size=96x96:rate=10:duration=12";
const NOISE: &str = "anoisesrc=seed=3:sample_rate=48000:duration=12:amplitude=0.3";
const OTHER: &str = "anoisesrc=seed=4:sample_rate=44100:duration=12:amplitude=0.3";
const CODED: [&str; 12] = [
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-pix_fmt",
    "yuv420p",
    "-g",
    "50",
    "-bf",
    "2",
    "-c:a",
    "aac",
];

/// A film as a phone makes it: video and audio, index at the end.
pub(super) fn film() -> PathBuf {
    let inputs = ["-f", "lavfi", "-i", VIDEO, "-f", "lavfi", "-i", NOISE];
    generate("several-film", "mp4", &owned(&[&inputs[..], &CODED].concat()))
}

/// The film, in a file of `extension`, with all that an editor puts beside it: another video, another
/// language, chapters, a time code where there can be one, and a cover.
pub(super) fn crowded(extension: &str) -> PathBuf {
    let chapters = chapters();
    let film = film();
    let inputs = ["-i", film.to_str().unwrap(), "-f", "lavfi", "-i", SECOND];
    let more = ["-f", "lavfi", "-i", OTHER, "-i", chapters.to_str().unwrap()];
    let cover = ["-f", "lavfi", "-i", "testsrc=size=64x64:duration=1:rate=1"];
    let maps = ["-map", "2:a", "-map", "1:v", "-map", "0:v", "-map", "0:a"];
    let coded = ["-map_chapters", "3", "-c:a", "copy", "-c:a:0", "aac", "-c:v:1", "copy"];
    let coded = [&coded[..], &["-c:v:0", "libx264", "-pix_fmt", "yuv420p"]].concat();
    let enabled = ["-disposition:v:0", "0", "-disposition:a:0", "0"];
    let default = ["-disposition:v:1", "default", "-disposition:a:1", "default"];
    let mut all = [&inputs[..], &more].concat();
    if extension == "mov" {
        all.extend(maps);
        all.extend(["-timecode", "01:00:00:00"]);
    } else {
        all.extend(cover);
        all.extend(maps);
        all.extend(["-map", "4:v", "-c:v:2", "mjpeg", "-disposition:v:2", "attached_pic"]);
    }
    all.extend([&coded[..], &enabled, &default].concat());
    generate("several-crowded", extension, &owned(&all))
}

/// Chapters, as ffmpeg reads them.
fn chapters() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("several-chapters.txt");
    let chapter = |from: u32, name: &str| {
        let to = from + 6000;
        format!("[CHAPTER]\nTIMEBASE=1/1000\nSTART={from}\nEND={to}\ntitle={name}\n")
    };
    let text = format!(";FFMETADATA1\n{}{}", chapter(0, "one"), chapter(6000, "two"));
    // Others may be reading it, and it is always the same.
    let own = path.with_extension(std::process::id().to_string());
    std::fs::write(&own, text).unwrap();
    std::fs::rename(&own, &path).unwrap();
    path
}

fn of(files: &[(Kind, &Path)]) -> Film {
    let read = |path: &Path| std::fs::read(path).unwrap();
    Film { files: files.iter().map(|(kind, path)| (*kind, read(path))).collect() }
}

/// Joins the files, and makes sure that these tracks, and no others, are what comes out.
fn assert_tracks(files: &[(Kind, &Path)], tracks: &[(&str, &Path, &str)]) -> Joined {
    let joined = joined(&of(files), &as_it_is(&Tags::default()));
    let streams = probed(&joined.path, "stream=codec_type");
    assert_eq!(streams.len(), tracks.len(), "{files:?}: {streams:?}");
    for (stream, source, of) in tracks {
        let what = format!("{stream} of {files:?}");
        let before = packets(source, of);
        assert_same(&before, &packets(&joined.path, stream), Exactness::Every, &what);
    }
    joined
}

#[test]
fn a_film_alone_keeps_video_and_audio() {
    let film = film();
    let joined = assert_tracks(&[(Kind::Video, &film)], &[("v", &film, "v"), ("a", &film, "a")]);
    let bytes = std::fs::read(&joined.path).unwrap();
    let moov = bytes.windows(4).position(|window| window == b"moov").unwrap();
    assert!(moov < 64, "the index is in front");
}

#[test]
fn one_track_is_taken_out_of_a_film() {
    let film = film();
    assert_tracks(&[(Kind::Audio, &film)], &[("a", &film, "a")]);
}

#[test]
fn a_film_keeps_the_order_of_its_file() {
    let film = of(&[(Kind::Video, &film())]);
    let plan = film.plan(&as_it_is(&Tags::default()));
    assert_eq!(plan.pieces().len(), 1, "all samples as they lie in their file");
}

#[test]
fn each_file_gives_the_track_that_it_is_named_for() {
    let (film, other) = (film(), crowded("mp4"));
    let tracks = [("v", &*film, "v"), ("a", &*film, "a")];
    for files in [[&film, &film], [&film, &other], [&other, &film], [&other, &other]] {
        assert_tracks(&[(Kind::Video, files[0]), (Kind::Audio, files[1])], &tracks);
    }
    assert_tracks(&[(Kind::Video, &other)], &tracks);
    assert_tracks(&[(Kind::Audio, &other)], &tracks[1..]);
}

//! Video files as servers have them: video and audio in one file, the index at its end, and beside them
//! what phones and editors add. Made by ffmpeg, as all media.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::media::generate;

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

const VIDEO: &str = "testsrc=size=160x120:rate=25:duration=12,noise=alls=30:allf=t";
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

/// A file as a phone makes it: video and audio, index at the end.
pub(crate) fn film() -> PathBuf {
    let inputs = ["-f", "lavfi", "-i", VIDEO, "-f", "lavfi", "-i", NOISE];
    generate("several-film", "mp4", &owned(&[&inputs[..], &CODED].concat()))
}

/// The video, in a file of `extension`, with all that an editor puts beside it: another video, another
/// language, chapters, a time code where there can be one, and a cover.
pub(crate) fn crowded(extension: &str) -> PathBuf {
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
fn chapters() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("several-chapters.txt");
        let chapter = |from: u32, name: &str| {
            let to = from + 6000;
            format!("[CHAPTER]\nTIMEBASE=1/1000\nSTART={from}\nEND={to}\ntitle={name}\n")
        };
        let text = format!(";FFMETADATA1\n{}{}", chapter(0, "one"), chapter(6000, "two"));
        std::fs::write(&path, text).unwrap();
        path
    })
}

/// An m4a as shops and podcasts give it away: chapters, a cover, and the index at its end.
pub(crate) fn m4a() -> PathBuf {
    let chapters = chapters();
    let inputs =
        ["-f", "lavfi", "-i", NOISE, "-f", "lavfi", "-i", "testsrc=size=64x64:duration=1:rate=1"];
    let chapters = ["-i", chapters.to_str().unwrap(), "-map_chapters", "2"];
    let maps =
        ["-map", "0:a", "-map", "1:v", "-c:a", "aac", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p"];
    let said = ["-disposition:v", "attached_pic", "-metadata", "title=Said before"];
    generate("several-sound", "m4a", &owned(&[&inputs[..], &chapters, &maps, &said].concat()))
}

//! The files of a run, with what ffprobe says of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::probe::Probe;
use super::recipes::{Nature, Recipes};

/// A file under test.
pub(super) struct Subject {
    /// As it stands in the table.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) nature: Nature,
    /// Those of one may be spliced.
    pub(super) family: &'static str,
    pub(super) probe: Probe,
}

/// What stands for all kinds in the short form.
const SHORT: [&str; 39] = [
    "h264.faststart.mp4",
    "h264.sidx.mp4",
    "h264.every-frame.mp4",
    "h264.delay-moov.mp4",
    "h264.no-edits.mp4",
    "h264.late-fragments.mp4",
    "hevc.sidx.mp4",
    "av1.faststart.mp4",
    "film-h264-aac.faststart.mp4",
    "film-h264-aac.plain.mkv",
    "film-h264-aac.plain.mp4",
    "film-h264-aac.sidx.mp4",
    "film-h264-aac.halves.mp4",
    "film-h264-aac.every-frame.mp4",
    "film-h264-aac.late.mkv",
    "film-vp9-opus.late.webm",
    "mkv-two-audios.mkv",
    "h264-one-frame.sidx.mp4",
    "cut-in.mp4",
    "adts-id3.aac",
    "ac3.delay-moov.mp4",
    "wav-bogus.wav",
    "wav-adpcm.wav",
    "late-audio.mp4",
    "two-audios.mp4",
    "aac.faststart.m4a",
    "aac.sidx.m4a",
    "ac3.faststart.mp4",
    "vp9.plain.webm",
    "vp9.short-clusters.webm",
    "opus.plain.webm",
    "mp3-cover.mp3",
    "vorbis.ogg",
    "empty.mp4",
    "text.mp4",
    "lines-alone.mp4",
    "wide.mov",
    "early-pictures.mp4",
    "aiff-tagged.aiff",
];

/// Some files that ffmpeg makes.
pub(super) fn short() -> Vec<Subject> {
    made(&Recipes::all(), &SHORT.map(String::from))
}

/// All files that ffmpeg makes.
pub(super) fn generated() -> Vec<Subject> {
    let recipes = Recipes::all();
    let files: Vec<String> = recipes.media().map(String::from).collect();
    // Not every ffmpeg has every coder, nor takes every shape for every codec.
    let makes = |file: &String| catch_unwind(AssertUnwindSafe(|| recipes.make(file))).is_ok();
    let there = abreast(&files, makes);
    let (files, missing): (Vec<_>, Vec<_>) = files.into_iter().zip(there).partition(|(_, it)| *it);
    println!(
        "ffmpeg does not make: {:?}",
        missing.iter().map(|(file, _)| file).collect::<Vec<_>>()
    );
    made(&recipes, &files.into_iter().map(|(file, _)| file).collect::<Vec<_>>())
}

/// All files below a folder.
pub(super) fn found(folder: &Path) -> Vec<Subject> {
    let mut files = Vec::new();
    walk(folder, &mut files);
    files.sort();
    assert!(!files.is_empty(), "there is nothing in {folder:?}");
    abreast(&files, |path| {
        let name = path.strip_prefix(folder).unwrap_or(path).display().to_string();
        let probe = Probe::of(path);
        let nature = match &probe {
            probe if probe.is_encrypted() => Nature::Encrypted,
            probe if probe.is_unread => Nature::Unread,
            probe if probe.tracks.is_empty() => Nature::Junk,
            _ => Nature::Found,
        };
        Subject::new(name, path.clone(), nature, probe)
    })
}

fn made(recipes: &Recipes, files: &[String]) -> Vec<Subject> {
    abreast(files, |file| {
        let path = recipes.make(file);
        let probe = Probe::of(&path);
        Subject::new(file.clone(), path, recipes.nature(file), probe)
    })
}

impl Subject {
    fn new(name: String, path: PathBuf, nature: Nature, probe: Probe) -> Self {
        let family = family(&path, &probe);
        Self { name, path, nature, family, probe }
    }
}

fn family(path: &Path, probe: &Probe) -> &'static str {
    let is_in_fragments = || {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(4).any(|four| four == b"moof")
    };
    match probe.format.as_str() {
        format if format.contains("mp4") && is_in_fragments() => "fragmented",
        format if format.contains("mp4") => "progressive",
        format if format.contains("webm") => "matroska",
        _ => "other",
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Does it to all of them, several at a time, and keeps their order.
pub(super) fn abreast<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let workers = thread::available_parallelism().map_or(2, usize::from) * 2;
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((number, item)) = {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    items.get(number).map(|item| (number, item))
                } {
                    let result = work(item);
                    done.lock().unwrap().push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

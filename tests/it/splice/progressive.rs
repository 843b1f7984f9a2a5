//! Progressive MP4: what comes of it, checked with ffmpeg against the sources.

use std::path::{Path, PathBuf};
use std::process::Command;

use ytcanal::media::{Metadata, TrackKind};
use ytcanal::splice::Options;

use crate::support::framemd5::{Exactness, assert_same, packets};
use crate::support::spliced::{Film, as_it_is};
use crate::support::{media, run};

mod kinds;
mod several;
mod tags;
mod trim;

/// A joined file on the disk, gone with the test.
struct Joined {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

/// Joins the film, having made sure that any part of the joined file is the same alone.
fn joined(film: &Film, options: &Options<'_>) -> Joined {
    let whole = film.whole(&film.plan(options));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("joined.mp4");
    std::fs::write(&path, whole).unwrap();
    Joined { _directory: directory, path }
}

/// What ffmpeg makes of a file when it decodes it: an MD5 of each picture and each bit of sound.
/// It must have nothing to complain of.
fn decoded(before: &[&str], file: &Path, stream: &str) -> Vec<String> {
    let output = run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin"])
        .args(before)
        .arg("-i")
        .arg(file)
        .args(["-map", format!("0:{stream}").trim_end_matches(':'), "-f", "framemd5", "-"]));
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{file:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// What ffprobe says of these entries of a file.
fn probed(file: &Path, entries: &str) -> Vec<String> {
    let output = run(Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", entries, "-of", "default=nw=1"])
        .arg(file));
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// When a file ends, in seconds. From 7.0 on, ffprobe does not count what precedes the first packet.
fn end(file: &Path, stream: &str) -> f64 {
    let duration = media::file_duration(file).unwrap();
    let last = packets(file, stream).iter().map(|packet| packet.pts).max().unwrap();
    if duration + 0.5 < last as f64 / 1e9 { media::file_end(file) } else { duration }
}

/// Whether ffprobe is 7.0 or later.
fn counts_late_pictures() -> bool {
    let output = run(Command::new("ffprobe").arg("-version"));
    let text = String::from_utf8(output.stdout).unwrap();
    let version = text.split_whitespace().nth(2).unwrap().trim_start_matches('n');
    version.split('.').next().unwrap().parse::<u32>().unwrap() >= 7
}

#[test]
fn every_packet_is_that_of_its_source() {
    for kind in kinds::all() {
        let film = Film::of(&kind.video, &kind.audio);
        let plan = film.plan(&as_it_is(&Metadata::default()));
        let joined = joined(&film, &as_it_is(&Metadata::default()));
        for (stream, source) in [("v", &kind.video), ("a", &kind.audio)] {
            let what = format!("{}, {stream}", kind.name);
            let after = packets(&joined.path, stream);
            assert_same(&packets(source, stream), &after, Exactness::Every, &what);
            let [before, after] =
                [source, &joined.path].map(|file| decoded(&["-copyts"], file, stream));
            assert_eq!(before, after, "{what}");
        }
        let longest = f64::max(end(&kind.video, "v"), end(&kind.audio, "a"));
        // From 7.0 on, ffprobe counts what precedes a late picture if the sound is not late.
        let pictures = packets(&kind.video, "v");
        let late = pictures.iter().map(|packet| packet.pts).min().unwrap() as f64 / 1e9;
        let joined = media::file_duration(&joined.path).unwrap();
        let late = if counts_late_pictures() { late } else { 0.0 };
        let is_right = [longest, longest + late].iter().any(|end| (joined - end).abs() < 0.002);
        assert!(is_right, "{}: {joined} of {longest}", kind.name);
        let announced = plan.duration.as_secs_f64();
        assert!((announced - longest).abs() < 0.002, "{}: {announced} of {longest}", kind.name);
    }
}

/// Players of Apple take nothing else.
#[test]
fn h265_is_called_hvc1() {
    for file in kinds::h265() {
        assert_eq!(probed(&file, "stream=codec_tag_string")[0], "codec_tag_string=hev1");
        let film = Film {
            files: vec![(TrackKind::Video, std::fs::read(&file).unwrap())],
            ..Film::default()
        };
        let joined = joined(&film, &as_it_is(&Metadata::default()));
        assert_eq!(probed(&joined.path, "stream=codec_tag_string"), ["codec_tag_string=hvc1"]);
        let [before, after] = [&file, &joined.path].map(|file| packets(file, "v"));
        assert_same(&before, &after, Exactness::Every, "H.265");
        let [before, after] = [&file, &joined.path].map(|file| decoded(&[], file, "v"));
        assert_eq!(before, after);
    }
}

#[test]
fn the_middle_has_picture_and_sound() {
    let kind = kinds::minute();
    let joined = joined(&Film::of(&kind.video, &kind.audio), &as_it_is(&Metadata::default()));
    for (stream, source) in [("v", &kind.video), ("a", &kind.audio)] {
        let middle = ["-ss", "31.3", "-t", "5"];
        let pictures = decoded(&middle, &joined.path, stream);
        assert!(pictures.len() > 100, "{stream}: {} frames", pictures.len());
        // What is heard first depends on where the decoder began.
        assert_eq!(pictures[1..], decoded(&middle, source, stream)[1..], "{stream}");
    }
}

/// Bytes of a file whose packets ffprobe gives in the order of the file.
fn places(file: &Path) -> Vec<(u64, f64, String)> {
    let entries = ["-show_entries", "packet=codec_type,dts_time,pos", "-of", "csv=p=0"];
    let output = run(Command::new("ffprobe").args(["-v", "error"]).args(entries).arg(file));
    let lines = String::from_utf8(output.stdout).unwrap();
    let mut places: Vec<_> = lines
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let [kind, time, at, ..] = line.split(',').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            (at.parse().unwrap(), time.parse().unwrap(), kind.to_owned())
        })
        .collect();
    places.sort_by_key(|(at, _, _)| *at);
    places
}

#[test]
fn what_is_played_together_is_near_each_other() {
    let kind = kinds::minute();
    let joined = joined(&Film::of(&kind.video, &kind.audio), &as_it_is(&Metadata::default()));
    let mut latest = 0.0f64;
    for (at, time, kind) in places(&joined.path) {
        assert!(time > latest - 0.7, "at {at} {kind} of {time}, behind {latest}");
        latest = latest.max(time);
    }
    let bytes = std::fs::read(&joined.path).unwrap();
    let moov = bytes.windows(4).position(|window| window == b"moov").unwrap();
    assert!(moov < 64, "the index is in front");
}

#[test]
fn a_lone_file_gets_its_index_in_front() {
    let kind = kinds::minute();
    for (kind, stream, path) in
        [(TrackKind::Video, "v", kind.video), (TrackKind::Audio, "a", kind.audio)]
    {
        let film = Film { files: vec![(kind, std::fs::read(&path).unwrap())], ..Film::default() };
        let plan = film.plan(&as_it_is(&Metadata::default()));
        assert_eq!(plan.extents().len(), 1, "all samples as they lie in their file");
        let joined = joined(&film, &as_it_is(&Metadata::default()));
        let after = packets(&joined.path, stream);
        assert_same(&packets(&path, stream), &after, Exactness::Every, stream);
    }
}

#[test]
fn surveys_take_few_requests() {
    let of = |kind: kinds::Kind| Film::of(&kind.video, &kind.audio).requests();
    // Where the media begin is known from the head of the file, or behind its index.
    assert_eq!(of(kinds::plain()), [0, 0]);
    assert_eq!(of(kinds::minute()), [1, 1]);
    // Indexes that are longer than what a first look brings: one more look, for all of the rest.
    assert_eq!(of(kinds::long()), [1, 2]);
}

#[test]
fn the_same_files_give_the_same_plan() {
    let kind = kinds::plain();
    let film = Film::of(&kind.video, &kind.audio);
    let tags = Metadata::default();
    assert_eq!(film.plan(&as_it_is(&tags)), film.plan(&as_it_is(&tags)));
}

#[test]
fn what_cannot_be_joined_is_refused() {
    let refusal = |video: &Path, audio: &Path| {
        Film::of(video, audio).try_plan(&as_it_is(&Metadata::default())).unwrap_err().0
    };
    let kind = kinds::plain();
    assert_eq!(refusal(&kind.audio, &kind.video), "the file has no track of the expected kind");
    assert_eq!(refusal(&kind.video, &kinds::encrypted()), "the file is encrypted");
    let cut = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        bytes[..bytes.len() - 1000].to_vec()
    };
    let files = vec![(TrackKind::Video, cut(&kind.video)), (TrackKind::Audio, cut(&kind.audio))];
    let refused =
        Film { files, ..Film::default() }.try_plan(&as_it_is(&Metadata::default())).unwrap_err().0;
    assert_eq!(refused, "a box runs past the end of the file");
}

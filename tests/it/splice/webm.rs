//! WebM: packets, cues, seeks and tags, from files of many shapes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;
use ytcanal::media::{CoverArt, Metadata};
use ytcanal::splice::Plan;

use crate::support::framemd5::{Exactness, assert_same, packets};
use crate::support::spliced::{Film, as_it_is};
use crate::support::webms::{coded_picture, coded_sound, cover, long_film, remuxed, shifted};
use crate::support::{media, run};

mod faults;
mod trim;

const QUIET: [&str; 4] = ["ffmpeg", "-v", "error", "-nostdin"];

/// The joined file on the disk, after all parts of it were found to be the same made alone.
fn written(film: &Film, plan: &Plan) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("joined.webm");
    std::fs::write(&file, film.whole(plan)).unwrap();
    (directory, file)
}

/// Runs ffmpeg, which must have nothing to say.
fn silently(arguments: &[&str]) -> String {
    let output = run(Command::new(QUIET[0]).args(&QUIET[1..]).args(arguments));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Joins them as they are. ffmpeg must find every packet of both, and nothing to say.
fn join(video: &Path, audio: &Path) -> (Film, Plan, TempDir, PathBuf) {
    let film = Film::of(video, audio);
    let plan = film.plan(&as_it_is(&Metadata::default()));
    let (directory, file) = written(&film, &plan);
    for (source, stream) in [(video, "v"), (audio, "a")] {
        let what = format!("{stream} of {}", source.display());
        let (before, after) = (packets(source, stream), packets(&file, stream));
        assert_same(&before, &after, Exactness::Every, &what);
    }
    silently(&["-i", file.to_str().unwrap(), "-f", "null", "-"]);
    (film, plan, directory, file)
}

/// The numbers in the first column that ffprobe prints of its first packets behind `at` seconds.
fn streams_from(file: &Path, at: &str) -> Vec<String> {
    let interval = format!("{at}%+#500");
    let shown = ["-v", "error", "-read_intervals", &interval, "-show_entries"];
    let shown = [&shown[..], &["packet=stream_index,pts_time", "-of", "csv=p=0"]].concat();
    let output = run(Command::new("ffprobe").args(shown).arg(file));
    String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect()
}

#[test]
fn every_shape_keeps_every_packet() {
    let pair = media::webm();
    let small = ["-cluster_time_limit", "300"];
    let videos = [
        pair.video.clone(),
        remuxed("cues-in-front", &pair.video, &["-cues_to_front", "1"]),
        remuxed("cues-reserved", &pair.video, &["-reserve_index_space", "3000"]),
        remuxed("small-clusters", &pair.video, &small),
        remuxed("dash-video", &pair.video, &["-dash", "1"]),
    ];
    let audios = [
        pair.audio.clone(),
        remuxed("small-sound", &pair.audio, &small),
        // Three cues, and fifteen clusters.
        remuxed("dash-sound", &pair.audio, &["-dash", "1", "-cluster_time_limit", "1000"]),
        coded_sound(&["libvorbis"], 15),
        remuxed("front-sound", &pair.audio, &["-cues_to_front", "1"]),
    ];
    for (video, audio) in videos.iter().zip(&audios) {
        join(video, audio);
    }
}

#[test]
fn every_coder_of_webm() {
    let audio = coded_sound(&["libopus"], 4);
    let fast = ["-deadline", "realtime", "-cpu-used", "8"];
    join(&coded_picture(&[&["libvpx"], &fast[..]].concat(), 4), &audio);
    join(&coded_picture(&["libaom-av1", "-cpu-used", "8", "-usage", "realtime"], 4), &audio);
}

#[test]
fn tracks_that_begin_at_other_times_stay_in_step() {
    let pair = media::webm();
    let late = ["-avoid_negative_ts", "disabled"];
    let video = shifted("late-picture", &pair.video, "0.52", &late);
    let audio = shifted("late-sound", &pair.audio, "1.3", &late);
    join(&video, &pair.audio);
    join(&pair.video, &audio);
    let (_, _, _directory, file) = join(&video, &audio);
    let first = |file: &Path, stream| packets(file, stream)[0].pts / 1_000_000;
    assert_eq!(first(&file, "v"), 520);
    // The first packet of Opus may be 6.5 ms early, for a decoder to begin with.
    assert!((1293..=1300).contains(&first(&audio, "a")), "{}", first(&audio, "a"));
    assert_eq!(first(&file, "a"), first(&audio, "a"));
}

#[test]
fn a_seek_finds_picture_and_sound() {
    let (video, audio) = long_film();
    let (film, plan, _directory, file) = join(&video, &audio);
    assert!(plan.extents().len() > 700, "{} pieces", plan.extents().len());
    assert_eq!(film.requests(), [1, 1], "of the surveys");
    for at in ["0", "7", "151.5", "233"] {
        let shown = streams_from(&file, at);
        let from = at.parse::<f64>().unwrap() - 5.1;
        for stream in ["0,", "1,"] {
            let first = shown.iter().find_map(|line| line.strip_prefix(stream)).unwrap();
            let time: f64 = first.trim_end_matches(',').parse().unwrap();
            assert!((from..from + 6.2).contains(&time), "{stream} at {at}: {time}");
        }
    }
}

/// The number in an element's field, or all of the element's content.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[test]
fn cues_lead_to_the_earlier_of_picture_and_sound() {
    use ytcanal::container::ebml;
    let pair = media::webm();
    let audio = coded_sound(&["libopus", "-cluster_time_limit", "300"], 15);
    let film = Film::of(&pair.video, &audio);
    let plan = film.plan(&as_it_is(&Metadata::default()));
    let whole = film.whole(&plan);
    let head = ebml::header(&whole).unwrap();
    let segment = &whole[head.len + head.size.unwrap() as usize..];
    let head = ebml::header(segment).unwrap();
    let segment = &segment[head.len..];
    assert_eq!(segment.len() as u64, head.size.unwrap());
    let time_of = |cluster: &[u8]| {
        let head = ebml::header(cluster).unwrap();
        assert_eq!(head.id, 0x1f43_b675, "a cluster");
        let time = ebml::header(&cluster[head.len..]).unwrap();
        let at = head.len + time.len;
        (number(&cluster[at..at + time.size.unwrap() as usize]), head)
    };
    let cues = ebml::children(segment).map(Result::unwrap).find(|e| e.id == 0x1c53_bb6b).unwrap();
    let mut count = 0;
    for point in ebml::children(cues.payload).map(Result::unwrap) {
        let fields: Vec<_> = ebml::children(point.payload).map(Result::unwrap).collect();
        let place: Vec<_> = ebml::children(fields[1].payload).map(Result::unwrap).collect();
        let (time, track, at) =
            (number(fields[0].payload), number(place[0].payload), number(place[1].payload));
        assert_eq!(track, 1);
        // There is the sound of this time, and the picture behind it.
        let (sound, head) = time_of(&segment[at as usize..]);
        assert!((time.saturating_sub(300)..=time).contains(&sound), "{sound} for {time}");
        let next = at as usize + head.len + head.size.unwrap() as usize;
        assert_eq!(time_of(&segment[next..]).0, time);
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn the_file_says_what_it_is() {
    let pair = media::webm();
    let film = Film::of(&pair.video, &pair.audio);
    let picture = cover();
    let tags = Metadata {
        title: Some("Ein Zug – 列車".into()),
        artist: Some("Nobody & sons".into()),
        date: Some("2021-03-04".into()),
        cover: Some(CoverArt { is_jpeg: true, bytes: Arc::from(&picture[..]) }),
        ..Metadata::default()
    };
    let plan = film.plan(&as_it_is(&tags));
    let (_directory, file) = written(&film, &plan);
    let output = run(Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_format", "-show_streams"])
        .arg(&file));
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let said = &shown["format"]["tags"];
    let title = said["TITLE"].as_str().or(said["title"].as_str());
    assert_eq!(title, tags.title.as_deref(), "{said}");
    assert_eq!(said["ARTIST"].as_str(), tags.artist.as_deref(), "{said}");
    assert_eq!(said["DATE_RELEASED"].as_str(), tags.date.as_deref(), "{said}");
    let coders: Vec<_> =
        shown["streams"].as_array().unwrap().iter().map(|s| s["codec_name"].as_str()).collect();
    assert_eq!(coders, [Some("vp9"), Some("opus"), Some("mjpeg")]);
    assert_eq!(shown["streams"][2]["disposition"]["attached_pic"], 1);
    silently(&["-i", file.to_str().unwrap(), "-map", "0:0", "-map", "0:1", "-f", "null", "-"]);
}

#[test]
fn the_same_files_and_wishes_give_the_same_plan() {
    let pair = media::webm();
    let film = Film::of(&pair.video, &pair.audio);
    let tags = Metadata::default();
    assert_eq!(film.plan(&as_it_is(&tags)), film.plan(&as_it_is(&tags)));
}

#[test]
fn a_lone_file_of_either_kind() {
    let pair = media::webm();
    for (index, source, stream) in [(0, &pair.video, "v"), (1, &pair.audio, "a")] {
        let mut film = Film::of(&pair.video, &pair.audio);
        film.files = vec![film.files.swap_remove(index)];
        let plan = film.plan(&as_it_is(&Metadata::default()));
        assert!(plan.extents().all(|piece| piece.track == 0));
        let (_directory, file) = written(&film, &plan);
        let (before, after) = (packets(source, stream), packets(&file, stream));
        assert_same(&before, &after, Exactness::Every, stream);
        silently(&["-i", file.to_str().unwrap(), "-f", "null", "-"]);
    }
}

//! A video with three audio tracks, in each of the formats: packets, labels, and any part of the file alone.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ytcanal::media::track_label::TrackLabel;
use ytcanal::media::{Metadata, TrackKind};
use ytcanal::options::TimeRange;
use ytcanal::splice::Options;

use crate::support::framemd5::{Exactness, Packet, assert_same, packets};
use crate::support::spliced::{Film, as_it_is};
use crate::support::tongues::{Coding, FRAGMENTED, Listed, PROGRESSIVE, WEBM, listed, tongue};
use crate::support::{media, run};

mod served;

/// A video and three files of audio.
fn sources(coding: Coding) -> (PathBuf, [PathBuf; 3]) {
    let pair = match coding.name {
        "webm" => media::webm().video.clone(),
        "fragmented" => media::minute().video.clone(),
        _ => media::progressive(
            "several-video",
            "testsrc=size=160x90:rate=25:duration=20",
            &["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50"],
        ),
    };
    let seconds = [20, 17, 23];
    (pair, [0, 1, 2].map(|number| tongue(coding, number, seconds[number as usize])))
}

fn labels() -> Metadata {
    let label = TrackLabel::new;
    let audios =
        [label(Some("en"), Some("English")), label(Some("de-AT"), None), label(None, None)];
    let labels = std::iter::once(TrackLabel::default()).chain(audios).collect();
    Metadata { labels, ..Metadata::default() }
}

fn film(video: Option<&Path>, audios: &[PathBuf]) -> Film {
    let read = |path: &Path| std::fs::read(path).unwrap();
    let video = video.map(|video| (TrackKind::Video, read(video)));
    let audios = audios.iter().map(|audio| (TrackKind::Audio, read(audio)));
    Film { files: video.into_iter().chain(audios).collect(), segments: Vec::new() }
}

/// Joins them; all parts must be the same when made alone, and nothing may complain of the file.
fn join(film: &Film, options: &Options<'_>, extension: &str) -> (tempfile::TempDir, PathBuf) {
    let whole = film.whole(&film.plan(options));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("joined").with_extension(extension);
    std::fs::write(&file, whole).unwrap();
    let output = run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(&file)
        .args(["-map", "0", "-f", "null", "-"]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    (directory, file)
}

#[test]
fn each_track_has_the_packets_of_its_file() {
    for coding in [FRAGMENTED, PROGRESSIVE, WEBM] {
        let (video, audios) = sources(coding);
        let tags = labels();
        for video in [Some(&*video), None] {
            let film = film(video, &audios);
            let film_tags = match video {
                Some(_) => tags.clone(),
                None => Metadata { labels: tags.labels[1..].to_vec(), ..Metadata::default() },
            };
            let (_directory, file) = join(&film, &as_it_is(&film_tags), coding.extension);
            let what = format!("{} {video:?}", coding.name);
            if let Some(video) = video {
                let found = packets(&file, "v");
                assert_same(&packets(video, "v"), &found, Exactness::Millisecond, &what);
            }
            for (number, audio) in audios.iter().enumerate() {
                let found = packets(&file, &format!("a:{number}"));
                let what = format!("{what}, audio {number}");
                assert_same(&packets(audio, "a"), &found, Exactness::Millisecond, &what);
            }
            let german = if coding.name == "webm" { "ger" } else { "deu" };
            let unknown = if coding.name == "webm" { "eng" } else { "und" };
            let mut found = listed(&file);
            // What is not labelled is as its file has it; ffprobe leaves out what a file does not tell.
            if found[2].language.is_empty() {
                found[2].language = unknown.into();
            }
            assert_eq!(
                found[..2],
                [Listed::new("eng", "English", true), Listed::new(german, "", false),],
                "{what}"
            );
            assert!(!found[2].is_default, "{what}");
        }
    }
}

/// When packets are shown, in the part and in the source.
fn moved(source: &[Packet], part: &[Packet]) -> Vec<i64> {
    let place = |packet: &Packet| {
        let mut same = source.iter().filter(|own| own.md5 == packet.md5);
        match (same.next(), same.next()) {
            (Some(own), None) => Some(own.pts - packet.pts),
            (None, _) => panic!("{packet:?} is not in the source"),
            _ => None,
        }
    };
    part.iter().filter_map(place).collect()
}

/// All tracks of a time range are moved by the same, and end together.
#[test]
fn a_time_range_keeps_all_tracks_in_step() {
    for coding in [FRAGMENTED, PROGRESSIVE, WEBM] {
        let (video, audios) = sources(coding);
        let (film, tags) = (film(Some(&video), &audios), labels());
        for (start, end) in [(5, Some(11)), (7, None), (0, Some(4))] {
            let end = end.map(Duration::from_secs);
            let time_range = TimeRange { start: Duration::from_secs(start), end };
            let options = Options { time_range, ..as_it_is(&tags) };
            let (_directory, file) = join(&film, &options, coding.extension);
            let what = format!("{} from {start} to {end:?}", coding.name);
            let pairs =
                audios.iter().enumerate().map(|(index, file)| (&**file, format!("a:{index}")));
            let pairs = std::iter::once((&*video, "v".to_owned())).chain(pairs);
            let mut by = Vec::new();
            for (source, stream) in pairs {
                let kind = &stream[..1];
                let all = packets(&file, &stream);
                by.extend(moved(&packets(source, kind), &all));
                assert!(!all.is_empty(), "{what}: {stream} is empty");
            }
            let (least, most) = (by.iter().min().unwrap(), by.iter().max().unwrap());
            assert!(most - least <= 2_000_000, "{what}: {least} to {most}");
            if end.is_some() {
                let ends = [0, 1, 2].map(|number| {
                    packets(&file, &format!("a:{number}")).iter().map(|p| p.pts).max().unwrap()
                });
                let apart = ends.iter().max().unwrap() - ends.iter().min().unwrap();
                // Fragments and clusters are not cut.
                assert!(apart <= 5_000_000_000, "{what}: {ends:?}");
            }
        }
    }
}

/// A file with one audio track is the one that it was, whatever the labels of others could be.
#[test]
fn without_labels_one_track_has_the_bytes_that_it_had() {
    let pair = media::minute();
    let film = Film::of(&pair.video, &pair.audio);
    let plain = film.plan(&as_it_is(&Metadata::default()));
    let blank = Metadata { labels: vec![TrackLabel::default(); 2], ..Metadata::default() };
    assert_eq!(film.plan(&as_it_is(&blank)).digest(), plain.digest());
    let labels = vec![TrackLabel::default(), TrackLabel::new(Some("de"), None)];
    let labelled = Metadata { labels, ..Metadata::default() };
    assert_ne!(film.plan(&as_it_is(&labelled)).digest(), plain.digest());
}

//! Parts of a film: picture and sound in step, and no more than was wanted.

use std::time::Duration;

use ytcanal::error::Unsupported;
use ytcanal::options::{ContainerChoice, TimeRange};
use ytcanal::splice::Options;

use super::*;
use crate::support::framemd5::Packet;
use crate::support::media::file_duration;

const MILLISECOND: i64 = 1_000_000;

fn part(tags: &Metadata, start: f64, end: Option<f64>) -> Options<'_> {
    let end = end.map(Duration::from_secs_f64);
    let trim = TimeRange { start: Duration::from_secs_f64(start), end };
    Options { container: ContainerChoice::Auto, time_range: trim, metadata: tags }
}

/// What of the source's packets plays from `zero` up to `until`, in seconds, moved to 0.
fn moved(source: &[Packet], zero: f64, until: f64, early: i64) -> Vec<Packet> {
    let nanos = |seconds: f64| (seconds * 1e9) as i64;
    let within = source.iter().filter(|packet| {
        let time = packet.pts + early;
        time >= nanos(zero) && time < nanos(until)
    });
    within
        .map(|packet| Packet {
            pts: packet.pts - nanos(zero),
            dts: packet.dts - nanos(zero),
            ..packet.clone()
        })
        .collect()
}

/// The part has exactly the packets of both tracks from `zero` up to `until`.
fn check(video: &Path, audio: &Path, wanted: (f64, Option<f64>), zero: f64, until: f64) {
    let film = Film::of(video, audio);
    let tags = Metadata::default();
    let plan = film.plan(&part(&tags, wanted.0, wanted.1));
    let (_directory, file) = written(&film, &plan);
    // ffmpeg presents Opus 7 ms earlier than its blocks say (CodecDelay).
    for (source, stream, early) in [(video, "v", 0), (audio, "a", 7 * MILLISECOND)] {
        let expected = moved(&packets(source, stream), zero, until, early);
        let what = format!("{stream} from {zero} to {until}");
        let found = packets(&file, stream);
        assert_same(&expected, &found, Exactness::Every, &what);
    }
    let length = file_duration(&file).unwrap();
    assert!((plan.duration.as_secs_f64() - length).abs() < 0.05, "{length} {:?}", plan.duration);
    let expected = until.min(file_duration(audio).unwrap()) - zero;
    assert!((plan.duration.as_secs_f64() - expected).abs() < 0.02, "{:?}", plan.duration);
    silently(&["-i", file.to_str().unwrap(), "-f", "null", "-"]);
}

#[test]
fn both_tracks_are_cut_at_the_same_times() {
    let pair = media::webm();
    let small = remuxed("small-sound", &pair.audio, &["-cluster_time_limit", "300"]);
    let dash = remuxed("dash-sound", &pair.audio, &["-dash", "1", "-cluster_time_limit", "1000"]);
    for audio in [&pair.audio, &small, &dash] {
        let video = &pair.video;
        check(video, audio, (5.0, None), 5.0, 99.0);
        check(video, audio, (9.9, None), 5.0, 99.0);
        check(video, audio, (12.0, None), 10.0, 99.0);
        check(video, audio, (0.0, Some(4.0)), 0.0, 5.0);
        check(video, audio, (0.0, Some(5.0)), 0.0, 5.0);
        check(video, audio, (7.0, Some(9.0)), 5.0, 10.0);
        check(video, audio, (3.0, Some(5.001)), 0.0, 10.0);
        check(video, audio, (7.0, Some(11.0)), 5.0, 15.0);
        check(video, audio, (7.0, Some(500.0)), 5.0, 500.0);
    }
}

#[test]
fn a_part_of_a_long_film_is_small() {
    let (video, audio) = long_film();
    let film = Film::of(&video, &audio);
    let tags = Metadata::default();
    let whole = film.plan(&as_it_is(&tags));
    let plan = film.plan(&part(&tags, 121.0, Some(134.0)));
    assert!(plan.len() < whole.len() / 14, "{} of {}", plan.len(), whole.len());
    check(&video, &audio, (121.0, Some(134.0)), 120.0, 135.0);
}

#[test]
fn lone_sound_is_cut_at_its_own_clusters() {
    let pair = media::webm();
    let mut film = Film::of(&pair.video, &pair.audio);
    film.files.remove(0);
    let tags = Metadata::default();
    let plan = film.plan(&part(&tags, 6.0, Some(8.0)));
    let (_directory, file) = written(&film, &plan);
    let expected = moved(&packets(&pair.audio, "a"), 4.981, 9.981, 7 * MILLISECOND);
    assert_same(&expected, &packets(&file, "a"), Exactness::Every, "sound");
    assert_eq!(plan.duration, Duration::from_secs(5));
}

#[test]
fn parts_that_are_nowhere_are_refused() {
    let pair = media::webm();
    let film = Film::of(&pair.video, &pair.audio);
    let tags = Metadata::default();
    let refused = |start, end| film.try_plan(&part(&tags, start, end)).unwrap_err();
    assert_eq!(refused(16.0, None), Unsupported("the media ends before the requested start"));
    assert!(refused(5.0, Some(5.0)).0.contains("not after the start"));
}

//! Segments that are removed: what is left is what was there, in step, and as static as any spliced file.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{daemon, put_page, put_segments, read, segment, settings};
use crate::resolve::chapters::chapters;
use crate::support::answer::{Answer, Ending};
use crate::support::daemon::Daemon;
use crate::support::framemd5::{Packet, packets};
use crate::support::media::{Pair, file_duration, generate, picture};
use crate::support::resource::{Fault, Resource};
use crate::support::run;
use crate::support::ytdlp::{self, FILM, Site, download_path};

const SECOND: i64 = 1_000_000_000;
/// Times in milliseconds are not exact in all tracks.
const NEAR: i64 = SECOND / 500;
/// A frame of AAC at 48 kHz.
const FRAME: i64 = SECOND * 1024 / 48_000;

/// A minute with a key frame every two seconds, of which each is a fragment, and noise in fragments of ten seconds.
fn film() -> Pair {
    let flags = "+frag_keyframe+empty_moov+default_base_moof+dash+global_sidx";
    let video = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-b:v", "400k"];
    let shape = ["-g", "50", "-bf", "2", "-sc_threshold", "0", "-movflags", flags];
    let video = picture("320x180", 25, 60).into_iter().chain(video.map(String::from));
    let video: Vec<String> = video.chain(shape.map(String::from)).collect();
    let noise = "anoisesrc=seed=5:sample_rate=48000:duration=60";
    let audio = ["-f", "lavfi", "-i", noise, "-c:a", "aac", "-b:a", "96k"];
    let audio: Vec<String> = [&audio[..], &["-frag_duration", "10000000", "-movflags", flags]]
        .concat()
        .into_iter()
        .map(String::from)
        .collect();
    Pair {
        video: generate("segments-video", "mp4", &video),
        audio: generate("segments-audio", "mp4", &audio),
    }
}

/// The same in WebM: a cluster for each key frame, and of audio one for five seconds.
fn webm() -> Pair {
    let video = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k"];
    let shape = ["-g", "50", "-keyint_min", "50", "-auto-alt-ref", "0"].map(String::from);
    let video = picture("160x90", 25, 60).into_iter().chain(video.map(String::from)).chain(shape);
    let noise = "anoisesrc=seed=6:sample_rate=48000:duration=60";
    let audio = ["-f", "lavfi", "-i", noise, "-c:a", "libopus", "-b:a", "64k"].map(String::from);
    Pair {
        video: generate("segments-video", "webm", &video.collect::<Vec<_>>()),
        audio: generate("segments-audio", "webm", &audio),
    }
}

fn put_film(site: &Site, pair: &Pair) {
    put_files(site, [("137", &pair.video), ("140-1", &pair.audio)]);
}

fn put_files(site: &Site, files: [(&str, &PathBuf); 2]) {
    for (format, file) in files {
        let media = Resource::file(file).only_bounded_ranges().keep_alive().etag("\"2\"");
        site.origin.put(&format!("f/{FILM}/{format}"), media);
    }
}

/// Segments, and the seconds that are left, by the key frames of `film`.
const SEGMENTS: [(f64, f64); 6] =
    [(0.0, 3.0), (5.0, 9.5), (17.0, 26.5), (30.5, 31.9), (33.9, 36.1), (57.0, 59.6)];
const LEFT: [Range<f64>; 4] = [2.0..6.0, 8.0..18.0, 26.0..34.0, 36.0..58.0];

fn segments() -> Vec<Value> {
    SEGMENTS.iter().map(|(start, end)| segment(*start, *end, "sponsor")).collect()
}

fn saved(answer: &Answer) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("film.mp4");
    fs::write(&file, &answer.body).unwrap();
    (directory, file)
}

/// Panics unless the packets are those within the intervals, counted from `origin`, each moved by what is left out before it
/// but for at most `apart`. `slack` packets may be missing, or be there, at each end of an interval.
fn assert_left(source: &[Packet], made: &[Packet], origin: i64, (apart, slack): (i64, i64)) {
    let nanos = |seconds: f64| (seconds * 1e9) as i64 + origin;
    let mut rest = source.iter();
    let mut counts = [0; LEFT.len()];
    for packet in made {
        let was = rest.find(|one| one.md5 == packet.md5);
        let was = was.unwrap_or_else(|| panic!("{packet:?} is not there, or in another order"));
        let mut begin = origin;
        let place = LEFT.iter().position(|times| {
            let moved = nanos(times.start) - begin;
            begin += nanos(times.end) - nanos(times.start);
            (was.pts - packet.pts - moved).abs() <= apart
                && (nanos(times.start) - slack * FRAME..=nanos(times.end) + slack * FRAME)
                    .contains(&was.pts)
        });
        // Frames before the first one of the video stay.
        let is_early = was.pts < origin && was.pts == packet.pts;
        let place = place.or(is_early.then_some(0));
        counts[place.unwrap_or_else(|| panic!("{was:?} became {packet:?}"))] += 1;
    }
    for (times, count) in LEFT.iter().zip(counts) {
        let times = nanos(times.start) - NEAR..nanos(times.end) - NEAR;
        let wanted = source.iter().filter(|packet| times.contains(&packet.pts)).count() as i64;
        let early = made.iter().filter(|packet| packet.pts < origin).count() as i64;
        assert!((wanted - count).abs() <= 2 * slack + early, "{times:?}: {count} of {wanted}");
    }
    let steps = made.windows(2).map(|pair| pair[1].dts - pair[0].dts);
    assert!(steps.clone().all(|step| step > 0), "{:?}", steps.min());
}

/// Panics unless both tracks of the file are what is left of the pair.
fn assert_both_left(pair: &Pair, file: &Path, slack: i64) {
    let [source, made] = [&*pair.video, file].map(|file| packets(file, "v"));
    let origin = source.iter().map(|packet| packet.pts).min().unwrap();
    assert_left(&source, &made, origin, (NEAR, 0));
    assert_left(&packets(&pair.audio, "a"), &packets(file, "a"), origin, (FRAME, slack));
}

/// Panics unless ffmpeg decodes all of it without a word.
fn assert_decodes(file: &Path) {
    let arguments = ["-v", "warning", "-nostdin", "-xerror", "-i"];
    let decoded = run(Command::new("ffmpeg").args(arguments).arg(file).args(["-f", "null", "-"]));
    let words = String::from_utf8_lossy(&decoded.stderr).into_owned();
    assert!(decoded.status.success() && words.is_empty(), "{words}");
}

#[test]
fn what_is_left_is_what_was_there() {
    let (site, pair) = (Site::start(), film());
    let daemon = daemon(&site, "");
    put_film(&site, &pair);
    put_segments(&site, &segments());
    let own = json!([
        { "start_time": 0, "end_time": 20, "title": "One" },
        { "start_time": 20, "end_time": 60, "title": "Two" },
    ]);
    put_page(&site, &["137", "140-1"], &own);
    let (page, _) = read(&daemon, &site, "removed");
    let path = download_path(&page, &[("sponsorblock", "remove")]);
    let whole = daemon.good(&path);
    assert_eq!(whole.engine(), "splice");
    assert_eq!(whole.head.header("Content-Length"), Some(&*whole.body.len().to_string()));
    let (_directory, file) = saved(&whole);
    assert_both_left(&pair, &file, 2);
    assert_decodes(&file);
    let duration = file_duration(&file).unwrap();
    assert!((duration - 44.0).abs() < 0.2, "{duration}");
    // What is left of the segments can be skipped.
    let found = chapters(&whole.body);
    let titles: Vec<&str> = found.iter().map(|(_, title)| title.trim_end()).collect();
    let sponsor = "[SponsorBlock]: Sponsor";
    let expected =
        [sponsor, "One", sponsor, "One", sponsor, "Two", sponsor, "Two", sponsor, "Two", sponsor];
    assert_eq!(titles, expected, "{found:?}");
    // As static as any spliced file: within the header, the fragments, and the padding in them.
    let mut at = 0;
    for step in [100, 1500, 4000, 30_000, 70_001, 170_000, 400_000, whole.body.len()] {
        let end = (at + step).min(whole.body.len());
        daemon.assert_part(&path, &whole, at..end);
        at = end;
    }
    // Another file than with all of it, or with marks.
    let other = daemon.good(&download_path(&page, &[("sponsorblock", "mark")]));
    assert_ne!(other.head.header("ETag"), whole.head.header("ETag"));
    // A part of it, of the film as it was.
    let parameters = [("sponsorblock", "remove"), ("start", "10"), ("end", "30")];
    let part = daemon.good(&download_path(&page, &parameters));
    let (_directory, file) = saved(&part);
    assert_decodes(&file);
    let made = packets(&file, "v");
    // From the key frame before the start.
    assert_eq!((made.len(), made[0].pts), (25 * (10 + 4), 0));
}

#[test]
fn what_is_left_of_webm_is_what_was_there() {
    let (site, pair) = (Site::start(), webm());
    let daemon = daemon(&site, "");
    put_files(&site, [("248", &pair.video), ("251-1", &pair.audio)]);
    put_segments(&site, &segments());
    put_page(&site, &["248", "251-1"], &json!([{ "start_time": 50, "title": "End" }]));
    let (page, _) = read(&daemon, &site, "removed");
    let path = download_path(&page, &[("sponsorblock", "remove"), ("container", "webm")]);
    let whole = daemon.good(&path);
    assert_eq!(whole.engine(), "splice");
    let (_directory, file) = saved(&whole);
    assert_both_left(&pair, &file, 1);
    assert_decodes(&file);
    let duration = file_duration(&file).unwrap();
    assert!((duration - 44.0).abs() < 0.2, "{duration}");
    let found = chapters(&whole.body);
    let end = found.iter().find(|(_, title)| title == "End").unwrap().0;
    assert!((end - 36.0).abs() < 0.01, "{found:?}");
    let mut at = 0;
    for step in [300, 5000, 70_001, 400_000, whole.body.len()] {
        let end = (at + step).min(whole.body.len());
        daemon.assert_part(&path, &whole, at..end);
        at = end;
    }
    // It begins within what is left out, and so at the key frame behind that.
    let parameters =
        [("sponsorblock", "remove"), ("container", "webm"), ("start", "19"), ("end", "30")];
    let part = daemon.good(&download_path(&page, &parameters));
    let (_directory, file) = saved(&part);
    assert_decodes(&file);
    assert_eq!(packets(&file, "v").len(), 25 * 4);
    assert_eq!(packets(&file, "v")[0].pts, 0);
}

#[test]
fn audio_alone_loses_the_segments_themselves() {
    let (site, pair) = (Site::start(), film());
    let daemon = daemon(&site, "");
    put_film(&site, &pair);
    put_segments(&site, &segments());
    put_page(&site, &["137", "140-1"], &json!([]));
    let (page, _) = read(&daemon, &site, "audio");
    let path = download_path(&page, &[("sponsorblock", "remove"), ("container", "m4a")]);
    let whole = daemon.good(&path);
    assert_eq!(whole.engine(), "splice");
    let (_directory, file) = saved(&whole);
    let left = [3.0..5.0, 9.5..17.0, 26.5..30.5, 31.9..33.9, 36.1..57.0];
    let packets = [packets(&pair.audio, "a"), packets(&file, "a")];
    let count = left.iter().map(|times| times.end - times.start).sum::<f64>() * 1e9;
    let missing = count as i64 / FRAME - packets[1].len() as i64;
    assert!(missing.abs() <= 12, "{missing}");
    let known: std::collections::HashSet<_> = packets[0].iter().map(|packet| &packet.md5).collect();
    assert!(packets[1].iter().all(|packet| known.contains(&packet.md5)));
    assert_decodes(&file);
    daemon.assert_part(&path, &whole, 100_000..300_000);
}

#[test]
fn where_nothing_can_be_removed() {
    let (site, pair) = (Site::start(), film());
    let daemon = daemon(&site, "");
    put_film(&site, &pair);
    let page = |number: usize| read(&daemon, &site, &number.to_string()).0;
    put_page(&site, &["137", "140-1"], &json!([]));
    let remove = ("sponsorblock", "remove");
    // None, or only what is worth seeing: the file is as ever.
    put_segments(&site, &[segment(10.0, 10.0, "poi_highlight")]);
    let marked = daemon.good(&download_path(&page(1), &[("sponsorblock", "mark")]));
    let kept = daemon.good(&download_path(&page(1), &[remove]));
    assert!(marked.body == kept.body);
    // Shorter than from one key frame to the next.
    put_segments(&site, &[segment(10.5, 13.0, "sponsor")]);
    let kept = daemon.good(&download_path(&page(2), &[remove]));
    assert_eq!(kept.body.len(), marked.body.len() - "Highlight".len() + "Sponsor".len());
    assert_eq!(chapters(&kept.body).len(), 3);
    put_segments(&site, &segments());
    let refused = |number, parameters: &[(&str, &str)]| {
        let answer = daemon.get(&download_path(&page(number), &[&[remove], parameters].concat()));
        assert_eq!(
            (answer.head.status, &*answer.code()),
            (422, "splice-refused"),
            "{parameters:?}"
        );
        answer.text()
    };
    for parameters in [("container", "mp3"), ("container", "mkv"), ("engine", "ffmpeg")] {
        assert!(refused(3, &[parameters]).contains("cannot be removed"), "{parameters:?}");
    }
    assert!(refused(3, &[("start", "18.1"), ("end", "26")]).contains("left out"));
    put_segments(&site, &[segment(0.0, 60.0, "sponsor")]);
    assert!(refused(4, &[]).contains("nothing would be left"));
    // Files with one index of all samples.
    put_segments(&site, &segments());
    site.put_progressive();
    assert!(refused(5, &[]).contains("cannot be removed"));
}

/// A download is complete, or it fails visibly.
#[test]
fn what_is_not_as_expected_is_seen() {
    let (site, pair) = (Site::start(), film());
    let config = ytdlp::config(&[], &settings(&site.origin.url("")));
    let daemon = Daemon::start(&config.replace("[upstream]\n", "[upstream]\nretries = 0\n"));
    put_segments(&site, &segments());
    put_page(&site, &["137", "140-1"], &json!([]));
    let ask = |number: usize| {
        let (page, _) = read(&daemon, &site, &number.to_string());
        daemon.get(&download_path(&page, &[("sponsorblock", "remove")]))
    };
    // The fragment of audio that reaches over a removed interval cannot be made shorter.
    let mut audio = fs::read(&pair.audio).unwrap();
    let at = audio.windows(4).position(|four| four == b"trun").unwrap();
    audio[at + 8] ^= 0x01;
    put_film(&site, &pair);
    let media = Resource::bytes(audio).only_bounded_ranges().keep_alive().etag("\"3\"");
    site.origin.put(&format!("f/{FILM}/140-1"), media);
    let answer = ask(1);
    assert!(answer.head.status != 200 || answer.ending != Ending::Complete);
    // An upstream breaks off.
    put_film(&site, &pair);
    let cut = Resource::file(&pair.video).only_bounded_ranges().etag("\"4\"");
    let cut = cut.fault(Fault::CutAt(1_000_000));
    site.origin.put(&format!("f/{FILM}/137"), cut);
    let answer = ask(2);
    assert!(answer.head.status != 200 || answer.ending != Ending::Complete, "{:?}", answer.ending);
    // Without the segments all comes, as after an answer that was lost.
    put_film(&site, &pair);
    site.origin.put(super::PLACE, Resource::bytes("x"));
    let answer = ask(3);
    assert_eq!(answer.ending, Ending::Complete);
    let (_directory, file) = saved(&answer);
    assert_eq!(packets(&file, "v").len(), packets(&pair.video, "v").len());
}

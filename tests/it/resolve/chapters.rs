//! The chapters of a page, in files of all kinds, read back by ffprobe and mpv.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::mpv::Mpv;
use crate::support::ytdlp::{self, FILM, Site, WAYS, download_path, path_of, sizes};
use crate::support::{media, run};

/// What the page lists: out of order, with one that begins before the film and one behind its end.
fn listed() -> Value {
    json!([
        { "start_time": 4, "end_time": 7.5, "title": "Zwei: ä = „b“; #\\" },
        { "start_time": -3.0, "end_time": 4, "title": "One" },
        { "start_time": 7.5, "end_time": 60, "title": "Three" },
        { "start_time": 60, "end_time": 70, "title": "Behind" },
    ])
}

const TITLES: [&str; 3] = ["One", "Zwei: ä = „b“; #\\", "Three"];

fn put_page(site: &Site, formats: &[&str], chapters: &Value) {
    let formats = sizes(formats.iter().copied());
    site.put_page(FILM, &json!({ "formats": formats, "info": { "chapters": chapters } }));
}

/// The starts and titles of the chapters in a file, by ffprobe.
pub(super) fn chapters(file: &[u8]) -> Vec<(f64, String)> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("film");
    std::fs::write(&path, file).unwrap();
    let probe = run(Command::new("ffprobe")
        .args(["-v", "error", "-show_chapters", "-of", "json"])
        .arg(&path));
    assert!(probe.status.success() && probe.stderr.is_empty(), "{probe:?}");
    let probe: Value = serde_json::from_slice(&probe.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = probe["chapters"].as_array().unwrap().iter();
    list.map(|one| (text(&one["start_time"]).parse().unwrap(), text(&one["tags"]["title"])))
        .collect()
}

pub(super) fn assert_chapters(file: &[u8], starts: &[f64], titles: &[&str], what: &str) {
    let found = chapters(file);
    let found_titles: Vec<&str> = found.iter().map(|(_, title)| title.trim_end()).collect();
    assert_eq!(found_titles, titles, "{what}");
    for ((found, _), start) in found.iter().zip(starts) {
        assert!((found - start).abs() < 0.02, "{what}: {found} is not {start}");
    }
}

#[test]
fn each_kind_of_file_has_them() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    put_page(&site, &["137", "248", "140-1", "251-1"], &listed());
    let starts = [0.0, 4.0, 7.5];
    for (parameters, expected) in [
        (&[("container", "mp4")][..], "splice"),
        (&[("container", "webm")], "splice"),
        (&[("container", "mp4"), ("engine", "ffmpeg")], "ffmpeg"),
        (&[("container", "mkv")], "ffmpeg"),
        (&[("container", "webm"), ("engine", "ffmpeg")], "ffmpeg"),
        (&[("container", "m4a")], "splice"),
        (&[("container", "mp3")], "ffmpeg"),
        (&[("container", "opus")], "ffmpeg"),
        (&[("container", "flac")], "ffmpeg"),
    ] {
        let answer = daemon.good(&download_path(&site.page_url(FILM), parameters));
        assert_eq!(answer.engine(), expected, "{parameters:?}");
        assert_chapters(&answer.body, &starts, &TITLES, &format!("{parameters:?}"));
    }
}

#[test]
fn a_file_of_both_gets_them_without_ffmpeg() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    put_page(&site, &["18"], &listed());
    let answer = daemon.good(&download_path(&site.page_url(FILM), &[]));
    assert_eq!(answer.engine(), "splice");
    assert_chapters(&answer.body, &[0.0, 4.0, 7.5], &TITLES, "18");
    // What cannot be spliced stays as it is.
    put_page(&site, &["18"], &json!([]));
    let other = daemon.get(&download_path(&site.page_url(FILM), &[("start", "0")]));
    assert_eq!(other.head.status, 200);
}

#[test]
fn a_time_range_shifts_and_clips_them() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    site.put_progressive();
    put_page(&site, &["136", "137", "248", "140-1", "251-1"], &listed());
    let range = [("start", "3"), ("end", "6")];
    for parameters in [
        &[("container", "mp4"), ("quality", "720")][..],
        &[("container", "mp4"), ("quality", "1080")],
        &[("container", "webm")],
        &[("container", "mp4"), ("engine", "ffmpeg")],
        &[("container", "mkv")],
    ] {
        let path = download_path(&site.page_url(FILM), &[parameters, &range].concat());
        let answer = daemon.good(&path);
        let found = chapters(&answer.body);
        let titles: Vec<&str> = found.iter().map(|(_, title)| &title[..]).collect();
        assert!(titles.starts_with(&TITLES[..2]), "{parameters:?}: {titles:?}");
        assert_eq!(found[0].0, 0.0, "{parameters:?}");
        // The file begins at a key frame at or before 3 s.
        let second = found[1].0;
        assert!((0.9..=4.0).contains(&second), "{parameters:?}: {second}");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("film");
        std::fs::write(&file, &answer.body).unwrap();
        if parameters[0].1 == "mp4" && answer.engine() == "splice" {
            // Video and chapters are shifted alike: the end is a key frame, too.
            let begin = 4.0 - second;
            let key_frames = key_frames();
            let is_key = key_frames.iter().any(|frame| (frame - begin).abs() < 0.05);
            assert!(is_key, "{parameters:?}: {begin} is not in {key_frames:?}");
        }
    }
}

/// The times of the key frames of the films.
fn key_frames() -> Vec<f64> {
    let mut times = Vec::new();
    let [progressive, _] = ytdlp::progressive();
    for file in [&media::minute().video, &progressive] {
        let probe = run(Command::new("ffprobe")
            .args(["-v", "error", "-select_streams", "v", "-skip_frame", "nokey"])
            .args(["-show_entries", "frame=pts_time", "-of", "csv=p=0"])
            .arg(file));
        let lines = String::from_utf8(probe.stdout).unwrap();
        times.extend(
            lines.lines().filter_map(|line| line.trim_end_matches(',').parse::<f64>().ok()),
        );
    }
    times
}

#[test]
fn the_file_stays_static_and_players_show_them() {
    let daemon = ytdlp::daemon("");
    for (is_progressive, parameters) in [
        (false, [("container", "mp4"), ("quality", "1080")]),
        (true, [("container", "mp4"), ("quality", "1080")]),
        (false, [("container", "webm"), ("quality", "1080")]),
    ] {
        let site = Site::start();
        if is_progressive {
            site.put_progressive();
        }
        put_page(&site, &["136", "137", "248", "140-1", "251-1"], &listed());
        let parameters = &parameters[..];
        let path = download_path(&site.page_url(FILM), parameters);
        let whole = daemon.good(&path);
        let length = whole.head.header("Content-Length").unwrap().to_owned();
        assert_eq!(length, whole.body.len().to_string());
        let mut at = 0;
        // Within the header, the samples of the chapters and the media.
        for step in [100, 1000, 3000, 20_000, whole.body.len()] {
            let end = (at + step).min(whole.body.len());
            daemon.assert_part(&path, &whole, at..end);
            at = end;
        }
        let mut mpv = Mpv::start();
        mpv.open(&daemon.url(&path));
        let shown = mpv.get("chapter-list");
        let titles = shown.as_array().unwrap().iter().map(|one| one["title"].as_str());
        assert!(titles.eq(TITLES.map(Some)), "{is_progressive} {parameters:?}: {shown}");
        mpv.seek(8.0);
        assert_eq!(mpv.get("chapter"), 2, "{parameters:?}");
    }
}

#[test]
fn information_lists_them_in_either_way() {
    for way in WAYS {
        let (site, daemon) = (Site::start(), ytdlp::daemon(way));
        put_page(&site, &["137", "140-1"], &listed());
        let answer = daemon.get(&path_of("info", &site.page_url(FILM), &[]));
        let said: Value = serde_json::from_slice(&answer.body).unwrap();
        let expected = [0.0, 4.0, 7.5].iter().zip(TITLES);
        let expected: Vec<Value> =
            expected.map(|(start, title)| json!({ "start": start, "title": title })).collect();
        assert_eq!(said["chapters"], json!(expected), "{way}");
    }
}

/// Whatever a page claims, the film comes.
#[test]
fn absurd_chapters_cost_nothing_but_themselves() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    let many: Vec<Value> = (0..5000)
        .map(|at| json!({ "start_time": f64::from(at) / 100.0, "title": "x".repeat(3000) }))
        .collect();
    let odd = json!([
        { "start_time": -1e300, "end_time": -1e299 },
        { "start_time": 1e300, "end_time": 2e300 },
        { "start_time": 30, "end_time": 3, "title": "Backwards" },
        { "start_time": 5, "end_time": 6, "title": ["no text"] },
    ]);
    for (chapters, count) in [(json!(many), 255), (odd, 1)] {
        put_page(&site, &["137", "140-1"], &chapters);
        let page = format!("{}&again={count}", site.page_url(FILM));
        let answer = daemon.good(&download_path(&page, &[]));
        assert_eq!(self::chapters(&answer.body).len(), count);
    }
}

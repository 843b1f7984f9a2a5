//! DASH as ffmpeg makes it, through the real yt-dlp: by a template, a timeline or a list, of several periods, and
//! in WebM.

use serde_json::json;

use crate::support::answer::{Answer, Ending};
use crate::support::client::any_path;
use crate::support::framemd5::{Packet, frames, packets};
use crate::support::hls::{
    DASH, DASH_LISTED, DASH_NUMBERED, DASH_ONE_FILE, DASH_WEBM, live_source, source,
};
use crate::support::media;
use crate::support::resource::Resource;
use crate::support::segmented::SegmentedFilm;
use crate::support::synchrony::{
    H264_SLICES, assert_most_packets, assert_same_packets, both_tracks,
};
use crate::support::ytdlp::{self, Site, WAYS, download_path};

fn is_whole(answer: &Answer, is_exact: bool, what: &str) {
    let found = (answer.head.status, answer.ending);
    assert_eq!(found, (200, Ending::Complete), "{what}: {}", answer.text());
    assert_eq!(
        answer.head.header("Content-Length").is_some(),
        is_exact,
        "{what}: {:?}",
        answer.head
    );
}

fn file(answer: &Answer) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &answer.body).unwrap();
    file
}

fn has_duration(file: &std::path::Path, seconds: f64, what: &str) {
    let duration = media::file_duration(file).unwrap();
    assert!((duration - seconds).abs() < 0.3, "{what}: {duration} s");
}

#[test]
fn whatever_tells_the_segments_the_packets_are_the_same() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(WAYS[0]));
    let own = both_tracks(&source(), &H264_SLICES);
    let mut first: Option<Answer> = None;
    for (number, kind) in [DASH, DASH_NUMBERED, DASH_LISTED].into_iter().enumerate() {
        let (what, id) = (kind.name, number.to_string());
        SegmentedFilm::new(kind).put(&site.origin, &format!("f/{id}"));
        let info = json!({"title": "A film"});
        site.put_page(&id, &json!({"formats": {}, "manifests": ["dash.mpd"], "info": info}));
        let path = |more: &[(&str, &str)]| download_path(&site.page_url(&id), more);
        let whole = daemon.get(&path(&[]));
        is_whole(&whole, true, what);
        let whole_file = file(&whole);
        assert_most_packets(&own, &both_tracks(whole_file.path(), &H264_SLICES), what);
        has_duration(whole_file.path(), 30.0, what);
        let streamed = daemon.get(&path(&[("length", "none")]));
        is_whole(&streamed, false, what);
        let streamed = file(&streamed);
        assert_most_packets(&own, &both_tracks(streamed.path(), &H264_SLICES), what);
        has_duration(streamed.path(), 30.0, what);
        let part = daemon.get(&path(&[("start", "10.5"), ("end", "15")]));
        is_whole(&part, true, what);
        let part = file(&part);
        for made in [whole_file.path(), part.path()] {
            let [title, artist, _] = media::tags(made);
            assert_eq!((title, &*artist), ("A film".to_owned(), "Somebody"), "{what}");
        }
        let [pictures, shown] = [&source(), part.path()].map(|file| frames(file, "v"));
        let md5s = |frames: &[Packet]| -> Vec<String> {
            frames.iter().map(|frame| frame.md5.clone()).collect()
        };
        assert!(md5s(&shown) == md5s(&pictures[250..250 + shown.len()]), "{what}");
        assert!((125..=175).contains(&shown.len()), "{what}: {} frames", shown.len());
        // How the segments are told makes no difference.
        if kind.name == DASH_LISTED.name {
            assert!(first.is_some_and(|first| first.body == whole.body), "{what}");
            first = None;
        } else if kind.name == DASH.name {
            first = Some(whole);
        }
    }
}

/// yt-dlp does not read such a manifest, so that a site has to name the files.
#[test]
fn files_of_fragments_need_no_list() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(WAYS[0]));
    let own = both_tracks(&source(), &H264_SLICES);
    SegmentedFilm::new(DASH_ONE_FILE).put(&site.origin, "f/one");
    let url = |track: usize| site.origin.url(&format!("f/one/dash-stream{track}.mp4"));
    let (video, audio) = (url(0), url(1));
    let answer = daemon.get(&any_path(Some(&video), Some(&audio), &[]));
    is_whole(&answer, true, "one file");
    assert!(answer.head.header("Server-Timing").unwrap().contains("splice"), "{:?}", answer.head);
    assert_most_packets(&own, &both_tracks(file(&answer).path(), &H264_SLICES), "one file");
    site.put_page("one", &json!({"formats": {}, "manifests": ["dash.mpd"]}));
    let answer = daemon.get(&download_path(&site.page_url("one"), &[]));
    assert_eq!(answer.head.status, 502, "{}", answer.text());
}

/// The film twice: the second period has files and times of its own.
#[test]
fn periods_follow_one_another() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(WAYS[0]));
    for kind in [DASH, DASH_LISTED, DASH_NUMBERED] {
        let (what, id) = (kind.name, kind.name.replace([' ', ','], "-"));
        let film = SegmentedFilm::of(kind, &live_source());
        film.put(&site.origin, &format!("f/{id}/second"));
        film.put_with(&site.origin, &format!("f/{id}"), |name, resource| {
            if name != "dash.mpd" {
                return resource;
            }
            let text = String::from_utf8(resource.read()).unwrap();
            let (begin, end) = (text.find("<Period").unwrap(), text.find("</MPD>").unwrap());
            let period = &text[begin..end];
            // With a BaseURL of its own, yt-dlp takes it for another film.
            let second = period.replace(
                "id=\"0\" start=\"PT0.0S\"",
                "id=\"1\" start=\"PT10S\" duration=\"PT10S\"",
            );
            let second =
                second.replace("\"init-", "\"second/init-").replace("\"chunk-", "\"second/chunk-");
            let first = period.replace("start=\"PT0.0S\"", "start=\"PT0S\" duration=\"PT10S\"");
            assert_ne!(first, period);
            let duration = "mediaPresentationDuration=\"PT20.0S\"";
            let head = text[..begin].replace("mediaPresentationDuration=\"PT10.0S\"", duration);
            assert!(head.contains(duration), "{head}");
            Resource::bytes(format!("{head}{first}{second}</MPD>"))
        });
        site.put_page(&id, &json!({"formats": {}, "manifests": ["dash.mpd"]}));
        let pictures = frames(&live_source(), "v");
        for length in ["auto", "none"] {
            let what = format!("{what}, length={length}");
            let path = download_path(&site.page_url(&id), &[("length", length)]);
            let answer = daemon.get(&path);
            is_whole(&answer, length == "auto", &what);
            let file = file(&answer);
            let shown = frames(file.path(), "v");
            let expected = pictures.iter().chain(&pictures).map(|frame| &frame.md5);
            assert!(shown.iter().map(|frame| &frame.md5).eq(expected), "{what}");
            let is_in_order = shown.windows(2).all(|pair| pair[0].pts < pair[1].pts);
            assert!(is_in_order, "{what}");
            has_duration(file.path(), 20.0, &what);
            // Neither track has gone astray.
            let ends = [&shown, &packets(file.path(), "a")]
                .map(|packets| packets.iter().map(|packet| packet.pts).max().unwrap());
            assert!(ends[0].abs_diff(ends[1]) < 150_000_000, "{what}: {ends:?}");
        }
    }
}

/// Clusters behind what initialises them, joined by ffmpeg.
#[test]
fn segments_of_webm() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(WAYS[0]));
    let film = SegmentedFilm::of(DASH_WEBM, &webm_source());
    film.put(&site.origin, "f/webm");
    site.put_page("webm", &json!({"formats": {}, "manifests": ["dash.mpd"]}));
    // ffmpeg shifts the tracks against each other when it makes the segments.
    let own = [("v", 0), ("a", 1)].map(|(stream, number)| {
        let init = film.content(&format!("init-stream{number}.webm"));
        let segments = (1..).map(|segment| format!("chunk-stream{number}-{segment:05}.webm"));
        let segments = segments.take_while(|name| film.has(name));
        let all = segments.fold(init, |before, name| [before, film.content(&name)].concat());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), all).unwrap();
        packets(file.path(), stream)
    });
    for length in ["auto", "none"] {
        let answer = daemon.get(&download_path(&site.page_url("webm"), &[("length", length)]));
        is_whole(&answer, false, length);
        assert_eq!(answer.head.header("Content-Type"), Some("video/webm"), "{length}");
        let file = file(&answer);
        assert_same_packets(&own, &both_tracks(file.path(), &["-c", "copy"]), length);
        // Each is decoded.
        let counts = ["v", "a"].map(|stream| frames(file.path(), stream).len());
        assert_eq!(counts, own.each_ref().map(Vec::len), "{length}");
    }
}

fn webm_source() -> std::path::PathBuf {
    let webm = media::webm();
    let inputs = ["-i", webm.video.to_str().unwrap(), "-i", webm.audio.to_str().unwrap()];
    let words = [&inputs[..], &["-c", "copy"]].concat();
    media::generate(
        "webm-finished",
        "webm",
        &words.into_iter().map(String::from).collect::<Vec<_>>(),
    )
}

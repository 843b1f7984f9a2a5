//! DASH as ffmpeg makes it, through the real yt-dlp: by a template, a timeline or a list.

use serde_json::json;

use crate::support::answer::{Answer, Ending};
use crate::support::client::any_path;
use crate::support::framemd5::{Packet, frames};
use crate::support::hls::{DASH, DASH_LISTED, DASH_NUMBERED, DASH_ONE_FILE, source};
use crate::support::media;
use crate::support::segmented::SegmentedFilm;
use crate::support::synchrony::{H264_SLICES, assert_most_packets, both_tracks};
use crate::support::ytdlp::{self, Site, WAYS, download_path};

pub(super) fn is_whole(answer: &Answer, is_exact: bool, what: &str) {
    let found = (answer.head.status, answer.ending);
    assert_eq!(found, (200, Ending::Complete), "{what}: {}", answer.text());
    assert_eq!(
        answer.head.header("Content-Length").is_some(),
        is_exact,
        "{what}: {:?}",
        answer.head
    );
}

pub(super) fn file(answer: &Answer) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &answer.body).unwrap();
    file
}

pub(super) fn has_duration(file: &std::path::Path, seconds: f64, what: &str) {
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

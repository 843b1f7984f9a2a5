//! What Shaka Packager makes, directly (HLS) and behind page links, through the real yt-dlp: the packets of
//! the film that was packaged, on one clock.

use serde_json::json;

use super::*;
use crate::support::framemd5::Packet;
use crate::support::shaka::{DASH, HLS, OPEN, PROTECTED, Packaging};
use crate::support::synchrony::assert_same_packets;
use crate::support::ytdlp::{self, Site, WAYS, download_path};

/// Ten seconds, with B-frames.
fn source() -> std::path::PathBuf {
    crate::support::hls::live_source()
}

/// What is compared: the packets of video and of audio, and the frames of video.
type Contents = ([Vec<Packet>; 2], Vec<String>);

fn contents(file: &Path) -> Contents {
    (both_tracks(file, &H264_SLICES), frames(file, "v"))
}

/// Panics unless the answer is the film: whole, of the same packets and duration, without an error in a
/// decoder.
fn assert_is((own, own_frames): &Contents, answer: &Answer, what: &str) {
    assert_whole(answer, what);
    let length = answer.head.header("Content-Length").map(|length| length.parse().unwrap());
    assert_eq!(length, Some(answer.body.len()), "{what}: {:?}", answer.head);
    let directory = tempfile::tempdir().unwrap();
    let file = written(directory.path(), &answer.body);
    let (other, other_frames) = contents(&file);
    assert_same_packets(own, &other, what);
    assert_eq!(*own_frames, other_frames, "{what}");
    assert!(!frames(&file, "a").is_empty());
    let duration = media::file_duration(&file).unwrap();
    assert!((duration - 10.0).abs() < 0.15, "{what}: {duration} s");
}

/// A page that leads to the film.
fn page(site: &Site, packaging: Packaging, id: &str) -> String {
    let film = SegmentedFilm::packaged(packaging, &source());
    film.put(&site.origin, &format!("f/{id}"));
    site.put_page(id, &json!({"formats": {}, "manifests": [packaging.entry]}));
    download_path(&site.page_url(id), &[])
}

#[test]
fn packaged_films_have_their_packets() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(WAYS[0]));
    let film = contents(&source());
    for (number, packaging) in OPEN.into_iter().enumerate() {
        let what = packaging.name;
        let behind_page = daemon.get(&page(&site, packaging, &number.to_string()));
        assert_is(&film, &behind_page, what);
        if packaging.entry == HLS {
            let url = site.origin.url(&format!("f/{number}/{HLS}"));
            let direct = daemon.get(&any_path(Some(&url), None, &[]));
            assert_is(&film, &direct, what);
        }
    }
}

#[test]
fn protected_films_are_refused() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(WAYS[0]));
    for (number, packaging) in PROTECTED.into_iter().enumerate() {
        let paths = [
            Some(page(&site, packaging, &number.to_string())),
            (packaging.entry != DASH)
                .then(|| any_path(Some(&site.origin.url(&format!("f/{number}/{HLS}"))), None, &[])),
        ];
        for path in paths.into_iter().flatten() {
            let answer = daemon.get(&path);
            let found = (answer.head.status, answer.code());
            assert_eq!(found, (422, "drm".to_owned()), "{}: {}", packaging.name, answer.text());
        }
    }
}

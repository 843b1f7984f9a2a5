//! Live streams behind page links, by the real yt-dlp.

use serde_json::{Value, json};

use crate::support::answer::Ending;
use crate::support::hls::{LIVE, live_source};
use crate::support::live::{LiveList, chain, playlist, status};
use crate::support::resource::Resource;
use crate::support::segmented::SegmentedFilm;
use crate::support::ytdlp::{self, FILM, Site, WAYS, download_path, path_of};

const MASTER: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=600000,\
    CODECS=\"avc1.42c00d,mp4a.40.2\",RESOLUTION=320x180\nlist.m3u8\n";

/// A site whose film is live: its playlist is refused once while it is followed.
fn site(live_status: &str) -> Site {
    let site = Site::start();
    let place = format!("f/{FILM}");
    let film = SegmentedFilm::of(LIVE[1], &live_source());
    film.put(&site.origin, &place);
    let list = LiveList::of(&film, "list.m3u8");
    let state = |window| playlist(list.text(window));
    let states = vec![state((0, 5, false)), status(403), state((3, 10, true))];
    site.origin.put(&format!("{place}/list.m3u8"), chain(states));
    site.origin.put(&format!("{place}/hls.m3u8"), Resource::bytes(MASTER));
    let info =
        json!({"live_status": live_status, "release_timestamp": 1_777_660_200, "duration": null});
    let page = json!({"formats": {}, "manifests": ["hls.m3u8"], "info": info});
    site.put_page(FILM, &page);
    site
}

#[test]
fn a_live_page_is_told_and_followed_through_fresh_locations() {
    for way in WAYS {
        let (site, daemon) = (site("is_live"), ytdlp::daemon(way));
        let answer = daemon.get(&path_of("info", &site.page_url(FILM), &[]));
        let said: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((&said["live"], &said["duration"]), (&json!(true), &Value::Null), "{said}");
        let video = &said["videos"][0];
        assert_eq!((&video["segments"], &video["exact"]), (&json!(true), &json!(false)), "{said}");
        let answer = daemon.get(&download_path(&site.page_url(FILM), &[("start", "0")]));
        let ended = (answer.head.status, answer.ending);
        assert_eq!(ended, (200, Ending::Complete), "{}{}", answer.text(), daemon.log());
        assert_eq!(answer.head.header("Content-Length"), None);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &answer.body).unwrap();
        let [expected, found] =
            [&*live_source(), file.path()].map(|file| crate::support::framemd5::frames(file, "v"));
        let hashes = |packets: Vec<crate::support::framemd5::Packet>| -> Vec<String> {
            packets.into_iter().map(|packet| packet.md5).collect()
        };
        assert!(hashes(expected) == hashes(found), "{way}");
        assert_eq!(site.reads(FILM), 2, "the page leads to a fresh playlist");
    }
}

#[test]
fn what_has_not_begun_says_when_it_begins() {
    let (site, daemon) = (site("is_upcoming"), ytdlp::daemon(""));
    let answer = daemon.get(&download_path(&site.page_url(FILM), &[]));
    assert_eq!((answer.head.status, answer.code().as_str()), (503, "not-yet"));
    assert!(answer.text().contains("2026-05-01 18:30 UTC"), "{}", answer.text());
}

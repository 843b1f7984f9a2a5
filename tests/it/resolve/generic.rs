//! Pages and files that nobody wrote an extractor for: refused, unless the operator says otherwise.

use std::path::Path;
use std::process::Command;

use crate::support::answer::Ending;
use crate::support::daemon::Daemon;
use crate::support::framemd5::{Exactness, assert_same, packets};
use crate::support::origin::Origin;
use crate::support::resource::Resource;
use crate::support::ytdlp::{self, WAYS, download_path, path_of};
use crate::support::{media, run};

const GENERIC: &str = "extractors = [\"default\"]\n";

/// A page with a film in it, a film alone, and one whose manifest names two files.
fn put_plain_things(origin: &Origin) -> [String; 3] {
    let pair = media::minute();
    let file = |file: &Path| Resource::file(file).ranges().keep_alive().etag("\"1\"");
    let film = origin.put("film.mp4", file(media::finished()));
    origin.put("v.mp4", file(&pair.video));
    origin.put("a.mp4", file(&pair.audio));
    let page = "<!doctype html><html><head><title>My holidays</title></head>\
                <body><video src='film.mp4' controls></video></body></html>";
    let manifest = r#"<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"
 type="static" mediaPresentationDuration="PT60S"><Period>
<AdaptationSet mimeType="video/mp4"><Representation id="v" bandwidth="600000" codecs="avc1.64000d"
 width="320" height="180" frameRate="25"><BaseURL>v.mp4</BaseURL><SegmentBase indexRange="700-800"/>
</Representation></AdaptationSet>
<AdaptationSet mimeType="audio/mp4" lang="en"><Representation id="a" bandwidth="96000"
 codecs="mp4a.40.2"><BaseURL>a.mp4</BaseURL><SegmentBase indexRange="700-800"/></Representation>
</AdaptationSet></Period></MPD>"#;
    let page = origin.put("page.html", Resource::bytes(page));
    let manifest = origin.put("film.mpd", Resource::bytes(manifest));
    [page, film, manifest]
}

#[test]
fn with_the_generic_extractor_they_are_films() {
    let origin = Origin::start();
    let daemon = ytdlp::daemon(GENERIC);
    let [page, film, manifest] = put_plain_things(&origin);
    let whole = std::fs::read(media::finished()).unwrap();
    for page_url in [&page, &film] {
        let answer = daemon.get(&download_path(page_url, &[]));
        assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{page_url}");
        assert!(answer.body == whole, "{page_url}: the bytes differ");
    }
    let name = |page_url: &str| {
        let answer = daemon.get(&path_of("info", page_url, &[]));
        let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        said["title"].as_str().unwrap().to_owned()
    };
    assert!(name(&page).starts_with("My holidays"), "{}", name(&page));
    assert_eq!(name(&film), "film");
    let answer = daemon.get(&download_path(&manifest, &[("engine", "splice")]));
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.text());
    let directory = tempfile::tempdir().unwrap();
    let joined = directory.path().join("film");
    std::fs::write(&joined, answer.body).unwrap();
    let pair = media::minute();
    for (stream, source) in [("v", &pair.video), ("a", &pair.audio)] {
        assert_same(&packets(source, stream), &packets(&joined, stream), Exactness::Every, stream);
    }
}

#[test]
fn without_it_they_are_refused_and_not_even_looked_at() {
    let origin = Origin::start();
    let links = put_plain_things(&origin);
    for way in WAYS {
        let daemon = ytdlp::daemon(&[way, ytdlp::DEFAULT_EXTRACTORS].concat());
        for page_url in &links {
            let answer = daemon.get(&download_path(page_url, &[]));
            let found = (answer.head.status, answer.code());
            assert_eq!(found, (400, "unsupported-link".into()), "{page_url}: {}", answer.text());
        }
    }
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn a_playlist_is_on_offer() {
    let origin = Origin::start();
    let daemon = Daemon::start(&ytdlp::config(&[], GENERIC));
    let directory = tempfile::tempdir().unwrap();
    let segment = directory.path().join("0.ts");
    let made = run(Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(media::finished())
        .args(["-t", "2", "-c", "copy"])
        .arg(&segment));
    assert!(made.status.success());
    origin.put("0.ts", Resource::file(&segment));
    let list = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n0.ts\n#EXT-X-ENDLIST\n";
    let page_url = origin.put("film.m3u8", Resource::bytes(list));
    let answer = daemon.get(&path_of("info", &page_url, &[]));
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(said["videos"][0]["segments"], true, "{said:#}");
}

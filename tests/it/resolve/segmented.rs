//! Pages whose media come in segments, as the real yt-dlp tells of them.

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::process_snapshot::memory;
use crate::support::resource::Resource;
use crate::support::ytdlp::{self, FILM, Site, WAYS, download_path, path_of, sizes};

const MASTER: &str = r#"#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,URI="en.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1500000,CODECS="avc1.4d401f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=25,AUDIO="a"
720.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3000000,CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1920x1080,FRAME-RATE=25,AUDIO="a"
1080.m3u8
"#;

/// A manifest of so many videos and one audio, each in segments of two seconds; `query` is that of each
/// segment.
fn manifest(heights: &[u32], segments: usize, query: &str) -> String {
    let repeat = segments - 1;
    let template = |id: &str| {
        format!(
            r#"<SegmentTemplate timescale="1000" initialization="{id}/init.mp4{query}"
            media="{id}/$Number$.m4s{query}" startNumber="1">
            <SegmentTimeline><S t="0" d="2000" r="{repeat}"/></SegmentTimeline></SegmentTemplate>"#
        )
    };
    let videos: String = heights
        .iter()
        .map(|height| {
            let (id, width) = (format!("v{height}"), height * 16 / 9);
            let template = template(&id);
            format!(
                r#"<Representation id="{id}" codecs="avc1.4d401f" mimeType="video/mp4" width="{width}"
                height="{height}" frameRate="25" bandwidth="{height}000">{template}</Representation>"#
            )
        })
        .collect();
    let audio = template("a");
    format!(
        r#"<?xml version="1.0"?>
        <MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT{}S">
        <Period><AdaptationSet contentType="video">{videos}</AdaptationSet>
        <AdaptationSet contentType="audio" lang="en"><Representation id="a" codecs="mp4a.40.2"
        mimeType="audio/mp4" audioSamplingRate="48000" bandwidth="96000">{audio}</Representation>
        </AdaptationSet></Period></MPD>"#,
        2 * segments
    )
}

/// A site whose film has these manifests, and these formats beside them.
fn site(manifests: &[(&str, String)], formats: &Value) -> Site {
    let site = Site::start();
    for (name, text) in manifests {
        site.origin.put(&format!("f/{FILM}/{name}"), Resource::bytes(text.clone()));
    }
    let names: Vec<&str> = manifests.iter().map(|(name, _)| *name).collect();
    site.put_page(FILM, &json!({"formats": formats, "manifests": names}));
    site
}

fn info(daemon: &Daemon, site: &Site) -> Value {
    let answer = daemon.get(&path_of("info", &site.page_url(FILM), &[]));
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// Quality, container, whether it is in segments, and whether its size is exact, of each row.
fn rows(said: &Value, kind: &str) -> Vec<(String, String, bool, bool)> {
    let row = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
        let is = |name: &str| row[name].as_bool().unwrap();
        (text("quality"), text("container"), is("segments"), is("exact"))
    };
    said[kind].as_array().unwrap().iter().map(row).collect()
}

fn row(
    quality: &str,
    container: &str,
    segments: bool,
    exact: bool,
) -> (String, String, bool, bool) {
    (quality.to_owned(), container.to_owned(), segments, exact)
}

#[test]
fn playlists_of_hls() {
    for way in WAYS {
        let site = site(&[("hls.m3u8", MASTER.into())], &json!({}));
        let said = info(&ytdlp::daemon(way), &site);
        let videos = rows(&said, "videos");
        assert_eq!(videos, [row("1080", "mp4", true, false), row("720", "mp4", true, false)]);
        let best = &said["videos"][0];
        assert_eq!((&best["video_codec"], &best["fps"]), (&json!("h264"), &json!(25)));
        // yt-dlp estimates it by the bit rate.
        assert_eq!(said["videos"][1]["height"], 720);
        assert_eq!(rows(&said, "audios")[0], row("-", "m4a", true, false));
    }
}

#[test]
fn segments_of_dash() {
    for way in WAYS {
        let mpd = manifest(&[360, 1080], 30, "");
        let site = site(&[("dash.mpd", mpd)], &json!({}));
        let said = info(&ytdlp::daemon(way), &site);
        let videos = rows(&said, "videos");
        assert_eq!(videos, [row("1080", "mp4", true, false), row("360", "mp4", true, false)]);
        assert_eq!(said["videos"][0]["audio_codec"], "aac");
        assert_eq!(rows(&said, "audios")[0], row("-", "m4a", true, false));
    }
}

#[test]
fn files_are_preferred_where_they_are_as_good() {
    let mpd = manifest(&[360, 2160], 30, "");
    let manifests = [("hls.m3u8", MASTER.to_owned()), ("dash.mpd", mpd)];
    let site = site(&manifests, &sizes(["134", "136", "140-1", "251-1"]));
    let said = info(&ytdlp::daemon(""), &site);
    assert_eq!(
        rows(&said, "videos"),
        [
            row("2160", "mp4", true, false),
            row("1080", "mp4", true, false),
            row("720", "mp4", false, false),
            row("360", "mp4", false, false),
        ]
    );
    let audios = rows(&said, "audios");
    assert!(audios.iter().all(|(_, _, segments, _)| !segments), "{audios:?}");
    assert_eq!(audios[0], row("-", "m4a", false, true));
}

#[test]
fn what_is_not_supported_is_named() {
    let daemon = ytdlp::daemon("");
    let answer = |formats: Value| {
        let site = site(&[], &formats);
        let answer = daemon.get(&download_path(&site.page_url(FILM), &[]));
        (answer.head.status, answer.code(), answer.text())
    };
    let (status, code, text) = answer(json!({
        "a": {"protocol": "ism", "ext": "ismv"}, "b": {"protocol": "f4m", "ext": "flv"},
    }));
    assert_eq!((status, code.as_str()), (422, "no-format"), "{text}");
    assert!(text.contains("ways that are not supported: "), "{text}");
    assert!(text.contains("ism") && text.contains("f4m"), "{text}");
    let protected = json!({"protocol": "m3u8_native", "ext": "mp4", "has_drm": true});
    let (status, code, text) = answer(json!({"a": protected}));
    assert_eq!((status, code.as_str()), (422, "drm"), "{text}");
    // yt-dlp finds out by reading the first segment.
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1.ts\n#EXT-X-ENDLIST\n";
    let maybe = json!({"a": {"protocol": "m3u8_native", "ext": "mp4", "has_drm": "maybe"}});
    let site = site(&[("a", playlist.into()), ("1.ts", "x".into())], &maybe);
    site.put_page(FILM, &json!({ "formats": maybe }));
    assert_eq!(rows(&info(&daemon, &site), "videos"), [row("best", "mp4", true, false)]);
}

/// Twenty formats of eight thousand segments are 130 MB in the words of yt-dlp.
#[test]
fn a_page_of_very_many_segments() {
    let heights: Vec<u32> = (1..20).map(|step| step * 108).collect();
    let query = format!("?token={}", "x".repeat(700));
    let mpd = || [("dash.mpd", manifest(&heights, 8000, &query))];
    let (site, daemon) = (site(&mpd(), &json!({})), ytdlp::daemon(WAYS[0]));
    let said = info(&daemon, &site);
    assert_eq!(said["videos"].as_array().unwrap().len(), heights.len());
    let peak = memory(daemon.pid(), "VmHWM") >> 20;
    assert!(peak < 100, "{peak} MiB");
    // It is small enough to be kept.
    info(&daemon, &site);
    assert_eq!(site.reads(FILM), 1);
}

/// As a command yt-dlp prints all of them.
#[test]
fn a_page_of_more_segments_than_a_command_may_print() {
    let heights: Vec<u32> = (1..20).map(|step| step * 108).collect();
    let query = format!("?token={}", "x".repeat(700));
    let site = site(&[("dash.mpd", manifest(&heights, 1500, &query))], &json!({}));
    info(&ytdlp::daemon(WAYS[0]), &site);
    let daemon = ytdlp::daemon(WAYS[1]);
    let answer = daemon.get(&path_of("info", &site.page_url(FILM), &[]));
    assert_eq!((answer.head.status, answer.code()), (500, "resolver-failed".into()));
    assert!(answer.text().contains("resolver.fork_server"), "{}", answer.text());
    let peak = memory(daemon.pid(), "VmHWM") >> 20;
    assert!(peak < 100, "{peak} MiB");
}

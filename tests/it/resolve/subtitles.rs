//! The subtitles of a page, in files of all kinds and alone, read back by ffprobe, ffmpeg and mpv; and what is wrong with
//! them.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::client::ask;
use crate::support::framemd5::{Exactness, assert_same, packets};
use crate::support::mpv::Mpv;
use crate::support::resource::{Fault, Resource};
use crate::support::ytdlp::{self, FILM, Site, WAYS, download_path, file, path_of, sizes};
use crate::support::{PATIENCE, eventually, run};

const VTT: &str = "WEBVTT\n\n00:01.000 --> 00:03.500 align:start\nGuten <i>Tag</i> &amp; Hallo\n\n\
                   00:05.000 --> 00:08.000\nZwei\nZeilen\n\n00:09.000 --> 00:09.500\nÄnde\n";
const SRT: &str = "1\n00:00:01,000 --> 00:00:03,500\nGood <i>day</i>\n\n2\n00:00:05,000 --> 00:00:08,000\nTwo\nlines\n\n\
                   3\n00:00:09,000 --> 00:00:09,500\nEnd\n";
const TTML: &str = "<?xml version='1.0'?><tt xmlns='http://www.w3.org/ns/ttml'><body><div>\
                    <p begin='1s' end='3.5s'>Bonjour</p><p begin='00:00:05' end='00:00:08'>Deux<br/>lignes</p>\
                    <p begin='9s' dur='500ms'>Fin</p></div></body></tt>";

/// Puts a page with subtitles in three languages and formats, and automatic captions in two others.
fn put_page(site: &Site, formats: &[&str]) {
    for (name, text) in [("de.vtt", VTT), ("en.srt", SRT), ("fr.ttml", TTML)] {
        site.origin.put(&format!("s/{FILM}/{name}"), Resource::bytes(text));
    }
    let at = |name: &str| site.origin.url(&format!("s/{FILM}/{name}"));
    let auto =
        |tag: &str| json!([{ "ext": "vtt", "url": at("de.vtt"), "name": format!("{tag} (auto)") }]);
    let info = json!({
        "subtitles": {
            "de": [{ "ext": "json3", "url": at("none") }, { "ext": "vtt", "url": at("de.vtt"), "name": "Deutsch" }],
            "en": [{ "ext": "srt", "url": at("en.srt") }],
            "fr-CA": [{ "ext": "ttml", "url": at("fr.ttml") }],
            "live_chat": [{ "ext": "json", "url": at("chat") }],
            "hls": [{ "ext": "vtt", "url": at("list.m3u8"), "protocol": "m3u8_native" }],
        },
        "automatic_captions": { "en-orig": auto("en"), "en": auto("en"), "es": auto("es"), "de": auto("de") },
    });
    let formats = sizes(formats.iter().copied());
    site.put_page(FILM, &json!({ "formats": formats, "info": info }));
}

const ALL: [&str; 5] = ["136", "137", "248", "140-1", "251-1"];

fn saved(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

/// The languages of the subtitles in a file, by ffprobe.
fn languages(file: &Path) -> Vec<String> {
    let probe = run(Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "s", "-show_streams", "-of", "json"])
        .arg(file));
    assert!(probe.status.success() && probe.stderr.is_empty(), "{probe:?}");
    let probe: Value = serde_json::from_slice(&probe.stdout).unwrap();
    let streams = probe["streams"].as_array().unwrap().iter();
    let tags = streams.map(|one| one["tags"]["language"].as_str().unwrap_or_default().to_owned());
    tags.collect()
}

/// The cues of a track of subtitles, as ffmpeg makes SRT of them.
fn cues(file: &Path, track: usize) -> Vec<(String, String)> {
    let made = run(Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-copyts", "-i"])
        .arg(file)
        .args(["-map", &format!("0:s:{track}"), "-f", "srt", "-"]));
    assert!(made.status.success() && made.stderr.is_empty(), "{made:?}");
    let text = String::from_utf8(made.stdout).unwrap().replace("\r\n", "\n");
    // Those that ffmpeg makes of the styles of MP4.
    let text = text.replace("<font face=\"Sans-Serif\">", "").replace("</font>", "");
    let blocks = text.trim().split("\n\n").filter(|block| !block.is_empty());
    let cue = |block: &str| {
        let mut lines = block.lines().skip(1);
        let times = lines.next().unwrap().to_owned();
        (times, lines.collect::<Vec<_>>().join("\n"))
    };
    blocks.map(cue).collect()
}

fn text_of(cues: &[(String, String)]) -> Vec<&str> {
    cues.iter().map(|(_, text)| &text[..]).collect()
}

const GERMAN: [(&str, &str); 3] = [
    ("00:00:01,000 --> 00:00:03,500", "Guten <i>Tag</i> & Hallo"),
    ("00:00:05,000 --> 00:00:08,000", "Zwei\nZeilen"),
    ("00:00:09,000 --> 00:00:09,500", "Ände"),
];

#[test]
fn each_kind_of_file_has_them() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    put_page(&site, &ALL);
    let codes = [["deu", "eng", "fra"], ["ger", "eng", "fre"]];
    for (parameters, expected, codes) in [
        (&[("container", "mp4")][..], "splice", codes[0]),
        (&[("container", "webm")], "splice", codes[1]),
        (&[("container", "mp4"), ("engine", "ffmpeg")], "ffmpeg", codes[0]),
        (&[("container", "mkv")], "ffmpeg", codes[1]),
        (&[("container", "webm"), ("engine", "ffmpeg")], "ffmpeg", codes[1]),
        (&[("container", "m4a")], "splice", codes[0]),
    ] {
        let path = [parameters, &[("subs", "de,en,fr")]].concat();
        let answer = daemon.good(&download_path(&site.page_url(FILM), &path));
        assert_eq!(answer.engine(), expected, "{parameters:?}");
        let film = saved(&answer.body);
        assert_eq!(languages(film.path()), codes, "{parameters:?}");
        let german = cues(film.path(), 0);
        let expected = GERMAN.map(|(times, text)| (times.to_owned(), text.to_owned()));
        if parameters.len() == 2 && parameters[0].1 == "mp4" {
            // ffmpeg puts them into fragments, and up to 7.0 it does not find their ends there.
            assert_eq!(text_of(&german), text_of(&expected), "{parameters:?}");
        } else {
            assert_eq!(german, expected, "{parameters:?}");
        }
        assert_eq!(text_of(&cues(film.path(), 1))[1..], ["Two\nlines", "End"], "{parameters:?}");
        assert_eq!(
            text_of(&cues(film.path(), 2)),
            ["Bonjour", "Deux\nlignes", "Fin"],
            "{parameters:?}"
        );
        // The media is that without them.
        let (video, audio) =
            if parameters[0].1 == "webm" { ("248", "251-1") } else { ("137", "140-1") };
        for (stream, format) in [("v", video), ("a", audio)] {
            if parameters[0].1 != "m4a" || stream == "a" {
                let what = format!("{parameters:?}: {stream}");
                let (source, made) = (packets(file(format), stream), packets(film.path(), stream));
                assert_same(&source, &made, Exactness::Millisecond, &what);
            }
        }
    }
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
        put_page(&site, &ALL);
        let parameters = &parameters[..];
        let path = [parameters, &[("subs", "de,en")]].concat();
        let path = download_path(&site.page_url(FILM), &path);
        let whole = daemon.good(&path);
        assert_eq!(whole.engine(), "splice");
        let etag = whole.head.header("ETag").unwrap();
        let plain = daemon.good(&download_path(&site.page_url(FILM), parameters));
        assert_ne!(plain.head.header("ETag").unwrap(), etag);
        let film = saved(&whole.body);
        assert_eq!(text_of(&cues(film.path(), 0)), GERMAN.map(|(_, text)| text), "{parameters:?}");
        let len = whole.body.len();
        // Across all borders between subtitles and media.
        for at in (0..len).step_by(len / 40).chain([len - 1]) {
            let end = (at + 1 + len / 40).min(len);
            daemon.assert_part(&path, &whole, at..end);
        }
        let mut mpv = Mpv::start();
        mpv.open(&daemon.url(&path));
        mpv.set("pause", &json!(true));
        let tracks = mpv.get("track-list");
        let tracks: Vec<&str> = tracks
            .as_array()
            .unwrap()
            .iter()
            .filter(|track| track["type"] == "sub")
            .filter_map(|track| track["lang"].as_str())
            .collect();
        assert_eq!(tracks.len(), 2, "{parameters:?}: {tracks:?}");
        mpv.set("sid", &json!(1));
        mpv.seek(5.5);
        shows(&mut mpv, "Zwei\nZeilen");
    }
}

fn shows(mpv: &mut Mpv, text: &str) {
    eventually(text, PATIENCE, || (mpv.get("sub-text") == text).then_some(()));
}

#[test]
fn a_time_range_shifts_and_cuts_them() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    site.put_progressive();
    put_page(&site, &ALL);
    for parameters in [
        &[("container", "mp4"), ("quality", "720")][..],
        &[("container", "mp4"), ("quality", "1080")],
        &[("container", "webm")],
        &[("container", "mp4"), ("engine", "ffmpeg")],
        &[("container", "mkv")],
    ] {
        let path = [parameters, &[("subs", "de"), ("start", "4"), ("end", "7")]].concat();
        let answer = daemon.good(&download_path(&site.page_url(FILM), &path));
        let film = saved(&answer.body);
        let german = cues(film.path(), 0);
        assert!(text_of(&german).contains(&"Zwei\nZeilen"), "{parameters:?}: {german:?}");
        // It appears a second after the start, or later where the file begins at an earlier key frame.
        let cue = german.iter().find(|(_, text)| text.starts_with("Zwei")).unwrap();
        let start = &cue.0[..12];
        assert!(("00:00:00,900".."00:00:05,100").contains(&start), "{parameters:?}: {start}");
    }
}

#[test]
fn subtitles_alone() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    put_page(&site, &ALL);
    let page = site.page_url(FILM);
    let vtt = daemon.good(&download_path(&page, &[("subs", "only,de")]));
    assert_eq!(vtt.head.header("Content-Type"), Some("text/vtt; charset=utf-8"));
    assert_eq!(vtt.head.header("Content-Length").unwrap(), vtt.body.len().to_string());
    assert!(vtt.head.header("Content-Disposition").unwrap().contains(".vtt"));
    let text = "WEBVTT\n\n00:00:01.000 --> 00:00:03.500\nGuten <i>Tag</i> &amp; Hallo\n\n\
                00:00:05.000 --> 00:00:08.000\nZwei\nZeilen\n\n00:00:09.000 --> 00:00:09.500\nÄnde\n";
    assert_eq!(vtt.text(), text);
    let range = format!("Range: bytes=10-19\r\nIf-Range: {}\r\n", vtt.head.header("ETag").unwrap());
    let part = ask(daemon.address(), "GET", &download_path(&page, &[("subs", "only,de")]), &range);
    assert_eq!((part.head.status, &part.body[..]), (206, &vtt.body[10..20]));
    // The original language, where none is named.
    let srt = daemon.good(&download_path(&page, &[("container", "srt")]));
    assert!(
        srt.text().starts_with("1\n00:00:01,000 --> 00:00:03,500\nGood <i>day</i>\n\n2\n"),
        "{}",
        srt.text()
    );
    let part = daemon.good(&download_path(
        &page,
        &[("container", "vtt"), ("subs", "fr"), ("start", "6"), ("end", "9")],
    ));
    assert_eq!(part.text(), "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nDeux\nlignes\n");
    assert!(site.formats_asked(FILM).is_empty(), "no media is fetched");
}

#[test]
fn automatic_captions_come_only_if_requested() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    put_page(&site, &["136", "140-1"]);
    let page = site.page_url(FILM);
    let refused = daemon.get(&download_path(&page, &[("subs", "es")]));
    assert_eq!(
        (refused.head.status, &*refused.code()),
        (422, "no-subtitles"),
        "{}",
        refused.text()
    );
    let detail = refused.problem()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("es") && detail.contains("de, en, fr-CA"), "{detail}");
    let of = |parameters: &[(&str, &str)]| {
        let answer = daemon.good(&download_path(&page, parameters));
        languages(saved(&answer.body).path())
    };
    assert_eq!(of(&[("subs", "es,de"), ("captions", "auto")]), ["spa", "deu"]);
    assert_eq!(of(&[("subs", "all")]), ["deu", "eng", "fra"]);
    // Those of the speech are there already.
    assert_eq!(of(&[("subs", "all"), ("captions", "auto")]), ["deu", "eng", "fra"]);
    assert_eq!(of(&[]), [""; 0]);
}

#[test]
fn information_lists_them_in_either_way() {
    for way in WAYS {
        let (site, daemon) = (Site::start(), ytdlp::daemon(way));
        put_page(&site, &["137", "140-1"]);
        let answer = daemon.get(&path_of("info", &site.page_url(FILM), &[]));
        let said: Value = serde_json::from_slice(&answer.body).unwrap();
        let list = said["subtitles"].as_array().unwrap();
        let brief: Vec<_> = list
            .iter()
            .map(|one| (one["language"].as_str().unwrap(), one["automatic"] == true))
            .collect();
        let manual = [("de", false), ("en", false), ("fr-CA", false)];
        assert_eq!(
            brief,
            [&manual[..], &[("de", true), ("en", true), ("en-orig", true), ("es", true)]].concat(),
            "{way}"
        );
        assert_eq!(list[0]["name"], "Deutsch");
        for one in [&list[0], &list[6]] {
            let answer = daemon.good(one["download"].as_str().unwrap());
            assert!(answer.text().starts_with("WEBVTT"), "{way}");
        }
    }
}

/// Nobody gets a film that lacks what was requested.
#[test]
fn what_is_wrong_is_said_before_the_first_byte() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    put_page(&site, &["136", "140-1"]);
    for (number, (resource, code)) in [
        (Resource::bytes("<html>no subtitles</html>"), "subtitles-failed"),
        (Resource::bytes("WEBVTT\n\n00:01.000 --> 0x\ncut"), "subtitles-failed"),
        (Resource::bytes("x".repeat(5 << 20)), "subtitles-failed"),
        (Resource::bytes(VTT).fault(Fault::CutAt(30)), "subtitles-failed"),
        (Resource::bytes(VTT).fault(Fault::Status(404, Vec::new())), "subtitles-failed"),
        (Resource::bytes(VTT).fault(Fault::Status(403, Vec::new())), "subtitles-failed"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("s/{FILM}/bad-{number}");
        site.origin.put(&name, resource);
        let info =
            json!({ "subtitles": { "pt-BR": [{ "ext": "vtt", "url": site.origin.url(&name) }] } });
        site.put_page(FILM, &json!({ "formats": sizes(["136", "140-1"]), "info": info }));
        let page = format!("{}&again={number}", site.page_url(FILM));
        for parameters in [&[("subs", "pt")][..], &[("subs", "all")], &[("subs", "only")]] {
            let refused = daemon.get(&download_path(&page, parameters));
            assert_eq!(
                (refused.head.status, &*refused.code()),
                (502, code),
                "{number}: {}",
                refused.text()
            );
            let detail = refused.problem()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("pt-BR"), "{detail}");
        }
    }
    for (number, url) in
        ["http://10.0.0.1/a.vtt", "http://169.254.169.254/latest"].iter().enumerate()
    {
        let info = json!({ "subtitles": { "en": [{ "ext": "vtt", "url": url }] } });
        site.put_page(FILM, &json!({ "formats": sizes(["136", "140-1"]), "info": info }));
        let page = format!("{}&inner={number}", site.page_url(FILM));
        let refused = daemon.get(&download_path(&page, &[("subs", "all")]));
        assert_eq!(
            (refused.head.status, &*refused.code()),
            (403, "address-refused"),
            "{}",
            refused.text()
        );
    }
    for wrong in [
        "subs=x_y",
        "captions=auto",
        "captions=1&subs=de",
        "subs=de,en&container=vtt",
        "subs=de&container=mp3",
    ] {
        let path = format!("{}&{wrong}", download_path(&site.page_url(FILM), &[]));
        assert_eq!(daemon.get(&path).code(), "bad-parameter", "{wrong}");
    }
}

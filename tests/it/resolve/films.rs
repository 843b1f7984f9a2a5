//! From a link to a file: what is chosen, and that its packets are those of the site's files.

use serde_json::json;

use crate::support::client::ask;
use crate::support::daemon::{Daemon, Setup};
use crate::support::framemd5::{Exactness, assert_same, packets};
use crate::support::names::Names;
use crate::support::resource::Resource;
use crate::support::ytdlp::{
    self, DEFAULT_EXTRACTORS, FILM, Site, WAYS, download_path, file, sizes,
};

/// Makes sure that a file has these tracks, and that each is packet by packet that of its format.
fn assert_is_of(film: &[u8], video: Option<&str>, audio: Option<&str>, what: &str) {
    let directory = tempfile::tempdir().unwrap();
    let joined = directory.path().join("film");
    std::fs::write(&joined, film).unwrap();
    for (stream, format) in [("v", video), ("a", audio)] {
        let Some(format) = format else { continue };
        let what = format!("{what}: {stream} of {format}");
        assert_same(
            &packets(file(format), stream),
            &packets(&joined, stream),
            Exactness::Millisecond,
            &what,
        );
    }
}

#[test]
fn a_link_becomes_a_film_in_either_way() {
    for way in WAYS {
        let (site, daemon) = (Site::start(), ytdlp::daemon(&[way, DEFAULT_EXTRACTORS].concat()));
        let path =
            download_path(&site.page_url(FILM), &[("quality", "1080"), ("engine", "splice")]);
        let answer = daemon.good(&path);
        let head = &answer.head;
        assert_eq!(head.header("Content-Type"), Some("video/mp4"));
        let length = answer.body.len().to_string();
        assert_eq!(head.header("Content-Length"), Some(length.as_str()));
        let named = head.header("Content-Disposition").unwrap();
        assert!(named.starts_with("attachment") && named.contains("A film"), "{named}");
        assert!(head.header("ETag").is_some() && head.header("Accept-Ranges").is_some());
        let chosen = site.formats_asked(FILM);
        assert_eq!(chosen, ["140-1", "299"], "{way}");
        assert_is_of(&answer.body, Some("299"), Some("140-1"), way);
        assert_eq!(site.reads(FILM), 1, "{way}");
    }
}

/// What people ask for, the formats that they get, and in what.
#[test]
fn the_choice_is_the_one_that_a_person_would_make() {
    type Wish<'a> = &'a [(&'a str, &'a str)];
    const MP4: &str = "video/mp4";
    const WEBM: &str = "video/webm";
    let table: [(Wish<'_>, Option<&str>, Option<&str>, &str); 18] = [
        // Above 1080p there is no H.264.
        (&[], Some("401"), Some("140-1"), MP4),
        (&[("quality", "2160")], Some("401"), Some("140-1"), MP4),
        (&[("variant", "upscaled")], Some("402-sr"), Some("140-1"), MP4),
        (&[("quality", "720"), ("variant", "voice-boost")], Some("136"), Some("140-vb"), MP4),
        (&[("quality", "1440")], Some("299"), Some("140-1"), MP4),
        (&[("quality", "1080"), ("container", "mp4")], Some("299"), Some("140-1"), MP4),
        (&[("quality", "720")], Some("136"), Some("140-1"), MP4),
        (&[("quality", "480"), ("container", "mp4")], Some("134"), Some("140-1"), MP4),
        (&[("quality", "2160"), ("container", "webm")], Some("313"), Some("251-1"), WEBM),
        (&[("quality", "1080"), ("container", "webm")], Some("248"), Some("251-1"), WEBM),
        (&[("quality", "720"), ("codec", "vp9")], Some("247"), Some("251-1"), WEBM),
        (&[("quality", "1080"), ("codec", "av1")], Some("399"), Some("140-1"), MP4),
        (&[("hdr", "1")], Some("337"), Some("251-1"), WEBM),
        (&[("quality", "720"), ("lang", "de")], Some("136"), Some("140-0"), MP4),
        (
            &[("quality", "720"), ("lang", "de"), ("container", "webm")],
            Some("247"),
            Some("251-0"),
            WEBM,
        ),
        (&[("quality", "audio"), ("container", "m4a")], None, Some("140-1"), "audio/mp4"),
        (&[("container", "m4a"), ("lang", "de")], None, Some("140-0"), "audio/mp4"),
        (
            &[("quality", "360"), ("container", "mkv")],
            Some("134"),
            Some("140-1"),
            "video/x-matroska",
        ),
    ];
    let daemon = ytdlp::daemon("");
    for (wish, video, audio, kind) in table {
        let site = Site::start();
        let answer = daemon.good(&download_path(&site.page_url(FILM), wish));
        let mut expected: Vec<&str> = video.into_iter().chain(audio).collect();
        expected.sort();
        assert_eq!(site.formats_asked(FILM), expected, "{wish:?}");
        assert_eq!(answer.head.header("Content-Type"), Some(kind), "{wish:?}");
        assert_is_of(&answer.body, video, audio, &format!("{wish:?}"));
    }
}

#[test]
fn sound_in_other_clothes() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    for (container, kind) in [("opus", "audio/ogg"), ("mp3", "audio/mpeg")] {
        let path = download_path(&site.page_url(FILM), &[("container", container)]);
        let answer = daemon.good(&path);
        assert_eq!(answer.head.header("Content-Type"), Some(kind));
        let name = answer.head.header("Content-Disposition").unwrap();
        assert!(name.contains(&format!(".{container}")), "{name}");
        if container == "opus" {
            let directory = tempfile::tempdir().unwrap();
            let film = directory.path().join("sound.opus");
            std::fs::write(&film, answer.body).unwrap();
            // Ogg counts from another zero.
            let bytes = |file| packets(file, "a").into_iter().map(|packet| packet.md5);
            assert!(bytes(file("251-1")).eq(bytes(&film)), "the packets differ");
        }
    }
}

/// Where a site has one file of both, it is passed through.
#[test]
fn a_finished_file_stays_as_it_is() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    site.put_page(FILM, &json!({ "formats": sizes(["18", "140-1"]) }));
    let answer = daemon.good(&download_path(&site.page_url(FILM), &[]));
    assert!(answer.body == std::fs::read(file("18")).unwrap(), "the bytes differ");
    assert_eq!(site.formats_asked(FILM), ["18"]);
}

/// What the page says goes along to the media server.
#[test]
fn fields_and_cookies_reach_the_media_server() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    let mut formats = sizes(["137", "140-1"]);
    for (_, format) in formats.as_object_mut().unwrap() {
        format["http_headers"] = json!({ "Referer": "http://films.example/", "X-Films": "yes" });
        format["downloader_options"] = json!({ "http_chunk_size": 700 << 10 });
    }
    site.put_page(FILM, &json!({ "formats": formats }));
    daemon.good(&download_path(&site.page_url(FILM), &[]));
    let requests = site.media_requests();
    assert!(requests.len() > 5, "{requests:?}");
    for request in requests {
        assert_eq!(request.header("referer"), Some("http://films.example/"), "{request:?}");
        assert_eq!(request.header("x-films"), Some("yes"));
        assert_eq!(request.header("cookie"), Some("visitor=abc"));
        assert!(request.header("user-agent").unwrap().starts_with("Mozilla/5.0"));
        let range = crate::support::request_range(&request);
        assert!(range.end - range.start <= 700 << 10, "{range:?}");
    }
}

#[test]
fn a_part_of_a_film() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    let wish = [("quality", "720"), ("start", "20"), ("end", "0:0:30")];
    let part = daemon.good(&download_path(&site.page_url(FILM), &wish));
    let whole = daemon.good(&download_path(&site.page_url(FILM), &wish[..1]));
    assert!(part.body.len() < whole.body.len() / 3);
    assert_ne!(part.head.header("ETag"), whole.head.header("ETag"));
    assert_eq!(site.reads(FILM), 1);
}

/// A link to YouTube as it stands in an address bar, in the middle of a list.
#[test]
fn a_link_of_youtube() {
    let site = Site::start();
    let id = "aqz-KE-bpKQ";
    site.put_film(id);
    // It is not asked, but must be public.
    let names = Names::new(&[("www.youtube.com", &["1.2.3.4"]), ("youtu.be", &["1.2.3.4"])]);
    let origin = format!("youtube:origin={}", site.origin.url("").trim_end_matches('/'));
    let daemon = Daemon::start_with(&Setup {
        config: ytdlp::config(&["--extractor-args", &origin], DEFAULT_EXTRACTORS),
        environment: names.environment(),
        ..Setup::default()
    });
    for page_url in [
        format!("https://www.youtube.com/watch?v={id}&list=PL1&index=2&t=3s"),
        format!("https://youtu.be/{id}?si=abc"),
    ] {
        let head = ask(daemon.address(), "HEAD", &download_path(&page_url, &[]), "").head;
        assert_eq!(head.status, 200, "{page_url}: {head:?}");
        assert_eq!(head.header("Content-Type"), Some("video/mp4"));
    }
    assert_eq!(site.formats_asked(id), ["140-1", "401"]);
}

/// Names come from strangers.
#[test]
fn odd_titles_make_sound_names() {
    let daemon = ytdlp::daemon("");
    for title in [
        "../../etc/passwd",
        "a\r\nSet-Cookie: x=1",
        "\u{202e}4pm.exe \u{0} \u{1b}[31m",
        "Фильм “№ 1” 🎬",
        "",
        "x\u{d7ff}\u{fffd}",
        &"long ".repeat(200),
    ] {
        let site = Site::start();
        let formats = sizes(["137", "140-1"]);
        site.put_page(FILM, &json!({ "formats": formats, "info": { "title": title } }));
        let path = download_path(&site.page_url(FILM), &[]);
        let head = ask(daemon.address(), "HEAD", &path, "").head;
        assert_eq!(head.status, 200, "{title:?}: {head:?}");
        let name = head.header("Content-Disposition").unwrap();
        assert!(name.contains(".mp4") && !name.contains(['/', '\\']), "{title:?}: {name}");
        assert!(head.header("Set-Cookie").is_none() && name.len() < 1000, "{name}");
    }
    // Half of a pair, as JavaScript cuts texts.
    let site = Site::start();
    let page = json!({ "formats": sizes(["137", "140-1"]), "info": { "title": "HALF" } });
    let page = page.to_string().replace("HALF", "cut \\ud83c");
    site.put_at_page(FILM, Resource::bytes(page));
    let head = ask(daemon.address(), "HEAD", &download_path(&site.page_url(FILM), &[]), "").head;
    assert_eq!(head.status, 200, "{head:?}");
}

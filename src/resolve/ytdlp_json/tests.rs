//! Pages as yt-dlp prints them, and as it never would.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod segmented;

fn read_json(page: &Value) -> Result<PageMedia, ResolveError> {
    let page_url = Url::parse("https://films.example/watch?v=1").unwrap();
    read(&page_url, 0, page.to_string().into_bytes())?.into_media()
}

fn format(id: &str, more: &Value) -> Value {
    let mut format =
        json!({"format_id": id, "url": format!("https://cdn.example/{id}"), "protocol": "https"});
    format.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    format
}

#[test]
fn a_film_with_all_that_can_be_said() {
    let picture = format(
        "137",
        &json!({
            "ext": "mp4", "vcodec": "avc1.640028", "acodec": "none", "width": 1920, "height": 1080,
            "fps": 25, "dynamic_range": "SDR", "filesize": 1000, "tbr": 3000.5, "quality": 9,
            "url": "https://cdn.example/137?expire=1795690209",
            "http_headers": {"User-Agent": "x", "bad name": "y"},
            "cookies": "a=1; Domain=.example; Path=/",
            "downloader_options": {"http_chunk_size": 1048576}, "available_at": 1795668609,
        }),
    );
    let sound = format(
        "140",
        &json!({
            "ext": "m4a", "vcodec": "none", "acodec": "mp4a.40.2", "language": "de",
            "language_preference": 10, "filesize_approx": 50.5,
            "url": "https://cdn.example/expire/1795690000/140",
        }),
    );
    let offer = read_json(&json!({
        "_type": "video", "id": "1", "extractor": "films", "title": " A\nfilm ", "channel": "Me",
        "upload_date": "20260501", "duration": 60.5, "formats": [picture, sound],
        "thumbnails": [
            {"url": "https://i.example/small.jpg", "width": 100},
            {"url": "https://i.example/large.jpg", "width": 1000},
            {"url": "https://i.example/larger.webp", "width": 1200},
            {"url": "https://i.example/huge.jpg", "width": 5000},
            {"url": "file:///etc/passwd"},
        ],
    }))
    .unwrap();
    assert_eq!((offer.title.as_deref(), offer.uploader.as_deref()), (Some("A film"), Some("Me")));
    assert_eq!(offer.date.as_deref(), Some("2026-05-01"));
    assert_eq!(offer.duration, Some(Duration::from_millis(60_500)));
    assert_eq!(offer.thumbnail.unwrap().url.as_str(), "https://i.example/large.jpg");
    let first = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_690_000);
    assert_eq!(offer.expires, Some(first));
    let [picture, sound] = &offer.renditions[..] else { panic!() };
    let shown = picture.video.as_ref().unwrap();
    assert_eq!((shown.codec, shown.height, shown.fps), (VideoCodec::H264, 1080, Some(25)));
    assert_eq!((picture.family, picture.size), (ContainerFamily::Mp4, Some(Size::Exact(1000))));
    assert_eq!((picture.bitrate, picture.audio.is_some()), (Some(3_000_500), false));
    assert_eq!(picture.location.headers.len(), 1);
    assert_eq!((picture.location.cookies.len(), picture.location.chunk), (1, Some(1 << 20)));
    assert!(picture.location.available_at.is_some());
    let heard = sound.audio.as_ref().unwrap();
    assert_eq!((heard.codec, heard.language.as_deref()), (AudioCodec::Aac, Some("de")));
    assert_eq!((heard.preference, sound.size), (10, Some(Size::Approximate(50))));
}

#[test]
fn what_cannot_be_taken_is_left_out_or_said() {
    let code = |page: Value| read_json(&page).unwrap_err().code.as_str();
    let lone = |format: Value| json!({"formats": [format]});
    assert_eq!(code(json!({"_type": "playlist", "entries": []})), "playlist");
    assert_eq!(code(Value::Null), "extractor-broken");
    assert_eq!(code(json!("x")), "extractor-broken");
    assert_eq!(code(json!({"live_status": "is_live"})), "no-format");
    assert_eq!(code(json!({"live_status": "is_upcoming"})), "not-yet");
    let with = |status| json!({"live_status": status, "formats": [format("1", &json!({}))]});
    for (status, told) in
        [("is_live", "no-format"), ("is_upcoming", "not-yet"), ("post_live", "not-yet")]
    {
        assert_eq!(code(with(status)), told, "{status}");
    }
    for status in ["was_live", "not_live", "odd"] {
        assert!(read_json(&with(status)).is_ok_and(|page| !page.is_live), "{status}");
    }
    // Nothing but a playlist tells when it ends.
    let mut live = with("is_live");
    let list = format("2", &json!({"protocol": "m3u8_native"}));
    live["formats"].as_array_mut().unwrap().push(list);
    let live = read_json(&live).unwrap();
    assert!(live.is_live && live.renditions.len() == 1);
    let mut upcoming = with("is_upcoming");
    upcoming["release_timestamp"] = json!(1_777_660_200);
    let error = read_json(&upcoming).unwrap_err();
    assert_eq!(error.message, "it has not started yet; it begins at 2026-05-01 18:30 UTC");
    assert_eq!(code(lone(format("1", &json!({"has_drm": true})))), "drm");
    for protocol in ["http_dash_segments", "rtmp", "mhtml"] {
        assert_eq!(
            code(lone(format("1", &json!({"protocol": protocol})))),
            "no-format",
            "{protocol}"
        );
    }
    for url in ["file:///etc/passwd", "data:,x", "ftp://a/", "", "x"] {
        assert_eq!(code(lone(format("1", &json!({"url": url})))), "no-format", "{url}");
    }
    assert_eq!(code(lone(format("1", &json!({"vcodec": "none", "acodec": "none"})))), "no-format");
}

#[test]
fn nothing_of_a_page_is_kept_without_measure() {
    let long = "x".repeat(9000);
    let headers = json!({"http_headers": {"a": "x".repeat(40_000)}});
    let many: serde_json::Map<_, _> = (0..101).map(|n| (format!("a{n}"), json!("x"))).collect();
    let longer = json!({"cookies": format!("a={}; Domain=a.example", "x".repeat(100_000))});
    let url = json!({"url": format!("https://a.example/{long}")});
    for odd in [url, headers, json!({"http_headers": many}), longer] {
        let page = json!({"formats": [format("1", &odd)]});
        assert_eq!(read_json(&page).unwrap_err().code.as_str(), "no-format");
    }
    let page = json!({"formats": [format(&long, &json!({}))]});
    assert_eq!(read_json(&page).unwrap_err().code.as_str(), "no-format");
    let page = json!({"formats": [format("1", &json!({}))], "title": long});
    assert!(read_json(&page).unwrap().memory_size() < 3000);
}

#[test]
fn a_lone_file_of_which_nothing_is_known() {
    let offer =
        read_json(&json!({"url": "http://a.example/film.mp4", "ext": "mp4", "protocol": "http"}));
    let lone = offer.unwrap().renditions.remove(0);
    assert!(lone.video.is_some() && lone.audio.is_some());
    let offer = read_json(&json!({"url": "http://a.example/song.mp3", "ext": "mp3"}));
    assert!(offer.unwrap().renditions[0].video.is_none());
}

#[test]
fn lines_are_what_people_call_them() {
    let lines = |width, height, note: &str| {
        let more = json!({"width": width, "height": height, "format_note": note, "acodec": "none"});
        let page = json!({"formats": [format("1", &more)]});
        read_json(&page).unwrap().renditions[0].video.clone().unwrap().height
    };
    assert_eq!(lines(1920, 1080, "1080p50"), 1080);
    assert_eq!(lines(1080, 1920, ""), 1080);
    assert_eq!(lines(1920, 800, "1080p, HDR"), 1080);
    assert_eq!(lines(640, 360, "2160p"), 360);
    assert_eq!(lines(640, 360, "premium"), 360);
}

proptest! {
    /// No value of any field makes it panic.
    #[test]
    fn fields_of_any_type(text in "[ -~]{0,12}", number in any::<f64>(), which in 0_usize..40) {
        const NAMES: [&str; 20] = [
            "format_id", "url", "protocol", "ext", "vcodec", "acodec", "width", "height", "fps",
            "tbr", "filesize", "filesize_approx", "language", "language_preference", "quality",
            "http_headers", "cookies", "downloader_options", "available_at", "format_note",
        ];
        let odd = if which < 20 { json!(text) } else { json!(number) };
        let odd = format("1", &json!({NAMES[which % 20]: odd, "height": 1080, "vcodec": "vp9"}));
        read_json(&json!({"formats": [odd], "duration": number, "upload_date": text})).ok();
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read(&Url::parse("http://a.example/").unwrap(), 0, bytes).ok();
    }
}

#[test]
fn half_a_letter_is_no_reason_to_refuse_a_page() {
    let whole = r#"{"title": "\ud83c\udfac \\ud83c \u00e4"}"#;
    for (said, mended) in [
        (r#""cut \ud83c""#, r#""cut \ufffd""#),
        (r#""\udfac\ud83c\ud83c\udfac""#, r#""\ufffd\ufffd\ud83c\udfac""#),
        (r#""\\\uD83C\n""#, r#""\\\ufffd\n""#),
        (whole, whole),
        (r"\ud83", r"\ud83"),
        (r"\", r"\"),
    ] {
        let mut json = said.as_bytes().to_vec();
        replace_lone_surrogates(&mut json);
        assert_eq!(json, mended.as_bytes(), "{said}");
    }
}

/// The fork server leaves out what is not read here.
#[test]
fn the_fork_server_knows_the_fields_that_are_read() {
    let (schema, server) = (include_str!("schema.rs"), include_str!("../forkserver.py"));
    let between = |text: &'static str, start: &str, end: &str| {
        text.split_once(start).unwrap().1.split_once(end).unwrap().0
    };
    let fields = |name: &str| {
        let mut fields: Vec<&str> = Vec::new();
        let mut renamed = None;
        for line in between(schema, name, "\n}\n").lines() {
            if let Some((_, rest)) = line.split_once("rename = \"") {
                renamed = rest.split('"').next();
            }
            if let Some((name, _)) =
                line.trim().strip_prefix("pub(super) ").and_then(|rest| rest.split_once(':'))
            {
                fields.push(renamed.take().unwrap_or(name));
            }
        }
        fields.sort_unstable();
        fields
    };
    let kept = |name: &str| {
        let list = between(server, name, ").split())");
        let mut names: Vec<&str> = list
            .split(['\'', ' ', '\n', '('])
            .filter(|word| !word.is_empty() && !word.contains('=') && *word != "frozenset")
            .collect();
        names.sort_unstable();
        names
    };
    let mut page = fields("struct PageFields<'j> {");
    page.retain(|name| !["formats", "entries"].contains(name));
    assert_eq!(kept("OF_PAGE "), page);
    assert_eq!(kept("OF_ENTRY "), fields("struct Entry {"));
    assert_eq!(kept("OF_CAPTION "), fields("struct Caption {"));
    assert_eq!(kept("OF_FORMAT "), fields("struct Format<'j> {"));
    assert!(server.contains(&format!("MAX_FORMATS = {}\n", schema::MAX_FORMATS)));
}

#[test]
fn what_is_of_another_type_or_without_end_is_left_out() {
    let many = |item: &str| format!("[{}{item}]", format!("{item},").repeat(50_000));
    let odd = many("{\"a\": [1, \"x\"]}");
    let film = r#""format_id": "1", "url": "https://cdn.example/1""#;
    for field in ["title", "thumbnail", "thumbnails", "duration", "live_status", "_type", "is_live"]
    {
        let json = format!(r#"{{"{field}": {odd}, {film}}}"#);
        let page = read(&Url::parse("https://a.example/").unwrap(), 0, json.into_bytes());
        let page = page.unwrap().into_media().unwrap();
        assert_eq!((page.title, page.renditions.len()), (None, 1), "{field}");
    }
    for field in ["http_headers", "fps", "hls_aes", "cookies", "downloader_options", "fragments"] {
        let json = format!(r#"{{"formats": [{{"{field}": {odd}, {film}}}, 7, null]}}"#);
        let page = read(&Url::parse("https://a.example/").unwrap(), 0, json.into_bytes());
        let page = page.unwrap().into_media().unwrap();
        assert_eq!(page.renditions.len(), 1, "{field}");
        assert!(page.renditions[0].location.headers.is_empty());
    }
    let json = format!(r#"{{"formats": [{{{film}, "impersonate": {odd}}}]}}"#);
    let page = read(&Url::parse("https://a.example/").unwrap(), 0, json.into_bytes());
    let page = page.unwrap().into_media().unwrap();
    assert!(page.renditions[0].location.expects_browser);
}

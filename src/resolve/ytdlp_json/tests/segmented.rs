//! Formats in segments.

use super::*;
use crate::media::Delivery;
use crate::media::PlaylistHints;
use crate::media::segments::{SegmentKey, SegmentList};
use std::sync::Arc;

fn rendition(format: &Value) -> Rendition {
    read_json(&json!({"formats": [format]})).unwrap().renditions.remove(0)
}

fn refusal(formats: &[Value]) -> String {
    read_json(&json!({ "formats": formats })).unwrap_err().message
}

fn hints(more: &Value) -> Arc<PlaylistHints> {
    match rendition(&format("hls-1", more)).track_location().unwrap().delivery {
        Delivery::Playlist(hints) => hints,
        other => panic!("{other:?}"),
    }
}

fn hls(more: &Value) -> Value {
    let mut fields = json!({"protocol": "m3u8_native", "ext": "mp4"});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fields
}

fn dash(fragments: &Value) -> Value {
    format(
        "dash",
        &json!({"protocol": "http_dash_segments", "ext": "mp4", "acodec": "none", "filesize": 1000,
            "fragment_base_url": "https://b.example/v/", "fragments": fragments}),
    )
}

fn segments(format: &Value) -> Arc<SegmentList> {
    match rendition(format).track_location().unwrap().delivery {
        Delivery::Segments(list) => list,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_playlist_of_which_nothing_is_known() {
    for protocol in ["m3u8_native", "m3u8"] {
        let format =
            format("1", &json!({"protocol": protocol, "ext": "mp4", "filesize_approx": 9}));
        let lone = rendition(&format);
        assert!(lone.is_segmented() && lone.video.is_some() && lone.audio.is_some());
        assert_eq!((lone.size, lone.location.len), (Some(Size::Approximate(9)), None));
        assert_eq!(lone.location.url.as_str(), "https://cdn.example/1");
    }
    assert!(*hints(&hls(&json!({}))) == PlaylistHints::default());
    let audio = rendition(&format("1", &hls(&json!({"vcodec": "none", "acodec": "mp4a.40.2"}))));
    assert!(audio.video.is_none() && audio.audio.is_some());
}

#[test]
fn what_the_page_tells_of_a_playlist() {
    let aes = json!({"uri": "/key?a", "iv": "0xff"});
    let hints = hints(&hls(&json!({
        "extra_param_to_segment_url": "a=1", "extra_param_to_key_url": "b=2",
        "hls_media_playlist_data": "#EXTM3U\n", "hls_aes": aes, "has_drm": "maybe",
    })));
    assert_eq!(hints.segment_query.as_deref(), Some("a=1"));
    assert_eq!(hints.key_query.as_deref(), Some("b=2"));
    assert_eq!(hints.text.as_deref(), Some("#EXTM3U\n"));
    let url = Url::parse("https://cdn.example/key?a").unwrap();
    assert!(hints.key == Some(SegmentKey::Remote(url)));
    assert!(hints.iv == Some(255_u128.to_be_bytes()));
    // A key makes its URL needless.
    let key = json!({"hls_aes": {"uri": "x:", "key": "000102030405060708090a0b0c0d0e0f"}});
    let key = self::hints(&hls(&key)).key.clone();
    assert!(key == Some(SegmentKey::Inline(std::array::from_fn(|index| index as u8))));
    for aes in [json!({"key": "00"}), json!({"iv": "x"}), json!({"uri": "file:///x"})] {
        let format = format("1", &hls(&json!({ "hls_aes": aes })));
        assert!(read_json(&json!({"formats": [format]})).is_err(), "{aes}");
    }
    let url = "data:application/x-mpegurl;base64,I0VYVE0zVQo=";
    let lone = rendition(&format("1", &hls(&json!({ "url": url }))));
    assert_eq!(lone.location.url.as_str(), "https://films.example/watch?v=1");
    let Delivery::Playlist(hints) = lone.location.delivery else { panic!() };
    assert_eq!(hints.text.as_deref(), Some("#EXTM3U\n"));
    for url in ["data:application/x-mpegurl", "ftp://cdn.example/", "x"] {
        let format = format("1", &hls(&json!({ "url": url })));
        assert!(read_json(&json!({"formats": [format]})).is_err(), "{url}");
    }
}

#[test]
fn segments_that_the_page_lists() {
    let plain = json!([
        {"path": "init.mp4"}, {"path": "1.m4s", "duration": 4.5}, {"path": "2.m4s", "duration": 4.5},
        {"url": "https://c.example/3.m4s", "duration": null},
    ]);
    let list = segments(&dash(&plain));
    assert_eq!(list.inits[0].location.url.as_str(), "https://b.example/v/init.mp4");
    let urls: Vec<_> = list.segments.iter().map(|one| one.location.url.as_str()).collect();
    assert_eq!(
        urls,
        ["https://b.example/v/1.m4s", "https://b.example/v/2.m4s", "https://c.example/3.m4s"]
    );
    assert_eq!(list.duration(), Duration::from_secs(9));
    // What the fork server makes of it.
    let parts = "b.example/v/init.mp4\nb.example/v/1.m4s\nb.example/v/2.m4s\nc.example/3.m4s";
    let short = json!({"prefix": "https://", "suffix": "", "parts": parts,
        "durations": [[1, null], [2, 4.5], [1, 0]]});
    assert_eq!(segments(&dash(&short)), list);
    let lone = rendition(&dash(&short));
    assert!(lone.is_segmented() && lone.is_same_file(&rendition(&dash(&plain))));
    assert_eq!((lone.size, lone.location.len), (Some(Size::Approximate(1000)), None));
    assert_eq!(lone.location.url.as_str(), "https://cdn.example/dash");
    let other = json!([{"path": "init.mp4"}, {"path": "1.m4s", "duration": 4.5}]);
    assert!(!lone.is_same_file(&rendition(&dash(&other))));
}

#[test]
fn segments_without_durations_begin_with_the_initialisation_segment() {
    for durations in [
        json!([{"path": "i"}, {"path": "1"}, {"path": "2"}]),
        json!({"prefix": "", "suffix": "", "parts": "i\n1\n2", "durations": [[3, null]]}),
    ] {
        let list = segments(&dash(&durations));
        assert_eq!((list.inits.len(), list.segments.len()), (1, 2));
        assert_eq!(list.duration(), Duration::ZERO);
    }
}

#[test]
fn a_query_is_added_and_the_first_expiry_counts() {
    let mut format = dash(&json!([{"url": "https://c.example/i?expire=1795690209"},
        {"path": "1", "duration": 1}]));
    format["extra_param_to_segment_url"] = "s=1".into();
    let list = segments(&format);
    assert_eq!(list.segments[0].location.url.as_str(), "https://b.example/v/1?s=1");
    let page = read_json(&json!({"formats": [format]})).unwrap();
    assert_eq!(page.expires, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_690_209)));
}

#[test]
fn what_is_not_supported_is_named() {
    let of = |protocol: &str| format(protocol, &json!({ "protocol": protocol }));
    let message = refusal(&[of("ism"), of("f4m"), of("ism"), of("websocket_frag"), of("mhtml")]);
    assert_eq!(
        message,
        "the page offers its media only in ways that are not supported: ism, f4m, websocket_frag"
    );
    for (fragments, why) in [
        (
            json!([{"path": "a", "duration": 1}, {"path": "b", "duration": 1}]),
            "segments without an initialisation segment",
        ),
        (json!([{"path": "a"}]), "a list without segments"),
        (json!([]), "a list of segments that is malformed"),
        (json!("a generator"), "segments that the page does not list"),
        (json!([{"duration": 1}]), "segments that the page does not list"),
        (
            json!({"prefix": "", "suffix": "", "parts": "a\nb", "durations": [[1, null]]}),
            "a list of segments that is malformed",
        ),
        (
            json!([{"path": "a"}, {"path": "file:///b", "duration": 1}]),
            "segments with URLs that are neither http nor https",
        ),
    ] {
        assert!(refusal(&[dash(&fragments)]).ends_with(&format!(": {why}")), "{fragments}");
    }
    assert_eq!(refusal(&[]), "the page offers nothing that can be downloaded");
    // Whatever else is there can still be had.
    assert!(read_json(&json!({"formats": [of("ism"), of("https")]})).is_ok());
}

#[test]
fn long_lists_take_little() {
    let fragment =
        |index: usize| json!({"path": format!("{index}.m4s?{}", "x".repeat(200)), "duration": 2});
    let mut list: Vec<Value> = (0..8000).map(fragment).collect();
    list[0].as_object_mut().unwrap().remove("duration");
    let formats: Vec<Value> = (0..20).map(|_| dash(&json!(list))).collect();
    let page = read_json(&json!({ "formats": formats })).unwrap();
    assert_eq!(page.renditions.len(), 20);
    assert!(page.memory_size() < 1 << 20, "{}", page.memory_size());
}

/// A playlist of playlists without codecs, as yt-dlp lists it.
#[test]
fn audio_beside_a_video_of_unknown_codecs() {
    let of = |id: &str, more: Value| {
        let mut fields = hls(&json!({"manifest_url": "https://cdn.example/master.m3u8"}));
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format(id, &fields)
    };
    let kinds = |formats: &[Value]| -> Vec<(bool, bool)> {
        let page = read_json(&json!({ "formats": formats })).unwrap();
        page.renditions.iter().map(|r| (r.video.is_some(), r.audio.is_some())).collect()
    };
    let video = of("v", json!({"height": 720}));
    let audio = of("a", json!({"vcodec": "none"}));
    assert_eq!(kinds(&[audio.clone(), video.clone()]), [(false, true), (true, false)]);
    // If only others are beside it, its own is in it.
    let other = of("o", json!({"vcodec": "none", "source_preference": -2}));
    assert_eq!(kinds(&[other, video.clone()]), [(false, true), (true, true)]);
    let elsewhere = of("e", json!({"height": 720, "manifest_url": "https://cdn.example/2.m3u8"}));
    let known = of("k", json!({"vcodec": "avc1", "acodec": "mp4a.40.2"}));
    let small = of("s", json!({"vcodec": "none", "acodec": "mp4a.40.2"}));
    assert_eq!(kinds(&[audio, elsewhere, known])[1..], [(true, true), (true, true)]);
    assert_eq!(kinds(&[small, video]), [(false, true), (true, true)]);
}

/// A format of a DASH manifest is one of all its periods, as far as that is known.
#[test]
fn a_period_is_no_film() {
    const PART: &str = "one of several periods of a DASH manifest";
    const UNKNOWN: &str = "DASH of which yt-dlp does not tell the periods";
    let one =
        json!([{"path": "i"}, {"path": "1", "duration": 4.5}, {"path": "2", "duration": 4.5}]);
    let two = json!([{"path": "i"}, {"path": "1", "duration": 9}, {"path": "j"},
        {"path": "2", "duration": 9}]);
    let with = |mut format: Value, name: &str, value: Value| {
        format[name] = value;
        format
    };
    let of = |fragments: &Value, name: &str, value: Value| with(dash(fragments), name, value);
    let file = |name: &str, value: Value| with(format("f", &json!({})), name, value);
    let manifest = json!("https://cdn.example/x.mpd");
    for (format, duration, refused) in [
        (of(&one, "period_count", json!(1)), json!(60), None),
        (of(&two, "period_count", json!(2)), json!(60), None),
        (of(&one, "period_count", json!(2)), json!(9), Some(PART)),
        // Twice the same.
        (of(&two, "period_count", json!(1)), json!(9), Some(PART)),
        (of(&two, "period_count", json!(1.5)), json!(9), Some(PART)),
        (file("period_count", json!(1)), json!(60), None),
        (file("period_count", json!(2)), json!(60), Some(PART)),
        // Nothing tells how many there are.
        (of(&one, "is_dash_periods", json!(true)), json!(10), None),
        (of(&one, "is_dash_periods", json!(true)), json!(10.1), Some(UNKNOWN)),
        (of(&one, "is_dash_periods", json!(true)), Value::Null, Some(UNKNOWN)),
        (of(&two, "is_dash_periods", json!(true)), json!(18), Some(UNKNOWN)),
        (of(&one, "manifest_url", manifest.clone()), json!(60), Some(UNKNOWN)),
        (file("is_dash_periods", json!(true)), json!(60), Some(UNKNOWN)),
        // No manifest lists them.
        (dash(&two), json!(60), None),
        (file("manifest_url", manifest), json!(60), None),
    ] {
        let page = json!({"duration": duration, "formats": [format]});
        let found = read_json(&page).err().map(|error| error.message);
        let is_expected = match (&found, refused) {
            (Some(message), Some(why)) => message.ends_with(&format!(": {why}")),
            (None, None) => true,
            _ => false,
        };
        assert!(is_expected, "{page}: {found:?}");
    }
}

/// What is refused may be all the audio that there is.
#[test]
fn a_film_does_not_become_silent() {
    let video = format("v", &json!({"acodec": "none", "height": 360}));
    let part = format("a", &json!({"vcodec": "none", "ext": "m4a", "period_count": 2}));
    let rare = format("a", &json!({"vcodec": "none", "ext": "m4a", "protocol": "ism"}));
    let protected = format("a", &json!({"vcodec": "none", "ext": "m4a", "has_drm": true}));
    for (audio, why) in [(&part, "one of several periods"), (&rare, "ism"), (&protected, "DRM")] {
        let message = refusal(&[video.clone(), audio.clone()]);
        assert!(message.contains(why), "{message}");
        // It can still be had where there is another one, or none.
        let other = format("b", &json!({"vcodec": "none", "ext": "m4a"}));
        let page = read_json(&json!({"formats": [video, audio, other]})).unwrap();
        assert_eq!(page.renditions.len(), 2);
    }
    assert_eq!(read_json(&json!({"formats": [video]})).unwrap().renditions.len(), 1);
}

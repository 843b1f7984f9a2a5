//! Selections among the formats of a site such as YouTube.

use super::*;

mod segmented;
mod several;
use crate::media::format_list::{FormatOption, list_formats};
use crate::resolve::ytdlp_json;
use serde_json::{Value, json};
use url::Url;

fn picture(id: &str, lines: u32, ext: &str, codec: &str) -> Value {
    json!({"format_id": id, "url": format!("https://cdn.example/{id}"), "protocol": "https",
        "ext": ext, "vcodec": codec, "acodec": "none", "height": lines, "width": lines * 16 / 9,
        "filesize": 1000, "fps": 25})
}

fn sound(id: &str, ext: &str, codec: &str, language: &str, preference: i32) -> Value {
    json!({"format_id": id, "url": format!("https://cdn.example/{id}"), "protocol": "https",
        "ext": ext, "vcodec": "none", "acodec": codec, "language": language,
        "language_preference": preference, "filesize": 10})
}

fn with(mut format: Value, name: &str, value: impl Into<Value>) -> Value {
    format[name] = value.into();
    format
}

fn offer(formats: &[Value]) -> PageMedia {
    let page_url = Url::parse("https://films.example/").unwrap();
    let page = ytdlp_json::read(&page_url, 0, json!({"formats": formats}).to_string().into_bytes());
    page.unwrap().into_media().unwrap()
}

/// A page of YouTube.
fn film() -> PageMedia {
    offer(&[
        with(sound("140-drc", "m4a", "mp4a.40.2", "en", 10), "quality", 2.5),
        with(sound("140-0", "m4a", "mp4a.40.2", "de", -1), "quality", 3),
        with(sound("140-1", "m4a", "mp4a.40.2", "en", 10), "quality", 3),
        with(sound("251-0", "webm", "opus", "de", -1), "quality", 3),
        with(sound("251-1", "webm", "opus", "en", 10), "quality", 3),
        with(picture("18", 360, "mp4", "avc1.42001E"), "acodec", "mp4a.40.2"),
        picture("134", 360, "mp4", "avc1.4d401e"),
        picture("247", 720, "webm", "vp9"),
        picture("136", 720, "mp4", "avc1.4d401f"),
        picture("248", 1080, "webm", "vp9"),
        picture("399", 1080, "mp4", "av01.0.08M.08"),
        picture("137", 1080, "mp4", "avc1.640028"),
        picture("313", 2160, "webm", "vp9"),
        picture("401", 2160, "mp4", "av01.0.12M.08"),
        with(picture("337", 2160, "webm", "vp9.2"), "dynamic_range", "HDR10"),
    ])
}

fn ids(offer: &PageMedia, choice: &FormatRequest) -> String {
    let Ok(SelectedFormats { video, audio }) = select_formats(offer, choice) else {
        return "nothing".into();
    };
    let id = |rendition: Option<&Rendition>| rendition.map_or("-", |r| &r.id).to_owned();
    format!("{}+{}", id(video), id(audio))
}

fn at_most(lines: u32) -> FormatRequest {
    FormatRequest { quality: Quality::AtMost(lines), ..FormatRequest::default() }
}

#[test]
fn what_a_person_expects() {
    let film = film();
    let in_webm = |choice| FormatRequest { container: ContainerChoice::Webm, ..choice };
    let of = |container| FormatRequest {
        quality: Quality::AudioOnly,
        container,
        ..FormatRequest::default()
    };
    let german = |choice| FormatRequest { language: Some("de-AT".into()), ..choice };
    let coded = |codec, choice| FormatRequest { codec: Some(codec), ..choice };
    for (choice, wanted) in [
        (FormatRequest::default(), "401+140-1"),
        (at_most(2160), "401+140-1"),
        (at_most(1440), "137+140-1"),
        (at_most(1080), "137+140-1"),
        (at_most(1000), "136+140-1"),
        (at_most(360), "134+140-1"),
        // There is nothing smaller.
        (at_most(144), "134+140-1"),
        (in_webm(FormatRequest::default()), "313+251-1"),
        (in_webm(at_most(1080)), "248+251-1"),
        (
            FormatRequest { container: ContainerChoice::Mp4, ..FormatRequest::default() },
            "401+140-1",
        ),
        (FormatRequest { hdr: true, ..FormatRequest::default() }, "337+251-1"),
        (coded(VideoCodec::H264, FormatRequest::default()), "137+140-1"),
        (coded(VideoCodec::Vp9, at_most(1080)), "248+251-1"),
        (coded(VideoCodec::Av1, at_most(1080)), "399+140-1"),
        (german(at_most(1080)), "137+140-0"),
        (german(in_webm(at_most(720))), "247+251-0"),
        (german(at_most(360)), "134+140-0"),
        (of(ContainerChoice::Auto), "-+140-1"),
        (of(ContainerChoice::M4a), "-+140-1"),
        (of(ContainerChoice::Opus), "-+251-1"),
        (german(of(ContainerChoice::Opus)), "-+251-0"),
    ] {
        assert_eq!(ids(&film, &choice), wanted, "{choice:?}");
    }
}

#[test]
fn sites_that_offer_less() {
    let both = |id, lines| with(picture(id, lines, "mp4", "avc1"), "acodec", "mp4a.40.2");
    let films = offer(&[both("low", 360), both("high", 720)]);
    assert_eq!(ids(&films, &FormatRequest::default()), "high+-");
    assert_eq!(ids(&films, &at_most(360)), "low+-");
    let heard = FormatRequest { quality: Quality::AudioOnly, ..FormatRequest::default() };
    assert_eq!(select_formats(&films, &heard).unwrap().audio.unwrap().id, "high");
    let in_webm = FormatRequest { container: ContainerChoice::Webm, ..FormatRequest::default() };
    assert!(select_formats(&films, &in_webm).unwrap_err().0.contains("container=mkv"));
    let silent = offer(&[picture("1", 360, "mp4", "avc1")]);
    assert_eq!(ids(&silent, &FormatRequest::default()), "1+-");
    assert!(select_formats(&silent, &heard).is_err());
    let song = offer(&[sound("1", "mp3", "mp3", "en", -1)]);
    assert!(
        select_formats(&song, &FormatRequest::default()).unwrap_err().0.contains("quality=audio")
    );
    // Muxed audio in another language does not serve the request.
    let dubbed = offer(&[
        sound("de", "m4a", "mp4a.40.2", "de", -1),
        picture("silent", 360, "mp4", "avc1"),
        both("both", 720),
    ]);
    let german = FormatRequest { language: Some("de".into()), ..FormatRequest::default() };
    assert_eq!(
        (ids(&dubbed, &german), ids(&dubbed, &FormatRequest::default())),
        ("silent+de".into(), "both+-".into())
    );
}

#[test]
fn a_limit_is_a_limit_and_a_language_that_is_not_there_changes_nothing() {
    let film = offer(&[
        picture("720", 720, "mp4", "avc1"),
        picture("2160", 2160, "mp4", "hvc1"),
        with(picture("hdr", 360, "mp4", "av01"), "dynamic_range", "HDR10"),
        sound("en", "m4a", "mp4a.40.2", "en", 10),
    ]);
    let h265 = FormatRequest { codec: Some(VideoCodec::H265), ..at_most(720) };
    assert_eq!(ids(&film, &h265), "720+en");
    assert_eq!(ids(&film, &at_most(360)), "hdr+en");
    let english = with(picture("both", 1080, "mp4", "avc1"), "acodec", "mp4a.40.2");
    let film = offer(&[
        with(english, "language", "en"),
        picture("silent", 360, "mp4", "avc1"),
        sound("en", "m4a", "mp4a.40.2", "en", 10),
        sound("de", "m4a", "mp4a.40.2", "de", -1),
    ]);
    for (language, wanted) in [("fr", "both+-"), ("en", "both+-"), ("de", "silent+de")] {
        let choice = FormatRequest { language: Some(language.into()), ..FormatRequest::default() };
        assert_eq!(ids(&film, &choice), wanted, "{language}");
    }
}

#[test]
fn a_film_whose_sound_does_not_fit_is_not_given_without() {
    let film = offer(&[picture("1", 720, "webm", "vp9"), sound("2", "m4a", "mp4a.40.2", "en", -1)]);
    let in_webm = FormatRequest { container: ContainerChoice::Webm, ..FormatRequest::default() };
    assert!(select_formats(&film, &in_webm).unwrap_err().0.contains("container=mkv"));
    assert_eq!(ids(&film, &FormatRequest::default()), "1+2");
}

#[test]
fn the_film_as_it_was_made_unless_asked_otherwise() {
    let upscaled = |id, lines, codec| {
        with(picture(id, lines, "mp4", codec), "format_note", format!("{lines}p, AI-upscaled"))
    };
    let film = offer(&[
        picture("136", 720, "mp4", "avc1.4d401f"),
        picture("134", 360, "mp4", "avc1.4d401e"),
        upscaled("399-sr", 1080, "av01.0.08M.08"),
        upscaled("401-sr", 2160, "av01.0.12M.08"),
        with(picture("hurt", 1440, "mp4", "avc1"), "preference", -10),
        with(sound("140", "m4a", "mp4a.40.2", "en", -1), "quality", 3),
        with(sound("140-vb", "m4a", "mp4a.40.2", "en", -1), "quality", 5),
        with(sound("140-drc", "m4a", "mp4a.40.2", "en", -1), "quality", 4),
        // The site marks this as the default for German clients.
        with(sound("140-de", "m4a", "mp4a.40.2", "de", 5), "format_note", "German, dubbed-auto"),
        sound("140-desc", "m4a", "mp4a.40.2", "en-desc", 10),
    ]);
    let of = |variant| FormatRequest { variant: Some(variant), ..FormatRequest::default() };
    let in_language =
        |tag: &str| FormatRequest { language: Some(tag.into()), ..FormatRequest::default() };
    let heard = |choice| FormatRequest { quality: Quality::AudioOnly, ..choice };
    let coded = |codec| FormatRequest { codec: Some(codec), ..FormatRequest::default() };
    for (choice, wanted) in [
        (FormatRequest::default(), "136+140"),
        (at_most(2160), "136+140"),
        (at_most(360), "134+140"),
        (coded(VideoCodec::Av1), "136+140"),
        (of(Variant::Upscaled), "401-sr+140"),
        (FormatRequest { variant: Some(Variant::Upscaled), ..at_most(1080) }, "399-sr+140"),
        (of(Variant::Drc), "136+140-drc"),
        (heard(of(Variant::VoiceBoost)), "-+140-vb"),
        // There is none.
        (of(Variant::Stereo), "136+140"),
        (heard(FormatRequest::default()), "-+140"),
        (heard(in_language("de")), "-+140-de"),
        (heard(in_language("en")), "-+140"),
        (heard(in_language("en-desc")), "-+140-desc"),
    ] {
        assert_eq!(ids(&film, &choice), wanted, "{choice:?}");
    }
    let menu = list_formats(&film);
    let rows = menu.videos.iter().chain(&menu.audios);
    let variants: Vec<_> =
        rows.clone().filter_map(FormatOption::variant).map(Variant::as_str).collect();
    for name in ["upscaled", "drc", "voice-boost", "dubbed", "described"] {
        assert!(variants.contains(&name), "{name} is not in {variants:?}");
    }
    assert_eq!(menu.videos[0].variant(), None);
    for row in rows {
        assert_eq!(select_formats(&film, &row.request).unwrap(), row.formats);
    }
    // Where there is nothing else, it is taken.
    let film = offer(&[
        upscaled("399-sr", 1080, "av01"),
        with(sound("140-drc", "m4a", "mp4a.40.2", "en", -1), "quality", 3),
    ]);
    assert_eq!(ids(&film, &FormatRequest::default()), "399-sr+140-drc");
}

#[test]
fn each_row_of_the_menu_leads_to_its_own_files() {
    let film = film();
    let menu = list_formats(&film);
    let rows: Vec<String> = menu.videos.iter().map(|row| ids(&film, &row.request)).collect();
    assert_eq!(
        rows,
        [
            "401+140-1",
            "313+251-1",
            "337+251-1",
            "137+140-1",
            "248+251-1",
            "136+140-1",
            "247+251-1",
            "134+140-1"
        ]
    );
    for row in menu.videos.iter().chain(&menu.audios) {
        assert_eq!(select_formats(&film, &row.request).unwrap(), row.formats);
    }
    assert_eq!(menu.languages, ["en", "de"]);
    let audios: Vec<_> = menu
        .audios
        .iter()
        .map(|row| {
            (row.request.container.as_str(), row.request.language.as_deref(), row.size().is_some())
        })
        .collect();
    assert_eq!(
        audios,
        [
            ("m4a", Some("en"), true),
            ("opus", Some("en"), false),
            ("mp3", Some("en"), false),
            ("m4a", Some("de"), true),
            ("opus", Some("de"), false),
            // The original with its dynamic range compressed.
            ("m4a", None, true),
        ]
    );
    assert_eq!(menu.videos[0].size().map(crate::media::page_media::Size::bytes), Some(1010));
}

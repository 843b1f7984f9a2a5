//! DASH manifests of several periods, through the real yt-dlp: the whole film, or a refusal.

use serde_json::{Value, json};

use super::dash::{file, has_duration, is_whole};
use crate::support::answer::Answer;
use crate::support::daemon::Daemon;
use crate::support::framemd5::{frames, packets};
use crate::support::hls::{DASH, DASH_LISTED, DASH_NUMBERED, live_source};
use crate::support::resource::Resource;
use crate::support::segmented::SegmentedFilm;
use crate::support::shaka;
use crate::support::ytdlp::{self, Site, WAYS, download_path, path_of};

/// Ten seconds.
const DURATION: &str = "mediaPresentationDuration=\"PT10.0S\"";

/// A manifest with another period of ten seconds, made of its own one.
fn with_second(text: &str, second: impl Fn(&str) -> String) -> String {
    let (begin, end) = (text.find("<Period").unwrap(), text.find("</MPD>").unwrap());
    let period = &text[begin..end];
    let tag = &period[..=period.find('>').unwrap()];
    let timed = |times: &str| period.replacen(tag, &format!("<Period {times}>"), 1);
    let first = timed("id=\"0\" start=\"PT0S\" duration=\"PT10S\"");
    let second = second(&timed("id=\"1\" start=\"PT10S\" duration=\"PT10S\""));
    let head = text[..begin].replace(DURATION, "mediaPresentationDuration=\"PT20.0S\"");
    format!("{head}{first}{second}</MPD>")
}

/// Makes a second period of the first one.
type Second = fn(&str) -> String;

fn by_names(period: &str) -> String {
    period.replace("\"init-", "\"second/init-").replace("\"chunk-", "\"second/chunk-")
}

fn by_base_url(period: &str) -> String {
    period.replacen('>', "><BaseURL>second/</BaseURL>", 1)
}

/// Puts a film on a page, with its manifest changed, and once more in a directory beside its manifest.
fn put(
    site: &Site,
    id: &str,
    film: &SegmentedFilm,
    info: &Value,
    edit: impl Fn(String) -> String,
) -> String {
    film.put(&site.origin, &format!("f/{id}/second"));
    let is_manifest = |name: &str| name.ends_with(".mpd");
    let text = |resource: &Resource| String::from_utf8(resource.read()).unwrap();
    let entry = std::cell::RefCell::new(String::new());
    film.put_with(&site.origin, &format!("f/{id}"), |name, resource| {
        if !is_manifest(name) {
            return resource;
        }
        *entry.borrow_mut() = name.to_owned();
        Resource::bytes(edit(text(&resource)))
    });
    // A title would be in the file.
    let mut info = info.clone();
    info["title"] = json!("A film");
    let manifests = [entry.into_inner()];
    site.put_page(id, &json!({"formats": {}, "manifests": manifests, "info": info}));
    download_path(&site.page_url(id), &[])
}

fn film() -> SegmentedFilm {
    SegmentedFilm::of(DASH, &live_source())
}

/// Panics unless the answer is the film, once or several times.
fn assert_is_film(answer: &Answer, times: usize, what: &str) {
    let pictures = frames(&live_source(), "v");
    let file = file(answer);
    let shown = frames(file.path(), "v");
    let expected = std::iter::repeat_n(&pictures, times).flatten().map(|frame| &frame.md5);
    assert!(shown.iter().map(|frame| &frame.md5).eq(expected), "{what}");
    assert!(shown.windows(2).all(|pair| pair[0].pts < pair[1].pts), "{what}");
    has_duration(file.path(), 10.0 * times as f64, what);
    // Neither track has gone astray.
    let ends = [&shown, &packets(file.path(), "a")]
        .map(|packets| packets.iter().map(|packet| packet.pts).max().unwrap());
    assert!(ends[0].abs_diff(ends[1]) < 150_000_000, "{what}: {ends:?}");
}

fn assert_refused(daemon: &Daemon, path: &str, reason: &str, what: &str) {
    let answer = daemon.get(path);
    let found = (answer.head.status, answer.code());
    assert_eq!(found, (422, "no-format".to_owned()), "{what}: {}", answer.text());
    assert!(answer.text().contains(reason), "{what}: {}", answer.text());
}

/// The film twice: the second period has files and times of its own.
#[test]
fn periods_follow_one_another() {
    let (site, daemons) = (Site::start(), WAYS.map(ytdlp::daemon));
    for kind in [DASH, DASH_LISTED, DASH_NUMBERED] {
        let film = SegmentedFilm::of(kind, &live_source());
        let mut first: [Option<Answer>; 2] = [None, None];
        let places: [(&str, Second); 2] = [("names", by_names), ("base", by_base_url)];
        for (place, second) in places {
            let id = format!("{}-{place}", kind.name.replace([' ', ','], "-"));
            put(&site, &id, &film, &json!({}), |text| with_second(&text, second));
            for (daemon, way) in daemons.iter().zip(WAYS) {
                for (length, first) in ["auto", "none"].into_iter().zip(&mut first) {
                    let what = format!("{id}, {way}, length={length}");
                    let path = download_path(&site.page_url(&id), &[("length", length)]);
                    let answer = daemon.get(&path);
                    is_whole(&answer, length == "auto", &what);
                    match first {
                        Some(first) => assert!(first.body == answer.body, "{what}"),
                        None => {
                            assert_is_film(&answer, 2, &what);
                            *first = Some(answer);
                        }
                    }
                }
            }
        }
    }
}

/// As a page has it that contains its manifest.
#[test]
fn periods_of_a_manifest_without_a_url() {
    let (site, film) = (Site::start(), film());
    film.put(&site.origin, "f/x");
    film.put(&site.origin, "f/x/second");
    let text = with_second(&film.text("dash.mpd"), by_base_url);
    site.put_page("x", &json!({"formats": {}, "embedded": text}));
    for way in WAYS {
        let answer = ytdlp::daemon(way).get(&download_path(&site.page_url("x"), &[]));
        is_whole(&answer, true, way);
        assert_is_film(&answer, 2, way);
    }
}

/// The representation of the video in a period, under another name and with another height.
fn larger(period: &str) -> String {
    let begin = period.find("<Representation id=\"0\"").unwrap();
    let end = begin + period[begin..].find("</Representation>").unwrap() + 17;
    period[begin..end]
        .replace("id=\"0\"", "id=\"9\"")
        .replace("width=\"320\"", "width=\"640\"")
        .replace("height=\"180\"", "height=\"360\"")
        .replace("$RepresentationID$", "0")
}

#[test]
fn what_lacks_a_period_is_not_offered() {
    let (site, film) = (Site::start(), film());
    let is_beside = |text: &str| {
        let larger = larger(text);
        text.replacen("</Representation>", &format!("</Representation>{larger}"), 1)
    };
    put(&site, "one-of-two", &film, &json!({}), |text| is_beside(&with_second(&text, by_base_url)));
    put(&site, "none", &film, &json!({}), |text| {
        with_second(&text, |period| {
            let begin = period.find("<Representation id=\"0\"").unwrap();
            let end = begin + period[begin..].find("</Representation>").unwrap() + 17;
            let changed = period[..begin].to_owned() + &larger(period) + &period[end..];
            changed.replace("mp4a.40.2", "mp4a.40.5")
        })
    });
    // A period that is to be looked up elsewhere.
    let remote =
        "<Period xlink:href=\"http://ads.example/\" xmlns:xlink=\"http://www.w3.org/1999/xlink\"/>";
    let remote = put(&site, "remote", &film, &json!({}), |text| {
        text.replace("</MPD>", &format!("{remote}</MPD>"))
    });
    for way in WAYS {
        let daemon = ytdlp::daemon(way);
        let info = daemon.get(&path_of("info", &site.page_url("one-of-two"), &[]));
        let info: Value = serde_json::from_slice(&info.body).unwrap();
        let heights: Vec<_> =
            info["videos"].as_array().unwrap().iter().map(|row| &row["height"]).collect();
        assert_eq!(heights, [180], "{way}");
        let answer = daemon.get(&download_path(&site.page_url("one-of-two"), &[]));
        is_whole(&answer, true, way);
        assert_is_film(&answer, 2, way);
        for path in [&download_path(&site.page_url("none"), &[]), &remote] {
            assert_refused(&daemon, path, "one of several periods of a DASH manifest", way);
        }
    }
}

/// Each period is a file, of which nothing tells that there are others.
#[test]
fn periods_in_files_are_refused() {
    let (site, packaging) = (Site::start(), shaka::ONE_FILE_DASH);
    let film = SegmentedFilm::packaged(packaging, &live_source());
    let path = put(&site, "files", &film, &json!({}), |text| with_second(&text, by_base_url));
    let single = put(&site, "file", &film, &json!({}), |text| text);
    for way in WAYS {
        let daemon = ytdlp::daemon(way);
        assert_refused(&daemon, &path, "one of several periods of a DASH manifest", way);
        is_whole(&daemon.get(&single), true, way);
    }
}

/// An audio description that does not say so has all fields of the original.
#[test]
fn tracks_that_look_alike_do_not_follow_one_another() {
    let (site, film) = (Site::start(), film());
    let single = put(&site, "single", &film, &json!({}), |text| text);
    let double = |text: String| {
        let end = text.rfind("</AdaptationSet>").unwrap() + 16;
        let begin = text.rfind("<AdaptationSet").unwrap();
        let other = text[begin..end].replace("id=\"1\"", "id=\"9\"");
        let other = other.replace("$RepresentationID$", "1");
        format!("{}{other}{}", &text[..end], &text[end..])
    };
    let alike = put(&site, "alike", &film, &json!({}), double);
    for way in WAYS {
        let daemon = ytdlp::daemon(way);
        let answers = [&single, &alike].map(|path| daemon.get(path));
        for answer in &answers {
            is_whole(answer, true, way);
        }
        assert_is_film(&answers[0], 1, way);
        assert!(answers[0].body == answers[1].body, "{way}");
    }
    // The manifest is read by yt-dlp, and by nobody else.
    let is_manifest = |path: &&String| path.ends_with("/single/dash.mpd");
    let requests = site.origin.requests();
    assert_eq!(requests.iter().map(|request| &request.path).filter(is_manifest).count(), 2);
}

/// Where yt-dlp does not load the plugin that counts periods, the duration of the page has to be reached.
#[test]
fn without_the_number_of_periods_the_duration_tells() {
    let (site, film) = (Site::start(), film());
    let lasts = |seconds: Value| json!({"duration": seconds});
    let whole = put(&site, "whole", &film, &lasts(json!(10.5)), |text| text);
    let unknown = put(&site, "unknown", &film, &lasts(Value::Null), |text| text);
    let short =
        put(&site, "short", &film, &lasts(json!(20)), |text| with_second(&text, by_base_url));
    // yt-dlp may have joined what is in one period.
    let joined =
        put(&site, "joined", &film, &lasts(json!(20)), |text| with_second(&text, by_names));
    let plugins = ytdlp::plugins();
    let arguments = ["--no-plugin-dirs", "--plugin-dirs", plugins.to_str().unwrap()];
    let daemon = Daemon::start(&ytdlp::config(&arguments, WAYS[1]));
    let answer = daemon.get(&whole);
    is_whole(&answer, true, "whole");
    assert_is_film(&answer, 1, "whole");
    for path in [&unknown, &short, &joined] {
        assert_refused(&daemon, path, "does not tell the periods", path);
    }
}

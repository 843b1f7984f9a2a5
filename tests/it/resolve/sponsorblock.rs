//! The segments that SponsorBlock lists, of an API on loopback that the real yt-dlp asks.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::chapters::{assert_chapters, chapters};
use crate::support::daemon::Daemon;
use crate::support::origin::refused_url;
use crate::support::resource::{Fault, Resource};
use crate::support::ytdlp::{self, FILM, Site, WAYS, download_path, path_of, sizes};

mod removal;

/// Where the API has what it knows of `FILM`: the first digits of the SHA-256 of its name.
pub(super) const PLACE: &str = "api/skipSegments/d060";
const CATEGORIES: &str =
    "sponsorblock = [\"sponsor\", \"selfpromo\", \"poi_highlight\", \"chapter\"]\n";

/// A daemon that asks the API of the site.
pub(super) fn daemon(site: &Site, more: &str) -> Daemon {
    daemon_with(&site.origin.url(""), more)
}

fn daemon_with(api: &str, more: &str) -> Daemon {
    ytdlp::daemon(&(settings(api) + more))
}

/// The keys of `[resolver]`.
fn settings(api: &str) -> String {
    format!("{CATEGORIES}sponsorblock_api = {api:?}\n")
}

pub(super) fn segment(start: f64, end: f64, category: &str) -> Value {
    let action = match category {
        "poi_highlight" => "poi",
        "chapter" => "chapter",
        _ => "skip",
    };
    json!({
        "segment": [start, end], "category": category, "actionType": action,
        "videoDuration": 60, "UUID": "1", "description": "Their chapter",
    })
}

/// Puts the segments of the film, and of another one with the same digits.
pub(super) fn put_segments(site: &Site, segments: &[Value]) {
    let other = json!({ "videoID": "other", "segments": [segment(1.0, 2.0, "sponsor")] });
    let answer = json!([other, { "videoID": FILM, "segments": segments }]);
    site.origin.put(PLACE, Resource::bytes(answer.to_string()));
}

/// The page of the film, as one of YouTube's.
pub(super) fn put_page(site: &Site, formats: &[&str], chapters: &Value) {
    let formats = sizes(formats.iter().copied());
    let info = json!({ "extractor_key": "Youtube", "chapters": chapters });
    site.put_page(FILM, &json!({ "formats": formats, "info": info }));
}

/// What a machine that has no time for it makes of any answer.
const TOO_LATE: &str = "no answer within 4 s";

fn info(daemon: &Daemon, page: &str) -> Value {
    serde_json::from_slice(&daemon.good(&path_of("info", page, &[])).body).unwrap()
}

/// The link of the film as a page of its own, which was read in time, and what is told of it.
fn read(daemon: &Daemon, site: &Site, name: &str) -> (String, Value) {
    let pages = (0..10).map(|attempt| format!("{}&page={name}-{attempt}", site.page_url(FILM)));
    let mut read = pages.map(|page| (page.clone(), info(daemon, &page)));
    read.find(|(_, said)| said["sponsorblock_failure"] != TOO_LATE).expect("an answer in time")
}

#[test]
fn marks_are_in_files_of_all_kinds() {
    let site = Site::start();
    let daemon = daemon(&site, "");
    put_segments(
        &site,
        &[
            segment(30.0, 40.0, "chapter"),
            segment(3.0, 6.5, "sponsor"),
            segment(20.0, 20.0, "poi_highlight"),
        ],
    );
    let own = json!([
        { "start_time": 0, "end_time": 5, "title": "One" },
        { "start_time": 5, "end_time": 60, "title": "Two" },
    ]);
    put_page(&site, &["137", "248", "140-1", "251-1"], &own);
    let (page, _) = read(&daemon, &site, "all");
    let (starts, titles) = (
        [0.0, 3.0, 6.5, 20.0, 21.0, 30.0, 40.0],
        [
            "One",
            "[SponsorBlock]: Sponsor",
            "Two",
            "[SponsorBlock]: Highlight",
            "Two",
            "[SponsorBlock]: Their chapter",
            "Two",
        ],
    );
    for (parameters, expected) in [
        (&[("container", "mp4")][..], "splice"),
        (&[("container", "webm")], "splice"),
        (&[("container", "mkv")], "ffmpeg"),
        (&[("container", "m4a")], "splice"),
        (&[("container", "mp3")], "ffmpeg"),
        (&[("container", "opus")], "ffmpeg"),
    ] {
        let parameters = [parameters, &[("sponsorblock", "mark")]].concat();
        let answer = daemon.good(&download_path(&page, &parameters));
        assert_eq!(answer.engine(), expected, "{parameters:?}");
        // Opus and VP9 end after 15 s.
        let count = if matches!(parameters[0].1, "webm" | "opus") { 3 } else { 7 };
        let (starts, titles) = (&starts[..count], &titles[..count]);
        assert_chapters(&answer.body, starts, titles, &format!("{parameters:?}"));
    }
    // Without it, the chapters are those of the page.
    let answer = daemon.good(&download_path(&page, &[("sponsorblock", "none")]));
    assert_chapters(&answer.body, &[0.0, 5.0], &["One", "Two"], "none");
    // What the API is told: four digits of the hash, and what is wanted.
    let requests = site.origin.requests();
    let asked: Vec<_> = requests.iter().filter(|request| request.path.contains("api")).collect();
    assert!(!asked.is_empty());
    assert!(asked[0].path.starts_with(&format!("/{PLACE}?service=YouTube&")), "{}", asked[0].path);
    assert!(!asked[0].path.contains(FILM));
}

#[test]
fn information_lists_them_in_either_way() {
    for way in WAYS {
        let site = Site::start();
        let daemon = daemon(&site, way);
        put_segments(&site, &[segment(3.0, 6.5, "sponsor"), segment(59.5, 60.0, "unknown")]);
        put_page(&site, &["137", "140-1"], &json!([]));
        // As yt-dlp: one that it does not know ends all.
        let said = info(&daemon, &site.page_url(FILM));
        assert_eq!(
            (&said["sponsorblock"], said["type"].as_str()),
            (&json!([]), Some("video")),
            "{way}"
        );
        assert_eq!(said["sponsorblock_failure"], "its answer is not as expected", "{way}");
        put_segments(&site, &[segment(3.0, 6.5, "sponsor"), segment(0.5, 2.0, "selfpromo")]);
        let (_, said) = read(&daemon, &site, "good");
        let expected = json!([
            { "start": 0.0, "end": 2.0, "category": "selfpromo", "title": "Unpaid/Self Promotion" },
            { "start": 3.0, "end": 6.5, "category": "sponsor", "title": "Sponsor" },
        ]);
        assert_eq!(said["sponsorblock"], expected, "{way}");
        assert_eq!(said["sponsorblock_failure"], Value::Null, "{way}");
        // No page of YouTube: it is not asked.
        site.put_page(FILM, &json!({ "formats": sizes(["137", "140-1"]) }));
        let said = info(&daemon, &format!("{}&again=2", site.page_url(FILM)));
        assert_eq!(said["sponsorblock"], Value::Null, "{way}");
    }
}

/// A page is read whatever the API does, and soon.
#[test]
fn the_api_may_do_what_it_likes() {
    let site = Site::start();
    put_page(&site, &["137", "140-1"], &json!([]));
    let many: Vec<Value> =
        (0..3000).map(|at| segment(f64::from(at) / 100.0, 60.0, "sponsor")).collect();
    let text = |json: &str| Resource::bytes(json);
    let of =
        |segments: &str| text(&format!("[{{\"videoID\": \"{FILM}\", \"segments\": {segments}}}]"));
    let odd = |start: &str, end: &str| {
        of(&format!(
            "[{{\"segment\": [{start}, {end}], \"category\": \"sponsor\", \"actionType\": \"skip\", \
             \"videoDuration\": 0, \"description\": \"\"}}]"
        ))
    };
    let hostile = [
        (text("<html>"), 0, true),
        (text("{\"a\": 1}"), 0, true),
        (text(&"[".repeat(500_000)), 0, true),
        (Resource::bytes(vec![b' '; 2 << 20]), 0, true),
        (text("[]"), 0, false),
        (odd("NaN", "5"), 0, false),
        (odd("2", "Infinity"), 1, false),
        (odd("-5", "-2"), 0, false),
        (odd("9", "2"), 0, false),
        (odd("\"a\"", "null"), 0, true),
        (odd("-1e300", "1e300"), 1, false),
        (of(&json!(many).to_string()), 500, false),
        (text("[]").fault(Fault::Status(500, Vec::new())), 0, true),
        (text("[]").fault(Fault::Status(404, Vec::new())), 0, false),
    ];
    // Without the fork server it takes longer, and some of them must do.
    for (way, (each, silence)) in WAYS.into_iter().zip([(1, Fault::Silent), (4, Fault::DripAt(0))])
    {
        let daemon = daemon(&site, way);
        for (number, (answer, count, fails)) in hostile.iter().enumerate().step_by(each) {
            site.origin.put(PLACE, answer.clone());
            let (_, said) = read(&daemon, &site, &number.to_string());
            let found = said["sponsorblock"].as_array().map(Vec::len);
            assert_eq!(found, Some(*count), "{way}{number}: {said}");
            assert_eq!(said["sponsorblock_failure"].is_string(), *fails, "{way}{number}");
        }
        // The film comes with all that it can have.
        site.origin.put(PLACE, hostile[11].0.clone());
        let (page, _) = read(&daemon, &site, "many");
        let answer = daemon.good(&download_path(&page, &[("sponsorblock", "mark")]));
        assert_eq!(chapters(&answer.body).len(), 1, "{way}");
        // It does not answer.
        site.origin.put(PLACE, text("[]          ").fault(silence));
        let begun = Instant::now();
        let page = format!("{}&again=slow", site.page_url(FILM));
        let answer = daemon.good(&download_path(&page, &[("sponsorblock", "mark")]));
        assert!(begun.elapsed() < Duration::from_secs(50), "{way}");
        assert_eq!(chapters(&answer.body), [], "{way}");
        daemon.logs("without segments of SponsorBlock: no answer within 4 s");
    }
    let daemon = daemon_with(refused_url().trim_end_matches("/x"), "");
    let said = info(&daemon, &site.page_url(FILM));
    assert_eq!(said["sponsorblock_failure"], "it cannot be reached");
}

#[test]
fn what_the_operator_has_not_switched_on_is_refused() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    put_segments(&site, &[segment(3.0, 6.5, "sponsor")]);
    put_page(&site, &["137", "140-1"], &json!([]));
    for parameters in [
        &[("sponsorblock", "mark")][..],
        &[("sponsorblock", "remove")],
        &[("sponsorblock", "mark"), ("as", "tar")],
    ] {
        let answer = daemon.get(&download_path(&site.page_url(FILM), parameters));
        assert_eq!((answer.head.status, &*answer.code()), (403, "sponsorblock-off"));
        assert!(answer.text().contains("resolver.sponsorblock"), "{}", answer.text());
    }
    assert_eq!(site.reads(FILM), 0);
    assert_eq!(info(&daemon, &site.page_url(FILM))["sponsorblock"], Value::Null);
    assert!(site.origin.requests().iter().all(|request| !request.path.contains("api")));
}

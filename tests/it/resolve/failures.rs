//! Pages that lead to no film: each way of failing has its status, its code and its sentence.

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::origin::refused_url;
use crate::support::resource::{Fault, Resource};
use crate::support::ytdlp::{self, FILM, Site, WAYS, download_path, sizes};

/// The site's link or its ID, and what it is to be answered with.
type Row<'a> = (&'a str, u16, &'a str);

/// What yt-dlp says in its own words; the plugin says which.
const SAID: [Row<'_>; 39] = [
    ("not-a-bot", 503, "site-busy"),
    ("captcha", 503, "site-busy"),
    ("rate-limited", 503, "site-busy"),
    ("private", 403, "private"),
    ("members", 403, "private"),
    ("age", 403, "private"),
    ("login", 403, "private"),
    ("geo", 451, "geo-blocked"),
    ("country", 451, "geo-blocked"),
    ("drm", 422, "drm"),
    ("upcoming", 503, "not-yet"),
    ("premiere", 503, "not-yet"),
    ("offline", 503, "not-yet"),
    ("unavailable", 404, "not-available"),
    ("removed", 404, "not-available"),
    ("terminated", 404, "not-available"),
    ("no-such-page", 404, "not-available"),
    ("no-host", 502, "site-unreachable"),
    ("strange", 502, "resolve-failed"),
    ("crash", 502, "extractor-broken"),
    ("regex", 502, "extractor-broken"),
    ("no-formats", 422, "no-format"),
    ("escape", 500, "resolver-failed"),
    ("exit", 500, "resolver-failed"),
    ("killed", 500, "resolver-failed"),
    ("noise", 404, "not-available"),
    ("app", 502, "extractor-broken"),
    ("reload", 502, "extractor-broken"),
    ("later", 503, "site-busy"),
    ("blocked", 503, "site-busy"),
    ("detected", 503, "site-busy"),
    ("music", 403, "private"),
    ("rent", 403, "private"),
    ("processing", 503, "not-yet"),
    ("region", 451, "geo-blocked"),
    ("recording", 404, "not-available"),
    ("no-runtime", 500, "resolver-missing"),
    ("unsolved", 502, "extractor-broken"),
    ("no-token", 502, "extractor-broken"),
];

/// Asks for each; says which are answered otherwise. Nothing in an answer may be a link: it could
/// be signed.
fn wrong(daemon: &Daemon, rows: &[(String, u16, &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (page_url, status, code) in rows {
        for page in ["download", "info"] {
            let answer = daemon.get(&ytdlp::path_of(page, page_url, &[]));
            let found = (answer.head.status, answer.code());
            if found != (*status, (*code).to_owned()) {
                wrong.push(format!("{page} of {page_url}: {found:?}, {}", answer.text()));
                continue;
            }
            let problem = answer.problem();
            let detail = problem["detail"].as_str().unwrap();
            assert!(!detail.contains("://") && !detail.contains("ERROR"), "{page_url}: {detail}");
        }
    }
    wrong
}

fn links(site: &Site, rows: &[Row<'static>]) -> Vec<(String, u16, &'static str)> {
    rows.iter().map(|(id, status, code)| (site.page_url(id), *status, *code)).collect()
}

#[test]
fn every_failure_has_its_status() {
    let forgetful = "failure_ttl = \"0s\"\nbusy_pause = \"0s\"\n";
    let (site, daemon) = (Site::start(), ytdlp::daemon(forgetful));
    let wrong = wrong(&daemon, &links(&site, &SAID));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // None is remembered.
    site.put_film("no-such-page");
    assert_eq!(daemon.get(&download_path(&site.page_url("no-such-page"), &[])).head.status, 200);
}

/// Half a second each, hence few.
#[test]
fn also_without_the_fork_server() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(WAYS[1]));
    let some = ["private", "crash", "escape", "exit", "killed"];
    let some: Vec<_> = SAID.into_iter().filter(|(id, ..)| some.contains(id)).collect();
    let wrong = wrong(&daemon, &links(&site, &some));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the network does is not said by the plugin: it happens.
#[test]
fn the_network_fails() {
    let site = Site::start();
    let patience = ["--socket-timeout", "0.5"];
    let daemon = Daemon::start(&ytdlp::config(&patience, ""));
    let status = |status| Resource::bytes("").fault(Fault::Status(status, vec![]));
    site.put_at_page("busy", status(429));
    site.put_at_page("forbidden", status(403));
    site.put_at_page("broken", status(500));
    site.put_at_page("away", status(503));
    site.put_at_page("gone", status(410));
    site.put_at_page("silent", Resource::bytes("").fault(Fault::Silent));
    site.put_at_page("cut", Resource::bytes("{} and more").fault(Fault::CutAt(3)));
    let rows = [
        ("busy", 503, "site-busy"),
        ("forbidden", 502, "site-unreachable"),
        ("broken", 502, "site-unreachable"),
        ("away", 502, "site-unreachable"),
        ("gone", 404, "not-available"),
        ("silent", 504, "resolve-timeout"),
    ];
    let mut rows = links(&site, &rows);
    let nobody = refused_url().replace("/x", "/watch?v=film");
    rows.push((nobody, 502, "site-unreachable"));
    let wrong = wrong(&daemon, &rows);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let cut = daemon.get(&download_path(&site.page_url("cut"), &[]));
    assert_eq!(cut.head.status, 502, "{}", cut.text());
    assert!(["site-unreachable", "resolve-failed"].contains(&cut.code().as_str()), "{cut:?}");
}

/// Pages that yt-dlp can read, but that have nothing for us.
#[test]
fn a_page_without_a_file() {
    let (site, daemon) = (Site::start(), ytdlp::daemon("failure_ttl = \"0s\"\n"));
    let in_pieces = |protocol: &str| {
        let mut formats = sizes(["137", "140-1"]);
        for (_, format) in formats.as_object_mut().unwrap() {
            format["protocol"] = json!(protocol);
            format["fragments"] = json!([{ "url": site.origin.url("f/film/1.ts"), "duration": 5 }]);
        }
        formats
    };
    let mut protected = sizes(["137", "140-1"]);
    for (_, format) in protected.as_object_mut().unwrap() {
        format["has_drm"] = json!(true);
    }
    let good = || sizes(["137", "140-1"]);
    let status = |status| json!({ "formats": good(), "info": { "live_status": status } });
    let pages: [(&str, Value, Row<'_>); 8] = [
        ("smooth", json!({ "formats": in_pieces("ism") }), ("", 422, "no-format")),
        ("dash", json!({ "formats": in_pieces("http_dash_segments") }), ("", 422, "no-format")),
        ("protected", json!({ "formats": protected }), ("", 422, "drm")),
        // Only small pictures for the bar of a player.
        ("none", json!({ "formats": {} }), ("", 422, "no-format")),
        ("live", status("is_live"), ("", 422, "no-format")),
        ("soon", status("is_upcoming"), ("", 503, "not-yet")),
        // What there is of it still grows, or is its last two hours.
        ("ended", status("post_live"), ("", 503, "not-yet")),
        (
            "elsewhere",
            json!({ "formats": { "137": { "url": "rtmp://127.0.0.1/film", "protocol": "rtmp" } } }),
            ("", 422, "no-format"),
        ),
    ];
    let rows = pages.map(|(id, page, (_, status, code))| {
        site.put_page(id, &page);
        (site.page_url(id), status, code)
    });
    let wrong = wrong(&daemon, &rows);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let ended = daemon.get(&download_path(&site.page_url("ended"), &[]));
    assert_eq!(ended.head.header("Retry-After"), Some("300"), "{}", ended.text());
    site.put_film_media("ended");
    site.put_page("ended", &status("was_live"));
    assert_eq!(daemon.get(&download_path(&site.page_url("ended"), &[])).head.status, 200);
}

#[test]
fn a_list_is_not_a_film() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    site.put_page("abc", &json!({ "entries": [FILM] }));
    let list = site.origin.url("list?list=abc");
    let answer = daemon.get(&download_path(&list, &[]));
    let problem = answer.problem();
    assert_eq!((answer.head.status, &problem["code"]), (422, &json!("playlist")));
    assert!(problem["detail"].as_str().unwrap().contains("list"), "{problem}");
}

#[test]
fn what_cannot_be_had_of_a_film() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    site.put_page(FILM, &json!({ "formats": sizes(["137"]) }));
    for wish in [[("quality", "audio")], [("container", "webm")]] {
        let answer = daemon.get(&download_path(&site.page_url(FILM), &wish));
        assert_eq!((answer.head.status, answer.code().as_str()), (422, "no-format"), "{wish:?}");
    }
    let page_url = site.page_url(FILM);
    for (wish, code) in [
        (("quality", "huge"), "bad-parameter"),
        (("container", "avi"), "bad-parameter"),
        (("codec", "divx"), "bad-parameter"),
        (("hdr", "maybe"), "bad-parameter"),
        (("colour", "red"), "unknown-parameter"),
        (("url", "http://127.0.0.1/"), "missing-parameter"),
    ] {
        let answer = daemon.get(&download_path(&page_url, &[wish]));
        assert_eq!((answer.head.status, answer.code().as_str()), (400, code), "{wish:?}");
        assert!(answer.text().contains(wish.0), "{}", answer.text());
    }
    assert_eq!(daemon.get("/download").code(), "missing-parameter");
    // A form sends its empty fields, too.
    site.put_film(FILM);
    let empty = ["quality", "container", "codec", "lang", "hdr", "engine", "start", "end"];
    let answer = daemon.get(&download_path(&page_url, &empty.map(|name| (name, ""))));
    assert_eq!(answer.head.status, 200, "{}", answer.text());
}

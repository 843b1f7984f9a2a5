//! URLs that expire in mid-download: the page is read again, and nobody notices.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::answer::Ending;
use crate::support::client::{Client, ask};
use crate::support::daemon::Daemon;
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::ytdlp::{self, FILM, Site, download_path, file, sizes};
use crate::support::{request_range, run};

const FORMATS: [&str; 2] = ["137", "140-1"];

fn media(format: &str) -> Resource {
    let media = Resource::file(file(format)).only_bounded_ranges().keep_alive();
    media.last_modified("Fri, 01 May 2026 10:00:00 GMT")
}

fn expired(resource: Resource) -> Resource {
    resource.fault(Fault::Status(403, vec![]))
}

/// What sites say of a URL that has expired; `origin` has a login page.
fn guises(origin: &Origin) -> Vec<Fault> {
    const PAGE: &str = "<!DOCTYPE html><html><title>Log in</title></html>";
    let login =
        origin.put("login", Resource::bytes("").fault(Fault::Words(200, "text/html", PAGE)));
    let mut guises: Vec<_> =
        [400, 401, 404, 410, 451].map(|status| Fault::Status(status, vec![])).into();
    guises.extend([
        Fault::Words(200, "text/html; charset=utf-8", PAGE),
        Fault::Words(200, "application/octet-stream", PAGE),
        Fault::Words(200, "application/json", "{\"error\": \"the link has expired\"}"),
        Fault::Words(200, "text/plain", "the link has expired, please go back"),
        Fault::Words(200, "video/mp4", ""),
        Fault::Words(204, "text/html", ""),
        Fault::Redirect(login),
        Fault::RedirectLoop,
        Fault::Encoded,
    ]);
    guises
}

/// A page whose media are below `place` of the origin, and are fetched in small parts.
fn page(site: &Site, place: &str, change: impl Fn(&str, &mut Value)) -> Value {
    let formats = FORMATS.map(|format| {
        let size = std::fs::metadata(file(format)).unwrap().len();
        let itag = format.split('-').next().unwrap();
        let query = format!("itag={itag}&clen={size}&lmt=1780000000000000&n={place}");
        let mut fields = json!({
            "url": site.origin.url(&format!("f/{place}/{format}?{query}")),
            "filesize": size,
            "downloader_options": { "http_chunk_size": 256 << 10 },
        });
        change(format, &mut fields);
        (format.to_owned(), fields)
    });
    json!({ "formats": serde_json::Map::from_iter(formats) })
}

fn unchanged(_: &str, _: &mut Value) {}

/// The same film from a site where nothing expires.
fn undisturbed(daemon: &Daemon, wish: &[(&str, &str)]) -> Vec<u8> {
    let site = Site::start();
    site.put_page(FILM, &json!({ "formats": sizes(FORMATS) }));
    let answer = daemon.get(&download_path(&site.page_url(FILM), wish));
    assert_eq!(answer.ending, Ending::Complete, "{}", answer.text());
    answer.body
}

/// A site whose media are all there, at `new`; at `old` they expire after so many requests, of which
/// the first two are for the beginning and the end.
fn expiring(after: [usize; 2]) -> Site {
    let site = Site::start();
    expire(&site, after, &Fault::Status(403, vec![]));
    site
}

/// The same, where it is said like this that they have.
fn expire(site: &Site, after: [usize; 2], guise: &Fault) {
    for (format, after) in FORMATS.into_iter().zip(after) {
        let old = media(format).becomes(media(format).fault(guise.clone()), after);
        site.origin.put(&format!("f/old/{format}"), old);
        site.origin.put(&format!("f/new/{format}"), media(format));
    }
}

/// The picture expires when the client has got some of the film.
const LATE: [usize; 2] = [6, usize::MAX];

#[test]
fn a_film_whose_urls_expire_is_the_same_byte_for_byte() {
    let daemon = ytdlp::daemon("");
    let whole = undisturbed(&daemon, &[]);
    for (when, after) in [("both", [5, 3]), ("late", LATE)] {
        let site = expiring(after);
        let pages = ["old", "new"].map(|place| page(&site, place, unchanged));
        site.put_pages(FILM, &pages.each_ref());
        let path = download_path(&site.page_url(FILM), &[]);
        let answer = daemon.get(&path);
        assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{when}");
        assert!(answer.body == whole, "{when}: the bytes differ");
        // Two tracks have found out, and the page was read once for both.
        assert_eq!(site.reads(FILM), 2, "{when}");
        let fresh = site.media_requests();
        let mut fresh = fresh.iter().filter(|request| request.path.starts_with("/f/new/137"));
        let first = request_range(fresh.next().expect("a request with the new URL"));
        assert!(first.start > 256 << 10, "{when}: {first:?}");
        // Who comes back later gets what is good now, without another look.
        let asked = site.requests_at("old");
        let head = ask(daemon.address(), "HEAD", &path, "").head;
        assert_eq!(head.header("ETag"), answer.head.header("ETag"), "{when}");
        let again = ask(daemon.address(), "GET", &path, "Range: bytes=-200000\r\n");
        assert_eq!((again.head.status, again.ending), (206, Ending::Complete), "{when}");
        assert!(again.body == whole[whole.len() - 200_000..]);
        assert_eq!((site.reads(FILM), site.requests_at("old")), (2, asked), "{when}");
    }
}

/// Sites do not only say it with a status.
#[test]
fn urls_expire_in_many_guises() {
    let daemon = ytdlp::daemon("");
    let whole = undisturbed(&daemon, &[]);
    let login = Origin::start();
    for guise in guises(&login) {
        // At the first byte, in the middle, and between two requests for one film.
        for (moment, after) in [("first", [0, 0]), ("late", LATE), ("between", [2, 1])] {
            let what = format!("{guise:?}, {moment}");
            let site = Site::start();
            expire(&site, after, &guise);
            let pages = ["old", "new"].map(|place| page(&site, place, unchanged));
            site.put_pages(FILM, &pages.each_ref());
            let path = download_path(&site.page_url(FILM), &[]);
            let begin = ask(daemon.address(), "GET", &path, "Range: bytes=0-100\r\n");
            assert_eq!((begin.head.status, begin.ending), (206, Ending::Complete), "{what}");
            assert!(begin.body == whole[..101], "{what}");
            let answer = daemon.get(&path);
            let ended = (answer.head.status, answer.ending);
            assert_eq!(ended, (200, Ending::Complete), "{what}: {:.300}", answer.text());
            assert!(answer.body == whole, "{what}: the bytes differ");
            assert_eq!(answer.head.header("ETag"), begin.head.header("ETag"), "{what}");
            assert_eq!(site.reads(FILM), 2, "{what}");
        }
    }
}

/// What is said again of a fresh URL is true, and is not asked for over and over.
#[test]
fn a_web_page_again_is_one() {
    let (daemon, login) = (ytdlp::daemon(""), Origin::start());
    for guise in guises(&login) {
        let site = Site::start();
        expire(&site, [0, 0], &guise);
        for format in FORMATS {
            site.origin.put(&format!("f/new/{format}"), media(format).fault(guise.clone()));
        }
        let pages = ["old", "new"].map(|place| page(&site, place, unchanged));
        site.put_pages(FILM, &pages.each_ref());
        let path = download_path(&site.page_url(FILM), &[]);
        let status = match guise {
            Fault::Status(404 | 410, _) => 404,
            Fault::Words(200, ..) => 422,
            Fault::Redirect(_) => 422,
            _ => 502,
        };
        for _ in 0..3 {
            let answer = daemon.get(&path);
            assert_eq!(answer.head.status, status, "{guise:?}: {:.300}", answer.text());
        }
        assert_eq!(site.reads(FILM), 2, "{guise:?}");
        // A loop is six requests each time.
        let asked = site.media_requests().len();
        assert!(asked <= if guise == Fault::RedirectLoop { 60 } else { 40 }, "{guise:?}: {asked}");
    }
}

/// Joined by ffmpeg, it cannot be begun anew either.
#[test]
fn through_ffmpeg_too() {
    let ffmpeg = [("engine", "ffmpeg")];
    let daemon = ytdlp::daemon("");
    let whole = undisturbed(&daemon, &ffmpeg);
    let site = expiring([4, 2]);
    let pages = ["old", "new"].map(|place| page(&site, place, unchanged));
    site.put_pages(FILM, &pages.each_ref());
    let answer = daemon.get(&download_path(&site.page_url(FILM), &ffmpeg));
    assert_eq!(answer.ending, Ending::Complete, "{}", answer.text());
    assert!(answer.body == whole, "the bytes differ");
    assert_eq!(site.reads(FILM), 2);
}

/// A page that was read hours ago: its URLs are refused from the first byte on.
#[test]
fn urls_that_have_expired_before_the_first_byte() {
    let daemon = ytdlp::daemon("");
    let whole = undisturbed(&daemon, &[]);
    let site = expiring([0, 0]);
    let pages = ["old", "new"].map(|place| page(&site, place, unchanged));
    site.put_pages(FILM, &pages.each_ref());
    let answer = daemon.get(&download_path(&site.page_url(FILM), &[]));
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.text());
    assert!(answer.body == whole, "the bytes differ");
    assert_eq!(site.reads(FILM), 2);
}

/// What the page has by now: each of it must be a visible end.
#[test]
fn another_file_is_not_gone_on_with() {
    let daemon = ytdlp::daemon("");
    let site = expiring(LATE);
    let old = page(&site, "old", unchanged);
    let changed = |what: &'static str| {
        page(&site, "new", move |format, fields| {
            let url = fields["url"].as_str().unwrap().to_owned();
            match (what, format) {
                ("size", "137") => {
                    let size = fields["filesize"].as_u64().unwrap();
                    fields["filesize"] = json!(size + 1);
                    let clen = format!("clen={}", size + 1);
                    fields["url"] = json!(url.replace(&format!("clen={size}"), &clen));
                }
                ("version", "137") => fields["url"] = json!(url.replace("lmt=178", "lmt=179")),
                ("number", "137") => fields["url"] = json!(url.replace("itag=137", "itag=136")),
                _ => {}
            }
        })
    };
    let mut without = page(&site, "new", unchanged);
    without["formats"].as_object_mut().unwrap().remove("137");
    let forbidden = Resource::bytes("").fault(Fault::Status(404, vec![]));
    let cases: [(&str, Resource); 5] = [
        ("size", Resource::bytes(changed("size").to_string())),
        ("version", Resource::bytes(changed("version").to_string())),
        ("number", Resource::bytes(changed("number").to_string())),
        ("format-gone", Resource::bytes(without.to_string())),
        ("page-gone", forbidden),
    ];
    for (what, later) in cases {
        site.origin.put("f/old/137", media("137").becomes(expired(media("137")), LATE[0]));
        site.put_at_page(what, Resource::bytes(old.to_string()).becomes(later, 1));
        let mut client = Client::get(daemon.address(), &download_path(&site.page_url(what), &[]));
        let head = client.head();
        assert_eq!(head.status, 200, "{what}: {head:?}");
        let (body, ending) = client.body(&head);
        let length: usize = head.header("Content-Length").unwrap().parse().unwrap();
        assert_eq!(ending, Ending::Reset, "{what}");
        assert!(body.len() < length, "{what}: {} of {length} bytes", body.len());
    }
}

/// Where nothing behind some byte is given, with whatever URL, as without a token that the site
/// wants: a download program with eight connections hears of it soon.
#[test]
fn refreshing_has_an_end() {
    let site = Site::start();
    const FROM: u64 = 1 << 20;
    for place in ["old", "new"] {
        for format in FORMATS {
            let film = media(format).forbidden_from(if format == "137" { FROM } else { u64::MAX });
            site.origin.put(&format!("f/{place}/{format}"), film);
        }
    }
    let pages = ["old", "new"].map(|place| page(&site, place, unchanged));
    site.put_pages(FILM, &pages.each_ref());
    let daemon = ytdlp::daemon("");
    let path = download_path(&site.page_url(FILM), &[]);
    let answer = daemon.get(&path);
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Reset), "{:.300}", answer.text());
    assert_eq!(site.reads(FILM), 2);
    let asked = site.media_requests().len();
    assert!(asked <= 24, "{asked} requests");
    let again = ask(daemon.address(), "GET", &path, "Range: bytes=-100000\r\n");
    assert_eq!((again.head.status, again.code()), (502, "upstream-status".into()));
    assert!(again.text().contains("403, and again at the same offset with a fresh URL"));

    let directory = tempfile::tempdir().unwrap();
    let before = site.media_requests().len();
    let output = run(Command::new("aria2c")
        .args([
            "-x8",
            "-s8",
            "-k1M",
            "--retry-wait=0",
            "--file-allocation=none",
            "-q",
            "-o",
            "film",
        ])
        .arg("-d")
        .args([directory.path(), Path::new(&daemon.url(&path))]));
    assert!(!output.status.success());
    assert_eq!(site.reads(FILM), 2);
    let asked = site.media_requests().len() - before;
    println!("aria2c -x8 has caused {asked} requests");
    assert!(asked <= 160, "{asked} requests");
}

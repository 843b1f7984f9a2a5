//! URLs that expire in mid-download: the page is read again, and nobody notices.

use serde_json::{Value, json};

use crate::support::answer::Ending;
use crate::support::client::{Client, ask};
use crate::support::script::{Fault, Resource};
use crate::support::ytdlp::{self, FILM, Site, download_path, file};

const FORMATS: [&str; 2] = ["137", "140-1"];

fn media(format: &str) -> Resource {
    let media = Resource::file(file(format)).only_bounded_ranges().keep_alive();
    media.last_modified("Fri, 01 May 2026 10:00:00 GMT")
}

fn expired(resource: Resource) -> Resource {
    resource.fault(Fault::Status(403, vec![]))
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
fn undisturbed(wish: &[(&str, &str)]) -> Vec<u8> {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    let answer =
        daemon.get(&download_path(&site.link(FILM), &[&[("quality", "1080")], wish].concat()));
    assert_eq!(answer.ending, Ending::Complete, "{}", answer.text());
    answer.body
}

/// A site whose media are all there, at `new`; at `old` they expire from some byte on.
fn expiring(from: impl Fn(&str) -> u64) -> Site {
    let site = Site::start();
    for format in FORMATS {
        let old = expired(media(format)).fault_from(from(format));
        site.origin.put(&format!("f/old/{format}"), old);
        site.origin.put(&format!("f/new/{format}"), media(format));
    }
    site
}

#[test]
fn a_film_whose_urls_expire_is_the_same_byte_for_byte() {
    let whole = undisturbed(&[]);
    for (when, video, audio) in [("both", 1 << 20, 400 << 10), ("video", 2 << 20, u64::MAX)] {
        let site = expiring(|format| if format == "137" { video } else { audio });
        let pages = ["old", "new"].map(|place| page(&site, place, unchanged));
        site.put_pages(FILM, &pages.each_ref());
        let daemon = ytdlp::daemon("");
        let path = download_path(&site.link(FILM), &[]);
        let head = ask(daemon.address(), "HEAD", &path, "").head;
        let answer = daemon.get(&path);
        assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{when}");
        assert!(answer.body == whole, "{when}: the bytes differ");
        assert_eq!(answer.head.header("ETag"), head.header("ETag"));
        // Two tracks have found out, and the page was read once for both.
        assert_eq!(site.reads(FILM), 2, "{when}");
        assert!(!site.formats_asked("new").is_empty(), "{when}");
        // Who comes back later gets what is good now, without another look.
        let asked = site.formats_asked("old").len();
        let again = ask(daemon.address(), "GET", &path, "Range: bytes=-200000\r\n");
        assert_eq!((again.head.status, again.ending), (206, Ending::Complete), "{when}");
        assert!(again.body == whole[whole.len() - 200_000..]);
        assert_eq!((site.reads(FILM), site.formats_asked("old").len()), (2, asked), "{when}");
    }
}

/// Joined by ffmpeg, it cannot be begun anew either.
#[test]
fn through_ffmpeg_too() {
    let ffmpeg = [("engine", "ffmpeg")];
    let whole = undisturbed(&ffmpeg);
    let site = expiring(|_| 300 << 10);
    let pages = ["old", "new"].map(|place| page(&site, place, unchanged));
    site.put_pages(FILM, &pages.each_ref());
    let answer = ytdlp::daemon("").get(&download_path(&site.link(FILM), &ffmpeg));
    assert_eq!(answer.ending, Ending::Complete, "{}", answer.text());
    assert!(answer.body == whole, "the bytes differ");
}

/// A page that was read hours ago: its URLs are refused from the first byte on.
#[test]
fn urls_that_have_expired_before_the_first_byte() {
    let whole = undisturbed(&[]);
    let site = expiring(|_| 0);
    let pages = ["old", "new"].map(|place| page(&site, place, unchanged));
    site.put_pages(FILM, &pages.each_ref());
    let answer = ytdlp::daemon("").get(&download_path(&site.link(FILM), &[]));
    assert_eq!((answer.head.status, answer.ending), (200, Ending::Complete), "{}", answer.text());
    assert!(answer.body == whole, "the bytes differ");
    assert_eq!(site.reads(FILM), 2);
}

/// What the page has by now: each of it must be a visible end.
#[test]
fn another_file_is_not_gone_on_with() {
    let site = expiring(|_| 300 << 10);
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
        ("format gone", Resource::bytes(without.to_string())),
        ("page gone", forbidden),
    ];
    for (what, later) in cases {
        site.put_at_page(FILM, Resource::bytes(old.to_string()).becomes(later, 1));
        let daemon = ytdlp::daemon("");
        let mut client = Client::get(daemon.address(), &download_path(&site.link(FILM), &[]));
        let head = client.head();
        assert_eq!(head.status, 200, "{what}: {head:?}");
        let (body, ending) = client.body(&head);
        let length: usize = head.header("Content-Length").unwrap().parse().unwrap();
        assert_eq!(ending, Ending::Reset, "{what}");
        assert!(body.len() < length, "{what}: {} of {length} bytes", body.len());
    }
}

/// Where every URL is refused after some time, as without a token that the site wants.
#[test]
fn refreshing_has_an_end() {
    let site = expiring(|_| 300 << 10);
    for format in FORMATS {
        let refusing = expired(media(format)).fault_from(300 << 10);
        site.origin.put(&format!("f/new/{format}"), refusing);
    }
    let pages = ["old", "new"].map(|place| page(&site, place, unchanged));
    site.put_pages(FILM, &pages.each_ref());
    let daemon = ytdlp::daemon("");
    let answer = daemon.get(&download_path(&site.link(FILM), &[]));
    assert_eq!(answer.ending, Ending::Reset);
    let reads = site.reads(FILM);
    assert!((2..=8).contains(&reads), "the page was read {reads} times");
}

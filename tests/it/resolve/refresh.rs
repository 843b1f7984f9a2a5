//! URLs that expire in mid-download: the page is read again, and nobody notices.

use serde_json::{Value, json};

use crate::support::answer::Ending;
use crate::support::client::{Client, ask};
use crate::support::daemon::Daemon;
use crate::support::request_range;
use crate::support::script::{Fault, Resource};
use crate::support::ytdlp::{self, FILM, Site, download_path, file, sizes};

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
fn undisturbed(daemon: &Daemon, wish: &[(&str, &str)]) -> Vec<u8> {
    let site = Site::start();
    site.put_page(FILM, &json!({ "formats": sizes(FORMATS) }));
    let answer = daemon.get(&download_path(&site.link(FILM), wish));
    assert_eq!(answer.ending, Ending::Complete, "{}", answer.text());
    answer.body
}

/// A site whose media are all there, at `new`; at `old` they expire after so many requests, of which
/// the first two are for the beginning and the end.
fn expiring(after: [usize; 2]) -> Site {
    let site = Site::start();
    for (format, after) in FORMATS.into_iter().zip(after) {
        let old = media(format).becomes(expired(media(format)), after);
        site.origin.put(&format!("f/old/{format}"), old);
        site.origin.put(&format!("f/new/{format}"), media(format));
    }
    site
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
        let path = download_path(&site.link(FILM), &[]);
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

/// Joined by ffmpeg, it cannot be begun anew either.
#[test]
fn through_ffmpeg_too() {
    let ffmpeg = [("engine", "ffmpeg")];
    let daemon = ytdlp::daemon("");
    let whole = undisturbed(&daemon, &ffmpeg);
    let site = expiring([4, 2]);
    let pages = ["old", "new"].map(|place| page(&site, place, unchanged));
    site.put_pages(FILM, &pages.each_ref());
    let answer = daemon.get(&download_path(&site.link(FILM), &ffmpeg));
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
    let answer = daemon.get(&download_path(&site.link(FILM), &[]));
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
        let mut client = Client::get(daemon.address(), &download_path(&site.link(what), &[]));
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
    let site = expiring(LATE);
    site.origin.put("f/new/137", expired(media("137")));
    let pages = ["old", "new"].map(|place| page(&site, place, unchanged));
    site.put_pages(FILM, &pages.each_ref());
    let daemon = ytdlp::daemon("");
    let answer = daemon.get(&download_path(&site.link(FILM), &[]));
    assert_eq!(answer.ending, Ending::Reset);
    let reads = site.reads(FILM);
    assert!((2..=8).contains(&reads), "the page was read {reads} times");
}

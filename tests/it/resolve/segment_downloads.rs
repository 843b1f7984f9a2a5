//! Media in segments behind page links: downloaded whole, although URLs expire.

use serde_json::{Value, json};

use crate::support::answer::{Answer, Ending};
use crate::support::client::ask;
use crate::support::framemd5::frames;
use crate::support::hls::{DASH, DASH_NUMBERED, Kind, named};
use crate::support::media;
use crate::support::resource::{Fault, Resource};
use crate::support::segmented::SegmentedFilm;
use crate::support::ytdlp::{self, FILM, Site, WAYS, download_path};

/// The film of these tests, in segments of this kind.
fn film(kind: Kind) -> SegmentedFilm {
    SegmentedFilm::of(kind, media::finished())
}

/// Puts all files on the site, each changed by its name.
fn put(
    film: &SegmentedFilm,
    site: &Site,
    place: &str,
    change: impl Fn(&str, Resource) -> Resource,
) {
    film.put_with(&site.origin, &format!("f/{place}"), change);
}

/// Panics unless the answer is the film, all of it.
fn assert_is(film: &SegmentedFilm, answer: &Answer, what: &str) {
    let found = (answer.head.status, answer.ending);
    assert_eq!(found, (200, Ending::Complete), "{what}: {}", answer.text());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &answer.body).unwrap();
    let files = [&*film.source, file.path()];
    let [pictures, shown] =
        files.map(|file| frames(file, "v").into_iter().map(|frame| frame.md5).collect::<Vec<_>>());
    assert_eq!(pictures, shown, "{what}");
    let [before, after] = files.map(|file| frames(file, "a").len());
    assert!(before.abs_diff(after) <= 2, "{what}: {before} and {after} frames of sound");
}

/// The page of a film whose only formats are in these manifests.
fn manifests(names: &[&str]) -> Value {
    json!({"formats": {}, "manifests": names})
}

#[test]
fn a_film_in_segments_is_one_file() {
    let encrypted = |kind| ("fragments, encrypted", film(named(kind)).encrypted(), "list.m3u8");
    let plain = |kind: Kind, manifest| (kind.name, film(kind), manifest);
    let daemons = WAYS.map(ytdlp::daemon);
    for (what, film, manifest) in [
        plain(DASH, "dash.mpd"),
        plain(named("fragments, apart"), "master.m3u8"),
        plain(named("transport stream, apart"), "master.m3u8"),
        plain(named("transport stream, encrypted"), "list.m3u8"),
        plain(named("fragments in one file"), "list.m3u8"),
        encrypted("fragments"),
    ] {
        let mut first: Option<Answer> = None;
        for daemon in &daemons {
            let site = Site::start();
            put(&film, &site, FILM, |_, resource| resource);
            site.put_page(FILM, &manifests(&[manifest]));
            let path = download_path(&site.page_url(FILM), &[]);
            let whole = daemon.get(&path);
            assert_is(&film, &whole, what);
            let length = whole.body.len();
            let said = whole.head.header("Content-Length");
            assert_eq!(said, Some(length.to_string().as_str()), "{what}: {:?}", whole.head);
            let head = ask(daemon.address(), "HEAD", &path, "").head;
            assert_eq!(head.header("ETag"), whole.head.header("ETag"), "{what}");
            for start in [0, 1, length / 3, length - 1] {
                let end = (start + 100_000).min(length);
                let field = format!("Range: bytes={start}-{}\r\n", end - 1);
                let part = ask(daemon.address(), "GET", &path, &field);
                assert_eq!((part.head.status, part.ending), (206, Ending::Complete), "{what}");
                assert!(part.body == whole.body[start..end], "{what}: bytes from {start}");
            }
            assert_eq!(site.reads(FILM), 1, "{what}");
            // Other URLs and another instance change nothing.
            if let Some(first) = &first {
                assert!(first.body == whole.body, "{what}");
                assert_eq!(first.head.header("ETag"), whole.head.header("ETag"), "{what}");
            }
            first = Some(whole);
        }
    }
}

/// yt-dlp computes the number of segments from the duration, which may be a little longer than the film.
#[test]
fn a_last_segment_that_does_not_exist_is_left_out() {
    let film = film(DASH_NUMBERED);
    let (site, daemon) = (Site::start(), ytdlp::daemon(WAYS[0]));
    let answer = |place: &str, missing: &str| {
        put(&film, &site, place, |name, resource| match name {
            "dash.mpd" => {
                let text = String::from_utf8(resource.read()).unwrap();
                let at = text.find("mediaPresentationDuration=\"PT").unwrap() + 29;
                let end = at + text[at..].find('"').unwrap();
                Resource::bytes(format!("{}1M1.5S{}", &text[..at], &text[end..]))
            }
            _ if name.ends_with(missing) => resource.fault(Fault::Status(404, Vec::new())),
            _ => resource,
        });
        site.put_page(place, &manifests(&["dash.mpd"]));
        daemon.get(&download_path(&site.page_url(place), &[]))
    };
    let whole = answer(FILM, "nothing");
    assert_is(&film, &whole, "dash");
    assert!(whole.head.header("Content-Length").is_some(), "{:?}", whole.head);
    let other = answer("another", "-00012.m4s");
    assert_ne!(other.head.status, 200, "any other segment is needed");
}

/// A server that serves browsers only is named in the words for it.
#[test]
fn a_server_that_expects_browsers_is_told() {
    for name in ["18", "list"] {
        let (site, daemon) = (Site::start(), ytdlp::daemon(WAYS[0]));
        let refused = Resource::bytes("").fault(Fault::Status(403, Vec::new()));
        site.origin.put(&format!("f/{FILM}/{name}"), refused);
        let protocol = if name == "18" { "http" } else { "m3u8_native" };
        let format = json!({"protocol": protocol, "ext": "mp4", "impersonate": true});
        site.put_page(FILM, &json!({"formats": {name: format}}));
        let answer = daemon.get(&download_path(&site.page_url(FILM), &[]));
        assert_eq!((answer.head.status, answer.code().as_str()), (502, "upstream-status"));
        assert!(answer.text().contains("serve none but browsers"), "{}", answer.text());
    }
}

/// The page of the film at a place of the origin, as a site describes it that signs its URLs.
fn signed(site: &Site, film: &SegmentedFilm, place: &str, is_dash: bool) -> Value {
    let url = |name: &str| site.origin.url(&format!("f/{place}/{name}"));
    let fragments = |stream: usize| {
        let segment = |number: usize| format!("chunk-stream{stream}-{number:05}.m4s");
        let exists = |name: &String| film.has(name);
        let segments = (1..).map(segment).take_while(exists);
        let segments = segments.map(|name| json!({"url": url(&name), "duration": 2}));
        let init = json!({"url": url(&format!("init-stream{stream}.m4s"))});
        std::iter::once(init).chain(segments).collect::<Vec<_>>()
    };
    let format = |stream: usize, more: Value| {
        let mut fields = match is_dash {
            true => json!({"protocol": "http_dash_segments", "fragments": fragments(stream),
                "url": site.origin.url("f/manifest.mpd")}),
            false => {
                json!({"protocol": "m3u8_native", "url": url(&format!("stream_{stream}.m3u8"))})
            }
        };
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fields
    };
    let video = json!({"ext": "mp4", "vcodec": "avc1.4d401f", "acodec": "none", "height": 360});
    let audio = json!({"ext": "mp4", "vcodec": "none", "acodec": "mp4a.40.2"});
    json!({"formats": {"v": format(0, video), "a": format(1, audio)}})
}

#[test]
fn segments_whose_urls_expire_are_found_again() {
    for (kind, last, is_dash) in [
        (DASH, "chunk-stream0-00004.m4s", true),
        (named("fragments, apart"), "stream_03.m4s", false),
    ] {
        let (what, film) = (kind.name, film(kind));
        let (site, daemon) = (Site::start(), ytdlp::daemon(""));
        // The lengths can be found out; then the URLs from the fourth segment on expire.
        put(&film, &site, "old", |name, resource| {
            let expired = resource.clone().fault(Fault::Status(403, vec![]));
            if name >= last && name.starts_with(&last[..last.len() - 6]) {
                resource.becomes(expired, 1)
            } else {
                resource
            }
        });
        put(&film, &site, "new", |_, resource| resource);
        let pages = ["old", "new"].map(|place| signed(&site, &film, place, is_dash));
        site.put_pages(FILM, &pages.each_ref());
        let path = download_path(&site.page_url(FILM), &[]);
        let answer = daemon.get(&path);
        assert_is(&film, &answer, what);
        assert_eq!(site.reads(FILM), 2, "{what}");
        assert!(site.requests_at("new") > 0, "{what}");
        let again = ask(daemon.address(), "GET", &path, "Range: bytes=-200000\r\n");
        assert_eq!((again.head.status, again.ending), (206, Ending::Complete), "{what}");
        assert!(again.body == answer.body[answer.body.len() - 200_000..], "{what}");
        assert_eq!(again.head.header("ETag"), answer.head.header("ETag"), "{what}");
    }
}

/// A page that leads to other segments under the old name does not lead to the same film.
#[test]
fn another_film_is_not_gone_on_with() {
    let (site, daemon) = (Site::start(), ytdlp::daemon(""));
    let film = film(DASH);
    put(&film, &site, "old", |name, resource| {
        let expired = resource.clone().fault(Fault::Status(403, vec![]));
        if name == "chunk-stream0-00004.m4s" { resource.becomes(expired, 1) } else { resource }
    });
    put(&film, &site, "new", |_, resource| resource);
    let [old, mut new] = ["old", "new"].map(|place| signed(&site, &film, place, true));
    new["formats"]["v"]["fragments"].as_array_mut().unwrap().pop();
    site.put_pages(FILM, &[&old, &new]);
    let answer = daemon.get(&download_path(&site.page_url(FILM), &[]));
    let is_whole = answer.head.status == 200 && answer.ending == Ending::Complete;
    assert!(!is_whole, "{:?}", answer.head);
    daemon.logs("another file under the same id");
}

//! Ten faults that users of other programs have reported.
//!
//! | | reported | test |
//! |---|---|---|
//! | 1 | an initialisation segment behind each discontinuity (Twitch) | here |
//! | 2 | AES-128 without vectors, late sequence numbers, two keys, with and without EXT-X-MAP | here |
//! | 3 | segments that begin with an image | here |
//! | 4 | byte ranges without offsets | here |
//! | 5 | byte ranges of one file need no probes | here |
//! | 6 | packed audio beside video that begins late | `packed` |
//! | 7 | timestamps that wrap within a segment | here |
//! | 8 | a segment that is always missing | here |
//! | 9 | a page of 20 formats with 8,000 segments each | `resolve::segmented` |
//! | 10 | segments on two hosts, and cookies that the playlist sets | here |

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::support::aes_128::encrypt;
use crate::support::answer::Head;

/// The film of all kinds by the playlist that `edit` makes of that of `kind`, each other resource changed
/// by its name.
fn edited(
    origin: &Origin,
    place: &str,
    kind: &str,
    edit: impl Fn(String) -> String,
    change: impl Fn(&str, Resource) -> Resource,
) -> String {
    let film = SegmentedFilm::new(named(kind)).edit(edit);
    any_path(Some(&film.put_with(origin, &own_place(place, kind), change)), None, &[])
}

/// Where a film of this kind is: what is at a place is remembered.
fn own_place(place: &str, kind: &str) -> String {
    format!("{place}/{}", kind.replace([' ', ','], "-"))
}

/// The same film as it is.
fn plain(origin: &Origin, daemon: &Daemon, kind: &str) -> Vec<u8> {
    let answer = daemon.get(&edited(origin, "plain", kind, |text| text, |_, resource| resource));
    assert_whole(&answer, kind);
    answer.body
}

fn has_all_frames(body: &[u8], what: &str) {
    let directory = tempfile::tempdir().unwrap();
    let file = written(directory.path(), body);
    assert!(frames(&file, "v") == frames(&source(), "v"), "{what}");
    let duration = media::file_duration(&file).unwrap();
    assert!((duration - 30.0).abs() < 0.25, "{what}: {duration}");
}

/// Puts lines before the segment with this number.
fn before_segment(text: &str, number: usize, lines: &str) -> String {
    let at = text.match_indices("#EXTINF").nth(number).unwrap().0;
    format!("{}{lines}\n{}", &text[..at], &text[at..])
}

#[test]
fn an_initialisation_behind_a_discontinuity() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let edit = |text: String| {
        before_segment(&text, 7, "#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"again.mp4\"")
    };
    let path = |place: &str, init: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        edited(&origin, place, "fragments", edit, |name, resource| {
            if name == "init.mp4" {
                let again = Resource::bytes(init(resource.read())).ranges().keep_alive();
                let place = own_place(place, "fragments");
                origin.put(&format!("{place}/again.mp4"), again);
            }
            resource
        })
    };
    let answer = daemon.get(&path("same", &|bytes| bytes));
    assert_whole(&answer, "the same bytes");
    assert!(answer.head.header("Content-Length").is_some());
    has_all_frames(&answer.body, "the same bytes");
    let hevc = |bytes: Vec<u8>| {
        let at = bytes.windows(4).position(|found| found == b"avc1").unwrap();
        [&bytes[..at], b"hvc1", &bytes[at + 4..]].concat()
    };
    let answer = daemon.get(&path("another", &hevc));
    assert_eq!((answer.head.status, answer.code().as_str()), (422, "mux-refused"));
    assert!(answer.text().contains("from H264 and Aac to Hevc and Aac"), "{}", answer.text());
}

#[test]
fn two_keys_without_vectors_and_late_sequence_numbers() {
    const FIRST: u128 = 7794;
    let keys = [*b"the first key...", *b"the second key.."];
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    for kind in ["transport stream", "fragments"] {
        let expected = plain(&origin, &daemon, kind);
        let names = SegmentedFilm::new(named(kind)).segments();
        let edit = |text: String| {
            let text = text.replace("MEDIA-SEQUENCE:0", &format!("MEDIA-SEQUENCE:{FIRST}"));
            let text = before_segment(&text, 7, "#EXT-X-KEY:METHOD=AES-128,URI=\"key-1\"");
            before_segment(&text, 0, "#EXT-X-KEY:METHOD=AES-128,URI=\"key-0\"")
        };
        for (number, key) in keys.iter().enumerate() {
            let place = own_place("keys", kind);
            origin.put(&format!("{place}/key-{number}"), Resource::bytes(*key));
        }
        let path = edited(&origin, "keys", kind, edit, |name, resource| {
            let Some(number) = names.iter().position(|segment| segment == name) else {
                return resource;
            };
            let key = keys[usize::from(number >= 7)];
            let encrypted = encrypt(&resource.read(), key, FIRST + number as u128);
            Resource::bytes(encrypted).ranges().etag("\"1\"").keep_alive()
        });
        let answer = daemon.get(&path);
        assert_whole(&answer, kind);
        assert!(answer.head.header("Content-Length").is_some(), "{kind}");
        assert!(answer.body == expected, "{kind}");
        assert_ranges(&Daemon::start(LOOPBACK), &path, &answer, 200);
    }
}

#[test]
fn segments_behind_images() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let small = [&b"\x89PNG\r\n\x1a\n"[..], &[0; 62]].concat();
    let with_sync_bytes = [&b"\x89PNG\r\n\x1a\n"[..], &b"G".repeat(300), &[0; 100]].concat();
    let real = ["png", "gif", "bmp", "jpg"].map(|kind| {
        let one = [&media::picture("64x64", 1, 1)[..], &["-frames:v".into(), "1".into()]].concat();
        (kind, fs::read(media::generate("disguise", kind, &one)).unwrap())
    });
    let expected = frames(&source(), "v");
    let images = [("small", small), ("sync", with_sync_bytes)].into_iter().chain(real);
    for (place, image) in images {
        let path = edited(
            &origin,
            place,
            "transport stream",
            |text| text,
            |name, resource| {
                if !name.ends_with(".ts") {
                    return resource;
                }
                let disguised = [&image[..], &resource.read()].concat();
                Resource::bytes(disguised).ranges().etag("\"1\"").keep_alive()
            },
        );
        for length in ["auto", "none"] {
            let what = format!("{place}, length={length}");
            let answer = daemon.get(&format!("{path}&length={length}"));
            assert_whole(&answer, &what);
            let is_exact = answer.head.header("Content-Length").is_some();
            assert_eq!(is_exact, length == "auto", "{what}");
            let directory = tempfile::tempdir().unwrap();
            assert!(frames(&written(directory.path(), &answer.body), "v") == expected, "{what}");
        }
    }
}

#[test]
fn byte_ranges_without_offsets_and_without_probes() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    for kind in ["transport stream in one file", "fragments in one file"] {
        let expected = plain(&origin, &daemon, kind);
        // All but the first offset follow from the ranges before.
        let without = |text: String| {
            let mut seen = 0;
            let lines = text.lines().map(|line| match line.strip_prefix("#EXT-X-BYTERANGE:") {
                Some(range) if seen > 0 => {
                    format!("#EXT-X-BYTERANGE:{}\n", range.split('@').next().unwrap())
                }
                range => {
                    seen += usize::from(range.is_some());
                    format!("{line}\n")
                }
            });
            lines.collect()
        };
        let path = edited(&origin, "chain", kind, without, |_, resource| resource);
        let head = ask(daemon.address(), "HEAD", &path, "").head;
        assert_eq!(head.header("Content-Length"), Some(&*expected.len().to_string()), "{kind}");
        let before = origin.requests().len();
        let answer = daemon.get(&path);
        assert_whole(&answer, kind);
        assert!(answer.body == expected, "{kind}");
        let requests = origin.requests().len() - before;
        assert!(requests <= 18, "{kind}: {requests} requests for 15 segments");
        let first = |text: String| {
            let text = without(text);
            let range = text.lines().find(|line| line.starts_with("#EXT-X-BYTERANGE:")).unwrap();
            text.replacen(range, range.split('@').next().unwrap(), 1)
        };
        let answer = daemon.get(&edited(&origin, "first", kind, first, |_, resource| resource));
        assert_eq!((answer.head.status, answer.code().as_str()), (502, "upstream-playlist"));
        assert!(answer.text().contains("has no offset"), "{}", answer.text());
    }
}

#[test]
fn timestamps_that_wrap_within_a_segment() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let film = SegmentedFilm::of(WRAPPING, &source());
    let url = film.put(&origin, "wrap");
    for length in ["auto", "none"] {
        let answer = daemon.get(&any_path(Some(&url), None, &[("length", length)]));
        assert_whole(&answer, length);
        has_all_frames(&answer.body, length);
    }
}

#[test]
fn a_segment_that_is_always_missing() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    for kind in ["fragments", "transport stream", "fragments, apart"] {
        let film = SegmentedFilm::new(named(kind));
        let names = film.segments();
        let place = kind.replace([' ', ','], "-");
        let url = film.put_with(&origin, &place, |name, resource| {
            if name == names[5] {
                return resource.fault(Fault::Status(404, Vec::new()));
            }
            resource
        });
        let answer = daemon.get(&any_path(Some(&url), None, &[]));
        assert_eq!((answer.head.status, answer.code().as_str()), (404, "upstream-not-found"));
        let answer = daemon.get(&any_path(Some(&url), None, &[("length", "none")]));
        assert!(answer.head.status != 200 || answer.ending == Ending::Reset, "{kind}");
    }
}

#[test]
fn two_hosts_and_cookies_of_the_playlist() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let other = Origin::start_at(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)));
    let expected = plain(&origin, &daemon, "transport stream, implied vectors");
    let film = SegmentedFilm::new(named("transport stream, implied vectors"));
    film.put(&other, "hosts");
    let elsewhere = other.url("hosts/list3.ts");
    let edit = |text: String| text.replace("\nlist3.ts", &format!("\n{elsewhere}"));
    let path =
        edited(&origin, "hosts", "transport stream, implied vectors", edit, |name, resource| {
            match name {
                "list.m3u8" => resource.set_cookie("list=1; Path=/hosts"),
                "key" => resource.set_cookie("key=2"),
                _ => resource,
            }
        });
    let answer = daemon.get(&path);
    assert_whole(&answer, "two hosts");
    assert!(answer.body == expected);
    let cookies = |origin: &Origin, end: &str| -> Vec<Option<String>> {
        let requests = origin.requests().into_iter();
        let requests = requests.filter(|r| r.path.starts_with("/hosts/") && r.path.ends_with(end));
        requests.map(|request| request.header("cookie").map(str::to_owned)).collect()
    };
    let is = |found: &[Option<String>], expected: Option<&str>| {
        !found.is_empty() && found.iter().all(|cookie| cookie.as_deref() == expected)
    };
    assert!(is(&cookies(&origin, ".m3u8"), None));
    assert!(is(&cookies(&origin, "/key"), Some("list=1")));
    assert!(is(&cookies(&origin, ".ts"), Some("list=1; key=2")), "{:?}", cookies(&origin, ".ts"));
    assert!(is(&cookies(&other, ".ts"), None), "not those of another site");
    assert!(!daemon.log().contains("list=1"));
}

/// A client that continues with the first one must not get the second.
#[test]
fn what_does_not_fit_its_place_has_no_length_the_next_time() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let film = SegmentedFilm::new(named("transport stream"));
    let names = film.segments();
    let [mut other, right] = [12, 6].map(|number| film.content(&names[number]));
    // Packets of nothing.
    let nothing = [&[0x47, 0x1f, 0xff, 0x10][..], &[0xff; 184]].concat();
    other.resize(right.len().min(other.len()), 0);
    while other.len() < right.len() {
        other.extend(&nothing);
    }
    let url = film.put_with(&origin, "film", |name, resource| {
        let is_other = name == names[6];
        if is_other { Resource::bytes(other.clone()).ranges().keep_alive() } else { resource }
    });
    let path = any_path(Some(&url), None, &[]);
    let has_length = |head: &Head| head.header("Content-Length").is_some();
    assert!(has_length(&ask(daemon.address(), "HEAD", &path, "").head));
    let first = daemon.get(&path);
    assert!(has_length(&first.head) && first.ending != Ending::Complete, "{:?}", first.head);
    let next = ask(daemon.address(), "GET", &path, "Range: bytes=1000-\r\n");
    assert!(next.head.status == 200 && !has_length(&next.head), "{:?}", next.head);
    assert!(!has_length(&ask(daemon.address(), "HEAD", &path, "").head));
}

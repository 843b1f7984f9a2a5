//! Whatever a playlist names, at first or later, has to be at an address that is permitted.

use super::{ONLY_OUTER, origin_beside_tripwire};
use crate::support::answer::Ending;
use crate::support::client::any_path;
use crate::support::connection_detector::Tripwire;
use crate::support::daemon::Daemon;
use crate::support::hls::{Kind, LIVE, live_source, named};
use crate::support::live::LiveList;
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource};
use crate::support::segmented::SegmentedFilm;

/// Who names what is not permitted, in which kind of film: this text of its first playlist is replaced by that.
const NAMED: [(&str, &str, &str, &str); 7] = [
    ("EXT-X-MAP", "fragments", "URI=\"init.mp4\"", "URI=\"INNER/init.mp4\""),
    ("EXT-X-KEY", "transport stream, encrypted", "URI=\"key\"", "URI=\"INNER/key\""),
    ("a variant", "transport stream, apart", "\nstream_0.m3u8", "\nINNER/stream_0.m3u8"),
    ("an audio group", "fragments, apart", "URI=\"stream_1.m3u8\"", "URI=\"INNER/stream_1.m3u8\""),
    ("the first segment", "transport stream", "\nlist0.ts", "\nINNER/list0.ts"),
    ("a later segment", "fragments", "\nlist7.m4s", "\nINNER/list7.m4s"),
    ("a byte range", "fragments in one file", "\nlist.m4s", "\nINNER/list.m4s"),
];

/// Requests a film, with and without its length; nothing of it may be complete, nor reach the inside.
fn is_refused(daemon: &Daemon, inner: &Tripwire, url: &str, what: &str) {
    for length in ["auto", "none"] {
        let answer = daemon.get(&any_path(Some(url), None, &[("length", length)]));
        let what = format!("{what}, length={length}");
        match answer.head.status {
            200 => assert_ne!(answer.ending, Ending::Complete, "{what}"),
            status => {
                let found = (status, answer.code());
                assert_eq!(found, (403, "address-refused".to_owned()), "{what}: {}", answer.text());
            }
        }
    }
    assert_eq!(inner.connections(), 0, "{what}");
}

fn inward(inner: &Tripwire) -> String {
    format!("http://127.0.0.1:{}", inner.port())
}

#[test]
fn nothing_that_a_playlist_names_is_inside() {
    let (outer, inner) = origin_beside_tripwire();
    let daemon = Daemon::start(ONLY_OUTER);
    for (number, (what, kind, before, after)) in NAMED.into_iter().enumerate() {
        let after = after.replace("INNER", &inward(&inner));
        let film = SegmentedFilm::new(named(kind)).edit(|text| {
            assert!(text.contains(before), "{what}: {text}");
            text.replacen(before, &after, 1)
        });
        is_refused(&daemon, &inner, &film.put(&outer, &number.to_string()), what);
    }
}

#[test]
fn nothing_of_a_playlist_is_redirected_inside() {
    let (outer, inner) = origin_beside_tripwire();
    let daemon = Daemon::start(ONLY_OUTER);
    for (number, (what, kind, name)) in [
        ("a segment", "transport stream", "list3.ts"),
        ("a fragment", "fragments", "list3.m4s"),
        ("an initialisation segment", "fragments", "init.mp4"),
        ("a key", "transport stream, encrypted", "key"),
        ("a variant", "fragments, apart", "stream_0.m3u8"),
        ("an audio group", "transport stream, apart", "stream_1.m3u8"),
    ]
    .into_iter()
    .enumerate()
    {
        let film = SegmentedFilm::new(named(kind));
        assert!(film.has(name), "{what}");
        let url = film.put_with(&outer, &number.to_string(), |own, resource| {
            let to = format!("{}/{name}", inward(&inner));
            if own == name { Resource::bytes("").fault(Fault::Redirect(to)) } else { resource }
        });
        is_refused(&daemon, &inner, &url, what);
    }
}

/// A stream that was well until its playlist was loaded again.
fn goes_inside(origin: &Origin, kind: Kind, next: impl Fn(&LiveList) -> Resource) -> String {
    let film = SegmentedFilm::of(kind, &live_source());
    let url = film.put(origin, "live");
    let list = LiveList::of(&film, "list.m3u8");
    let first = Resource::bytes(list.text((0, 4, false))).becomes(next(&list), 1);
    origin.put("live/list.m3u8", first);
    url
}

#[test]
fn a_live_stream_does_not_turn_inside() {
    let (outer, inner) = origin_beside_tripwire();
    let daemon = Daemon::start(ONLY_OUTER);
    let base = inward(&inner);
    type Next<'n> = &'n dyn Fn(&LiveList) -> Resource;
    let segments: Next<'_> = &|list| {
        let text = list.text((0, 10, true)).replace("\nlist", &format!("\n{base}/list"));
        Resource::bytes(text)
    };
    let redirect: Next<'_> =
        &|_| Resource::bytes("").fault(Fault::Redirect(format!("{base}/list.m3u8")));
    for (what, kind, next) in [
        ("segments", LIVE[1], segments),
        ("fragments", LIVE[0], segments),
        ("a redirect", LIVE[1], redirect),
    ] {
        let url = goes_inside(&outer, kind, next);
        let answer = daemon.get(&any_path(Some(&url), None, &[("start", "0")]));
        assert_eq!(answer.head.status, 200, "{what}: {}", answer.text());
        assert_ne!(answer.ending, Ending::Complete, "{what}");
        daemon.logs("is not a public address");
        assert_eq!(inner.connections(), 0, "{what}");
    }
}

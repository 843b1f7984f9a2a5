//! How many requests to others a single request may cause, by a playlist that a stranger wrote.

use crate::support::answer::Answer;
use crate::support::client::{any_path, ask};
use crate::support::daemon::{Daemon, LOOPBACK};
use crate::support::hls::named;
use crate::support::origin::Origin;
use crate::support::segmented::SegmentedFilm;

/// The film of a kind, whose segments are followed by the last one again, so many times, each with this line before
/// it.
fn long(kind: &str, count: usize, line: impl Fn(usize) -> String) -> SegmentedFilm {
    SegmentedFilm::new(named(kind)).edit(|text| {
        let (before, after) = text.rsplit_once("#EXTINF").unwrap();
        let (duration, rest) = after.split_once('\n').unwrap();
        let name = rest.lines().next().unwrap();
        let entry = |number| format!("{}#EXTINF{duration}\n{name}?{number}\n", line(number));
        format!("{before}{}#EXT-X-ENDLIST\n", (0..count).map(entry).collect::<String>())
    })
}

/// Asks for the head of a film; returns the answer, and how many requests that caused.
fn cost(daemon: &Daemon, origin: &Origin, film: &SegmentedFilm, place: &str) -> (Answer, usize) {
    let path = any_path(Some(&film.put(origin, place)), None, &[]);
    let before = origin.requests().len();
    let answer = ask(daemon.address(), "HEAD", &path, "");
    (answer, origin.requests().len() - before)
}

#[test]
fn a_playlist_is_no_amplifier() {
    let (origin, daemon) = (Origin::start(), Daemon::start(LOOPBACK));
    let none = |_| String::new();
    // The playlist, the initialisation segment, the key, and what tells the index.
    const OTHERS: usize = 8;
    for (kind, each) in [
        ("fragments", 1),
        ("transport stream", 1),
        ("transport stream, encrypted", 2),
        ("fragments in one file", 0),
    ] {
        let film = SegmentedFilm::new(named(kind));
        let segments = film.segments().len();
        let place = kind.replace([' ', ','], "-");
        let (answer, requests) = cost(&daemon, &origin, &film, &place);
        assert!(answer.head.header("Content-Length").is_some(), "{kind}: {:?}", answer.head);
        let most = each * segments + OTHERS;
        assert!(requests <= most, "{kind}: {requests} requests for {segments} segments");
    }
    // What is too long to be asked for has no length.
    let film = long("fragments", 4001, none);
    let (answer, requests) = cost(&daemon, &origin, &film, "4001");
    assert_eq!((answer.head.status, answer.head.header("Content-Length")), (200, None));
    assert!(requests <= OTHERS, "{requests} requests");
    // What is too long for anything is refused, and so are keys without end.
    let film = long("fragments", 20_001, none);
    let (answer, requests) = cost(&daemon, &origin, &film, "20001");
    assert_eq!(answer.head.status, 502, "{:?}", answer.head);
    assert!(requests <= 2, "{requests} requests");
    let key = |number| format!("#EXT-X-KEY:METHOD=AES-128,URI=\"key?{number}\"\n");
    let film = long("transport stream, encrypted", 1000, key);
    let (answer, requests) = cost(&daemon, &origin, &film, "keys");
    assert_eq!(answer.head.status, 502, "{:?}", answer.head);
    assert!(requests <= 256 + OTHERS, "{requests} requests");
    let map = |number| format!("#EXT-X-MAP:URI=\"init.mp4?{number}\"\n");
    let film = long("fragments", 1000, map);
    let (answer, requests) = cost(&daemon, &origin, &film, "maps");
    assert_eq!(answer.head.status, 502, "{:?}", answer.head);
    assert!(requests <= OTHERS, "{requests} requests");
}

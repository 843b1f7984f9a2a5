//! Faults of segments: the client sees the same bytes, or a failure.

use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::*;
use crate::support::client::Client;
use crate::support::hls::{LIVE, live_source};
use crate::support::number_from;

/// Retries are few, so that what lasts is found out soon.
const SETTINGS: &str = "[limits]\nstreams = 64\nstreams_per_client = 64\nmuxers = 64\nmuxers_per_client = 64\n\
    [upstream]\nallow = [\"127.0.0.0/8\"]\nretries = 2\nstall_timeout = \"2s\"\n";
const ABREAST: usize = 12;
/// Downloads over connections that break, unless `YTCANAL_CUTS` says otherwise.
const DOWNLOADS: u64 = 60;

/// What is served instead of a segment of a film, by its number among segments of these names.
#[derive(Clone)]
pub(super) enum Change {
    /// The same, with a fault, so many times.
    Fault(Fault, usize),
    /// Something else.
    Content(fn(&SegmentedFilm, &[String], usize) -> Resource),
}

impl Change {
    pub(super) fn apply(&self, film: &SegmentedFilm, names: &[String], place: usize) -> Resource {
        match self {
            Change::Fault(fault, times) => {
                served(film, names, place).fault(fault.clone()).fault_times(*times)
            }
            Change::Content(content) => content(film, names, place),
        }
    }
}

fn served(film: &SegmentedFilm, names: &[String], place: usize) -> Resource {
    Resource::bytes(film.content(&names[place])).ranges().etag("\"1\"").keep_alive()
}

/// What is done to one segment.
pub(super) fn faults() -> Vec<(&'static str, Change)> {
    const ALWAYS: usize = usize::MAX;
    let faults = [
        ("cut once", Fault::CutAt(5000), 1),
        ("cut always", Fault::CutAt(5000), ALWAYS),
        ("reset once", Fault::ResetAt(5000), 1),
        ("stalls once", Fault::StallAt(5000), 1),
        ("stalls always", Fault::StallAt(5000), ALWAYS),
        ("404", Fault::Status(404, Vec::new()), ALWAYS),
        ("403", Fault::Status(403, Vec::new()), ALWAYS),
        ("503 once", Fault::Status(503, Vec::new()), 1),
        ("hangs up once", Fault::HangUp, 1),
        ("no answer", Fault::Silent, ALWAYS),
        ("a web page", Fault::Words(200, "text/html", "<html>no</html>"), ALWAYS),
        ("longer than announced", Fault::LengthTooLargeBy(10), ALWAYS),
        ("chunked", Fault::Chunked, ALWAYS),
        ("chunked and cut", Fault::ChunkedCutAt(5000), ALWAYS),
        ("no ranges", Fault::IgnoreRange, ALWAYS),
    ];
    let faults = faults.map(|(name, fault, times)| (name, Change::Fault(fault, times)));
    faults.into_iter().chain(contents()).collect()
}

/// Changes of the content of a segment: what is there is complete, and not what it should be.
fn contents() -> [(&'static str, Change); 4] {
    [
        (
            "another segment",
            Change::Content(|film, names, place| {
                let other = (place + names.len() - 2) % names.len();
                Resource::bytes(film.content(&names[other])).ranges().keep_alive()
            }),
        ),
        (
            "last packets missing",
            Change::Content(|film, names, place| {
                let mut bytes = film.content(&names[place]);
                bytes.truncate(bytes.len() / 2 / 188 * 188);
                Resource::bytes(bytes).ranges().keep_alive()
            }),
        ),
        (
            "another ETag",
            Change::Content(|film, names, place| {
                let other = served(film, names, place).etag("\"2\"");
                served(film, names, place).becomes(other, 1)
            }),
        ),
        (
            "another length",
            Change::Content(|film, names, place| {
                let mut bytes = film.content(&names[place]);
                match bytes[0] {
                    // A packet without content.
                    0x47 => bytes.extend([&[0x47, 0x1f, 0xff, 0x10][..], &[0xff; 184]].concat()),
                    // A box without meaning, or 16 bytes of cipher.
                    _ => bytes.extend(b"\0\0\0\x08free\0\0\0\x08free"),
                }
                served(film, names, place)
                    .becomes(Resource::bytes(bytes).ranges().etag("\"1\"").keep_alive(), 1)
            }),
        ),
    ]
}

/// One segment of a film with one fault.
pub(super) struct Cell {
    pub(super) what: String,
    pub(super) path: String,
    pub(super) expected: Vec<u8>,
}

impl Cell {
    /// Whether this is what comes without the fault. Where a segment tells no length, or has no
    /// ranges, another engine may join the same media.
    fn is_met_by(&self, body: &[u8]) -> bool {
        // So is what is found to be another one before anything was sent.
        let others = ["no ranges", "another ETag", "another length"];
        if !others.iter().any(|other| self.what.ends_with(other)) {
            return body == self.expected;
        }
        let directory = tempfile::tempdir().unwrap();
        let [is, should] = [body, &self.expected].map(|body| {
            let file = written(directory.path(), body);
            ["v", "a"].map(|stream| frames(&file, stream))
        });
        is == should
    }
}

fn cells(origin: &Origin, daemon: &Daemon) -> Vec<Cell> {
    let mut cells = Vec::new();
    let kinds = ["fragments", "fragments, apart", "transport stream, encrypted"].map(named);
    for (kind, length) in kinds.into_iter().flat_map(|kind| [(kind, "auto"), (kind, "none")]) {
        let film = SegmentedFilm::new(kind);
        let names = film.segments();
        let path = |url: &str| any_path(Some(url), None, &[("length", length)]);
        let whole = daemon.get(&path(&film.put(origin, &format!("whole-{}", cells.len()))));
        assert_whole(&whole, kind.name);
        for (name, fault) in faults() {
            for place in [0, names.len() / 2, names.len() - 1] {
                let change = |segment: &str, resource: Resource| match segment {
                    _ if segment == names[place] => fault.apply(&film, &names, place),
                    _ => resource,
                };
                let url = film.put_with(origin, &format!("cell-{}", cells.len()), change);
                let what = format!("{}, length={length}, segment {place}: {name}", kind.name);
                cells.push(Cell { what, path: path(&url), expected: whole.body.clone() });
            }
        }
    }
    cells
}

/// Whatever happens to a segment, at whichever place of the film.
#[test]
fn a_fault_of_a_segment_is_mended_or_visible() {
    let (origin, daemon) = (Origin::start(), Daemon::start(SETTINGS));
    judge(&daemon, &cells(&origin, &daemon));
}

/// Segments that are complete, and are not what is listed: of all kinds, in each of their playlists.
#[test]
fn what_is_no_segment_of_the_film_is_visible() {
    let (origin, daemon) = (Origin::start(), Daemon::start(SETTINGS));
    let kinds = ["fragments", "fragments, apart", "transport stream", "transport stream, apart"];
    let films = films().into_iter();
    let films = films.filter(|(name, _)| kinds.contains(name) || *name == "packed audio");
    let alone = SegmentedFilm::of(LIVE[4], &live_source());
    let mut cells = Vec::new();
    for (kind, film) in films.chain([(LIVE[4].name, alone)]) {
        for (length, list) in [("auto", 0), ("none", 0), ("auto", 1), ("none", 1)] {
            let lists = ["list.m3u8", "stream_0.m3u8", "stream_1.m3u8"];
            let lists: Vec<_> = lists.into_iter().filter(|list| film.has(list)).collect();
            let Some(names) = lists.get(list).map(|list| film.segments_of(list)) else { continue };
            for (name, content) in &contents()[..2] {
                for place in [0, names.len() / 2, names.len() - 1] {
                    let what = format!("{kind}, length={length}, list {list}, {place}: {name}");
                    let url =
                        film.put_with(&origin, &format!("{}", cells.len()), |file, resource| {
                            match file == names[place] {
                                true => content.apply(&film, &names, place),
                                false => resource,
                            }
                        });
                    cells.push((what, any_path(Some(&url), None, &[("length", length)])));
                }
            }
        }
    }
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..ABREAST {
            scope.spawn(|| {
                while let Some((what, path)) = cells.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let answer = Client::get(daemon.address(), path).try_answer();
                    if answer.is_some_and(|answer| {
                        answer.head.status == 200 && answer.ending == Ending::Complete
                    }) {
                        wrong.lock().unwrap().push(what);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {} look whole: {wrong:#?}", wrong.len(), cells.len());
}

/// A playlist that is another one at the next request, and a key that is gone.
#[test]
fn what_a_playlist_says_later_is_another_film() {
    let (origin, other) = (Origin::start(), Daemon::start(SETTINGS));
    let daemon = Daemon::start(SETTINGS);
    for kind in ["fragments", "transport stream, encrypted"] {
        let film = SegmentedFilm::new(named(kind));
        let directory = kind.replace([' ', ','], "-");
        let path = any_path(Some(&film.put(&origin, &directory)), None, &[]);
        let whole = daemon.get(&path);
        assert_whole(&whole, kind);
        let text = film.text("list.m3u8");
        let at = text.rfind("#EXTINF").unwrap();
        let shorter = format!("{}#EXT-X-ENDLIST\n", &text[..at]);
        origin.put(&format!("{directory}/list.m3u8"), Resource::bytes(shorter).keep_alive());
        let etag = whole.head.header("ETag").unwrap();
        let fields = format!("Range: bytes=100000-\r\nIf-Range: {etag}\r\n");
        let now = ask(other.address(), "GET", &path, &fields);
        assert_eq!((now.head.status, now.ending), (200, Ending::Complete), "{kind}");
        assert_ne!(now.head.header("ETag"), Some(etag), "{kind}");
        assert!(now.body.len() < whole.body.len(), "{kind}");
    }
    let film = SegmentedFilm::new(named("transport stream, encrypted"));
    let film = film.edit(|text| {
        let at = text.match_indices("#EXTINF").nth(7).unwrap().0;
        let key = "#EXT-X-KEY:METHOD=AES-128,URI=\"gone\",IV=0x000102030405060708090a0b0c0d0e0f\n";
        format!("{}{key}{}", &text[..at], &text[at..])
    });
    let url = film.put(&origin, "gone");
    for length in ["auto", "none"] {
        let answer = daemon.get(&any_path(Some(&url), None, &[("length", length)]));
        assert_ne!(answer.head.status, 200, "{length}");
    }
}

/// Panics if a download looks whole and is not, or if it fails for what soon passes.
pub(super) fn judge(daemon: &Daemon, cells: &[Cell]) {
    let (next, identical) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..ABREAST {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let answer = Client::get(daemon.address(), &cell.path).try_answer();
                    let answer = answer.filter(|answer| answer.ending == Ending::Complete);
                    let whole = answer.filter(|answer| answer.head.status == 200);
                    let is_whole = whole.is_some();
                    let is_same = whole.is_some_and(|answer| cell.is_met_by(&answer.body));
                    println!("{}: {}", cell.what, if is_same { "identical" } else { "failed" });
                    assert!(is_same || !is_whole, "{}: it looks whole", cell.what);
                    let is_passing = cell.what.ends_with("once");
                    assert!(is_same || !is_passing, "{}: {}", cell.what, daemon.log());
                    identical.fetch_add(usize::from(is_same), Ordering::SeqCst);
                }
            });
        }
    });
    println!("{} of {} identical", identical.into_inner(), cells.len());
}

/// The films of all kinds, and one with packed audio.
fn films() -> Vec<(&'static str, SegmentedFilm)> {
    let packed = SegmentedFilm::new(named("transport stream, apart")).with_packed_audio();
    let films = KINDS.into_iter().map(|kind| (kind.name, SegmentedFilm::new(kind)));
    films.chain([("packed audio", packed)]).collect()
}

/// Connections that break at random, in all segments.
#[test]
fn films_over_connections_that_break_are_whole() {
    let (origin, daemon) = (Origin::start(), Daemon::start(SETTINGS));
    let downloads = number_from("YTCANAL_CUTS").unwrap_or(DOWNLOADS);
    let seed = number_from("YTCANAL_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("YTCANAL_SEED={seed} YTCANAL_CUTS={downloads}");
    let films = films();
    let whole: Vec<Vec<u8>> = (films.iter().zip(0..))
        .map(|((name, film), number)| {
            let url = film.put(&origin, &format!("whole-{number}"));
            let answer = daemon.get(&any_path(Some(&url), None, &[]));
            assert_whole(&answer, name);
            answer.body
        })
        .collect();
    let (next, breaks) = (AtomicU64::new(0), AtomicUsize::new(0));
    let download = |number: u64| {
        let kind = number as usize % films.len();
        let (name, film) = &films[kind];
        let random = RefCell::new(Rng::with_seed(seed.wrapping_add(number)));
        let url = film.put_with(&origin, &format!("broken-{number}"), |name, resource| {
            let mut random = random.borrow_mut();
            if name.ends_with(".m3u8") || resource.len() < 2000 || random.bool() {
                return resource;
            }
            breaks.fetch_add(1, Ordering::SeqCst);
            let at = random.u64(1..resource.len());
            resource.fault(Fault::CutsAt(vec![at]))
        });
        let answer = daemon.get(&any_path(Some(&url), None, &[]));
        let what = format!("{name}: download {number} of seed {seed}");
        assert_whole(&answer, &what);
        assert!(answer.body == whole[kind], "{what} is another file");
    };
    thread::scope(|scope| {
        for _ in 0..ABREAST {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= downloads {
                        return;
                    }
                    download(number);
                }
            });
        }
    });
    println!("{downloads} downloads, {} breaks, seed {seed}: all identical", breaks.into_inner());
}

/// Connections that break where the lengths of segments are found out: at their first byte, and at their last.
#[test]
fn lengths_are_found_out_over_connections_that_break() {
    let (origin, daemon) = (Origin::start(), Daemon::start(SETTINGS));
    for (number, (name, film)) in films().into_iter().enumerate() {
        let path = |url: &str| any_path(Some(url), None, &[]);
        let whole = daemon.get(&path(&film.put(&origin, &format!("whole-{number}"))));
        let url = film.put_with(&origin, &format!("broken-{number}"), |name, resource| {
            if name.ends_with(".m3u8") || resource.len() < 2000 {
                return resource;
            }
            let last = resource.len() - 1;
            resource.fault(Fault::CutsAt(vec![0, last]))
        });
        let answer = daemon.get(&path(&url));
        assert_whole(&answer, name);
        let length = |answer: &Answer| answer.head.header("Content-Length").map(str::to_owned);
        assert_eq!(length(&answer), length(&whole), "{name}");
        assert!(answer.body == whole.body, "{name} is another file");
    }
}

/// What a client holds of a film must not be continued with another one.
#[test]
fn a_segment_that_changed_is_found_out() {
    let (origin, daemon) = (Origin::start(), Daemon::start(SETTINGS));
    let film = SegmentedFilm::new(named("fragments"));
    let names = film.segments();
    for (what, etag, longer) in [("another ETag", "\"2\"", 0), ("another length", "\"1\"", 8)] {
        let directory = what.replace(' ', "-");
        let path = any_path(Some(&film.put(&origin, &directory)), None, &[]);
        let whole = daemon.get(&path);
        assert_whole(&whole, what);
        film.put_with(&origin, &directory, |name, resource| {
            if name != names[7] {
                return resource;
            }
            let mut bytes = resource.read();
            // By a box without meaning.
            bytes.extend(&b"\0\0\0\x08free"[..longer]);
            Resource::bytes(bytes).ranges().etag(etag).keep_alive()
        });
        let half = whole.body.len() / 2;
        let rest = ask(daemon.address(), "GET", &path, &format!("Range: bytes={half}-\r\n"));
        let is_whole = rest.head.status == 206 && rest.ending == Ending::Complete;
        assert!(!is_whole, "{what}: {:?}", rest.head);
        // The next request finds the film as it is now.
        let now = daemon.get(&path);
        assert_whole(&now, what);
        assert_ne!(now.head.header("ETag"), whole.head.header("ETag"), "{what}");
    }
}

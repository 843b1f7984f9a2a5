//! Every fault of an upstream on every track, through every engine, at every moment: what the
//! client sees is the same bytes or a failure, never less that looks whole. A table of
//! docs/reliability.md is generated here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, OnceLock};
use std::thread;

use crate::support::answer::Ending;
use crate::support::client::{get, mux_path, splice_path};
use crate::support::daemon::Daemon;
use crate::support::film::{TRACKS, request, track_file};
use crate::support::origin::Origin;
use crate::support::resource::{Fault, Resource, WrongRange};
use crate::support::test_ca::Certificate;
use crate::support::{PATIENCE, generated_table};

/// Few retries, so that what lasts is found out soon, and short waits. Two: some faults are put
/// behind a cut, which takes one for itself.
const SETTINGS: &str = "[limits]\nstreams = 64\nstreams_per_client = 64\nmuxers = 128\nmuxers_per_client = 128\n\
    [upstream]\nallow = [\"127.0.0.0/8\"]\nretries = 2\nstall_timeout = \"3s\"\n";
/// Most cells do nothing but wait.
const ABREAST: usize = 18;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Engine {
    Pass,
    Splice,
    Ffmpeg,
}

const ENGINES: [Engine; 3] = [Engine::Pass, Engine::Splice, Engine::Ffmpeg];

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Engine::Pass => "pass",
            Engine::Splice => "splice",
            Engine::Ffmpeg => "ffmpeg",
        }
    }

    /// A healthy track as this engine is given it. Splice looks behind the media once if there is
    /// something, with a request that would meet the faults of a later moment; so there is nothing.
    fn track(self, track: &str) -> Resource {
        static BARE: OnceLock<[Resource; 2]> = OnceLock::new();
        let resource = if self == Engine::Splice {
            let bare = BARE.get_or_init(|| TRACKS.map(|track| Resource::bytes(bare(track))));
            bare[usize::from(track == "audio")].clone()
        } else {
            Resource::file(track_file(track))
        };
        resource.ranges().etag("\"1\"")
    }
}

/// A track of the minute without the index at its end (mfra, ISO/IEC 14496-12 §8.8.9), whose last
/// four bytes are its length.
fn bare(track: &str) -> Vec<u8> {
    let mut bytes = std::fs::read(track_file(track)).unwrap();
    let index = u32::from_be_bytes(*bytes.last_chunk().unwrap());
    let end = bytes.len() - index as usize;
    assert_eq!(&bytes[end + 4..end + 8], b"mfra");
    bytes.truncate(end);
    bytes
}

/// When it happens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    BeforeTheFirstByte,
    InTheFirstFragment,
    AtASeam,
    AtTheLastByte,
}

use Moment::{AtASeam, AtTheLastByte, BeforeTheFirstByte, InTheFirstFragment};

const MOMENTS: [Moment; 4] = [BeforeTheFirstByte, InTheFirstFragment, AtASeam, AtTheLastByte];

impl Moment {
    fn name(self) -> &'static str {
        match self {
            BeforeTheFirstByte => "before the first byte",
            InTheFirstFragment => "in the first fragment",
            AtASeam => "at a seam",
            AtTheLastByte => "at the last byte",
        }
    }

    /// The byte at which it happens. The second of two parts begins a little before 512 KiB.
    fn offset(self, len: u64) -> u64 {
        match self {
            BeforeTheFirstByte => 0,
            InTheFirstFragment => 30_000,
            AtASeam => 512 << 10,
            AtTheLastByte => len - 1,
        }
    }
}

/// Puts a fault into a resource of this length, at this moment, for so many requests. `None` where
/// that makes no sense.
type Script = Box<dyn Fn(Resource, Moment, u64, usize) -> Option<Resource> + Send + Sync>;

/// What a site says whose URL has expired.
const PAGE: Fault = Fault::Words(200, "text/html", "<!DOCTYPE html><title>Log in</title>");

/// Something that happens at a byte.
fn at(fault: fn(u64) -> Fault) -> Script {
    Box::new(move |resource, moment, len, times| {
        Some(resource.fault(fault(moment.offset(len))).fault_times(times))
    })
}

/// Bytes so slow that they are of no use, from a moment on, on one connection or on all.
fn drip(resource: Resource, moment: Moment, len: u64, times: usize) -> Option<Resource> {
    if times == 1 {
        return Some(resource.fault(Fault::DripAt(moment.offset(len))).fault_times(1));
    }
    let slow = resource.clone().pace(1);
    Some(match moment {
        BeforeTheFirstByte => slow,
        AtASeam => resource.becomes(slow, 1),
        _ => after_a_cut(resource, slow, moment, len),
    })
}

/// Something that is said instead of an answer: to the first request, to that for the second
/// part, or to the one that would go on after a cut.
fn answer(fault: Fault) -> Script {
    Box::new(move |resource, moment, len, times| {
        let faulty = resource.clone().fault(fault.clone()).fault_times(times);
        Some(match moment {
            BeforeTheFirstByte => faulty,
            AtASeam => faulty.fault_from(1),
            _ => after_a_cut(resource, faulty, moment, len),
        })
    })
}

/// The file behind the URL is another one from that moment on.
fn another(change: fn(Vec<u8>) -> (Vec<u8>, &'static str)) -> Script {
    Box::new(move |resource, moment, len, _| {
        let (bytes, etag) = change(resource.read());
        let other = Resource::bytes(bytes).ranges().etag(etag);
        match moment {
            BeforeTheFirstByte => None,
            AtASeam => Some(resource.becomes(other, 1)),
            _ => Some(after_a_cut(resource, other, moment, len)),
        }
    })
}

/// Each request comes to another server, which names the same file otherwise.
fn by_nodes(resource: Resource, moment: Moment, len: u64, _: usize) -> Option<Resource> {
    let date = Some("Sun, 22 Nov 2026 10:00:00 GMT");
    let resource = resource.nodes(&[(Some("\"0\""), date), (Some("\"1\""), date)]);
    Some(match moment {
        BeforeTheFirstByte | AtASeam => resource,
        _ => resource.fault(Fault::CutAt(moment.offset(len))).fault_times(1),
    })
}

/// Nothing that reaches to a byte is given, as without a token that the site wants.
fn beyond(resource: Resource, moment: Moment, len: u64, times: usize) -> Option<Resource> {
    let makes_sense = moment != BeforeTheFirstByte && times > 1;
    makes_sense.then(|| resource.forbidden_from(moment.offset(len)))
}

fn after_a_cut(resource: Resource, then: Resource, moment: Moment, len: u64) -> Resource {
    resource.fault(Fault::CutAt(moment.offset(len))).then_becomes(then)
}

fn scripts(untrusted: &str, login: &str) -> Vec<(&'static str, Script)> {
    let status = |status| answer(Fault::Status(status, vec![]));
    let longer = |mut bytes: Vec<u8>| {
        bytes.push(0);
        (bytes, "\"1\"")
    };
    let grown = |mut bytes: Vec<u8>| {
        bytes.resize(bytes.len() + 300_000, 0);
        (bytes, "\"1\"")
    };
    let nobody = "http://nobody.invalid/".to_owned();
    vec![
        ("cut", at(Fault::CutAt)),
        ("reset", at(Fault::ResetAt)),
        ("stall", at(Fault::StallAt)),
        ("some bytes a second", Box::new(drip)),
        ("no answer", answer(Fault::Silent)),
        ("not HTTP", answer(Fault::Garbage)),
        ("403", status(403)),
        ("404", status(404)),
        ("416", status(416)),
        ("429", status(429)),
        ("500", status(500)),
        ("other bytes than asked for", answer(Fault::WrongRange(WrongRange::Shifted))),
        ("wrong Content-Range", answer(Fault::WrongRange(WrongRange::StartOff))),
        ("206 without Content-Range", answer(Fault::WrongRange(WrongRange::Unlabelled))),
        ("200 instead of 206", answer(Fault::IgnoreRange)),
        ("206 to the end of the file", answer(Fault::WrongRange(WrongRange::ToTheEnd))),
        ("206 with everything", answer(Fault::WrongRange(WrongRange::Everything))),
        ("length kept back (`/*`)", answer(Fault::WrongRange(WrongRange::UnknownTotal))),
        ("416 beyond the end, with the length", answer(Fault::RefusePastEnd(true))),
        ("400 to every range", answer(Fault::RefuseRanges(400))),
        ("403 beyond a byte", Box::new(beyond)),
        ("an ETag for each node", Box::new(by_nodes)),
        ("another validator", another(|bytes| (bytes, "\"2\""))),
        ("another length", another(longer)),
        ("it grows", another(grown)),
        ("a web page instead", answer(PAGE)),
        ("redirect to a login page", answer(Fault::Redirect(login.to_owned()))),
        ("gzip", answer(Fault::Encoded)),
        ("more than announced, endlessly", answer(Fault::Endless)),
        ("redirect loop", answer(Fault::RedirectLoop)),
        ("redirect to a name that is not found", answer(Fault::Redirect(nobody))),
        ("redirect to https with a bad certificate", answer(Fault::Redirect(untrusted.to_owned()))),
    ]
}

/// One download of the table.
struct Cell<'a> {
    row: usize,
    script: &'a Script,
    engine: Engine,
    track: &'static str,
    moment: Moment,
    lasting: bool,
}

/// What the cells that differ only in their track show.
type Seen = BTreeMap<(usize, Engine, Moment, bool), Vec<String>>;

#[test]
fn every_fault_is_survived_or_seen() {
    let (origin, tls) =
        (Origin::start(), Origin::start_tls_with(Certificate::self_signed("127.0.0.1")));
    // One part a track behind the first, and parts as short as they may be.
    let daemons =
        ["1GiB", "512KiB"].map(|chunk| Daemon::start(&format!("{SETTINGS}chunk = {chunk:?}\n")));
    let baselines = daemons.each_ref().map(Daemon::baseline);
    let untrusted = tls.put("v", Resource::file(track_file("video")));
    let scripts = scripts(&untrusted, &origin.put("login", Resource::bytes("").fault(PAGE)));
    let healthy = origin.put("healthy", Resource::file(track_file("video")));
    let [video, audio] =
        TRACKS.map(|track| origin.put(&bare_name(track), Engine::Splice.track(track)));
    let joined = [splice_path(&video, &audio, &[]), request(&origin, "video", &healthy)]
        .map(|path| daemons[0].get(&path).body);
    let mut cells = VecDeque::new();
    for (row, (_, script)) in scripts.iter().enumerate() {
        for engine in ENGINES {
            for moment in MOMENTS {
                for (track, lasting) in
                    TRACKS.into_iter().flat_map(|track| [(track, false), (track, true)])
                {
                    cells.push_back(Cell { row, script, engine, track, moment, lasting });
                }
            }
        }
    }
    let (cells, seen, wrong) = (Mutex::new(cells), Mutex::new(Seen::new()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..ABREAST {
            scope.spawn(|| {
                while let Some(cell) = { cells.lock().unwrap().pop_front() } {
                    let daemon = &daemons[usize::from(cell.moment == AtASeam)];
                    let Some(outcome) = cell.download(&origin, daemon, &joined) else { continue };
                    if outcome == LOOKS_WHOLE {
                        wrong.lock().unwrap().push(cell.name(&scripts));
                    }
                    let place = (cell.row, cell.engine, cell.moment, cell.lasting);
                    seen.lock().unwrap().entry(place).or_default().push(outcome);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "these looked whole and were not: {}", wrong.join(", "));
    for (daemon, baseline) in daemons.iter().zip(&baselines) {
        daemon.settles(baseline, PATIENCE);
    }
    let table = table(&scripts, &seen.into_inner().unwrap());
    generated_table::compare("matrix", &table);
}

const LOOKS_WHOLE: &str = "looks whole";

impl Cell<'_> {
    fn name(&self, scripts: &[(&str, Script)]) -> String {
        let fault = scripts[self.row].0;
        format!("{fault} of {} by {}", self.track, self.engine.name())
    }

    /// What the client sees; `None` where the fault makes no sense.
    fn download(&self, origin: &Origin, daemon: &Daemon, joined: &[Vec<u8>; 2]) -> Option<String> {
        let healthy = self.engine.track(self.track);
        let len = healthy.len();
        let times = if self.lasting { usize::MAX } else { 1 };
        let resource = (self.script)(healthy, self.moment, len, times)?;
        let place = format!(
            "{}-{}-{}-{}-{}",
            self.row, self.engine as u8, self.moment as u8, self.track, self.lasting
        );
        let url = origin.put(&place, resource);
        let path = match (self.engine, self.track) {
            (Engine::Ffmpeg, track) => request(origin, track, &url),
            (Engine::Splice, "video") => splice_path(&url, &origin.url(&bare_name("audio")), &[]),
            (Engine::Splice, _) => splice_path(&origin.url(&bare_name("video")), &url, &[]),
            (Engine::Pass, "video") => mux_path(Some(&url), None, &[]),
            // Sound in fragments is made better than it is, unless it is named.
            (Engine::Pass, _) => mux_path(None, Some(&url), &[("container", "mp4")]),
        };
        let answer = get(daemon.address(), &path);
        let whole = || match self.engine {
            Engine::Pass => answer.body == self.engine.track(self.track).read(),
            Engine::Splice => answer.body == joined[0],
            Engine::Ffmpeg => answer.body == joined[1],
        };
        Some(match (answer.head.status, answer.ending) {
            (200, Ending::Complete) if whole() => "same".into(),
            (200, Ending::Complete) => LOOKS_WHOLE.into(),
            // Whether the first joined byte is there by then is a matter of chance, but for splice,
            // which makes it by itself.
            (200, _) => "failed".into(),
            (_, _) if self.moment != BeforeTheFirstByte && self.engine != Engine::Splice => {
                "failed".into()
            }
            (status, _) => status.to_string(),
        })
    }
}

/// Where the healthy tracks for splice are.
fn bare_name(track: &str) -> String {
    format!("bare-{track}")
}

/// As Markdown. Where once and always differ, both stand there.
fn table(scripts: &[(&'static str, Script)], seen: &Seen) -> String {
    let mut table = String::from("| the upstream |");
    for engine in ENGINES {
        let [first, others @ ..] = MOMENTS.map(Moment::name);
        table += &format!(" {}: {first} | {} |", engine.name(), others.join(" | "));
    }
    table += &format!("\n|{}\n", "---|".repeat(1 + ENGINES.len() * MOMENTS.len()));
    for (row, (name, _)) in scripts.iter().enumerate() {
        table += &format!("| {name} |");
        for engine in ENGINES {
            for moment in MOMENTS {
                let [once, always] = [false, true].map(|lasting| {
                    let outcomes = seen.get(&(row, engine, moment, lasting));
                    outcomes.map_or("–".into(), |outcomes| one_word(outcomes))
                });
                let text = if once == always { once } else { format!("{once} · {always}") };
                table += &format!(" {text} |");
            }
        }
        table.push('\n');
    }
    table
}

/// Both tracks should fare alike; if they do not, it shows.
fn one_word(outcomes: &[String]) -> String {
    let mut words = outcomes.to_vec();
    words.sort();
    words.dedup();
    words.join(" or ")
}

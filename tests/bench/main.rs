//! The benchmark: three ways to turn two URLs into one file, side by side.
//!
//! * `ffmpeg`: ffmpeg reads both URLs itself and writes to a pipe. The yardstick of every ratio.
//! * `ytcanal`: the daemon, asked over HTTP.
//! * `original`: a small Flask server with two FIFOs, the design YtCanal improves on, with its faults.
//!
//! All read the same files from the same loopback origin, in the same run, taking turns.
//! With `--seams` it measures the seams between the parts of a track instead (see `seams`).
//!
//! It prints one table and asserts nothing; it must never decide whether a figure is good.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a program for the terminal, without an interface of its own"
)]

mod media;
mod origin;
mod proc;
mod reader;
mod seams;
mod systems;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use media::Media;
use origin::Origin;
use reader::Body;
use systems::{Alone, Links, Server, System, Weighed};
use table::{Cell, Table};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    // Cargo adds flags of its own (`--bench`), so what we do not know we pass over.
    let plan = if std::env::args().any(|arg| arg == "--quick") { &QUICK } else { &FULL };
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let outcome = if std::env::args().any(|arg| arg == "--seams") {
        seams::run(&target)
    } else {
        run(plan, &target)
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How often each thing is done.
struct Plan {
    /// Downloads of the 1-minute pair by each system, for the first bytes.
    starts: usize,
    /// Length of the long pair; a minute is about 60 MB.
    minutes: u32,
    /// Downloads of the long pair by ffmpeg and ytcanal.
    hauls: usize,
    /// Downloads of the long pair by the original, which holds most of it in memory.
    original_hauls: usize,
    /// Downloads of the 1-minute pair, `ABREAST` at a time, that are checked for missing bytes.
    crowd: usize,
}

const FULL: Plan = Plan { starts: 9, minutes: 20, hauls: 5, original_hauls: 2, crowd: 20 };
const QUICK: Plan = Plan { starts: 3, minutes: 4, hauls: 2, original_hauls: 1, crowd: 8 };
const ABREAST: usize = 4;
/// Bytes a second of each download in the crowd. A client slower than the muxer, as clients are,
/// is what leaves bytes in the pipe when the muxer ends.
const STROLL: u32 = 20_000_000;

fn run(plan: &Plan, target: &Path) -> Outcome<()> {
    let python = python(target)?;
    let media = Media::make(&target.join("bench-media"), plan.minutes)?;
    let scratch = tempfile::Builder::new().prefix("ytcanal-bench-").tempdir()?;

    // Dropped in reverse: the servers end before the origin they read from, and before their FIFOs go.
    let origin = Origin::start(media.paths())?;
    let minute = Links::new(&origin, &media.minute);
    let long = Links::new(&origin, &media.long);
    let ytcanal = Server::ytcanal(scratch.path())?;
    let original = Server::original(&python, scratch.path())?;
    let systems: [&dyn System; 3] = [&Alone, &ytcanal, &original];

    // One run each that is not counted: page cache, imports on first use, and a first proof that it works.
    for system in systems {
        say(&format!("trying {}", system.name()));
        named(system, system.fetch(&minute, None))?;
    }
    let starts = take_turns(systems, [plan.starts; 3], |system| {
        say(&format!("first bytes, {}", system.name()));
        system.fetch(&minute, None)
    })?;
    let hauls = take_turns(systems, [plan.hauls, plan.hauls, plan.original_hauls], |system| {
        say(&format!("long pair, {}", system.name()));
        system.weigh(&long, None)
    })?;
    say(&format!("{} downloads, {ABREAST} at a time", plan.crowd));
    let crowds =
        [None, Some(crowd(&ytcanal, &minute, plan)), Some(crowd(&original, &minute, plan))];

    println!("{}", table::machine()?);
    println!("{}", fill(plan, &media, &starts, &hauls, &crowds)?);
    Ok(())
}

/// The interpreter that has Flask, which `make bench` puts there.
fn python(target: &Path) -> Outcome<PathBuf> {
    let python = target.join("bench-venv/bin/python");
    if python.exists() {
        return Ok(python);
    }
    Err("the re-creation of the original needs Flask in target/bench-venv; `make bench` installs it".into())
}

/// Each system in turn, round after round, until each has had its number of runs.
fn take_turns<T>(
    systems: [&dyn System; 3],
    runs: [usize; 3],
    mut one: impl FnMut(&dyn System) -> Outcome<T>,
) -> Outcome<[Vec<T>; 3]> {
    let mut taken = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..runs.into_iter().max().unwrap_or(0) {
        for (index, system) in systems.into_iter().enumerate() {
            if round < runs[index] {
                taken[index].push(named(system, one(system))?);
            }
        }
    }
    Ok(taken)
}

/// Downloads side by side; a failure the client can see is a result here, not the end of the benchmark.
fn crowd(system: &dyn System, links: &Links, plan: &Plan) -> Vec<Outcome<Body>> {
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..ABREAST)
            .map(|lane| {
                let runs = (lane..plan.crowd).step_by(ABREAST);
                let one = |_| {
                    let outcome = named(system, system.fetch(links, Some(STROLL)));
                    outcome.inspect_err(|error| say(&error.to_string()))
                };
                scope.spawn(move || runs.map(one).collect::<Vec<_>>())
            })
            .collect();
        lanes
            .into_iter()
            .flat_map(|lane| {
                lane.join().unwrap_or_else(|_| vec![Err("a download panicked".into())])
            })
            .collect()
    })
}

fn fill(
    plan: &Plan,
    media: &Media,
    starts: &[Vec<Body>; 3],
    hauls: &[Vec<Weighed>; 3],
    crowds: &[Option<Vec<Outcome<Body>>>; 3],
) -> Outcome<Table> {
    let (minute, long) = (media.minute.megabytes()?, media.long.megabytes()?);
    let mut table = Table::new(["ffmpeg", "ytcanal", "original"]);

    let runs = plan.starts;
    table.section(format!("1-minute pair, {minute} MB: median of {runs} (least–most)"));
    let ms = |body: &Body, at: fn(&Body) -> f64| at(body) * 1e3;
    table
        .row("first byte, ms", starts.each_ref().map(|s| Cell::of(s, |b| ms(b, Body::first_byte))));
    table.row(
        "first media byte, ms",
        starts.each_ref().map(|s| Cell::of(s, |b| ms(b, Body::first_media))),
    );
    table.row("last byte, ms", starts.each_ref().map(|s| Cell::of(s, |b| ms(b, Body::wall))));

    let (runs, fewer) = (plan.hauls, plan.original_hauls);
    table.section(format!(
        "{}-minute pair, {long} MB: median of {runs}, original {fewer}",
        plan.minutes
    ));
    table.row("wall time, s", hauls.each_ref().map(|h| Cell::of(h, |w| w.body.wall())));
    table.row("CPU time, children included, s", hauls.each_ref().map(|h| Cell::of(h, |w| w.cpu)));
    table
        .row("peak memory, server, MB", hauls.each_ref().map(|h| Cell::of_some(h, |w| w.peak.own)));
    table.row(
        "peak memory, its ffmpeg, MB",
        hauls.each_ref().map(|h| Cell::of_some(h, |w| w.peak.ffmpeg)),
    );
    table.row("peak memory, both, MB", hauls.each_ref().map(|h| Cell::of(h, |w| w.peak.both())));

    table.section(format!(
        "1-minute pair, {} downloads, {ABREAST} at a time, each read at {} MB/s",
        plan.crowd,
        STROLL / 1_000_000
    ));
    let counted = |wanted: fn(&Tally) -> usize| {
        [0, 1, 2].map(|index| match &crowds[index] {
            None => Cell::none(),
            Some(crowd) => {
                let tally = Tally::of(crowd, &starts[index]);
                Cell::text(format!("{} of {}", wanted(&tally), crowd.len()))
            }
        })
    };
    table.row("ended well, bytes missing", counted(|tally| tally.cut));
    table.row("failed, and the client saw it", counted(|tally| tally.failed));
    Ok(table)
}

/// What became of a crowd's downloads.
struct Tally {
    /// Looked like a whole file to the client, but was shorter than one.
    cut: usize,
    failed: usize,
}

impl Tally {
    /// The same two inputs make the same file, so the longest one ever seen is the whole one.
    fn of(crowd: &[Outcome<Body>], alone: &[Body]) -> Self {
        let bodies = || crowd.iter().flatten();
        let whole = bodies().chain(alone).map(|body| body.len).max().unwrap_or(0);
        Self {
            cut: bodies().filter(|body| body.len != whole).count(),
            failed: crowd.iter().filter(|body| body.is_err()).count(),
        }
    }
}

fn named<T>(system: &dyn System, outcome: Outcome<T>) -> Outcome<T> {
    outcome.map_err(|error| format!("{}: {error}", system.name()).into())
}

/// Progress goes to stderr, so that stdout holds the table and nothing else.
fn say(what: &str) {
    eprintln!("bench: {what}");
}

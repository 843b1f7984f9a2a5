//! The benchmark: ways to turn two URLs into one file, side by side.
//!
//! * `ytcanal splice`, `ytcanal ffmpeg`: the daemon, asked over HTTP for either engine.
//! * `splice, no ETag`: the same from an upstream without validators, whose bytes must all be copied.
//! * `ffmpeg by itself`: ffmpeg reads both URLs and writes to a pipe. The yardstick of every ratio.
//! * `nginx proxy_pass`, `copy loop`: they join nothing, and pass on as many bytes. What the carrying
//!   alone costs.
//! * `original`: a small Flask server with two FIFOs, the design YtCanal improves on, with its faults.
//!
//! All read the same files from the same loopback origin, in the same run, taking turns. The report
//! goes to stdout and, with a picture of it, to `tests/bench/results`; with `--quick` there are fewer
//! and shorter films and it goes below `target`.
//! With `--carry` it measures only what splice costs beside those that join nothing (see `overhead`),
//! with `--starts` how soon the first bytes come of a short and of a long film (see `time_to_first_byte`),
//! with `--crowd` it measures many slow clients at a time instead (see `slow_clients`), with `--seams` the
//! seams between the parts of a track (see `range_boundaries`), with `--builds=PROGRAM` another build of the
//! daemon beside this one, over HTTPS and HTTP (see `builds`), with `--segments` films in segments (see
//! `segments`), with `--resolve` the reading of pages (see `resolve`).
//!
//! It asserts nothing; it must never decide whether a figure is good.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a program for the terminal, without an interface of its own"
)]

mod builds;
mod compare;
mod concurrent;
mod crowd;
mod delay;
mod download;
mod figures;
mod framing;
mod https;
mod machine;
mod media;
mod origin;
mod overhead;
mod picture;
mod plot;
mod proc;
mod range_boundaries;
mod reader;
mod relays;
mod report;
mod resolve;
mod segments;
mod server;
mod systems;
mod time_to_first_byte;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use compare::{Course, Rounds};
use media::{Film, Rate};
use origin::{Line, Origin};
use report::Report;
use server::{Engine, Server};
use systems::{Alone, Links, System};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    // Cargo adds flags of its own (`--bench`), so what we do not know we pass over.
    let args: Vec<String> = std::env::args().skip(1).collect();
    let is = |flag: &str| args.iter().any(|arg| arg == flag);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("target");
    let outcome = if args.first().is_some_and(|arg| arg == relays::COPY_LOOP) {
        relays::run_copy_loop(&args[1..])
    } else if args.first().is_some_and(|arg| arg == relays::SECURE_COPY_LOOP) {
        relays::run_secure_copy_loop(&args[1..])
    } else if is("--download") {
        download::run(&target)
    } else if is("--seams") {
        range_boundaries::run(&target)
    } else if is("--carry") {
        overhead::run(&target, &args)
    } else if is("--starts") {
        time_to_first_byte::run(&target, &args)
    } else if let Some(other) = args.iter().find_map(|arg| arg.strip_prefix("--builds=")) {
        builds::run(&target, Path::new(other))
    } else if is("--segments") {
        segments::run(&target)
    } else if is("--resolve") {
        resolve::run(&target)
    } else if is("--crowd") {
        crowd::run(&target, &args)
    } else if is("--quick") {
        compare(&QUICK, &target, &target.join("bench-results"))
    } else {
        compare(&FULL, &target, &root.join("tests/bench/results"))
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is done, and how often.
struct Plan {
    near: &'static [(Rate, u32, Rounds)],
    /// Downloads from the far origin, for the first bytes.
    far: usize,
    /// Downloads side by side that are checked for missing bytes.
    abreast: usize,
}

const FULL: Plan = Plan {
    near: &[
        (Rate::Low, 1, Rounds { starts: 15, hauls: 15, original_hauls: 2, together: 10 }),
        (Rate::Low, 60, Rounds { starts: 15, hauls: 5, original_hauls: 2, together: 1 }),
        (Rate::Low, 300, Rounds { starts: 15, hauls: 5, original_hauls: 1, together: 1 }),
        (Rate::High, 20, Rounds { starts: 5, hauls: 5, original_hauls: 1, together: 1 }),
    ],
    far: 7,
    abreast: 12,
};
const QUICK: Plan = Plan {
    near: &[
        (Rate::Low, 1, Rounds { starts: 5, hauls: 1, original_hauls: 1, together: 10 }),
        (Rate::Low, 60, Rounds { starts: 3, hauls: 1, original_hauls: 1, together: 1 }),
        (Rate::High, 4, Rounds { starts: 3, hauls: 1, original_hauls: 1, together: 1 }),
    ],
    far: 2,
    abreast: 4,
};
const ROUND_TRIP: Duration = Duration::from_millis(50);

fn compare(plan: &Plan, target: &Path, results: &Path) -> Outcome<()> {
    let python = python(target)?;
    let dir = target.join("bench-media");
    let films = plan.near.iter().map(|(rate, minutes, _)| Film::make(&dir, *rate, *minutes));
    let films = films.collect::<Outcome<Vec<_>>>()?;
    // Sixty megabytes, whose end a muxer has long reached when the client has not.
    let stroll = Film::make(&dir, Rate::High, 1)?;
    let scratch = tempfile::Builder::new().prefix("ytcanal-bench-").tempdir()?;

    // Dropped in reverse: the servers end before the origins they read from, and before their FIFOs go.
    let paths: Vec<PathBuf> = films.iter().chain([&stroll]).flat_map(Film::paths).collect();
    let near = Origin::start(paths.clone())?;
    let far = Origin::start_behind(Line::new(ROUND_TRIP, None), paths)?;
    let splice = Server::ytcanal("ytcanal splice", Engine::Splice, ["", ""], scratch.path())?;
    let copying = Server::ytcanal("splice, no ETag", Engine::Copying, ["", ""], scratch.path())?;
    let ffmpeg = Server::ytcanal("ytcanal ffmpeg", Engine::Ffmpeg, ["", ""], scratch.path())?;
    let nginx = Server::nginx(&near, &far, scratch.path())?;
    let copy_loop = Server::copy_loop(&near, &far)?;
    let original = Server::original(&python, scratch.path())?;
    let systems: [&dyn System; 7] =
        [&splice, &copying, &ffmpeg, &Alone, &nginx, &copy_loop, &original];

    let mut standings = Vec::new();
    for (film, (.., rounds)) in films.iter().zip(plan.near) {
        let course = Course { title: film.title(), film, origin: &near, place: "/near" };
        standings.push(compare::hold(course, &systems, rounds)?);
    }
    let hour = films.get(1).ok_or("no film of an hour")?;
    let rounds = Rounds { starts: plan.far, hauls: 0, original_hauls: 0, together: 0 };
    let course = Course { title: hour.title(), film: hour, origin: &far, place: "/far" };
    let far_standing = compare::hold(course, &systems, &rounds)?;
    let links = Links::new(&near, "/near", &stroll, 0);
    let joining: [&dyn System; 3] = [&splice, &ffmpeg, &original];
    let tallies = joining.map(|system| concurrent::run(system, &links, plan.abreast));

    let machine = machine::describe()?;
    let report = Report {
        machine: &machine,
        near: &standings,
        far: &far_standing,
        round_trip_ms: ROUND_TRIP.as_millis(),
        tallies: &tallies,
        yardstick: Alone.name(),
    };
    let text = report.markdown();
    fs::create_dir_all(results)?;
    fs::write(results.join("bench.md"), &text)?;
    fs::write(results.join("bench.svg"), picture::draw(&machine, &standings))?;
    println!("{text}");
    say(&format!("written to {}", results.display()));
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

/// Progress goes to stderr, so that stdout holds the report and nothing else.
fn say(what: &str) {
    eprintln!("bench: {what}");
}

//! The benchmark: ways to turn two URLs into one file, side by side.
//!
//! * `ytcanal splice`, `ytcanal ffmpeg`: the daemon, asked over HTTP for either engine.
//! * `splice, no ETag`: the same over HTTP from an upstream without validators, whose bytes must all be copied.
//! * `ffmpeg by itself`: ffmpeg reads both URLs and writes to a pipe. The yardstick of every ratio.
//! * `nginx proxy_pass`, `copy loop`: they join nothing, and pass on as many bytes. What the carrying
//!   alone costs.
//! * `original`: a small Flask server with two FIFOs, the design YtCanal improves on, with its faults.
//!
//! All read the same files from the same loopback origin, in the same run, taking turns: first from one
//! that speaks HTTPS, as users have it, then from one that speaks HTTP. The report goes to stdout and, with a
//! picture of it, to `tests/bench/results`; with `--quick` there are fewer and shorter films and it goes below
//! `target`.
//!
//! Flags for something else instead: `--download` and `--carry`, what splice costs beside those that join
//! nothing, over HTTPS and over HTTP (see `download`, `overhead`), the former also without a server (see `get`); `--starts`, how soon the first bytes come of a
//! short and of a long film (see `time_to_first_byte`); `--crowd`, many slow clients at a time (see `crowd`);
//! `--seams`, the seams between the parts of a track (see `range_boundaries`); `--builds=PROGRAM`, another build of
//! the daemon beside this one, over HTTPS and HTTP (see `builds`); `--segments`, films in segments (see
//! `segments`); `--resolve`, page links (see `resolve`).
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
mod get;
mod https;
mod machine;
mod media;
mod origin;
mod overhead;
mod page_link;
mod picture;
mod plot;
mod proc;
mod range_boundaries;
mod reader;
mod relays;
mod report;
mod resolve;
mod section;
mod segments;
mod server;
mod systems;
mod time_to_first_byte;
mod upstream;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use compare::Rounds;
use https::HttpsOrigin;
use media::Rate;
use origin::Origin;
use report::Report;
use section::{More, Plan};
use systems::{Alone, System};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    // Cargo adds flags of its own (`--bench`), so what we do not know we pass over.
    let args: Vec<String> = std::env::args().skip(1).collect();
    let is = |flag: &str| args.iter().any(|arg| arg == flag);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("target");
    let outcome = if args.first().is_some_and(|arg| arg == relays::COPY_LOOP) {
        relays::run_copy_loop(&args[1..])
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

const ROUND_TRIP: Duration = Duration::from_millis(50);
/// HTTPS, as users have it, and then HTTP.
const FULL: [Plan; 2] = [
    Plan {
        films: &[
            (Rate::Low, 1, Rounds { starts: 15, hauls: 15, original_hauls: 2, together: 10 }),
            (Rate::Low, 60, Rounds { starts: 15, hauls: 5, original_hauls: 2, together: 1 }),
            (Rate::Low, 300, Rounds { starts: 15, hauls: 5, original_hauls: 1, together: 1 }),
            (Rate::High, 20, Rounds { starts: 5, hauls: 5, original_hauls: 1, together: 1 }),
        ],
        more: Some(More { far: (60, 7), abreast: 12 }),
    },
    Plan {
        films: &[
            (Rate::Low, 60, Rounds { starts: 15, hauls: 5, original_hauls: 1, together: 1 }),
            (Rate::High, 20, Rounds { starts: 5, hauls: 5, original_hauls: 1, together: 1 }),
        ],
        more: None,
    },
];
const QUICK: [Plan; 2] = [
    Plan {
        films: &[
            (Rate::Low, 1, Rounds { starts: 5, hauls: 1, original_hauls: 1, together: 10 }),
            (Rate::Low, 60, Rounds { starts: 3, hauls: 1, original_hauls: 1, together: 1 }),
            (Rate::High, 4, Rounds { starts: 3, hauls: 1, original_hauls: 1, together: 1 }),
        ],
        more: Some(More { far: (60, 2), abreast: 4 }),
    },
    Plan {
        films: &[(Rate::Low, 60, Rounds { starts: 3, hauls: 1, original_hauls: 1, together: 1 })],
        more: None,
    },
];

fn compare(plans: &[Plan; 2], target: &Path, results: &Path) -> Outcome<()> {
    let python = python(target)?;
    let media = target.join("bench-media");
    let scratch = tempfile::Builder::new().prefix("ytcanal-bench-").tempdir()?;
    let [secure, plain] = ["https", "http"].map(|name| scratch.path().join(name));
    fs::create_dir(&secure)?;
    fs::create_dir(&plain)?;
    fs::create_dir_all(&media)?;
    let https = HttpsOrigin::start(&media, &secure)?;
    let http = Origin::start(&media)?;

    let [first, second] = plans;
    let sections = [
        section::measure(first, https.upstream(), &python, &media, &secure)?,
        section::measure(second, &http.upstream(), &python, &media, &plain)?,
    ];
    let machine = machine::describe()?;
    let report = Report { machine: &machine, sections: &sections, yardstick: Alone(None).name() };
    let text = report.markdown();
    fs::create_dir_all(results)?;
    fs::write(results.join("bench.md"), &text)?;
    fs::write(results.join("bench.svg"), picture::draw(&machine, &sections))?;
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

//! Downloads side by side, read no faster than a client would: is every one of them whole?
//!
//! A failure that the client can see is a result here, not the end of the benchmark.

use std::thread;

use crate::Outcome;
use crate::reader::{Body, Until};
use crate::say;
use crate::systems::{Links, System};

pub(crate) const ABREAST: usize = 4;
/// Bytes a second of each download. A client slower than the muxer, as clients are, is what leaves
/// bytes in the pipe when the muxer ends.
pub(crate) const STROLL: u32 = 20_000_000;

/// What became of a system's downloads.
pub(crate) struct Tally {
    pub(crate) system: &'static str,
    pub(crate) count: usize,
    /// Looked like a whole file to the client, but was shorter than one.
    pub(crate) cut: usize,
    pub(crate) failed: usize,
}

pub(crate) fn run(system: &dyn System, links: &Links, count: usize) -> Tally {
    say(&format!("{}: {count} downloads, {ABREAST} at a time", system.name()));
    // The same two inputs make the same file, so the longest one ever seen is the whole one.
    let alone = system.fetch(links, Until::End);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..ABREAST)
            .map(|lane| scope.spawn(move || stroll(system, links, (lane..count).step_by(ABREAST))))
            .collect();
        let panicked = |_| vec![Err("a download panicked".into())];
        lanes.into_iter().flat_map(|lane| lane.join().unwrap_or_else(panicked)).collect()
    });
    let bodies = || outcomes.iter().flatten();
    let whole = bodies().chain(&alone).map(|body| body.len).max().unwrap_or(0);
    Tally {
        system: system.name(),
        count: outcomes.len(),
        cut: bodies().filter(|body| body.len != whole).count(),
        failed: outcomes.iter().filter(|body| body.is_err()).count(),
    }
}

fn stroll(
    system: &dyn System,
    links: &Links,
    runs: impl Iterator<Item = usize>,
) -> Vec<Outcome<Body>> {
    let one = |_| {
        let outcome = system.fetch(links, Until::EndAt(STROLL));
        outcome.inspect_err(|error| say(&format!("{}: {error}", system.name())))
    };
    runs.map(one).collect()
}

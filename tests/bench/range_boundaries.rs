//! What the seams between two parts of a track cost: the same downloads in parts of the usual
//! length and in one part, over lines with a round trip of 50 ms.
//!
//! It prints one table and asserts nothing.

use std::path::Path;
use std::time::Duration;

use crate::Outcome;
use crate::figures::Spread;
use crate::machine;
use crate::media::{Film, Rate};
use crate::origin::{Line, Origin};
use crate::reader::Until;
use crate::say;
use crate::server::{Engine, Server};
use crate::systems::{Links, System};

const ROUND_TRIP: Duration = Duration::from_millis(50);
/// Bytes a second of each line. The last one is as fast as the machine.
const RATES: [Option<u64>; 3] = [Some(20_000_000), Some(100_000_000), None];
const ROUNDS: usize = 5;
/// A minute is about 60 MB.
const MINUTES: u32 = 4;

pub(crate) fn run(target: &Path) -> Outcome<()> {
    let media = target.join("bench-media");
    let film = Film::make(&media, Rate::High, MINUTES)?;
    let scratch = tempfile::Builder::new().prefix("ytcanal-bench-").tempdir()?;
    let server =
        |name, upstream| Server::ytcanal(name, Engine::Auto, ["", upstream], scratch.path());
    let unbroken = server("unbroken", "chunk = \"1GiB\"")?;
    let parts = server("parts", "")?;
    println!("{}", machine::describe()?);
    println!(
        "{:24} {:9} {:>10} {:>10} {:>11}",
        "line", "engine", "unbroken", "in parts", "throughput"
    );
    for rate in RATES {
        let origin = Origin::start_behind(Line::new(ROUND_TRIP, rate), &media)?;
        for (engine, links) in [
            ("pass", Links::lone(&origin.upstream(), &film)),
            ("join", Links::new(&origin.upstream(), &film)),
        ] {
            let mut walls = [Vec::new(), Vec::new()];
            for round in 0..ROUNDS {
                say(&format!("{engine}, round {}", round + 1));
                for (system, walls) in [&unbroken, &parts].into_iter().zip(&mut walls) {
                    walls.push(system.fetch(&links, Until::End)?.wall());
                }
            }
            let [unbroken, parts] = walls.map(|walls| Spread::of(walls).median);
            let rate = rate.map_or("no limit".into(), |rate| format!("{} MB/s", rate / 1_000_000));
            let line = format!("50 ms, {rate}");
            let ratio = unbroken / parts;
            println!("{line:24} {engine:9} {unbroken:>8.2} s {parts:>8.2} s {ratio:>9.2} x");
        }
    }
    Ok(())
}

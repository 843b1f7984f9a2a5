//! Two builds of the daemon side by side: has a change made it slower?
//!
//! `--builds=PROGRAM` names the other one. Both take turns at the same files, from an origin that speaks
//! HTTPS (nginx, as most sites have it) and from the one that speaks HTTP. For each engine: the first byte
//! of a short download, then wall time and CPU of some of sixty megabytes each. Ratios are of medians, this build
//! by the other.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::compare;
use crate::figures::Spread;
use crate::https::HttpsOrigin;
use crate::machine;
use crate::media::{Film, Rate};
use crate::origin::Origin;
use crate::reader::Until;
use crate::server::{Engine, Server};
use crate::systems::{Links, System};

const STARTS: usize = 41;
const HAULS: usize = 11;
/// Downloads that are weighed together: CPU time is told in hundredths of a second.
const TOGETHER: usize = 10;
/// Keys that an older build knows, too.
const LIMITS: &str = "streams = 32\nmuxers = 64";
const ENGINES: [(&str, Engine, [&str; 2]); 3] = [
    ("splice", Engine::Splice, ["splice, this", "splice, other"]),
    ("ffmpeg", Engine::Ffmpeg, ["ffmpeg, this", "ffmpeg, other"]),
    ("passthrough", Engine::Auto, ["passthrough, this", "passthrough, other"]),
];

pub(crate) fn run(target: &Path, other: &Path) -> Outcome<()> {
    let dir = target.join("bench-media");
    let [short, long] = [Film::make(&dir, Rate::Low, 1)?, Film::make(&dir, Rate::High, 1)?];
    let scratch = tempfile::Builder::new().prefix("ytcanal-bench-").tempdir()?;
    let http = Origin::start(&dir)?;
    let https = HttpsOrigin::start(&dir, scratch.path())?;
    let this = copy(Path::new(env!("CARGO_BIN_EXE_ytcanal")), &scratch.path().join("this"))?;
    let other = copy(other, &scratch.path().join("other"))?;
    let config = https.upstream().config();
    println!("{}\n", machine::describe()?);
    println!("| origin | engine | first byte, ms | ratio | wall, s | ratio | CPU-s/GB | ratio |");
    println!("|---|---|---|---|---|---|---|---|");
    for (name, engine, names) in ENGINES {
        let start = |program, name| {
            Server::daemon(program, name, engine, [LIMITS, &config], scratch.path())
        };
        let servers = [start(&this, names[0])?, start(&other, names[1])?];
        for (scheme, upstream) in [("https", https.upstream()), ("http", &http.upstream())] {
            let links = |film: &Film| match name {
                "passthrough" => Links::lone(upstream, film),
                _ => Links::new(upstream, film),
            };
            let row = measure(&servers, &links(&short), &links(&long))?;
            println!("| {scheme} | {name} | {row} |");
        }
    }
    Ok(())
}

/// A file that the linker wrote lies in the page cache in other pieces than a copy: of two programs of the same bytes
/// the linker's starts a download a fifth later.
fn copy(program: &Path, to: &Path) -> Outcome<PathBuf> {
    fs::copy(program, to)?;
    Ok(to.to_owned())
}

/// Returns the cells of a row. The builds take turns, and so do their places in a turn.
fn measure(servers: &[Server; 2], short: &Links, long: &Links) -> Outcome<String> {
    let (mut starts, mut walls, mut cpus) =
        ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for round in 0..=STARTS {
        for place in [round % 2, 1 - round % 2] {
            compare::settle();
            let body = servers[place].fetch(short, Until::Media)?;
            // The first round makes everything ready.
            if round > 0 {
                starts[place].push(body.first_byte() * 1e3);
            }
        }
    }
    for round in 0..HAULS {
        for place in [round % 2, 1 - round % 2] {
            compare::settle();
            let weighed = servers[place].weigh(long, TOGETHER)?;
            walls[place].push(weighed.wall);
            cpus[place].push(weighed.cpu);
        }
    }
    let cells = [starts, walls, cpus].map(|figures| {
        let [this, other] = figures.map(Spread::of);
        format!("{} / {} | {:.2}", this.alone(), other.alone(), this.median / other.median)
    });
    Ok(cells.join(" | "))
}

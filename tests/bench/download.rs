//! One download from an origin that speaks HTTPS: the daemon, which joins two tracks, and `ytcanal get`, which does the
//! same without it, beside two that join nothing and pass on a file of the same length: nginx, and a loop that copies from
//! rustls to a socket.
//!
//! An hour at 0.85 Mbit/s (384 MB). `make bench` has the same figures and many more.

use std::path::Path;

use crate::Outcome;
use crate::compare::{self, Rounds};
use crate::get::Get;
use crate::https::HttpsOrigin;
use crate::machine;
use crate::media::{Film, Rate};
use crate::report;
use crate::server::{Engine, Server};
use crate::systems::System;

const ROUNDS: Rounds = Rounds { starts: 15, hauls: 7, original_hauls: 0, together: 1 };

pub(crate) fn run(target: &Path) -> Outcome<()> {
    let dir = target.join("bench-media");
    let film = Film::make(&dir, Rate::Low, 60)?;
    let scratch = tempfile::Builder::new().prefix("ytcanal-bench-").tempdir()?;
    let origin = HttpsOrigin::start(&dir, scratch.path())?;
    let upstream = origin.upstream();
    let config = upstream.config();
    let daemon = Server::ytcanal("ytcanal serve", Engine::Splice, ["", &config], scratch.path())?;
    let copy_loop = Server::copy_loop(upstream)?;
    let nginx = Server::nginx(upstream, "", &scratch.path().join("nginx"))?;
    let pipe = Get::to_pipe(upstream, scratch.path())?;
    let file = Get::to_file(upstream, scratch.path())?;
    let systems: [&dyn System; 5] = [&daemon, &pipe, &file, &copy_loop, &nginx];
    let standing = compare::hold(&film, upstream, &systems, &ROUNDS)?;
    println!("{}\n", machine::describe()?);
    println!(
        "| | first byte, ms | wall, s | CPU-s/GB | peak memory, MB | serve's wall ÷ | its CPU ÷ |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    let serve = &standing.entries[0];
    for entry in &standing.entries {
        let cells = [
            report::first(&entry.starts).alone(),
            entry.wall().with_ends(),
            entry.cpu().with_ends(),
            entry.peak().alone(),
            serve.wall_beside(entry).alone(),
            serve.cpu_beside(entry).alone(),
        ];
        println!("| {} | {} |", entry.system, cells.join(" | "));
    }
    Ok(())
}

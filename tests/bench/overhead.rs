//! What the carrying costs, and how far behind the upstream's own its first byte comes: splice beside
//! the two that join nothing, in turns, and nothing else. For
//! whoever works on it; `make bench` has the same figures and many more. `--upstream=LINE` gives the
//! daemon another line for its section of that name: `chunk = "1GiB"` shows what the parts cost.
//! With `--hour`, or `--minute`, the film is one of few bits in many fragments. `--beside=PROGRAM` lets another build
//! of the daemon take its turns, too.

use std::path::Path;

use crate::Outcome;
use crate::compare::{self, Entry, Rounds, Standing};
use crate::figures::Spread;
use crate::media::{Film, Rate};
use crate::origin::Origin;
use crate::say;
use crate::server::{Engine, Server};
use crate::systems::System;

pub(crate) fn run(target: &Path, args: &[String]) -> Outcome<()> {
    let upstream = args.iter().find_map(|arg| arg.strip_prefix("--upstream=")).unwrap_or_default();
    let is = |flag: &str| args.iter().any(|arg| arg == flag);
    let (rate, minutes, together) = match (is("--hour"), is("--minute")) {
        (true, _) => (Rate::Low, 60, 2),
        (_, true) => (Rate::Low, 1, 40),
        _ => (Rate::High, 8, 2),
    };
    let rounds = Rounds { starts: 15, hauls: 15, original_hauls: 0, together };
    let media = target.join("bench-media");
    let film = Film::make(&media, rate, minutes)?;
    let scratch = tempfile::Builder::new().prefix("ytcanal-bench-").tempdir()?;
    let origin = Origin::start(&media)?;
    let site = origin.upstream();
    let splice = Server::ytcanal("ytcanal splice", Engine::Splice, ["", upstream], scratch.path())?;
    let nginx = Server::nginx(&site, "", &scratch.path().join("nginx"))?;
    let copy_loop = Server::copy_loop(&site)?;
    let other = args.iter().find_map(|arg| arg.strip_prefix("--beside=")).map(Path::new);
    let other = other.map(|program| {
        Server::daemon(program, "another build", Engine::Splice, ["", upstream], scratch.path())
    });
    let other = other.transpose()?;
    let config = ["", upstream];
    let copying = Server::ytcanal("splice, no ETag", Engine::Copying, config, scratch.path())?;
    let mut systems: Vec<&dyn System> = vec![&splice, &copying, &nginx, &copy_loop];
    systems.extend(other.iter().map(|other| other as &dyn System));
    let standing = compare::hold(&film, &site, &systems, &rounds)?;
    for entry in &standing.entries {
        let (wall, cpu) = (entry.wall().with_ends(), entry.cpu().with_ends());
        let behind = entry.starts.iter().zip(&standing.direct);
        let behind = behind.map(|(own, direct)| own.first_byte() - direct.first_byte());
        let behind = Spread::of(behind.map(|seconds| seconds * 1000.0)).with_ends();
        say(&format!("{}: {wall} s, {cpu} CPU-s a GB, {behind} ms behind", entry.system));
    }
    say(&beside(&standing));
    if let [splice, .., other] = &standing.entries[..]
        && other.system == "another build"
    {
        let (wall, cpu) = (splice.wall_beside(other), splice.cpu_beside(other));
        say(&format!(
            "Beside another build: wall {} ×, CPU {} ×.",
            wall.with_ends(),
            cpu.with_ends()
        ));
    }
    Ok(())
}

/// How splice stands beside the two that join nothing, round by round.
pub(crate) fn beside(standing: &Standing) -> String {
    let find = |name| standing.entries.iter().find(|entry| entry.system == name);
    let (Some(nginx), Some(copy_loop)) = (find("nginx proxy_pass"), find("copy loop")) else {
        return String::new();
    };
    let of = |name| {
        let splice: &Entry = find(name)?;
        Some(format!(
            "{name}: wall {} × nginx, {} × the copy loop; CPU {} × nginx, {} × the copy loop.",
            splice.wall_beside(nginx).with_ends(),
            splice.wall_beside(copy_loop).with_ends(),
            splice.cpu_beside(nginx).with_ends(),
            splice.cpu_beside(copy_loop).with_ends(),
        ))
    };
    let both = ["ytcanal splice", "splice, no ETag"].into_iter().filter_map(of);
    format!("In each round, {}", both.collect::<Vec<_>>().join("\nIn each round, "))
}

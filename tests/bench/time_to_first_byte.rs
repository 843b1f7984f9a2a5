//! How soon the first byte comes, of a short film and of a long one in turns: the plan of the long
//! one has some thousand pieces, and the client is not to wait for them.
//!
//! `--beside=PROGRAM` lets another build of the daemon take its turns, too.

use std::path::Path;

use crate::Outcome;
use crate::compare;
use crate::figures::Spread;
use crate::media::{Film, Rate};
use crate::origin::Origin;
use crate::reader::Until;
use crate::say;
use crate::server::{Engine, Server};
use crate::systems::{Links, System, path_of};

const MINUTES: [u32; 2] = [1, 300];
const ROUNDS: usize = 101;

pub(crate) fn run(target: &Path, args: &[String]) -> Outcome<()> {
    let scratch = tempfile::Builder::new().prefix("ytcanal-bench-").tempdir()?;
    let media = target.join("bench-media");
    let films = MINUTES.map(|minutes| Film::make(&media, Rate::Low, minutes));
    let films = films.into_iter().collect::<Outcome<Vec<_>>>()?;
    let origin = Origin::start(&media)?;
    let own = Server::ytcanal("ytcanal splice", Engine::Splice, ["", ""], scratch.path())?;
    let other = args.iter().find_map(|arg| arg.strip_prefix("--beside=")).map(Path::new);
    let other = other.map(|program| {
        Server::daemon(program, "another build", Engine::Splice, ["", ""], scratch.path())
    });
    let servers: Vec<_> = [Some(own), other.transpose()?].into_iter().flatten().collect();

    let upstream = origin.upstream();
    let mut direct = [const { Vec::new() }; MINUTES.len()];
    let mut firsts = vec![direct.clone(); servers.len()];
    for round in 0..=ROUNDS {
        for (place, film) in films.iter().enumerate() {
            let links = Links::new(&upstream, film);
            let note = |all: &mut [Vec<f64>; MINUTES.len()], seconds: f64| {
                // The first round makes everything ready.
                if round > 0 {
                    all[place].push(seconds * 1e3);
                }
            };
            compare::settle();
            note(&mut direct, upstream.ask(&path_of(&film.video))?.first_byte());
            for (server, firsts) in servers.iter().zip(&mut firsts) {
                compare::settle();
                note(firsts, server.fetch(&links, Until::Media)?.first_byte());
            }
        }
    }
    let names = servers.iter().map(|server| server.name());
    for (name, firsts) in names.chain(["upstream"]).zip(firsts.into_iter().chain([direct])) {
        let [short, long] = firsts.map(Spread::of);
        let (ratio, [few, many]) = (long.median / short.median, MINUTES);
        let (short, long) = (short.with_ends(), long.with_ends());
        say(&format!("{name}: {short} ms of {few} min, {long} ms of {many} min, {ratio:.2} ×"));
    }
    Ok(())
}

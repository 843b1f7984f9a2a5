//! How soon the first byte comes, of a short film and of a long one in turns: the plan of the long
//! one has some thousand pieces, and the client is not to wait for them.
//!
//! `--beside=PROGRAM` lets another build of the daemon take its turns, too.

use std::path::Path;

use crate::figures::Spread;
use crate::media::{Film, Rate};
use crate::origin::Origin;
use crate::reader::Until;
use crate::server::{Engine, Server};
use crate::systems::{Links, System};
use crate::{Outcome, say};

const MINUTES: [u32; 2] = [1, 300];
const ROUNDS: usize = 101;

pub(crate) fn run(target: &Path, args: &[String]) -> Outcome<()> {
    let scratch = tempfile::Builder::new().prefix("ytcanal-bench-").tempdir()?;
    let films = MINUTES.map(|minutes| Film::make(&target.join("bench-media"), Rate::Low, minutes));
    let films = films.into_iter().collect::<Outcome<Vec<_>>>()?;
    let origin = Origin::start(films.iter().flat_map(|film| film.paths().to_vec()).collect())?;
    let own = Server::ytcanal("ytcanal splice", Engine::Splice, ["", ""], scratch.path())?;
    let other = args.iter().find_map(|arg| arg.strip_prefix("--beside=")).map(Path::new);
    let other = other.map(|program| {
        Server::daemon(program, "another build", Engine::Splice, ["", ""], scratch.path())
    });
    let servers: Vec<_> = [Some(own), other.transpose()?].into_iter().flatten().collect();

    // By server and film.
    let mut behind = vec![vec![Vec::new(); films.len()]; servers.len()];
    for round in 0..=ROUNDS {
        for (place, film) in films.iter().enumerate() {
            let links = Links::new(&origin, "/near", film, 0);
            let upstream = origin.ask(&film.video)?.first_byte();
            for (server, behind) in servers.iter().zip(&mut behind) {
                let first = server.fetch(&links, Until::Media)?.first_byte();
                // The first one makes everything ready.
                if round > 0 {
                    behind[place].push((first - upstream) * 1e3);
                }
            }
        }
    }
    for (server, behind) in servers.iter().zip(behind) {
        let [short, long] = [0, 1].map(|place| Spread::of(behind[place].iter().copied()));
        say(&format!(
            "{}: first byte {} ms behind the upstream's own of {} min, {} ms of {} min; {:.2} ×",
            server.name(),
            short.with_ends(),
            MINUTES[0],
            long.with_ends(),
            MINUTES[1],
            long.median / short.median,
        ));
    }
    Ok(())
}

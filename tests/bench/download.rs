//! One download from an origin that speaks HTTPS: the daemon, which joins two tracks, beside two that join nothing and
//! pass on a file of the same length: nginx, and a loop that copies from rustls to a socket.
//!
//! An hour at 0.85 Mbit/s (384 MB). The systems take turns; ratios are of the same round.

use std::fs;
use std::path::Path;

use crate::compare;
use crate::figures::Spread;
use crate::https::HttpsOrigin;
use crate::machine;
use crate::media::{Film, Rate};
use crate::origin::Origin;
use crate::reader::Until;
use crate::relays;
use crate::server::{Engine, Server};
use crate::systems::{Links, System, Weighed};
use crate::{Outcome, say};

const STARTS: usize = 15;
const HAULS: usize = 7;

pub(crate) fn run(target: &Path) -> Outcome<()> {
    let dir = target.join("bench-media");
    let film = Film::make(&dir, Rate::Low, 60)?;
    let whole = dir.join("low-60m.both");
    fs::write(&whole, [fs::read(&film.video)?, fs::read(&film.audio)?].concat())?;
    let scratch = tempfile::Builder::new().prefix("ytcanal-bench-").tempdir()?;
    // Its files are never asked for: it only names them.
    let names = Origin::start(film.paths().to_vec())?;
    let origin = HttpsOrigin::start(&dir, scratch.path())?;
    let config = format!("ca_file = {:?}", origin.ca_file());
    let mut links = origin.links(&names, &Links::new(&names, "/near", &film, 0));
    links.strung = "/low-60m.both".to_owned();

    let daemon = Server::ytcanal("ytcanal", Engine::Splice, ["", &config], scratch.path())?;
    let site = relays::secure_relay(origin.addr());
    let nginx = Server::nginx_relay("nginx proxy_pass", &site, &scratch.path().join("relay"))?;
    let copy_loop = Server::secure_copy_loop(origin.addr(), origin.ca_file())?;
    let systems: [&dyn System; 3] = [&daemon, &copy_loop, &nginx];
    let (mut starts, mut hauls) = ([const { Vec::new() }; 3], [const { Vec::<Weighed>::new() }; 3]);
    for round in 0..=STARTS {
        for (system, starts) in systems.iter().zip(&mut starts) {
            compare::settle();
            let body = system.fetch(&links, Until::Media)?;
            // The first round makes everything ready.
            if round > 0 {
                starts.push(body.first_byte() * 1e3);
            }
        }
    }
    for round in 1..=HAULS {
        say(&format!("round {round} of {HAULS}"));
        for (system, hauls) in systems.iter().zip(&mut hauls) {
            compare::settle();
            hauls.push(system.weigh(&links, 1)?);
        }
    }
    println!("{}\n", machine::describe()?);
    println!(
        "| | first byte, ms | wall, s | CPU-s/GB | peak memory, MB | ytcanal's wall ÷ | its CPU ÷ |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for ((system, starts), weighed) in systems.iter().zip(starts).zip(&hauls) {
        let of = |figure: fn(&Weighed) -> f64| Spread::of(weighed.iter().map(figure));
        let beside = |figure: fn(&Weighed) -> f64| {
            let pairs = hauls[0].iter().zip(weighed);
            Spread::of(pairs.map(|(own, other)| figure(own) / figure(other))).alone()
        };
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            system.name(),
            Spread::of(starts).alone(),
            of(|it| it.wall).with_ends(),
            of(|it| it.cpu).with_ends(),
            of(|it| it.peak).alone(),
            beside(|it| it.wall),
            beside(|it| it.cpu),
        );
    }
    Ok(())
}

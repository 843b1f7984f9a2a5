//! One film and all systems, taking turns: what it takes to the first bytes, and what to the last.
//!
//! It measures and never judges.

use std::thread;
use std::time::Duration;

use crate::Outcome;
use crate::figures::Spread;
use crate::media::Film;
use crate::reader::{Body, Until};
use crate::say;
use crate::systems::{Links, System, Weighed, path_of};
use crate::upstream::Upstream;

/// How often each thing is done with one film.
pub(crate) struct Rounds {
    /// Downloads that end with the first byte of media.
    pub(crate) starts: usize,
    /// Whole downloads that are weighed, by each but the original.
    pub(crate) hauls: usize,
    /// By the original, which holds most of a film in memory.
    pub(crate) original_hauls: usize,
    /// How many downloads are weighed together: CPU time is told in hundredths of a second.
    pub(crate) together: usize,
}

/// What one film came to.
pub(crate) struct Standing {
    pub(crate) title: String,
    /// Bytes of the joined file.
    pub(crate) joined: u64,
    /// The origin itself, asked for the picture.
    pub(crate) direct: Vec<Body>,
    /// In the order of the systems.
    pub(crate) entries: Vec<Entry>,
}

pub(crate) struct Entry {
    pub(crate) system: &'static str,
    /// The muxer that made the file, where the server tells.
    pub(crate) engine: Option<String>,
    pub(crate) starts: Vec<Body>,
    pub(crate) hauls: Vec<Weighed>,
}

impl Entry {
    /// What made the file, if that is not what was asked for: nobody wears another's figures.
    pub(crate) fn other_engine(&self) -> Option<&str> {
        self.engine.as_deref().filter(|engine| !self.system.contains(engine))
    }

    /// Seconds.
    pub(crate) fn wall(&self) -> Spread {
        Spread::of(self.hauls.iter().map(|haul| haul.wall))
    }

    /// CPU seconds for 10^9 bytes.
    pub(crate) fn cpu(&self) -> Spread {
        Spread::of(self.hauls.iter().map(|haul| haul.cpu))
    }

    /// What a whole download took of this one for each second that it took of the other, in the
    /// same round: what else goes on meanwhile weighs on both.
    pub(crate) fn wall_beside(&self, other: &Entry) -> Spread {
        Spread::of(self.hauls.iter().zip(&other.hauls).map(|(own, other)| own.wall / other.wall))
    }

    /// The same of CPU time.
    pub(crate) fn cpu_beside(&self, other: &Entry) -> Spread {
        Spread::of(self.hauls.iter().zip(&other.hauls).map(|(own, other)| own.cpu / other.cpu))
    }

    /// MB.
    pub(crate) fn peak(&self) -> Spread {
        Spread::of(self.hauls.iter().map(|haul| haul.peak))
    }
}

/// The first of the systems makes the file whose length those that join nothing pass on.
pub(crate) fn hold(
    film: &Film,
    upstream: &Upstream,
    systems: &[&dyn System],
    rounds: &Rounds,
) -> Outcome<Standing> {
    let links = Links::new(upstream, film);
    let title = film.title();
    say(&format!("{title}: the whole file once, for its length"));
    let joined = named(systems[0], systems[0].fetch(&links, Until::End))?.len;
    film.make_whole(joined)?;

    // One start each that is not counted: page cache, imports on first use, and a first proof that it works.
    let mut entries = Vec::new();
    for system in systems {
        let engine = named(*system, system.fetch(&links, Until::Media))?.engine;
        let system = system.name();
        entries.push(Entry { system, engine, starts: Vec::new(), hauls: Vec::new() });
    }
    let mut direct = Vec::new();
    say(&format!("{title}: first bytes"));
    for _ in 0..rounds.starts {
        settle();
        direct.push(upstream.ask(&path_of(&film.video))?);
        for (system, entry) in systems.iter().zip(&mut entries) {
            settle();
            entry.starts.push(named(*system, system.fetch(&links, Until::Media))?);
        }
    }
    for round in 0..rounds.hauls {
        say(&format!("{title}: whole downloads, round {} of {}", round + 1, rounds.hauls));
        for (system, entry) in systems.iter().zip(&mut entries) {
            if round < rounds.original_hauls || system.name() != "original" {
                entry.hauls.push(named(*system, system.weigh(&links, rounds.together))?);
            }
        }
    }
    Ok(Standing { title, joined, direct, entries })
}

/// Lets the last download that was left come to its end: whoever is next is not to wait for that.
pub(crate) fn settle() {
    thread::sleep(Duration::from_millis(50));
}

fn named<T>(system: &dyn System, outcome: Outcome<T>) -> Outcome<T> {
    outcome.map_err(|error| format!("{}: {error}", system.name()).into())
}

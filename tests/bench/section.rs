//! One section of the report: all systems side by side, with an origin that speaks HTTPS, or HTTP.

use std::path::Path;

use crate::compare::{self, Rounds, Standing};
use crate::concurrent::{self, Tally};
use crate::delay::DelayedLine;
use crate::media::{Film, Rate};
use crate::server::{Engine, Server};
use crate::systems::{Alone, Links, System};
use crate::upstream::Upstream;
use crate::{Outcome, ROUND_TRIP};

/// What is done, and how often.
pub(crate) struct Plan {
    pub(crate) films: &'static [(Rate, u32, Rounds)],
    /// What else is done, by few.
    pub(crate) more: Option<More>,
}

pub(crate) struct More {
    /// Minutes of the film that comes from a far origin, and how often, for the first bytes.
    pub(crate) far: (u32, usize),
    /// Downloads side by side that are checked for missing bytes.
    pub(crate) abreast: usize,
}

/// What came of it.
pub(crate) struct Section {
    /// "HTTPS" or "HTTP"
    pub(crate) scheme: &'static str,
    pub(crate) films: Vec<Standing>,
    /// From an origin with a round trip.
    pub(crate) far: Option<Standing>,
    pub(crate) tallies: Vec<Tally>,
}

/// `media` is the directory that the origin serves.
pub(crate) fn measure(
    plan: &Plan,
    upstream: &Upstream,
    python: &Path,
    media: &Path,
    scratch: &Path,
) -> Outcome<Section> {
    let joining = Joining::start(upstream, python, scratch)?;
    let relays = Relays::start(upstream, &scratch.join("nginx-near"))?;
    let mut section = Section {
        scheme: if upstream.ca_file().is_some() { "HTTPS" } else { "HTTP" },
        films: Vec::new(),
        far: None,
        tallies: Vec::new(),
    };
    for (rate, minutes, rounds) in plan.films {
        let film = Film::make(media, *rate, *minutes)?;
        section.films.push(compare::hold(&film, upstream, &joining.beside(&relays), rounds)?);
    }
    let Some(More { far: (minutes, starts), abreast }) = plan.more else { return Ok(section) };
    let line = DelayedLine::to(upstream.addr(), ROUND_TRIP)?;
    let origin = upstream.behind(&line);
    let relays = Relays::start(&origin, &scratch.join("nginx-far"))?;
    let film = Film::make(media, Rate::Low, minutes)?;
    let rounds = Rounds { starts, hauls: 0, original_hauls: 0, together: 0 };
    section.far = Some(compare::hold(&film, &origin, &joining.beside(&relays), &rounds)?);
    // Sixty megabytes, whose end a muxer has long reached when the client has not.
    let links = Links::new(upstream, &Film::make(media, Rate::High, 1)?);
    let systems: [&dyn System; 3] = [&joining.splice, &joining.ffmpeg, &joining.original];
    section.tallies = systems.map(|system| concurrent::run(system, &links, abreast)).into();
    Ok(section)
}

/// Those that make one file of two.
struct Joining<'a> {
    splice: Server,
    /// Over TLS all bytes are copied anyway.
    copying: Option<Server>,
    ffmpeg: Server,
    alone: Alone<'a>,
    original: Server,
}

impl<'a> Joining<'a> {
    fn start(upstream: &'a Upstream, python: &Path, scratch: &Path) -> Outcome<Self> {
        let (ca_file, config) = (upstream.ca_file(), upstream.config());
        let daemon = |name, engine| Server::ytcanal(name, engine, ["", &config], scratch);
        let copying = match ca_file {
            Some(_) => None,
            None => Some(daemon("splice, no ETag", Engine::Copying)?),
        };
        Ok(Self {
            splice: daemon("ytcanal splice", Engine::Splice)?,
            copying,
            ffmpeg: daemon("ytcanal ffmpeg", Engine::Ffmpeg)?,
            alone: Alone(ca_file),
            original: Server::original(python, ca_file, scratch)?,
        })
    }

    /// All systems, in the order of the report.
    fn beside<'s>(&'s self, relays: &'s Relays) -> Vec<&'s dyn System> {
        let mut systems: Vec<&dyn System> = vec![&self.splice];
        systems.extend(self.copying.iter().map(|copying| copying as &dyn System));
        let others: [&dyn System; 5] =
            [&self.ffmpeg, &self.alone, &relays.nginx, &relays.copy_loop, &self.original];
        systems.extend(others);
        systems
    }
}

/// Those that join nothing, each between its clients and one origin.
struct Relays {
    nginx: Server,
    copy_loop: Server,
}

impl Relays {
    fn start(origin: &Upstream, scratch: &Path) -> Outcome<Self> {
        let (nginx, copy_loop) = (Server::nginx(origin, "", scratch)?, Server::copy_loop(origin)?);
        Ok(Self { nginx, copy_loop })
    }
}

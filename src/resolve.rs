//! From a page link to what its film is on offer as.
//!
//! A page is read by yt-dlp (in one of two ways), and what came of it is kept for as long as
//! its URLs are good. However many ask for one page at the same time, it is read once; whoever is
//! first does it for all, and if their client leaves, the next one begins anew. Must never fetch
//! media.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use url::Url;

use crate::cancel::CancelToken;
use crate::config::{Config, Environment};
use crate::error::Error;
use crate::limits::StreamLimiter;
use crate::media::offer::Offer;
use crate::mux::fifo::RuntimeDir;
use crate::source::{AddressPolicy, Families, SocksGateway};

mod call;
mod command;
mod cookies;
mod fork;
mod kept;
mod link;
mod media;
pub mod output;
mod trial;
mod verdict;
mod watch;

pub use link::link;
pub use media::media;
pub use trial::Javascript;
pub use verdict::Unresolved;

use call::{Call, Said, Unsaid};
use command::Command;
use fork::Fork;
use kept::{Found, Kept};

/// Reads pages, and remembers them.
pub struct Resolver {
    config: Config,
    policy: AddressPolicy,
    /// All that yt-dlp connects to, it connects to through this.
    _gate: SocksGateway,
    /// The ways to call yt-dlp; the first one that works is taken.
    ways: Vec<Box<dyn Call>>,
    /// For as many as may be called at a time; half of them for one client.
    slots: StreamLimiter,
    /// Where yt-dlp may keep what it learns of sites.
    runtime: Arc<RuntimeDir>,
    kept: Kept,
    read: AtomicU64,
    failed: AtomicU64,
    /// What is behind a link that leads to nobody's page but ours.
    built_in: OnceLock<Arc<Offer>>,
}

impl Resolver {
    /// As the configuration wants it.
    pub fn new(
        config: &Config,
        families: &Arc<Families>,
        runtime: &Arc<RuntimeDir>,
    ) -> io::Result<Resolver> {
        let resolver = &config.resolver;
        let gate = SocksGateway::open(&config.upstream, families)?;
        let environment = Environment::with(Some(&gate.url()));
        let memory = resolver.memory.0;
        let mut ways: Vec<Box<dyn Call>> = Vec::new();
        if resolver.fork_server {
            let program = resolver.command.clone();
            let environment = environment.clone();
            ways.push(Box::new(Fork::new(program, environment, runtime.clone(), memory)));
        }
        let (program, runtime) = (resolver.command.clone(), runtime.clone());
        ways.push(Box::new(Command { program, environment, runtime: runtime.clone(), memory }));
        Ok(Resolver {
            config: config.clone(),
            policy: AddressPolicy::from_config(&config.upstream),
            _gate: gate,
            ways,
            // Each of them has the slot of a stream, which are limited.
            slots: StreamLimiter::new(resolver.processes, resolver.processes.div_ceil(2))
                .without_queue_limit(),
            kept: Kept::new(
                usize::try_from(resolver.cache.0).unwrap_or(usize::MAX),
                resolver.cache_ttl.0,
            ),
            runtime,
            read: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            built_in: OnceLock::new(),
        })
    }

    /// From now on the link of `offer` needs no reading. There can be one such link.
    pub fn learn(&self, offer: Offer) {
        self.built_in.get_or_init(|| Arc::new(offer));
    }

    /// Pages that were read so far.
    pub fn pages_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Pages that could not be read so far.
    pub fn pages_failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// What the film behind `link` is on offer as.
    pub fn offer(&self, link: &Url, asker: &Asker<'_>) -> Result<Arc<Offer>, Error> {
        self.later(link, 0, asker).map(|(offer, _)| offer)
    }

    /// The same, but read later than the offer with this serial number was; and whether it was read
    /// for this. It is the same offer where reading the page again was in vain a moment ago.
    pub fn later(
        &self,
        link: &Url,
        serial: u64,
        asker: &Asker<'_>,
    ) -> Result<(Arc<Offer>, bool), Error> {
        if let Some(offer) = self.built_in.get().filter(|offer| offer.link == *link) {
            return Ok((offer.clone(), true));
        }
        loop {
            match self.kept.find(link, serial)? {
                Found::Kept(offer) => return Ok((offer, false)),
                Found::First(flight) => {
                    let read = self.read(link, asker);
                    let count = if read.is_ok() { &self.read } else { &self.failed };
                    count.fetch_add(1, Ordering::Relaxed);
                    return flight.land(read).map(|offer| (offer, true));
                }
                Found::Under(way) => match way.wait(asker.stop)? {
                    // Whoever was at it has left.
                    None | Some(Err(Error::Stopped)) => {}
                    Some(Ok(offer)) if offer.serial > serial => return Ok((offer, true)),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error),
                },
            }
        }
    }

    /// The locations of the offer with this serial number were refused, although they were fresh:
    /// for a while its page is not read for that again.
    fn read_in_vain(&self, link: &Url, serial: u64) {
        self.kept.is_in_vain(link, serial);
    }

    /// Reads the page.
    fn read(&self, link: &Url, asker: &Asker<'_>) -> Result<Offer, Error> {
        let begun = Instant::now();
        if !self.policy.permits_page(link) {
            let host = link.host_str().unwrap_or_default();
            return Err(unresolved(Unresolved::address(host)));
        }
        let said = self.call(link, begun, asker)?;
        let offer = if said.code == 0 {
            output::read(link, &said.stdout)
        } else {
            Err(verdict::verdict(said.code, &said.stderr))
        };
        let host = link.host_str().unwrap_or_default();
        match &offer {
            Ok(offer) => log::debug!(
                "read a page of {host} in {:.1?}: {} renditions",
                begun.elapsed(),
                offer.renditions.len()
            ),
            Err(why) => log::debug!("a page of {host} was not read: {}", why.said),
        }
        offer.map_err(unresolved)
    }

    fn call(&self, link: &Url, begun: Instant, asker: &Asker<'_>) -> Result<Said, Error> {
        let limit = self.config.resolver.timeout.0;
        let until = begun + limit;
        let Asker { client, stop } = *asker;
        let _slot = self.slots.try_acquire(client, stop, limit).map_err(|error| {
            let is_full = matches!(error, Error::Full(_));
            if is_full { unresolved(Unresolved::busy()) } else { error }
        })?;
        let arguments = call::arguments(&self.config, &self.runtime.pages(), link);
        self.call_with(&arguments, until, stop)
    }

    /// Calls it in the first way that works.
    fn call_with(
        &self,
        arguments: &[String],
        until: Instant,
        stop: &CancelToken,
    ) -> Result<Said, Error> {
        let limit = self.config.resolver.timeout.0;
        for way in &self.ways {
            return match way.call(arguments, until, stop) {
                Ok(said) => Ok(said),
                Err(Unsaid::Stopped) => Err(Error::Stopped),
                Err(Unsaid::TimedOut) => Err(unresolved(Unresolved::timeout(limit))),
                Err(Unsaid::Failed(why)) => Err(unresolved(why)),
                Err(Unsaid::NotThisWay(why)) => {
                    log::debug!("yt-dlp is called anew for each page: {why}");
                    continue;
                }
            };
        }
        Err(unresolved(Unresolved::failed("there is no way to call it")))
    }
}

/// For whom something is found out.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// Its address: nobody gets all places.
    pub client: IpAddr,
    /// Until it does not want it any more.
    pub stop: &'a CancelToken,
}

/// As an error of a stream.
fn unresolved(why: Unresolved) -> Error {
    Error::Unresolved(Box::new(why))
}

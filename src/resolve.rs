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
use crate::config::{ChildEnv, Config};
use crate::error::Error;
use crate::limits::StreamLimiter;
use crate::media::page_media::PageMedia;
use crate::net::{AddressPolicy, Families, SocksGateway};
use crate::runtime_dir::RuntimeDir;

mod backend;
mod cache;
mod classify;
mod cookies;
mod fork_server;
mod js_check;
mod media;
mod memory_watch;
mod page_url;
mod subprocess;
pub mod ytdlp_json;

pub use classify::ResolveError;
pub use js_check::Javascript;
pub use media::media;
pub use page_url::parse_page_url;

use backend::{Backend, BackendError, Output};
use cache::{Lookup, PageCache};
use fork_server::ForkServerBackend;
use subprocess::SubprocessBackend;

/// Reads pages, and remembers them.
pub struct Resolver {
    config: Config,
    policy: AddressPolicy,
    /// All that yt-dlp connects to, it connects to through this.
    _gateway: SocksGateway,
    /// The ways to call yt-dlp; the first one that works is taken.
    backends: Vec<Box<dyn Backend>>,
    /// For as many as may be called at a time; half of them for one client.
    limiter: StreamLimiter,
    /// Where yt-dlp may keep what it learns of sites.
    runtime_dir: Arc<RuntimeDir>,
    cache: PageCache,
    read: AtomicU64,
    failed: AtomicU64,
    /// What is behind a link that leads to nobody's page but ours.
    built_in: OnceLock<Arc<PageMedia>>,
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
        let environment = ChildEnv::with(Some(&gate.url()));
        let memory = resolver.memory.0;
        let mut ways: Vec<Box<dyn Backend>> = Vec::new();
        if resolver.fork_server {
            let program = resolver.command.clone();
            let environment = environment.clone();
            ways.push(Box::new(ForkServerBackend::new(
                program,
                environment,
                runtime.clone(),
                memory,
            )));
        }
        let (program, runtime) = (resolver.command.clone(), runtime.clone());
        ways.push(Box::new(SubprocessBackend {
            program,
            environment,
            runtime: runtime.clone(),
            memory,
        }));
        Ok(Resolver {
            config: config.clone(),
            policy: AddressPolicy::from_config(&config.upstream),
            _gateway: gate,
            backends: ways,
            // Each of them has the slot of a stream, which are limited.
            limiter: StreamLimiter::new(resolver.processes, resolver.processes.div_ceil(2))
                .without_queue_limit(),
            cache: PageCache::new(
                usize::try_from(resolver.cache.0).unwrap_or(usize::MAX),
                resolver.cache_ttl.0,
            ),
            runtime_dir: runtime,
            read: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            built_in: OnceLock::new(),
        })
    }

    /// From now on the link of `offer` needs no reading. There can be one such link.
    pub fn register_builtin(&self, offer: PageMedia) {
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
    pub fn offer(&self, link: &Url, context: &RequestContext<'_>) -> Result<Arc<PageMedia>, Error> {
        self.resolve_newer_than(link, 0, context).map(|(offer, _)| offer)
    }

    /// The same, but read later than the offer with this serial number was; and whether it was read
    /// for this. It is the same offer where reading the page again was in vain a moment ago.
    pub fn resolve_newer_than(
        &self,
        link: &Url,
        serial: u64,
        context: &RequestContext<'_>,
    ) -> Result<(Arc<PageMedia>, bool), Error> {
        if let Some(offer) = self.built_in.get().filter(|offer| offer.link == *link) {
            return Ok((offer.clone(), true));
        }
        loop {
            match self.cache.get(link, serial)? {
                Lookup::Hit(offer) => return Ok((offer, false)),
                Lookup::Miss(flight) => {
                    let read = self.read(link, context);
                    let count = if read.is_ok() { &self.read } else { &self.failed };
                    count.fetch_add(1, Ordering::Relaxed);
                    return flight.complete(read).map(|offer| (offer, true));
                }
                Lookup::InFlight(way) => match way.wait(context.cancel)? {
                    // Whoever was at it has left.
                    None | Some(Err(Error::Stopped)) => {}
                    Some(Ok(offer)) if offer.generation > serial => return Ok((offer, true)),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error),
                },
            }
        }
    }

    /// The locations of the offer with this serial number were refused, although they were fresh:
    /// for a while its page is not read for that again.
    fn mark_stale(&self, link: &Url, serial: u64) {
        self.cache.mark_stale(link, serial);
    }

    /// Reads the page.
    fn read(&self, link: &Url, context: &RequestContext<'_>) -> Result<PageMedia, Error> {
        let begun = Instant::now();
        if !self.policy.permits_page(link) {
            let host = link.host_str().unwrap_or_default();
            return Err(unresolved(ResolveError::address(host)));
        }
        let said = self.run(link, begun, context)?;
        let offer = if said.code == 0 {
            ytdlp_json::read(link, &said.stdout)
        } else {
            Err(classify::classify(said.code, &said.stderr))
        };
        let host = link.host_str().unwrap_or_default();
        match &offer {
            Ok(offer) => log::debug!(
                "read a page of {host} in {:.1?}: {} renditions",
                begun.elapsed(),
                offer.renditions.len()
            ),
            Err(why) => log::debug!("a page of {host} was not read: {}", why.message),
        }
        offer.map_err(unresolved)
    }

    fn run(
        &self,
        link: &Url,
        begun: Instant,
        context: &RequestContext<'_>,
    ) -> Result<Output, Error> {
        let limit = self.config.resolver.timeout.0;
        let until = begun + limit;
        let RequestContext { client, cancel } = *context;
        let _slot = self.limiter.try_acquire(client, cancel, limit).map_err(|error| {
            let is_full = matches!(error, Error::LimitExceeded(_));
            if is_full { unresolved(ResolveError::busy()) } else { error }
        })?;
        let arguments = backend::arguments(&self.config, &self.runtime_dir.pages(), link);
        self.run_backends(&arguments, until, cancel)
    }

    /// Calls it in the first way that works.
    fn run_backends(
        &self,
        arguments: &[String],
        until: Instant,
        cancel: &CancelToken,
    ) -> Result<Output, Error> {
        let limit = self.config.resolver.timeout.0;
        for way in &self.backends {
            return match way.run(arguments, until, cancel) {
                Ok(said) => Ok(said),
                Err(BackendError::Cancelled) => Err(Error::Stopped),
                Err(BackendError::TimedOut) => Err(unresolved(ResolveError::timeout(limit))),
                Err(BackendError::Failed(why)) => Err(unresolved(why)),
                Err(BackendError::Unavailable(why)) => {
                    log::debug!("yt-dlp is called anew for each page: {why}");
                    continue;
                }
            };
        }
        Err(unresolved(ResolveError::failed("there is no way to call it")))
    }
}

/// For whom something is found out.
#[derive(Clone, Copy)]
pub struct RequestContext<'a> {
    /// Its address: nobody gets all places.
    pub client: IpAddr,
    /// Until it does not want it any more.
    pub cancel: &'a CancelToken,
}

/// As an error of a stream.
fn unresolved(why: ResolveError) -> Error {
    Error::Resolve(Box::new(why))
}

//! Resolves page URLs: determines the formats in which a page offers its media.
//!
//! yt-dlp reads a page (in one of two ways), and the result is cached for as long as its URLs are
//! valid. However many requests need one page at the same time, it is read once: the first request
//! reads it for all, and if its client leaves, the next one starts over.
//!
//! **API boundary:** nothing here fetches media.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use url::Url;

use crate::cancel::CancelToken;
use crate::config::{ChildEnv, Config};
use crate::error::{Error, LimitExceeded, Rate, Resource};
use crate::limits::{Client, RateLimiter, StreamLimiter};
use crate::media::page_media::PageMedia;
use crate::memory_budget::{MemoryBudget, Reservation};
use crate::net::{Dialer, SocksGateway, target};
use crate::runtime_dir::RuntimeDir;

mod backend;
mod cache;
mod classify;
mod cookies;
mod fork_server;
mod js_check;
mod lists;
mod media;
mod memory_watch;
mod page_url;
mod plugin;
mod sites;
mod subprocess;
pub mod ytdlp_json;

pub use classify::ResolveError;
pub use js_check::Javascript;
pub use lists::PageContent;
pub use media::media;
pub use page_url::parse_page_url;

use backend::{Backend, BackendError, Launch, Output};
use cache::{Lookup, PageCache};
use fork_server::ForkServerBackend;
use lists::ListCache;
use sites::Sites;
use subprocess::SubprocessBackend;
use ytdlp_json::Page;

/// Memory that parsing an output takes, in lengths of it: the output, a text of it without escapes, and the page.
const PARSING_FACTOR: usize = 3;

/// Reads pages and caches the results.
pub struct Resolver {
    config: Config,
    dialer: Arc<Dialer>,
    /// Carries every connection of yt-dlp.
    _gateway: SocksGateway,
    /// The ways to run yt-dlp; the first one that works is used.
    backends: Vec<Box<dyn Backend>>,
    /// Limits concurrent runs.
    limiter: StreamLimiter,
    /// Limits how often a client has pages read.
    rate_limiter: Arc<RateLimiter>,
    /// Holds the cache of yt-dlp.
    runtime_dir: Arc<RuntimeDir>,
    cache: PageCache,
    /// The parts of lists that were read.
    lists: ListCache,
    /// Limits how often pages of a site are read.
    sites: Sites,
    /// Limits the memory of outputs while they are read and parsed.
    memory: Arc<MemoryBudget>,
    /// Held while an output is parsed.
    parsing: Mutex<()>,
    /// Number of pages read, and of failures.
    read: AtomicU64,
    failed: AtomicU64,
    /// The page that this program serves itself, for the demo.
    built_in_page: OnceLock<Arc<PageMedia>>,
}

impl Resolver {
    /// Makes the resolver that the configuration describes.
    pub fn new(
        config: &Config,
        dialer: &Arc<Dialer>,
        runtime: &Arc<RuntimeDir>,
        memory: &Arc<MemoryBudget>,
        rate_limiter: &Arc<RateLimiter>,
    ) -> io::Result<Resolver> {
        let resolver = &config.resolver;
        let gateway = SocksGateway::open(dialer)?;
        let launch = Arc::new(Launch {
            config: config.clone(),
            environment: ChildEnv::with(Some(&gateway.url())),
            runtime: runtime.clone(),
            gateway: gateway.port(),
        });
        let mut backends: Vec<Box<dyn Backend>> = Vec::new();
        if resolver.fork_server {
            backends.push(Box::new(ForkServerBackend::new(launch.clone())));
        }
        backends.push(Box::new(SubprocessBackend { launch }));
        Ok(Resolver {
            config: config.clone(),
            dialer: dialer.clone(),
            _gateway: gateway,
            backends,
            // Every waiting request holds a stream permit, and these are limited.
            limiter: StreamLimiter::new(
                Resource::Pages,
                resolver.processes,
                resolver.processes_per_client,
            )
            .without_queue_limit(),
            rate_limiter: rate_limiter.clone(),
            cache: PageCache::new(
                usize::try_from(resolver.cache.0).unwrap_or(usize::MAX),
                resolver.cache_ttl.0,
                resolver.failure_ttl.0,
            ),
            lists: ListCache::new(resolver.cache_ttl.0),
            sites: Sites::new(resolver),
            runtime_dir: runtime.clone(),
            memory: memory.clone(),
            parsing: Mutex::new(()),
            read: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            built_in_page: OnceLock::new(),
        })
    }

    /// Registers a page that needs no reading. There can be one.
    pub fn register_builtin(&self, page: PageMedia) {
        self.built_in_page.get_or_init(|| Arc::new(page));
    }

    /// Returns the number of pages read so far.
    pub fn pages_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Returns the number of pages that could not be read so far.
    pub fn pages_failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Returns what the page behind `page_url` offers.
    pub fn resolve(
        &self,
        page_url: &Url,
        context: &RequestContext<'_>,
    ) -> Result<Arc<PageMedia>, Error> {
        self.resolve_newer_than(page_url, 0, context).map(|(page, _)| page)
    }

    /// Like [`resolve`](Resolver::resolve), but returns a page newer than `generation`, and whether
    /// it was read for this call. Returns the same page where reading it again was futile a moment
    /// ago.
    pub fn resolve_newer_than(
        &self,
        page_url: &Url,
        generation: u64,
        context: &RequestContext<'_>,
    ) -> Result<(Arc<PageMedia>, bool), Error> {
        if let Some(page) = self.built_in_page.get().filter(|page| page.page_url == *page_url) {
            return Ok((page.clone(), true));
        }
        loop {
            match self.cache.get(page_url, generation)? {
                Lookup::Hit(page) => return Ok((page, false)),
                Lookup::Miss(flight) => {
                    let read = self.read_media(page_url, generation, context);
                    let count = if read.is_ok() { &self.read } else { &self.failed };
                    count.fetch_add(1, Ordering::Relaxed);
                    return flight.complete(read).map(|page| (page, true));
                }
                Lookup::InFlight(waiter) => match waiter.wait(context.cancel)? {
                    // The client of the request that read the page has left, or is at a limit of its own.
                    None
                    | Some(Err(Error::Stopped))
                    | Some(Err(Error::LimitExceeded(
                        LimitExceeded::Client(_) | LimitExceeded::Rate(..),
                    ))) => {}
                    Some(Ok(page)) if page.generation > generation => return Ok((page, true)),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error),
                },
            }
        }
    }

    /// Records that the locations of this generation were refused although they were fresh: for a
    /// while the page is not read again because of that.
    fn mark_stale(&self, page_url: &Url, generation: u64) {
        self.cache.mark_stale(page_url, generation);
    }

    /// Reads a page that has media. Keeps the beginning of a list, which has none.
    fn read_media(
        &self,
        page_url: &Url,
        generation: u64,
        context: &RequestContext<'_>,
    ) -> Result<PageMedia, Error> {
        let page = self.read(page_url, 0, generation, context)?;
        if let Page::List(list) = &page {
            self.lists.insert((**list).clone());
        }
        let media = page.into_media();
        if let Err(why) = &media {
            self.cache.insert_failure(page_url, why);
        }
        media.map_err(resolve_error)
    }

    /// Reads a page; if it is a list, `part` of its entries.
    fn read(
        &self,
        page_url: &Url,
        part: u32,
        generation: u64,
        context: &RequestContext<'_>,
    ) -> Result<Page, Error> {
        let started = Instant::now();
        let policy = self.dialer.policy();
        if !policy.permits_page(page_url) {
            let (host, port) = target(page_url);
            return Err(resolve_error(ResolveError::address(policy.refusal(host, port))));
        }
        let mut memory = self.memory.reservation();
        self.sites.check(page_url).map_err(resolve_error)?;
        // A download that was admitted goes on, whatever its client has read since.
        let is_new = generation == 0;
        if is_new {
            self.rate_limiter.charge(context.client, Rate::Pages)?;
        }
        let is_stranger = is_new && context.client.is_far();
        self.sites.begin(page_url, is_stranger).map_err(resolve_error)?;
        let output = self.run(page_url, part, started, context, &mut memory)?;
        let page = if output.code == 0 {
            self.parse(page_url, part, output.stdout, &mut memory)
        } else {
            Err(classify::classify(output.code, &output.stderr))
        };
        self.sites.record(page_url, page.as_ref().err());
        let host = page_url.host_str().unwrap_or_default();
        match &page {
            Ok(page) => {
                let (count, what) = match page {
                    Page::Media(media) => (media.renditions.len(), "renditions"),
                    Page::List(list) => (list.entries.len(), "entries"),
                };
                log::debug!("read a page of {host} in {:.1?}: {count} {what}", started.elapsed());
            }
            Err(why) => {
                log::debug!("failed to read a page of {host}: {}", why.message);
                if why.is_lasting() {
                    self.cache.insert_failure(page_url, why);
                }
            }
        }
        page.map_err(resolve_error)
    }

    /// Parses what yt-dlp printed, one page at a time: a large one takes memory.
    fn parse(
        &self,
        page_url: &Url,
        part: u32,
        json: Vec<u8>,
        memory: &mut Reservation,
    ) -> Result<Page, ResolveError> {
        let _turn = self.parsing.lock().unwrap_or_else(PoisonError::into_inner);
        let needed = json.len().saturating_mul(PARSING_FACTOR);
        if !memory.grow(u64::try_from(needed).unwrap_or(u64::MAX)) {
            return Err(ResolveError::no_memory());
        }
        ytdlp_json::read(page_url, part, json)
    }

    fn run(
        &self,
        page_url: &Url,
        part: u32,
        started: Instant,
        context: &RequestContext<'_>,
        memory: &mut Reservation,
    ) -> Result<Output, Error> {
        let limit = self.config.resolver.timeout.0;
        let deadline = started + limit;
        let RequestContext { client, cancel } = *context;
        let _permit = self.limiter.try_acquire(client, cancel, limit)?;
        let arguments = backend::arguments(&self.config, &self.runtime_dir.pages(), page_url, part);
        self.run_backends(&arguments, deadline, cancel, memory)
    }

    /// Runs yt-dlp in the first way that works.
    fn run_backends(
        &self,
        arguments: &[String],
        deadline: Instant,
        cancel: &CancelToken,
        memory: &mut Reservation,
    ) -> Result<Output, Error> {
        let limit = self.config.resolver.timeout.0;
        for backend in &self.backends {
            return match backend.run(arguments, deadline, cancel, memory) {
                Ok(output) => Ok(output),
                Err(BackendError::Cancelled) => Err(Error::Stopped),
                Err(BackendError::TimedOut) => Err(resolve_error(ResolveError::timeout(limit))),
                Err(BackendError::Failed(why)) => Err(resolve_error(why)),
                Err(BackendError::Unavailable(why)) => {
                    log::debug!("starting yt-dlp for each page: fork server unavailable: {why}");
                    continue;
                }
            };
        }
        Err(resolve_error(ResolveError::failed("no backend is available")))
    }
}

/// The request on whose behalf a page is read.
#[derive(Clone, Copy)]
pub struct RequestContext<'a> {
    /// The client, which limits its share of concurrent runs.
    pub client: Client,
    /// Ends the reading when the client no longer needs it.
    pub cancel: &'a CancelToken,
}

/// Wraps the failure as an error of the stream.
fn resolve_error(why: ResolveError) -> Error {
    Error::Resolve(Box::new(why))
}

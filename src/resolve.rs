//! Resolves page URLs: determines the formats in which a page offers its media.
//!
//! yt-dlp reads a page (in one of two ways), and the result is cached for as long as its URLs are
//! valid. However many requests need one page at the same time, it is read once: the first request
//! reads it for all, and if its client leaves, the next one starts over.
//!
//! **API boundary:** nothing here fetches media.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use url::Url;

use crate::cancel::CancelToken;
use crate::config::{ChildEnv, Config};
use crate::error::{Error, LimitExceeded, Rate, Resource};
use crate::instruments::Found;
use crate::limits::{Client, RateLimiter, StreamLimiter};
use crate::media::page_media::PageMedia;
use crate::memory_budget::{MemoryBudget, Reservation};
use crate::net::{Dialer, Refused, SocksGateway, target};
use crate::runtime_dir::RuntimeDir;

mod backend;
mod cache;
mod classify;
mod cookie_file;
mod cookies;
mod fork_server;
mod freshness;
mod js_check;
mod lists;
mod media;
mod memory_watch;
mod page_url;
mod plugin;
mod sites;
mod statistics;
mod subprocess;
mod version;
pub mod ytdlp_json;

pub use classify::ResolveError;
pub use cookie_file::{CookieFile, CookieFileError, CookiesId, TokenCookies};
pub use js_check::Javascript;
pub use lists::PageContent;
pub use media::{media, without_tracks};
pub use page_url::parse_page_url;
pub use version::{MAX_AGE, YtdlpVersion};

use backend::{Backend, BackendError, Call, Launch, Output};
use cache::{Lookup, PageCache, PageKey};
use fork_server::ForkServerBackend;
use freshness::LastBreakage;
use lists::ListCache;
use sites::Sites;
use statistics::Statistics;
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
    /// The files of cookies that tokens have.
    token_cookies: Option<Arc<dyn TokenCookies>>,
    /// The parts of lists that were read.
    lists: ListCache,
    /// Limits how often pages of a site are read.
    sites: Sites,
    /// Limits the memory of outputs while they are read and parsed.
    memory: Arc<MemoryBudget>,
    /// Held while an output is parsed.
    parsing: Mutex<()>,
    statistics: Statistics,
    last_breakage: LastBreakage,
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
            token_cookies: None,
            lists: ListCache::new(resolver.cache_ttl.0),
            sites: Sites::new(resolver),
            runtime_dir: runtime.clone(),
            memory: memory.clone(),
            parsing: Mutex::new(()),
            statistics: Statistics::default(),
            last_breakage: LastBreakage::default(),
            built_in_page: OnceLock::new(),
        })
    }

    /// Reads pages with the cookies of tokens, for clients whose token has some.
    pub fn with_token_cookies(self, token_cookies: Arc<dyn TokenCookies>) -> Resolver {
        Resolver { token_cookies: Some(token_cookies), ..self }
    }

    /// Registers a page that needs no reading. There can be one.
    pub fn register_builtin(&self, page: PageMedia) {
        self.built_in_page.get_or_init(|| Arc::new(page));
    }

    /// Returns what is counted of page readings.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Returns what limits concurrent readings.
    pub fn limiter(&self) -> &StreamLimiter {
        &self.limiter
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
        let page = self.page(page_url, context.client)?;
        loop {
            match self.cache.get(&page.key, generation)? {
                Lookup::Hit(page) => {
                    self.statistics.cache.of(Found::Hit).increment();
                    return Ok((page, false));
                }
                Lookup::Miss(flight) => {
                    self.statistics.cache.of(Found::Miss).increment();
                    let started = Instant::now();
                    let read = self.read_media(&page, generation, context);
                    self.statistics.read(&read, started.elapsed());
                    return flight.complete(read).map(|page| (page, true));
                }
                Lookup::InFlight(waiter) => match waiter.wait(context.cancel)? {
                    // The client of the request that read the page has left, or is at a limit of its own.
                    None
                    | Some(Err(Error::Stopped))
                    | Some(Err(Error::LimitExceeded(
                        LimitExceeded::Client(_) | LimitExceeded::Rate(..),
                    ))) => {}
                    Some(Ok(page)) if page.generation > generation => {
                        self.statistics.cache.of(Found::Hit).increment();
                        return Ok((page, true));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error),
                },
            }
        }
    }

    /// Records that the locations of this generation were refused although they were fresh: for a
    /// while the page is not read again because of that.
    fn mark_stale(&self, page_url: &Url, generation: u64, client: Client) {
        if let Ok(page) = self.page(page_url, client) {
            self.cache.mark_stale(&page.key, generation);
        }
    }

    /// Returns a page with the cookies that it is read with for this client.
    fn page(&self, page_url: &Url, client: Client) -> Result<PageToRead, Error> {
        let cookies = self.cookies(client)?;
        let id = cookies.as_ref().map(CookieFile::id).unwrap_or_default();
        Ok(PageToRead { key: PageKey { page_url: page_url.clone(), cookies: id }, cookies })
    }

    /// Returns what tells the cookies of a client from those of others.
    pub fn cookies_id(&self, client: Client) -> Result<CookiesId, Error> {
        Ok(self.cookies(client)?.map(|cookies| cookies.id()).unwrap_or_default())
    }

    /// Reads the file of cookies for this client. Without one that is to be there, no page is read.
    fn cookies(&self, client: Client) -> Result<Option<CookieFile>, Error> {
        let unusable = |key, why: &dyn fmt::Display| {
            resolve_error(ResolveError::cookies(key, &why.to_string()))
        };
        let (key, file) = match client.token_with_cookies() {
            None => ("resolver.cookies_file", self.config.resolver.cookies_file.clone()),
            Some(token) => {
                let key = "cookies_file of the token";
                let file = self.token_cookies.as_ref().and_then(|files| files.cookies_file(token));
                (key, Some(file.ok_or_else(|| unusable(key, &"the token has changed"))?))
            }
        };
        let cookies = file.map(|file| CookieFile::read(&file)).transpose();
        cookies.map_err(|why| unusable(key, &why))
    }

    /// Reads a page that has media. Keeps the beginning of a list, which has none.
    fn read_media(
        &self,
        to_read: &PageToRead,
        generation: u64,
        context: &RequestContext<'_>,
    ) -> Result<PageMedia, Error> {
        let page = self.read(to_read, 0, generation, context)?;
        if let Page::List(list) = &page {
            self.lists.insert(&to_read.key, (**list).clone());
        }
        let media = page.into_media();
        if let Err(why) = &media {
            self.cache.insert_failure(&to_read.key, why);
        }
        media.map_err(resolve_error)
    }

    /// Reads a page; if it is a list, `part` of its entries.
    fn read(
        &self,
        to_read: &PageToRead,
        part: u32,
        generation: u64,
        context: &RequestContext<'_>,
    ) -> Result<Page, Error> {
        let started = Instant::now();
        let page_url = &to_read.key.page_url;
        let policy = self.dialer.policy();
        if !policy.permits_page(page_url) {
            self.dialer.refusals().of(Refused::Page).increment();
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
        let output = self.run(to_read, part, started, context, &mut memory)?;
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
                self.last_breakage.record(why);
                if why.is_lasting() {
                    self.cache.insert_failure(&to_read.key, why);
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
        let mut page = ytdlp_json::read(page_url, part, json)?;
        if let Page::Media(media) = &mut page {
            self.check_sponsorblock(media);
        }
        Ok(page)
    }

    /// Logs why the segments could not be had, if so. Those that were not requested are none.
    fn check_sponsorblock(&self, media: &mut PageMedia) {
        if self.config.resolver.sponsorblock.is_empty() {
            media.sponsorblock = None;
        }
        if let Some(failure) = media.sponsorblock.as_ref().and_then(|told| told.failure.as_ref()) {
            log::warn!("reading a page without segments of SponsorBlock: {failure}");
        }
    }

    fn run(
        &self,
        to_read: &PageToRead,
        part: u32,
        started: Instant,
        context: &RequestContext<'_>,
        memory: &mut Reservation,
    ) -> Result<Output, Error> {
        let limit = self.config.resolver.timeout.0;
        let deadline = started + limit;
        let RequestContext { client, cancel } = *context;
        let _permit = self.limiter.try_acquire(client, cancel, limit)?;
        let cache = self.runtime_dir.pages();
        let arguments = backend::arguments(&self.config, &cache, &to_read.key.page_url, part);
        let cookies = to_read.cookies.as_ref();
        self.run_backends(Call { arguments: &arguments, cookies, deadline, cancel }, memory)
    }

    /// Runs yt-dlp in the first way that works.
    fn run_backends(&self, call: Call<'_>, memory: &mut Reservation) -> Result<Output, Error> {
        let limit = self.config.resolver.timeout.0;
        for backend in &self.backends {
            return match backend.run(call, memory) {
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

/// A page, and the cookies that it is read with.
struct PageToRead {
    key: PageKey,
    cookies: Option<CookieFile>,
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

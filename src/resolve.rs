//! Resolves page URLs: determines the formats in which a page offers its media.
//!
//! yt-dlp reads a page (in one of two ways), and the result is cached for as long as its URLs are
//! valid. However many requests need one page at the same time, it is read once: the first request
//! reads it for all, and if its client leaves, the next one starts over.
//!
//! **API boundary:** nothing here fetches media.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use url::Url;

use crate::cancel::CancelToken;
use crate::config::Config;
use crate::error::{Error, LimitExceeded};
use crate::instruments::{CounterSet, Found, HistogramSet, Outcome};
use crate::limits::{Client, RateLimiter, StreamLimiter};
use crate::media::page_media::PageMedia;
use crate::memory_budget::MemoryBudget;
use crate::net::Dialer;
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
mod page_reader;
mod page_url;
mod plugin;
mod sites;
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

use cache::{Lookup, PageCache, PageKey};
use lists::ListCache;
use page_reader::PageReader;
use ytdlp_json::Page;

/// Reads pages and caches the results.
pub struct Resolver {
    reader: PageReader,
    cache: PageCache,
    /// The files of cookies that tokens have.
    token_cookies: Option<Arc<dyn TokenCookies>>,
    /// The parts of lists that were read.
    lists: ListCache,
    /// How often a page was in the cache, or was just being read.
    lookups: CounterSet<Found>,
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
        Ok(Resolver {
            reader: PageReader::new(config, dialer, runtime, memory, rate_limiter)?,
            cache: PageCache::new(
                usize::try_from(resolver.cache.0).unwrap_or(usize::MAX),
                resolver.cache_ttl.0,
                resolver.failure_ttl.0,
            ),
            token_cookies: None,
            lists: ListCache::new(resolver.cache_ttl.0),
            lookups: CounterSet::default(),
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

    /// Returns how long it took to read pages, or to fail.
    pub fn readings(&self) -> &HistogramSet<Outcome> {
        &self.reader.readings
    }

    /// Returns how often a page was found that need not be read.
    pub fn lookups(&self) -> &CounterSet<Found> {
        &self.lookups
    }

    /// Returns how often a part of a list was found.
    pub fn list_lookups(&self) -> &CounterSet<Found> {
        &self.lists.lookups
    }

    /// Returns what limits concurrent readings.
    pub fn limiter(&self) -> &StreamLimiter {
        &self.reader.limiter
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
                    self.lookups.of(Found::Hit).increment();
                    return Ok((page, false));
                }
                Lookup::Miss(flight) => {
                    self.lookups.of(Found::Miss).increment();
                    let read = self.read_media(&page, generation, context);
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
                        self.lookups.of(Found::Hit).increment();
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
            None => ("resolver.cookies_file", self.reader.config.resolver.cookies_file.clone()),
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

    /// Reads a page; if it is a list, `part` of its entries. Remembers a failure that lasts.
    fn read(
        &self,
        to_read: &PageToRead,
        part: u32,
        generation: u64,
        context: &RequestContext<'_>,
    ) -> Result<Page, Error> {
        let page = self.reader.read(to_read, part, generation, context)?;
        if let Some(why) = page.as_ref().err().filter(|why| why.is_lasting()) {
            self.cache.insert_failure(&to_read.key, why);
        }
        page.map_err(resolve_error)
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

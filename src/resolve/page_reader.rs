//! Has yt-dlp read a page, within all limits: what clients may, what the site takes, processes, memory and time.
//!
//! **Invariant:** a page that the address policy refuses is never read.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use url::Url;

use super::backend::{self, Backend, BackendError, Call, Launch, Output};
use super::classify::{self, ResolveError};
use super::fork_server::ForkServerBackend;
use super::freshness::LastBreakage;
use super::sites::Sites;
use super::subprocess::SubprocessBackend;
use super::ytdlp_json::{self, Page};
use super::{PageToRead, RequestContext, resolve_error};
use crate::config::{ChildEnv, Config};
use crate::error::{Error, Rate, Resource};
use crate::instruments::{HistogramSet, Outcome};
use crate::limits::{RateLimiter, StreamLimiter};
use crate::media::page_media::PageMedia;
use crate::memory_budget::{MemoryBudget, Reservation};
use crate::net::{Dialer, Refused, SocksGateway, target};
use crate::runtime_dir::RuntimeDir;

/// Memory that parsing an output takes, in lengths of it: the output, a text of it without escapes, and the page.
const PARSING_FACTOR: usize = 3;
/// The buckets of how long it takes to read a page: a second with yt-dlp loaded, ten for scripts of YouTube.
const SECONDS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0];

/// Reads pages, each time anew.
pub(super) struct PageReader {
    pub(super) config: Config,
    dialer: Arc<Dialer>,
    /// Carries every connection of yt-dlp.
    _gateway: SocksGateway,
    /// The ways to run yt-dlp; the first one that works is used.
    pub(super) backends: Vec<Box<dyn Backend>>,
    /// Limits concurrent runs.
    pub(super) limiter: StreamLimiter,
    /// Limits how often a client has pages read.
    rate_limiter: Arc<RateLimiter>,
    /// Holds the cache of yt-dlp.
    pub(super) runtime_dir: Arc<RuntimeDir>,
    /// Limits how often pages of a site are read.
    sites: Sites,
    /// Limits the memory of outputs while they are read and parsed.
    pub(super) memory: Arc<MemoryBudget>,
    /// Held while an output is parsed.
    parsing: Mutex<()>,
    pub(super) last_breakage: LastBreakage,
    /// How long it took to read pages, or to fail.
    pub(super) readings: HistogramSet<Outcome>,
}

impl PageReader {
    pub(super) fn new(
        config: &Config,
        dialer: &Arc<Dialer>,
        runtime: &Arc<RuntimeDir>,
        memory: &Arc<MemoryBudget>,
        rate_limiter: &Arc<RateLimiter>,
    ) -> io::Result<PageReader> {
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
        Ok(PageReader {
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
            sites: Sites::new(resolver),
            runtime_dir: runtime.clone(),
            memory: memory.clone(),
            parsing: Mutex::new(()),
            last_breakage: LastBreakage::default(),
            readings: HistogramSet::new(SECONDS),
        })
    }

    /// Reads a page; if it is a list, `part` of its entries. The inner result is what yt-dlp says of it.
    pub(super) fn read(
        &self,
        to_read: &PageToRead,
        part: u32,
        generation: u64,
        context: &RequestContext<'_>,
    ) -> Result<Result<Page, ResolveError>, Error> {
        let started = Instant::now();
        let page_url = &to_read.key.page_url;
        // A download that was admitted goes on, whatever its client has read since.
        let is_new = generation == 0;
        self.admit(page_url, is_new, context)?;
        let mut memory = self.memory.reservation();
        let read = self.run(to_read, part, started, context, &mut memory).map(|output| {
            if output.code == 0 {
                self.parse(page_url, part, output.stdout, &mut memory)
            } else {
                Err(classify::classify(output.code, &output.stderr))
            }
        });
        self.record(page_url, &read, started.elapsed());
        read
    }

    /// Returns an error if the page may not be read now, or not for this client.
    fn admit(
        &self,
        page_url: &Url,
        is_new: bool,
        context: &RequestContext<'_>,
    ) -> Result<(), Error> {
        let policy = self.dialer.policy();
        if !policy.permits_page(page_url) {
            self.dialer.refusals().of(Refused::Page).increment();
            let (host, port) = target(page_url);
            return Err(resolve_error(ResolveError::address(policy.refusal(host, port))));
        }
        self.sites.check(page_url).map_err(resolve_error)?;
        if is_new {
            self.rate_limiter.charge(context.client, Rate::Pages)?;
        }
        let is_stranger = is_new && context.client.is_far();
        self.sites.begin(page_url, is_stranger).map_err(resolve_error)
    }

    /// Counts and logs how a reading ended. Of a client that has left, or is at a limit, there is none.
    fn record(
        &self,
        page_url: &Url,
        read: &Result<Result<Page, ResolveError>, Error>,
        elapsed: Duration,
    ) {
        let outcome = match read {
            Ok(Ok(_)) => Outcome::Ok,
            Ok(Err(_)) | Err(Error::Resolve(_)) => Outcome::Failed,
            Err(_) => return,
        };
        self.readings.of(outcome).observe(elapsed);
        let Ok(page) = read else { return };
        self.sites.record(page_url, page.as_ref().err());
        let host = page_url.host_str().unwrap_or_default();
        match page {
            Ok(page) => {
                let (count, what) = match page {
                    Page::Media(media) => (media.renditions.len(), "renditions"),
                    Page::List(list) => (list.entries.len(), "entries"),
                };
                log::debug!("read a page of {host} in {elapsed:.1?}: {count} {what}");
            }
            Err(why) => {
                log::debug!("failed to read a page of {host}: {}", why.message);
                self.last_breakage.record(why);
            }
        }
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
    pub(super) fn run_backends(
        &self,
        call: Call<'_>,
        memory: &mut Reservation,
    ) -> Result<Output, Error> {
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

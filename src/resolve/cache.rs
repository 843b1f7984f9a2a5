//! Caches pages that were read, and failures for a moment, and deduplicates concurrent readings of one page.
//!
//! **Invariant:** what was read with the cookies of one file is not found by those with other cookies.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use url::Url;

use super::cookie_file::CookiesId;
use crate::cancel::CancelToken;
use crate::error::{Error, ResolveError};
use crate::lru::LruMap;
use crate::media::page_media::PageMedia;
use crate::sys::{self, EventFd};

/// Validity that a URL must have left when it is handed out, or half its total if that is less: a
/// download takes time, and may be interrupted and resumed.
const MIN_REMAINING: Duration = Duration::from_secs(600);

/// How long a page is handed out whose media is live: it changes when the stream ends.
const LIVE_TTL: Duration = Duration::from_secs(60);
/// Maximum time that a page stays cached whose segments could not be had from SponsorBlock.
const INCOMPLETE_TTL: Duration = Duration::from_secs(5 * 60);

/// How long a page is not read again after freshly read URLs were refused, too: the cause is
/// something else, and a download program with eight connections would have the page read for each
/// retry.
const STALE_DURATION: Duration = Duration::from_secs(30);

/// Maximum memory of failures, in bytes.
const MAX_FAILURES: usize = 1 << 20;

/// What tells the reading of a page from others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PageKey {
    pub(super) page_url: Url,
    /// The cookies that it is read with.
    pub(super) cookies: CookiesId,
}

/// The cache, with the readings in flight.
pub(super) struct PageCache {
    ttl: Duration,
    failure_ttl: Duration,
    state: Mutex<State>,
}

struct State {
    pages: LruMap<PageKey, CachedPage>,
    /// Pages that could not be read, and until when they are not read again.
    failures: LruMap<PageKey, (ResolveError, Instant)>,
    in_flight: HashMap<PageKey, Arc<InFlight>>,
    /// The number of pages read.
    generation: u64,
}

struct CachedPage {
    media: Arc<PageMedia>,
    until: Instant,
    /// Until then, requests for a newer page get this one, too.
    refuse_newer_until: Option<Instant>,
}

/// The outcome of a lookup.
pub(super) enum Lookup<'k> {
    /// The page is cached.
    Hit(Arc<PageMedia>),
    /// Another request is reading the page.
    InFlight(FlightWaiter),
    /// The caller has to read the page.
    Miss(FlightGuard<'k>),
}

/// A reading in flight.
pub(super) struct InFlight {
    finished: EventFd,
    outcome: OnceLock<Result<Arc<PageMedia>, Error>>,
}

/// Waits for a reading by another request.
pub(super) struct FlightWaiter(Arc<InFlight>);

/// The obligation to complete a reading; waiters are woken whatever happens.
pub(super) struct FlightGuard<'k> {
    cache: &'k PageCache,
    key: PageKey,
    in_flight: Arc<InFlight>,
}

impl PageCache {
    /// Makes a cache of `limit` bytes, in which pages stay at most for `ttl`, and failures for `failure_ttl`.
    pub(super) fn new(limit: usize, ttl: Duration, failure_ttl: Duration) -> PageCache {
        let (pages, failures) = (LruMap::new(limit), LruMap::new(MAX_FAILURES));
        let state = State { pages, failures, in_flight: HashMap::new(), generation: 0 };
        PageCache { ttl, failure_ttl, state: Mutex::new(state) }
    }

    /// Looks up a page newer than `generation`. Fails if it could not be read a moment ago.
    pub(super) fn get(&self, key: &PageKey, generation: u64) -> Result<Lookup<'_>, Error> {
        let mut state = self.lock();
        if let Some(page) = state.pages.get(key)
            && page.until > Instant::now()
            && (page.media.generation > generation
                || page.media.generation == generation
                    && page.refuse_newer_until.is_some_and(|until| until > Instant::now()))
        {
            return Ok(Lookup::Hit(page.media.clone()));
        }
        if let Some((why, until)) = state.failures.get(key)
            && *until > Instant::now()
        {
            return Err(Error::Resolve(Box::new(why.clone())));
        }
        if let Some(in_flight) = state.in_flight.get(key) {
            return Ok(Lookup::InFlight(FlightWaiter(in_flight.clone())));
        }
        let finished = EventFd::new().map_err(|error| Error::system("make an eventfd", &error))?;
        let in_flight = Arc::new(InFlight { finished, outcome: OnceLock::new() });
        state.in_flight.insert(key.clone(), in_flight.clone());
        Ok(Lookup::Miss(FlightGuard { cache: self, key: key.clone(), in_flight }))
    }

    /// Records that no newer page than `generation` helps for a while.
    pub(super) fn mark_stale(&self, key: &PageKey, generation: u64) {
        let mut state = self.lock();
        if let Some(page) = state.pages.get(key).filter(|page| page.media.generation == generation)
        {
            page.refuse_newer_until = Instant::now().checked_add(STALE_DURATION);
        }
    }

    /// Records that a page could not be read.
    pub(super) fn insert_failure(&self, key: &PageKey, why: &ResolveError) {
        if let Some(until) = Instant::now().checked_add(self.failure_ttl) {
            let size =
                size_of::<CachedPage>() + 2 * key.page_url.as_str().len() + why.message.len();
            self.lock().failures.insert(key.clone(), (why.clone(), until), size);
        }
    }

    fn insert(&self, key: &PageKey, page: &Arc<PageMedia>) {
        let lacks_segments = page.sponsorblock.as_ref().is_some_and(|told| told.failure.is_some());
        let ttl = match page.is_live {
            true => self.ttl.min(LIVE_TTL),
            false if lacks_segments => self.ttl.min(INCOMPLETE_TTL),
            false => self.ttl,
        };
        let Some(until) = until(page.expires, ttl) else { return };
        let cached = CachedPage { media: page.clone(), until, refuse_newer_until: None };
        self.lock().pages.insert(key.clone(), cached, page.memory_size());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns until when a page with this expiry is handed out, for `ttl` at most.
#[expect(clippy::disallowed_methods, reason = "the time in a URL is one of day")]
fn until(expires: Option<SystemTime>, ttl: Duration) -> Option<Instant> {
    let left = match expires {
        Some(at) => {
            let left = at.duration_since(SystemTime::now()).ok()?;
            left - MIN_REMAINING.min(left / 2)
        }
        None => ttl,
    };
    Instant::now().checked_add(left.min(ttl))
}

impl FlightWaiter {
    /// Waits for the outcome; `None` if the reading request panicked.
    pub(super) fn wait(
        &self,
        cancel: &CancelToken,
    ) -> Result<Option<Result<Arc<PageMedia>, Error>>, Error> {
        let interests = [cancel.as_fd(), self.0.finished.as_fd()].map(|fd| (fd, sys::READABLE));
        match sys::poll(interests, None) {
            Ok([true, _]) => Err(Error::Stopped),
            Ok(_) => Ok(self.0.outcome.get().cloned()),
            Err(error) => Err(Error::system("wait for a page", &error)),
        }
    }
}

impl FlightGuard<'_> {
    /// Publishes the outcome to all waiters, and caches the page.
    pub(super) fn complete(self, read: Result<PageMedia, Error>) -> Result<Arc<PageMedia>, Error> {
        let outcome = read.map(|mut page| {
            let mut state = self.cache.lock();
            state.generation += 1;
            page.generation = state.generation;
            Arc::new(page)
        });
        if let Ok(page) = &outcome {
            self.cache.insert(&self.key, page);
        }
        self.in_flight.outcome.get_or_init(|| outcome).clone()
    }
}

impl Drop for FlightGuard<'_> {
    fn drop(&mut self) {
        self.cache.lock().in_flight.remove(&self.key);
        self.in_flight.finished.signal();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::page_media::PageMedia;
    use crate::problem_code::ProblemCode;

    fn page(key: &PageKey, expires: Option<SystemTime>) -> PageMedia {
        PageMedia {
            page_url: key.page_url.clone(),
            generation: 0,
            id: String::new(),
            extractor: String::new(),
            title: None,
            uploader: None,
            date: None,
            duration: None,
            is_live: false,
            chapters: Vec::new(),
            sponsorblock: None,
            subtitles: Vec::new(),
            thumbnail: None,
            renditions: Vec::new(),
            expires,
        }
    }

    fn key(number: usize) -> PageKey {
        let page_url = Url::parse(&format!("http://films.example/{number}")).unwrap();
        PageKey { page_url, cookies: CookiesId::default() }
    }

    fn land(cache: &PageCache, key: &PageKey, expires: Option<SystemTime>) -> Arc<PageMedia> {
        let Lookup::Miss(guard) = cache.get(key, 0).unwrap() else { panic!() };
        guard.complete(Ok(page(key, expires))).unwrap()
    }

    #[test]
    fn ten_ask_and_one_reads() {
        let (cache, key, cancel) = (
            PageCache::new(1 << 20, Duration::from_secs(60), Duration::ZERO),
            key(0),
            CancelToken::new().unwrap(),
        );
        let Lookup::Miss(guard) = cache.get(&key, 0).unwrap() else { panic!() };
        std::thread::scope(|scope| {
            let others: Vec<_> = (0..10)
                .map(|_| {
                    let Lookup::InFlight(waiter) = cache.get(&key, 0).unwrap() else { panic!() };
                    let cancel = &cancel;
                    scope.spawn(move || waiter.wait(cancel).unwrap().unwrap().unwrap())
                })
                .collect();
            let read = guard.complete(Ok(page(&key, None))).unwrap();
            for other in others {
                assert!(Arc::ptr_eq(&other.join().unwrap(), &read));
            }
            assert!(matches!(cache.get(&key, 0).unwrap(), Lookup::Hit(_)));
            // A later one is not there yet, unless it would be of no use.
            assert!(matches!(cache.get(&key, read.generation).unwrap(), Lookup::Miss(_)));
            cache.mark_stale(&key, read.generation);
            assert!(matches!(cache.get(&key, read.generation).unwrap(), Lookup::Hit(_)));
        });
    }

    #[test]
    fn whoever_leaves_lets_the_next_one_begin() {
        let (cache, key, cancel) = (
            PageCache::new(1 << 20, Duration::from_secs(60), Duration::ZERO),
            key(0),
            CancelToken::new().unwrap(),
        );
        let Lookup::Miss(guard) = cache.get(&key, 0).unwrap() else { panic!() };
        let Lookup::InFlight(waiter) = cache.get(&key, 0).unwrap() else { panic!() };
        drop(guard);
        assert!(waiter.wait(&cancel).unwrap().is_none());
        let Lookup::Miss(guard) = cache.get(&key, 0).unwrap() else { panic!() };
        let Lookup::InFlight(waiter) = cache.get(&key, 0).unwrap() else { panic!() };
        assert_eq!(guard.complete(Err(Error::Stopped)), Err(Error::Stopped));
        assert_eq!(waiter.wait(&cancel).unwrap(), Some(Err(Error::Stopped)));
        cancel.cancel();
        let Lookup::Miss(_guard) = cache.get(&key, 0).unwrap() else { panic!() };
        let Lookup::InFlight(waiter) = cache.get(&key, 0).unwrap() else { panic!() };
        assert_eq!(waiter.wait(&cancel), Err(Error::Stopped));
    }

    #[test]
    fn a_failure_is_remembered_for_a_moment() {
        let why = ResolveError {
            code: ProblemCode::Private,
            message: "for members".into(),
            retry_after: None,
        };
        for (ttl, is_remembered) in [(60, true), (0, false)] {
            let (minute, ttl) = (Duration::from_secs(60), Duration::from_secs(ttl));
            let cache = PageCache::new(1 << 20, minute, ttl);
            let read = land(&cache, &key(0), None);
            for number in 0..20_000 {
                cache.insert_failure(&key(number), &why);
            }
            let found = |number, generation| cache.get(&key(number), generation);
            assert!(matches!(found(0, 0), Ok(Lookup::Hit(_))));
            assert_eq!(found(19_999, 0).is_err(), is_remembered);
            assert!(matches!(found(1, 0), Ok(Lookup::Miss(_))), "there is a limit");
            cache.insert_failure(&key(0), &why);
            assert_eq!(found(0, read.generation).is_err(), is_remembered);
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "as above")]
    fn pages_go_when_they_are_old_or_many() {
        let cache = PageCache::new(
            3 * page(&key(0), None).memory_size(),
            Duration::from_secs(60),
            Duration::ZERO,
        );
        let is_cached = |number| matches!(cache.get(&key(number), 0).unwrap(), Lookup::Hit(_));
        for number in 0..3 {
            land(&cache, &key(number), None);
        }
        assert!(is_cached(0));
        land(&cache, &key(3), None);
        assert!(is_cached(0) && !is_cached(1) && is_cached(2) && is_cached(3));
        land(&cache, &key(4), Some(SystemTime::now() + Duration::from_secs(60)));
        assert!(is_cached(4));
        land(&cache, &key(5), Some(SystemTime::now() - Duration::from_secs(1)));
        assert!(!is_cached(5));
        let none = PageCache::new(0, Duration::from_secs(60), Duration::ZERO);
        land(&none, &key(0), None);
        assert!(matches!(none.get(&key(0), 0).unwrap(), Lookup::Miss(_)));
    }
}

//! Pages that were read lately, and those that are being read: of each page only one at a time.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use url::Url;

use crate::cancel::CancelToken;
use crate::error::Error;
use crate::media::page_media::PageMedia;
use crate::sys::{self, EventFd};

/// What is left of the life of a URL when it is not given out any more, or half of it if that is
/// less: a download takes its time, and may be interrupted and gone on with.
const MARGIN: Duration = Duration::from_secs(600);

/// How long a page is not read again on account of URLs that are refused, when those that it had
/// given afresh were refused, too: what is missing is something else, and a download program with
/// eight connections would have it read for each of its tries.
const STALE_MEMORY: Duration = Duration::from_secs(30);

/// All pages that are kept.
pub(super) struct PageCache {
    limit: usize,
    ttl: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pages: HashMap<Url, Page>,
    /// The weights of all pages.
    memory_size: usize,
    flights: HashMap<Url, Arc<InFlight>>,
    /// Counts how often a page was read or asked for.
    clock: u64,
}

struct Page {
    offer: Arc<PageMedia>,
    until: Instant,
    used: u64,
    /// Until when it is what there is for those who want a later one, too.
    stale_since: Option<Instant>,
}

/// What there is of a page.
pub(super) enum Lookup<'k> {
    /// It was read.
    Hit(Arc<PageMedia>),
    /// It is being read.
    InFlight(FlightWaiter),
    /// It is for whoever asked to read it.
    Miss(FlightGuard<'k>),
}

/// The reading of a page.
pub(super) struct InFlight {
    finished: EventFd,
    outcome: OnceLock<Result<Arc<PageMedia>, Error>>,
}

/// Somebody else reads it.
pub(super) struct FlightWaiter(Arc<InFlight>);

/// The duty to say what came of reading it; those who wait are let go, whatever happens.
pub(super) struct FlightGuard<'k> {
    kept: &'k PageCache,
    link: Url,
    flight: Arc<InFlight>,
}

impl PageCache {
    /// Pages of so many bytes in all, none for longer than `ttl`.
    pub(super) fn new(limit: usize, ttl: Duration) -> PageCache {
        PageCache { limit, ttl, state: Mutex::default() }
    }

    /// What there is of a page that was read later than the one with this serial number.
    pub(super) fn get(&self, link: &Url, serial: u64) -> Result<Lookup<'_>, Error> {
        let mut state = self.lock();
        state.clock += 1;
        let now = state.clock;
        if let Some(page) = state.pages.get_mut(link)
            && page.until > Instant::now()
            && (page.offer.generation > serial
                || page.offer.generation == serial
                    && page.stale_since.is_some_and(|until| until > Instant::now()))
        {
            page.used = now;
            return Ok(Lookup::Hit(page.offer.clone()));
        }
        if let Some(flight) = state.flights.get(link) {
            return Ok(Lookup::InFlight(FlightWaiter(flight.clone())));
        }
        let landed = EventFd::new().map_err(|error| Error::system("make an eventfd", &error))?;
        let flight = Arc::new(InFlight { finished: landed, outcome: OnceLock::new() });
        state.flights.insert(link.clone(), flight.clone());
        Ok(Lookup::Miss(FlightGuard { kept: self, link: link.clone(), flight }))
    }

    /// Nothing later than the offer with this serial number is to be had for a while.
    pub(super) fn mark_stale(&self, link: &Url, serial: u64) {
        let mut state = self.lock();
        if let Some(page) = state.pages.get_mut(link).filter(|page| page.offer.generation == serial)
        {
            page.stale_since = Instant::now().checked_add(STALE_MEMORY);
        }
    }

    fn insert(&self, offer: &Arc<PageMedia>) {
        let Some(until) = self.until(offer.expires) else { return };
        let weight = offer.memory_size();
        let mut state = self.lock();
        state.remove(&offer.link);
        if weight > self.limit {
            return;
        }
        while state.memory_size + weight > self.limit {
            let oldest = state.pages.iter().min_by_key(|(_, page)| page.used);
            let Some(oldest) = oldest.map(|(link, _)| link.clone()) else { break };
            state.remove(&oldest);
        }
        state.memory_size += weight;
        let page = Page { offer: offer.clone(), until, used: offer.generation, stale_since: None };
        state.pages.insert(offer.link.clone(), page);
    }

    /// Until when an offer is good that expires then.
    #[expect(clippy::disallowed_methods, reason = "the time in a URL is one of day")]
    fn until(&self, expires: Option<SystemTime>) -> Option<Instant> {
        let left = match expires {
            Some(at) => {
                let left = at.duration_since(SystemTime::now()).ok()?;
                left - MARGIN.min(left / 2)
            }
            None => self.ttl,
        };
        Instant::now().checked_add(left.min(self.ttl))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, link: &Url) {
        if let Some(page) = self.pages.remove(link) {
            self.memory_size -= page.offer.memory_size();
        }
    }
}

impl FlightWaiter {
    /// Waits for what comes of it; `None` if whoever was at it has panicked.
    pub(super) fn wait(
        &self,
        cancel: &CancelToken,
    ) -> Result<Option<Result<Arc<PageMedia>, Error>>, Error> {
        let awaited = [cancel.as_fd(), self.0.finished.as_fd()].map(|fd| (fd, sys::READABLE));
        match sys::poll(awaited, None) {
            Ok([true, _]) => Err(Error::Stopped),
            Ok(_) => Ok(self.0.outcome.get().cloned()),
            Err(error) => Err(Error::system("wait for a page", &error)),
        }
    }
}

impl FlightGuard<'_> {
    /// Says it to all who wait, and keeps it if it is a page.
    pub(super) fn complete(self, read: Result<PageMedia, Error>) -> Result<Arc<PageMedia>, Error> {
        let outcome = read.map(|mut offer| {
            let mut state = self.kept.lock();
            state.clock += 1;
            offer.generation = state.clock;
            Arc::new(offer)
        });
        if let Ok(offer) = &outcome {
            self.kept.insert(offer);
        }
        self.flight.outcome.get_or_init(|| outcome).clone()
    }
}

impl Drop for FlightGuard<'_> {
    fn drop(&mut self) {
        self.kept.lock().flights.remove(&self.link);
        self.flight.finished.signal();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::page_media::PageMedia;

    fn offer(link: &Url, expires: Option<SystemTime>) -> PageMedia {
        PageMedia {
            link: link.clone(),
            generation: 0,
            id: String::new(),
            extractor: String::new(),
            title: None,
            uploader: None,
            date: None,
            duration: None,
            thumbnail: None,
            renditions: Vec::new(),
            expires,
        }
    }

    fn link(number: usize) -> Url {
        Url::parse(&format!("http://films.example/{number}")).unwrap()
    }

    fn land(kept: &PageCache, link: &Url, expires: Option<SystemTime>) -> Arc<PageMedia> {
        let Lookup::Miss(landing) = kept.get(link, 0).unwrap() else { panic!() };
        landing.complete(Ok(offer(link, expires))).unwrap()
    }

    #[test]
    fn ten_ask_and_one_reads() {
        let (kept, link, cancel) = (
            PageCache::new(1 << 20, Duration::from_secs(60)),
            link(0),
            CancelToken::new().unwrap(),
        );
        let Lookup::Miss(landing) = kept.get(&link, 0).unwrap() else { panic!() };
        std::thread::scope(|scope| {
            let others: Vec<_> = (0..10)
                .map(|_| {
                    let Lookup::InFlight(way) = kept.get(&link, 0).unwrap() else { panic!() };
                    let cancel = &cancel;
                    scope.spawn(move || way.wait(cancel).unwrap().unwrap().unwrap())
                })
                .collect();
            let read = landing.complete(Ok(offer(&link, None))).unwrap();
            for other in others {
                assert!(Arc::ptr_eq(&other.join().unwrap(), &read));
            }
            assert!(matches!(kept.get(&link, 0).unwrap(), Lookup::Hit(_)));
            // A later one is not there yet, unless it would be of no use.
            assert!(matches!(kept.get(&link, read.generation).unwrap(), Lookup::Miss(_)));
            kept.mark_stale(&link, read.generation);
            assert!(matches!(kept.get(&link, read.generation).unwrap(), Lookup::Hit(_)));
        });
    }

    #[test]
    fn whoever_leaves_lets_the_next_one_begin() {
        let (kept, link, cancel) = (
            PageCache::new(1 << 20, Duration::from_secs(60)),
            link(0),
            CancelToken::new().unwrap(),
        );
        let Lookup::Miss(landing) = kept.get(&link, 0).unwrap() else { panic!() };
        let Lookup::InFlight(way) = kept.get(&link, 0).unwrap() else { panic!() };
        drop(landing);
        assert!(way.wait(&cancel).unwrap().is_none());
        let Lookup::Miss(landing) = kept.get(&link, 0).unwrap() else { panic!() };
        let Lookup::InFlight(way) = kept.get(&link, 0).unwrap() else { panic!() };
        assert_eq!(landing.complete(Err(Error::Stopped)), Err(Error::Stopped));
        assert_eq!(way.wait(&cancel).unwrap(), Some(Err(Error::Stopped)));
        cancel.cancel();
        let Lookup::Miss(_landing) = kept.get(&link, 0).unwrap() else { panic!() };
        let Lookup::InFlight(way) = kept.get(&link, 0).unwrap() else { panic!() };
        assert_eq!(way.wait(&cancel), Err(Error::Stopped));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "as above")]
    fn pages_go_when_they_are_old_or_many() {
        let kept = PageCache::new(3 * offer(&link(0), None).memory_size(), Duration::from_secs(60));
        let is_kept = |number| matches!(kept.get(&link(number), 0).unwrap(), Lookup::Hit(_));
        for number in 0..3 {
            land(&kept, &link(number), None);
        }
        assert!(is_kept(0));
        land(&kept, &link(3), None);
        assert!(is_kept(0) && !is_kept(1) && is_kept(2) && is_kept(3));
        land(&kept, &link(4), Some(SystemTime::now() + Duration::from_secs(60)));
        assert!(is_kept(4));
        land(&kept, &link(5), Some(SystemTime::now() - Duration::from_secs(1)));
        assert!(!is_kept(5));
        let none = PageCache::new(0, Duration::from_secs(60));
        land(&none, &link(0), None);
        assert!(matches!(none.get(&link(0), 0).unwrap(), Lookup::Miss(_)));
    }
}

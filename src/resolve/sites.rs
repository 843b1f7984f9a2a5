//! How often pages of a site are read: not at all for a while if it refuses this server, and only so often for
//! strangers. Otherwise a site would block the address of the server for good.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use url::{Host, Url};

use super::classify::ResolveError;
use crate::config::ResolverConfig;
use crate::lru::LruMap;
use crate::problem_code::ProblemCode;

/// Maximum number of sites that are remembered.
const MAX_SITES: usize = 1024;
/// How many pages in a row a site must refuse before it is left alone: one page may be the reason itself.
const BUSY_PAGES: u32 = 3;
/// How many times the pause may double.
const MAX_DOUBLINGS: u32 = 4;
/// The period of the limit for strangers.
const MINUTE: Duration = Duration::from_secs(60);

/// What is known of the sites.
pub(super) struct Sites {
    /// The first pause; none if it is zero.
    pause: Duration,
    /// How long the one page may take that is read after a pause.
    trial: Duration,
    /// Maximum number of pages of one site that are read for strangers in a minute.
    pages_per_minute: u32,
    sites: Mutex<LruMap<String, Site>>,
}

#[derive(Clone, Copy)]
struct Site {
    /// Number of pages in a row that the site refused.
    busy: u32,
    /// No page is read until then.
    paused_until: Instant,
    /// When the budget of strangers will be complete again.
    budget: Instant,
}

impl Site {
    fn new(now: Instant) -> Site {
        Site { busy: 0, paused_until: now, budget: now }
    }

    fn check(&self, now: Instant) -> Result<(), ResolveError> {
        match self.paused_until.saturating_duration_since(now) {
            Duration::ZERO => Ok(()),
            left => Err(ResolveError::left_alone(seconds(left))),
        }
    }
}

impl Sites {
    /// Knows no site yet.
    pub(super) fn new(config: &ResolverConfig) -> Sites {
        Sites {
            pause: config.busy_pause.0,
            trial: config.timeout.0,
            pages_per_minute: config.site_pages_per_minute,
            sites: Mutex::new(LruMap::new(MAX_SITES)),
        }
    }

    /// Fails if the site is left alone.
    pub(super) fn check(&self, page_url: &Url) -> Result<(), ResolveError> {
        let (mut sites, now) = (self.lock(), Instant::now());
        sites.get(&site_name(page_url)).map_or(Ok(()), |site| site.check(now))
    }

    /// Begins to read a page, which counts in the budget that all strangers share. Fails if that is used up, or if the
    /// site is left alone. After that, one page is read, and the others wait for what comes of it.
    pub(super) fn begin(&self, page_url: &Url, is_stranger: bool) -> Result<(), ResolveError> {
        self.begin_at(page_url, is_stranger, Instant::now())
    }

    fn begin_at(
        &self,
        page_url: &Url,
        is_stranger: bool,
        now: Instant,
    ) -> Result<(), ResolveError> {
        let (mut sites, name) = (self.lock(), site_name(page_url));
        let Some(mut site) = sites.get(&name).copied().or(is_stranger.then(|| Site::new(now)))
        else {
            return Ok(());
        };
        site.check(now)?;
        if is_stranger {
            site.budget = site.budget.max(now) + MINUTE / self.pages_per_minute;
            let wait = (site.budget - now).saturating_sub(MINUTE);
            if !wait.is_zero() {
                return Err(ResolveError::many_pages(seconds(wait)));
            }
        }
        if site.busy >= BUSY_PAGES {
            site.paused_until = now + self.trial;
        }
        sites.insert(name, site, 1);
        Ok(())
    }

    /// Records what became of a page of the site.
    pub(super) fn record(&self, page_url: &Url, failure: Option<&ResolveError>) {
        self.record_at(page_url, failure, Instant::now());
    }

    fn record_at(&self, page_url: &Url, failure: Option<&ResolveError>, now: Instant) {
        if self.pause.is_zero() {
            return;
        }
        let is_busy = failure.is_some_and(|why| why.code == ProblemCode::SiteBusy);
        let (mut sites, name) = (self.lock(), site_name(page_url));
        let known = sites.get(&name).copied();
        if known.is_none() && !is_busy {
            return;
        }
        let mut site = known.unwrap_or(Site::new(now));
        site.busy = if is_busy { site.busy.saturating_add(1) } else { 0 };
        site.paused_until = match site.busy.checked_sub(BUSY_PAGES) {
            Some(doublings) => now + self.pause * (1 << doublings.min(MAX_DOUBLINGS)),
            None => now,
        };
        sites.insert(name, site, 1);
    }

    fn lock(&self) -> MutexGuard<'_, LruMap<String, Site>> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the name of the site: what a domain name has in common with those of the same owner, mostly.
fn site_name(page_url: &Url) -> String {
    /// Below `co.uk` or `com.au`, names have three parts.
    const SHORT: usize = 3;
    match page_url.host() {
        Some(Host::Domain(name)) => {
            let mut parts = name.trim_end_matches('.').rsplit('.');
            let [top, second, third] = [(); 3].map(|()| parts.next().unwrap_or_default());
            let third = if second.len() <= SHORT { third } else { "" };
            format!("{third}.{second}.{top}").trim_start_matches('.').to_owned()
        }
        Some(address) => address.to_string(),
        None => String::new(),
    }
}

fn seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_secs().saturating_add(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HumanDuration;

    fn sites() -> Sites {
        Sites::new(&ResolverConfig {
            busy_pause: HumanDuration(MINUTE),
            site_pages_per_minute: 6,
            ..ResolverConfig::default()
        })
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn failure(code: ProblemCode) -> ResolveError {
        ResolveError { code, message: String::new(), retry_after: None }
    }

    #[test]
    fn a_site_that_refuses_is_left_alone_ever_longer() {
        let (sites, start, page) = (sites(), Instant::now(), url("https://m.films.example/1"));
        let busy = failure(ProblemCode::SiteBusy);
        let at = |seconds| start + Duration::from_secs(seconds);
        let wait = |seconds| sites.begin_at(&page, false, at(seconds)).err()?.retry_after;
        // A page that is private was shown to somebody.
        let private = failure(ProblemCode::Private);
        for failure in [Some(&busy), Some(&busy), Some(&private), Some(&busy), None, Some(&busy)] {
            sites.record_at(&page, failure, at(0));
            assert_eq!(wait(0), None);
        }
        sites.record_at(&page, Some(&busy), at(0));
        assert_eq!(wait(0), None);
        sites.record_at(&page, Some(&busy), at(0));
        assert_eq!((wait(0), wait(50)), (Some(61), Some(11)));
        assert!(sites.begin_at(&url("https://www.films.example/"), true, at(50)).is_err());
        assert!(sites.begin_at(&url("https://other.example/"), false, at(50)).is_ok());
        // One page at a time, also if nothing comes of it.
        assert_eq!((wait(60), wait(60), wait(89)), (None, Some(31), Some(2)));
        assert_eq!((wait(90), wait(90)), (None, Some(31)));
        sites.record_at(&page, Some(&busy), at(100));
        assert_eq!(wait(100), Some(121));
        assert!(sites.check(&page).is_err());
        for _ in 0..9 {
            sites.record_at(&page, Some(&busy), at(300));
        }
        assert_eq!(wait(300), Some(16 * 60 + 1));
        sites.record_at(&page, None, at(2000));
        assert_eq!([wait(2000), wait(2000)], [None; 2]);
        // Other failures do not fill the table.
        sites.record_at(&url("https://b.example/"), Some(&private), at(0));
        assert_eq!(sites.lock().len(), 1);
    }

    #[test]
    fn strangers_share_a_budget_for_each_site() {
        let (sites, start) = (sites(), Instant::now());
        let charge = |page: &str, seconds| {
            let charged = sites.begin_at(&url(page), true, start + Duration::from_secs(seconds));
            charged.err().map(|why| (why.code, why.retry_after))
        };
        for number in 0..6 {
            assert_eq!(charge(&format!("https://films.example/{number}"), 0), None);
        }
        let refused = Some((ProblemCode::ResolverBusy, Some(11)));
        assert_eq!(charge("https://www.films.example/9", 0), refused);
        assert_eq!(charge("https://other.example/9", 0), None);
        assert_eq!(charge("https://films.example/9", 10), None);
        assert!(charge("https://films.example/9", 10).is_some());
    }

    #[test]
    fn names_of_one_owner_are_one_site() {
        for (host, name) in [
            ("www.youtube.com", "youtube.com"),
            ("youtube.com.", "youtube.com"),
            ("youtu.be", "youtu.be"),
            ("a.b.films.example", "films.example"),
            ("www.bbc.co.uk", "bbc.co.uk"),
            ("itv.co.uk", "itv.co.uk"),
            ("localhost", "localhost"),
            ("10.0.0.1", "10.0.0.1"),
            ("[2001:db8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(site_name(&url(&format!("https://{host}/x"))), name);
        }
    }
}

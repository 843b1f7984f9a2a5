//! Whether yt-dlp is too old: its age, and whether it has lately failed to understand a page.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Resolver;
use super::classify::ResolveError;
use super::version::{MAX_AGE, YtdlpVersion};
use crate::config;
use crate::problem_code::ProblemCode;

/// How long a failure counts as a sign that yt-dlp is too old.
const RECENT: Duration = Duration::from_secs(24 * 3600);

/// When yt-dlp last failed to understand a page, if it has.
#[derive(Default)]
pub(super) struct LastBreakage(Mutex<Option<Instant>>);

impl LastBreakage {
    /// Records a failure, if it is one of this kind.
    pub(super) fn record(&self, why: &ResolveError) {
        if why.code == ProblemCode::ExtractorBroken {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }

    fn is_recent(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|failed| failed.elapsed() < RECENT)
    }
}

impl Resolver {
    /// Returns the version of the yt-dlp that reads the next page, if it is found without running it.
    pub fn version(&self) -> Option<YtdlpVersion> {
        YtdlpVersion::installed(&config::find_resolver(&self.reader.config.resolver.command)?)
    }

    /// Returns the age in days of an old yt-dlp that has lately failed to understand a page.
    pub fn outdated_for(&self) -> Option<i64> {
        outdated_for(self.reader.last_breakage.is_recent(), || self.version()?.age())
    }
}

/// Returns the age in days that the web page names. One sign alone is none: an old yt-dlp that reads every page is
/// fine, and of a new one that does not there is no newer. The age takes reading a file, which most visits do without.
fn outdated_for(fails: bool, age: impl FnOnce() -> Option<i64>) -> Option<i64> {
    let age = if fails { age() } else { None };
    age.filter(|days| *days > MAX_AGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_that_are_not_understood_count() {
        let last = LastBreakage::default();
        last.record(&ResolveError::failed("killed"));
        assert!(!last.is_recent());
        last.record(&ResolveError::broken("Unable to extract title"));
        assert!(last.is_recent());
    }

    #[test]
    fn only_an_old_one_that_fails_is_outdated() {
        let (old, young) = (MAX_AGE + 1, MAX_AGE);
        for (fails, age, outdated) in [
            (true, Some(old), Some(old)),
            (true, Some(young), None),
            (false, Some(old), None),
            (false, Some(young), None),
            // It is not beside its packages.
            (true, None, None),
        ] {
            assert_eq!(outdated_for(fails, || age), outdated, "fails: {fails}, age: {age:?}");
        }
        outdated_for(false, || panic!("the age is not needed"));
    }
}

//! Remembers the covers of pages: a client that resumes must find the file as it was, with its cover or without.
//!
//! **Invariant:** the covers take no more memory than `CACHE_SIZE`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use url::Url;

use crate::instruments::{CounterSet, Found};
use crate::lru::LruMap;
use crate::media::CoverArt;
use crate::resolve::CookiesId;

/// How long a cover, or that there is none, is remembered.
const MAX_AGE: Duration = Duration::from_secs(3600);
const CACHE_SIZE: usize = 16 << 20;
/// The memory of an entry beside its image.
const ENTRY_SIZE: usize = 1 << 10;

/// A page, and the cookies that it was read with: others may see another page.
type Key = (Url, CookiesId);

/// The covers.
#[derive(Debug)]
pub struct Covers {
    covers: Mutex<LruMap<Key, (Instant, Option<CoverArt>)>>,
    lookups: CounterSet<Found>,
}

impl Default for Covers {
    fn default() -> Covers {
        Covers { covers: Mutex::new(LruMap::new(CACHE_SIZE)), lookups: CounterSet::default() }
    }
}

impl Covers {
    /// Returns how often a cover was found.
    pub fn lookups(&self) -> &CounterSet<Found> {
        &self.lookups
    }

    /// Returns the cover of a page: what was found within the last hour, else what `fetch` finds now. `None` if it has
    /// no usable one; an error of `fetch` is remembered by nobody.
    pub fn get_or_fetch<E>(
        &self,
        page: Key,
        fetch: impl FnOnce() -> Result<Option<CoverArt>, E>,
    ) -> Result<Option<CoverArt>, E> {
        let lock = || self.covers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.lookups.look(known(&mut lock(), &page)) {
            return Ok(known);
        }
        let cover = fetch()?;
        let mut covers = lock();
        // Several requests for parts of a file may have looked for it, and must agree: the first one counts.
        if let Some(known) = known(&mut covers, &page) {
            return Ok(known);
        }
        let size = cover.as_ref().map_or(0, |cover| cover.bytes.len()) + ENTRY_SIZE;
        covers.insert(page, (Instant::now(), cover.clone()), size);
        Ok(cover)
    }
}

/// Returns what was found within the last hour, if anything was.
fn known(
    covers: &mut LruMap<Key, (Instant, Option<CoverArt>)>,
    page: &Key,
) -> Option<Option<CoverArt>> {
    let (since, cover) = covers.get(page)?;
    (since.elapsed() < MAX_AGE).then(|| cover.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_stays() {
        let covers = Covers::default();
        let of = |host: &str| {
            (Url::parse(&format!("http://{host}.example/")).unwrap(), CookiesId::default())
        };
        let cover = CoverArt { is_jpeg: true, bytes: [1].into() };
        assert_eq!(covers.get_or_fetch(of("a"), || Err(())), Err(()));
        assert_eq!(covers.get_or_fetch::<()>(of("a"), || Ok(None)), Ok(None));
        assert_eq!(covers.get_or_fetch::<()>(of("a"), || Ok(Some(cover.clone()))), Ok(None));
        // Two that looked for it at the same time.
        let slow = covers.get_or_fetch::<()>(of("c"), || {
            covers.get_or_fetch::<()>(of("c"), || Ok(None)).map(drop)?;
            Ok(Some(cover.clone()))
        });
        assert_eq!(slow, Ok(None));
        let found = covers.get_or_fetch::<()>(of("b"), || Ok(Some(cover.clone())));
        assert_eq!(found, Ok(Some(cover)));
    }
}

//! Remembers the covers of pages: a client that resumes must find the file as it was, with its cover or without.
//!
//! **Invariant:** the covers take no more memory than `CACHE_SIZE`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use url::Url;

use crate::lru::LruMap;
use crate::media::CoverArt;

/// How long a cover, or that there is none, is remembered.
const MAX_AGE: Duration = Duration::from_secs(3600);
const CACHE_SIZE: usize = 16 << 20;
/// The memory of an entry beside its image.
const ENTRY_SIZE: usize = 1 << 10;

/// The covers.
#[derive(Debug)]
pub struct Covers(Mutex<LruMap<Url, (Instant, Option<CoverArt>)>>);

impl Default for Covers {
    fn default() -> Covers {
        Covers(Mutex::new(LruMap::new(CACHE_SIZE)))
    }
}

impl Covers {
    /// Returns the cover of a page: what was found within the last hour, else what `fetch` finds now. `None` if it has
    /// no usable one; an error of `fetch` is remembered by nobody.
    pub fn get_or_fetch<E>(
        &self,
        page_url: &Url,
        fetch: impl FnOnce() -> Result<Option<CoverArt>, E>,
    ) -> Result<Option<CoverArt>, E> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known(&mut lock(), page_url) {
            return Ok(known);
        }
        let cover = fetch()?;
        let mut covers = lock();
        // Several requests for parts of a file may have looked for it, and must agree: the first one counts.
        if let Some(known) = known(&mut covers, page_url) {
            return Ok(known);
        }
        let size = cover.as_ref().map_or(0, |cover| cover.bytes.len()) + ENTRY_SIZE;
        covers.insert(page_url.clone(), (Instant::now(), cover.clone()), size);
        Ok(cover)
    }
}

/// Returns what was found within the last hour, if anything was.
fn known(
    covers: &mut LruMap<Url, (Instant, Option<CoverArt>)>,
    page_url: &Url,
) -> Option<Option<CoverArt>> {
    let (since, cover) = covers.get(page_url)?;
    (since.elapsed() < MAX_AGE).then(|| cover.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_stays() {
        let covers = Covers::default();
        let url = Url::parse("http://a.example/").unwrap();
        let cover = CoverArt { is_jpeg: true, bytes: [1].into() };
        assert_eq!(covers.get_or_fetch(&url, || Err(())), Err(()));
        assert_eq!(covers.get_or_fetch::<()>(&url, || Ok(None)), Ok(None));
        assert_eq!(covers.get_or_fetch::<()>(&url, || Ok(Some(cover.clone()))), Ok(None));
        // Two that looked for it at the same time.
        let both = Url::parse("http://c.example/").unwrap();
        let slow = covers.get_or_fetch::<()>(&both, || {
            covers.get_or_fetch::<()>(&both, || Ok(None)).map(drop)?;
            Ok(Some(cover.clone()))
        });
        assert_eq!(slow, Ok(None));
        let other = Url::parse("http://b.example/").unwrap();
        let found = covers.get_or_fetch::<()>(&other, || Ok(Some(cover.clone())));
        assert_eq!(found, Ok(Some(cover)));
    }
}

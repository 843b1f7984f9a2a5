//! Lists: pages whose entries are pages. Each part of a list is read by a call of yt-dlp, and kept for a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use url::Url;

use super::cache::PageKey;
use super::ytdlp_json::Page;
use super::{RequestContext, Resolver, resolve_error};
use crate::error::Error;
use crate::instruments::{CounterSet, Found};
use crate::lru::LruMap;
use crate::media::page_list::PageList;
use crate::media::page_media::PageMedia;
use crate::problem_code::ProblemCode;

/// Maximum memory of lists that are kept, in bytes.
const CACHE_SIZE: usize = 4 << 20;

/// A page that was read.
pub enum PageContent {
    /// It has media.
    Media(Arc<PageMedia>),
    /// It lists other pages.
    List(Arc<PageList>),
}

/// The parts of lists that were read, by the number of the part.
pub(super) struct ListCache {
    ttl: Duration,
    parts: Mutex<LruMap<(PageKey, u32), CachedPart>>,
    pub(super) lookups: CounterSet<Found>,
}

struct CachedPart {
    list: Arc<PageList>,
    read: Instant,
}

impl ListCache {
    /// Makes a cache in which parts stay for `ttl` at most.
    pub(super) fn new(ttl: Duration) -> ListCache {
        ListCache {
            ttl,
            parts: Mutex::new(LruMap::new(CACHE_SIZE)),
            lookups: CounterSet::default(),
        }
    }

    fn get(&self, key: &PageKey, part: u32) -> Option<Arc<PageList>> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = parts.get(&(key.clone(), part));
        let found = cached.filter(|cached| cached.read.elapsed() < self.ttl);
        self.lookups.look(found.map(|cached| cached.list.clone()))
    }

    /// Keeps a part; returns it.
    pub(super) fn insert(&self, key: &PageKey, list: PageList) -> Arc<PageList> {
        let (key, size) = ((key.clone(), list.part), list.memory_size());
        let list = Arc::new(list);
        let cached = CachedPart { list: list.clone(), read: Instant::now() };
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(key, cached, size);
        list
    }
}

impl Resolver {
    /// Returns what the page behind `page_url` is: its media, or the beginning of its list.
    pub fn resolve_any(
        &self,
        page_url: &Url,
        context: &RequestContext<'_>,
    ) -> Result<PageContent, Error> {
        let page = self.page(page_url, context.client)?;
        if let Some(list) = self.lists.get(&page.key, 0) {
            return Ok(PageContent::List(list));
        }
        match self.resolve(page_url, context) {
            Ok(media) => Ok(PageContent::Media(media)),
            Err(Error::Resolve(why)) if why.code == ProblemCode::Playlist => {
                self.list_part(page_url, 0, context).map(PageContent::List)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns a part of the list behind `page_url`.
    pub fn list_part(
        &self,
        page_url: &Url,
        part: u32,
        context: &RequestContext<'_>,
    ) -> Result<Arc<PageList>, Error> {
        let page = self.page(page_url, context.client)?;
        if let Some(list) = self.lists.get(&page.key, part) {
            return Ok(list);
        }
        match self.read(&page, part, 0, context)? {
            Page::List(list) => Ok(self.lists.insert(&page.key, *list)),
            Page::Media(_) => Err(resolve_error(super::ResolveError::no_list())),
        }
    }
}

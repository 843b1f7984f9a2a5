//! Caches subtitles that were fetched: a client that resumes a download, or requests several byte ranges at once, needs
//! them for each request.
//!
//! **Invariant:** they take no more memory than `LIMIT`, and are fetched again after `MAX_AGE`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ring::digest::{Context, SHA256};

use crate::instruments::{CounterSet, Found};
use crate::lru::LruMap;
use crate::media::RemoteLocation;
use crate::media::subtitles::Cue;

/// The maximum size of all cues, in bytes.
const LIMIT: usize = 8 << 20;
/// How long they are used.
const MAX_AGE: Duration = Duration::from_secs(600);

/// What subtitles were fetched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubtitleKey([u8; 32]);

impl SubtitleKey {
    /// Returns the key of the subtitles at this location.
    pub fn new(location: &RemoteLocation) -> SubtitleKey {
        let mut context = Context::new(&SHA256);
        location.identify(&mut |bytes| {
            context.update(&bytes.len().to_be_bytes());
            context.update(bytes);
        });
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        SubtitleKey(key)
    }
}

/// Cues, and when they were fetched.
type Entry = (Arc<[Cue]>, Instant);

/// The cache.
pub struct SubtitleCache {
    entries: Mutex<LruMap<SubtitleKey, Entry>>,
    lookups: CounterSet<Found>,
}

impl Default for SubtitleCache {
    fn default() -> SubtitleCache {
        SubtitleCache { entries: Mutex::new(LruMap::new(LIMIT)), lookups: CounterSet::default() }
    }
}

impl SubtitleCache {
    /// Returns how often subtitles were found.
    pub fn lookups(&self) -> &CounterSet<Found> {
        &self.lookups
    }

    /// Returns the cues of `key`, if they are cached and recent.
    pub fn get(&self, key: &SubtitleKey) -> Option<Arc<[Cue]>> {
        self.lookups.look(self.recent(key))
    }

    fn recent(&self, key: &SubtitleKey) -> Option<Arc<[Cue]>> {
        let mut entries = self.lock();
        let (cues, fetched) = entries.get(key)?;
        let cues = (fetched.elapsed() < MAX_AGE).then(|| cues.clone());
        if cues.is_none() {
            entries.remove(key);
        }
        cues
    }

    /// Inserts cues that were just fetched.
    pub fn insert(&self, key: SubtitleKey, cues: &Arc<[Cue]>) {
        let size = cues.iter().map(Cue::memory_size).sum();
        self.lock().insert(key, (cues.clone(), Instant::now()), size);
    }

    fn lock(&self) -> MutexGuard<'_, LruMap<SubtitleKey, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

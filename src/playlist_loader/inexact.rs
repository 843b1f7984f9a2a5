//! [`InexactTracks`] remembers which tracks have no length.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::MAX_AGE;
use super::loaded::Key;
use crate::lru::LruMap;

/// How many tracks are remembered.
const MAX_COUNT: usize = 4096;

/// What was once without a length, and since when: a client that continues such a file must not get the rest of
/// one that has a length, which is another file.
pub(super) struct InexactTracks(Mutex<LruMap<Key, Instant>>);

impl Default for InexactTracks {
    fn default() -> InexactTracks {
        InexactTracks(Mutex::new(LruMap::new(MAX_COUNT)))
    }
}

impl InexactTracks {
    pub(super) fn add(&self, key: Key) {
        self.lock().insert(key, Instant::now(), 1);
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.lock().get(key).is_some_and(|since| since.elapsed() < MAX_AGE)
    }

    fn lock(&self) -> MutexGuard<'_, LruMap<Key, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

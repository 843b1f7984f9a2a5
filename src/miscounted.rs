//! Remembers downloads whose sources had another number of samples than their indexes told: no length is promised of
//! them again.
//!
//! **Invariant:** holds at most `MAX_DOWNLOADS` entries.

use std::sync::{Mutex, PoisonError};

use crate::lru::LruMap;
use crate::plan_cache::PlanKey;

/// The maximum number of remembered downloads.
const MAX_DOWNLOADS: usize = 1024;

/// The downloads.
#[derive(Debug)]
pub struct Miscounted(Mutex<LruMap<PlanKey, ()>>);

impl Default for Miscounted {
    fn default() -> Miscounted {
        Miscounted(Mutex::new(LruMap::new(MAX_DOWNLOADS)))
    }
}

impl Miscounted {
    /// Remembers a download.
    pub fn insert(&self, key: PlanKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (), 1);
    }

    /// Returns whether the download is remembered.
    pub fn contains(&self, key: &PlanKey) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).is_some()
    }
}

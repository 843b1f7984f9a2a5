//! The plans of spliced files that were made lately, so that a client that comes back for the rest
//! of a file, or for eight parts of it at once, does not have its indexes read again.
//!
//! A plan is found by everything that went into it: addresses, fields, cookies, options. Whoever
//! uses one must still make sure that the files are the same. Must never hold more than its limit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::digest::{Context, SHA256};

use crate::media::Media;
use crate::mux::Wish;
use crate::mux::splice::Plan;
use crate::source::File;

/// A plan, and the files that it was made of.
#[derive(Debug)]
pub struct Spliced {
    /// The layout.
    pub plan: Plan,
    /// The files of its tracks, in their order.
    pub files: Vec<File>,
    /// The strong validator of the joined file, if there can be one.
    pub etag: Option<String>,
}

/// What a plan is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

/// All plans that are kept.
#[derive(Debug)]
pub struct Plans {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    plans: HashMap<Key, Entry>,
    weight: usize,
    /// Counts how often something was asked for.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    spliced: Arc<Spliced>,
    used: u64,
}

impl Key {
    /// Of this film with this wish.
    pub fn of(media: &Media, wish: &Wish) -> Key {
        let mut context = Context::new(&SHA256);
        // Each with its length, so that nothing can pose as something else.
        let mut add = |bytes: &[u8]| {
            context.update(&bytes.len().to_be_bytes());
            context.update(bytes);
        };
        add(format!("{wish:?}").as_bytes());
        let tags = &media.tags;
        for text in [&tags.title, &tags.artist, &tags.date] {
            add(format!("{text:?}").as_bytes());
        }
        add(tags.cover.as_ref().map_or(&[], |cover| &cover.bytes));
        for track in &media.tracks {
            add(track.kind.name().as_bytes());
            add(track.location.url.as_str().as_bytes());
            for (name, value) in &track.location.headers {
                add(name.as_str().as_bytes());
                add(value.as_bytes());
            }
            for cookie in &track.location.cookies {
                add(cookie.pair.as_bytes());
                add(cookie.domain.as_bytes());
                add(cookie.path.as_bytes());
            }
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        Key(key)
    }
}

impl Spliced {
    fn weight(&self) -> usize {
        self.plan.weight() + self.files.capacity() * size_of::<File>()
    }
}

impl Plans {
    /// Keeps plans of so many bytes in all.
    pub fn new(limit: usize) -> Plans {
        Plans { limit, kept: Mutex::default() }
    }

    /// The plan that was kept for `key`, if it is still there.
    pub fn find(&self, key: &Key) -> Option<Arc<Spliced>> {
        let mut kept = self.lock();
        kept.clock += 1;
        let now = kept.clock;
        let entry = kept.plans.get_mut(key)?;
        entry.used = now;
        Some(entry.spliced.clone())
    }

    /// Keeps a plan, and lets go of those that were not asked for the longest.
    pub fn keep(&self, key: Key, spliced: &Arc<Spliced>) {
        let weight = spliced.weight();
        if weight > self.limit {
            return;
        }
        let mut kept = self.lock();
        kept.remove(&key);
        while kept.weight + weight > self.limit {
            let oldest = kept.plans.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(key, _)| *key) else { break };
            kept.remove(&oldest);
        }
        kept.weight += weight;
        let used = kept.clock;
        kept.plans.insert(key, Entry { spliced: spliced.clone(), used });
    }

    /// Lets go of a plan that proved wrong.
    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.plans.remove(key) {
            self.weight -= entry.spliced.weight();
        }
    }
}

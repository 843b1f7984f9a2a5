//! What goes into a muxer: how much was given, and whether more is waited for.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What the downloaders of a stream give to its muxer.
#[derive(Debug, Default)]
pub struct FeedProgress {
    given: AtomicU64,
    awaiting: AtomicUsize,
}

impl FeedProgress {
    /// Takes note of bytes that were given.
    pub fn add(&self, count: usize) {
        self.given.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Does something that may have to wait for an upstream.
    pub fn while_awaiting<T>(&self, fetch: impl FnOnce() -> T) -> T {
        self.awaiting.fetch_add(1, Ordering::Relaxed);
        let fetched = fetch();
        self.awaiting.fetch_sub(1, Ordering::Relaxed);
        fetched
    }

    /// Bytes that were given so far, all tracks together.
    pub fn given(&self) -> u64 {
        self.given.load(Ordering::Relaxed)
    }

    /// Whether the muxer may be waiting for an upstream.
    pub fn is_awaited(&self) -> bool {
        self.awaiting.load(Ordering::Relaxed) > 0
    }
}

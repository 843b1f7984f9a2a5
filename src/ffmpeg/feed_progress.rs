//! Tracks how much ffmpeg was fed, and whether feeders wait for upstreams: a process without output stalls
//! only if neither explains it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The progress of all feeders of one ffmpeg.
#[derive(Debug, Default)]
pub struct FeedProgress {
    bytes_fed: AtomicU64,
    awaiting: AtomicUsize,
}

impl FeedProgress {
    /// Adds bytes that were written to a pipe.
    pub fn add(&self, count: usize) {
        self.bytes_fed.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Runs `fetch`, which may wait for an upstream.
    pub fn while_awaiting<T>(&self, fetch: impl FnOnce() -> T) -> T {
        self.awaiting.fetch_add(1, Ordering::Relaxed);
        let fetched = fetch();
        self.awaiting.fetch_sub(1, Ordering::Relaxed);
        fetched
    }

    /// Returns the bytes fed so far, of all tracks.
    pub fn bytes_fed(&self) -> u64 {
        self.bytes_fed.load(Ordering::Relaxed)
    }

    /// Whether a feeder waits for an upstream, and so ffmpeg may, too.
    pub fn is_awaiting_upstream(&self) -> bool {
        self.awaiting.load(Ordering::Relaxed) > 0
    }
}

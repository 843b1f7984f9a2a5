//! Memory that the indexes and plans of spliced files take, of all streams together: an index may be
//! long, and whoever asks for many films with long ones must not take all that there is. Must never
//! make anybody wait: who gets none does without a plan.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So much of it is nobody's business: the indexes of nearly all films.
const FREE: u64 = 1 << 20;

/// What there is of it.
#[derive(Debug)]
pub struct Memory {
    limit: u64,
    taken: AtomicU64,
}

/// What somebody has of it, until it is dropped.
#[derive(Debug)]
pub struct Share {
    of: Arc<Memory>,
    bytes: u64,
}

impl Memory {
    /// So many bytes.
    pub fn new(limit: u64) -> Arc<Memory> {
        Arc::new(Memory { limit, taken: AtomicU64::new(0) })
    }

    /// A share with nothing in it yet.
    pub fn share(self: &Arc<Memory>) -> Share {
        Share { of: self.clone(), bytes: 0 }
    }
}

impl Share {
    /// Makes it one of so many bytes, or more if it is already;
    /// `false`, and as it was, if there are not so many left.
    pub fn grow(&mut self, bytes: u64) -> bool {
        bytes <= self.bytes || self.resize(bytes)
    }

    /// Makes it one of so many bytes; `false`, and as it was, if there are not so many left.
    pub fn resize(&mut self, bytes: u64) -> bool {
        let bytes = if bytes > FREE { bytes } else { 0 };
        let Some(more) = bytes.checked_sub(self.bytes) else {
            self.of.taken.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
            self.bytes = bytes;
            return true;
        };
        let grown = |taken: u64| taken.checked_add(more).filter(|taken| *taken <= self.of.limit);
        let fits = self.of.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok();
        if fits {
            self.bytes = bytes;
        }
        fits
    }

    /// Adds what is in another one, in which then is nothing.
    pub fn take(&mut self, other: &mut Share) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_more_than_there_is() {
        const MIB: u64 = 1 << 20;
        let memory = Memory::new(10 * MIB);
        let (mut one, mut other) = (memory.share(), memory.share());
        assert!(one.resize(6 * MIB) && other.resize(4 * MIB) && !one.resize(6 * MIB + 1));
        assert!(other.resize(2 * MIB) && one.resize(8 * MIB) && !other.resize(3 * MIB));
        // What is short takes nothing.
        assert!(memory.share().resize(MIB) && !memory.share().resize(2 * MIB));
        assert!(!memory.share().resize(u64::MAX));
        assert!(one.grow(MIB) && !other.grow(3 * MIB));
        one.take(&mut other);
        assert!(!other.resize(2 * MIB) && one.resize(3 * MIB) && other.resize(7 * MIB));
        drop((one, other));
        assert_eq!(memory.taken.load(Ordering::Relaxed), 0);
    }
}

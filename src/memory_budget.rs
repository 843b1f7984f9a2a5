//! Memory that the indexes and plans of spliced files take, of all streams together: an index may be
//! long, and whoever asks for many films with long ones must not take all that there is. Must never
//! make anybody wait: who gets none does without a plan.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So much of it is nobody's business: the indexes of nearly all films.
const UNCOUNTED: u64 = 1 << 20;

/// What there is of it.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: u64,
    taken: AtomicU64,
}

/// What somebody has of it, until it is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<MemoryBudget>,
    bytes: u64,
}

impl MemoryBudget {
    /// So many bytes.
    pub fn new(limit: u64) -> Arc<MemoryBudget> {
        Arc::new(MemoryBudget { limit, taken: AtomicU64::new(0) })
    }

    /// A share with nothing in it yet.
    pub fn reservation(self: &Arc<MemoryBudget>) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }
}

impl Reservation {
    /// Makes it one of so many bytes, or more if it is already;
    /// `false`, and as it was, if there are not so many left.
    pub fn grow(&mut self, bytes: u64) -> bool {
        bytes <= self.bytes || self.resize(bytes)
    }

    /// Makes it one of so many bytes; `false`, and as it was, if there are not so many left.
    pub fn resize(&mut self, bytes: u64) -> bool {
        let bytes = if bytes > UNCOUNTED { bytes } else { 0 };
        let Some(more) = bytes.checked_sub(self.bytes) else {
            self.budget.taken.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
            self.bytes = bytes;
            return true;
        };
        let grown =
            |taken: u64| taken.checked_add(more).filter(|taken| *taken <= self.budget.limit);
        let fits =
            self.budget.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok();
        if fits {
            self.bytes = bytes;
        }
        fits
    }

    /// Adds what is in another one, in which then is nothing.
    pub fn absorb(&mut self, other: &mut Reservation) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_more_than_there_is() {
        const MIB: u64 = 1 << 20;
        let memory = MemoryBudget::new(10 * MIB);
        let (mut one, mut other) = (memory.reservation(), memory.reservation());
        assert!(one.resize(6 * MIB) && other.resize(4 * MIB) && !one.resize(6 * MIB + 1));
        assert!(other.resize(2 * MIB) && one.resize(8 * MIB) && !other.resize(3 * MIB));
        // What is short takes nothing.
        assert!(memory.reservation().resize(MIB) && !memory.reservation().resize(2 * MIB));
        assert!(!memory.reservation().resize(u64::MAX));
        assert!(one.grow(MIB) && !other.grow(3 * MIB));
        one.absorb(&mut other);
        assert!(!other.resize(2 * MIB) && one.resize(3 * MIB) && other.resize(7 * MIB));
        drop((one, other));
        assert_eq!(memory.taken.load(Ordering::Relaxed), 0);
    }
}

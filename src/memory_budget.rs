//! Limits the memory of all indexes and plans of spliced files, and of what yt-dlp prints of pages, together: each may
//! be long, and a client that requests many long ones must not exhaust memory.
//!
//! **Invariant:** nothing waits for memory. A stream that gets none continues without a plan; a page is not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Reservations up to this size are free: nearly all indexes are smaller.
const UNCOUNTED: u64 = 1 << 20;

/// The budget, shared by all reservations.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: u64,
    taken: AtomicU64,
}

/// A share of the budget, returned on drop.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<MemoryBudget>,
    bytes: u64,
}

impl MemoryBudget {
    /// Makes a budget of `limit` bytes.
    pub fn new(limit: u64) -> Arc<MemoryBudget> {
        Arc::new(MemoryBudget { limit, taken: AtomicU64::new(0) })
    }

    /// Returns the size of the budget in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns how much of it is reserved.
    pub fn reserved(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Returns an empty reservation.
    pub fn reservation(self: &Arc<MemoryBudget>) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }
}

impl Reservation {
    /// Grows the reservation to `bytes`, if it is smaller; returns `false` and changes nothing if
    /// the budget has too little left.
    pub fn grow(&mut self, bytes: u64) -> bool {
        bytes <= self.bytes || self.resize(bytes)
    }

    /// Resizes the reservation to `bytes`; returns `false` and changes nothing if the budget has
    /// too little left.
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

    /// Takes over the bytes of another reservation, which is empty then.
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

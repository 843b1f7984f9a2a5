//! Limits how many of something there are at a time, without waiting.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Issues at most `limit` permits at a time.
#[derive(Debug)]
pub struct Semaphore {
    limit: usize,
    in_use: AtomicUsize,
}

/// A permit, returned on drop.
#[derive(Debug)]
pub struct Permit<'a>(&'a AtomicUsize);

impl Semaphore {
    /// Returns a semaphore with `limit` permits.
    pub const fn new(limit: usize) -> Semaphore {
        Semaphore { limit, in_use: AtomicUsize::new(0) }
    }

    /// Returns a permit, if one is left.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        let more = |in_use: usize| (in_use < self.limit).then_some(in_use + 1);
        let acquired = self.in_use.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        acquired.ok().map(|_| Permit(&self.in_use))
    }

    /// Returns the number of permits in use.
    pub fn in_use(&self) -> usize {
        self.in_use.load(Ordering::Relaxed)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_come_back() {
        let semaphore = Semaphore::new(2);
        let (first, _second) = (semaphore.try_acquire().unwrap(), semaphore.try_acquire().unwrap());
        assert!(semaphore.try_acquire().is_none());
        drop(first);
        assert_eq!(semaphore.in_use(), 1);
        assert!(semaphore.try_acquire().is_some());
    }
}

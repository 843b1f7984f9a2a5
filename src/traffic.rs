//! Weighs what is fetched from upstreams for a request against what is sent to its client, for the account of
//! that client.
//!
//! The two are equal in an ordinary download, so the account is only asked about larger differences.
//!
//! **Invariant:** every byte reaches the account once, however the request ends.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::error::LimitExceeded;

/// The difference at which the account is asked, in bytes.
const SETTLEMENT: u64 = 1 << 20;

/// What a client may have fetched.
pub trait Account: Debug + Send + Sync {
    /// Charges so many bytes, or pays them back if the number is negative. Fails if the client has more
    /// than a running request may.
    fn settle(&self, bytes: i64) -> Result<(), LimitExceeded>;
}

/// The traffic of one request.
#[derive(Debug, Default)]
pub struct Traffic {
    account: Option<Box<dyn Account>>,
    /// Bytes fetched, less the bytes sent, since the account was asked.
    difference: AtomicI64,
}

impl Traffic {
    /// Returns the traffic of a request for this account; without one, nothing is counted.
    pub fn new(account: Option<Box<dyn Account>>) -> Traffic {
        Traffic { account, difference: AtomicI64::new(0) }
    }

    /// Counts bytes that were fetched. Fails if the request has to end.
    pub fn fetched(&self, bytes: u64) -> Result<(), LimitExceeded> {
        self.count(i64::try_from(bytes).unwrap_or(i64::MAX))
    }

    /// Counts bytes that were sent to the client.
    pub fn sent(&self, bytes: u64) {
        // Whether the request has to end is told to those who fetch.
        self.count(-i64::try_from(bytes).unwrap_or(i64::MAX)).ok();
    }

    fn count(&self, bytes: i64) -> Result<(), LimitExceeded> {
        let Some(account) = &self.account else { return Ok(()) };
        let before = self.difference.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes).unsigned_abs() < SETTLEMENT {
            return Ok(());
        }
        account.settle(self.difference.swap(0, Ordering::Relaxed))
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            // There is nothing left that could end.
            account.settle(*self.difference.get_mut()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Debug, Default, Clone)]
    struct Settled(Arc<Mutex<Vec<i64>>>);

    impl Account for Settled {
        fn settle(&self, bytes: i64) -> Result<(), LimitExceeded> {
            self.0.lock().unwrap().push(bytes);
            if bytes > 0 { Err(LimitExceeded::Memory) } else { Ok(()) }
        }
    }

    #[test]
    fn differences_are_settled_once() {
        let settled = Settled::default();
        let traffic = Traffic::new(Some(Box::new(settled.clone())));
        for _ in 0..100 {
            assert_eq!(traffic.fetched(SETTLEMENT - 1), Ok(()));
            traffic.sent(SETTLEMENT - 1);
        }
        assert!(settled.0.lock().unwrap().is_empty());
        assert_eq!(traffic.fetched(SETTLEMENT - 1), Ok(()));
        assert!(traffic.fetched(2).is_err());
        traffic.sent(3 * SETTLEMENT);
        assert_eq!(traffic.fetched(5), Ok(()));
        drop(traffic);
        let (more, less) = (SETTLEMENT as i64 + 1, -3 * SETTLEMENT as i64);
        assert_eq!(*settled.0.lock().unwrap(), [more, less, 5]);
    }
}

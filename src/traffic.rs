//! Weighs what is fetched from upstreams for a request against what is sent to its client, for the account of
//! that client.
//!
//! The two are equal in an ordinary download, so the account is only asked about larger differences.
//!
//! What was fetched is also counted for the log, with or without an account.
//!
//! **Invariant:** every byte reaches the account once, however the request ends.

use std::fmt::Debug;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::error::LimitExceeded;
use crate::instruments::Counter;

/// The difference at which the account is asked, in bytes.
const SETTLEMENT: u64 = 1 << 20;

/// What a client may have fetched, and sent to it. Both fail if it has more than a running request may.
pub trait Account: Debug + Send + Sync {
    /// Charges bytes that were fetched and not sent, or pays them back if the number is negative.
    fn settle(&self, bytes: i64) -> Result<(), LimitExceeded>;

    /// Charges bytes that were sent.
    fn sent(&self, bytes: u64) -> Result<(), LimitExceeded>;
}

/// The traffic of one request.
#[derive(Debug, Default)]
pub struct Traffic {
    account: Option<Box<dyn Account>>,
    /// Bytes received from upstreams.
    received: Counter,
    /// Bytes fetched, less the bytes sent, since the account was asked.
    difference: AtomicI64,
    /// Bytes sent since they were charged.
    sent: AtomicU64,
    /// Why the request has to end, found out when bytes were sent.
    exceeded: OnceLock<LimitExceeded>,
}

impl Traffic {
    /// Returns the traffic of a request for this account; without one, nothing is counted.
    pub fn new(account: Option<Box<dyn Account>>) -> Traffic {
        let mut traffic = Traffic::default();
        traffic.account = account;
        traffic
    }

    /// Counts bytes that were received from an upstream, whatever they count for.
    pub fn received(&self, bytes: u64) {
        self.received.add(bytes);
    }

    /// Returns the number of bytes received from upstreams.
    pub fn bytes_received(&self) -> u64 {
        self.received.get()
    }

    /// Counts bytes that were fetched. Fails if the request has to end.
    pub fn fetched(&self, bytes: u64) -> Result<(), LimitExceeded> {
        self.count(i64::try_from(bytes).unwrap_or(i64::MAX))?;
        self.exceeded.get().map_or(Ok(()), |limit| Err(*limit))
    }

    /// Counts bytes that were sent to the client. Whether the request has to end is told to those who fetch.
    pub fn sent(&self, bytes: u64) {
        self.count(-i64::try_from(bytes).unwrap_or(i64::MAX)).ok();
        let Some(account) = &self.account else { return };
        let before = self.sent.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) >= SETTLEMENT
            && let Err(limit) = account.sent(self.sent.swap(0, Ordering::Relaxed))
        {
            self.exceeded.get_or_init(|| limit);
        }
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
            account.sent(*self.sent.get_mut()).ok();
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

        fn sent(&self, _: u64) -> Result<(), LimitExceeded> {
            Ok(())
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

    /// May be sent 2 MiB.
    #[derive(Debug, Default, Clone)]
    struct Daily(Arc<Mutex<u64>>);

    impl Account for Daily {
        fn settle(&self, _: i64) -> Result<(), LimitExceeded> {
            Ok(())
        }

        fn sent(&self, bytes: u64) -> Result<(), LimitExceeded> {
            let mut sent = self.0.lock().unwrap();
            *sent += bytes;
            if *sent > 2 << 20 { Err(LimitExceeded::Memory) } else { Ok(()) }
        }
    }

    #[test]
    fn who_was_sent_too_much_fetches_no_more() {
        let daily = Daily::default();
        let traffic = Traffic::new(Some(Box::new(daily.clone())));
        for _ in 0..3 {
            assert_eq!(traffic.fetched(SETTLEMENT - 1), Ok(()));
            traffic.sent(SETTLEMENT - 1);
        }
        assert_eq!(traffic.fetched(1), Ok(()));
        traffic.sent(SETTLEMENT);
        assert!(traffic.fetched(1).is_err() && traffic.fetched(1).is_err());
        traffic.sent(7);
        drop(traffic);
        assert_eq!(*daily.0.lock().unwrap(), 4 * SETTLEMENT - 3 + 7);
    }
}

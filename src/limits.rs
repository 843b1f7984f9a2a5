//! Limits concurrent work: at most N permits in total, and at most M for each client.
//!
//! Clients in the internet also share M permits twice over with the network around them, and four times with a
//! larger one; and each of these networks may have no more permits, by the same measure, than are left. So
//! whoever has many addresses never has all permits.
//!
//! Clients wait in order of arrival, except that those at their own limit are passed over. Every
//! wait has an end, the queue is bounded, and closing the limiter ends all waits.

use std::collections::{HashMap, VecDeque};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender};
use ipnet::IpNet;

use crate::cancel::CancelToken;
use crate::error::{Error, LimitExceeded, Resource};
use crate::sys::{self, EventFd};

mod client;
mod rates;

pub use client::Client;
pub use rates::RateLimiter;

/// How many times the share of a client its network may have, then those around it ([`Client::networks`]).
const NETWORK_SHARES: [usize; 3] = [1, 2, 4];

/// Issues permits of one kind.
pub struct StreamLimiter {
    resource: Resource,
    total: usize,
    per_client: usize,
    /// Maximum length of the queue: in total and for each client.
    waiting: (usize, usize),
    state: Mutex<State>,
    drained: Receiver<()>,
}

struct State {
    total: usize,
    by_network: HashMap<IpNet, usize>,
    waiting: VecDeque<(Client, Arc<Waiter>)>,
    /// Cloned into every permit: when the last is dropped, `drained` is disconnected. `None` once
    /// the limiter is closed.
    open: Option<Sender<()>>,
}

/// One entry of the queue.
struct Waiter {
    weight: usize,
    /// Signalled when the wait is over, under the lock of the state only.
    wake: EventFd,
    /// The content of the permit, if one was granted.
    permit: OnceLock<Sender<()>>,
}

/// A permit, returned on drop.
pub struct StreamPermit<'a> {
    limiter: &'a StreamLimiter,
    client: Client,
    weight: usize,
    _open: Sender<()>,
}

impl StreamLimiter {
    /// Makes a limiter with `total` permits for `resource`, at most `per_client` for one client. The queue is twice as
    /// long: a request that its client dropped counts until the server has seen that, and the one in
    /// its place must not be refused meanwhile.
    pub fn new(resource: Resource, total: usize, per_client: usize) -> StreamLimiter {
        let (open, drained) = channel::bounded(0);
        let (by_network, waiting) = (HashMap::new(), VecDeque::new());
        let state = Mutex::new(State { total: 0, by_network, waiting, open: Some(open) });
        let waiting = (total.saturating_mul(2), per_client.saturating_mul(2));
        StreamLimiter { resource, total, per_client, waiting, state, drained }
    }

    /// Removes the limits of the queue, for callers whose number is limited elsewhere.
    pub fn without_queue_limit(self) -> StreamLimiter {
        StreamLimiter { waiting: (usize::MAX, usize::MAX), ..self }
    }

    /// Issues no more permits and ends all waits. The returned channel is disconnected when all
    /// permits are back.
    pub fn close(&self) -> &Receiver<()> {
        let mut state = self.lock();
        state.open = None;
        for (_, waiter) in state.waiting.drain(..) {
            waiter.wake.signal();
        }
        &self.drained
    }

    /// Returns whether the limiter is closed.
    pub fn is_closed(&self) -> bool {
        self.lock().open.is_none()
    }

    /// Acquires a permit for `client`, waiting at most for `patience`. Fails with the limit that
    /// still stands against it then, or when the stream is over.
    pub fn try_acquire(
        &self,
        client: Client,
        cancel: &CancelToken,
        patience: Duration,
    ) -> Result<StreamPermit<'_>, Error> {
        self.try_acquire_many(1, client, cancel, patience)
    }

    /// Acquires a permit that counts as `weight` of them, but not as more than a client may have.
    pub fn try_acquire_many(
        &self,
        weight: usize,
        client: Client,
        cancel: &CancelToken,
        patience: Duration,
    ) -> Result<StreamPermit<'_>, Error> {
        let weight = weight.min(self.per_client).min(self.total).max(1);
        let mut state = self.lock();
        let full = match self.grant(&mut state, client, weight) {
            Ok(permit) => return Ok(permit),
            Err(LimitExceeded::Draining) => return Err(LimitExceeded::Draining.into()),
            Err(full) => full,
        };
        let own = client.networks().next();
        let is_own =
            |(waiting, _): &&(Client, _)| own.is_some() && waiting.networks().next() == own;
        let waiting_of_client = state.waiting.iter().filter(is_own).count();
        let left = self.waiting.0.saturating_sub(state.waiting.len());
        let may_wait = left > 0
            && waiting_of_client < self.waiting.1
            && (waiting_of_client < left || !client.is_far());
        if patience.is_zero() || !may_wait {
            return Err(full.into());
        }
        let until = Instant::now().checked_add(patience);
        let wake = EventFd::new().map_err(|error| Error::system("make an eventfd", &error))?;
        let waiter = Arc::new(Waiter { weight, wake, permit: OnceLock::new() });
        state.waiting.push_back((client, waiter.clone()));
        drop(state);
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let awaited = [cancel.as_fd(), waiter.wake.as_fd()].map(|fd| (fd, sys::READABLE));
        let waited = sys::poll(awaited, left);
        // Checked under the lock: a permit may have been granted a moment ago.
        let mut state = self.lock();
        state.waiting.retain(|(_, waiting)| !Arc::ptr_eq(waiting, &waiter));
        let granted = waiter.permit.get().cloned();
        let closed = state.open.is_none();
        drop(state);
        let permit =
            granted.map(|open| StreamPermit { limiter: self, client, weight, _open: open });
        waited.map_err(|error| Error::system("wait for a permit", &error))?;
        match permit {
            _ if cancel.is_cancelled() => Err(Error::Stopped),
            Some(permit) => Ok(permit),
            None if closed => Err(LimitExceeded::Draining.into()),
            None => Err(full.into()),
        }
    }

    /// Acquires a permit for `client` without waiting.
    pub fn acquire_now(&self, client: Client) -> Result<StreamPermit<'_>, LimitExceeded> {
        self.grant(&mut self.lock(), client, 1)
    }

    /// Returns the number of permits in use.
    pub fn in_use(&self) -> usize {
        self.lock().total
    }

    /// Returns the length of the queue.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Grants a permit, if no limit forbids it.
    fn grant(
        &self,
        state: &mut State,
        client: Client,
        weight: usize,
    ) -> Result<StreamPermit<'_>, LimitExceeded> {
        let open = state.open.clone().ok_or(LimitExceeded::Draining)?;
        match self.reached_limit(state, client, weight) {
            Some(full) => Err(full),
            None => {
                state.count(client, weight);
                Ok(StreamPermit { limiter: self, client, weight, _open: open })
            }
        }
    }

    /// Returns the limit that forbids `client` another permit of this weight, if any.
    fn reached_limit(&self, state: &State, client: Client, weight: usize) -> Option<LimitExceeded> {
        let free = self.total.saturating_sub(state.total);
        let left = if client.is_far() { free } else { usize::MAX };
        let is_above = |limit: usize| {
            client.networks().zip(NETWORK_SHARES).any(|(network, share)| {
                let in_use = state.by_network.get(&network).copied().unwrap_or_default();
                in_use.saturating_add(weight) > limit.saturating_mul(share)
            })
        };
        match () {
            () if is_above(self.per_client) => Some(LimitExceeded::Client(self.resource)),
            () if free < weight => Some(LimitExceeded::Full(self.resource)),
            () if is_above(left) => Some(LimitExceeded::Client(self.resource)),
            () => None,
        }
    }

    /// Grants free permits to the queue.
    fn wake_waiters(&self, state: &mut State) {
        let Some(open) = state.open.clone() else { return };
        while state.total < self.total {
            let may_start = |(client, waiter): &(Client, Arc<Waiter>)| {
                self.reached_limit(state, *client, waiter.weight).is_none()
            };
            let Some(next) = state.waiting.iter().position(may_start) else { return };
            let Some((client, waiter)) = state.waiting.remove(next) else { return };
            state.count(client, waiter.weight);
            waiter.permit.get_or_init(|| open.clone());
            waiter.wake.signal();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, client: Client, weight: usize) {
        for network in client.networks() {
            *self.by_network.entry(network).or_default() += weight;
        }
        self.total += weight;
    }
}

impl Drop for StreamPermit<'_> {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        state.total -= self.weight;
        for network in self.client.networks() {
            if let Some(in_use) = state.by_network.get_mut(&network) {
                *in_use -= self.weight;
                if *in_use == 0 {
                    state.by_network.remove(&network);
                }
            }
        }
        self.limiter.wake_waiters(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam::channel::TryRecvError;
    use std::thread;

    const LONG: Duration = Duration::from_secs(60);

    fn new(total: usize, per_client: usize) -> StreamLimiter {
        StreamLimiter::new(Resource::Streams, total, per_client)
    }

    fn client(text: &str) -> Client {
        Client::new(text.parse().unwrap(), &[])
    }

    /// Returns the limit that refuses a client that does not wait.
    fn full(limiter: &StreamLimiter, text: &str) -> LimitExceeded {
        match limiter.try_acquire(client(text), &CancelToken::new().unwrap(), Duration::ZERO) {
            Err(Error::LimitExceeded(full)) => full,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("a permit was granted"),
        }
    }

    fn until(condition: impl Fn() -> bool) {
        let started = Instant::now();
        while !condition() {
            assert!(started.elapsed() < LONG, "timed out");
            thread::yield_now();
        }
    }

    #[test]
    fn both_limits_hold_and_permits_come_back() {
        let (limiter, cancel) = (new(3, 2), CancelToken::new().unwrap());
        let now = |text| limiter.try_acquire(client(text), &cancel, Duration::ZERO).unwrap();
        let first = now("fd00::1");
        let _second = now("fd00::2");
        assert_eq!(full(&limiter, "fd00::3"), LimitExceeded::Client(Resource::Streams));
        let _third = now("10.0.0.1");
        assert_eq!(full(&limiter, "10.0.0.2"), LimitExceeded::Full(Resource::Streams));
        drop(first);
        assert_eq!(limiter.in_use(), 2);
        let _again = now("fd00::9");
        assert_eq!(full(&limiter, "10.0.0.3"), LimitExceeded::Full(Resource::Streams));
    }

    #[test]
    fn a_permit_may_count_as_several() {
        let (limiter, cancel) = (new(10, 6), CancelToken::new().unwrap());
        let now = |weight, text| {
            limiter.try_acquire_many(weight, client(text), &cancel, Duration::ZERO).ok()
        };
        let first = now(4, "10.0.0.1").unwrap();
        assert!(now(3, "10.0.0.1").is_none());
        // No more than a client may have, and no more than there are.
        let _second = now(99, "10.0.0.2").unwrap();
        assert!(limiter.in_use() == 10 && now(1, "10.0.0.3").is_none());
        drop(first);
        assert!(limiter.in_use() == 6 && now(5, "10.0.0.3").is_none());
        assert!(now(4, "10.0.0.3").is_some() && limiter.in_use() == 6);
    }

    /// Returns how many permits clients with addresses by this pattern get.
    fn taken(limiter: &StreamLimiter, address: impl Fn(usize) -> String) -> usize {
        let cancel = CancelToken::new().unwrap();
        let acquire =
            |number| limiter.try_acquire(client(&address(number)), &cancel, Duration::ZERO).ok();
        // Held until all are counted.
        (0..4 * limiter.total).filter_map(acquire).collect::<Vec<_>>().len()
    }

    #[test]
    fn nobody_in_the_internet_gets_all_permits() {
        let limiter = new(64, 16);
        let one_of = |count: usize, pattern: &'static str| {
            taken(&limiter, |number| pattern.replace('X', &format!("{:02x}", number % count)))
        };
        assert_eq!(one_of(1, "9.9.9.9"), 16);
        assert_eq!(one_of(256, "2600:1:2:3::X"), 16);
        assert_eq!(one_of(256, "2600:1:2:30X::1"), 32);
        assert_eq!(one_of(256, "2600:1:2:X00::1"), 52);
        // Four addresses of different networks, and a neighbourhood.
        let four = ["9.1.1.1", "9.2.2.2", "9.3.3.3", "9.4.4.4"];
        assert_eq!(taken(&limiter, |number| four[number / 64].into()), 56);
        assert_eq!(taken(&limiter, |number| format!("9.9.9.{}", number % 250)), 32);
        // In the own network everybody may have what there is.
        assert_eq!(taken(&limiter, |number| format!("10.9.9.{}", number % 250)), 64);
    }

    #[test]
    fn waiters_are_served_in_order_but_none_above_its_limit() {
        let (limiter, cancel) = (new(2, 1).without_queue_limit(), CancelToken::new().unwrap());
        let now = |text| limiter.try_acquire(client(text), &cancel, Duration::ZERO).unwrap();
        let (first, second) = (now("10.0.0.1"), now("10.0.0.2"));
        let (granted, order) = channel::unbounded();
        thread::scope(|scope| {
            for (ahead, text) in ["10.0.0.1", "10.0.0.3", "10.0.0.4"].into_iter().enumerate() {
                let (limiter, cancel, granted) = (&limiter, &cancel, granted.clone());
                scope.spawn(move || {
                    let permit = limiter.try_acquire(client(text), cancel, LONG).unwrap();
                    granted.send((text, permit)).unwrap();
                });
                until(|| limiter.waiting() == ahead + 1);
            }
            // The first of them is at its limit.
            drop(second);
            let (text, third) = order.recv().unwrap();
            assert_eq!((text, limiter.waiting()), ("10.0.0.3", 2));
            drop(first);
            let (text, again) = order.recv().unwrap();
            assert_eq!(text, "10.0.0.1");
            drop((third, again));
            assert_eq!(order.recv().unwrap().0, "10.0.0.4");
        });
        assert_eq!((limiter.in_use(), limiter.waiting()), (0, 0));
    }

    #[test]
    fn a_wait_ends_with_its_download_or_in_time_and_the_queue_is_limited() {
        let (limiter, cancel) = (new(1, 1), CancelToken::new().unwrap());
        let first = limiter.try_acquire(client("10.0.0.1"), &cancel, LONG).unwrap();
        let short = limiter.try_acquire(client("10.0.0.2"), &cancel, Duration::from_millis(1));
        assert!(matches!(short, Err(Error::LimitExceeded(LimitExceeded::Full(Resource::Streams)))));
        thread::scope(|scope| {
            let waiting =
                scope.spawn(|| limiter.try_acquire(client("10.0.0.1"), &cancel, LONG).err());
            let also = scope.spawn(|| limiter.try_acquire(client("10.0.0.1"), &cancel, LONG).err());
            until(|| limiter.waiting() == 2);
            let another = CancelToken::new().unwrap();
            let too_many = limiter.try_acquire(client("10.0.0.3"), &another, LONG).err();
            assert_eq!(
                too_many,
                Some(Error::LimitExceeded(LimitExceeded::Full(Resource::Streams)))
            );
            cancel.cancel();
            assert_eq!(waiting.join().unwrap(), Some(Error::Stopped));
            assert_eq!(also.join().unwrap(), Some(Error::Stopped));
        });
        drop(first);
        assert_eq!((limiter.in_use(), limiter.waiting()), (0, 0));
        let endless = new(0, 0).without_queue_limit();
        assert!(endless.try_acquire(client("10.0.0.1"), &cancel, LONG).is_err());
    }

    #[test]
    fn closing_waits_for_the_last_permit_and_refuses_waiters() {
        let (limiter, cancel) = (new(1, 1), CancelToken::new().unwrap());
        let permit = limiter.try_acquire(client("10.0.0.1"), &cancel, LONG).unwrap();
        thread::scope(|scope| {
            let waiting =
                scope.spawn(|| limiter.try_acquire(client("10.0.0.2"), &cancel, LONG).err());
            until(|| limiter.waiting() == 1);
            let drained = limiter.close();
            assert_eq!(
                waiting.join().unwrap(),
                Some(Error::LimitExceeded(LimitExceeded::Draining))
            );
            assert_eq!(drained.try_recv(), Err(TryRecvError::Empty));
            assert_eq!(full(&limiter, "10.0.0.1"), LimitExceeded::Draining);
            drop(permit);
            assert_eq!(drained.try_recv(), Err(TryRecvError::Disconnected));
        });
    }
}

//! Limits concurrent work: at most N permits in total, and at most M for each client.
//!
//! Clients in the internet also share M permits twice over with the network around them, and four times with a
//! larger one; and each of these networks may have no more permits, by the same measure, than are left. So
//! whoever has many addresses never has all permits. Those who use one token are one client.
//!
//! Clients wait in order of arrival, except that those at their own limit are passed over. Every
//! wait has an end, the queue is bounded, and closing the limiter ends all waits.

use std::collections::{HashMap, VecDeque};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender};

use crate::cancel::CancelToken;
use crate::error::{Error, LimitExceeded, Resource};
use crate::sys::{self, EventFd};

mod client;
mod rates;

use client::Key;
pub use client::{Client, TokenLimits};
pub use rates::RateLimiter;

/// How many times the share of a client its network may have, then those around it ([`Client::keys`]).
const NETWORK_SHARES: [usize; 3] = [1, 2, 4];

/// Issues permits of one kind.
pub struct StreamLimiter {
    resource: Resource,
    total: usize,
    per_client: usize,
    /// The same for a client in the internet without a token.
    per_stranger: usize,
    /// Maximum length of the queue.
    max_waiting: usize,
    state: Mutex<State>,
    drained: Receiver<()>,
}

struct State {
    total: usize,
    by_key: HashMap<Key, usize>,
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
        let (by_key, waiting) = (HashMap::new(), VecDeque::new());
        let state = Mutex::new(State { total: 0, by_key, waiting, open: Some(open) });
        let max_waiting = total.saturating_mul(2);
        let per_stranger = per_client;
        StreamLimiter { resource, total, per_client, per_stranger, max_waiting, state, drained }
    }

    /// Issues at most `max` permits to a client in the internet without a token.
    pub fn with_max_per_stranger(self, max: usize) -> StreamLimiter {
        StreamLimiter { per_stranger: max.min(self.per_client), ..self }
    }

    /// Removes the limits of the queue, for callers whose number is limited elsewhere.
    pub fn without_queue_limit(self) -> StreamLimiter {
        StreamLimiter { max_waiting: usize::MAX, ..self }
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
        let weight = weight.min(self.max_of(client)).min(self.total).max(1);
        let mut state = self.lock();
        let full = match self.grant(&mut state, client, weight) {
            Ok(permit) => return Ok(permit),
            Err(LimitExceeded::Draining) => return Err(LimitExceeded::Draining.into()),
            Err(full) => full,
        };
        let own = client.keys().next();
        let is_own = |(waiting, _): &&(Client, _)| own.is_some() && waiting.keys().next() == own;
        let waiting_of_client = state.waiting.iter().filter(is_own).count();
        let left = self.max_waiting.saturating_sub(state.waiting.len());
        let may_wait = left > 0
            && waiting_of_client < self.max_waiting_of(client)
            && (waiting_of_client < left || !client.is_stranger());
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

    /// Returns the number of permits in all.
    pub fn total(&self) -> usize {
        self.total
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
        let left = if client.is_stranger() { free } else { usize::MAX };
        let is_above = |limit: usize| {
            client.keys().zip(NETWORK_SHARES).any(|(key, share)| {
                let in_use = state.by_key.get(&key).copied().unwrap_or_default();
                in_use.saturating_add(weight) > limit.saturating_mul(share)
            })
        };
        match () {
            () if is_above(self.max_of(client)) => Some(LimitExceeded::Client(self.resource)),
            () if free < weight => Some(LimitExceeded::Full(self.resource)),
            () if is_above(left) => Some(LimitExceeded::Client(self.resource)),
            () => None,
        }
    }

    /// Returns how many permits a client may have.
    fn max_of(&self, client: Client) -> usize {
        let own = client.token().and_then(|token| match self.resource {
            Resource::Streams => token.streams,
            Resource::Muxers => token.muxers,
            _ => None,
        });
        let usual = if client.is_stranger() { self.per_stranger } else { self.per_client };
        own.and_then(|own| usize::try_from(own).ok()).unwrap_or(usual)
    }

    /// Returns how many requests of a client may wait.
    fn max_waiting_of(&self, client: Client) -> usize {
        match self.max_waiting {
            usize::MAX => usize::MAX,
            _ => self.max_of(client).saturating_mul(2),
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
        for key in client.keys() {
            *self.by_key.entry(key).or_default() += weight;
        }
        self.total += weight;
    }
}

impl Drop for StreamPermit<'_> {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        state.total -= self.weight;
        for key in self.client.keys() {
            if let Some(in_use) = state.by_key.get_mut(&key) {
                *in_use -= self.weight;
                if *in_use == 0 {
                    state.by_key.remove(&key);
                }
            }
        }
        self.limiter.wake_waiters(&mut state);
    }
}

#[cfg(test)]
mod tests;

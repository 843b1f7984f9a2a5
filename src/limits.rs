//! Limits concurrent work: at most N permits in total, and at most M for each client.
//!
//! Clients wait in order of arrival, except that those at their own limit are passed over. Every
//! wait has an end, the queue is bounded, and closing the limiter ends all waits.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender};

use crate::cancel::CancelToken;
use crate::error::{Error, LimitExceeded};
use crate::sys::{self, EventFd};

/// Issues permits of one kind.
pub struct StreamLimiter {
    total: usize,
    per_client: usize,
    /// Maximum length of the queue: in total and for each client.
    waiting: (usize, usize),
    state: Mutex<State>,
    drained: Receiver<()>,
}

struct State {
    total: usize,
    by_client: HashMap<IpAddr, usize>,
    waiting: VecDeque<(IpAddr, Arc<Waiter>)>,
    /// Cloned into every permit: when the last is dropped, `drained` is disconnected. `None` once
    /// the limiter is closed.
    open: Option<Sender<()>>,
}

/// One entry of the queue.
struct Waiter {
    /// Signalled when the wait is over, under the lock of the state only.
    wake: EventFd,
    /// The content of the permit, if one was granted.
    permit: OnceLock<Sender<()>>,
}

/// A permit, returned on drop.
pub struct StreamPermit<'a> {
    limiter: &'a StreamLimiter,
    client: IpAddr,
    _open: Sender<()>,
}

impl StreamLimiter {
    /// Makes a limiter with `total` permits, at most `per_client` for one client. The queue is twice as
    /// long: a request that its client dropped counts until the server has seen that, and the one in
    /// its place must not be refused meanwhile.
    pub fn new(total: usize, per_client: usize) -> StreamLimiter {
        let (open, drained) = channel::bounded(0);
        let (by_client, waiting) = (HashMap::new(), VecDeque::new());
        let state = Mutex::new(State { total: 0, by_client, waiting, open: Some(open) });
        let waiting = (total.saturating_mul(2), per_client.saturating_mul(2));
        StreamLimiter { total, per_client, waiting, state, drained }
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
        client: IpAddr,
        cancel: &CancelToken,
        patience: Duration,
    ) -> Result<StreamPermit<'_>, Error> {
        let client = client_key(client);
        let mut state = self.lock();
        let Some(open) = &state.open else { return Err(LimitExceeded::Draining.into()) };
        let Some(full) = self.reached_limit(&state, client) else {
            let open = open.clone();
            state.count(client);
            return Ok(StreamPermit { limiter: self, client, _open: open });
        };
        let waiting_of_client =
            state.waiting.iter().filter(|(waiting, _)| *waiting == client).count();
        let may_wait = state.waiting.len() < self.waiting.0 && waiting_of_client < self.waiting.1;
        if patience.is_zero() || !may_wait {
            return Err(full.into());
        }
        let until = Instant::now().checked_add(patience);
        let wake = EventFd::new().map_err(|error| Error::system("make an eventfd", &error))?;
        let waiter = Arc::new(Waiter { wake, permit: OnceLock::new() });
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
        let permit = granted.map(|open| StreamPermit { limiter: self, client, _open: open });
        waited.map_err(|error| Error::system("wait for a permit", &error))?;
        match permit {
            _ if cancel.is_cancelled() => Err(Error::Stopped),
            Some(permit) => Ok(permit),
            None if closed => Err(LimitExceeded::Draining.into()),
            None => Err(full.into()),
        }
    }

    /// Returns the number of permits in use.
    pub fn in_use(&self) -> usize {
        self.lock().total
    }

    /// Returns the length of the queue.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Returns the limit that forbids `client` another permit, if any.
    fn reached_limit(&self, state: &State, client: IpAddr) -> Option<LimitExceeded> {
        let in_use = state.by_client.get(&client).copied().unwrap_or_default();
        match () {
            () if in_use >= self.per_client => Some(LimitExceeded::ClientStreams),
            () if state.total >= self.total => Some(LimitExceeded::Streams),
            () => None,
        }
    }

    /// Grants free permits to the queue.
    fn wake_waiters(&self, state: &mut State) {
        let Some(open) = state.open.clone() else { return };
        while state.total < self.total {
            let may_start =
                |(client, _): &(IpAddr, _)| self.reached_limit(state, *client).is_none();
            let Some(next) = state.waiting.iter().position(may_start) else { return };
            let Some((client, waiter)) = state.waiting.remove(next) else { return };
            state.count(client);
            waiter.permit.get_or_init(|| open.clone());
            waiter.wake.signal();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, client: IpAddr) {
        *self.by_client.entry(client).or_default() += 1;
        self.total += 1;
    }
}

impl Drop for StreamPermit<'_> {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        state.total -= 1;
        if let Some(own) = state.by_client.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                state.by_client.remove(&self.client);
            }
        }
        self.limiter.wake_waiters(&mut state);
    }
}

/// Returns the key under which a client is counted: an IPv6 client has a complete /64 to choose
/// addresses from.
pub fn client_key(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam::channel::TryRecvError;
    use std::thread;

    const LONG: Duration = Duration::from_secs(60);

    fn client(text: &str) -> IpAddr {
        text.parse().unwrap()
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
        let (limiter, cancel) = (StreamLimiter::new(3, 2), CancelToken::new().unwrap());
        let now = |text| limiter.try_acquire(client(text), &cancel, Duration::ZERO).unwrap();
        let first = now("2001:db8::1");
        let _second = now("2001:db8::2");
        assert_eq!(full(&limiter, "2001:db8::3"), LimitExceeded::ClientStreams);
        let _third = now("10.0.0.1");
        assert_eq!(full(&limiter, "10.0.0.2"), LimitExceeded::Streams);
        drop(first);
        assert_eq!(limiter.in_use(), 2);
        let _again = now("2001:db8::9");
        assert_eq!(full(&limiter, "10.0.0.3"), LimitExceeded::Streams);
    }

    #[test]
    fn waiters_are_served_in_order_but_none_above_its_limit() {
        let (limiter, cancel) =
            (StreamLimiter::new(2, 1).without_queue_limit(), CancelToken::new().unwrap());
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
        let (limiter, cancel) = (StreamLimiter::new(1, 1), CancelToken::new().unwrap());
        let first = limiter.try_acquire(client("10.0.0.1"), &cancel, LONG).unwrap();
        let short = limiter.try_acquire(client("10.0.0.2"), &cancel, Duration::from_millis(1));
        assert!(matches!(short, Err(Error::LimitExceeded(LimitExceeded::Streams))));
        thread::scope(|scope| {
            let waiting =
                scope.spawn(|| limiter.try_acquire(client("10.0.0.1"), &cancel, LONG).err());
            let also = scope.spawn(|| limiter.try_acquire(client("10.0.0.1"), &cancel, LONG).err());
            until(|| limiter.waiting() == 2);
            let another = CancelToken::new().unwrap();
            let too_many = limiter.try_acquire(client("10.0.0.3"), &another, LONG).err();
            assert_eq!(too_many, Some(Error::LimitExceeded(LimitExceeded::Streams)));
            cancel.cancel();
            assert_eq!(waiting.join().unwrap(), Some(Error::Stopped));
            assert_eq!(also.join().unwrap(), Some(Error::Stopped));
        });
        drop(first);
        assert_eq!((limiter.in_use(), limiter.waiting()), (0, 0));
        let endless = StreamLimiter::new(0, 0).without_queue_limit();
        assert!(endless.try_acquire(client("10.0.0.1"), &cancel, LONG).is_err());
    }

    #[test]
    fn closing_waits_for_the_last_permit_and_refuses_waiters() {
        let (limiter, cancel) = (StreamLimiter::new(1, 1), CancelToken::new().unwrap());
        let permit = limiter.try_acquire([10, 0, 0, 1].into(), &cancel, LONG).unwrap();
        thread::scope(|scope| {
            let waiting =
                scope.spawn(|| limiter.try_acquire([10, 0, 0, 2].into(), &cancel, LONG).err());
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

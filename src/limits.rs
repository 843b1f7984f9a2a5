//! The right to something of which there is a limited number: so many in all, and so many for each
//! client.
//!
//! Whoever has to wait is served in the order of coming, but for those whose client has its share.
//! A wait has an end, no more wait than may, and nobody waits for what is not given out any more.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender};

use crate::cancel::CancelToken;
use crate::error::{Error, LimitExceeded};
use crate::sys::{self, EventFd};

/// All slots of a kind.
pub struct StreamLimiter {
    in_all: usize,
    per_client: usize,
    /// So many may wait in all, and for each client.
    waiting: (usize, usize),
    state: Mutex<State>,
    drained: Receiver<()>,
}

struct State {
    in_all: usize,
    by_client: HashMap<IpAddr, usize>,
    waiting: VecDeque<(IpAddr, Arc<Waiter>)>,
    /// Every slot holds a clone: when the last is gone, `all_back` is disconnected. `None` when
    /// no more slots are given.
    open: Option<Sender<()>>,
}

/// Held by one who waits.
struct Waiter {
    /// Rung when the wait is over, under the lock of the state only.
    wake: EventFd,
    /// What a slot holds, if one was given.
    permit: OnceLock<Sender<()>>,
}

/// One taken slot; dropping it gives it back.
pub struct StreamPermit<'a> {
    limiter: &'a StreamLimiter,
    client: IpAddr,
    _open: Sender<()>,
}

impl StreamLimiter {
    /// So many slots in all, and so many for one client. As many as may have one may wait for one.
    pub fn new(in_all: usize, per_client: usize) -> StreamLimiter {
        let (open, all_back) = channel::bounded(0);
        let (by_client, waiting) = (HashMap::new(), VecDeque::new());
        let state = Mutex::new(State { in_all: 0, by_client, waiting, open: Some(open) });
        StreamLimiter {
            in_all,
            per_client,
            waiting: (in_all, per_client),
            state,
            drained: all_back,
        }
    }

    /// The same, where all may wait: something else limits how many come.
    pub fn without_queue_limit(self) -> StreamLimiter {
        StreamLimiter { waiting: (usize::MAX, usize::MAX), ..self }
    }

    /// Gives no more slots, nor to those who wait. What is returned is disconnected when all are
    /// back.
    pub fn close(&self) -> &Receiver<()> {
        let mut state = self.lock();
        state.open = None;
        for (_, ticket) in state.waiting.drain(..) {
            ticket.wake.signal();
        }
        &self.drained
    }

    /// Whether no more slots are given.
    pub fn is_closed(&self) -> bool {
        self.lock().open.is_none()
    }

    /// Takes a slot for `client`, or says which limit still stands against it when it has waited
    /// for so long, or when the stream is over.
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
        let own = state.waiting.iter().filter(|(waiting, _)| *waiting == client).count();
        let may_wait = state.waiting.len() < self.waiting.0 && own < self.waiting.1;
        if patience.is_zero() || !may_wait {
            return Err(full.into());
        }
        let until = Instant::now().checked_add(patience);
        let bell = EventFd::new().map_err(|error| Error::system("make an eventfd", &error))?;
        let ticket = Arc::new(Waiter { wake: bell, permit: OnceLock::new() });
        state.waiting.push_back((client, ticket.clone()));
        drop(state);
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let awaited = [cancel.as_fd(), ticket.wake.as_fd()].map(|fd| (fd, sys::READABLE));
        let waited = sys::poll(awaited, left);
        // Now it is known for sure: a slot may have been given a moment ago.
        let mut state = self.lock();
        state.waiting.retain(|(_, waiting)| !Arc::ptr_eq(waiting, &ticket));
        let given = ticket.permit.get().cloned();
        let closed = state.open.is_none();
        drop(state);
        let slot = given.map(|open| StreamPermit { limiter: self, client, _open: open });
        waited.map_err(|error| Error::system("wait for a slot", &error))?;
        match slot {
            _ if cancel.is_cancelled() => Err(Error::Stopped),
            Some(slot) => Ok(slot),
            None if closed => Err(LimitExceeded::Draining.into()),
            None => Err(full.into()),
        }
    }

    /// Slots that are taken now.
    pub fn in_use(&self) -> usize {
        self.lock().in_all
    }

    /// Those who wait for one.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// What stands against another slot for `client`.
    fn reached_limit(&self, state: &State, client: IpAddr) -> Option<LimitExceeded> {
        let own = state.by_client.get(&client).copied().unwrap_or_default();
        match () {
            () if own >= self.per_client => Some(LimitExceeded::ClientStreams),
            () if state.in_all >= self.in_all => Some(LimitExceeded::Streams),
            () => None,
        }
    }

    /// Gives what is free to those who wait.
    fn wake_waiters(&self, state: &mut State) {
        let Some(open) = state.open.clone() else { return };
        while state.in_all < self.in_all {
            let may = |(client, _): &(IpAddr, _)| self.reached_limit(state, *client).is_none();
            let Some(next) = state.waiting.iter().position(may) else { return };
            let Some((client, ticket)) = state.waiting.remove(next) else { return };
            state.count(client);
            ticket.permit.get_or_init(|| open.clone());
            ticket.wake.signal();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, client: IpAddr) {
        *self.by_client.entry(client).or_default() += 1;
        self.in_all += 1;
    }
}

impl Drop for StreamPermit<'_> {
    fn drop(&mut self) {
        let mut state = self.limiter.lock();
        state.in_all -= 1;
        if let Some(own) = state.by_client.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                state.by_client.remove(&self.client);
            }
        }
        self.limiter.wake_waiters(&mut state);
    }
}

/// Who a client is: with IPv6 it has a whole /64 to choose addresses from.
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

    /// What stands against one that does not wait.
    fn full(slots: &StreamLimiter, text: &str) -> LimitExceeded {
        match slots.try_acquire(client(text), &CancelToken::new().unwrap(), Duration::ZERO) {
            Err(Error::LimitExceeded(full)) => full,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it was given"),
        }
    }

    fn until(is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < LONG, "it never comes to that");
            thread::yield_now();
        }
    }

    #[test]
    fn both_limits_hold_and_slots_come_back() {
        let (slots, cancel) = (StreamLimiter::new(3, 2), CancelToken::new().unwrap());
        let now = |text| slots.try_acquire(client(text), &cancel, Duration::ZERO).unwrap();
        let first = now("2001:db8::1");
        let _second = now("2001:db8::2");
        assert_eq!(full(&slots, "2001:db8::3"), LimitExceeded::ClientStreams);
        let _third = now("10.0.0.1");
        assert_eq!(full(&slots, "10.0.0.2"), LimitExceeded::Streams);
        drop(first);
        assert_eq!(slots.in_use(), 2);
        let _again = now("2001:db8::9");
        assert_eq!(full(&slots, "10.0.0.3"), LimitExceeded::Streams);
    }

    #[test]
    fn those_who_wait_come_in_their_order_but_none_over_its_share() {
        let (slots, cancel) =
            (StreamLimiter::new(2, 1).without_queue_limit(), CancelToken::new().unwrap());
        let now = |text| slots.try_acquire(client(text), &cancel, Duration::ZERO).unwrap();
        let (first, second) = (now("10.0.0.1"), now("10.0.0.2"));
        let (say, order) = channel::unbounded();
        thread::scope(|scope| {
            for (place, text) in ["10.0.0.1", "10.0.0.3", "10.0.0.4"].into_iter().enumerate() {
                let (slots, cancel, say) = (&slots, &cancel, say.clone());
                scope.spawn(move || {
                    let slot = slots.try_acquire(client(text), cancel, LONG).unwrap();
                    say.send((text, slot)).unwrap();
                });
                until(|| slots.waiting() == place + 1);
            }
            // The first of them has its share already.
            drop(second);
            let (text, third) = order.recv().unwrap();
            assert_eq!((text, slots.waiting()), ("10.0.0.3", 2));
            drop(first);
            let (text, again) = order.recv().unwrap();
            assert_eq!(text, "10.0.0.1");
            drop((third, again));
            assert_eq!(order.recv().unwrap().0, "10.0.0.4");
        });
        assert_eq!((slots.in_use(), slots.waiting()), (0, 0));
    }

    #[test]
    fn a_wait_ends_with_the_stream_or_in_time_and_not_all_may() {
        let (slots, cancel) = (StreamLimiter::new(1, 1), CancelToken::new().unwrap());
        let first = slots.try_acquire(client("10.0.0.1"), &cancel, LONG).unwrap();
        let short = slots.try_acquire(client("10.0.0.2"), &cancel, Duration::from_millis(1));
        assert!(matches!(short, Err(Error::LimitExceeded(LimitExceeded::Streams))));
        thread::scope(|scope| {
            let waiting =
                scope.spawn(|| slots.try_acquire(client("10.0.0.1"), &cancel, LONG).err());
            until(|| slots.waiting() == 1);
            let another = CancelToken::new().unwrap();
            let too_many = slots.try_acquire(client("10.0.0.3"), &another, LONG).err();
            assert_eq!(too_many, Some(Error::LimitExceeded(LimitExceeded::Streams)));
            cancel.cancel();
            assert_eq!(waiting.join().unwrap(), Some(Error::Stopped));
        });
        drop(first);
        assert_eq!((slots.in_use(), slots.waiting()), (0, 0));
        let endless = StreamLimiter::new(0, 0).without_queue_limit();
        assert!(endless.try_acquire(client("10.0.0.1"), &cancel, LONG).is_err());
    }

    #[test]
    fn closing_waits_for_the_last_slot_and_sends_away_who_waits() {
        let (slots, cancel) = (StreamLimiter::new(1, 1), CancelToken::new().unwrap());
        let slot = slots.try_acquire([10, 0, 0, 1].into(), &cancel, LONG).unwrap();
        thread::scope(|scope| {
            let waiting =
                scope.spawn(|| slots.try_acquire([10, 0, 0, 2].into(), &cancel, LONG).err());
            until(|| slots.waiting() == 1);
            let all_back = slots.close();
            assert_eq!(
                waiting.join().unwrap(),
                Some(Error::LimitExceeded(LimitExceeded::Draining))
            );
            assert_eq!(all_back.try_recv(), Err(TryRecvError::Empty));
            assert_eq!(full(&slots, "10.0.0.1"), LimitExceeded::Draining);
            drop(slot);
            assert_eq!(all_back.try_recv(), Err(TryRecvError::Disconnected));
        });
    }
}

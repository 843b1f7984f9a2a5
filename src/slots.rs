//! The right to run a stream: a limited number in all, and for each client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam::channel::{self, Receiver, Sender};

use crate::error::Full;

/// All slots of a daemon.
#[derive(Debug)]
pub struct Slots {
    in_all: usize,
    per_client: usize,
    taken: Mutex<Taken>,
    all_back: Receiver<()>,
}

#[derive(Debug, Default)]
struct Taken {
    in_all: usize,
    by_client: HashMap<IpAddr, usize>,
    /// Every slot holds a clone: when the last is gone, `all_back` is disconnected. `None` when
    /// no more slots are given.
    open: Option<Sender<()>>,
}

/// One taken slot; dropping it gives it back.
#[derive(Debug)]
pub struct Slot<'a> {
    slots: &'a Slots,
    client: IpAddr,
    _open: Sender<()>,
}

impl Slots {
    /// So many slots in all, and so many for one client.
    pub fn new(in_all: usize, per_client: usize) -> Slots {
        let (open, all_back) = channel::bounded(0);
        let taken = Mutex::new(Taken { open: Some(open), ..Taken::default() });
        Slots { in_all, per_client, taken, all_back }
    }

    /// Gives no more slots. What is returned is disconnected when all are back.
    pub fn close(&self) -> &Receiver<()> {
        self.lock().open = None;
        &self.all_back
    }

    /// Whether no more slots are given.
    pub fn is_closed(&self) -> bool {
        self.lock().open.is_none()
    }

    /// Takes a slot for `client`, or says which limit stands against it.
    pub fn take(&self, client: IpAddr) -> Result<Slot<'_>, Full> {
        let client = network(client);
        let mut taken = self.lock();
        let Some(open) = taken.open.clone() else { return Err(Full::Draining) };
        if taken.in_all >= self.in_all {
            return Err(Full::Streams);
        }
        let own = taken.by_client.entry(client).or_default();
        // An entry never stays at 0: it was there with at least 1, or `per_client` is not 0.
        if *own >= self.per_client {
            return Err(Full::ClientStreams);
        }
        *own += 1;
        taken.in_all += 1;
        Ok(Slot { slots: self, client, _open: open })
    }

    /// Slots that are taken now.
    pub fn taken(&self) -> usize {
        self.lock().in_all
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        taken.in_all -= 1;
        if let Some(own) = taken.by_client.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                taken.by_client.remove(&self.client);
            }
        }
    }
}

/// Who a client is: with IPv6 it has a whole /64 to choose addresses from.
pub fn network(client: IpAddr) -> IpAddr {
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

    #[test]
    fn both_limits_hold_and_slots_come_back() {
        let slots = Slots::new(3, 2);
        let client = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = slots.take(client("2001:db8::1")).unwrap();
        let _second = slots.take(client("2001:db8::2")).unwrap();
        assert_eq!(slots.take(client("2001:db8::3")).unwrap_err(), Full::ClientStreams);
        let _third = slots.take(client("10.0.0.1")).unwrap();
        assert_eq!(slots.take(client("10.0.0.2")).unwrap_err(), Full::Streams);
        drop(first);
        assert_eq!(slots.taken(), 2);
        let _again = slots.take(client("2001:db8::9")).unwrap();
        assert!(slots.take(client("10.0.0.3")).is_err());
    }

    #[test]
    fn closing_waits_for_the_last_slot() {
        let slots = Slots::new(2, 2);
        let slot = slots.take([10, 0, 0, 1].into()).unwrap();
        let all_back = slots.close();
        assert_eq!(all_back.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(slots.take([10, 0, 0, 1].into()).unwrap_err(), Full::Draining);
        drop(slot);
        assert_eq!(all_back.try_recv(), Err(TryRecvError::Disconnected));
    }
}

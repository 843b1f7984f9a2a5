//! How many pages are read at a time: so many in all, and for one client half of them.
//!
//! Whoever has to wait is served in the order of coming, but for those whose client has its share.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::slots::network;
use crate::stop::Stop;
use crate::sys::{self, Bell};

/// A limited number of places.
pub(super) struct Places {
    in_all: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whose the taken ones are.
    taken: Vec<IpAddr>,
    waiting: VecDeque<(IpAddr, Arc<Bell>)>,
}

/// One of them, given back on drop.
pub(super) struct Place<'p> {
    places: &'p Places,
    client: IpAddr,
}

impl Places {
    pub(super) fn new(in_all: usize) -> Places {
        Places { in_all, state: Mutex::default() }
    }

    /// Waits for a place until then, or until the stream is over; `None` if there was none.
    pub(super) fn take(
        &self,
        client: IpAddr,
        stop: &Stop,
        until: Instant,
    ) -> io::Result<Option<Place<'_>>> {
        let client = network(client);
        let bell = Arc::new(Bell::new()?);
        let mut state = self.lock();
        state.waiting.push_back((client, bell.clone()));
        self.give(&mut state);
        drop(state);
        let left = until.saturating_duration_since(Instant::now());
        let awaited = [stop.as_fd(), bell.as_fd()].map(|fd| (fd, sys::READABLE));
        let waited = sys::poll(awaited, Some(left));
        let mut state = self.lock();
        // Rung under the lock only: now it is known for sure.
        if bell.is_rung() {
            drop(state);
            let place = Place { places: self, client };
            return Ok(Some(place).filter(|_| !stop.is_over()));
        }
        state.waiting.retain(|(_, waiting)| !Arc::ptr_eq(waiting, &bell));
        waited.map(|_| None)
    }

    /// Gives what is free to those who wait.
    fn give(&self, state: &mut State) {
        let share = self.in_all.div_ceil(2);
        while state.taken.len() < self.in_all {
            let has_less = |client: &IpAddr| {
                state.taken.iter().filter(|taken| *taken == client).count() < share
            };
            let Some(next) = state.waiting.iter().position(|(client, _)| has_less(client)) else {
                return;
            };
            if let Some((client, bell)) = state.waiting.remove(next) {
                state.taken.push(client);
                bell.ring();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        if let Some(own) = state.taken.iter().position(|client| *client == self.client) {
            state.taken.swap_remove(own);
        }
        self.places.give(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn client(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    #[test]
    fn a_place_is_waited_for_and_nobody_has_all() {
        let (places, stop) = (Places::new(3), Stop::new().unwrap());
        let now = |number| places.take(client(number), &stop, Instant::now()).unwrap();
        let (first, _second) = (now(1).unwrap(), now(1).unwrap());
        assert!(now(1).is_none());
        let _third = now(2).unwrap();
        assert!(now(3).is_none());
        std::thread::scope(|scope| {
            let later = Instant::now() + Duration::from_secs(60);
            let (places, stop) = (&places, &stop);
            let waiting =
                scope.spawn(move || places.take(client(3), stop, later).unwrap().is_some());
            drop(first);
            assert!(waiting.join().unwrap());
        });
        let _again = now(1).unwrap();
        assert!(places.lock().waiting.is_empty());
        stop.end();
        assert!(places.take(client(4), &stop, Instant::now()).unwrap().is_none());
    }
}

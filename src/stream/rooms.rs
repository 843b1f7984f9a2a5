//! Bytes on their way from a downloader to the thread that puts them together: in rooms that go to
//! and fro between the two.
//!
//! A channel would do; this one costs less, for a stream is little else: a thread that waits sleeps,
//! and is woken only if it does. Must never hold more rooms than it was made with.

use std::collections::VecDeque;
use std::mem::take;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::Error;

/// The size of a room: two reads and one handing over of a megabyte are eight.
pub(super) const ROOM: usize = 128 << 10;

/// Two ends of the way of one track.
pub(super) fn between(rooms: usize) -> (Giver, Taker) {
    let way = Arc::new(Way::default());
    // They are furnished when they are used.
    way.lock().empty = vec![Vec::new(); rooms];
    (Giver(way.clone()), Taker(way))
}

/// The end of the downloader.
pub(super) struct Giver(Arc<Way>);

/// The end of the thread that puts the pieces together.
pub(super) struct Taker(Arc<Way>);

#[derive(Default)]
struct Way {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Rooms with bytes in them, and how many.
    full: VecDeque<(Vec<u8>, usize)>,
    empty: Vec<Vec<u8>>,
    /// One end is gone.
    over: bool,
    /// Somebody sleeps. There are two, and never both do: that would take a way without rooms.
    sleeps: bool,
}

impl Way {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing here is left half-changed by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something that the other end may be waiting for.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        if take(&mut state.sleeps) {
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Waits until `found` finds something; not beyond the end of the way.
    fn wait<T>(&self, mut found: impl FnMut(&mut State) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(found) = found(&mut state) {
                return Some(found);
            }
            if state.over {
                return None;
            }
            state.sleeps = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Giver {
    /// An empty room, as soon as there is one; `None` when no more is wanted.
    pub(super) fn empty(&self) -> Option<Vec<u8>> {
        let room = self.0.wait(|state| if state.over { None } else { state.empty.pop() })?;
        Some(if room.is_empty() { vec![0; ROOM] } else { room })
    }

    /// Gives bytes in a room of their own.
    pub(super) fn give(&self, bytes: Vec<u8>) {
        let count = bytes.len();
        if count > 0 {
            self.give_part(bytes, count);
        }
    }

    /// Gives a room with so many bytes in it.
    pub(super) fn give_part(&self, room: Vec<u8>, count: usize) {
        self.0.change(|state| state.full.push_back((room, count)));
    }
}

impl Taker {
    /// Takes back a room whose bytes are used.
    pub(super) fn give_back(&self, room: Vec<u8>) {
        if room.len() == ROOM {
            self.0.change(|state| state.empty.push(room));
        }
    }

    /// What is here already, if something is.
    pub(super) fn next_now(&self) -> Option<(Vec<u8>, usize)> {
        self.0.lock().full.pop_front()
    }

    /// What comes next. A downloader that ends before all is there has failed the stream.
    pub(super) fn next(&self) -> Result<(Vec<u8>, usize), Error> {
        self.0.wait(|state| state.full.pop_front()).ok_or(Error::Stopped)
    }
}

impl Drop for Giver {
    fn drop(&mut self) {
        self.0.change(|state| state.over = true);
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.0.change(|state| state.over = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn all_bytes_arrive_in_their_order() {
        let (giver, taker) = between(2);
        let giving = thread::spawn(move || {
            giver.give(vec![7; 10]);
            for number in 0..500_u32 {
                let mut room = giver.empty().unwrap();
                room[..4].copy_from_slice(&number.to_be_bytes());
                giver.give_part(room, 4);
            }
        });
        assert_eq!(taker.next().unwrap(), (vec![7; 10], 10));
        for number in 0..500_u32 {
            let (room, count) = taker.next_now().map_or_else(|| taker.next(), Ok).unwrap();
            assert_eq!(room[..count], number.to_be_bytes());
            taker.give_back(room);
        }
        assert!(taker.next().is_err());
        giving.join().unwrap();
    }

    #[test]
    fn whoever_goes_wakes_the_other() {
        let (giver, taker) = between(1);
        let waiting = thread::spawn(move || taker.next().is_err());
        drop(giver);
        assert!(waiting.join().unwrap());
        let (giver, taker) = between(1);
        let _room = giver.empty().unwrap();
        let waiting = thread::spawn(move || giver.empty().is_none());
        drop(taker);
        assert!(waiting.join().unwrap());
    }
}

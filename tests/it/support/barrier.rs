//! A gate holds the origin at an offset until the test has seen it there and opens it.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::stop::Stop;

/// Shared by the test and the origin; clones are the same gate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<Position>, Condvar)>);

#[derive(Debug, Default)]
struct Position {
    reached: bool,
    open: bool,
}

impl Gate {
    /// Waits until the origin stands at the gate.
    pub(crate) fn reached(&self) {
        let (position, changed) = &*self.0;
        let deadline = Instant::now() + PATIENCE;
        let mut position = position.lock().unwrap();
        while !position.reached {
            assert!(Instant::now() < deadline, "the origin never reached the gate");
            position = changed.wait_timeout(position, Duration::from_millis(100)).unwrap().0;
        }
    }

    /// Lets the origin pass, now and later.
    pub(crate) fn open(&self) {
        self.0.0.lock().unwrap().open = true;
        self.0.1.notify_all();
    }

    /// The origin's side: reports its arrival and waits for the gate, or for its own end.
    pub(super) fn pass(&self, stop: &Stop) {
        let (position, changed) = &*self.0;
        let mut position = position.lock().unwrap();
        position.reached = true;
        changed.notify_all();
        while !position.open && !stop.is_said() {
            position = changed.wait_timeout(position, Duration::from_millis(20)).unwrap().0;
        }
    }
}

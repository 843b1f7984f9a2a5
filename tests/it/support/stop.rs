//! The word to stop that a test gives its servers when it drops them. Whoever waits, waits here,
//! and so ends at once.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// Said once, for good.
#[derive(Debug, Default)]
pub(super) struct Stop {
    said: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    pub(super) fn say(&self) {
        *self.said.lock().unwrap() = true;
        self.changed.notify_all();
    }

    pub(super) fn is_said(&self) -> bool {
        *self.said.lock().unwrap()
    }

    /// Lets this much time pass, unless it is time to stop.
    pub(super) fn wait(&self, time: Duration) {
        let said = self.said.lock().unwrap();
        drop(self.changed.wait_timeout_while(said, time, |said| !*said).unwrap());
    }
}

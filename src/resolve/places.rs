//! How many pages are read at a time.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::stop::Stop;
use crate::sys::{self, Tokens};

/// A limited number of places.
pub(super) struct Places(Tokens);

/// One of them, given back on drop.
pub(super) struct Place<'p>(&'p Places);

impl Places {
    pub(super) fn new(count: usize) -> io::Result<Places> {
        Tokens::new(u32::try_from(count).unwrap_or(u32::MAX)).map(Places)
    }

    /// Waits for a place until then, or until the stream is over; `None` if there was none.
    pub(super) fn take(&self, stop: &Stop, until: Instant) -> io::Result<Option<Place<'_>>> {
        loop {
            if self.0.take() {
                return Ok(Some(Place(self)));
            }
            let left = until.saturating_duration_since(Instant::now());
            let awaited = [stop.as_fd(), self.0.as_fd()].map(|fd| (fd, sys::READABLE));
            let [over, free] = sys::poll(awaited, Some(left))?;
            if over || !free || left == Duration::ZERO {
                return Ok(None);
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.give();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_waited_for() {
        let (places, stop) = (Places::new(1).unwrap(), Stop::new().unwrap());
        let later = || Instant::now() + Duration::from_secs(60);
        let soon = || Instant::now() + Duration::from_millis(1);
        let place = places.take(&stop, soon()).unwrap();
        assert!(place.is_some() && places.take(&stop, soon()).unwrap().is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| places.take(&stop, later()).unwrap().is_some());
            drop(place);
            assert!(waiting.join().unwrap());
        });
        let _place = places.take(&stop, soon()).unwrap().unwrap();
        stop.end();
        assert!(places.take(&stop, later()).unwrap().is_none());
    }
}

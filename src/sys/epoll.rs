//! Waits for several descriptors as one (epoll(7)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::{READABLE, checked, owned, poll};

/// A set of descriptors that [`poll`] treats as one, which is readable when an event is reported
/// for any of them. Closed descriptors leave the set.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// Maximum number of events read at once.
    const MAX_EVENTS: usize = 8;

    /// Makes an empty set.
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: takes no pointers; the result is checked before it is owned.
        owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).map(Epoll)
    }

    /// Adds `fd` with `data` as its identifier; `interest` is as for [`poll`].
    pub fn add(&self, fd: BorrowedFd<'_>, interest: i16, data: u64) -> io::Result<()> {
        // The bits of poll(2) and of epoll(7) are the same.
        let mut event = libc::epoll_event { events: interest.cast_unsigned().into(), u64: data };
        let (epoll_fd, fd) = (self.0.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: `event` is a live epoll_event for the length of the call.
        checked(unsafe { libc::epoll_ctl(epoll_fd, libc::EPOLL_CTL_ADD, fd, &raw mut event) })
    }

    /// Returns the data of every descriptor with an event.
    pub fn ready(&self) -> Vec<u64> {
        if !poll([(self.as_fd(), READABLE)], Some(Duration::ZERO)).is_ok_and(|[ready]| ready) {
            return Vec::new();
        }
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; Self::MAX_EVENTS];
        let (epoll_fd, room) = (self.0.as_raw_fd(), Self::MAX_EVENTS as libc::c_int);
        // While another thread reads the events, the list seems empty to a call with a timeout of
        // 0. As there is an event, this call does not wait.
        const TIMEOUT_MILLIS: libc::c_int = 10;
        // SAFETY: `events` has room for MAX_EVENTS events.
        let count =
            unsafe { libc::epoll_wait(epoll_fd, events.as_mut_ptr(), room, TIMEOUT_MILLIS) };
        let count = usize::try_from(count).unwrap_or(0);
        events[..count].iter().map(|event| event.u64).collect()
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::EventFd;

    #[test]
    fn a_set_is_ready_when_one_in_it_is() {
        let (epoll, first, second) =
            (Epoll::new().unwrap(), EventFd::new().unwrap(), EventFd::new().unwrap());
        epoll.add(first.as_fd(), READABLE, 1).unwrap();
        epoll.add(second.as_fd(), READABLE, 2).unwrap();
        let is_ready =
            || poll([(epoll.as_fd(), READABLE)], Some(Duration::ZERO)).unwrap() == [true];
        assert!(!is_ready());
        second.signal();
        assert!(is_ready() && is_ready());
        assert_eq!(epoll.ready(), [2]);
        drop(second);
        assert!(!is_ready() && epoll.ready().is_empty());
    }
}

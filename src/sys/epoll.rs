//! Several descriptors that are waited for as one (epoll(7)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::{READABLE, checked, owned, poll};

/// Descriptors that [`poll`] waits for as one, which is readable when something is
/// reported for any of them. One that is closed is in it no longer.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// The most descriptors that it is asked about at once.
    const MAX_EVENTS: usize = 8;

    /// An empty one.
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: takes no pointers; the result is checked before it is owned.
        owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).map(Epoll)
    }

    /// Adds `fd`, which is to be called `name`; `interest` is as for [`poll`].
    pub fn add(&self, fd: BorrowedFd<'_>, interest: i16, name: u64) -> io::Result<()> {
        // The bits of poll(2) and of epoll(7) are the same.
        let mut event = libc::epoll_event { events: interest.cast_unsigned().into(), u64: name };
        let (own, fd) = (self.0.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: `event` is a live epoll_event for the length of the call.
        checked(unsafe { libc::epoll_ctl(own, libc::EPOLL_CTL_ADD, fd, &raw mut event) })
    }

    /// The names of those for which something is reported.
    pub fn ready(&self) -> Vec<u64> {
        if !poll([(self.as_fd(), READABLE)], Some(Duration::ZERO)).is_ok_and(|[ready]| ready) {
            return Vec::new();
        }
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; Self::MAX_EVENTS];
        let (own, room) = (self.0.as_raw_fd(), Self::MAX_EVENTS as libc::c_int);
        // While another thread looks, the list seems to be empty to one that would not wait; and
        // there is something, so this does not.
        const A_MOMENT: libc::c_int = 10;
        // SAFETY: `events` is room for so many of them.
        let count = unsafe { libc::epoll_wait(own, events.as_mut_ptr(), room, A_MOMENT) };
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
    fn a_bundle_is_ready_when_one_in_it_is() {
        let (bundle, first, second) =
            (Epoll::new().unwrap(), EventFd::new().unwrap(), EventFd::new().unwrap());
        bundle.add(first.as_fd(), READABLE, 1).unwrap();
        bundle.add(second.as_fd(), READABLE, 2).unwrap();
        let rings = || poll([(bundle.as_fd(), READABLE)], Some(Duration::ZERO)).unwrap() == [true];
        assert!(!rings());
        second.signal();
        assert!(rings() && rings());
        assert_eq!(bundle.ready(), [2]);
        drop(second);
        assert!(!rings() && bundle.ready().is_empty());
    }
}

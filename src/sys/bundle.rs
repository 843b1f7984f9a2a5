//! Several descriptors that are waited for as one (epoll(7)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::{checked, owned};

/// Descriptors that [`poll`](super::poll) waits for as one, which is readable when something is
/// reported for any of them. One that is closed is in it no longer.
#[derive(Debug)]
pub struct Bundle(OwnedFd);

impl Bundle {
    /// The most descriptors that it is asked about at once.
    const MOST: usize = 8;

    /// An empty one.
    pub fn new() -> io::Result<Bundle> {
        // SAFETY: takes no pointers; the result is checked before it is owned.
        owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).map(Bundle)
    }

    /// Adds `fd`, which is to be called `name`; `interest` is as for [`poll`](super::poll).
    pub fn add(&self, fd: BorrowedFd<'_>, interest: i16, name: u64) -> io::Result<()> {
        // The bits of poll(2) and of epoll(7) are the same.
        let mut event = libc::epoll_event { events: interest.cast_unsigned().into(), u64: name };
        let (own, fd) = (self.0.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: `event` is a live epoll_event for the length of the call.
        checked(unsafe { libc::epoll_ctl(own, libc::EPOLL_CTL_ADD, fd, &raw mut event) })
    }

    /// Whether something is reported for the one of this name.
    pub fn is_ready(&self, name: u64) -> bool {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; Self::MOST];
        let (own, room) = (self.0.as_raw_fd(), Self::MOST as libc::c_int);
        // SAFETY: `events` is room for so many of them; it does not wait.
        let count = unsafe { libc::epoll_wait(own, events.as_mut_ptr(), room, 0) };
        let count = usize::try_from(count).unwrap_or(0);
        events[..count].iter().any(|event| event.u64 == name)
    }
}

impl AsFd for Bundle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sys::{Bell, READABLE, poll};

    #[test]
    fn a_bundle_is_ready_when_one_in_it_is() {
        let (bundle, first, second) =
            (Bundle::new().unwrap(), Bell::new().unwrap(), Bell::new().unwrap());
        bundle.add(first.as_fd(), READABLE, 1).unwrap();
        bundle.add(second.as_fd(), READABLE, 2).unwrap();
        let rings = || poll([(bundle.as_fd(), READABLE)], Some(Duration::ZERO)).unwrap() == [true];
        assert!(!rings());
        second.ring();
        assert!(rings() && rings());
        assert!(bundle.is_ready(2) && !bundle.is_ready(1));
        drop(second);
        assert!(!rings() && !bundle.is_ready(2));
    }
}

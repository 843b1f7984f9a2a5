//! The short way from one socket to another, past this process (splice(2)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::{checked, owned, set_pipe_len};

/// A pipe through which bytes go from one socket to another without a copy (splice(2)): the kernel
/// hands on the pages that they are in.
#[derive(Debug)]
pub struct SplicePipe {
    inlet: OwnedFd,
    outlet: OwnedFd,
}

impl SplicePipe {
    /// An empty one that holds as much as the kernel gives everybody.
    pub fn new() -> io::Result<SplicePipe> {
        let mut ends = [0; 2];
        // SAFETY: `ends` is room for two descriptors, which are owned once they are there.
        checked(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) })?;
        let [outlet, inlet] = ends;
        Ok(SplicePipe { inlet: owned(inlet)?, outlet: owned(outlet)? })
    }

    /// Asks for room for `len` bytes. The kernel may refuse (a limit per user).
    pub fn resize(&self, len: i32) -> io::Result<()> {
        set_pipe_len(self.inlet.as_fd(), len)
    }

    /// Takes up to `most` bytes that have arrived at `socket`; 0 when its peer has closed.
    pub fn fill(&self, socket: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        spliced(socket, self.inlet.as_fd(), most)
    }

    /// Gives up to `most` of its bytes to `socket`.
    pub fn drain(&self, socket: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        spliced(self.outlet.as_fd(), socket, most)
    }
}

fn spliced(from: BorrowedFd<'_>, to: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
    let (from, to, null) = (from.as_raw_fd(), to.as_raw_fd(), std::ptr::null_mut());
    // SAFETY: the offsets are null, as sockets and pipes have none; no other pointers are taken.
    let count = unsafe { libc::splice(from, null, to, null, most, libc::SPLICE_F_NONBLOCK) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::sys::{READABLE, poll, start_connect};

    #[test]
    fn a_conduit_hands_on_what_has_arrived() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pair = || {
            let ours = start_connect(listener.local_addr().unwrap()).unwrap();
            (ours, listener.accept().unwrap().0)
        };
        let ((upstream, mut origin), (client, mut reader)) = (pair(), pair());
        let conduit = SplicePipe::new().unwrap();
        conduit.resize(256 << 10).unwrap();
        let nothing = conduit.fill(upstream.as_fd(), 100).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);

        origin.write_all(b"as it came").unwrap();
        poll([(upstream.as_fd(), READABLE)], Some(Duration::from_secs(5))).unwrap();
        assert_eq!(conduit.fill(upstream.as_fd(), 5).unwrap(), 5);
        assert_eq!(conduit.drain(client.as_fd(), 3).unwrap(), 3);
        assert_eq!(conduit.drain(client.as_fd(), 100).unwrap(), 2);
        assert_eq!(conduit.fill(upstream.as_fd(), 100).unwrap(), 5);
        assert_eq!(conduit.drain(client.as_fd(), 100).unwrap(), 5);
        drop(origin);
        poll([(upstream.as_fd(), READABLE)], Some(Duration::from_secs(5))).unwrap();
        assert_eq!(conduit.fill(upstream.as_fd(), 100).unwrap(), 0);
        drop(client);
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "as it came");
    }
}

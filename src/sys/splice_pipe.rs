//! Moves bytes from one socket to another without copying them through this process (splice(2)).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::{checked, owned, set_pipe_len};

/// A pipe through which bytes move from one socket to another without a copy (splice(2)): the
/// kernel passes on references to their pages.
#[derive(Debug)]
pub struct SplicePipe {
    writer: OwnedFd,
    reader: OwnedFd,
}

impl SplicePipe {
    /// Makes an empty pipe of the default size.
    pub fn new() -> io::Result<SplicePipe> {
        let mut fds = [0; 2];
        // SAFETY: `ends` is room for two descriptors, which are owned once they are there.
        checked(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) })?;
        let [reader, writer] = fds;
        Ok(SplicePipe { writer: owned(writer)?, reader: owned(reader)? })
    }

    /// Requests room for `len` bytes. The kernel may refuse (a limit per user).
    pub fn resize(&self, len: i32) -> io::Result<()> {
        set_pipe_len(self.writer.as_fd(), len)
    }

    /// Takes up to `max_len` bytes that have arrived at `socket`; 0 when its peer has closed.
    pub fn fill(&self, socket: BorrowedFd<'_>, max_len: usize) -> io::Result<usize> {
        splice(socket, self.writer.as_fd(), max_len)
    }

    /// Returns what its bytes can be read from, where they cannot be moved.
    pub fn reader(&self) -> io::Result<std::fs::File> {
        self.reader.try_clone().map(std::fs::File::from)
    }

    /// Moves up to `max_len` of its bytes to `socket`, or to a file.
    pub fn drain(&self, socket: BorrowedFd<'_>, max_len: usize) -> io::Result<usize> {
        splice(self.reader.as_fd(), socket, max_len)
    }
}

fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, max_len: usize) -> io::Result<usize> {
    let (from, to, null) = (from.as_raw_fd(), to.as_raw_fd(), std::ptr::null_mut());
    // SAFETY: the offsets are null, as sockets and pipes have none; no other pointers are taken.
    let count = unsafe { libc::splice(from, null, to, null, max_len, libc::SPLICE_F_NONBLOCK) };
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
    fn a_pipe_passes_on_what_has_arrived() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pair = || {
            let ours = start_connect(listener.local_addr().unwrap()).unwrap();
            (ours, listener.accept().unwrap().0)
        };
        let ((upstream, mut origin), (client, mut reader)) = (pair(), pair());
        let pipe = SplicePipe::new().unwrap();
        pipe.resize(256 << 10).unwrap();
        let nothing = pipe.fill(upstream.as_fd(), 100).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);

        origin.write_all(b"as it came").unwrap();
        poll([(upstream.as_fd(), READABLE)], Some(Duration::from_secs(5))).unwrap();
        assert_eq!(pipe.fill(upstream.as_fd(), 5).unwrap(), 5);
        assert_eq!(pipe.drain(client.as_fd(), 3).unwrap(), 3);
        assert_eq!(pipe.drain(client.as_fd(), 100).unwrap(), 2);
        assert_eq!(pipe.fill(upstream.as_fd(), 100).unwrap(), 5);
        assert_eq!(pipe.drain(client.as_fd(), 100).unwrap(), 5);
        drop(origin);
        poll([(upstream.as_fd(), READABLE)], Some(Duration::from_secs(5))).unwrap();
        assert_eq!(pipe.fill(upstream.as_fd(), 100).unwrap(), 0);
        drop(client);
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "as it came");
    }
}

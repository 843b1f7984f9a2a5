//! The two sockets of a gateway connection, and the relay between them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::sys::{self, EventFd};

/// Maximum silence on a connection: longer than yt-dlp waits for a response.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum wait for the peer to take the last bytes.
const LINGER: Duration = Duration::from_secs(5);

/// Maximum number of bytes that one connection brings: more than any page or script has. A page can lead yt-dlp to
/// any file, and it would read all that its memory can hold.
pub(crate) const MAX_RECEIVED: usize = 64 << 20;

/// Relays bytes in both directions until one side closes, or too many have come.
pub(crate) fn relay(
    client: &mut GuardedSocket<'_>,
    upstream: &mut GuardedSocket<'_>,
    closing: &EventFd,
) -> io::Result<()> {
    let (mut buffer, mut received) = (vec![0; 16 << 10], 0);
    loop {
        let interests = [closing.as_fd(), client.socket.as_fd(), upstream.socket.as_fd()];
        let [over, from_inside, from_outside] =
            sys::poll(interests.map(|fd| (fd, sys::READABLE)), Some(IDLE_TIMEOUT))?;
        if over || !(from_inside || from_outside) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if from_inside {
            match client.read(&mut buffer)? {
                0 => return Ok(()),
                count => upstream.write_all(&buffer[..count])?,
            }
        }
        if from_outside {
            let count = upstream.read(&mut buffer)?;
            received += count;
            if received > MAX_RECEIVED {
                return Err(io::Error::other("a connection of yt-dlp brings too much"));
            }
            match count {
                0 => return Ok(()),
                count => client.write_all(&buffer[..count])?,
            }
        }
    }
}

/// A socket whose waits have a limit, and end with the gateway.
pub(crate) struct GuardedSocket<'g> {
    socket: TcpStream,
    closing: &'g EventFd,
    /// Maximum silence.
    pub(crate) idle_timeout: Duration,
}

impl<'g> GuardedSocket<'g> {
    pub(crate) fn new(socket: TcpStream, closing: &'g EventFd) -> io::Result<GuardedSocket<'g>> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(GuardedSocket { socket, closing, idle_timeout: IDLE_TIMEOUT })
    }

    pub(crate) fn read_array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads a byte string with its length in front.
    pub(crate) fn read_prefixed(&mut self) -> io::Result<Vec<u8>> {
        let [count] = self.read_array()?;
        let mut bytes = vec![0; usize::from(count)];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn wait(&self, interest: i16) -> io::Result<()> {
        let interests = [(self.closing.as_fd(), sys::READABLE), (self.socket.as_fd(), interest)];
        match sys::poll(interests, Some(self.idle_timeout))? {
            [false, true] => Ok(()),
            _ => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Shuts down the write side and waits briefly for the peer to read everything: closing with
    /// unread bytes would reset the connection and lose what was sent.
    pub(crate) fn shut_down(self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)?;
        let deadline = Instant::now() + LINGER;
        let mut sink = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let interests = [self.closing.as_fd(), self.socket.as_fd()];
            match sys::poll(interests.map(|fd| (fd, sys::READABLE)), Some(left))? {
                [false, true] if (&self.socket).read(&mut sink)? > 0 => {}
                _ => return Ok(()),
            }
        }
    }
}

impl Read for GuardedSocket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match (&self.socket).read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(sys::READABLE)?;
                }
                done => return done,
            }
        }
    }
}

impl Write for GuardedSocket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match (&self.socket).write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(sys::WRITABLE)?;
                }
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

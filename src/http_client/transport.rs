//! The transports of HTTP: TCP, and TLS over it. All waits are bounded by an [`IoGuard`], so a
//! stream that is over releases its upstreams at once.
//!
//! **API boundary:** nothing here knows HTTP.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::http_client::io_guard::IoGuard;
use crate::http_client::tls_stream::TlsStream;
use crate::sys;

/// A nonblocking socket that waits as its guard permits.
pub(crate) struct Socket {
    pub(crate) tcp: TcpStream,
    pub(crate) guard: IoGuard,
}

impl Socket {
    /// Calls `attempt` on the socket, waiting until it does not block.
    fn retry_when_ready(
        &self,
        interest: i16,
        mut attempt: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            self.guard.check()?;
            match attempt(&self.tcp) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.guard.wait(self.tcp.as_fd(), interest)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Receives by `attempt`, waiting until it does not block.
    pub(crate) fn receive(
        &mut self,
        attempt: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let count = self.retry_when_ready(sys::READABLE, attempt)?;
        self.guard.received(count);
        Ok(count)
    }

    /// Returns whether nothing unread has arrived: neither data nor a hang-up.
    pub(crate) fn is_quiet(&self) -> bool {
        let ready = sys::poll([(self.tcp.as_fd(), sys::READABLE)], Some(Duration::ZERO));
        ready.is_ok_and(|[has_event]| !has_event)
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(|mut tcp| tcp.read(buffer))
    }
}

impl Drop for Socket {
    /// Counts what has arrived and nobody reads, such as the file of a client that has left.
    fn drop(&mut self) {
        if self.guard.is_in_use() {
            self.guard.received(sys::unread_bytes(self.tcp.as_fd()).unwrap_or(0));
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.retry_when_ready(sys::WRITABLE, |mut tcp| tcp.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A TCP connection, or one with TLS.
pub(crate) enum Transport {
    Tcp(Socket),
    Tls(TlsStream),
}

impl Transport {
    /// Performs the TLS handshake with `host` on a connection.
    pub(crate) fn secure(
        socket: Socket,
        host: &str,
        config: &Arc<ClientConfig>,
    ) -> io::Result<Transport> {
        TlsStream::connect(socket, host, config).map(Transport::Tls)
    }

    pub(crate) fn socket(&self) -> &Socket {
        match self {
            Transport::Tcp(socket) => socket,
            Transport::Tls(stream) => stream.socket(),
        }
    }

    pub(crate) fn socket_mut(&mut self) -> &mut Socket {
        match self {
            Transport::Tcp(socket) => socket,
            Transport::Tls(stream) => stream.socket_mut(),
        }
    }

    /// Returns whether everything that was received has been read and the peer has not closed. What
    /// TLS sends besides data, such as session tickets, does not count.
    pub(crate) fn is_drained(&self) -> bool {
        let is_empty = match self {
            Transport::Tcp(_) => true,
            Transport::Tls(stream) => stream.is_drained(),
        };
        is_empty && self.socket().is_quiet()
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(socket) => socket.read(buffer),
            Transport::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Tcp(socket) => socket.write(bytes),
            Transport::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Transport::Tcp(socket) => socket.flush(),
            Transport::Tls(stream) => stream.flush(),
        }
    }
}

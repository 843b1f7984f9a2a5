//! The transports of HTTP: TCP, and TLS over it. All waits are bounded by an [`IoGuard`], so a
//! stream that is over releases its upstreams at once.
//!
//! **API boundary:** nothing here knows HTTP.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::http_client::io_guard::IoGuard;
use crate::http_client::upstream_client::SOCKET_BUFFER;
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
    Tls(Box<StreamOwned<ClientConnection, BufferedSocket>>),
}

impl Transport {
    /// Performs the TLS handshake with `host` on a connection.
    pub(crate) fn secure(
        socket: Socket,
        host: &str,
        config: &Arc<ClientConfig>,
    ) -> io::Result<Transport> {
        let invalid = |_| io::Error::other("the host name does not suit TLS");
        let name = ServerName::try_from(host.to_owned()).map_err(invalid)?;
        let mut tls = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        let mut socket = BufferedSocket(BufReader::with_capacity(SOCKET_BUFFER, socket));
        tls.complete_io(&mut socket)?;
        Ok(Transport::Tls(Box::new(StreamOwned::new(tls, socket))))
    }

    pub(crate) fn socket(&self) -> &Socket {
        match self {
            Transport::Tcp(socket) => socket,
            Transport::Tls(stream) => stream.sock.0.get_ref(),
        }
    }

    pub(crate) fn socket_mut(&mut self) -> &mut Socket {
        match self {
            Transport::Tcp(socket) => socket,
            Transport::Tls(stream) => stream.sock.0.get_mut(),
        }
    }

    /// Returns whether everything that was received has been read and the peer has not closed. What
    /// TLS sends besides data, such as session tickets, does not count.
    pub(crate) fn is_drained(&mut self) -> bool {
        let is_empty = match self {
            Transport::Tcp(_) => true,
            Transport::Tls(stream) => stream.sock.decrypt_buffered(&mut stream.conn),
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

/// The socket below TLS: rustls reads a few kilobytes at a time, so they come out of a buffer.
pub(crate) struct BufferedSocket(BufReader<Socket>);

impl BufferedSocket {
    /// Decrypts what is in the buffer; returns whether there was no data in it.
    fn decrypt_buffered(&mut self, tls: &mut ClientConnection) -> bool {
        loop {
            let has_data = tls.process_new_packets().map_or(true, |state| {
                state.plaintext_bytes_to_read() > 0 || state.peer_has_closed()
            });
            if has_data || self.0.buffer().is_empty() {
                return !has_data;
            }
            match tls.read_tls(&mut self.0.buffer()) {
                Ok(count) if count > 0 => self.0.consume(count),
                _ => return false,
            }
        }
    }
}

impl Read for BufferedSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for BufferedSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

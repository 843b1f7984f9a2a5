//! What a connection of an origin runs over: a socket, bare or under TLS.

use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Both kinds read and write in the same way.
pub(super) enum Wire {
    Bare(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    /// Under TLS if there is a configuration for it.
    pub(super) fn new(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> Self {
        match tls {
            None => Self::Bare(stream),
            Some(config) => {
                let session = ServerConnection::new(Arc::clone(config)).unwrap();
                Self::Tls(Box::new(StreamOwned::new(session, stream)))
            }
        }
    }

    /// Whether the other side leaves within this time; what it sends meanwhile is lost.
    pub(super) fn peer_left(&mut self, within: Duration) -> io::Result<bool> {
        self.socket().set_read_timeout(Some(within))?;
        match self.read(&mut [0; 64]) {
            Ok(count) => Ok(count == 0),
            Err(error) => {
                Ok(!matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
            }
        }
    }

    /// Whether bytes stand here unread, without waiting for any.
    pub(super) fn has_input(&mut self) -> io::Result<bool> {
        if let Self::Tls(tls) = self
            && tls.conn.reader().fill_buf().is_ok_and(|bytes| !bytes.is_empty())
        {
            return Ok(true);
        }
        let socket = self.socket();
        socket.set_nonblocking(true)?;
        let found = socket.peek(&mut [0]).is_ok_and(|count| count > 0);
        socket.set_nonblocking(false)?;
        Ok(found)
    }

    /// Waits until a byte stands unread in the socket. Under TLS the whole record has been read,
    /// so there a close is never a reset.
    pub(super) fn await_unread(&self) -> io::Result<()> {
        match self {
            Self::Bare(socket) => socket.peek(&mut [0]).map(drop),
            Self::Tls(_) => Ok(()),
        }
    }

    /// Says a good bye where the protocol has one; without it the end is a cut.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if let Self::Tls(tls) = self {
            tls.conn.send_close_notify();
            return tls.flush();
        }
        Ok(())
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Bare(socket) => socket,
            Self::Tls(tls) => &tls.sock,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Bare(socket) => socket.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Bare(socket) => socket.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Bare(socket) => socket.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

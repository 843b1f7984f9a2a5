//! Listening sockets, and signs of life of the loops that accept from them.
//!
//! **Invariant:** a connection over a Unix socket is one of a reverse proxy on this machine.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::ListenAddress;
use crate::sys;

/// The backlog of listen(2): connections that the kernel queues between two accepts.
const BACKLOG: i32 = 1024;

/// A listening socket.
pub struct Listener {
    socket: Socket,
    pub(super) pulse: Arc<Pulse>,
    address: ListenAddress,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection that was accepted.
pub(super) struct Accepted {
    /// The socket, which need not be one of TCP: all that is done with it works with both.
    pub(super) socket: TcpStream,
    /// The address of the peer; that of this machine for a Unix socket.
    pub(super) peer: SocketAddr,
    /// Whether it is a Unix socket, which has no options of TCP and cannot be reset.
    pub(super) is_unix: bool,
}

impl Listener {
    /// Listens on `address`. A Unix socket that nobody listens on any more is replaced.
    pub fn bind(address: &ListenAddress) -> io::Result<Listener> {
        let socket = match address {
            ListenAddress::Tcp(address) => Socket::Tcp(sys::listen(*address, BACKLOG)?),
            ListenAddress::Unix(path) => Socket::Unix(bind_unix(path)?),
        };
        Listener::of(socket)
    }

    /// Takes over a socket that somebody else has bound, and listens on it.
    pub fn adopt(socket: OwnedFd) -> io::Result<Listener> {
        sys::prepare_listener(socket.as_fd(), BACKLOG)?;
        let unix = UnixListener::from(socket);
        // Fails for sockets of other families.
        let socket = match unix.local_addr() {
            Ok(_) => Socket::Unix(unix),
            Err(_) => Socket::Tcp(TcpListener::from(OwnedFd::from(unix))),
        };
        Listener::of(socket)
    }

    fn of(socket: Socket) -> io::Result<Listener> {
        let address = match &socket {
            Socket::Tcp(socket) => ListenAddress::Tcp(socket.local_addr()?),
            Socket::Unix(socket) => {
                let address = socket.local_addr()?;
                ListenAddress::Unix(address.as_pathname().unwrap_or(Path::new("")).to_owned())
            }
        };
        Ok(Listener { socket, pulse: Arc::default(), address })
    }

    /// Returns the address, with the port that the kernel chose for port 0.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Returns what shows whether the accept loop of this listener turns.
    pub fn pulse(&self) -> Arc<Pulse> {
        self.pulse.clone()
    }

    pub(super) fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            Socket::Tcp(socket) => {
                let (socket, peer) = socket.accept()?;
                Ok(Accepted { socket, peer, is_unix: false })
            }
            Socket::Unix(socket) => {
                let (socket, _) = socket.accept()?;
                let socket = TcpStream::from(OwnedFd::from(socket));
                let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                Ok(Accepted { socket, peer, is_unix: true })
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }
}

/// Binds a Unix socket to which everybody on this machine may connect who reaches its directory, as to a port of the
/// loopback address.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket()) {
        // It is of another kind, so whoever is there is told apart from nobody, and not connected to: that would wait for
        // a server that hangs.
        match UnixDatagram::unbound()?.connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path)?;
            }
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let socket = UnixListener::bind(path)?;
    socket.set_nonblocking(true)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    sys::prepare_listener(socket.as_fd(), BACKLOG)?;
    Ok(socket)
}

/// Whether an accept loop turns.
#[derive(Debug, Default)]
pub struct Pulse(AtomicBool);

impl Pulse {
    /// Records a turn of the loop.
    pub fn beat(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether the loop has turned since [`reset`](Pulse::reset).
    pub fn has_beaten(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Forgets the turns so far.
    pub fn reset(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_unix_socket_that_nobody_listens_on_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let address = ListenAddress::Unix(path.clone());
        let first = Listener::bind(&address).unwrap();
        assert_eq!(first.address(), &address);
        // It accepts nothing, and no more connections can wait: nor does this.
        sys::prepare_listener(first.as_fd(), 0).unwrap();
        let waiting = UnixStream::connect(&path).unwrap();
        let (sender, bound) = mpsc::channel();
        let again = address.clone();
        thread::spawn(move || sender.send(Listener::bind(&again).err().unwrap().kind()));
        assert_eq!(bound.recv_timeout(Duration::from_secs(60)), Ok(io::ErrorKind::AddrInUse));
        drop((waiting, first));
        drop(Listener::bind(&address).unwrap());
        // No other file is.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "thesis").unwrap();
        assert!(Listener::bind(&address).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"thesis");
    }

    #[test]
    fn sockets_of_others_are_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let unix = UnixListener::bind(directory.path().join("socket")).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let tcp = Listener::adopt(tcp.into()).unwrap();
        assert_eq!(tcp.address(), &address.into());
        let unix = Listener::adopt(unix.into()).unwrap();
        assert!(matches!(unix.address(), ListenAddress::Unix(path) if path.ends_with("socket")));
        // Neither blocks.
        for listener in [&tcp, &unix] {
            let error = listener.accept().err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        }
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(Listener::adopt(datagrams.into()).is_err());
    }
}

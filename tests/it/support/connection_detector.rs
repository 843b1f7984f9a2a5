//! A place that must not be reached: it counts whoever connects, and answers nobody.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;

/// Ports that are tried until one is free on both addresses.
const TRIES: usize = 100;

/// Listens on 127.0.0.1 and ::1 on the same port. The kernel completes the connections, so none
/// is missed, however short, and no thread has to be in time for it.
pub(crate) struct Tripwire {
    listeners: Vec<TcpListener>,
    port: u16,
    /// Held open, so that whoever waits here waits for good.
    connections: Mutex<Vec<TcpStream>>,
}

impl Tripwire {
    /// On a port that is free.
    pub(crate) fn start() -> Self {
        (0..TRIES).find_map(|_| Self::at(0)).expect("a port that is free on both addresses")
    }

    /// On this port; `None` if it is taken.
    pub(crate) fn at(port: u16) -> Option<Self> {
        let first = listen((Ipv4Addr::LOCALHOST, port).into()).ok()?;
        let port = first.local_addr().unwrap().port();
        let mut listeners = vec![first];
        match listen((Ipv6Addr::LOCALHOST, port).into()) {
            Ok(second) => listeners.push(second),
            // Where there is no IPv6 nobody can connect there either.
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {}
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(_) => return None,
        }
        Some(Self { listeners, port, connections: Mutex::default() })
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How many have connected so far, without a word or with one.
    pub(crate) fn connections(&self) -> usize {
        let mut connections = self.connections.lock().unwrap();
        for listener in &self.listeners {
            while let Ok((stream, _)) = listener.accept() {
                connections.push(stream);
            }
        }
        connections.len()
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

//! Listening sockets, and signs of life of the loops that accept from them.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys;

/// The backlog of listen(2): connections that the kernel queues between two accepts.
const BACKLOG: i32 = 1024;

/// A listening socket.
pub struct Listener {
    pub(super) socket: TcpListener,
    pub(super) pulse: Arc<Pulse>,
    address: SocketAddr,
}

impl Listener {
    /// Listens on `address`.
    pub fn bind(address: SocketAddr) -> io::Result<Listener> {
        let socket = sys::listen(address, BACKLOG)?;
        let address = socket.local_addr()?;
        Ok(Listener { socket, pulse: Arc::default(), address })
    }

    /// Returns the address, with the port that the kernel chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what shows whether the accept loop of this listener turns.
    pub fn pulse(&self) -> Arc<Pulse> {
        self.pulse.clone()
    }
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

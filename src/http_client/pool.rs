//! The pool of idle connections: a request that finds one saves the DNS lookup and the TCP and TLS
//! handshakes.
//!
//! **Invariant:** a pooled connection has no response outstanding, and nothing unread.
//!
//! **API boundary:** nothing here knows what is requested.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use url::Origin;

use crate::cancel::CancelToken;
use crate::http_client::connection::Connection;

/// Maximum number of idle connections, to all upstreams together.
const MAX_IDLE_CONNECTIONS: usize = 32;

/// The idle connections of the daemon.
pub(crate) struct ConnectionPool {
    /// The one that became idle last is at the end.
    idle: Mutex<VecDeque<IdleConnection>>,
    /// Connections that were idle for longer are not reused: a middlebox may have dropped them
    /// without notice.
    max_idle_age: Duration,
}

struct IdleConnection {
    connection: Connection,
    since: Instant,
}

impl IdleConnection {
    fn is_usable(&self, max_idle_age: Duration) -> bool {
        self.since.elapsed() < max_idle_age && self.connection.is_idle()
    }
}

impl fmt::Debug for ConnectionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionPool")
    }
}

impl ConnectionPool {
    /// Makes an empty pool.
    pub(crate) fn new(max_idle_age: Duration) -> ConnectionPool {
        ConnectionPool { idle: Mutex::default(), max_idle_age }
    }

    /// Takes the connection to `origin` that became idle last, for the stream of `cancel`.
    pub(crate) fn checkout(
        &self,
        origin: &Origin,
        cancel: &Arc<CancelToken>,
    ) -> Option<Connection> {
        loop {
            let mut idle = self.take_last(origin)?;
            if idle.is_usable(self.max_idle_age) {
                idle.connection.set_cancel_token(Some(cancel));
                return Some(idle.connection);
            }
        }
    }

    fn take_last(&self, origin: &Origin) -> Option<IdleConnection> {
        let mut idle = self.lock();
        let index = idle.iter().rposition(|idle| idle.connection.origin == *origin)?;
        idle.remove(index)
    }

    /// Stores a connection whose last response was read to its end.
    pub(crate) fn put_back(&self, mut connection: Connection) {
        connection.set_cancel_token(None);
        let returned = IdleConnection { connection, since: Instant::now() };
        if !returned.is_usable(self.max_idle_age) {
            return;
        }
        let mut idle = self.lock();
        idle.push_back(returned);
        let excess = idle.len().saturating_sub(MAX_IDLE_CONNECTIONS);
        idle.drain(..excess);
    }

    /// Closes connections that were idle for too long, or that the peer has closed.
    pub(crate) fn evict_expired(&self) {
        self.lock().retain(|idle| idle.is_usable(self.max_idle_age));
    }

    /// Closes all connections.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// No panic leaves this state half-changed.
    fn lock(&self) -> MutexGuard<'_, VecDeque<IdleConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The connections of one HTTP client, and those that it keeps: ureq has one for as long as a
//! question and its answer take, and no longer.
//!
//! It would keep some itself, but not those whose answers were read past it, and none on which
//! something was asked and not yet answered: to ask before its time costs no thread where a
//! connection from before is there for it. Must never know what is asked.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, RustlsConnector, Transport,
};
use ureq::{Error, Timeout};

use crate::http_client::connection::{Connection, lock};
use crate::http_client::transport::{TcpConnector, TcpTransport, origin};
use crate::net::address_policy::PolicyResolver;
use crate::sys;

/// Connections that one client keeps: to where it asks, and to where that redirects it.
const MAX_IDLE_CONNECTIONS: usize = 2;

/// A connection, with TLS on it or without.
type TlsTransport = <RustlsConnector as Connector<TcpTransport>>::Out;

/// The connections of one HTTP client.
pub(crate) struct ConnectionPool {
    state: Mutex<PoolState>,
    /// One that has been at rest for longer is not used again: whoever is on the way may have
    /// forgotten it, and would not say so.
    max_idle_age: Duration,
}

impl fmt::Debug for ConnectionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines")
    }
}

#[derive(Default)]
struct PoolState {
    /// The last one on which something was asked.
    last_connection: Weak<Connection>,
    idle: Vec<IdleConnection>,
    /// How often one of them was used again.
    reuse_count: u64,
    /// Whether answers are not waited for.
    only_asks: bool,
}

struct IdleConnection {
    transport: TlsTransport,
    connection: Arc<Connection>,
    since: Instant,
    /// Whether the next thing on it is the answer to what was asked last.
    is_asked: bool,
}

impl IdleConnection {
    fn is_usable(&self, longest_rest: Duration) -> bool {
        self.is_asked || (self.since.elapsed() < longest_rest && self.connection.is_idle())
    }
}

impl ConnectionPool {
    /// None yet, which are to rest for so long at most.
    pub(crate) fn new(longest_rest: Duration) -> ConnectionPool {
        ConnectionPool { state: Mutex::default(), max_idle_age: longest_rest }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        lock(&self.state)
    }

    /// The one on which the last question was asked, and so its answer comes.
    pub(crate) fn last_connection(&self) -> Option<Arc<Connection>> {
        self.lock().last_connection.upgrade()
    }

    /// How often one that was kept was used so far.
    pub(crate) fn reuse_count(&self) -> u64 {
        self.lock().reuse_count
    }

    /// Whether one is of use for any question, and none is owed an answer.
    pub(crate) fn is_idle(&self) -> bool {
        let known = self.lock();
        let is_of_use = |kept: &IdleConnection| kept.is_usable(self.max_idle_age);
        known.idle.iter().any(is_of_use) && !known.idle.iter().any(|kept| kept.is_asked)
    }

    /// Has `ask` ask and not wait for the answer, if there is a connection for that: whether it was
    /// asked. The answer is there for whoever asks the same next.
    pub(crate) fn send_only(&self, ask: impl FnOnce()) -> bool {
        self.drop_sent();
        self.lock().only_asks = true;
        ask();
        let mut known = self.lock();
        known.only_asks = false;
        known.idle.iter().any(|kept| kept.is_asked)
    }

    /// Nobody wants the answer to what was only asked.
    pub(crate) fn drop_sent(&self) {
        self.lock().idle.retain(|kept| !kept.is_asked);
    }

    /// Whether there is something to be read of what was asked last, now or within `limit`.
    pub(crate) fn poll_response(&self, limit: Duration) -> bool {
        let connection = self.last_connection();
        connection.is_some_and(|connection| {
            connection.wait(sys::READABLE, limit, Timeout::RecvResponse).is_ok()
        })
    }

    /// Where a connection that is kept leads to, if it is of use for `uri`. An error where one must
    /// not be made.
    pub(crate) fn peer(&self, uri: &Uri) -> Result<Option<SocketAddr>, Error> {
        let to = origin(uri);
        let mut known = self.lock();
        known.idle.retain(|kept| kept.connection.origin != to || kept.is_usable(self.max_idle_age));
        let peer = known
            .idle
            .iter()
            .find(|kept| kept.connection.origin == to)
            .map(|kept| kept.connection.peer);
        if peer.is_none() && known.only_asks { Err(not_sent()) } else { Ok(peer) }
    }

    fn checkout(&self, to: &str) -> Option<IdleConnection> {
        let mut known = self.lock();
        let place = known.idle.iter().position(|kept| kept.connection.origin == to)?;
        Some(known.idle.remove(place))
    }

    fn put_back(&self, kept: IdleConnection) {
        let mut known = self.lock();
        known.idle.retain(|other| other.connection.origin != kept.connection.origin);
        known.idle.push(kept);
        let excess = known.idle.len().saturating_sub(MAX_IDLE_CONNECTIONS);
        known.idle.drain(..excess);
    }
}

/// Travels through ureq, and is seen by nobody.
fn not_sent() -> Error {
    io::Error::other("it is not waited for").into()
}

/// Gives ureq its connections: one that is kept, or a new one.
pub(crate) struct PoolingConnector {
    pub(crate) dial: TcpConnector,
    /// It keeps the certificates and the sessions of servers, for all connections of a daemon.
    pub(crate) tls: Arc<RustlsConnector>,
    pub(crate) pool: Arc<ConnectionPool>,
}

impl fmt::Debug for PoolingConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}

impl Connector for PoolingConnector {
    type Out = PooledTransport;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<PooledTransport>, Error> {
        let pool = self.pool.clone();
        if let Some(IdleConnection { transport: clad, connection, is_asked, .. }) =
            pool.checkout(&origin(details.uri))
        {
            pool.lock().reuse_count += 1;
            return Ok(Some(PooledTransport { transport: Some(clad), connection, pool, is_asked }));
        }
        let wire = self.dial.connect(details)?;
        let connection = wire.connection.clone();
        let clad = self.tls.connect(details, Some(wire))?;
        Ok(Some(PooledTransport { transport: clad, connection, pool, is_asked: false }))
    }
}

/// Tells ureq where a name leads to: where a connection is kept that leads there, it is not looked
/// up.
#[derive(Debug)]
pub(crate) struct PoolingResolver {
    pub(crate) checked: PolicyResolver,
    pub(crate) pool: Arc<ConnectionPool>,
}

impl Resolver for PoolingResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let Some(peer) = self.pool.peer(uri)? else {
            return self.checked.resolve(uri, config, timeout);
        };
        let mut addresses = self.empty();
        addresses.push(peer);
        Ok(addresses)
    }
}

/// A connection that ureq has.
pub(crate) struct PooledTransport {
    /// Until it is let go of.
    transport: Option<TlsTransport>,
    connection: Arc<Connection>,
    pool: Arc<ConnectionPool>,
    /// Whether what is to be asked was asked already.
    is_asked: bool,
}

impl PooledTransport {
    fn transport(&mut self) -> &mut TlsTransport {
        match &mut self.transport {
            Some(clad) => clad,
            None => unreachable!("it is there until it is dropped"),
        }
    }
}

impl fmt::Debug for PooledTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lent")
    }
}

impl Transport for PooledTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport().buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.pool.lock().last_connection = Arc::downgrade(&self.connection);
        if self.is_asked {
            return Ok(());
        }
        self.connection.mark_in_use();
        self.transport().transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.is_asked = self.pool.lock().only_asks;
        if self.is_asked {
            return Err(not_sent());
        }
        self.transport().await_input(timeout)
    }

    /// ureq wants to know when an answer is over and it would keep the connection. It does not look
    /// below TLS.
    fn is_open(&mut self) -> bool {
        let is_open = self.transport().is_open() && self.connection.is_buffer_empty();
        if is_open {
            self.connection.mark_reusable();
        }
        is_open
    }

    fn is_tls(&self) -> bool {
        self.transport.as_ref().is_some_and(Transport::is_tls)
    }
}

impl Drop for PooledTransport {
    fn drop(&mut self) {
        if let Some(clad) =
            self.transport.take().filter(|_| self.is_asked || self.connection.is_reusable())
        {
            let (connection, since) = (self.connection.clone(), Instant::now());
            self.pool.put_back(IdleConnection {
                transport: clad,
                connection,
                since,
                is_asked: self.is_asked,
            });
        }
    }
}

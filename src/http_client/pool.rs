//! The connection pool of one HTTP client: ureq holds a connection only for the length of one
//! request and its response.
//!
//! ureq's own pool does not serve here: it drops connections whose responses were read past it, and
//! holds none on which a request was sent without waiting for the response. Such a request needs no
//! thread where a pooled connection is available.
//!
//! **API boundary:** nothing here knows what is requested.

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

/// Maximum number of idle connections of one client: one to the origin, and one to where that
/// redirects.
const MAX_IDLE_CONNECTIONS: usize = 2;

/// A transport with TLS or without.
type TlsTransport = <RustlsConnector as Connector<TcpTransport>>::Out;

/// The connections of one HTTP client.
pub(crate) struct ConnectionPool {
    state: Mutex<PoolState>,
    /// Connections that were idle for longer are not reused: a middlebox may have dropped them
    /// without notice.
    max_idle_age: Duration,
}

impl fmt::Debug for ConnectionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionPool")
    }
}

#[derive(Default)]
struct PoolState {
    /// The connection of the last request.
    last_connection: Weak<Connection>,
    idle: Vec<IdleConnection>,
    /// Number of times that a connection was reused.
    reuse_count: u64,
    /// Whether requests are sent without waiting for the response.
    send_only_mode: bool,
}

struct IdleConnection {
    transport: TlsTransport,
    connection: Arc<Connection>,
    since: Instant,
    /// Whether a request was sent on it whose response is still to be read.
    is_sent: bool,
}

impl IdleConnection {
    fn is_usable(&self, max_idle_age: Duration) -> bool {
        self.is_sent || (self.since.elapsed() < max_idle_age && self.connection.is_idle())
    }
}

impl ConnectionPool {
    /// Makes an empty pool.
    pub(crate) fn new(max_idle_age: Duration) -> ConnectionPool {
        ConnectionPool { state: Mutex::default(), max_idle_age }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        lock(&self.state)
    }

    /// Returns the connection of the last request, on which the response arrives.
    pub(crate) fn last_connection(&self) -> Option<Arc<Connection>> {
        self.lock().last_connection.upgrade()
    }

    /// Returns how often a connection was reused so far.
    pub(crate) fn reuse_count(&self) -> u64 {
        self.lock().reuse_count
    }

    /// Returns whether a connection is ready for any request, and none has a response outstanding.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        let is_usable = |idle: &IdleConnection| idle.is_usable(self.max_idle_age);
        state.idle.iter().any(is_usable) && !state.idle.iter().any(|idle| idle.is_sent)
    }

    /// Runs `send` so that it sends its request on an idle connection without reading the response;
    /// returns whether the request was sent. The next `send` of the same request receives the
    /// response.
    pub(crate) fn send_only(&self, send: impl FnOnce()) -> bool {
        self.drop_sent();
        self.lock().send_only_mode = true;
        send();
        let mut state = self.lock();
        state.send_only_mode = false;
        state.idle.iter().any(|idle| idle.is_sent)
    }

    /// Drops connections whose response is no longer needed.
    pub(crate) fn drop_sent(&self) {
        self.lock().idle.retain(|idle| !idle.is_sent);
    }

    /// Returns whether a response has begun to arrive on the connection of the last request, now or
    /// within `limit`.
    pub(crate) fn poll_response(&self, limit: Duration) -> bool {
        let connection = self.last_connection();
        connection.is_some_and(|connection| {
            connection.wait(sys::READABLE, limit, Timeout::RecvResponse).is_ok()
        })
    }

    /// Returns the address of a reusable connection for `uri`. Fails in send-only mode if there is
    /// none, as no connection must be made then.
    pub(crate) fn peer(&self, uri: &Uri) -> Result<Option<SocketAddr>, Error> {
        let to = origin(uri);
        let mut state = self.lock();
        state.idle.retain(|idle| idle.connection.origin != to || idle.is_usable(self.max_idle_age));
        let peer = state
            .idle
            .iter()
            .find(|idle| idle.connection.origin == to)
            .map(|idle| idle.connection.peer);
        if peer.is_none() && state.send_only_mode { Err(not_sent()) } else { Ok(peer) }
    }

    fn checkout(&self, to: &str) -> Option<IdleConnection> {
        let mut state = self.lock();
        let index = state.idle.iter().position(|idle| idle.connection.origin == to)?;
        Some(state.idle.remove(index))
    }

    fn put_back(&self, idle: IdleConnection) {
        let mut state = self.lock();
        state.idle.retain(|other| other.connection.origin != idle.connection.origin);
        state.idle.push(idle);
        let excess = state.idle.len().saturating_sub(MAX_IDLE_CONNECTIONS);
        state.idle.drain(..excess);
    }
}

/// Makes ureq give up; no caller sees this error.
fn not_sent() -> Error {
    io::Error::other("the response is not awaited").into()
}

/// Connects ureq by a pooled connection or a new one.
pub(crate) struct PoolingConnector {
    pub(crate) dial: TcpConnector,
    /// Shared by all connections of the daemon: it holds certificates and TLS sessions.
    pub(crate) tls: Arc<RustlsConnector>,
    pub(crate) pool: Arc<ConnectionPool>,
}

impl fmt::Debug for PoolingConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PoolingConnector")
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
        if let Some(IdleConnection { transport, connection, is_sent, .. }) =
            pool.checkout(&origin(details.uri))
        {
            pool.lock().reuse_count += 1;
            return Ok(Some(PooledTransport {
                transport: Some(transport),
                connection,
                pool,
                is_sent,
            }));
        }
        let tcp = self.dial.connect(details)?;
        let connection = tcp.connection.clone();
        let transport = self.tls.connect(details, Some(tcp))?;
        Ok(Some(PooledTransport { transport, connection, pool, is_sent: false }))
    }
}

/// Resolves names for ureq; no lookup takes place where a pooled connection leads to the origin.
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

/// A pooled connection while ureq holds it.
pub(crate) struct PooledTransport {
    /// `Some` until it returns to the pool.
    transport: Option<TlsTransport>,
    connection: Arc<Connection>,
    pool: Arc<ConnectionPool>,
    /// Whether the request was sent already.
    is_sent: bool,
}

impl PooledTransport {
    fn transport(&mut self) -> &mut TlsTransport {
        match &mut self.transport {
            Some(transport) => transport,
            None => unreachable!("taken only by drop"),
        }
    }
}

impl fmt::Debug for PooledTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PooledTransport")
    }
}

impl Transport for PooledTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport().buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.pool.lock().last_connection = Arc::downgrade(&self.connection);
        if self.is_sent {
            return Ok(());
        }
        self.connection.mark_in_use();
        self.transport().transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.is_sent = self.pool.lock().send_only_mode;
        if self.is_sent {
            return Err(not_sent());
        }
        self.transport().await_input(timeout)
    }

    /// Called by ureq at the end of a response to learn whether it could keep the connection. Data
    /// below TLS is not considered there.
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
        if let Some(transport) =
            self.transport.take().filter(|_| self.is_sent || self.connection.is_reusable())
        {
            let (connection, since) = (self.connection.clone(), Instant::now());
            self.pool.put_back(IdleConnection {
                transport,
                connection,
                since,
                is_sent: self.is_sent,
            });
        }
    }
}

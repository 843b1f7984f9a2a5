//! The edge of the server: listening sockets, connections and their limits.
//!
//! Strangers talk to this room only. It takes connections up to a cap, reads one request from
//! each within its limits, and hands it on with the [`ClientConnection`] to answer. Must never know what
//! is being sent.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Scope};
use std::time::Duration;

use crossbeam::channel::Sender;

use crate::config::LimitsConfig;
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::sys::{self, EventFd};

pub mod body;
pub mod client;
mod preconditions;
pub mod request;
pub mod response;

pub use body::{BodyWriter, ResponseHead};
pub use client::ClientConnection;
use client::TrafficCounters;
pub use preconditions::{Selection, select};
pub use request::Request;
pub use response::Response;

/// Connections that the kernel keeps for us between two looks.
const BACKLOG: i32 = 1024;
/// What waits in the kernel for a slow client. It bounds what such a client costs, and it makes
/// half of it the least that a client must take within `limits.client_stall_timeout`.
const NOTSENT_LOWAT: u32 = 128 << 10;
/// The pause after the system refused a connection, for want of descriptors for example.
const RETRY_DELAY: Duration = Duration::from_millis(50);
/// Connections over the cap that are told so; those beyond are closed without a word.
const MAX_REFUSALS: usize = 32;
/// Time for the head of a request that will be refused.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// What all connections share.
pub struct HttpServer<'a> {
    limits: &'a LimitsConfig,
    /// Rung when no more connections are to be taken.
    closing: EventFd,
    /// Rung when what still runs is to be given up.
    abort: EventFd,
    connections: AtomicUsize,
    refusals: AtomicUsize,
    sent: TrafficCounters,
}

/// A listening socket.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens on `address`.
    pub fn bind(address: SocketAddr) -> io::Result<Listener> {
        let socket = sys::listen(address, BACKLOG)?;
        let address = socket.local_addr()?;
        Ok(Listener { socket, address })
    }

    /// The address, with the port that port 0 became.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// What answers requests; called on a thread of the connection's own.
pub trait Handler: Sync {
    /// Answers `request`.
    fn handle(&self, request: &Request, client: ClientConnection<'_>);
}

impl<'a> HttpServer<'a> {
    /// An edge without listeners yet.
    pub fn new(limits: &'a LimitsConfig) -> io::Result<HttpServer<'a>> {
        Ok(HttpServer {
            limits,
            closing: EventFd::new()?,
            abort: EventFd::new()?,
            connections: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            sent: TrafficCounters::default(),
        })
    }

    /// Takes no more connections; those that have not asked for anything yet are closed.
    pub fn close(&self) {
        self.closing.signal();
    }

    /// Gives up everything that still runs, visibly for the clients.
    pub fn abort(&self) {
        self.closing.signal();
        self.abort.signal();
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Bytes sent to clients so far.
    pub fn bytes_sent(&self) -> u64 {
        self.sent.bytes.load(Ordering::Relaxed)
    }

    /// Those of them that went from socket to socket without a copy.
    pub fn bytes_uncopied(&self) -> u64 {
        self.sent.uncopied.load(Ordering::Relaxed)
    }

    /// Takes connections from `listener` until [`close`](HttpServer::close), each on a thread in
    /// `scope`. Each holds a clone of `alive` for as long as it lives. Nothing that a client
    /// does and nothing that the system runs out of ends this loop.
    pub fn accept_loop<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        listener: &Listener,
        answer: &'scope impl Handler,
        alive: &Sender<()>,
    ) {
        let mut shortage = false;
        loop {
            let waiting = (listener.socket.as_fd(), sys::READABLE);
            let taken = match sys::poll([(self.closing.as_fd(), sys::READABLE), waiting], None) {
                Ok([true, _]) => return,
                Ok(_) => self.accept(scope, listener, answer, alive),
                Err(error) => Err(error),
            };
            match taken {
                Ok(()) => shortage = false,
                Err(error) if is_transient(&error) => {}
                Err(error) => {
                    // Once, not twenty times a second for as long as it lasts.
                    if !shortage {
                        log::error!("cannot take connections, trying on: {error}");
                    }
                    shortage = true;
                    self.pause();
                }
            }
        }
    }

    /// Takes one connection and starts its thread.
    fn accept<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        listener: &Listener,
        answer: &'scope impl Handler,
        alive: &Sender<()>,
    ) -> io::Result<()> {
        let (socket, peer) = listener.socket.accept()?;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        sys::set_notsent_lowat(&socket, NOTSENT_LOWAT)?;
        let stall_limit = self.limits.client_stall_timeout.0;
        let client =
            ClientConnection::new(socket, peer, stall_limit, self.abort.as_fd(), &self.sent);
        self.spawn_connection(scope, client, answer, alive.clone())
    }

    /// Waits a little, for the system to have again what it ran out of.
    fn pause(&self) {
        if sys::poll([(self.closing.as_fd(), sys::READABLE)], Some(RETRY_DELAY)).is_err() {
            thread::sleep(RETRY_DELAY);
        }
    }

    fn spawn_connection<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        client: ClientConnection<'scope>,
        answer: &'scope impl Handler,
        alive: Sender<()>,
    ) -> io::Result<()> {
        let place = ConnectionPermit::try_acquire(&self.connections, self.limits.connections);
        let refusal = match place {
            Some(_) => None,
            None => match ConnectionPermit::try_acquire(&self.refusals, MAX_REFUSALS) {
                Some(refusal) => Some(refusal),
                None => return Ok(()),
            },
        };
        let thread = thread::Builder::new().name("connection".into());
        let started = thread.spawn_scoped(scope, move || {
            // Both are given back when the thread ends, after its client is closed.
            let _alive = alive;
            let _refusal = refusal;
            let spoken = catch_unwind(AssertUnwindSafe(|| match place {
                Some(_) => self.handle_connection(client, answer),
                None => self.reject_overloaded(client),
            }));
            if spoken.is_err() {
                // The client saw a reset. The scope must not: it would pass the panic on to
                // the whole server when it ends.
                log::error!("a connection's thread panicked; this is a fault in ytcanal");
            }
        });
        // Of its kind it would be one of those that pass (EAGAIN).
        started.map(drop).map_err(|error| io::Error::other(format!("no thread to be had: {error}")))
    }

    fn handle_connection(&self, client: ClientConnection<'_>, answer: &impl Handler) {
        let limits = &self.limits;
        let (max_len, timeout) = (limits.head_bytes.0 as usize, limits.head_timeout.0);
        match request::read(client.socket(), max_len, timeout, self.closing.as_fd()) {
            Ok(request) => answer.handle(&request, client),
            Err(request::RequestError::Disconnected) => {}
            Err(request::RequestError::Invalid(problem)) => {
                log::info!("{} bad request: {}", client.address(), problem.detail);
                client.respond(Response::problem(&problem, false), None);
            }
        }
    }

    /// Tells a client that there is no room for it. Its request is read first: closing with
    /// unread bytes would reset the connection, and the client would not see why.
    fn reject_overloaded(&self, client: ClientConnection<'_>) {
        let (max_len, closing) = (self.limits.head_bytes.0 as usize, self.closing.as_fd());
        let timeout = REFUSAL_TIMEOUT.min(self.limits.head_timeout.0);
        if let Ok(request) = request::read(client.socket(), max_len, timeout, closing) {
            let problem =
                Problem::new(ProblemCode::ConnectionsFull, "too many connections are open")
                    .retry_after(5);
            client.respond(Response::problem(&problem, request.wants_html), Some(&request));
        }
    }
}

/// One of a limited number of places, given back on drop.
struct ConnectionPermit<'a>(&'a AtomicUsize);

impl<'a> ConnectionPermit<'a> {
    fn try_acquire(taken: &'a AtomicUsize, limit: usize) -> Option<ConnectionPermit<'a>> {
        let place = ConnectionPermit(taken);
        if taken.fetch_add(1, Ordering::Relaxed) < limit { Some(place) } else { None }
    }
}

impl Drop for ConnectionPermit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Errors of one connection, which say nothing about the next (accept(2)).
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::PermissionDenied
    )
}

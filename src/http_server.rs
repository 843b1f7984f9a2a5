//! Serves HTTP/1.1: accepts connections up to a limit, reads one request from each, and passes it to
//! the [`Handler`] with the [`ClientConnection`] to respond on.
//!
//! **Invariant:** knows nothing of the content that it sends. All untrusted requests come in here.

use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Scope};
use std::time::Duration;

use crossbeam::channel::Sender;
use log::Level;

use crate::access::{self, HostRule, Identity};
use crate::config::{self, AccessConfig, Config};
use crate::error::{Error, LimitExceeded, Resource};
use crate::labels::RouteName;
use crate::limits::StreamLimiter;
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::reloadable::Reloadable;
use crate::request_id;
use crate::request_record::{ReceivedRequest, RequestTotals};
use crate::sys::{self, EventFd};

mod body;
mod client;
mod connection;
mod head;
mod listener;
mod output;
mod preconditions;
mod receive;
pub mod request;
pub mod response;

pub use body::{BodyWriter, Finished};
pub use client::ClientConnection;
use connection::{Connection, Shared};
pub use head::{MediaStatus, ResponseHead};
use listener::Accepted;
pub use listener::{Listener, Pulse};
use output::Output;
pub use output::{LocalControl, Receiver};
pub use preconditions::{Selection, select};
use receive::RequestError;
pub use request::{Preconditions, Request};
pub use response::Response;

/// The unsent bytes that the kernel buffers for a slow client. They bound the memory that such a client
/// costs, and half of them is the least that it must read within `limits.client_stall_timeout`.
const NOTSENT_LOWAT: u32 = 128 << 10;
/// The pause after accept(2) failed, for want of descriptors, for example.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);
/// Connections above the limit that get an answer at the same time, in all and per client; further ones are
/// closed.
const MAX_REJECTIONS: usize = 32;
const MAX_REJECTIONS_PER_CLIENT: usize = 8;
/// How long the request of a rejected connection may take to arrive.
const REJECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// The state that all connections share.
pub struct HttpServer<'a> {
    config: &'a Config,
    /// How often an accept loop turns for which nobody connects, so that it is seen to live.
    turn_interval: Option<Duration>,
    access: Reloadable<AccessRules>,
    /// Signalled when no more connections are accepted.
    retiring: EventFd,
    /// Signalled when those are closed, too, that have sent no request yet.
    closing: EventFd,
    connections: StreamLimiter,
    rejections: StreamLimiter,
    shared: Arc<Shared>,
}

/// Who clients are, and by which names they may call the server.
struct AccessRules {
    config: AccessConfig,
    host_rule: HostRule,
}

impl AccessRules {
    fn new(config: &AccessConfig) -> AccessRules {
        let host_rule = HostRule::new(config, config::host_name());
        AccessRules { config: config.clone(), host_rule }
    }
}

/// Responds to requests, each on the thread of its connection.
pub trait Handler: Sync {
    /// Returns the route of `request`, for the log. The health of the server is told when it is full, too.
    fn route_name(&self, request: &Request) -> RouteName;

    /// Responds to `request` on `client`.
    fn handle(&self, request: &Request, client: ClientConnection);
}

impl<'a> HttpServer<'a> {
    /// Creates a server without listeners. An idle accept loop turns every `turn_interval`, if there is one.
    pub fn new(config: &'a Config, turn_interval: Option<Duration>) -> io::Result<HttpServer<'a>> {
        let (sent, zero_copy) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(HttpServer {
            config,
            turn_interval,
            access: Reloadable::new(AccessRules::new(&config.access)),
            retiring: EventFd::new()?,
            closing: EventFd::new()?,
            connections: StreamLimiter::new(
                Resource::Connections,
                config.limits.connections,
                config.limits.connections_per_client,
            ),
            rejections: StreamLimiter::new(
                Resource::Connections,
                MAX_REJECTIONS,
                MAX_REJECTIONS_PER_CLIENT,
            ),
            shared: Arc::new(Shared {
                abort: EventFd::new()?,
                sent,
                zero_copy,
                requests: Arc::default(),
            }),
        })
    }

    /// Applies other rules to requests from now on.
    pub fn reload(&self, access: &AccessConfig) {
        self.access.set(AccessRules::new(access));
    }

    /// Stops accepting connections.
    pub fn retire(&self) {
        self.retiring.signal();
    }

    /// Stops accepting connections; closes those that have sent no request yet.
    pub fn close(&self) {
        self.retiring.signal();
        self.closing.signal();
    }

    /// Aborts all active connections by a reset, which clients see as an error.
    pub fn abort(&self) {
        self.close();
        self.shared.abort.signal();
    }

    /// Returns what limits the open connections.
    pub fn connection_limiter(&self) -> &StreamLimiter {
        &self.connections
    }

    /// Returns the numbers of requests by route and status.
    pub fn requests(&self) -> &RequestTotals {
        &self.shared.requests
    }

    /// Returns the number of bytes sent to clients.
    pub fn bytes_sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Returns the number of those bytes that were sent by splice(2), without a copy.
    pub fn zero_copy_bytes(&self) -> u64 {
        self.shared.zero_copy.load(Ordering::Relaxed)
    }

    /// Accepts connections from `listener` until [`retire`](HttpServer::retire), and handles each on a
    /// thread in `scope`, which holds a clone of `alive` until it ends. Neither clients nor a shortage of
    /// resources end this loop.
    pub fn accept_loop<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        listener: &Listener,
        handler: &'scope impl Handler,
        alive: &Sender<()>,
    ) {
        let mut shortage = false;
        loop {
            listener.pulse.beat();
            let fds = [self.retiring.as_fd(), listener.as_fd()].map(|fd| (fd, sys::READABLE));
            let accepted = match sys::poll(fds, self.turn_interval) {
                Ok([true, _]) => return,
                Ok([_, true]) => self.accept(scope, listener, handler, alive),
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            match accepted {
                Ok(()) => shortage = false,
                Err(error) if is_transient(&error) => {}
                Err(error) => {
                    // Once per shortage, not at every retry.
                    if !shortage {
                        log::error!("cannot accept connections, retrying: {error}");
                    }
                    shortage = true;
                    self.pause();
                }
            }
        }
    }

    /// Accepts one connection and starts its thread.
    fn accept<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        listener: &Listener,
        handler: &'scope impl Handler,
        alive: &Sender<()>,
    ) -> io::Result<()> {
        let Accepted { socket, peer, is_unix } = listener.accept()?;
        socket.set_nonblocking(true)?;
        if !is_unix {
            socket.set_nodelay(true)?;
            sys::set_notsent_lowat(&socket, NOTSENT_LOWAT)?;
        }
        let stall_limit = self.config.limits.client_stall_timeout.0;
        let output = Output::Socket(socket);
        let mut connection = Connection::new(output, peer, stall_limit, self.shared.clone());
        connection.is_unix = is_unix;
        let identity = Identity::of_peer(peer.ip(), &self.access.get().config);
        let client = ClientConnection::new(connection, identity);
        self.spawn_connection(scope, client, handler, alive.clone())
    }

    /// Waits for [`ACCEPT_RETRY_DELAY`], or until the server closes.
    fn pause(&self) {
        if sys::poll([(self.retiring.as_fd(), sys::READABLE)], Some(ACCEPT_RETRY_DELAY)).is_err() {
            thread::sleep(ACCEPT_RETRY_DELAY);
        }
    }

    fn spawn_connection<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        client: ClientConnection,
        handler: &'scope impl Handler,
        alive: Sender<()>,
    ) -> io::Result<()> {
        // A client that sends nothing holds its permit, too, for limits.head_timeout.
        let (permit, exceeded) = match self.connections.acquire_now(client.client()) {
            Ok(permit) => (permit, None),
            Err(limit) => match self.rejections.acquire_now(client.client()) {
                Ok(permit) => (permit, Some(limit)),
                Err(_) => return Ok(()),
            },
        };
        let thread = thread::Builder::new().name("connection".into());
        let started = thread.spawn_scoped(scope, move || {
            // Dropped at the end of the thread, after the connection is closed.
            let _alive = alive;
            let _permit = permit;
            request_id::enter(Some(client.id().clone()));
            let handled = catch_unwind(AssertUnwindSafe(|| match exceeded {
                None => self.handle_connection(client, handler),
                Some(limit) => self.reject_overloaded(client, limit, handler),
            }));
            if handled.is_err() {
                // The client saw a reset. The scope must not see the panic: it would resume it in the
                // thread of the server.
                log::error!("the thread of a connection panicked: a bug in ytcanal");
            }
        });
        // The kind of the original error, EAGAIN, would count as transient.
        started
            .map(drop)
            .map_err(|error| io::Error::other(format!("cannot start a thread: {error}")))
    }

    fn handle_connection(&self, client: ClientConnection, handler: &impl Handler) {
        match self.receive(&client, self.config.limits.head_timeout.0) {
            Ok(request) => {
                client.record().received(received(&request, handler));
                self.pass_on(&request, client, handler);
            }
            Err(RequestError::Disconnected) => {}
            Err(RequestError::Invalid(problem)) => {
                client.record().received(ReceivedRequest {
                    method: None,
                    route: RouteName::Other,
                    http_1_1: true,
                    user_agent: None,
                });
                refuse(client, &problem, None);
            }
        }
    }

    /// Receives the request of a client, within `timeout`.
    fn receive(
        &self,
        client: &ClientConnection,
        timeout: Duration,
    ) -> Result<Request, RequestError> {
        let (max_len, closing) = (self.config.limits.head_bytes.0 as usize, self.closing.as_fd());
        let socket = client.socket().ok_or(RequestError::Disconnected)?;
        let mut request = receive::receive(socket, max_len, timeout, closing)?;
        if client.is_unix() {
            request.provenance.is_proxied = true;
            if !request.http_1_1 {
                // A download without a length ends with its connection, and only a reset tells a broken one from it.
                let detail =
                    "over a Unix socket, HTTP/1.1 is needed (nginx: proxy_http_version 1.1;)";
                let problem = Problem::new(ProblemCode::HttpVersion, detail);
                return Err(RequestError::Invalid(problem));
            }
        }
        Ok(request)
    }

    /// Passes a request to the handler, if the server is the one that it is meant for.
    fn pass_on(&self, request: &Request, client: ClientConnection, handler: &impl Handler) {
        let (provenance, access) = (&request.provenance, self.access.get());
        let id = access::request_id(client.peer(), provenance, &access.config);
        let client = match id {
            Some(id) => {
                request_id::enter(Some(id.clone()));
                client.with_id(id)
            }
            None => client,
        };
        // Where the proxy names no client, its own address is all that is known.
        let (client, checked) =
            match Identity::of_request(client.peer(), provenance, &access.config) {
                Ok(identity) => {
                    let checked = access.host_rule.check(provenance.host.as_deref());
                    (client.identified(identity), checked)
                }
                Err(problem) => (client, Err(problem)),
            };
        match checked {
            Ok(()) => handler.handle(request, client),
            Err(problem) => refuse(client, &problem, Some(request)),
        }
    }

    /// Refuses all but questions for the health of the server. The request is read first: closing a socket
    /// with unread bytes resets the connection, and the client would not see the response.
    fn reject_overloaded(
        &self,
        client: ClientConnection,
        limit: LimitExceeded,
        handler: &impl Handler,
    ) {
        let timeout = REJECTION_TIMEOUT.min(self.config.limits.head_timeout.0);
        let Ok(request) = self.receive(&client, timeout) else { return };
        let received = received(&request, handler);
        let is_health_check = received.route.is_health_check();
        client.record().received(received);
        if is_health_check {
            return self.pass_on(&request, client, handler);
        }
        refuse(client, &Problem::from(&Error::from(limit)), Some(&request));
    }
}

/// Returns what the record of a request says of it.
fn received(request: &Request, handler: &impl Handler) -> ReceivedRequest {
    ReceivedRequest {
        method: (!request.has_other_method).then(|| request.method()),
        route: handler.route_name(request),
        http_1_1: request.http_1_1,
        user_agent: request.provenance.user_agent.clone(),
    }
}

/// Responds with a problem that no handler has to do with.
fn refuse(client: ClientConnection, problem: &Problem, request: Option<&Request>) {
    client.record().failed(problem.code, Some(&problem.detail), Level::Info);
    let wants_html = request.is_some_and(|request| request.wants_html);
    client.respond(Response::problem(problem, wants_html), request);
}

/// Whether an error of accept(2) concerns one connection only, and not the next.
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

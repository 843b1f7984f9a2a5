//! Opens TCP connections to upstreams, or to the proxy that leads to them: looks the host up, holds
//! its addresses to the policy, and tries them in turn.
//!
//! **Invariant:** the addresses that were checked are the ones connected to; the name is not
//! resolved a second time.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cancel::WaitOutcome;
use crate::config::{self, Proxy};
use crate::instruments::{CounterSet, label};
use crate::net::address_family::Families;
use crate::net::address_policy::AddressPolicy;
use crate::net::proxy;
use crate::reloadable::Reloadable;
use crate::sys;

/// Maximum number of addresses of one host that are tried.
const MAX_ADDRESSES: usize = 16;

/// Connects to upstreams.
#[derive(Debug)]
pub struct Dialer {
    policy: Reloadable<AddressPolicy>,
    families: Families,
    /// The proxy that all connections lead through.
    proxy: Option<Proxy>,
    pub(crate) timeout: Duration,
    refusals: CounterSet<Refused>,
}

label! {
    /// What was refused because the policy does not permit the address.
    Refused {
        /// A connection for media.
        Media = "media",
        /// A page link, or a connection of the program that reads it.
        Page = "page",
    }
}

/// Why no connection was made.
#[derive(Debug)]
pub(crate) enum DialError {
    /// The policy permits no address of the host, or not the port; with the reason and the remedy.
    Refused(String),
    /// The name has no address.
    HostNotFound,
    /// Nothing responded in time.
    TimedOut,
    /// The wait was ended from outside.
    Stopped,
    /// The system or the proxy reports an error.
    Failed(io::Error),
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialError::Refused(why) => f.write_str(why),
            DialError::HostNotFound => f.write_str("host name not found"),
            DialError::TimedOut => f.write_str("connecting took too long"),
            DialError::Stopped => f.write_str("the stream is over"),
            DialError::Failed(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> DialError {
        match error.kind() {
            io::ErrorKind::TimedOut => DialError::TimedOut,
            _ => DialError::Failed(error),
        }
    }
}

impl Dialer {
    /// Makes the dialer that the configuration describes.
    pub fn new(config: &config::UpstreamConfig) -> Dialer {
        Dialer {
            policy: Reloadable::new(AddressPolicy::from_config(config)),
            families: Families::new(config.family),
            proxy: config.proxy.clone(),
            timeout: config.connect_timeout.0,
            refusals: CounterSet::default(),
        }
    }

    /// Returns what decides which addresses upstreams may have.
    pub fn policy(&self) -> Arc<AddressPolicy> {
        self.policy.get()
    }

    /// Replaces the policy by that of `config`, for new connections.
    pub(crate) fn reload(&self, config: &config::UpstreamConfig) {
        self.policy.set(AddressPolicy::from_config(config));
    }

    /// Returns the numbers of refusals.
    pub fn refusals(&self) -> &CounterSet<Refused> {
        &self.refusals
    }

    /// Returns whether connections lead through a proxy.
    pub(crate) fn has_proxy(&self) -> bool {
        self.proxy.is_some()
    }

    /// Returns the permitted addresses of `host`, the ones to try first at the front; or those of
    /// the proxy, which resolves the host itself.
    pub(crate) fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        let policy = self.policy();
        let refused = || DialError::Refused(policy.refusal(host, port));
        // getaddrinfo cannot be interrupted; resolv.conf limits it (5 s and 2 tries per server by
        // default). A thread to abandon it in would outlive its stream.
        let mut addresses: Vec<SocketAddr> = match &self.proxy {
            Some(_) if !policy.permits_unseen(host, port) => return Err(refused()),
            Some(proxy) => proxy::addresses(proxy)
                .map_err(|error| io::Error::other(format!("cannot look up the proxy: {error}")))?
                .collect(),
            None => {
                let addresses = (host, port).to_socket_addrs();
                let addresses = addresses.map_err(|_| DialError::HostNotFound)?.collect();
                let permitted = policy.permitted(host, addresses).ok_or_else(refused)?;
                let none = "the host name has no address of the family set in upstream.family";
                self.families.order(permitted).ok_or_else(|| io::Error::other(none))?
            }
        };
        addresses.truncate(MAX_ADDRESSES);
        if addresses.is_empty() { Err(DialError::HostNotFound) } else { Ok(addresses) }
    }

    /// Connects to one of the addresses before `deadline`, trying each in turn. `wait` waits for a
    /// descriptor, at most for the given time.
    pub(crate) fn dial(
        &self,
        addresses: &[SocketAddr],
        deadline: Instant,
        wait: impl Fn(BorrowedFd<'_>, i16, Duration) -> io::Result<WaitOutcome>,
    ) -> Result<TcpStream, DialError> {
        let mut last = DialError::HostNotFound;
        for (tried, address) in addresses.iter().enumerate() {
            // Each address gets a share of the time, so that a silent one does not use it all up.
            let left = u32::try_from(addresses.len() - tried).unwrap_or(1);
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            match connect(*address, |socket| wait(socket, sys::WRITABLE, share)) {
                Ok(socket) => {
                    if self.proxy.is_none() {
                        self.families.record_success(*address, addresses);
                    }
                    return Ok(socket);
                }
                Err(DialError::Stopped) => return Err(DialError::Stopped),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Extends a connection to the proxy, if there is one, to `host`.
    pub(crate) fn extend(
        &self,
        connection: &mut (impl Read + Write),
        host: &str,
        port: u16,
    ) -> io::Result<()> {
        match &self.proxy {
            Some(proxy) => proxy::connect_through(proxy, connection, host, port),
            None => Ok(()),
        }
    }
}

fn connect(
    address: SocketAddr,
    wait: impl Fn(BorrowedFd<'_>) -> io::Result<WaitOutcome>,
) -> Result<TcpStream, DialError> {
    let failed = DialError::Failed;
    let socket = sys::start_connect(address).map_err(failed)?;
    match wait(socket.as_fd()).map_err(failed)? {
        WaitOutcome::Ready => {}
        WaitOutcome::Stopped => return Err(DialError::Stopped),
        WaitOutcome::TimedOut => return Err(DialError::TimedOut),
    }
    if let Some(error) = socket.take_error().map_err(failed)? {
        return Err(failed(error));
    }
    socket.set_nodelay(true).map_err(failed)?;
    Ok(socket)
}

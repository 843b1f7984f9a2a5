//! The way out for a program that reads pages for us: a SOCKS 5 proxy (RFC 1928) on loopback that
//! connects it only to what the address policy permits, judged like every other connection where it
//! is made, after DNS. So no redirect, no second look-up and nothing that a page says leads inwards.
//!
//! It asks for a password (RFC 1929), for it is nobody else's way out. Must never look at what goes
//! through.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::config::{self, Proxy};
use crate::net::address_family::{Families, no_such_family};
use crate::net::address_policy::AddressPolicy;
use crate::net::proxy;
use crate::sys::{self, EventFd};

mod guarded_socket;

use guarded_socket::{GuardedSocket, relay};

/// Connections at a time. Those beyond are closed; a page takes some few.
const MAX_CONNECTIONS: usize = 128;
const BACKLOG: i32 = 128;
const USER: &str = "ytcanal";

/// The open gate; dropping it closes it, and ends all that goes through.
pub struct SocksGateway {
    address: SocketAddr,
    password: String,
    closing: Arc<EventFd>,
    acceptor: Option<JoinHandle<()>>,
}

/// What is asked of whom.
struct Acceptor {
    policy: AddressPolicy,
    families: Arc<Families>,
    proxy: Option<Proxy>,
    connect_timeout: Duration,
    password: String,
    closing: Arc<EventFd>,
    open: AtomicUsize,
}

impl SocksGateway {
    /// Opens one for upstreams that are treated so.
    pub fn open(
        config: &config::UpstreamConfig,
        families: &Arc<Families>,
    ) -> io::Result<SocksGateway> {
        let listener = sys::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), BACKLOG)?;
        let address = listener.local_addr()?;
        let closing = Arc::new(EventFd::new()?);
        let password = secret()?;
        let keeper = Acceptor {
            policy: AddressPolicy::from_config(config),
            families: families.clone(),
            proxy: config.proxy.clone(),
            connect_timeout: config.connect_timeout.0,
            password: password.clone(),
            closing: closing.clone(),
            open: AtomicUsize::new(0),
        };
        let thread = thread::Builder::new().name("gate".into());
        let keeper = thread.spawn(move || keeper.accept_loop(&listener))?;
        Ok(SocksGateway { address, password, closing, acceptor: Some(keeper) })
    }

    /// Where it is, as a proxy is named, with the password: a secret.
    pub fn url(&self) -> String {
        format!("socks5h://{USER}:{}@{}", self.password, self.address)
    }
}

impl Drop for SocksGateway {
    fn drop(&mut self) {
        self.closing.signal();
        if let Some(keeper) = self.acceptor.take()
            && keeper.join().is_err()
        {
            log::error!("the gate's thread panicked; this is a fault in ytcanal");
        }
    }
}

/// A word that nobody guesses.
fn secret() -> io::Result<String> {
    let mut bytes = [0; 16];
    let random = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&random, &mut bytes)
        .map_err(|_| io::Error::other("the system has no random numbers"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Acceptor {
    /// Takes connections until the gate closes, each on a thread of its own.
    fn accept_loop(&self, listener: &TcpListener) {
        thread::scope(|scope| {
            loop {
                let awaited = [self.closing.as_fd(), listener.as_fd()];
                match sys::poll(awaited.map(|fd| (fd, sys::READABLE)), None) {
                    Ok([false, true]) => {}
                    _ => return,
                }
                let Ok((socket, _)) = listener.accept() else {
                    // For want of descriptors, perhaps; it stays readable meanwhile.
                    self.pause();
                    continue;
                };
                if self.open.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
                    self.open.fetch_sub(1, Ordering::Relaxed);
                    continue;
                }
                let thread = thread::Builder::new().name("gate connection".into());
                let spawned = thread.spawn_scoped(scope, move || {
                    if let Err(error) = self.handle(socket) {
                        log::debug!("a connection through the gate ended: {error}");
                    }
                    self.open.fetch_sub(1, Ordering::Relaxed);
                });
                if spawned.is_err() {
                    self.open.fetch_sub(1, Ordering::Relaxed);
                    self.pause();
                }
            }
        });
    }

    fn pause(&self) {
        let awaited = [(self.closing.as_fd(), sys::READABLE)];
        if sys::poll(awaited, Some(Duration::from_millis(50))).is_err() {
            thread::yield_now();
        }
    }

    /// The life of a connection.
    fn handle(&self, socket: TcpStream) -> io::Result<()> {
        let mut inside = GuardedSocket::new(socket, &self.closing)?;
        let (host, port) = self.read_request(&mut inside)?;
        let mut outside = match self.connect(&host, port) {
            Ok(outside) => outside,
            Err(error) => {
                let reply = match error.kind() {
                    io::ErrorKind::PermissionDenied => {
                        log::info!("what reads pages wanted to connect to {host:?}: {error}");
                        FORBIDDEN
                    }
                    io::ErrorKind::ConnectionRefused => REFUSED,
                    _ => UNREACHABLE,
                };
                inside.write_all(&reply_message(reply))?;
                return inside.shut_down();
            }
        };
        inside.write_all(&reply_message(GRANTED))?;
        relay(&mut inside, &mut outside, &self.closing)?;
        inside.shut_down()
    }

    /// Where the connection is to lead, once its password was right.
    fn read_request(&self, inside: &mut GuardedSocket<'_>) -> io::Result<(String, u16)> {
        const LOGIN: u8 = 2;
        let refused = |why| io::Error::new(io::ErrorKind::InvalidData, why);
        let [5, count] = inside.read_array()? else { return Err(refused("it is not SOCKS 5")) };
        let mut methods = vec![0; usize::from(count)];
        inside.read_exact(&mut methods)?;
        if !methods.contains(&LOGIN) {
            inside.write_all(&[5, 0xff])?;
            return Err(refused("it has no login"));
        }
        inside.write_all(&[5, LOGIN])?;
        let [1] = inside.read_array()? else { return Err(refused("its login is of another kind")) };
        let (user, password) = (inside.read_prefixed()?, inside.read_prefixed()?);
        if user != USER.as_bytes() || password != self.password.as_bytes() {
            inside.write_all(&[1, 1])?;
            return Err(refused("its login is wrong"));
        }
        inside.write_all(&[1, 0])?;
        let [5, command, _, kind] = inside.read_array()? else {
            return Err(refused("not SOCKS 5"));
        };
        let host = match kind {
            1 => Ipv4Addr::from(inside.read_array::<4>()?).to_string(),
            4 => Ipv6Addr::from(inside.read_array::<16>()?).to_string(),
            _ => String::from_utf8(inside.read_prefixed()?).map_err(|_| refused("not a name"))?,
        };
        let port = u16::from_be_bytes(inside.read_array()?);
        if command != 1 {
            inside.write_all(&reply_message(UNKNOWN_COMMAND))?;
            return Err(refused("it wants something else than a connection"));
        }
        Ok((host, port))
    }

    /// A connection to there, if it may be: through the proxy, if there is one.
    fn connect(&self, host: &str, port: u16) -> io::Result<GuardedSocket<'_>> {
        let forbidden = || {
            let why = "that is not a public address; the operator can allow it in upstream.allow";
            io::Error::new(io::ErrorKind::PermissionDenied, why)
        };
        let Some(proxy) = &self.proxy else {
            let found: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
            let permitted = self.policy.permitted(host, found).ok_or_else(forbidden)?;
            let arranged = self.families.order(permitted).ok_or_else(no_such_family)?;
            let (outside, address) = self.dial(&arranged)?;
            self.families.record_success(address, &arranged);
            return Ok(outside);
        };
        if !self.policy.permits_unseen(host) {
            return Err(forbidden());
        }
        let (mut outside, _) = self.dial(&proxy::addresses(proxy)?.collect::<Vec<_>>())?;
        outside.idle_timeout = self.connect_timeout;
        proxy::connect_through(proxy, &mut outside, host, port)?;
        outside.idle_timeout = guarded_socket::IDLE_TIMEOUT;
        Ok(outside)
    }

    /// A connection to the first of the addresses that answers.
    fn dial(&self, addresses: &[SocketAddr]) -> io::Result<(GuardedSocket<'_>, SocketAddr)> {
        let deadline = Instant::now() + self.connect_timeout;
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for (tried, address) in addresses.iter().enumerate() {
            // The time is shared out, so that one silent address does not use it all up.
            let left = u32::try_from(addresses.len() - tried).unwrap_or(1);
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            match self.dial_one(*address, share) {
                Ok(socket) => return Ok((GuardedSocket::new(socket, &self.closing)?, *address)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn dial_one(&self, address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
        let socket = sys::start_connect(address)?;
        let awaited = [(self.closing.as_fd(), sys::READABLE), (socket.as_fd(), sys::WRITABLE)];
        match sys::poll(awaited, Some(limit))? {
            [false, true] => match socket.take_error()? {
                Some(error) => Err(error),
                None => Ok(socket),
            },
            _ => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

// The replies of RFC 1928 §6.
const GRANTED: u8 = 0;
const FORBIDDEN: u8 = 2;
const UNREACHABLE: u8 = 4;
const REFUSED: u8 = 5;
const UNKNOWN_COMMAND: u8 = 7;

fn reply_message(reply: u8) -> [u8; 10] {
    [5, reply, 0, 1, 0, 0, 0, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HostPattern;

    /// What the gate leads to for a client with this login that wants to go to `host`.
    fn through(gate: &SocksGateway, login: &str, host: &str, port: u16) -> io::Result<TcpStream> {
        let proxy: Proxy = format!("socks5h://{login}@{}", gate.address).parse().unwrap();
        let mut line = TcpStream::connect(gate.address)?;
        line.set_read_timeout(Some(Duration::from_secs(60)))?;
        proxy::connect_through(&proxy, &mut line, host, port)?;
        Ok(line)
    }

    #[test]
    fn only_what_is_permitted_is_connected_to_and_only_for_us() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let allow = vec![HostPattern::Net("127.0.0.1/32".parse().unwrap())];
        let gate = SocksGateway::open(
            &config::UpstreamConfig { allow, ..Default::default() },
            &Arc::default(),
        )
        .unwrap();
        let login = format!("{USER}:{}", gate.password);
        let mut inside = through(&gate, &login, "127.0.0.1", port).unwrap();
        let (mut outside, _) = listener.accept().unwrap();
        inside.write_all(b"ask").unwrap();
        let mut asked = [0; 3];
        outside.read_exact(&mut asked).unwrap();
        outside.write_all(b"answer").unwrap();
        drop(outside);
        let mut answer = Vec::new();
        inside.read_to_end(&mut answer).unwrap();
        assert_eq!((&asked, &answer[..]), (b"ask", &b"answer"[..]));

        listener.set_nonblocking(true).unwrap();
        for host in ["127.0.0.2", "::1", "::ffff:127.0.0.2", "10.0.0.1", "169.254.169.254"] {
            let error = through(&gate, &login, host, port).unwrap_err().to_string();
            assert!(error.contains("its rules forbid it"), "{host}: {error}");
        }
        for login in ["ytcanal:", "ytcanal:0", "me:me"] {
            assert!(through(&gate, login, "127.0.0.1", port).is_err(), "{login}");
        }
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn it_closes_with_all_that_goes_through() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let allow = vec![HostPattern::Net("127.0.0.1/32".parse().unwrap())];
        let gate = SocksGateway::open(
            &config::UpstreamConfig { allow, ..Default::default() },
            &Arc::default(),
        )
        .unwrap();
        let login = format!("{USER}:{}", gate.password);
        let mut inside = through(&gate, &login, "127.0.0.1", port).unwrap();
        let (_outside, _) = listener.accept().unwrap();
        // One that says nothing at all.
        let _silent = TcpStream::connect(gate.address).unwrap();
        drop(gate);
        assert!(!matches!(inside.read(&mut [0]), Ok(1)));
    }
}

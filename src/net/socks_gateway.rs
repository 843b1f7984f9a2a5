//! A SOCKS 5 proxy (RFC 1928) on loopback for yt-dlp: connects only to what the address policy
//! permits, checked where each connection is made, after DNS. So no redirect, no second resolution
//! and nothing in a page leads inwards.
//!
//! The gateway requires a password (RFC 1929), as it serves no other process. Others can connect to it, too, and
//! are driven out by the next ones.
//!
//! **API boundary:** nothing here reads what is relayed.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::cancel::WaitOutcome;
use crate::net::dial::{DialError, Dialer, Refused};
use crate::semaphore::Semaphore;
use crate::sys::{self, EventFd};

mod guarded_socket;
mod logins;

use guarded_socket::{GuardedSocket, relay};
use logins::{Login, Logins};

/// Maximum number of concurrent connections with a login; further ones are closed. A page takes a few.
const MAX_CONNECTIONS: usize = 128;
/// Maximum time for a client to log in and to send its request, which it does at once.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);
const BACKLOG: i32 = 128;
const USER: &str = "ytcanal";

/// A running gateway; dropping it closes it and every connection through it.
pub struct SocksGateway {
    address: SocketAddr,
    password: String,
    closing: Arc<EventFd>,
    acceptor: Option<JoinHandle<()>>,
}

/// The state of the accepting thread and its connections.
struct Acceptor {
    dialer: Arc<Dialer>,
    password: String,
    closing: Arc<EventFd>,
    logins: Logins,
    /// Connections that have logged in.
    open: Semaphore,
}

impl SocksGateway {
    /// Opens a gateway to upstreams.
    pub fn open(dialer: &Arc<Dialer>) -> io::Result<SocksGateway> {
        let listener = sys::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), BACKLOG)?;
        let address = listener.local_addr()?;
        let closing = Arc::new(EventFd::new()?);
        let password = secret()?;
        let acceptor = Acceptor {
            dialer: dialer.clone(),
            password: password.clone(),
            closing: closing.clone(),
            logins: Logins::default(),
            open: Semaphore::new(MAX_CONNECTIONS),
        };
        let thread = thread::Builder::new().name("socks gateway".into());
        let acceptor = thread.spawn(move || acceptor.accept_loop(&listener))?;
        Ok(SocksGateway { address, password, closing, acceptor: Some(acceptor) })
    }

    /// Returns the port of the gateway, on loopback.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the proxy URL of the gateway, with the password: a secret.
    pub fn url(&self) -> String {
        format!("socks5h://{USER}:{}@{}", self.password, self.address)
    }
}

impl Drop for SocksGateway {
    fn drop(&mut self) {
        self.closing.signal();
        if let Some(acceptor) = self.acceptor.take()
            && acceptor.join().is_err()
        {
            log::error!("SOCKS gateway thread panicked; this is a bug in ytcanal");
        }
    }
}

/// Returns an unguessable password.
fn secret() -> io::Result<String> {
    let mut bytes = [0; 16];
    let random = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&random, &mut bytes)
        .map_err(|_| io::Error::other("the system provides no random numbers"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Acceptor {
    /// Accepts connections until the gateway closes, and serves each on a thread of its own.
    fn accept_loop(&self, listener: &TcpListener) {
        thread::scope(|scope| {
            loop {
                let interests = [self.closing.as_fd(), listener.as_fd()];
                match sys::poll(interests.map(|fd| (fd, sys::READABLE)), None) {
                    Ok([false, true]) => {}
                    _ => return,
                }
                let Ok((socket, _)) = listener.accept() else {
                    // Descriptors may have run out; the listener stays readable meanwhile.
                    self.pause();
                    continue;
                };
                let Ok(login) = self.logins.begin(&socket) else { continue };
                let thread = thread::Builder::new().name("socks relay".into());
                let spawned = thread.spawn_scoped(scope, move || {
                    if let Err(error) = self.handle(socket, login) {
                        log::debug!("SOCKS gateway connection ended: {error}");
                    }
                });
                if spawned.is_err() {
                    self.pause();
                }
            }
        });
    }

    fn pause(&self) {
        let interests = [(self.closing.as_fd(), sys::READABLE)];
        if sys::poll(interests, Some(Duration::from_millis(50))).is_err() {
            thread::yield_now();
        }
    }

    /// Serves one connection.
    fn handle(&self, socket: TcpStream, login: Login<'_>) -> io::Result<()> {
        let mut client = GuardedSocket::new(socket, &self.closing)?;
        client.idle_timeout = LOGIN_TIMEOUT;
        self.read_login(&mut client)?;
        drop(login);
        let Some(_permit) = self.open.try_acquire() else {
            return Err(io::Error::other("too many connections"));
        };
        let (host, port) = read_request(&mut client)?;
        client.idle_timeout = guarded_socket::IDLE_TIMEOUT;
        let mut upstream = match self.connect(&host, port) {
            Ok(upstream) => upstream,
            Err(error) => {
                let reply = match &error {
                    DialError::Refused(_) => {
                        self.dialer.refusals().of(Refused::Page).increment();
                        log::info!("refused a connection of yt-dlp: {error}");
                        FORBIDDEN
                    }
                    DialError::Failed(error)
                        if error.kind() == io::ErrorKind::ConnectionRefused =>
                    {
                        REFUSED
                    }
                    _ => UNREACHABLE,
                };
                client.write_all(&reply_message(reply))?;
                return client.shut_down();
            }
        };
        client.write_all(&reply_message(GRANTED))?;
        relay(&mut client, &mut upstream, &self.closing)?;
        client.shut_down()
    }

    /// Reads the login.
    fn read_login(&self, client: &mut GuardedSocket<'_>) -> io::Result<()> {
        const LOGIN: u8 = 2;
        let [5, count] = client.read_array()? else {
            return Err(refused("the client does not speak SOCKS 5"));
        };
        let mut methods = vec![0; usize::from(count)];
        client.read_exact(&mut methods)?;
        if !methods.contains(&LOGIN) {
            client.write_all(&[5, 0xff])?;
            return Err(refused("the client offers no password login"));
        }
        client.write_all(&[5, LOGIN])?;
        let [1] = client.read_array()? else { return Err(refused("the login is not of RFC 1929")) };
        let (user, password) = (client.read_prefixed()?, client.read_prefixed()?);
        if user != USER.as_bytes() || password != self.password.as_bytes() {
            client.write_all(&[1, 1])?;
            return Err(refused("wrong user name or password"));
        }
        client.write_all(&[1, 0])
    }

    /// Connects to the target, if that is permitted: through the proxy, if there is one.
    fn connect(&self, host: &str, port: u16) -> Result<GuardedSocket<'_>, DialError> {
        let addresses = self.dialer.resolve(host, port)?;
        let deadline = Instant::now() + self.dialer.timeout;
        let socket = self.dialer.dial(&addresses, deadline, |socket, interest, limit| {
            let interests = [(self.closing.as_fd(), sys::READABLE), (socket, interest)];
            Ok(match sys::poll(interests, Some(limit))? {
                [true, _] => WaitOutcome::Stopped,
                [_, true] => WaitOutcome::Ready,
                _ => WaitOutcome::TimedOut,
            })
        })?;
        let mut upstream = GuardedSocket::new(socket, &self.closing)?;
        upstream.idle_timeout = self.dialer.timeout;
        self.dialer.extend(&mut upstream, host, port)?;
        upstream.idle_timeout = guarded_socket::IDLE_TIMEOUT;
        Ok(upstream)
    }
}

/// Reads the request; returns the target.
fn read_request(client: &mut GuardedSocket<'_>) -> io::Result<(String, u16)> {
    let [5, command, _, kind] = client.read_array()? else {
        return Err(refused("the request is not SOCKS 5"));
    };
    let host = match kind {
        1 => Ipv4Addr::from(client.read_array::<4>()?).to_string(),
        4 => Ipv6Addr::from(client.read_array::<16>()?).to_string(),
        _ => String::from_utf8(client.read_prefixed()?)
            .map_err(|_| refused("the host name is not UTF-8"))?,
    };
    let port = u16::from_be_bytes(client.read_array()?);
    if command != 1 {
        client.write_all(&reply_message(UNKNOWN_COMMAND))?;
        return Err(refused("the command is not CONNECT"));
    }
    Ok((host, port))
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

// Replies (RFC 1928 §6).
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
    use crate::config::{HostPattern, Proxy, UpstreamConfig};
    use crate::net::proxy;

    /// Connects through the gateway with this login to `host`.
    fn through(
        gateway: &SocksGateway,
        login: &str,
        host: &str,
        port: u16,
    ) -> io::Result<TcpStream> {
        let proxy: Proxy = format!("socks5h://{login}@{}", gateway.address).parse().unwrap();
        let mut line = TcpStream::connect(gateway.address)?;
        line.set_read_timeout(Some(Duration::from_secs(60)))?;
        proxy::connect_through(&proxy, &mut line, host, port)?;
        Ok(line)
    }

    fn open(allow: Vec<HostPattern>) -> SocksGateway {
        let config = UpstreamConfig { allow, ..Default::default() };
        SocksGateway::open(&Arc::new(Dialer::new(&config))).unwrap()
    }

    #[test]
    fn only_what_is_permitted_is_connected_to_and_only_for_us() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let allow = vec![HostPattern::Net("127.0.0.1/32".parse().unwrap())];
        let gateway = open(allow);
        let login = format!("{USER}:{}", gateway.password);
        let mut client = through(&gateway, &login, "127.0.0.1", port).unwrap();
        let (mut upstream, _) = listener.accept().unwrap();
        client.write_all(b"ask").unwrap();
        let mut request = [0; 3];
        upstream.read_exact(&mut request).unwrap();
        upstream.write_all(b"answer").unwrap();
        drop(upstream);
        let mut response = Vec::new();
        client.read_to_end(&mut response).unwrap();
        assert_eq!((&request, &response[..]), (b"ask", &b"answer"[..]));

        listener.set_nonblocking(true).unwrap();
        for host in ["127.0.0.2", "::1", "::ffff:127.0.0.2", "10.0.0.1", "169.254.169.254"] {
            let error = through(&gateway, &login, host, port).unwrap_err().to_string();
            assert!(error.contains("its rules forbid it"), "{host}: {error}");
        }
        for login in ["ytcanal:", "ytcanal:0", "me:me"] {
            assert!(through(&gateway, login, "127.0.0.1", port).is_err(), "{login}");
        }
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    /// What others on this machine can do without the password.
    #[test]
    fn nothing_brings_more_than_a_page_can_have() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let gateway = open(vec![HostPattern::Net("127.0.0.1/32".parse().unwrap())]);
        let login = format!("{USER}:{}", gateway.password);
        let mut client = through(&gateway, &login, "127.0.0.1", port).unwrap();
        let (mut upstream, _) = listener.accept().unwrap();
        let sender = thread::spawn(move || {
            let piece = vec![0; 1 << 20];
            (0..80).all(|_| upstream.write_all(&piece).is_ok())
        });
        let received = io::copy(&mut client, &mut io::sink());
        let len = received.unwrap_or(0);
        assert!(len <= guarded_socket::MAX_RECEIVED as u64, "{len} bytes");
        assert!(!sender.join().unwrap());
    }

    #[test]
    fn a_crowd_that_does_not_log_in_blocks_nobody() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let allow = vec![HostPattern::Net("127.0.0.1/32".parse().unwrap())];
        let gateway = open(allow);
        let login = format!("{USER}:{}", gateway.password);
        let before = through(&gateway, &login, "127.0.0.1", port).unwrap();
        let connect = |_| TcpStream::connect(gateway.address).unwrap();
        let mut crowd: Vec<TcpStream> = (0..3 * MAX_CONNECTIONS).map(connect).collect();
        let mut after = through(&gateway, &login, "127.0.0.1", port).unwrap();
        // The first of the crowd is driven out; who has logged in is not.
        crowd[0].set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert!(!matches!(crowd[0].read(&mut [0]), Ok(1)));
        for mut client in [before, after.try_clone().unwrap()] {
            let (mut upstream, _) = listener.accept().unwrap();
            client.write_all(b"ask").unwrap();
            upstream.read_exact(&mut [0; 3]).unwrap();
        }
        after.flush().unwrap();
    }

    #[test]
    fn it_closes_with_all_that_goes_through() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let allow = vec![HostPattern::Net("127.0.0.1/32".parse().unwrap())];
        let gateway = open(allow);
        let login = format!("{USER}:{}", gateway.password);
        let mut client = through(&gateway, &login, "127.0.0.1", port).unwrap();
        let (_outside, _) = listener.accept().unwrap();
        // A connection that sends nothing.
        let _silent = TcpStream::connect(gateway.address).unwrap();
        drop(gateway);
        assert!(!matches!(client.read(&mut [0]), Ok(1)));
    }
}

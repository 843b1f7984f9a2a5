//! Proxies on loopback, HTTP CONNECT and SOCKS5, that tell what they were asked for.
//!
//! They must never connect beyond this machine.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::prelude::{BASE64_STANDARD, Engine};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::request::Request;
use super::server::Server;

/// A running proxy; dropping it ends its connections and joins its threads.
pub(crate) struct Proxy {
    rules: Arc<Mutex<Rules>>,
    server: Server,
    scheme: &'static str,
}

#[derive(Default)]
struct Rules {
    login: Option<(String, String)>,
    names: HashMap<String, SocketAddr>,
    targets: Vec<String>,
}

type Rulebook = Mutex<Rules>;

/// The replies of RFC 1928 that are in use here.
#[derive(Clone, Copy)]
enum Reply {
    Succeeded = 0,
    HostUnreachable = 4,
    ConnectionRefused = 5,
    CommandNotSupported = 7,
    AddressTypeNotSupported = 8,
}

impl Proxy {
    /// Starts an HTTP proxy that knows CONNECT.
    pub(crate) fn http() -> Self {
        Self::start("http", connect)
    }

    /// Starts a SOCKS5 proxy; its URL tells the client to leave names to it.
    pub(crate) fn socks5() -> Self {
        Self::start("socks5h", socks)
    }

    fn start(scheme: &'static str, serve: fn(TcpStream, &Rulebook) -> io::Result<()>) -> Self {
        let rules = Arc::new(Rulebook::default());
        let server = Server::start((Ipv4Addr::LOCALHOST, 0).into(), {
            let rules = Arc::clone(&rules);
            // An error means that one of the sides left, which it may.
            move |_, client, _| drop(serve(client, &rules))
        });
        Self { rules, server, scheme }
    }

    /// Serves nobody but who logs in like this.
    pub(crate) fn with_login(self, user: &str, password: &str) -> Self {
        self.rules.lock().unwrap().login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Leads to this address whoever asks for this name, at any port. Of all other targets it
    /// reaches loopback addresses only.
    pub(crate) fn map(self, name: &str, address: SocketAddr) -> Self {
        self.rules.lock().unwrap().names.insert(name.to_owned(), address);
        self
    }

    /// Its URL, with the login if it wants one.
    pub(crate) fn url(&self) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let rules = self.rules.lock().unwrap();
        let login = rules.login.as_ref().map_or_else(String::new, |(user, password)| {
            format!("{}:{}@", encoded(user), encoded(password))
        });
        format!("{}://{login}{}", self.scheme, self.server.address())
    }

    /// All targets so far, those refused included: `host:port` as the client said it.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.rules.lock().unwrap().targets.clone()
    }
}

/// Serves one client of the HTTP proxy.
fn connect(mut client: TcpStream, rules: &Rulebook) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 64 * 1024 {
        head.extend(take::<1>(&mut client)?);
    }
    let request = Request::parse(&String::from_utf8_lossy(&head), 0);
    let login = rules.lock().unwrap().login.clone();
    let expected = login.map(|(user, password)| {
        format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
    });
    if request.method != "CONNECT" {
        return refuse(&mut client, "501 Not Implemented\r\n");
    }
    if expected.is_some() && request.header("proxy-authorization") != expected.as_deref() {
        let status =
            "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"t\"\r\n";
        return refuse(&mut client, status);
    }
    let Ok(target) = reach(&request.path, rules) else {
        return refuse(&mut client, "502 Bad Gateway\r\n");
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    relay(client, target)
}

fn refuse(client: &mut TcpStream, status: &str) -> io::Result<()> {
    let answer = format!("HTTP/1.1 {status}Connection: close\r\nContent-Length: 0\r\n\r\n");
    client.write_all(answer.as_bytes())
}

/// Serves one client of the SOCKS5 proxy.
fn socks(mut client: TcpStream, rules: &Rulebook) -> io::Result<()> {
    if !logged_in(&mut client, rules)? {
        return Ok(());
    }
    let [_, command, _, kind] = take(&mut client)?;
    let host = match kind {
        1 => Ipv4Addr::from(take(&mut client)?).to_string(),
        3 => short_text(&mut client)?,
        4 => format!("[{}]", Ipv6Addr::from(take::<16>(&mut client)?)),
        _ => return reply(&mut client, Reply::AddressTypeNotSupported),
    };
    let port = u16::from_be_bytes(take(&mut client)?);
    if command != 1 {
        return reply(&mut client, Reply::CommandNotSupported);
    }
    match reach(&format!("{host}:{port}"), rules) {
        Ok(target) => {
            reply(&mut client, Reply::Succeeded)?;
            relay(client, target)
        }
        Err(why) => reply(&mut client, why),
    }
}

/// Settles the method, RFC 1928, section 3, and the login, RFC 1929.
fn logged_in(client: &mut TcpStream, rules: &Rulebook) -> io::Result<bool> {
    let [_, count] = take(client)?;
    let mut offered = vec![0; count.into()];
    client.read_exact(&mut offered)?;
    let login = rules.lock().unwrap().login.clone();
    let method = if login.is_some() { 2 } else { 0 };
    if !offered.contains(&method) {
        client.write_all(&[5, 0xff])?;
        return Ok(false);
    }
    client.write_all(&[5, method])?;
    let Some(login) = login else {
        return Ok(true);
    };
    take::<1>(client)?;
    let right = (short_text(client)?, short_text(client)?) == login;
    client.write_all(&[1, u8::from(!right)])?;
    Ok(right)
}

fn reply(client: &mut TcpStream, reply: Reply) -> io::Result<()> {
    client.write_all(&[5, reply as u8, 0, 1, 0, 0, 0, 0, 0, 0])
}

/// Text after a byte that says how long it is.
fn short_text(client: &mut TcpStream) -> io::Result<String> {
    let [len] = take(client)?;
    let mut text = vec![0; len.into()];
    client.read_exact(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn take<const N: usize>(client: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Writes the target down and connects to it, if it may be reached.
fn reach(target: &str, rules: &Rulebook) -> Result<TcpStream, Reply> {
    let mut rules = rules.lock().unwrap();
    rules.targets.push(target.to_owned());
    let (host, port) = target.rsplit_once(':').ok_or(Reply::HostUnreachable)?;
    let itself = || {
        let ip: IpAddr = host.trim_matches(['[', ']']).parse().ok()?;
        Some(SocketAddr::new(ip, port.parse().ok()?)).filter(|address| address.ip().is_loopback())
    };
    let address = rules.names.get(host).copied().or_else(itself);
    drop(rules);
    let stream = TcpStream::connect(address.ok_or(Reply::HostUnreachable)?)
        .map_err(|_| Reply::ConnectionRefused)?;
    drop(stream.set_nodelay(true));
    Ok(stream)
}

/// Passes bytes both ways until both sides have ended. A client that ends its side has left.
fn relay(mut client: TcpStream, mut target: TcpStream) -> io::Result<()> {
    let (mut from_target, mut to_client) = (target.try_clone()?, client.try_clone()?);
    thread::scope(|scope| {
        scope.spawn(move || {
            drop(io::copy(&mut from_target, &mut to_client));
            drop(to_client.shutdown(Shutdown::Write));
        });
        drop(io::copy(&mut client, &mut target));
        drop(target.shutdown(Shutdown::Both));
    });
    Ok(())
}

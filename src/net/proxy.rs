//! Opens a connection to an upstream through a proxy.
//!
//! **Invariant:** the host name is not resolved here: that is up to the proxy.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use base64::prelude::{BASE64_STANDARD, Engine};

use crate::config::{Proxy, ProxyKind};

/// Returns the addresses of the proxy itself. The operator chose it, so no policy applies.
pub(crate) fn addresses(proxy: &Proxy) -> io::Result<impl Iterator<Item = SocketAddr>> {
    (proxy.host.as_str(), proxy.port).to_socket_addrs()
}

/// Requests a connection to `host`; afterwards, `connection` leads there.
pub(crate) fn connect_through(
    proxy: &Proxy,
    connection: &mut (impl Read + Write),
    host: &str,
    port: u16,
) -> io::Result<()> {
    match proxy.kind {
        ProxyKind::Http => connect(connection, proxy.login.as_ref(), host, port),
        ProxyKind::Socks5h => socks(connection, proxy.login.as_ref(), host, port),
    }
    // Errors made here, and by a stream that is over, have the kind "other".
    .map_err(|error| match error.kind() {
        io::ErrorKind::Other | io::ErrorKind::TimedOut => error,
        io::ErrorKind::UnexpectedEof => refused("it closed the connection"),
        _ => refused(&error.to_string()),
    })
}

type Login = (String, String);

/// Sends a CONNECT request (RFC 9110 §9.3.6).
fn connect(
    connection: &mut (impl Read + Write),
    login: Option<&Login>,
    host: &str,
    port: u16,
) -> io::Result<()> {
    const MAX_HEAD: usize = 16 << 10;
    let target =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some((user, password)) = login {
        let login = BASE64_STANDARD.encode(format!("{user}:{password}"));
        request += &format!("Proxy-Authorization: Basic {login}\r\n");
    }
    request += "\r\n";
    connection.write_all(request.as_bytes())?;
    connection.flush()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(refused("its response head is too long"));
        }
        let mut byte = [0];
        connection.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(&head).map(|_| response.code) {
        Ok(Some(200..300)) => Ok(()),
        Ok(Some(status)) => Err(refused(&format!("HTTP status {status}"))),
        _ => Err(refused("it does not speak HTTP")),
    }
}

/// Opens a SOCKS 5 connection (RFC 1928), with user name and password of RFC 1929.
fn socks(
    connection: &mut (impl Read + Write),
    login: Option<&Login>,
    host: &str,
    port: u16,
) -> io::Result<()> {
    const NO_LOGIN: u8 = 0;
    const LOGIN: u8 = 2;
    const NONE_OF_THEM: u8 = 0xff;
    connection.write_all(&[5, 1, if login.is_some() { LOGIN } else { NO_LOGIN }])?;
    connection.flush()?;
    match (read_array(connection)?, login) {
        ([5, NO_LOGIN], _) => {}
        ([5, LOGIN], Some((user, password))) => {
            connection.write_all(
                &[&[1][..], &length_prefixed(user)?[..], &length_prefixed(password)?].concat(),
            )?;
            connection.flush()?;
            if read_array::<2>(connection)?[1] != 0 {
                return Err(refused("wrong user name or password"));
            }
        }
        ([5, NONE_OF_THEM | LOGIN], _) => {
            return Err(refused("it requires an unsupported login method"));
        }
        _ => return Err(refused("it does not speak SOCKS 5")),
    }
    let address = match host.parse() {
        Ok(IpAddr::V4(v4)) => [&[1][..], &v4.octets()].concat(),
        Ok(IpAddr::V6(v6)) => [&[4][..], &v6.octets()].concat(),
        Err(_) => [&[3][..], &length_prefixed(host)?].concat(),
    };
    connection.write_all(&[&[5, 1, 0], &address[..], &port.to_be_bytes()].concat())?;
    connection.flush()?;
    let [5, reply, _, kind] = read_array(connection)? else {
        return Err(refused("it does not speak SOCKS 5"));
    };
    // The address that the proxy connects from is unused, but must be read.
    let len = match kind {
        1 => 4,
        4 => 16,
        _ => usize::from(read_array::<1>(connection)?[0]),
    };
    connection.read_exact(&mut vec![0; len + 2])?;
    match reply {
        0 => Ok(()),
        2 => Err(refused("its rules forbid it")),
        3 => Err(refused("the network cannot be reached")),
        4 => Err(refused("the host cannot be reached")),
        5 => Err(refused("the connection was refused")),
        other => Err(refused(&format!("SOCKS reply {other}"))),
    }
}

fn read_array<const N: usize>(connection: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    connection.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn length_prefixed(text: &str) -> io::Result<Vec<u8>> {
    let len = u8::try_from(text.len()).map_err(|_| refused("the host name is too long"))?;
    Ok([&[len], text.as_bytes()].concat())
}

pub(crate) fn refused(why: &str) -> io::Error {
    io::Error::other(format!("the proxy did not connect: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what is sent to a proxy that responds with `response`, and the outcome.
    fn say(proxy: &str, host: &str, response: &[u8]) -> (Vec<u8>, Result<(), String>) {
        struct Line<'a>(Vec<u8>, &'a [u8]);
        impl Read for Line<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.1.read(buffer)
            }
        }
        impl Write for Line<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut connection = Line(Vec::new(), response);
        let sent = connect_through(&proxy.parse().unwrap(), &mut connection, host, 443);
        (connection.0, sent.map_err(|error| error.to_string()))
    }

    #[test]
    fn http_proxies() {
        let (sent, outcome) =
            say("http://u:p@h", "a.example", b"HTTP/1.1 200 Fine\r\nX: y\r\n\r\n");
        assert_eq!(outcome, Ok(()));
        let sent = String::from_utf8(sent).unwrap();
        assert!(sent.starts_with("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n"));
        assert!(sent.contains("Proxy-Authorization: Basic dTpw\r\n"), "{sent}");
        assert!(say("http://h", "::1", b"").0.starts_with(b"CONNECT [::1]:443 "));
        let refusal = say("http://h", "a", b"HTTP/1.1 407 No\r\n\r\n").1.unwrap_err();
        assert!(refusal.contains("407"), "{refusal}");
        assert!(say("http://h", "a", b"SSH-2.0-x\r\n\r\n").1.is_err());
        assert!(say("http://h", "a", &vec![b'x'; 20_000]).1.is_err());
    }

    #[test]
    fn socks_proxies() {
        let fine = [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let (sent, outcome) = say("socks5h://h", "a.example", &fine);
        assert_eq!(outcome, Ok(()));
        assert_eq!(sent, b"\x05\x01\x00\x05\x01\x00\x03\x09a.example\x01\xbb");
        let (sent, _) = say("socks5h://h", "10.0.0.1", &fine);
        assert_eq!(sent[3..], [5, 1, 0, 1, 10, 0, 0, 1, 1, 187]);
        let with_login = [5, 2, 1, 0, 5, 0, 0, 3, 1, b'x', 0, 0];
        let (sent, outcome) = say("socks5h://u:p@h", "a", &with_login);
        assert_eq!(outcome, Ok(()));
        assert_eq!(sent[3..8], [1, 1, b'u', 1, b'p']);
        for (response, word) in [
            (&[5, 0xff][..], "login"),
            (&[5, 2], "login"),
            (&[4, 0], "speak"),
            (&[5, 0, 5, 5, 0, 1, 0, 0, 0, 0, 0, 0], "refused"),
        ] {
            let error = say("socks5h://h", "a", response).1.unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        assert!(say("socks5h://h", &"a".repeat(256), &fine).1.is_err());
    }
}

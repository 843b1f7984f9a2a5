//! Addresses to listen on: of TCP, or Unix sockets.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// Maximum length of the path of a Unix socket: `sun_path` has 108 bytes, and a zero at the end.
const MAX_PATH: usize = 107;

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// An IP address with a port.
    Tcp(SocketAddr),
    /// The path of a Unix socket, for a reverse proxy on this machine.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Returns whether only programs on this machine can connect, and no proxy is expected there.
    pub fn is_loopback(&self) -> bool {
        matches!(self, ListenAddress::Tcp(address) if address.ip().to_canonical().is_loopback())
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> ListenAddress {
        ListenAddress::Tcp(address)
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenAddress, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = Path::new(path);
            return match path.is_absolute() && path.as_os_str().len() <= MAX_PATH {
                true => Ok(ListenAddress::Unix(path.to_owned())),
                false => Err(format!(
                    "{text:?} is no Unix socket: write unix: and an absolute path of at most {MAX_PATH} bytes"
                )),
            };
        }
        text.parse().map(ListenAddress::Tcp).map_err(|_| {
            format!(
                "{text:?} is not an address with a port, such as 127.0.0.1:8080 or [::1]:8080, and no Unix \
                 socket, such as unix:/run/ytcanal/http.sock"
            )
        })
    }
}

/// As a URL, for the log.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => write!(f, "http://{address}"),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ListenAddress, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_tcp_or_paths() {
        let parse = ListenAddress::from_str;
        assert_eq!(parse("[::1]:80"), Ok(ListenAddress::Tcp("[::1]:80".parse().unwrap())));
        assert_eq!(parse("unix:/run/a"), Ok(ListenAddress::Unix("/run/a".into())));
        for bad in ["unix:a", "unix:", "/run/a", "localhost", "1.2.3.4", ""] {
            let error = parse(bad).unwrap_err();
            assert!(error.starts_with(&format!("{bad:?} is n")), "{error}");
        }
        assert!(parse(&format!("unix:/{}", "a".repeat(MAX_PATH))).is_err());
    }

    #[test]
    fn a_unix_socket_is_for_a_proxy() {
        for (text, expected) in [
            ("127.0.0.2:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("unix:/a", false),
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().is_loopback(), expected, "{text}");
        }
    }
}

//! The proxy for all upstream traffic, as the configuration writes it.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Deserializer};
use url::Url;

/// The protocol of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP CONNECT (RFC 9110 §9.3.6).
    Http,
    /// SOCKS 5 (RFC 1928), which receives names and resolves them itself.
    Socks5h,
}

/// A proxy: `http://host:port` or `socks5h://host:port`, with `user:password@` if it requires a
/// login.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its protocol.
    pub kind: ProxyKind,
    /// A name or an address (IPv6 without brackets).
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// User name and password.
    pub login: Option<(String, String)>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} proxy {}:{}", self.kind, self.host, self.port)
    }
}

impl FromStr for Proxy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Proxy, &'static str> {
        const EXPECTED: &str = "write http://host:port or socks5h://host:port, with user:password@ \
                              before the host if the proxy requires one";
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        let (kind, default_port) = match url.scheme() {
            "http" => (ProxyKind::Http, 80),
            "socks5h" => (ProxyKind::Socks5h, 1080),
            "socks5" => return Err("write socks5h: the proxy receives names and resolves them"),
            _ => return Err(EXPECTED),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(EXPECTED)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(EXPECTED);
        }
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let login = (decode(url.username()), decode(url.password().unwrap_or_default()));
        // RFC 1929 gives each a byte for its length, and an HTTP field no control characters.
        let fits = |part: &str| part.len() <= 255 && !part.contains(char::is_control);
        if !fits(&login.0) || !fits(&login.1) || login.0.contains(':') {
            return Err("user name or password is too long or contains a control character");
        }
        Ok(Proxy {
            kind,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port().unwrap_or(default_port),
            login: Some(login).filter(|(user, password)| !user.is_empty() || !password.is_empty()),
        })
    }
}

impl<'de> Deserialize<'de> for Proxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Proxy, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_written_as_urls() {
        let proxy: Proxy = "socks5h://me:p%40ss@[::1]".parse().unwrap();
        let login = Some(("me".into(), "p@ss".into()));
        let expected = Proxy { kind: ProxyKind::Socks5h, host: "::1".into(), port: 1080, login };
        assert_eq!(proxy, expected);
        assert!(!format!("{proxy:?}").contains("p@ss"));
        let proxy: Proxy = "http://proxy.lan:3128/".parse().unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port, proxy.login), ("proxy.lan", 3128, None));
        for text in ["", "proxy:3128", "socks5://a:1", "https://a:1", "http://a/b", "http://", "x"]
        {
            assert!(text.parse::<Proxy>().is_err(), "{text}");
        }
    }
}

//! The address of a client behind proxies, by X-Forwarded-For or Forwarded (RFC 7239).
//!
//! Each proxy appends the address of its own client. So the field is read from its right end, for as long as
//! the one who wrote the entry is trusted: what lies further to the left is the word of a stranger.

use std::net::{IpAddr, Ipv6Addr};

use super::{Provenance, is_trusted};
use crate::config::{AccessConfig, ForwardedField};

/// The field of a trusted proxy that names no address; with its name.
#[derive(Debug, PartialEq, Eq)]
pub struct Unusable(pub &'static str);

/// Returns the address of the client of a request: `peer`, or the last address before trusted proxies.
pub fn client_address(
    peer: IpAddr,
    provenance: &Provenance,
    access: &AccessConfig,
) -> Result<IpAddr, Unusable> {
    if !is_trusted(peer, access) {
        return Ok(peer);
    }
    let (name, entries) = match access.forwarded {
        ForwardedField::XForwardedFor => {
            let field = provenance.x_forwarded_for.as_deref().unwrap_or_default();
            let entries = field.split(',').map(str::trim).filter(|entry| !entry.is_empty());
            ("X-Forwarded-For", Some(entries.map(str::to_owned).collect()))
        }
        ForwardedField::Forwarded => {
            ("Forwarded", clients(provenance.forwarded.as_deref().unwrap_or_default()))
        }
    };
    let mut client = peer;
    for entry in entries.ok_or(Unusable(name))?.iter().rev() {
        client = address(entry).ok_or(Unusable(name))?;
        if !is_trusted(client, access) {
            break;
        }
    }
    Ok(client)
}

/// Returns whether the client of a request speaks TLS, as the trusted proxy before this server says.
pub(super) fn is_https(peer: IpAddr, provenance: &Provenance, access: &AccessConfig) -> bool {
    if !is_trusted(peer, access) {
        return false;
    }
    let protocol = match access.forwarded {
        ForwardedField::XForwardedFor => {
            let field = provenance.x_forwarded_proto.as_deref().unwrap_or_default();
            field.rsplit(',').next().map(|protocol| protocol.trim().to_owned())
        }
        ForwardedField::Forwarded => {
            let elements = elements(provenance.forwarded.as_deref().unwrap_or_default());
            elements.and_then(|mut elements| elements.pop()?.protocol)
        }
    };
    protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("https"))
}

/// Returns the values of `for` in a Forwarded field, in order; `None` if it is malformed, or an element has no
/// such value. The complete field must be well-formed: a quotation mark that a stranger opens could hide what
/// proxies append.
fn clients(field: &str) -> Option<Vec<String>> {
    elements(field)?.into_iter().map(|element| element.client).collect()
}

/// What a proxy says of the connection of its client.
#[derive(Default)]
struct Element {
    /// `for`
    client: Option<String>,
    /// `proto`
    protocol: Option<String>,
}

/// Returns the elements of a Forwarded field, in order; `None` if it is malformed.
fn elements(field: &str) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    let mut rest = field.trim_start();
    while !rest.is_empty() {
        if let Some(next) = rest.strip_prefix(',') {
            rest = next.trim_start();
            continue;
        }
        let (element, next) = element(rest)?;
        elements.push(element);
        rest = next;
    }
    Some(elements)
}

/// Parses one element, up to its comma or the end: `for=192.0.2.43;proto=http`. Returns it with the rest.
fn element(mut rest: &str) -> Option<(Element, &str)> {
    let mut element = Element::default();
    loop {
        let (name, next) = token(rest)?;
        let (value, next) = value(next.strip_prefix('=')?)?;
        let known = match name.to_ascii_lowercase().as_str() {
            "for" => element.client.replace(value),
            "proto" => element.protocol.replace(value),
            _ => None,
        };
        if known.is_some() {
            return None;
        }
        rest = next.trim_start();
        match rest.strip_prefix(';') {
            Some(next) => rest = next.trim_start(),
            None if rest.is_empty() || rest.starts_with(',') => return Some((element, rest)),
            None => return None,
        }
    }
}

/// Parses a token (RFC 9110 §5.6.2).
fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Parses a token or a quoted string (RFC 9110 §5.6.4).
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return token(text).map(|(token, rest)| (token.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            c => value.push(c),
        }
    }
}

/// Parses an address as proxies write it: also with a port, an IPv6 address then in brackets.
fn address(node: &str) -> Option<IpAddr> {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    if let Some((v6, port)) = node.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_fine = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        let address = without_zone(v6).parse::<Ipv6Addr>().ok().filter(|_| is_fine)?;
        return Some(IpAddr::V6(address).to_canonical());
    }
    let host = match node.split_once(':') {
        Some((v4, port)) if is_port(port) => v4,
        _ => node,
    };
    without_zone(host).parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Cuts off the interface of a link-local address, which some proxies write.
fn without_zone(address: &str) -> &str {
    address.split_once('%').map_or(address, |(address, _)| address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn client(forwarded: ForwardedField, field: &str) -> Option<String> {
        let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let access = AccessConfig { trusted_proxies, forwarded, ..AccessConfig::default() };
        let field = Some(field.to_owned());
        let provenance = Provenance {
            x_forwarded_for: field.clone(),
            forwarded: field,
            ..Provenance::default()
        };
        client_address(PROXY, &provenance, &access).ok().map(|address| address.to_string())
    }

    #[test]
    fn the_last_address_before_trusted_proxies_is_the_client() {
        for (field, expected) in [
            ("9.9.9.9", Some("9.9.9.9")),
            ("127.0.0.1, 9.9.9.9", Some("9.9.9.9")),
            ("127.0.0.1,9.9.9.9 , 10.2.2.2,fd00::1", Some("9.9.9.9")),
            ("whatever, 9.9.9.9", Some("9.9.9.9")),
            ("::ffff:9.9.9.9", Some("9.9.9.9")),
            ("9.9.9.9:4711", Some("9.9.9.9")),
            ("[2600::1]:4711", Some("2600::1")),
            ("2600::1", Some("2600::1")),
            ("10.3.3.3, 10.2.2.2", Some("10.3.3.3")),
            ("", Some("10.0.0.1")),
            ("9.9.9.9, unknown", None),
            ("9.9.9.9 8.8.8.8", None),
            ("[9.9.9.9]", None),
            ("[2600::1]x", None),
            ("9.9.9.9:99999", None),
        ] {
            let found = client(ForwardedField::XForwardedFor, field);
            assert_eq!(found.as_deref(), expected, "{field}");
        }
    }

    #[test]
    fn forwarded_is_read_by_its_grammar() {
        for (field, expected) in [
            ("for=9.9.9.9;proto=http;by=203.0.113.43", Some("9.9.9.9")),
            ("For=\"[2600::1]:4711\"", Some("2600::1")),
            (
                "for=127.0.0.1, for=9.9.9.9;host=\"a,for=1.1.1.1;\\\"\" , for=10.1.1.1",
                Some("9.9.9.9"),
            ),
            ("proto=https ; for=\"\\9.9.9.9\"", Some("9.9.9.9")),
            ("", Some("10.0.0.1")),
            (",, for=9.9.9.9,", Some("9.9.9.9")),
            ("for=_hidden, for=9.9.9.9", Some("9.9.9.9")),
            ("for=unknown", None),
            ("proto=http", None),
            ("for=9.9.9.9;for=8.8.8.8", None),
            ("for=9.9.9.9 by=8.8.8.8", None),
            ("for=2600::1", None),
            // Opened by a stranger to swallow what the proxy appends.
            ("for=1.1.1.1;x=\", for=9.9.9.9", None),
            ("for=1.1.1.1;x=\", for=\"[2600::1]\"", None),
        ] {
            let found = client(ForwardedField::Forwarded, field);
            assert_eq!(found.as_deref(), expected, "{field}");
        }
    }

    #[test]
    fn a_trusted_proxy_tells_whether_the_client_speaks_tls() {
        let is_https = |peer: IpAddr, forwarded, field: &str| {
            let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
            let access = AccessConfig { trusted_proxies, forwarded, ..AccessConfig::default() };
            let field = Some(field.to_owned());
            let provenance = Provenance {
                x_forwarded_proto: field.clone(),
                forwarded: field,
                ..Provenance::default()
            };
            super::is_https(peer, &provenance, &access)
        };
        let (simple, standard) = (ForwardedField::XForwardedFor, ForwardedField::Forwarded);
        for (forwarded, field, expected) in [
            (simple, "https", true),
            (simple, "http, HTTPS", true),
            (simple, "https, http", false),
            (simple, "https,", false),
            (simple, "", false),
            (standard, "for=9.9.9.9;proto=https", true),
            (standard, "for=1.1.1.1, for=9.9.9.9;Proto=\"https\"", true),
            (standard, "for=1.1.1.1;proto=https, for=9.9.9.9", false),
            (standard, "for=9.9.9.9;proto=http;proto=https", false),
            (standard, "https", false),
            (standard, "", false),
        ] {
            assert_eq!(is_https(PROXY, forwarded, field), expected, "{field}");
            assert!(!is_https([9, 9, 9, 9].into(), forwarded, field), "{field}");
        }
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let provenance = Provenance {
            x_forwarded_for: Some("127.0.0.1".into()),
            is_proxied: true,
            host: Some("localhost".into()),
            ..Provenance::default()
        };
        let plain = Provenance { host: Some("localhost".into()), ..Provenance::default() };
        let access = AccessConfig::default();
        let peer = IpAddr::from([9, 9, 9, 9]);
        assert_eq!(client_address(peer, &provenance, &access), Ok(peer));
        let local = IpAddr::from([127, 0, 0, 1]);
        let is_local = |provenance: &Provenance, access: &AccessConfig| {
            super::super::Identity::of_request(local, provenance, access).unwrap().is_local
        };
        assert!(is_local(&plain, &access));
        // Through a proxy that adds nothing, a stranger may call no name.
        assert!(!is_local(&Provenance::default(), &access));
        // A proxy of this machine, whether it is known to be one or not.
        assert!(!is_local(&provenance, &access));
        let trusted_proxies = vec![local.into()];
        let access = AccessConfig { trusted_proxies, ..AccessConfig::default() };
        assert!(!is_local(&provenance, &access));
        assert!(!is_local(&plain, &access));
    }

    proptest! {
        #[test]
        fn what_strangers_write_does_not_change_the_client(text in "[ -~]{0,60}") {
            let field = format!("{text}, 9.9.9.9, 10.1.1.1");
            let found = client(ForwardedField::XForwardedFor, &field);
            prop_assert_eq!(found.as_deref(), Some("9.9.9.9"));
            for last in ["for=9.9.9.9", "for=\"[2600::1]\""] {
                let found = client(ForwardedField::Forwarded, &format!("{text}, {last}"));
                prop_assert!(found.is_none_or(|found| last.contains(&found)));
            }
        }
    }
}

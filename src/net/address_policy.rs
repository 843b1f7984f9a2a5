//! Which addresses an upstream may have: the door that keeps strangers out of our network.
//!
//! Checked where the connection is made, on every hop, after DNS, so that no spelling of an
//! address and no name that points inwards gets round it. Must never connect.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use ipnet::{Ipv4Net, Ipv6Net};
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use url::{Host, Url};

use crate::config::{self, HostPattern, Proxy};
use crate::net::address_family::{Families, no_such_family};
use crate::net::{proxy, target};

/// What may be connected to: what is public, plus `allow`, minus `deny`.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    /// Reachable although not public.
    pub allow: Vec<HostPattern>,
    /// Not reachable although public, or allowed.
    pub deny: Vec<HostPattern>,
    /// Whether names are looked up by a proxy, out of our sight.
    pub behind_proxy: bool,
}

impl AddressPolicy {
    /// Whether `host`, which resolved to `address`, may be connected to.
    pub fn permits(&self, host: &str, address: IpAddr) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        // An IPv4 address in IPv6 clothes is judged as what it is.
        let address = address.to_canonical();
        let named = |patterns: &[HostPattern], address| {
            patterns.iter().any(|pattern| pattern.matches(&host, address))
        };
        // One that leads on to another address must not lead to a denied one.
        let denied = named(&self.deny, address)
            || embedded(address).is_some_and(|inner| named(&self.deny, inner.into()));
        !denied && (named(&self.allow, address) || is_public(address))
    }
}

impl AddressPolicy {
    /// Those of the addresses that `host` resolved to which may be connected to; `None` if none of
    /// them may. They are connected to as they are: a name that leads somewhere else the next time
    /// is judged anew, the next time.
    pub(crate) fn permitted(
        &self,
        host: &str,
        mut found: Vec<SocketAddr>,
    ) -> Option<Vec<SocketAddr>> {
        let was_empty = found.is_empty();
        found.retain(|address| self.permits(host, address.ip()));
        (was_empty || !found.is_empty()).then_some(found)
    }

    /// Whether the upstream's `host` may be given to a proxy, which will look it up where we
    /// cannot see what comes of it: an address is judged as one, and a name by itself.
    pub fn permits_unseen(&self, host: &str) -> bool {
        // As whoever looks it up might read it: 127.1 and 0x7f000001 are addresses, too.
        let host = match host.parse().map_or_else(|_| Host::parse(host), |v6| Ok(Host::Ipv6(v6))) {
            Ok(Host::Ipv4(address)) => return self.permits(host, address.into()),
            Ok(Host::Ipv6(address)) => return self.permits(host, address.into()),
            Ok(Host::Domain(name)) => name.trim_end_matches('.').to_owned(),
            Err(_) => return false,
        };
        let named = |patterns: &[HostPattern]| patterns.iter().any(|pattern| pattern.names(&host));
        !named(&self.deny) && (named(&self.allow) || !is_local_name(&host))
    }
}

impl AddressPolicy {
    /// As the configuration wants it.
    pub fn from_config(config: &config::UpstreamConfig) -> AddressPolicy {
        let behind_proxy = config.proxy.is_some();
        AddressPolicy { allow: config.allow.clone(), deny: config.deny.clone(), behind_proxy }
    }

    /// Whether a page may be read that somebody else fetches, who looks its host up again: all that
    /// it leads to now must be permitted. One that is not found leads nowhere.
    pub fn permits_page(&self, link: &Url) -> bool {
        let host = link.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if self.behind_proxy {
            return self.permits_unseen(host);
        }
        let port = link.port_or_known_default().unwrap_or(80);
        let found = (host, port).to_socket_addrs();
        found.map_or(true, |mut found| found.all(|address| self.permits(host, address.ip())))
    }
}

/// Names that lead inwards wherever they are looked up: those of one label, and those under the
/// domains that are set aside for it (RFC 6761, RFC 6762 with its appendix G, RFC 8375, ICANN
/// for `internal`).
fn is_local_name(host: &str) -> bool {
    const LOCAL: [&str; 10] = [
        "localhost",
        "localdomain",
        "local",
        "internal",
        "intranet",
        "private",
        "corp",
        "home",
        "lan",
        "home.arpa",
    ];
    let under = |domain: &&str| host.strip_suffix(*domain).is_some_and(|rest| rest.ends_with('.'));
    !host.contains('.') || LOCAL.iter().any(under)
}

/// Networks that are not part of the public internet, or that lead back out of IPv6 into them
/// (IANA special-purpose address registries, RFC 6890 and later).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(segments: [u16; 3], prefix: u8) -> Ipv6Net {
    let [a, b, c] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

const SPECIAL_V4: [Ipv4Net; 16] = [
    v4(0, 0, 0, 0, 8),       // this network
    v4(10, 0, 0, 0, 8),      // private
    v4(100, 64, 0, 0, 10),   // carrier-grade NAT
    v4(127, 0, 0, 0, 8),     // loopback
    v4(169, 254, 0, 0, 16),  // link-local, and the clouds' metadata service
    v4(172, 16, 0, 0, 12),   // private
    v4(192, 0, 0, 0, 24),    // IETF protocol assignments
    v4(192, 0, 2, 0, 24),    // documentation
    v4(192, 31, 196, 0, 24), // AS112
    v4(192, 52, 193, 0, 24), // automatic multicast tunnelling
    v4(192, 88, 99, 0, 24),  // 6to4 relays
    v4(192, 168, 0, 0, 16),  // private
    v4(198, 18, 0, 0, 15),   // benchmarks
    v4(198, 51, 100, 0, 24), // documentation
    v4(203, 0, 113, 0, 24),  // documentation
    v4(224, 0, 0, 0, 3),     // multicast, reserved, broadcast
];

const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0], 3);
const SPECIAL_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0, 0], 23),         // IETF protocol assignments, Teredo among them
    v6([0x2001, 0xdb8, 0], 32),     // documentation
    v6([0x3fff, 0, 0], 20),         // documentation
    v6([0x2620, 0x4f, 0x8000], 48), // AS112
];
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0], 96);
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0], 16);

/// The IPv4 address that a translator (RFC 6052) or a 6to4 relay (RFC 3056) makes of this one.
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let octets = v6.octets();
    let at = if NAT64.contains(&v6) {
        12
    } else if SIX_TO_FOUR.contains(&v6) {
        2
    } else {
        return None;
    };
    octets.get(at..)?.first_chunk().copied().map(<[u8; 4]>::into)
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4.iter().any(|net| net.contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = embedded(address.into()) {
        return is_public_v4(inner);
    }
    GLOBAL_V6.contains(&address) && !SPECIAL_V6.iter().any(|net| net.contains(&address))
}

/// ureq's resolver with the policy in it: only addresses that may be connected to come out.
#[derive(Debug)]
pub(crate) struct PolicyResolver {
    pub(crate) policy: AddressPolicy,
    pub(crate) families: Arc<Families>,
    /// What all connections lead through: then these are the proxy's own addresses.
    pub(crate) proxy: Option<Proxy>,
}

/// No address of the host may be connected to. Travels through ureq as its `Error::Other`.
#[derive(Debug)]
pub(crate) struct Refused {
    host: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a public address; the operator can allow it in upstream.allow",
            self.host
        )
    }
}

impl std::error::Error for Refused {}

impl Resolver for PolicyResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (host, port) = target(uri);
        let refused = || ureq::Error::Other(Box::new(Refused { host: host.into() }));
        // getaddrinfo cannot be interrupted; resolv.conf bounds it (5 s and 2 tries a server by
        // default). A thread to abandon it in would outlive its stream.
        let found: Vec<SocketAddr> = match &self.proxy {
            Some(_) if !self.policy.permits_unseen(host) => return Err(refused()),
            Some(proxy) => proxy::addresses(proxy)
                .map_err(|error| io::Error::other(format!("cannot look up the proxy: {error}")))?
                .collect(),
            None => {
                let found = (host, port).to_socket_addrs();
                let found = found.map_err(|_| ureq::Error::HostNotFound)?.collect();
                let permitted = self.policy.permitted(host, found).ok_or_else(refused)?;
                self.families.order(permitted).ok_or_else(no_such_family)?
            }
        };
        let mut addresses = self.empty();
        for address in found.into_iter().take(MAX_ADDRESSES) {
            addresses.push(address);
        }
        if addresses.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(addresses) }
    }
}

/// ureq's array has room for so many.
const MAX_ADDRESSES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(policy: &AddressPolicy, address: &str) -> bool {
        policy.permits("host.example", address.parse().unwrap())
    }

    #[test]
    fn inner_addresses_are_refused_in_every_clothing() {
        let policy = AddressPolicy::default();
        for address in [
            "127.0.0.1",
            "127.255.255.254",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.19.255.255",
            "203.0.113.7",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd12:3456::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fec0::1",
            "100::1",
        ] {
            assert!(!permits(&policy, address), "{address} got through");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(permits(&policy, address), "{address} was refused");
        }
    }

    #[test]
    fn a_name_that_answers_differently_is_judged_each_time() {
        let policy = AddressPolicy::default();
        let at = |address: &str| -> SocketAddr { address.parse().unwrap() };
        let judge = |found: &[&str]| {
            policy.permitted("films.example", found.iter().map(|address| at(address)).collect())
        };
        assert_eq!(judge(&["1.1.1.1:80"]), Some(vec![at("1.1.1.1:80")]));
        assert_eq!(judge(&["127.0.0.1:80"]), None);
        assert_eq!(judge(&["10.0.0.1:80", "1.1.1.1:80"]), Some(vec![at("1.1.1.1:80")]));
        assert_eq!(judge(&[]), Some(vec![]));
    }

    #[test]
    fn what_is_given_to_a_proxy_is_judged_by_its_name() {
        let pattern = |text: &str| text.parse::<HostPattern>().unwrap();
        let (allow, deny) = (vec![pattern("nas.lan")], vec![pattern(".bad.example")]);
        let policy = AddressPolicy { allow, deny, behind_proxy: false };
        for host in ["films.example", "FILMS.example.", "1.1.1.1", "2606:4700::1111", "nas.lan"] {
            assert!(policy.permits_unseen(host), "{host}");
        }
        for host in [
            "localhost",
            "localhost.localdomain",
            "LOCALHOST.",
            "a.localhost",
            "router",
            "tv.lan",
            "x.internal",
            "::1",
            "127.0.0.1",
            "169.254.169.254",
            "::ffff:10.0.0.1",
            "a.home.arpa",
            "printer.local",
            "cdn.bad.example",
            // Addresses, to whoever looks them up.
            "127.1",
            "127.0.0.1.",
            "169.254.43518",
            "0x7f000001",
            "0177.0.0.1",
            "①27.0.0.1",
            "films.example\r\nX: y",
            "",
        ] {
            assert!(!policy.permits_unseen(host), "{host}");
        }
    }

    #[test]
    fn allow_opens_and_deny_closes() {
        let pattern = |text: &str| text.parse::<HostPattern>().unwrap();
        let policy = AddressPolicy {
            allow: vec![pattern("192.168.1.0/24"), pattern("nas.lan"), pattern(".home.arpa")],
            deny: vec![pattern("8.8.8.8"), pattern("::ffff:9.9.9.0/120"), pattern("bad.example")],
            behind_proxy: true,
        };
        assert!(permits(&policy, "192.168.1.7"));
        assert!(permits(&policy, "::ffff:192.168.1.7"));
        assert!(!permits(&policy, "192.168.2.7"));
        for spelling in ["8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"] {
            assert!(!permits(&policy, spelling), "{spelling}");
        }
        assert!(!permits(&policy, "9.9.9.9"));
        let inner = "10.0.0.1".parse().unwrap();
        assert!(policy.permits("NAS.lan.", inner));
        assert!(policy.permits("tv.home.arpa", inner));
        assert!(!policy.permits("nas.lan.evil.example", inner));
        assert!(!policy.permits("evilhome.arpa", inner));
        assert!(!policy.permits("bad.example", "1.1.1.1".parse().unwrap()));
    }
}

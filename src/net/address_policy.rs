//! The address policy: which addresses upstreams may have, so that no request reaches this host or the
//! operator's network.
//!
//! Checked where the connection is made, on every hop, after DNS, so that no spelling of an address
//! and no name that points inwards evades it.
//!
//! **API boundary:** nothing here connects.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use ipnet::{Ipv4Net, Ipv6Net};
use url::{Host, Url};

use crate::config::{self, HostPattern, Ports};
use crate::net::nearby::is_nearby;
use crate::net::target;

/// Permits public addresses, plus `allow`, minus `deny`.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    /// Permitted although not public.
    pub allow: Vec<HostPattern>,
    /// Refused although public, or allowed.
    pub deny: Vec<HostPattern>,
    /// The ports that upstreams may have; those in `allow` may have any.
    pub ports: Ports,
    /// Whether a proxy resolves names, beyond the control of this policy.
    pub behind_proxy: bool,
}

/// What the policy says of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Refused,
    /// It is public: the ports of media servers are permitted.
    Public,
    /// It is in `allow`: all ports are permitted.
    Allowed,
}

impl AddressPolicy {
    /// Returns whether `host`, which resolved to `address`, may be connected to.
    pub fn permits(&self, host: &str, address: IpAddr) -> bool {
        self.standing(host, address) != Standing::Refused
    }

    fn standing(&self, host: &str, address: IpAddr) -> Standing {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        // An IPv4-mapped IPv6 address is checked as an IPv4 address.
        let address = address.to_canonical();
        let named = |patterns: &[HostPattern], address| {
            patterns.iter().any(|pattern| pattern.matches(&host, address))
        };
        // An address that embeds another one must not lead to a denied one.
        let is_denied = named(&self.deny, address)
            || embedded(address).is_some_and(|inner| named(&self.deny, inner.into()));
        match () {
            () if is_denied => Standing::Refused,
            () if named(&self.allow, address) => Standing::Allowed,
            () if is_public(address) && !is_inward(address) => Standing::Public,
            () => Standing::Refused,
        }
    }

    fn permits_port(&self, standing: Standing, port: u16) -> bool {
        match standing {
            Standing::Refused => false,
            Standing::Public => self.ports.permit(port),
            Standing::Allowed => true,
        }
    }

    /// Returns the permitted ones of the addresses that `host` resolved to; `None` if none is.
    /// Connections are made to these addresses, not to the name, so a name that resolves
    /// differently the next time is checked anew.
    pub(crate) fn permitted(
        &self,
        host: &str,
        mut addresses: Vec<SocketAddr>,
    ) -> Option<Vec<SocketAddr>> {
        let was_empty = addresses.is_empty();
        addresses.retain(|address| self.permits_socket(host, *address));
        (was_empty || !addresses.is_empty()).then_some(addresses)
    }

    /// Returns whether `host`, which resolved to `address`, may be connected to on its port.
    fn permits_socket(&self, host: &str, address: SocketAddr) -> bool {
        self.permits_port(self.standing(host, address.ip()), address.port())
    }

    /// Returns why `host` is not connected to on this port, and the remedy.
    pub(crate) fn refusal(&self, host: &str, port: u16) -> String {
        if self.ports.permit(port) {
            format!(
                "{host:?} is not a public address outside of this server's network; the operator can \
                 allow it in upstream.allow"
            )
        } else {
            format!(
                "port {port} of {host:?} is none that media servers have; the operator can permit it in \
                 upstream.ports"
            )
        }
    }

    /// Returns whether `host` may be given to a proxy, which resolves it out of sight: an address
    /// is checked as one, and a name by itself.
    pub fn permits_unseen(&self, host: &str, port: u16) -> bool {
        self.permits_port(self.standing_unseen(host), port)
    }

    fn standing_unseen(&self, host: &str) -> Standing {
        // Parsed as tolerantly as any resolver might: 127.1 and 0x7f000001 are addresses, too.
        let host = match host.parse().map_or_else(|_| Host::parse(host), |v6| Ok(Host::Ipv6(v6))) {
            Ok(Host::Ipv4(address)) => return self.standing(host, address.into()),
            Ok(Host::Ipv6(address)) => return self.standing(host, address.into()),
            Ok(Host::Domain(name)) => name.trim_end_matches('.').to_owned(),
            Err(_) => return Standing::Refused,
        };
        let named = |patterns: &[HostPattern]| patterns.iter().any(|pattern| pattern.names(&host));
        match () {
            () if named(&self.deny) => Standing::Refused,
            () if named(&self.allow) => Standing::Allowed,
            () if is_local_name(&host) => Standing::Refused,
            () => Standing::Public,
        }
    }
}

impl AddressPolicy {
    /// Makes the policy that the configuration describes.
    pub fn from_config(config: &config::UpstreamConfig) -> AddressPolicy {
        let behind_proxy = config.proxy.is_some();
        AddressPolicy {
            allow: config.allow.clone(),
            deny: config.deny.clone(),
            ports: config.ports.clone(),
            behind_proxy,
        }
    }

    /// Returns whether a page may be read by yt-dlp, which resolves the host again: all current
    /// addresses must be permitted. A host that does not resolve is permitted, as it leads nowhere.
    pub fn permits_page(&self, page_url: &Url) -> bool {
        let (host, port) = target(page_url);
        if self.behind_proxy {
            return self.permits_unseen(host, port);
        }
        let addresses = (host, port).to_socket_addrs();
        addresses.map_or(true, |mut addresses| {
            addresses.all(|address| self.permits_socket(host, address))
        })
    }
}

/// Returns whether a public address leads to this host or its network, also through a translator.
fn is_inward(address: IpAddr) -> bool {
    is_nearby(address) || embedded(address).is_some_and(|inner| is_nearby(inner.into()))
}

/// Returns whether a name leads inwards wherever it is resolved: names of one label, and those
/// under reserved domains (RFC 6761, RFC 6762 with its appendix G, RFC 8375, ICANN for `internal`).
pub(crate) fn is_local_name(host: &str) -> bool {
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

/// Returns whether an address is part of the public internet, and does not lead from IPv6 back into
/// a special-purpose network (IANA special-purpose address registries, RFC 6890 and later).
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

const SPECIAL_V4: [Ipv4Net; 17] = [
    v4(0, 0, 0, 0, 8),        // this network
    v4(10, 0, 0, 0, 8),       // private
    v4(100, 64, 0, 0, 10),    // carrier-grade NAT
    v4(127, 0, 0, 0, 8),      // loopback
    v4(168, 63, 129, 16, 32), // the metadata service of Azure
    v4(169, 254, 0, 0, 16),   // link-local, and the metadata service of other clouds
    v4(172, 16, 0, 0, 12),    // private
    v4(192, 0, 0, 0, 24),     // IETF protocol assignments
    v4(192, 0, 2, 0, 24),     // documentation
    v4(192, 31, 196, 0, 24),  // AS112
    v4(192, 52, 193, 0, 24),  // automatic multicast tunnelling
    v4(192, 88, 99, 0, 24),   // 6to4 relays
    v4(192, 168, 0, 0, 16),   // private
    v4(198, 18, 0, 0, 15),    // benchmarks
    v4(198, 51, 100, 0, 24),  // documentation
    v4(203, 0, 113, 0, 24),   // documentation
    v4(224, 0, 0, 0, 3),      // multicast, reserved, broadcast
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

/// Returns the IPv4 address to which a translator (RFC 6052) or a 6to4 relay (RFC 3056) maps this
/// one.
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
            "168.63.129.16",
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
        let judge = |addresses: &[&str]| {
            policy.permitted("films.example", addresses.iter().map(|address| at(address)).collect())
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
        let policy = AddressPolicy { allow, deny, ..AddressPolicy::default() };
        for host in ["films.example", "FILMS.example.", "1.1.1.1", "2606:4700::1111", "nas.lan"] {
            assert!(policy.permits_unseen(host, 443), "{host}");
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
            // Addresses, to some resolvers.
            "127.1",
            "127.0.0.1.",
            "169.254.43518",
            "0x7f000001",
            "0177.0.0.1",
            "①27.0.0.1",
            "films.example\r\nX: y",
            "",
        ] {
            assert!(!policy.permits_unseen(host, 443), "{host}");
        }
    }

    #[test]
    fn allow_opens_and_deny_closes() {
        let pattern = |text: &str| text.parse::<HostPattern>().unwrap();
        let policy = AddressPolicy {
            allow: vec![pattern("192.168.1.0/24"), pattern("nas.lan"), pattern(".home.arpa")],
            deny: vec![pattern("8.8.8.8"), pattern("::ffff:9.9.9.0/120"), pattern("bad.example")],
            behind_proxy: true,
            ports: Ports::default(),
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

//! A client as limits see it: its address, and the networks, or the token, that it counts in.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::net;

/// A client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    address: IpAddr,
    standing: Standing,
    token: Option<TokenLimits>,
}

/// What a client counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A network.
    Network(IpNet),
    /// A token, by its id.
    Token(u64),
}

/// What a token has in place of what a client without one has: limits, and cookies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenLimits {
    /// What tells it from others.
    pub id: u64,
    /// Maximum number of simultaneous downloads, instead of `limits.streams_per_client`.
    pub streams: Option<u32>,
    /// Maximum number of ffmpeg processes, instead of `limits.muxers_per_client`.
    pub muxers: Option<u32>,
    /// Maximum number of pages read in an hour.
    pub pages_per_hour: Option<u32>,
    /// Maximum number of bytes sent in a day.
    pub bytes_per_day: Option<u64>,
    /// Whether pages are read with a file of cookies of its own.
    pub has_cookies: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Many clients may have this address.
    Shared,
    /// In the network of the operator.
    Near,
    /// In the internet.
    Far,
}

impl Client {
    /// Returns the client with this address. It is near in `local`, in private networks, in IPv6 networks that
    /// this machine is attached to, and on this machine itself. A public IPv4 network that it is attached to
    /// is that of a provider, with the machines of strangers.
    pub fn new(address: IpAddr, local: &[IpNet]) -> Client {
        let address = address.to_canonical();
        let is_near = local.iter().any(|network| network.contains(&address)) || is_near(address);
        let standing = if is_near { Standing::Near } else { Standing::Far };
        Client { address, standing, token: None }
    }

    /// Returns the client with an address that others share: that of a proxy.
    pub fn shared(address: IpAddr) -> Client {
        Client { address: address.to_canonical(), standing: Standing::Shared, token: None }
    }

    /// Returns the client with a token. Whoever uses the token counts as one client, wherever they are.
    pub fn with_token(self, token: TokenLimits) -> Client {
        Client { token: Some(token), ..self }
    }

    /// Returns the address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns whether the client is in the internet, where one person has many addresses.
    pub fn is_far(&self) -> bool {
        self.standing == Standing::Far
    }

    /// Returns the id of its token, if that has a file of cookies of its own.
    pub fn token_with_cookies(&self) -> Option<u64> {
        self.token.filter(|token| token.has_cookies).map(|token| token.id)
    }

    /// Returns the limits of its token.
    pub(super) fn token(&self) -> Option<TokenLimits> {
        self.token
    }

    /// Returns whether nothing is known of the client but its address in the internet.
    pub(super) fn is_stranger(&self) -> bool {
        self.is_far() && self.token.is_none()
    }

    /// Returns what the client counts in, the smallest first.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> + use<> {
        let token = self.token.map(|token| Key::Token(token.id));
        let networks = self.networks().filter(move |_| token.is_none()).map(Key::Network);
        token.into_iter().chain(networks)
    }

    /// Returns the networks that the client counts in, the smallest first. An IPv6 client has a complete /64
    /// to choose addresses from; providers give /56 and /48 to those who ask, and rent neighbouring IPv4
    /// addresses.
    fn networks(&self) -> impl Iterator<Item = IpNet> + use<> {
        let prefixes: &[u8] = match (self.standing, self.address) {
            (Standing::Shared, _) => &[],
            (Standing::Near, IpAddr::V4(_)) => &[32],
            (Standing::Near, IpAddr::V6(_)) => &[64],
            (Standing::Far, IpAddr::V4(_)) => &[32, 24],
            (Standing::Far, IpAddr::V6(_)) => &[64, 56, 48],
        };
        let address = self.address;
        prefixes.iter().filter_map(move |len| Some(IpNet::new(address, *len).ok()?.trunc()))
    }
}

fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || net::is_nearby(address)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(address: &str) -> Vec<String> {
        let client = Client::new(address.parse().unwrap(), &["9.8.0.0/16".parse().unwrap()]);
        client.networks().map(|network| network.to_string()).collect()
    }

    #[test]
    fn clients_count_in_the_networks_that_one_person_may_have() {
        for (address, expected) in [
            ("127.0.0.1", &["127.0.0.1/32"][..]),
            ("::ffff:10.1.2.3", &["10.1.2.3/32"]),
            ("9.8.7.6", &["9.8.7.6/32"]),
            ("9.9.9.9", &["9.9.9.9/32", "9.9.9.0/24"]),
            // Behind the address translation of a provider are its other customers.
            ("100.64.1.2", &["100.64.1.2/32", "100.64.1.0/24"]),
            ("fd00::1", &["fd00::/64"]),
            ("2600:1:2:345::1", &["2600:1:2:345::/64", "2600:1:2:300::/56", "2600:1:2::/48"]),
        ] {
            assert_eq!(networks(address), expected, "{address}");
        }
        assert_eq!(Client::shared([9, 9, 9, 9].into()).networks().count(), 0);
    }
}

//! `[access]`: who may use the server, where clients are, and by which names they may call it.

use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};

use super::{HostPattern, ListenAddress};

/// `[access]`: who may use the server, where clients are, and by which names they may call it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessConfig {
    /// Who may use the server without a token.
    pub mode: AccessMode,
    /// The file of the tokens.
    pub tokens_file: Option<PathBuf>,
    /// The names by which clients may call the server, beside addresses, local names and that of the machine.
    pub hosts: Vec<HostPattern>,
    /// Networks whose clients are near, beside private ones and those of this machine.
    #[serde(deserialize_with = "networks")]
    pub local: Vec<IpNet>,
    /// Networks of reverse proxies, whose word on the address of a client is taken.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// The field in which they tell it.
    pub forwarded: ForwardedField,
}

/// Who may use the server without a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessMode {
    /// `Open` while the server listens on loopback addresses only, else `Local`. A Unix socket is for a proxy.
    #[default]
    Auto,
    /// Everybody.
    Open,
    /// Clients that are near.
    Local,
    /// Nobody.
    Closed,
}

impl AccessMode {
    /// Returns the mode of a server that listens on these addresses; it is not `Auto`.
    pub fn resolve(self, listen: &[ListenAddress]) -> AccessMode {
        match self {
            AccessMode::Auto if listen.iter().all(ListenAddress::is_loopback) => AccessMode::Open,
            AccessMode::Auto => AccessMode::Local,
            mode => mode,
        }
    }
}

/// The field that names the clients of a proxy. There is one, because a proxy passes on the other one as it
/// came from the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedField {
    /// X-Forwarded-For
    #[default]
    XForwardedFor,
    /// Forwarded (RFC 7239)
    Forwarded,
}

/// Networks, or single addresses.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let patterns = Vec::<HostPattern>::deserialize(deserializer)?;
    let network = |pattern| match pattern {
        HostPattern::Net(network) => Ok(network),
        HostPattern::Name(name) => Err(de::Error::custom(format!(
            "{name:?} is a name; write a network (\"10.0.0.0/8\") or an address"
        ))),
    };
    patterns.into_iter().map(network).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_others_reach_is_open_only_if_that_is_written() {
        for (listen, expected) in [
            ("127.0.0.1:80", AccessMode::Open),
            ("[::1]:80", AccessMode::Open),
            ("[::ffff:127.0.0.1]:80", AccessMode::Open),
            ("0.0.0.0:80", AccessMode::Local),
            ("[::]:80", AccessMode::Local),
            ("10.0.0.1:80", AccessMode::Local),
            ("unix:/run/a", AccessMode::Local),
        ] {
            let listen = [listen.parse().unwrap(), "127.0.0.2:80".parse().unwrap()];
            assert_eq!(AccessMode::Auto.resolve(&listen), expected, "{listen:?}");
            for mode in [AccessMode::Open, AccessMode::Local, AccessMode::Closed] {
                assert_eq!(mode.resolve(&listen), mode);
            }
        }
    }
}

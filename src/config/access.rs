//! `[access]`: where clients are, and by which names they may call the server.

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};

use super::HostPattern;

/// `[access]`: where clients are, and by which names they may call the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessConfig {
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

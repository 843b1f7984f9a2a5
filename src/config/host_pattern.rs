//! Networks, addresses and host names in the configuration.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Deserializer, de};

/// One entry of `upstream.allow` or `upstream.deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// A network such as `192.168.1.0/24`, or one address.
    Net(IpNet),
    /// A host name such as `nas.lan`; with a leading dot, all names below it.
    Name(String),
}

impl HostPattern {
    fn parse(text: &str) -> Option<HostPattern> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(HostPattern::Net(address.to_canonical().into()));
        }
        if text.contains(['/', ':']) {
            return text.parse().ok().map(canonical).map(HostPattern::Net);
        }
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        (!name.is_empty() && name.chars().all(is_allowed)).then_some(HostPattern::Name(name))
    }

    /// Returns whether it matches `host` (in lower case), which resolved to `address`.
    pub fn matches(&self, host: &str, address: IpAddr) -> bool {
        match self {
            HostPattern::Net(net) => net.contains(&address),
            HostPattern::Name(_) => self.names(host),
        }
    }

    /// Returns whether it matches `host` (in lower case), whatever that resolves to.
    pub fn names(&self, host: &str) -> bool {
        match self {
            HostPattern::Net(_) => false,
            HostPattern::Name(name) if name.starts_with('.') => host.ends_with(name.as_str()),
            HostPattern::Name(name) => host == name,
        }
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<HostPattern, String> {
        HostPattern::parse(text).ok_or_else(|| {
            format!(
                "{text:?} is neither a network (\"192.168.1.0/24\"), an address nor a host name"
            )
        })
    }
}

impl<'de> Deserialize<'de> for HostPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HostPattern, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Converts a network of IPv4-mapped IPv6 addresses to IPv4.
fn canonical(net: IpNet) -> IpNet {
    match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(v4) => Ipv4Net::new(v4, v6.prefix_len() - 96).map_or(net, IpNet::V4),
            None => net,
        },
        net => net,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_are_none() {
        for text in ["", "10.0.0.0/33", "http://x/", "a b", "*.example"] {
            assert_eq!(HostPattern::parse(text), None, "{text:?}");
        }
    }
}

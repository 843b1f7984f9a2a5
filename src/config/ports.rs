//! Port ranges in the configuration.

use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// The ports that upstreams may have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Ports(Vec<PortRange>);

/// A port such as `443`, or a range such as `1024-65535`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PortRange(RangeInclusive<u16>);

/// Ports of other protocols, whose servers might take a request for something else: those above 1023 that
/// browsers block ("bad ports" in the Fetch standard), and those of databases. Permitted only by themselves.
const OTHER_PROTOCOLS: [u16; 24] = [
    1719, 1720, 1723, 2049, 3306, 3659, 4045, 4190, 5060, 5061, 5432, 6000, 6379, 6566, 6665, 6666,
    6667, 6668, 6669, 6679, 6697, 10080, 11211, 27017,
];

impl Ports {
    /// Returns whether an upstream may have this port.
    pub fn permit(&self, port: u16) -> bool {
        let is_single = |range: &PortRange| range.0.start() == range.0.end();
        let mut matching = self.0.iter().filter(|range| range.0.contains(&port));
        matching.any(|range| is_single(range) || !OTHER_PROTOCOLS.contains(&port))
    }
}

impl Default for Ports {
    /// HTTP, HTTPS, and the ports that anyone may listen on.
    fn default() -> Ports {
        Ports([80..=80, 443..=443, 1024..=u16::MAX].map(PortRange).to_vec())
    }
}

impl PortRange {
    fn parse(text: &str) -> Option<PortRange> {
        let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = port(first)?..=port(last)?;
        (!range.is_empty()).then_some(PortRange(range))
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<PortRange, String> {
        let message =
            || format!("{text:?} is neither a port (\"443\") nor a range (\"1024-65535\")");
        PortRange::parse(text).ok_or_else(message)
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PortRange, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(text: &[&str]) -> Ports {
        Ports(text.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn other_protocols_are_permitted_by_themselves_only() {
        let default = Ports::default();
        assert_eq!(default, ports(&["80", "443", "1024-65535"]));
        for port in [80, 443, 1024, 8080, 8443, 65_535] {
            assert!(default.permit(port), "{port}");
        }
        for port in [0, 1, 22, 25, 110, 587, 1023, 3306, 5432, 6000, 6379, 6667, 11_211] {
            assert!(!default.permit(port), "{port}");
        }
        let own = ports(&["6379", "6000-7000"]);
        assert_eq!(
            [6379, 6380, 6667, 443].map(|port| own.permit(port)),
            [true, true, false, false]
        );
    }

    #[test]
    fn ranges_that_are_none() {
        for text in ["", "0", "-", "80-", "90-80", "65536", "http", "80,443"] {
            assert!(PortRange::parse(text).is_none(), "{text:?}");
        }
    }
}

//! Chooses between IPv4 and IPv6 for connections to upstreams.
//!
//! Sites bind media URLs to the address that read the page, and a name may have addresses of both
//! families. So yt-dlp and the media fetcher make the same choice: the family that worked last goes
//! first, until it fails and the other one works. One choice for the daemon, instead of one per
//! page, is simple, and right as soon as a page has been read: if the family changes in between,
//! the media URLs are refused and the page is read again with the family that works now. The first
//! choice is the system's (RFC 6724).
//!
//! **API boundary:** nothing here resolves names.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::config::AddressFamily;

/// The choice of all connections to upstreams.
#[derive(Debug, Default)]
pub(crate) struct Families {
    configured: AddressFamily,
    /// The family that goes first, 4 or 6; 0 until one has worked.
    first: AtomicU8,
}

impl Families {
    /// Makes the choice that the configuration prescribes.
    pub(crate) fn new(configured: AddressFamily) -> Families {
        Families { configured, first: AtomicU8::new(0) }
    }

    /// Filters and sorts the addresses of a name; `None` if there are some and none is permitted.
    pub(crate) fn order(&self, mut addresses: Vec<SocketAddr>) -> Option<Vec<SocketAddr>> {
        let was_empty = addresses.is_empty();
        let first = self.first.load(Ordering::Relaxed);
        match self.configured {
            AddressFamily::Ipv4 => addresses.retain(|address| family(*address) == 4),
            AddressFamily::Ipv6 => addresses.retain(|address| family(*address) == 6),
            AddressFamily::Auto if first > 0 => {
                addresses.sort_by_key(|address| family(*address) != first);
            }
            AddressFamily::Auto => {}
        }
        (was_empty || !addresses.is_empty()).then_some(addresses)
    }

    /// Records that a connection to `address`, out of `all`, was made.
    pub(crate) fn record_success(&self, address: SocketAddr, all: &[SocketAddr]) {
        let is_choice = all.iter().any(|other| family(*other) != family(address));
        if is_choice {
            self.first.store(family(address), Ordering::Relaxed);
        }
    }
}

fn family(address: SocketAddr) -> u8 {
    if address.ip().to_canonical().is_ipv4() { 4 } else { 6 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(all: &[&str]) -> Vec<SocketAddr> {
        all.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn what_worked_goes_first_until_it_fails() {
        let families = Families::default();
        let both = addresses(&["[::2]:80", "[::1]:80", "1.1.1.1:80", "1.1.1.2:80"]);
        let order = |some: &[SocketAddr]| families.order(some.to_vec()).unwrap();
        assert_eq!(order(&both), both);
        // Without addresses of both families it was no choice.
        families.record_success(both[2], &both[2..]);
        assert_eq!(order(&both), both);
        families.record_success(both[2], &both);
        let other = [&both[2..], &both[..2]].concat();
        assert_eq!(order(&both), other);
        assert_eq!(order(&both[..2]), both[..2]);
        families.record_success(both[0], &both);
        assert_eq!(order(&other), both);
    }

    #[test]
    fn only_what_is_wanted_is_tried() {
        let both = addresses(&["[::1]:80", "[::ffff:1.1.1.2]:80", "1.1.1.1:80"]);
        let configured = |family| Families::new(family).order(both.clone());
        assert_eq!(configured(AddressFamily::Ipv4).unwrap(), both[1..]);
        assert_eq!(configured(AddressFamily::Ipv6).unwrap(), both[..1]);
        assert_eq!(Families::new(AddressFamily::Ipv6).order(both[1..].to_vec()), None);
    }
}

//! Whether upstreams are connected to by IPv4 or by IPv6.
//!
//! Sites bind the URLs of media to the address from which their page was read, and a name may have
//! addresses of both families. So what reads pages and what fetches media choose alike: the family that
//! worked the last time goes first, until it fails and the other one works. That this is kept for the
//! daemon, and not for each page, is simple, and right as soon as a page has been read: should the family
//! change in between, the media are refused, and the page is read again, by the one that works now.
//! Which of the two goes first at the beginning is the system's choice (RFC 6724). Must never look a
//! name up.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::config::AddressFamily;

/// The choice of all that connects to upstreams.
#[derive(Debug, Default)]
pub struct Families {
    wanted: AddressFamily,
    /// The one that goes first, 4 or 6; 0 before it has shown.
    first: AtomicU8,
}

impl Families {
    /// As the configuration wants it.
    pub fn new(wanted: AddressFamily) -> Families {
        Families { wanted, first: AtomicU8::new(0) }
    }

    /// Those of the addresses of a name that may be tried, in their order; `None` if there are some and
    /// none of them may.
    pub(crate) fn order(&self, mut found: Vec<SocketAddr>) -> Option<Vec<SocketAddr>> {
        let was_empty = found.is_empty();
        let first = self.first.load(Ordering::Relaxed);
        match self.wanted {
            AddressFamily::Ipv4 => found.retain(|address| family(*address) == 4),
            AddressFamily::Ipv6 => found.retain(|address| family(*address) == 6),
            AddressFamily::Auto if first > 0 => {
                found.sort_by_key(|address| family(*address) != first);
            }
            AddressFamily::Auto => {}
        }
        (was_empty || !found.is_empty()).then_some(found)
    }

    /// Of these addresses this one could be connected to.
    pub(crate) fn record_success(&self, address: SocketAddr, all: &[SocketAddr]) {
        let is_choice = all.iter().any(|other| family(*other) != family(address));
        if is_choice {
            self.first.store(family(address), Ordering::Relaxed);
        }
    }
}

/// A name has addresses, but none of the family that is wanted.
pub(crate) fn no_such_family() -> io::Error {
    io::Error::other("its name has no address of the kind that upstream.family wants")
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
        let arranged = |some: &[SocketAddr]| families.order(some.to_vec()).unwrap();
        assert_eq!(arranged(&both), both);
        // One without a choice says nothing of the other.
        families.record_success(both[2], &both[2..]);
        assert_eq!(arranged(&both), both);
        families.record_success(both[2], &both);
        let other = [&both[2..], &both[..2]].concat();
        assert_eq!(arranged(&both), other);
        assert_eq!(arranged(&both[..2]), both[..2]);
        families.record_success(both[0], &both);
        assert_eq!(arranged(&other), both);
    }

    #[test]
    fn only_what_is_wanted_is_tried() {
        let both = addresses(&["[::1]:80", "[::ffff:1.1.1.2]:80", "1.1.1.1:80"]);
        let wanted = |family| Families::new(family).order(both.clone());
        assert_eq!(wanted(AddressFamily::Ipv4).unwrap(), both[1..]);
        assert_eq!(wanted(AddressFamily::Ipv6).unwrap(), both[..1]);
        assert_eq!(Families::new(AddressFamily::Ipv6).order(both[1..].to_vec()), None);
    }
}

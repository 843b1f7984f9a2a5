//! Tells addresses of this host and of its own networks from those of the internet. They may be public: a
//! server's own address leads past its firewall, and a home's IPv6 addresses lead to its other devices.
//!
//! The kernel's routing table decides, asked by datagram sockets that send nothing; a sandbox without
//! netlink permits that, too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use crate::sys;

/// Any port: nothing is sent there.
const DISCARD: u16 = 9;
/// Addresses for documentation (RFC 5737, RFC 3849, RFC 9637), which are in no network, in pairs: a lab may
/// use one of them.
const IN_NO_NETWORK_V4: [Ipv4Addr; 2] =
    [Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 1)];
const IN_NO_NETWORK_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 1)];

/// Returns whether `address` belongs to this host, or is on a network that an interface is attached to.
pub(crate) fn is_nearby(address: IpAddr) -> bool {
    is_own(address) || is_on_link(address) && !is_all_on_link(address)
}

/// Returns whether `address` belongs to this host: only then a packet to it has it as its source, too.
fn is_own(address: IpAddr) -> bool {
    let source = UdpSocket::bind((unspecified(address), 0)).and_then(|socket| {
        socket.connect((address, DISCARD))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address)
}

/// Returns whether `address` is reached without a gateway.
fn is_on_link(address: IpAddr) -> bool {
    let connected = UdpSocket::bind((unspecified(address), 0)).and_then(|socket| {
        sys::set_dontroute(&socket)?;
        socket.connect((address, DISCARD))
    });
    connected.is_ok()
}

/// Returns whether everything is reached without a gateway, as over a tunnel or a dial-up line: then that
/// tells nothing of an address of this family.
fn is_all_on_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => IN_NO_NETWORK_V4.iter().all(|address| is_on_link((*address).into())),
        IpAddr::V6(_) => IN_NO_NETWORK_V6.iter().all(|address| is_on_link((*address).into())),
    }
}

fn unspecified(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

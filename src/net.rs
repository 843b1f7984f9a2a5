//! Addresses, proxies, and the SOCKS gateway that holds yt-dlp's connections to the address policy.
//!
//! **Invariant:** no connection to an upstream is opened to an address that [`AddressPolicy`] does
//! not permit, whatever name, redirect or encoding led to it.

use url::Url;

pub(crate) mod address_family;
pub mod address_policy;
pub(crate) mod dial;
mod nearby;
pub(crate) mod proxy;
mod socks_gateway;

pub use address_policy::AddressPolicy;
pub(crate) use address_policy::is_local_name;
pub use dial::{Dialer, Refused};
pub(crate) use nearby::is_nearby;
pub use socks_gateway::SocksGateway;

/// Returns host (IPv6 without brackets) and port of a URL.
pub(crate) fn target(url: &Url) -> (&str, u16) {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (host, url.port_or_known_default().unwrap_or(80))
}

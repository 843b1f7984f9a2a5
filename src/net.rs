//! Addresses, proxies, and the SOCKS gateway that holds yt-dlp's connections to the address policy.
//!
//! **Invariant:** no connection to an upstream is opened to an address that [`AddressPolicy`] does
//! not permit, whatever name, redirect or encoding led to it.

use ureq::http::Uri;

pub(crate) mod address_family;
pub mod address_policy;
pub(crate) mod proxy;
mod socks_gateway;

pub use address_family::Families;
pub use address_policy::AddressPolicy;
pub use socks_gateway::SocksGateway;

/// Returns host (IPv6 without brackets) and port of a URL.
pub(crate) fn target(uri: &Uri) -> (&str, u16) {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
        Some("https") => 443,
        _ => 80,
    });
    (host, port)
}

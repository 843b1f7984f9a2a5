//! Parses the values of options. An error says what to write; clap names the option and the value.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::HumanDuration;

/// Parses an address with its port.
pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write an address with a port, such as 127.0.0.1:8080 or [::1]:8080")
}

/// Parses a time that something lasts, which is not 0.
pub(super) fn lifetime(text: &str) -> Result<Duration, &'static str> {
    HumanDuration::parse(text)
        .map(|duration| duration.0)
        .filter(|lifetime| lifetime.as_secs() > 0)
        .ok_or("write a time such as 30m, 12h or 30d")
}

/// Removes the spaces around an entry of a list.
#[expect(clippy::unnecessary_wraps, reason = "clap's parsers may fail")]
pub(super) fn list_entry(text: &str) -> Result<String, &'static str> {
    Ok(text.trim().to_owned())
}

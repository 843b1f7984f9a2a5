//! The names by which clients may call this server.
//!
//! The owner of a domain can let its name lead to any address, this server's included (DNS rebinding). To a
//! browser, a page under that name is then of one origin with this server, and may read all its answers. So
//! names are refused that only such an owner can have chosen.

use url::Host;

use crate::config::{AccessConfig, HostPattern};
use crate::net;
use crate::problem::Problem;
use crate::problem_code::ProblemCode;

/// The names of this server.
#[derive(Debug)]
pub struct HostRule {
    hosts: Vec<HostPattern>,
    /// The name of the machine.
    own: Option<String>,
}

impl HostRule {
    /// Returns the rule of the configuration, on a machine of this name.
    pub fn new(access: &AccessConfig, own: Option<String>) -> HostRule {
        HostRule { hosts: access.hosts.clone(), own: own.map(|own| own.to_ascii_lowercase()) }
    }

    /// Checks the name by which a request calls this server, with or without a port. Browsers always send one;
    /// an HTTP/1.0 client need not.
    pub fn check(&self, called: Option<&str>) -> Result<(), Problem> {
        match called.map(str::trim).filter(|called| !called.is_empty()) {
            Some(called) if !self.is_own(called) => Err(Problem::new(
                ProblemCode::HostUnknown,
                "this server does not know the host name by which it was called; if it is its name, add it to \
                 access.hosts in its configuration",
            )),
            _ => Ok(()),
        }
    }

    fn is_own(&self, called: &str) -> bool {
        // As tolerant of spellings as browsers: 127.1 is an address.
        match Host::parse(split_port(called).0) {
            Ok(Host::Ipv4(_) | Host::Ipv6(_)) => true,
            Ok(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                net::is_local_name(name)
                    || self.own.as_deref() == Some(name)
                    || self.hosts.iter().any(|pattern| pattern.names(name))
            }
            Err(_) => false,
        }
    }
}

/// Returns whether a request that is called by this name can come from this machine by itself: by an address of
/// the loopback network, or a local name. A stranger may name none, through a proxy that adds nothing.
pub(super) fn is_local(called: Option<&str>) -> bool {
    match called.map(|called| Host::parse(split_port(called).0)) {
        None => false,
        Some(Ok(Host::Ipv4(address))) => address.is_loopback(),
        Some(Ok(Host::Ipv6(address))) => address.to_canonical().is_loopback(),
        Some(Ok(Host::Domain(name))) => net::is_local_name(name.trim_end_matches('.')),
        Some(Err(_)) => false,
    }
}

/// Splits `host:port`, where the port may be missing.
pub(super) fn split_port(authority: &str) -> (&str, Option<&str>) {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => (host, Some(port).filter(|port| !port.is_empty())),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_no_stranger_can_have_chosen_are_ours() {
        let hosts = ["video.example", ".home.example"].map(|host| host.parse().unwrap());
        let access = AccessConfig { hosts: hosts.into(), ..AccessConfig::default() };
        let rule = HostRule::new(&access, Some("Box.Example.net".into()));
        for called in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:8080",
            "9.9.9.9",
            "127.1:80",
            "localhost:8080",
            "LOCALHOST.",
            "nas",
            "nas:8080",
            "nas.lan",
            "nas.local.:80",
            "nas.home.arpa",
            "a.localhost",
            "video.example",
            "Video.Example:443",
            "a.home.example",
            "box.example.net",
            "",
        ] {
            assert!(rule.check(Some(called)).is_ok(), "{called}");
        }
        for called in [
            "evil.example",
            "evil.example:8080",
            "video.example.evil.example",
            "home.example",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "evil.example,localhost",
            "lan.example",
            "[::1]evil.example",
            "[evil.example]",
            "::1",
            "a b",
            "nas.lan/",
        ] {
            let problem = rule.check(Some(called)).unwrap_err();
            assert_eq!((problem.status, problem.code.as_str()), (421, "host-unknown"), "{called}");
            assert!(problem.detail.contains("access.hosts"), "{}", problem.detail);
        }
        assert!(rule.check(None).is_ok());
    }

    #[test]
    fn what_a_proxy_passes_on_is_not_of_this_machine() {
        for called in ["127.0.0.1:8080", "[::1]:8080", "localhost", "nas:80"] {
            assert!(is_local(Some(called)), "{called}");
        }
        for called in ["video.example", "9.9.9.9", "[2001:db8::1]:80", "a b"] {
            assert!(!is_local(Some(called)), "{called}");
        }
    }
}

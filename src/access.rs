//! Who a request comes from, by which name it calls this server, which website made it, and whether it may be
//! carried out.
//!
//! **Invariant:** pure, except for the file of the tokens; a field that strangers can write makes nobody nearer
//! or more trusted, and one that is wrong makes nobody anonymous.

use std::net::IpAddr;

use crate::config::AccessConfig;
use crate::limits::Client;
use crate::problem::Problem;
use crate::problem_code::ProblemCode;
use crate::request_id::RequestId;

mod authorize;
mod cacheable;
mod credential;
mod forwarded;
mod host;
mod seal;
pub mod session;
pub mod signature;
mod token_store;
pub mod tokens;
mod website;

pub use authorize::{Application, Grant, Need, authorize};
pub use cacheable::Audience;
pub use credential::{Credential, Secret};
pub use forwarded::{Unusable, client_address};
pub use host::HostRule;
pub use seal::{Claim, ClaimError, TokenHash, now};
pub use token_store::{TokenStore, is_readable_by_others, read_tokens};
pub use website::{Initiator, SET_PAGE_COOKIE};

/// The header fields that tell where a request comes from, as received; a repeated one is joined by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Host, or the host of the target.
    pub host: Option<String>,
    /// Origin
    pub origin: Option<String>,
    /// Sec-Fetch-Site
    pub fetch_site: Option<String>,
    /// Sec-Fetch-Mode
    pub fetch_mode: Option<String>,
    /// Sec-Fetch-Dest
    pub fetch_dest: Option<String>,
    /// User-Agent
    pub user_agent: Option<String>,
    /// Cookie
    pub cookie: Option<Secret>,
    /// Authorization
    pub authorization: Option<Secret>,
    /// X-Forwarded-For
    pub x_forwarded_for: Option<String>,
    /// X-Forwarded-Proto
    pub x_forwarded_proto: Option<String>,
    /// Forwarded
    pub forwarded: Option<String>,
    /// X-Request-Id
    pub request_id: Option<String>,
    /// Whether there is any field that proxies add.
    pub is_proxied: bool,
}

/// The client of a request.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// The client as limits see it.
    pub client: Client,
    /// Whether it is on this machine, with no proxy in between.
    pub is_local: bool,
    /// Whether it is known to be in the network of the operator, and its address to be its own.
    pub is_near: bool,
    /// Whether it is known to speak TLS, with a proxy.
    pub is_https: bool,
}

impl Identity {
    /// Returns the identity of a connection of which no request is known yet. A peer on this machine may be a
    /// proxy that the configuration does not name.
    pub fn of_peer(peer: IpAddr, access: &AccessConfig) -> Identity {
        let peer = peer.to_canonical();
        let is_shared = peer.is_loopback() || is_trusted(peer, access);
        let client =
            if is_shared { Client::shared(peer) } else { Client::new(peer, &access.local) };
        Identity { client, is_local: false, is_near: false, is_https: false }
    }

    /// Returns the identity of the client of a request.
    pub fn of_request(
        peer: IpAddr,
        provenance: &Provenance,
        access: &AccessConfig,
    ) -> Result<Identity, Problem> {
        let peer = peer.to_canonical();
        let address = client_address(peer, provenance, access).map_err(|Unusable(field)| {
            let detail = format!("the field {field} of the proxy names no address of a client");
            Problem::new(ProblemCode::BadRequest, detail)
        })?;
        let is_trusted = is_trusted(peer, access);
        let is_proxied = provenance.is_proxied || is_trusted;
        let client = Client::new(address, &access.local);
        // A proxy that adds no field may pass on the name by which it was called.
        let is_called_locally = host::is_local(provenance.host.as_deref());
        let is_local = peer.is_loopback() && !is_proxied && is_called_locally;
        // The address is that of a proxy, which names no client or whose word is not taken.
        let is_hidden = match address.is_loopback() {
            true => !is_local,
            false => self::is_trusted(address, access) || (is_proxied && !is_trusted),
        };
        let is_https = forwarded::is_https(peer, provenance, access);
        Ok(Identity { client, is_local, is_near: !client.is_far() && !is_hidden, is_https })
    }
}

/// Returns the name that a trusted proxy has given a request, if it is one that the log may have.
pub fn request_id(
    peer: IpAddr,
    provenance: &Provenance,
    access: &AccessConfig,
) -> Option<RequestId> {
    let given =
        provenance.request_id.as_deref().filter(|_| is_trusted(peer.to_canonical(), access));
    given.and_then(RequestId::parse)
}

/// Returns whether `peer` is a proxy whose word is taken.
fn is_trusted(peer: IpAddr, access: &AccessConfig) -> bool {
    access.trusted_proxies.iter().any(|network| network.contains(&peer))
}

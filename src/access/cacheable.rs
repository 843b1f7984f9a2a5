//! Which caches may keep the response to a request: those that many share, or only that of the client.
//!
//! **Invariant:** a response to a request that showed anything by which somebody may be known is for its client
//! alone, whether this server looks at that or not: a proxy in front may.

use super::{Provenance, signature, website};
use crate::config::AccessMode;

/// Who may get the response to a request from a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Everybody who reaches the cache: the server would have let them in.
    Everybody,
    /// The client that sent the request.
    Client,
}

impl Audience {
    /// Returns the audience of a response of a server with this mode, which is not `Auto`.
    pub fn new(mode: AccessMode, provenance: &Provenance, target: &str) -> Audience {
        let Provenance { authorization, cookie, .. } = provenance;
        let is_open = mode == AccessMode::Open;
        // The cookie of the page says nothing about who has it.
        let is_known = cookie.as_ref().is_some_and(|cookies| {
            cookies.reveal().split([';', ',']).any(|cookie| !website::is_page_cookie(cookie))
        });
        match is_open && authorization.is_none() && !is_known && signature::claim(target).is_none()
        {
            true => Audience::Everybody,
            false => Audience::Client,
        }
    }

    /// Returns the value of Cache-Control for a response that may be kept for so many seconds. Never `public`:
    /// that would let a cache keep what was requested with an Authorization that a proxy removed on the way
    /// here (RFC 9111 §3.5).
    pub fn cache_control(self, max_age: u64) -> String {
        match (max_age, self) {
            (0, _) => "no-store".into(),
            (_, Audience::Everybody) => format!("max-age={max_age}"),
            (_, Audience::Client) => format!("private, max-age={max_age}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Secret;

    fn audience(mode: AccessMode, fields: (Option<&str>, Option<&str>), target: &str) -> Audience {
        let (authorization, cookie) = fields;
        let provenance = Provenance {
            authorization: authorization.map(Secret::new),
            cookie: cookie.map(Secret::new),
            ..Provenance::default()
        };
        Audience::new(mode, &provenance, target)
    }

    #[test]
    fn only_what_everybody_gets_without_showing_anything_is_for_everybody() {
        use AccessMode::{Closed, Local, Open};
        let nothing = (None, None);
        let page = (None, Some("ytcanal-page=1"));
        for (mode, fields, target, expected) in [
            (Open, nothing, "/mux?video=a", Audience::Everybody),
            (Open, page, "/mux?video=a", Audience::Everybody),
            (Open, nothing, "/mux?video=a&name=sig", Audience::Everybody),
            (Local, nothing, "/mux?video=a", Audience::Client),
            (Closed, nothing, "/mux?video=a", Audience::Client),
            (Open, (Some("Basic dTphYmM="), None), "/mux?video=a", Audience::Client),
            (Open, (Some(""), None), "/mux?video=a", Audience::Client),
            (Open, (None, Some("ytcanal-page=1; proxy=me")), "/mux?video=a", Audience::Client),
            (Open, (None, Some("ytcanal-session=a.1.b")), "/mux?video=a", Audience::Client),
            (Open, (None, Some("")), "/mux?video=a", Audience::Client),
            (Open, nothing, "/mux?video=a&by=me&exp=1&sig=x", Audience::Client),
            (Open, nothing, "/mux?video=a&s%69g=x", Audience::Client),
        ] {
            assert_eq!(audience(mode, fields, target), expected, "{mode:?} {fields:?} {target}");
        }
    }
}

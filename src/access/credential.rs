//! What a client shows to be let in: the secret of a token, a session of the page, or the signature of a link.
//!
//! **Invariant:** whatever is there is shown: a field that cannot be read is a wrong one, and not none. Secrets
//! are in no output of `Debug`.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine};

use super::{Claim, Provenance, session, signature};

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns `text` as a secret.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// Returns the text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// What a client shows.
#[derive(Debug, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    None,
    /// The secret of a token, as a Bearer token (RFC 6750 §2.1).
    Bearer(Secret),
    /// The secret of a token, as the password of any user (RFC 7617). Browsers send it by themselves.
    Basic(Secret),
    /// An Authorization that is neither.
    Unusable,
    /// The signature of a link.
    Link(Claim),
    /// The session of a browser.
    Session(Claim),
}

impl Credential {
    /// Returns what the client shows: Authorization, else a signature, else the cookie for its connection, with
    /// or without TLS.
    pub fn new(provenance: &Provenance, target: &str, is_https: bool) -> Credential {
        if let Some(field) = &provenance.authorization {
            return authorization(field.reveal()).unwrap_or(Credential::Unusable);
        }
        let session = || session::claim(provenance.cookie.as_ref()?.reveal(), is_https);
        match signature::claim(target) {
            Some(claim) => Credential::Link(claim),
            None => session().map_or(Credential::None, Credential::Session),
        }
    }

    /// Returns whether it can be guessed.
    pub fn is_secret(&self) -> bool {
        matches!(self, Credential::Bearer(_) | Credential::Basic(_) | Credential::Unusable)
    }

    /// Returns whether a website cannot have made the browser show this.
    pub fn is_deliberate(&self) -> bool {
        matches!(self, Credential::Bearer(_) | Credential::Link(_))
    }
}

/// Parses the value of Authorization (RFC 9110 §11.6.2).
fn authorization(field: &str) -> Option<Credential> {
    let (scheme, value) = field.split_once(' ')?;
    let value = value.trim_start_matches(' ');
    let is_shown = |secret: &&str| !secret.is_empty();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value).filter(is_shown).map(|secret| Credential::Bearer(Secret::new(secret)));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let login = String::from_utf8(BASE64_STANDARD.decode(value).ok()?).ok()?;
    let (_, password) = login.split_once(':')?;
    Some(password).filter(is_shown).map(|secret| Credential::Basic(Secret::new(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(authorization: Option<&str>, cookie: Option<&str>, target: &str) -> Credential {
        let is_https = cookie.is_some_and(|cookie| cookie.starts_with("__Host-"));
        let provenance = Provenance {
            authorization: authorization.map(Secret::new),
            cookie: cookie.map(Secret::new),
            ..Provenance::default()
        };
        Credential::new(&provenance, target, is_https)
    }

    #[test]
    fn what_is_there_is_shown() {
        use Credential::{Basic, Bearer, None as Nothing, Unusable};
        for (field, expected) in [
            ("Bearer abc", Bearer(Secret::new("abc"))),
            ("bearer  a b", Bearer(Secret::new("a b"))),
            ("Basic dTphYmM=", Basic(Secret::new("abc"))),
            ("BASIC OmE6YmM=", Basic(Secret::new("a:bc"))),
            ("Basic dTo=", Unusable),
            ("Basic dTphYmM", Unusable),
            ("Basic YWJj", Unusable),
            ("Basic !", Unusable),
            ("Basic OoA=", Unusable),
            ("Bearer ", Unusable),
            ("Bearer", Unusable),
            ("", Unusable),
            ("Digest username=\"a\"", Unusable),
            ("abc", Unusable),
        ] {
            // Nothing else counts beside it.
            for cookie in [None, Some("ytcanal-session=x")] {
                assert_eq!(shown(Some(field), cookie, "/mux?sig=a"), expected, "{field}");
            }
        }
        let session = Some("a=b; ytcanal-session=x.1.y");
        let name = |credential| match credential {
            Credential::Link(claim) => format!("link of {}", claim.name()),
            Credential::Session(claim) => format!("session of {}", claim.name()),
            other => format!("{other:?}"),
        };
        assert_eq!(name(shown(None, session, "/")), "session of x");
        assert_eq!(name(shown(None, Some("__Host-ytcanal-session=z"), "/")), "session of z");
        for target in ["/mux?by=eve&sig=a", "/mux?by=eve", "/mux?by=eve&sig="] {
            assert_eq!(name(shown(None, session, target)), "link of eve");
        }
        assert_eq!(shown(None, Some("ytcanal-page=1"), "/mux?design=1"), Nothing);
    }

    #[test]
    fn secrets_are_not_printed() {
        let printed = format!("{:?}", shown(Some("Bearer abc"), None, "/"));
        assert_eq!(printed, "Bearer((hidden))");
    }
}

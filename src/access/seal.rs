//! Claims that a token vouches for: a name, until a time, with a code that only who has the token can make.
//!
//! The key of a code is derived from the hash of the token, so there is no further secret to keep, and what
//! is removed with the token ends with it. Each purpose has its own key: a link is never a session.
//!
//! **Invariant:** a code is compared in constant time, and a name that nobody has costs the same work.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use ring::hmac::{self, HMAC_SHA256};

/// The longest time for which a token vouches.
pub(super) const MAX_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// The SHA-256 hash of a token.
pub type TokenHash = [u8; 32];

/// What a code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Link,
    Session,
}

/// A claim as it came, not verified.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    pub(super) purpose: Purpose,
    /// The name of the token; untrusted.
    pub(super) name: String,
    /// Seconds since 1970; `None` if it is no such number.
    pub(super) expires: Option<u64>,
    /// What was signed.
    pub(super) message: String,
    pub(super) code: String,
}

/// Why a claim is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimError {
    /// The code is not that of this claim and token, or it claims to last longer than is possible.
    Wrong,
    /// It was right, and its time is over.
    Expired,
}

impl Claim {
    /// Returns the name of the token that is said to vouch for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Verifies the claim by the hash of the token of this name, `None` if there is none, at a time in seconds
    /// since 1970.
    pub fn verify(&self, token: Option<&TokenHash>, now: u64) -> Result<(), ClaimError> {
        let key = key(self.purpose, token.unwrap_or(&[0; 32]));
        // The decoder takes one spelling of each code only.
        let code = BASE64_URL_SAFE_NO_PAD.decode(&self.code).unwrap_or_default();
        let is_right = hmac::verify(&key, self.message.as_bytes(), &code).is_ok();
        let latest = now.saturating_add(MAX_LIFETIME.as_secs());
        match self.expires {
            Some(expires) if is_right && token.is_some() && expires <= latest => {
                (now < expires).then_some(()).ok_or(ClaimError::Expired)
            }
            _ => Err(ClaimError::Wrong),
        }
    }
}

/// Returns the code by which a token vouches for a message.
pub(super) fn code(purpose: Purpose, token: &TokenHash, message: &str) -> String {
    let tag = hmac::sign(&key(purpose, token), message.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(tag)
}

fn key(purpose: Purpose, token: &TokenHash) -> hmac::Key {
    let label = match purpose {
        Purpose::Link => "ytcanal link 1",
        Purpose::Session => "ytcanal session 1",
    };
    let derived = hmac::sign(&hmac::Key::new(HMAC_SHA256, token), label.as_bytes());
    hmac::Key::new(HMAC_SHA256, derived.as_ref())
}

/// Parses seconds since 1970; there is one spelling of each.
pub(super) fn seconds(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}

/// Returns the current time in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "who signs may be another machine, at another time")]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

//! Signed links: a request target with the name of a token (`by`), the end of its time (`exp`) and a code (`sig`)
//! by which that token vouches for this one request.
//!
//! **Invariant:** everything of a target is signed; what two targets with one code can differ in is the order
//! and the encoding of their parameters.

use std::time::Duration;

use super::seal::{self, Claim, MAX_LIFETIME, Purpose, TokenHash};
use crate::form::{self, FormError};

/// The parameters of a signature.
pub const PARAMETERS: [&str; 3] = [BY, EXPIRES, CODE];
const BY: &str = "by";
const EXPIRES: &str = "exp";
const CODE: &str = "sig";

/// The time for which a link is signed unless another one is requested.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// Why a link is not signed.
#[derive(Debug, PartialEq, Eq)]
pub enum SigningError {
    /// It has a signature already.
    Signed,
    /// The time is none, or longer than 30 days.
    Lifetime,
    /// The query cannot be read.
    Query(FormError),
}

/// Returns the claim of a signed target; `None` if nothing in it is of a signature.
pub fn claim(target: &str) -> Option<Claim> {
    let (path, query) = target.split_once('?')?;
    // Routes refuse a query that cannot be read.
    let parameters = form::parse(query).ok()?;
    if !PARAMETERS.iter().any(|name| value(&parameters, name).is_some()) {
        return None;
    }
    let text = |name| value(&parameters, name).unwrap_or_default();
    Some(Claim {
        purpose: Purpose::Link,
        name: text(BY).to_owned(),
        expires: seal::seconds(text(EXPIRES)),
        message: message(path, &parameters),
        code: text(CODE).to_owned(),
    })
}

/// A target with its signature.
#[derive(Debug, PartialEq, Eq)]
pub struct SignedTarget {
    /// The target.
    pub target: String,
    /// When it ends, in seconds since 1970.
    pub expires: u64,
}

/// Returns a target with the signature of a token, which lasts for `lifetime` from now, in seconds since 1970.
pub fn sign(
    target: &str,
    (name, token): (&str, &TokenHash),
    lifetime: Duration,
    now: u64,
) -> Result<SignedTarget, SigningError> {
    if lifetime.as_secs() == 0 || lifetime > MAX_LIFETIME {
        return Err(SigningError::Lifetime);
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut parameters = form::parse(query).map_err(SigningError::Query)?;
    if PARAMETERS.iter().any(|name| value(&parameters, name).is_some()) {
        return Err(SigningError::Signed);
    }
    let expires = now.saturating_add(lifetime.as_secs());
    let text = expires.to_string();
    parameters.extend([(BY.into(), name.into()), (EXPIRES.into(), text.clone())]);
    let code = seal::code(Purpose::Link, token, &message(path, &parameters));
    let signature = form::encode([(BY, name), (EXPIRES, &text), (CODE, &code)]);
    let separator = if query.is_empty() { "" } else { "&" };
    Ok(SignedTarget { target: format!("{path}?{query}{separator}{signature}"), expires })
}

fn value<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = parameters.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

/// Returns what is signed: the path, and the parameters but the code in one order and encoding.
fn message(path: &str, parameters: &[(String, String)]) -> String {
    let signed = parameters.iter().filter(|(name, _)| name != CODE);
    let mut signed: Vec<_> = signed.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    signed.sort_unstable();
    format!("{path}?{}", form::encode(signed))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::seal::ClaimError;
    use super::*;

    const TOKEN: TokenHash = [7; 32];
    const NOW: u64 = 1_800_000_000;
    const TARGET: &str = "/download?url=https%3A%2F%2Fa.example%2Ff%3Fx%3D1&name=a+b&start=";

    fn signed() -> String {
        sign(TARGET, ("eve", &TOKEN), DEFAULT_LIFETIME, NOW).unwrap().target
    }

    fn verify(target: &str, now: u64) -> Result<(), ClaimError> {
        claim(target).ok_or(ClaimError::Wrong)?.verify(Some(&TOKEN), now)
    }

    /// Whether two targets have the same path and parameters.
    fn is_same(one: &str, other: &str) -> bool {
        let parts = |target: &str| {
            let (path, query) = target.split_once('?')?;
            let mut parameters = form::parse(query).ok()?;
            parameters.sort();
            Some((path.to_owned(), parameters))
        };
        parts(one) == parts(other)
    }

    #[test]
    fn a_link_lasts_for_its_time_and_as_long_as_its_token() {
        let link = signed();
        assert!(link.starts_with(&format!("{TARGET}&by=eve&exp={}&sig=", NOW + 43_200)), "{link}");
        assert_eq!(verify(&link, NOW), Ok(()));
        assert_eq!(verify(&link, NOW + 43_199), Ok(()));
        assert_eq!(verify(&link, NOW + 43_200), Err(ClaimError::Expired));
        let claim = claim(&link).unwrap();
        assert_eq!(claim.name(), "eve");
        assert_eq!(claim.verify(Some(&[8; 32]), NOW), Err(ClaimError::Wrong));
        assert_eq!(claim.verify(None, NOW), Err(ClaimError::Wrong));
        // Nor can it be made by whoever knows what stands in for a token that does not exist.
        let nobodys = sign(TARGET, ("eve", &[0; 32]), DEFAULT_LIFETIME, NOW).unwrap();
        assert_eq!(
            super::claim(&nobodys.target).unwrap().verify(None, NOW),
            Err(ClaimError::Wrong)
        );
        // The clock of a server that is behind that of who signs lets no link live longer.
        let longest = sign(TARGET, ("eve", &TOKEN), MAX_LIFETIME, NOW).unwrap();
        assert_eq!(longest.expires, NOW + 2_592_000);
        assert_eq!(verify(&longest.target, NOW), Ok(()));
        assert_eq!(verify(&longest.target, NOW - 1), Err(ClaimError::Wrong));
    }

    #[test]
    fn what_cannot_be_signed() {
        let sign = |target: &str, seconds| {
            sign(target, ("eve", &TOKEN), Duration::from_secs(seconds), NOW)
        };
        assert_eq!(sign(TARGET, 0), Err(SigningError::Lifetime));
        assert_eq!(sign(TARGET, 30 * 24 * 3600 + 1), Err(SigningError::Lifetime));
        assert_eq!(sign(&signed(), 60), Err(SigningError::Signed));
        assert_eq!(sign("/mux?video=a&%65xp=", 60), Err(SigningError::Signed));
        assert_eq!(sign("/mux?a=%ff", 60), Err(SigningError::Query(FormError::Encoding)));
    }

    #[test]
    fn what_is_missing_is_wrong() {
        assert_eq!(claim("/download"), None);
        assert_eq!(claim(TARGET), None);
        let link = signed();
        for left_out in PARAMETERS {
            let (path, query) = link.split_once('?').unwrap();
            let kept = query.split('&').filter(|pair| !pair.starts_with(&format!("{left_out}=")));
            let target = format!("{path}?{}", kept.collect::<Vec<_>>().join("&"));
            assert_eq!(verify(&target, NOW), Err(ClaimError::Wrong), "{target}");
        }
        for empty in ["/download?sig=", "/download?by=eve&exp=&sig=", "/download?exp=+1"] {
            assert_eq!(verify(empty, NOW), Err(ClaimError::Wrong), "{empty}");
        }
    }

    #[test]
    fn order_and_encoding_do_not_matter() {
        let link = signed();
        let (path, query) = link.split_once('?').unwrap();
        let mut pairs: Vec<&str> = query.split('&').collect();
        for _ in 0..pairs.len() {
            pairs.rotate_left(1);
            assert_eq!(verify(&format!("{path}?{}", pairs.join("&")), NOW), Ok(()));
        }
        let spelled = link.replace("a+b", "%61%20b").replace("%3A", ":").replace("%2F", "/");
        assert_ne!(spelled, link);
        assert_eq!(verify(&spelled, NOW), Ok(()));
    }

    proptest! {
        #[test]
        fn no_byte_can_be_changed(at in 0usize..200, byte in b' '..=b'~') {
            let link = signed();
            let at = at % link.len();
            let changed = [&link.as_bytes()[..at], &[byte], &link.as_bytes()[at + 1..]].concat();
            let changed = String::from_utf8(changed).unwrap();
            prop_assert_eq!(verify(&changed, NOW).is_ok(), is_same(&changed, &link), "{}", changed);
        }

        #[test]
        fn nothing_can_be_added_or_left_out(at in 0usize..200, text in "[&=a-z]{0,3}", cut in 0usize..3) {
            let link = signed();
            let at = at % link.len();
            let end = link.len().min(at + cut);
            let changed = format!("{}{text}{}", &link[..at], &link[end..]);
            prop_assert_eq!(verify(&changed, NOW).is_ok(), is_same(&changed, &link), "{}", changed);
        }

        #[test]
        fn any_link_can_be_signed(query in "[a-z0-9&=%+]{0,40}", name in "[a-z0-9_-]{1,9}") {
            if let Ok(link) = sign(&format!("/mux?{query}"), (&name, &TOKEN), DEFAULT_LIFETIME, NOW) {
                prop_assert_eq!(verify(&link.target, NOW), Ok(()));
            }
        }
    }
}

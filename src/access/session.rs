//! The session of a browser: a cookie by which a token vouches for it, so that the server has to remember none.
//!
//! A session ends with its time, with its token, or when the browser forgets the cookie.

use super::seal::{self, Claim, MAX_LIFETIME, Purpose, TokenHash};

/// The names of the cookie. Browsers take one with the prefix from no other host, and without TLS never.
const PLAIN: &str = "ytcanal-session";
const SECURE: &str = "__Host-ytcanal-session";

/// Returns the claim of the session in the value of a Cookie field, on a connection with or without TLS; `None`
/// if there is no session.
pub fn claim(cookies: &str, is_https: bool) -> Option<Claim> {
    let cookies = cookies.split([';', ',']).filter_map(|cookie| cookie.trim().split_once('='));
    let value = cookies.filter(|(name, _)| *name == cookie_name(is_https)).map(|(_, value)| value);
    let value = value.take(1).next()?;
    let (message, code) = value.rsplit_once('.').unwrap_or((value, ""));
    let (name, expires) = message.rsplit_once('.').unwrap_or((message, ""));
    Some(Claim {
        purpose: Purpose::Session,
        name: name.to_owned(),
        expires: seal::seconds(expires),
        message: message.to_owned(),
        code: code.to_owned(),
    })
}

/// Returns the value of Set-Cookie that begins a session, now in seconds since 1970.
pub fn begin((name, token): (&str, &TokenHash), now: u64, is_https: bool) -> String {
    let message = format!("{name}.{}", now.saturating_add(MAX_LIFETIME.as_secs()));
    let code = seal::code(Purpose::Session, token, &message);
    set_cookie(&format!("{message}.{code}"), MAX_LIFETIME.as_secs(), is_https)
}

/// Returns the value of Set-Cookie that ends the session.
pub fn end(is_https: bool) -> String {
    set_cookie("", 0, is_https)
}

fn set_cookie(value: &str, max_age: u64, is_https: bool) -> String {
    let (name, secure) = (cookie_name(is_https), if is_https { "; Secure" } else { "" });
    format!("{name}={value}; Path=/; Max-Age={max_age}; SameSite=Strict; HttpOnly{secure}")
}

fn cookie_name(is_https: bool) -> &'static str {
    if is_https { SECURE } else { PLAIN }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::seal::ClaimError;
    use super::super::signature;
    use super::*;

    const TOKEN: TokenHash = [7; 32];
    const NOW: u64 = 1_800_000_000;

    /// The cookie of a session, as browsers send it.
    fn cookie(is_https: bool) -> String {
        let set = begin(("eve.old-pc", &TOKEN), NOW, is_https);
        set.split_once(';').unwrap().0.to_owned()
    }

    fn verify(cookies: &str, now: u64) -> Result<(), ClaimError> {
        claim(cookies, false).unwrap().verify(Some(&TOKEN), now)
    }

    #[test]
    fn a_session_lasts_for_its_time_and_as_long_as_its_token() {
        let cookie = cookie(false);
        let cookies = format!("a=b; {cookie}; c=d");
        let claim = claim(&cookies, false).unwrap();
        assert_eq!(claim.name(), "eve.old-pc");
        assert_eq!(verify(&cookies, NOW), Ok(()));
        assert_eq!(verify(&cookies, NOW + 2_591_999), Ok(()));
        assert_eq!(verify(&cookies, NOW + 2_592_000), Err(ClaimError::Expired));
        assert_eq!(claim.verify(None, NOW), Err(ClaimError::Wrong));
        assert_eq!(claim.verify(Some(&[8; 32]), NOW), Err(ClaimError::Wrong));
    }

    #[test]
    fn tls_has_a_cookie_of_its_own() {
        let set = begin(("eve", &TOKEN), NOW, true);
        assert!(set.starts_with("__Host-ytcanal-session=eve."), "{set}");
        assert!(set.contains("; Path=/;") && set.ends_with("; HttpOnly; Secure"), "{set}");
        assert!(!begin(("eve", &TOKEN), NOW, false).contains("Secure"));
        assert!(claim(&cookie(true), true).is_some() && claim(&cookie(true), false).is_none());
        assert!(claim(&cookie(false), true).is_none());
        let ended = end(true);
        assert!(ended.starts_with("__Host-ytcanal-session=; Path=/; Max-Age=0;"), "{ended}");
    }

    #[test]
    fn what_is_no_session() {
        for cookies in ["", "ytcanal-page=1", "xytcanal-session=a.1.b", "ytcanal-session"] {
            assert_eq!(claim(cookies, false), None, "{cookies}");
        }
        for value in ["", "eve", "eve.1", "..", "eve..", "eve.99999999999999999999.", "eve.-1.AAAA"]
        {
            let cookie = format!("ytcanal-session={value}");
            assert_eq!(verify(&cookie, NOW), Err(ClaimError::Wrong), "{value}");
        }
    }

    #[test]
    fn a_link_is_no_session_and_a_session_no_link() {
        // Both codes are for one message.
        let message = "/mux?by=eve&exp=1800000009";
        let code = |purpose| seal::code(purpose, &TOKEN, message);
        let link = format!("{message}&sig={}", code(Purpose::Session));
        let claim = signature::claim(&link).unwrap();
        assert_eq!(claim.message, message);
        assert_eq!(claim.verify(Some(&TOKEN), NOW), Err(ClaimError::Wrong));
        let link = format!("{message}&sig={}", code(Purpose::Link));
        assert_eq!(signature::claim(&link).unwrap().verify(Some(&TOKEN), NOW), Ok(()));
    }

    proptest! {
        #[test]
        fn no_byte_can_be_changed(at in 0usize..100, byte in b'!'..=b'~') {
            let cookie = cookie(false);
            let from = "ytcanal-session=".len();
            let at = from + at % (cookie.len() - from);
            prop_assume!(cookie.as_bytes()[at] != byte && !b";,".contains(&byte));
            let changed = [&cookie.as_bytes()[..at], &[byte], &cookie.as_bytes()[at + 1..]].concat();
            let changed = String::from_utf8(changed).unwrap();
            prop_assert_eq!(verify(&changed, NOW), Err(ClaimError::Wrong), "{}", changed);
        }
    }
}

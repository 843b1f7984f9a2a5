//! Cookies of a track, and their scope (RFC 6265 §5.1.3, §5.1.4 and §5.4). Pure.

use ureq::http::HeaderValue;
use url::Url;

/// A cookie with its scope.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    /// `name=value`, as it is sent.
    pub pair: HeaderValue,
    /// Its domain, in lower case and without a leading dot.
    pub domain: String,
    /// Whether it applies to subdomains, too.
    pub subdomains: bool,
    /// Its path; it applies to everything below.
    pub path: String,
    /// Whether it is sent by https only.
    pub secure: bool,
}

impl Cookie {
    /// Returns whether it is sent with a request for `url`.
    fn applies_to(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let is_subdomain = |host: &str| {
            let is_name = matches!(url.host(), Some(url::Host::Domain(_)));
            let rest = host.strip_suffix(&self.domain).and_then(|rest| rest.strip_suffix('.'));
            self.subdomains && is_name && rest.is_some_and(|rest| !rest.is_empty())
        };
        let path = match url.path().strip_prefix(self.path.as_str()) {
            Some(rest) => rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/'),
            None => false,
        };
        (host == self.domain || is_subdomain(host))
            && path
            && (!self.secure || url.scheme() == "https")
    }
}

/// Returns the Cookie field for `url`, if any of `cookies` applies.
pub fn cookie_field(cookies: &[Cookie], url: &Url) -> Option<HeaderValue> {
    let pairs: Vec<&[u8]> =
        cookies.iter().filter(|cookie| cookie.applies_to(url)).map(|c| c.pair.as_bytes()).collect();
    // Joined header values are a valid header value.
    HeaderValue::from_bytes(&pairs.join(&b"; "[..])).ok().filter(|_| !pairs.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_goes_only_where_it_belongs() {
        let cookie = |subdomains, path: &str, secure| Cookie {
            pair: HeaderValue::from_static("a=1"),
            domain: "films.example".into(),
            subdomains,
            path: path.into(),
            secure,
        };
        let applies = |cookie: &Cookie, url: &str| cookie.applies_to(&url.parse().unwrap());
        let narrow = cookie(false, "/v", true);
        assert!(applies(&narrow, "https://FILMS.example/v"));
        assert!(applies(&narrow, "https://films.example/v/1?x"));
        for url in [
            "http://films.example/v",
            "https://films.example/vv",
            "https://films.example/",
            "https://cdn.films.example/v",
        ] {
            assert!(!applies(&narrow, url), "{url}");
        }
        let wide = cookie(true, "/", false);
        assert!(applies(&wide, "http://cdn.films.example/v"));
        for url in ["http://evilfilms.example/", "http://films.example.evil/", "http://10.0.0.1/"] {
            assert!(!applies(&wide, url), "{url}");
        }
        let url = "https://films.example/v".parse().unwrap();
        assert_eq!(cookie_field(&[narrow, wide], &url).unwrap(), "a=1; a=1");
        assert_eq!(cookie_field(&[], &url), None);
    }
}

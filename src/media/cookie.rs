//! Cookies that go with a track, and to whom (RFC 6265 §5.1.3, §5.1.4 and §5.4). Pure.

use ureq::http::HeaderValue;
use url::Url;

/// One cookie.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    /// `name=value`, as it is sent.
    pub pair: HeaderValue,
    /// The host that it is for, in lower case and without a leading dot.
    pub domain: String,
    /// Whether it is for all hosts below that one, too.
    pub subdomains: bool,
    /// The path that it is for, with all below it.
    pub path: String,
    /// Whether it may travel by https only.
    pub secure: bool,
}

impl Cookie {
    /// Whether it is meant for `url`.
    fn is_for(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let below = |host: &str| {
            let is_name = matches!(url.host(), Some(url::Host::Domain(_)));
            let rest = host.strip_suffix(&self.domain).and_then(|rest| rest.strip_suffix('.'));
            self.subdomains && is_name && rest.is_some_and(|rest| !rest.is_empty())
        };
        let path = match url.path().strip_prefix(self.path.as_str()) {
            Some(rest) => rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/'),
            None => false,
        };
        (host == self.domain || below(host)) && path && (!self.secure || url.scheme() == "https")
    }
}

/// The Cookie field for a request of `url`, if any of `cookies` is meant for it.
pub fn cookie_field(cookies: &[Cookie], url: &Url) -> Option<HeaderValue> {
    let pairs: Vec<&[u8]> =
        cookies.iter().filter(|cookie| cookie.is_for(url)).map(|c| c.pair.as_bytes()).collect();
    // What was made of header values is one.
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
        let goes = |cookie: &Cookie, url: &str| cookie.is_for(&url.parse().unwrap());
        let narrow = cookie(false, "/v", true);
        assert!(goes(&narrow, "https://FILMS.example/v"));
        assert!(goes(&narrow, "https://films.example/v/1?x"));
        for url in [
            "http://films.example/v",
            "https://films.example/vv",
            "https://films.example/",
            "https://cdn.films.example/v",
        ] {
            assert!(!goes(&narrow, url), "{url}");
        }
        let wide = cookie(true, "/", false);
        assert!(goes(&wide, "http://cdn.films.example/v"));
        for url in ["http://evilfilms.example/", "http://films.example.evil/", "http://10.0.0.1/"] {
            assert!(!goes(&wide, url), "{url}");
        }
        let url = "https://films.example/v".parse().unwrap();
        assert_eq!(cookie_field(&[narrow, wide], &url).unwrap(), "a=1; a=1");
        assert_eq!(cookie_field(&[], &url), None);
    }
}

//! Cookies of a track, and their scope (RFC 6265 §5.1.3, §5.1.4, §5.3 and §5.4). Pure.

use ureq::http::HeaderValue;
use url::Url;

/// Maximum number of cookies of a track, and length of each.
const MAX_COOKIES: usize = 100;
const MAX_COOKIE: usize = 4 << 10;

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
    /// Parses a Set-Cookie field of a response from `url` (§5.2). `None` if the cookie is malformed, has
    /// expired, or is not for that host.
    ///
    /// A domain is accepted if the host belongs to it and it has at least two labels. That it may be a public
    /// suffix, such as `co.uk`, does not matter: a cookie goes no further than to the hosts that the playlist
    /// of its own download names.
    pub fn from_set_cookie(field: &HeaderValue, url: &Url) -> Option<Cookie> {
        let text = field.to_str().ok().filter(|text| text.len() <= MAX_COOKIE)?;
        let mut parts = text.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        if name.trim().is_empty() {
            return None;
        }
        let pair = format!("{}={}", name.trim_end(), value.trim_start());
        let host = url.host_str()?;
        let mut cookie = Cookie {
            pair: HeaderValue::from_str(&pair).ok()?,
            domain: host.to_owned(),
            subdomains: false,
            path: default_path(url),
            secure: false,
        };
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            match &*name.trim_end().to_ascii_lowercase() {
                "domain" if !value.is_empty() => {
                    let domain = value.trim_start_matches('.').to_ascii_lowercase();
                    cookie.subdomains = domain.contains('.');
                    if domain != host {
                        let all = Cookie { domain, path: "/".into(), ..cookie.clone() };
                        cookie =
                            all.applies_to(url).then(|| Cookie { path: cookie.path, ..all })?;
                    }
                }
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "secure" if url.scheme() == "https" => cookie.secure = true,
                "secure" => return None,
                "max-age" if value.starts_with('-') || value.trim_matches('0').is_empty() => {
                    return None;
                }
                _ => {}
            }
        }
        Some(cookie)
    }

    fn name(&self) -> &[u8] {
        let pair = self.pair.as_bytes();
        pair.split(|byte| *byte == b'=').next().unwrap_or(pair)
    }

    /// Returns whether it replaces another one (§5.3).
    fn replaces(&self, other: &Cookie) -> bool {
        self.name() == other.name() && self.domain == other.domain && self.path == other.path
    }

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

/// Returns the path that a cookie without one has (§5.1.4).
fn default_path(url: &Url) -> String {
    let directory = url.path().rsplit_once('/').map_or("", |(directory, _)| directory);
    if directory.is_empty() { "/".into() } else { directory.to_owned() }
}

/// Adds cookies to those of a track; of too many, the oldest are dropped.
pub fn add_cookies(cookies: &mut Vec<Cookie>, new: Vec<Cookie>) {
    for cookie in new {
        cookies.retain(|other| !cookie.replaces(other));
        cookies.push(cookie);
    }
    cookies.drain(..cookies.len().saturating_sub(MAX_COOKIES));
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
    fn a_response_sets_cookies_for_its_own_site() {
        let set = |field: &'static str, url: &str| {
            let url = url.parse().unwrap();
            Cookie::from_set_cookie(&HeaderValue::from_static(field), &url)
        };
        let shown = |field, url| {
            let Cookie { pair, domain, subdomains, path, secure } = set(field, url)?;
            let pair = pair.to_str().unwrap().to_owned();
            Some((pair, domain, subdomains, path, secure))
        };
        let cookie = |pair: &str, domain: &str, subdomains, path: &str, secure| {
            Some((pair.to_owned(), domain.to_owned(), subdomains, path.to_owned(), secure))
        };
        const URL: &str = "https://cdn.films.example/v/1/list.m3u8?x=/y/";
        let host = "cdn.films.example";
        assert_eq!(shown("a=1", URL), cookie("a=1", host, false, "/v/1", false));
        assert_eq!(
            shown("a=\"1=2\" ; Path=/; HttpOnly; Secure; SameSite=None", URL),
            cookie("a=\"1=2\"", host, false, "/", true)
        );
        assert_eq!(
            shown("a=; domain=.Films.Example; Max-Age=60; Path=x", URL),
            cookie("a=", "films.example", true, "/v/1", false)
        );
        assert_eq!(
            shown("a=1; Domain=cdn.films.example", URL),
            cookie("a=1", host, true, "/v/1", false)
        );
        assert_eq!(
            shown("a=1; Domain=localhost", "http://localhost/list"),
            cookie("a=1", "localhost", false, "/", false)
        );
        for field in [
            "a",
            "=1",
            " =1",
            "a=1; Domain=example",
            "a=1; Domain=other.example",
            "a=1; Domain=x.cdn.films.example",
            "a=1; Domain=ilms.example",
            "a=1; Max-Age=0",
            "a=1; Max-Age=-1",
        ] {
            assert!(set(field, URL).is_none(), "{field}");
        }
        for (field, url) in
            [("a=1; Secure", "http://films.example/"), ("a=1; Domain=0.0.1", "http://10.0.0.1/")]
        {
            assert!(set(field, url).is_none(), "{field}");
        }
    }

    #[test]
    fn a_newer_cookie_replaces_an_older_one() {
        let url = "https://films.example/v/list".parse().unwrap();
        let set = |field: String| {
            Cookie::from_set_cookie(&HeaderValue::from_str(&field).unwrap(), &url).unwrap()
        };
        let mut cookies = vec![set("a=1".into()), set("b=1".into()), set("a=1; Path=/".into())];
        add_cookies(&mut cookies, vec![set("a=2".into())]);
        assert_eq!(cookie_field(&cookies, &url).unwrap(), "b=1; a=1; a=2");
        add_cookies(&mut cookies, (0..200).map(|name| set(format!("c{name}=1"))).collect());
        assert_eq!(cookies.len(), MAX_COOKIES);
        assert_eq!(cookies[99].name(), b"c199");
    }

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

//! Cookies as yt-dlp tells them of a format: those of all Set-Cookie fields in one line. Pure.

use ureq::http::HeaderValue;

use crate::media::Cookie;

/// More than a site sets.
const MAX_COOKIES: usize = 100;

/// Reads `name=value; Domain=.films.example; Path=/; Secure; Expires=1; name=value; Domain=...`.
/// A cookie without a domain is for nobody.
pub(super) fn read(line: &str) -> Vec<Cookie> {
    let mut cookies: Vec<Cookie> = Vec::new();
    for part in parts(line) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = name.trim();
        let known = name.to_ascii_lowercase();
        let described = cookies.last_mut().is_some_and(|cookie| describe(cookie, &known, value));
        if !described && cookies.len() < MAX_COOKIES {
            cookies.extend(cookie(name, value));
        }
    }
    cookies.retain(|cookie| !cookie.domain.is_empty());
    cookies
}

/// Takes note of what is said of a cookie, if this is such a thing.
fn describe(cookie: &mut Cookie, name: &str, value: &str) -> bool {
    match name {
        "domain" => {
            cookie.subdomains = value.starts_with('.');
            cookie.domain = value.trim_start_matches('.').to_ascii_lowercase();
        }
        "path" => cookie.path = plain(value),
        "secure" => cookie.secure = true,
        "expires" | "max-age" | "version" | "httponly" | "samesite" | "comment" => {}
        _ => return false,
    }
    true
}

fn cookie(name: &str, value: &str) -> Option<Cookie> {
    let pair = HeaderValue::from_str(&format!("{name}={}", plain(value))).ok()?;
    let path = "/".into();
    Some(Cookie { pair, domain: String::new(), subdomains: false, path, secure: false })
}

/// What stands between semicolons, but for those within quotes.
fn parts(line: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    line.split(move |letter| {
        let ends = letter == ';' && !quoted;
        quoted ^= letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
}

/// A value without the quotes and escapes (`\"`, `\073`) that Python puts around odd ones.
fn plain(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut plain = String::new();
    let mut rest = inner;
    while let Some((before, after)) = rest.split_once('\\') {
        plain += before;
        let octal = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (octal, after.chars().next()) {
            (Some(byte), _) => {
                plain.push(char::from(byte));
                rest = &after[3..];
            }
            (None, Some(letter)) => {
                plain.push(letter);
                rest = &after[letter.len_utf8()..];
            }
            (None, None) => rest = "",
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_with_what_they_are_for() {
        let cookies = read(
            "a=1; Domain=.films.example; Path=/v; Secure; Expires=1795690209; \
             b=\"x\\073 \\\"y\\\"\"; Domain=films.example; Path=/; lost=1",
        );
        let told: Vec<_> = cookies
            .iter()
            .map(|c| (c.pair.to_str().unwrap(), &*c.domain, c.subdomains, &*c.path, c.secure))
            .collect();
        assert_eq!(
            told,
            [
                ("a=1", "films.example", true, "/v", true),
                ("b=x; \"y\"", "films.example", false, "/", false),
            ]
        );
        assert!(read("").is_empty() && read("; ;=").is_empty() && read("Domain=x").is_empty());
        assert!(read("a=1\r\nb; Domain=x").is_empty());
    }
}

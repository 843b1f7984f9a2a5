//! Parses the cookies of a format in yt-dlp's JSON: those of all Set-Cookie fields in one line.
//! Pure.

use ureq::http::HeaderValue;

use crate::media::Cookie;

/// More than a site sets.
const MAX_COOKIES: usize = 100;

/// Parses `name=value; Domain=.films.example; Path=/; Secure; Expires=1; name=value; Domain=...`. A
/// cookie without a domain is dropped.
pub(super) fn read(line: &str) -> Vec<Cookie> {
    let mut cookies: Vec<Cookie> = Vec::new();
    for field in fields(line) {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let name = name.trim();
        let lower = name.to_ascii_lowercase();
        let is_attribute =
            cookies.last_mut().is_some_and(|cookie| apply_attribute(cookie, &lower, value));
        if !is_attribute && cookies.len() < MAX_COOKIES {
            cookies.extend(cookie(name, value));
        }
    }
    cookies.retain(|cookie| !cookie.domain.is_empty());
    cookies
}

/// Applies a cookie attribute (RFC 6265 §5.2); returns `false` if `name` is none.
fn apply_attribute(cookie: &mut Cookie, name: &str, value: &str) -> bool {
    match name {
        "domain" => {
            cookie.subdomains = value.starts_with('.');
            cookie.domain = value.trim_start_matches('.').to_ascii_lowercase();
        }
        "path" => cookie.path = unquote(value),
        "secure" => cookie.secure = true,
        "expires" | "max-age" | "version" | "httponly" | "samesite" | "comment" => {}
        _ => return false,
    }
    true
}

fn cookie(name: &str, value: &str) -> Option<Cookie> {
    let pair = HeaderValue::from_str(&format!("{name}={}", unquote(value))).ok()?;
    let path = "/".into();
    Some(Cookie { pair, domain: String::new(), subdomains: false, path, secure: false })
}

/// Splits at semicolons outside quotes.
fn fields(line: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    line.split(move |letter| {
        let ends = letter == ';' && !quoted;
        quoted ^= letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends
    })
    .map(str::trim)
    .filter(|field| !field.is_empty())
}

/// Removes the quotes and escapes (`\"`, `\073`) that Python puts around unusual values.
fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::new();
    let mut rest = inner;
    while let Some((before, after)) = rest.split_once('\\') {
        text += before;
        let octal = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (octal, after.chars().next()) {
            (Some(byte), _) => {
                text.push(char::from(byte));
                rest = &after[3..];
            }
            (None, Some(letter)) => {
                text.push(letter);
                rest = &after[letter.len_utf8()..];
            }
            (None, None) => rest = "",
        }
    }
    text + rest
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
        let parsed: Vec<_> = cookies
            .iter()
            .map(|c| (c.pair.to_str().unwrap(), &*c.domain, c.subdomains, &*c.path, c.secure))
            .collect();
        assert_eq!(
            parsed,
            [
                ("a=1", "films.example", true, "/v", true),
                ("b=x; \"y\"", "films.example", false, "/", false),
            ]
        );
        assert!(read("").is_empty() && read("; ;=").is_empty() && read("Domain=x").is_empty());
        assert!(read("a=1\r\nb; Domain=x").is_empty());
    }
}

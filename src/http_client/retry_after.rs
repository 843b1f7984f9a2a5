//! Reads the field Retry-After (RFC 9110 §10.2.3). Pure, but for the clock.

use std::time::Duration;

use ureq::http::header::{self, HeaderMap};

use crate::range::decimal;

/// Returns the wait that the upstream requests in Retry-After: seconds, or a date (RFC 9110
/// §10.2.3).
#[expect(clippy::disallowed_methods, reason = "an upstream may name a time of day")]
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Some(seconds) = decimal(value.as_bytes()) {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the upstream names a time of day")]
    fn busy_upstreams_say_for_how_long() {
        let wait = |value: &str| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]);
            retry_after(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        assert_eq!(wait("soon"), None);
        let later = std::time::SystemTime::now() + Duration::from_secs(100);
        let seconds = wait(&httpdate::fmt_http_date(later)).unwrap();
        assert!((98..=100).contains(&seconds), "{seconds}");
    }
}

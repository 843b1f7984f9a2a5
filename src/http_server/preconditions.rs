//! Evaluates the preconditions and the range of a request (RFC 9110 §13.2.2 and §14.2). Pure.

use std::ops::Range;

use super::request::Request;
use crate::range::{self, RangeHeader};

/// What a response sends of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// The complete file: 200.
    Full,
    /// This byte range: 206.
    Range(Range<u64>),
    /// No byte of the requested range exists: 416.
    Unsatisfiable,
    /// The client's copy is current: 304.
    NotModified,
    /// If-Match names another file: 412.
    PreconditionFailed,
}

/// Selects what to send of a file with this strong ETag, if it has one, and this length, if byte ranges
/// of it can be sent.
pub fn select(request: &Request, etag: Option<&str>, len: Option<u64>) -> Selection {
    let conditions = &request.preconditions;
    if conditions.if_match.as_ref().is_some_and(|field| !matches_etag(field, etag, false)) {
        return Selection::PreconditionFailed;
    }
    if conditions.if_none_match.as_ref().is_some_and(|field| matches_etag(field, etag, true)) {
        return Selection::NotModified;
    }
    // Ranges are defined for GET alone (§14.2); a date in If-Range never matches, since no response
    // has a Last-Modified.
    let same = conditions.if_range.as_ref().is_none_or(|field| Some(field.as_str()) == etag);
    match (&conditions.range, len) {
        (Some(field), Some(len)) if same && !request.head_only => {
            match range::parse_range(field.as_bytes(), len) {
                RangeHeader::Full => Selection::Full,
                RangeHeader::Range(range) => Selection::Range(range),
                RangeHeader::Unsatisfiable => Selection::Unsatisfiable,
            }
        }
        _ => Selection::Full,
    }
}

/// Whether a list of entity tags contains `etag`, by weak or strong comparison (§8.8.3.2).
fn matches_etag(field: &str, etag: Option<&str>, weak: bool) -> bool {
    if field.trim() == "*" {
        return true;
    }
    let Some(etag) = etag else { return false };
    // Tags of this server have no comma, so that a piece of a foreign one never matches.
    field.split(',').map(str::trim).any(|tag| {
        let tag = if weak { tag.strip_prefix("W/").unwrap_or(tag) } else { tag };
        tag == etag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(fields: &str) -> Selection {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let request = super::super::request::parse_request(head.as_bytes()).unwrap();
        select(&request, Some("\"v\""), Some(100))
    }

    #[test]
    fn preconditions_have_the_precedence_of_rfc_9110() {
        for (fields, outcome) in [
            ("", Selection::Full),
            ("Range: bytes=1-2\r\n", Selection::Range(1..3)),
            ("Range: bytes=100-\r\n", Selection::Unsatisfiable),
            ("Range: bytes=1-2\r\nIf-Range: \"v\"\r\n", Selection::Range(1..3)),
            ("Range: bytes=1-2\r\nIf-Range: W/\"v\"\r\n", Selection::Full),
            ("Range: bytes=1-2\r\nIf-Range: \"w\"\r\n", Selection::Full),
            ("Range: bytes=100-\r\nIf-Range: \"w\"\r\n", Selection::Full),
            ("Range: bytes=1-2\r\nIf-Range: \"v\"\r\nIf-Range: \"v\"\r\n", Selection::Full),
            ("Range: bytes=1-2\r\nRange: bytes=1-2\r\n", Selection::Full),
            ("If-None-Match: \"u\", W/\"v\"\r\n", Selection::NotModified),
            ("If-None-Match: *\r\n", Selection::NotModified),
            ("If-None-Match: \"u\"\r\nRange: bytes=1-2\r\n", Selection::Range(1..3)),
            ("If-Match: \"u\", \"v\"\r\n", Selection::Full),
            ("If-Match: *\r\n", Selection::Full),
            ("If-Match: W/\"v\"\r\n", Selection::PreconditionFailed),
            ("If-Match: \"u\"\r\nIf-None-Match: \"v\"\r\n", Selection::PreconditionFailed),
        ] {
            assert_eq!(selected(fields), outcome, "{fields}");
        }
    }

    #[test]
    fn a_file_without_ranges_is_sent_in_full() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\nIf-Match: \"x\"\r\n\r\n";
        let mut request = super::super::request::parse_request(head).unwrap();
        assert_eq!(select(&request, None, None), Selection::PreconditionFailed);
        request.preconditions.if_match = None;
        assert_eq!(select(&request, None, None), Selection::Full);
        request.head_only = true;
        assert_eq!(select(&request, None, Some(9)), Selection::Full);
    }
}

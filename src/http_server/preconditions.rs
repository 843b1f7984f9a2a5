//! What of a file a request wants, given its conditions (RFC 9110 §13.2.2). Pure.

use std::ops::Range;

use super::request::Request;
use crate::range::{self, RangeHeader};

/// The outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of it: 200.
    Full,
    /// These bytes: 206.
    Range(Range<u64>),
    /// Bytes that it does not have: 416.
    Unsatisfiable,
    /// The client has it already: 304.
    NotModified,
    /// It is not the file that the client means: 412.
    PreconditionFailed,
}

/// Judges `request` for a file with this strong ETag, if it has one, and this length, if parts of
/// it can be sent.
pub fn select(request: &Request, etag: Option<&str>, len: Option<u64>) -> Selection {
    let conditions = &request.preconditions;
    if conditions.if_match.as_ref().is_some_and(|field| !names(field, etag, false)) {
        return Selection::PreconditionFailed;
    }
    if conditions.if_none_match.as_ref().is_some_and(|field| names(field, etag, true)) {
        return Selection::NotModified;
    }
    // Ranges are defined for GET alone (§14.2); a date in If-Range never fits, for we send none.
    let same = conditions.if_range.as_ref().is_none_or(|field| Some(field.as_str()) == etag);
    match (&conditions.range, len) {
        (Some(field), Some(len)) if same && !request.head_only => {
            match range::parse_range(field.as_bytes(), len) {
                RangeHeader::Full => Selection::Full,
                RangeHeader::Range(part) => Selection::Range(part),
                RangeHeader::Unsatisfiable => Selection::Unsatisfiable,
            }
        }
        _ => Selection::Full,
    }
}

/// Whether a list of entity tags names this one; with `weakly`, weak ones count, too (§8.8.3.2).
fn names(field: &str, etag: Option<&str>, weakly: bool) -> bool {
    if field.trim() == "*" {
        return true;
    }
    let Some(etag) = etag else { return false };
    // Our own tags have no comma in them, so that a foreign one cut at its comma is not ours.
    field.split(',').map(str::trim).any(|tag| {
        let tag = if weakly { tag.strip_prefix("W/").unwrap_or(tag) } else { tag };
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
    fn conditions_come_in_their_order() {
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
    fn what_cannot_be_had_in_parts_is_sent_whole() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\nIf-Match: \"x\"\r\n\r\n";
        let mut request = super::super::request::parse_request(head).unwrap();
        assert_eq!(select(&request, None, None), Selection::PreconditionFailed);
        request.preconditions.if_match = None;
        assert_eq!(select(&request, None, None), Selection::Full);
        request.head_only = true;
        assert_eq!(select(&request, None, Some(9)), Selection::Full);
    }
}

//! Byte ranges (RFC 9110 §14): what a client asks for, and what an upstream says that it sends.
//!
//! Half-open inside, inclusive only in HTTP's own words. Pure: no I/O.

use std::ops::Range;

/// What a client wants of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangeHeader {
    /// All of it: nothing else was asked for, or nothing that can be understood (§14.2 lets a
    /// server ignore such a field; so does this one with several ranges at once).
    Full,
    /// These bytes.
    Range(Range<u64>),
    /// Bytes that it does not have: 416.
    Unsatisfiable,
}

/// Reads a Range field for a file of `len` bytes.
pub fn parse_range(field: &[u8], len: u64) -> RangeHeader {
    let Some((first, last)) = bounds(field) else { return RangeHeader::Full };
    let part = match (first, last) {
        (Some(first), Some(last)) if last < first => return RangeHeader::Full,
        (Some(first), last) => first..last.map_or(len, |last| last.saturating_add(1).min(len)),
        (None, Some(count)) => len.saturating_sub(count)..len,
        (None, None) => return RangeHeader::Full,
    };
    if part.is_empty() { RangeHeader::Unsatisfiable } else { RangeHeader::Range(part) }
}

/// `bytes=FIRST-LAST` with one of the two left out, or neither.
fn bounds(field: &[u8]) -> Option<(Option<u64>, Option<u64>)> {
    let set = strip_unit(field, b'=')?;
    let dash = set.iter().position(|byte| *byte == b'-')?;
    let number = |digits: &[u8]| match digits {
        [] => Some(None),
        digits => decimal(digits).map(Some),
    };
    Some((number(&set[..dash])?, number(&set[dash + 1..])?))
}

/// The Range field for these bytes.
pub fn format_range(part: &Range<u64>) -> String {
    format!("bytes={}-{}", part.start, part.end.saturating_sub(1))
}

/// What a Content-Range field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentRange {
    /// These bytes of a file of `len`.
    Range {
        /// Never empty, and within the file.
        part: Range<u64>,
        /// The length of all of it, unless it is kept back (`*`).
        len: Option<u64>,
    },
    /// None: the file has only `len` bytes (416).
    Unsatisfiable {
        /// The length of all of it.
        len: u64,
    },
}

/// Reads a Content-Range field; `None` if it is none or makes no sense.
pub fn parse_content_range(field: &[u8]) -> Option<ContentRange> {
    let rest = strip_unit(field, b' ')?;
    let slash = rest.iter().position(|byte| *byte == b'/')?;
    let (span, len) = (&rest[..slash], &rest[slash + 1..]);
    if span == b"*" {
        return decimal(len).map(|len| ContentRange::Unsatisfiable { len });
    }
    let len = if len == b"*" { None } else { Some(decimal(len)?) };
    let dash = span.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (decimal(&span[..dash])?, decimal(&span[dash + 1..])?);
    let is_within = last < len.unwrap_or(u64::MAX);
    (first <= last && is_within).then(|| ContentRange::Range { part: first..last + 1, len })
}

fn strip_unit(field: &[u8], separator: u8) -> Option<&[u8]> {
    let (unit, rest) = field.split_at_checked(5)?;
    let (between, rest) = rest.split_first()?;
    (unit.eq_ignore_ascii_case(b"bytes") && *between == separator).then_some(rest)
}

/// A number of digits alone (`parse` would take a sign), as large as it goes if it is larger.
pub fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |byte: &u8| u64::from(byte - b'0');
    Some(text.iter().fold(0_u64, |sum, byte| sum.saturating_mul(10).saturating_add(digit(byte))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_as_rfc_9110_has_them() {
        let huge = format!("bytes=0-{}", "9".repeat(40));
        for (field, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-499", 0..100),
            ("bytes=99-", 99..100),
            ("bytes=-1", 99..100),
            ("bytes=-500", 0..100),
            ("Bytes=10-19", 10..20),
            (&huge, 0..100),
        ] {
            assert_eq!(parse_range(field.as_bytes(), 100), RangeHeader::Range(part), "{field}");
        }
        for field in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(parse_range(field.as_bytes(), 100), RangeHeader::Unsatisfiable, "{field}");
        }
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=2-1",
            "bytes=0-1,5-6",
            "bytes=+1-2",
            "bytes= 1-2",
            "bytes 1-2",
            "lines=1-2",
            "bytes=a-b",
            "bytes=1-2-3",
        ] {
            assert_eq!(parse_range(field.as_bytes(), 100), RangeHeader::Full, "{field}");
        }
        assert_eq!(parse_range(b"bytes=0-", 0), RangeHeader::Unsatisfiable);
        assert_eq!(format_range(&(10..20)), "bytes=10-19");
    }

    #[test]
    fn content_ranges_are_taken_literally() {
        assert_eq!(
            parse_content_range(b"bytes 0-9/100"),
            Some(ContentRange::Range { part: 0..10, len: Some(100) })
        );
        assert_eq!(
            parse_content_range(b"bytes 0-9/*"),
            Some(ContentRange::Range { part: 0..10, len: None })
        );
        assert_eq!(
            parse_content_range(b"bytes */100"),
            Some(ContentRange::Unsatisfiable { len: 100 })
        );
        for field in [
            "",
            "bytes */*",
            "bytes 9-0/*",
            "bytes 0-99999999999999999999/*",
            "bytes 9-0/100",
            "bytes 0-100/100",
            "bytes=0-9/100",
            "bytes 0-9",
            "bytes  0-9/100",
            "bytes 0-9/100 ",
            "bytes -9/100",
            "bytes 0-/100",
            "items 0-9/100",
        ] {
            assert_eq!(parse_content_range(field.as_bytes()), None, "{field}");
        }
    }

    proptest! {
        #[test]
        fn what_is_wanted_lies_in_the_file(field in "bytes=[0-9,\\-]{0,24}", len: u64) {
            if let RangeHeader::Range(part) = parse_range(field.as_bytes(), len) {
                prop_assert!(part.start < part.end && part.end <= len);
            }
        }

        #[test]
        fn our_own_words_are_understood(start in 0..1_000_u64, count in 1..1_000_u64) {
            let part = start..start + count;
            let whole = part.end + 5;
            prop_assert_eq!(parse_range(format_range(&part).as_bytes(), whole), RangeHeader::Range(part.clone()));
            let said = format!("bytes {}-{}/{whole}", part.start, part.end - 1);
            prop_assert_eq!(parse_content_range(said.as_bytes()), Some(ContentRange::Range { part, len: Some(whole) }));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, len: u64) {
            parse_range(&bytes, len);
            parse_content_range(&bytes);
        }
    }
}

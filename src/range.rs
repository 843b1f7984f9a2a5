//! Byte ranges (RFC 9110 §14): parses Range and Content-Range.
//!
//! Ranges are half-open in memory and inclusive only in the fields. Pure: no I/O.

use std::ops::Range;

/// What a Range field selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangeHeader {
    /// The full file: the field is missing or invalid (RFC 9110 §14.2 lets a server ignore such a
    /// field; this one also ignores several ranges).
    Full,
    /// These bytes.
    Range(Range<u64>),
    /// Bytes beyond the end of the file: 416.
    Unsatisfiable,
}

/// Parses a Range field for a file of `len` bytes.
pub fn parse_range(field: &[u8], len: u64) -> RangeHeader {
    let Some((first, last)) = bounds(field) else { return RangeHeader::Full };
    let range = match (first, last) {
        (Some(first), Some(last)) if last < first => return RangeHeader::Full,
        (Some(first), last) => first..last.map_or(len, |last| last.saturating_add(1).min(len)),
        (None, Some(count)) => len.saturating_sub(count)..len,
        (None, None) => return RangeHeader::Full,
    };
    if range.is_empty() { RangeHeader::Unsatisfiable } else { RangeHeader::Range(range) }
}

/// Parses `bytes=FIRST-LAST`, where either or both may be missing.
fn bounds(field: &[u8]) -> Option<(Option<u64>, Option<u64>)> {
    let set = strip_unit(field, b'=')?;
    let dash = set.iter().position(|byte| *byte == b'-')?;
    let number = |digits: &[u8]| match digits {
        [] => Some(None),
        digits => decimal(digits).map(Some),
    };
    Some((number(&set[..dash])?, number(&set[dash + 1..])?))
}

/// Returns the Range field for a range.
pub fn format_range(range: &Range<u64>) -> String {
    format!("bytes={}-{}", range.start, range.end.saturating_sub(1))
}

/// The value of a Content-Range field (RFC 9110 §14.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentRange {
    /// A range of a file.
    Range {
        /// Never empty, and within the file.
        range: Range<u64>,
        /// Length of the complete file, unless it is unknown (`*`).
        len: Option<u64>,
    },
    /// No range: the file has only `len` bytes (416).
    Unsatisfiable {
        /// Length of the complete file.
        len: u64,
    },
}

/// Parses a Content-Range field; `None` if it is invalid.
pub fn parse_content_range(field: &[u8]) -> Option<ContentRange> {
    let value = strip_unit(field, b' ')?;
    let slash = value.iter().position(|byte| *byte == b'/')?;
    let (range, len) = (&value[..slash], &value[slash + 1..]);
    if range == b"*" {
        return decimal(len).map(|len| ContentRange::Unsatisfiable { len });
    }
    let len = if len == b"*" { None } else { Some(decimal(len)?) };
    let dash = range.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (decimal(&range[..dash])?, decimal(&range[dash + 1..])?);
    let is_within = last < len.unwrap_or(u64::MAX);
    (first <= last && is_within).then(|| ContentRange::Range { range: first..last + 1, len })
}

fn strip_unit(field: &[u8], expected: u8) -> Option<&[u8]> {
    let (unit, rest) = field.split_at_checked(5)?;
    let (actual, rest) = rest.split_first()?;
    (unit.eq_ignore_ascii_case(b"bytes") && *actual == expected).then_some(rest)
}

/// Parses a number of digits alone (`parse` would accept a sign), saturating.
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
        for (field, range) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-499", 0..100),
            ("bytes=99-", 99..100),
            ("bytes=-1", 99..100),
            ("bytes=-500", 0..100),
            ("Bytes=10-19", 10..20),
            (&huge, 0..100),
        ] {
            assert_eq!(parse_range(field.as_bytes(), 100), RangeHeader::Range(range), "{field}");
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
            Some(ContentRange::Range { range: 0..10, len: Some(100) })
        );
        assert_eq!(
            parse_content_range(b"bytes 0-9/*"),
            Some(ContentRange::Range { range: 0..10, len: None })
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
            if let RangeHeader::Range(range) = parse_range(field.as_bytes(), len) {
                prop_assert!(range.start < range.end && range.end <= len);
            }
        }

        #[test]
        fn our_own_words_are_understood(start in 0..1_000_u64, count in 1..1_000_u64) {
            let range = start..start + count;
            let len = range.end + 5;
            prop_assert_eq!(parse_range(format_range(&range).as_bytes(), len), RangeHeader::Range(range.clone()));
            let field = format!("bytes {}-{}/{len}", range.start, range.end - 1);
            prop_assert_eq!(parse_content_range(field.as_bytes()), Some(ContentRange::Range { range, len: Some(len) }));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, len: u64) {
            parse_range(&bytes, len);
            parse_content_range(&bytes);
        }
    }
}

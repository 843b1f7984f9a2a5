//! Validates a response against its request: the requested range, of the same file as before, with
//! an end that can be told from a truncation.
//!
//! What a server reports is a hint, and read as tolerantly as possible without letting other bytes
//! through. Pure.

use std::ops::Range;

use ureq::http::Version;
use ureq::http::header::{self, HeaderMap, HeaderValue};

use crate::error::UpstreamError;
use crate::http_client::framing::{body_length, is_delimited};
use crate::http_client::retry_after::retry_after;
use crate::media::remote_file::{RemoteFile, ValidatorMatch};
use crate::range::{self, ContentRange};

/// Maximum number of bytes skipped where a body begins before the requested range.
pub(crate) const MAX_SKIP: u64 = 1 << 20;

/// The reason for [`UpstreamError::EntityChanged`] that may also be a message sent instead of the
/// file.
pub(crate) const LENGTH_CHANGED: &str = "its length differs";

/// Offset of the first byte of the body in the file, and of the end (exclusive) if that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyRange {
    pub(crate) start: u64,
    pub(crate) end: Option<u64>,
}

/// What a response must match.
pub(crate) struct Expectation<'a> {
    pub(crate) range: Option<Range<u64>>,
    pub(crate) file: Option<&'a RemoteFile>,
    pub(crate) if_range_sent: bool,
}

impl Expectation<'_> {
    /// Validates a response by its head; returns the file and the range that the body covers.
    pub(crate) fn validate(
        &self,
        status: u16,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<(RemoteFile, BodyRange), UpstreamError> {
        let content_range = headers.get(header::CONTENT_RANGE).map(HeaderValue::as_bytes);
        let content_range = content_range.and_then(range::parse_content_range);
        let result = match (status, content_range) {
            (200, _) => self.validate_full(version, headers),
            (206, Some(ContentRange::Range { range, len })) => {
                self.validate_partial(&range, len, version, headers)
            }
            (206, _) if is_multipart(headers) => Err(UpstreamError::Multipart),
            (206, _) => Err(UpstreamError::WrongRange),
            (416, Some(ContentRange::Unsatisfiable { len })) => {
                self.validate_unsatisfiable(len, headers)
            }
            (429 | 503, _) => Err(UpstreamError::Busy(status, retry_after(headers))),
            _ => Err(UpstreamError::Status(status)),
        };
        // Some scripts label everything they send as HTML: only a body that is not the file is a
        // web page.
        result.map_err(|fault| match fault {
            UpstreamError::Status(_) | UpstreamError::Busy(..) => fault,
            _ if is_page(headers) => UpstreamError::WebPage,
            fault => fault,
        })
    }

    /// Validates a 416 response: the file has `len` bytes and none of the requested ones.
    fn validate_unsatisfiable(
        &self,
        len: u64,
        headers: &HeaderMap,
    ) -> Result<(RemoteFile, BodyRange), UpstreamError> {
        let Some(requested) = &self.range else { return Err(UpstreamError::Status(416)) };
        let file = RemoteFile::new(Some(len), true, headers);
        if self.file.is_some_and(|known| known.len.is_some() && known.len != file.len) {
            return Err(UpstreamError::EntityChanged(LENGTH_CHANGED));
        }
        // The first bytes of an empty file were requested.
        if len == 0 && requested.start == 0 {
            self.check_same_entity(&file)?;
            return Ok((file, BodyRange { start: 0, end: Some(0) }));
        }
        let is_past = requested.start < len && len < requested.end;
        Err(if is_past { UpstreamError::PastEnd(len) } else { UpstreamError::Status(416) })
    }

    /// Validates a 200 response: the full file, whatever range was requested.
    fn validate_full(
        &self,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<(RemoteFile, BodyRange), UpstreamError> {
        let len = body_length(version, headers)?;
        let body_range = BodyRange { start: 0, end: len };
        match self.file {
            // This is the response of If-Range when the file has changed.
            Some(_) if self.if_range_sent => Err(UpstreamError::RangeIgnored),
            Some(known) if known.ranged => {
                let file = RemoteFile::new(len, true, headers);
                self.check_same_entity(&file)?;
                let is_far = self.range.as_ref().is_none_or(|range| range.start > MAX_SKIP);
                let gone = UpstreamError::EntityChanged("it no longer serves byte ranges of it");
                if is_far { Err(gone) } else { Ok((file, body_range)) }
            }
            _ => {
                let file = RemoteFile::new(len, false, headers);
                self.check_same_entity(&file)?;
                Ok((file, body_range))
            }
        }
    }

    fn validate_partial(
        &self,
        range: &Range<u64>,
        len: Option<u64>,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<(RemoteFile, BodyRange), UpstreamError> {
        // The server may send less than was requested, or more, but nothing else. A request for the
        // full file is not satisfied by a range.
        let requested = self.range.clone().unwrap_or(0..len.unwrap_or(u64::MAX));
        let skipped = requested.start.checked_sub(range.start);
        let is_all = self.range.is_some() || range.end == requested.end;
        if skipped.is_none_or(|skipped| skipped > MAX_SKIP)
            || range.end <= requested.start
            || !is_all
        {
            return Err(UpstreamError::WrongRange);
        }
        let body = match body_length(version, headers) {
            // Content-Range also gives the number of bytes.
            Err(UpstreamError::LengthUnknown) if !is_delimited(headers) => None,
            body => body?,
        };
        if body.is_some_and(|len| len != range.end - range.start) {
            return Err(UpstreamError::WrongRange);
        }
        let len = len.or(self.file.and_then(|known| known.len));
        let file = RemoteFile::new(len, self.range.is_some(), headers);
        if len.is_some_and(|len| range.end > len) {
            return Err(UpstreamError::EntityChanged(LENGTH_CHANGED));
        }
        self.check_same_entity(&file)?;
        Ok((file, BodyRange { start: range.start, end: Some(range.end) }))
    }

    /// Checks that a response belongs to the file that is known already.
    fn check_same_entity(&self, file: &RemoteFile) -> Result<(), UpstreamError> {
        let Some(known) = self.file else { return Ok(()) };
        if known.len != file.len {
            return Err(UpstreamError::EntityChanged(LENGTH_CHANGED));
        }
        // The upstream may have compared the validator itself (RFC 9110 §13.1.5).
        let is_compared = self.if_range_sent && file.validators.etag.is_none();
        match known.validators.compare(&file.validators) {
            ValidatorMatch::Weak if !known.validators_vary && !is_compared => {
                Err(UpstreamError::ValidatorsDisagree)
            }
            ValidatorMatch::Different => {
                Err(UpstreamError::EntityChanged("its validator (ETag or Last-Modified) differs"))
            }
            ValidatorMatch::Unknown if known.validators.best().is_some() && !self.if_range_sent => {
                Err(UpstreamError::EntityChanged("it no longer sends its validator"))
            }
            _ => Ok(()),
        }
    }
}

/// Returns whether the body has a type that media only have by mistake.
pub(crate) fn is_page(headers: &HeaderMap) -> bool {
    ["text/html", "application/xhtml+xml", "application/json"]
        .iter()
        .any(|page_type| is_type(headers, page_type))
}

/// Returns whether the body is multipart (RFC 9110 §14.6).
fn is_multipart(headers: &HeaderMap) -> bool {
    is_type(headers, "multipart/byteranges")
}

fn is_type(headers: &HeaderMap, expected: &str) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let content_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    content_type.trim_ascii().eq_ignore_ascii_case(expected.as_bytes())
}

#[cfg(test)]
mod tests {
    use ureq::http::HeaderName;

    use super::*;
    use crate::media::remote_file::Validators;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), value.parse().unwrap());
        }
        headers
    }

    /// Validates a 206 with these fields for a request of bytes 10 to 19.
    fn validate_part(
        file: Option<&RemoteFile>,
        if_range_sent: bool,
        range: &str,
        more: &[(HeaderName, &str)],
    ) -> Result<Option<u64>, UpstreamError> {
        let expectation = Expectation { range: Some(10..20), file, if_range_sent };
        let mut pairs = more.to_vec();
        pairs.extend([(header::CONTENT_RANGE, range), (header::TRANSFER_ENCODING, "chunked")]);
        expectation.validate(206, Version::HTTP_11, &headers(&pairs)).map(|(_, span)| span.end)
    }

    #[test]
    fn only_the_part_that_was_asked_for_is_taken() {
        let check = |range| validate_part(None, false, range, &[]);
        assert_eq!(check("bytes 10-19/100"), Ok(Some(20)));
        assert_eq!(check("bytes 10-14/100"), Ok(Some(15)));
        // The excess is not read.
        assert_eq!(check("bytes 9-19/100"), Ok(Some(20)));
        assert_eq!(check("bytes 10-20/100"), Ok(Some(21)));
        assert_eq!(check("bytes 0-99/100"), Ok(Some(100)));
        assert_eq!(check("bytes 10-19/*"), Ok(Some(20)));
        for range in ["bytes 11-19/100", "bytes 0-9/100", "bytes 20-29/100", "bytes */100"] {
            assert_eq!(check(range), Err(UpstreamError::WrongRange), "{range}");
        }
        let far = Expectation { range: Some(2 << 20..3 << 20), file: None, if_range_sent: false };
        let fields = headers(&[
            (header::CONTENT_RANGE, "bytes 1048575-3145727/9000000"),
            (header::TRANSFER_ENCODING, "chunked"),
        ]);
        assert_eq!(far.validate(206, Version::HTTP_11, &fields), Err(UpstreamError::WrongRange));
        let wrong = [(header::CONTENT_LENGTH, "9")];
        assert_eq!(
            validate_part(None, false, "bytes 10-19/100", &wrong),
            Err(UpstreamError::WrongRange)
        );
        let all = |range| {
            let known = Expectation { range: None, file: None, if_range_sent: false };
            let fields = headers(&[(header::CONTENT_RANGE, range)]);
            known.validate(206, Version::HTTP_10, &fields).map(|(file, _)| (file.len, file.ranged))
        };
        assert_eq!(all("bytes 0-9/10"), Ok((Some(10), false)));
        assert_eq!(all("bytes 0-8/10"), Err(UpstreamError::WrongRange));
        assert_eq!(all("bytes 0-8/*"), Err(UpstreamError::WrongRange));
        let several = headers(&[(header::CONTENT_TYPE, "multipart/byteranges; boundary=x")]);
        let known = Expectation { range: Some(0..9), file: None, if_range_sent: false };
        let result = known.validate(206, Version::HTTP_11, &several);
        assert_eq!(result, Err(UpstreamError::Multipart));
    }

    #[test]
    fn a_page_is_one_only_if_it_is_not_the_file() {
        let file = RemoteFile::new(Some(100), true, &HeaderMap::new());
        let check = |status, pairs: &[_]| {
            let known =
                Expectation { range: Some(10..20), file: Some(&file), if_range_sent: false };
            let html = [(header::CONTENT_TYPE, "Text/HTML; charset=utf-8")];
            known.validate(status, Version::HTTP_11, &headers(&[pairs, &html].concat())).map(drop)
        };
        let len = |len| (header::CONTENT_LENGTH, len);
        assert_eq!(check(200, &[len("99")]), Err(UpstreamError::WebPage));
        assert_eq!(check(200, &[]), Err(UpstreamError::WebPage));
        let encoded = [len("100"), (header::CONTENT_ENCODING, "gzip")];
        assert_eq!(check(200, &encoded), Err(UpstreamError::WebPage));
        let range = [len("10"), (header::CONTENT_RANGE, "bytes 10-19/99")];
        assert_eq!(check(206, &range), Err(UpstreamError::WebPage));
        let range = [len("10"), (header::CONTENT_RANGE, "bytes 10-19/100")];
        assert_eq!(check(206, &range), Ok(()));
        assert_eq!(check(403, &[len("9")]), Err(UpstreamError::Status(403)));
    }

    #[test]
    fn a_part_of_another_file_is_not_taken() {
        let validators =
            Validators { etag: Some(HeaderValue::from_static("\"1\"")), modified: None };
        let file = RemoteFile { len: Some(100), ranged: true, validators, validators_vary: false };
        let check = |if_range, range, more: &[_]| validate_part(Some(&file), if_range, range, more);
        let is_changed = |result| matches!(result, Err(UpstreamError::EntityChanged(_)));
        let range = "bytes 10-19/100";
        assert_eq!(check(false, range, &[(header::ETAG, "\"1\"")]), Ok(Some(20)));
        assert!(is_changed(check(true, range, &[(header::ETAG, "\"2\"")])));
        assert!(is_changed(check(true, "bytes 10-19/101", &[(header::ETAG, "\"1\"")])));
        // Without a validator, only an upstream that was sent If-Range is trusted.
        assert_eq!(check(true, range, &[]), Ok(Some(20)));
        assert!(is_changed(check(false, range, &[])));
        // The date does not replace the ETag.
        let date = HeaderValue::from_static("Sun, 22 Nov 2026 10:00:00 GMT");
        let mut dated = file.clone();
        dated.validators.modified = Some(date.clone());
        let shown = [(header::LAST_MODIFIED, date.to_str().unwrap())];
        let unproven = Err(UpstreamError::ValidatorsDisagree);
        assert_eq!(validate_part(Some(&dated), false, range, &shown), unproven);
        let otherwise = [(header::ETAG, "\"2\""), shown[0].clone()];
        assert_eq!(validate_part(Some(&dated), true, range, &otherwise), unproven);
        let wavering = RemoteFile { validators_vary: true, ..dated.clone() };
        assert_eq!(validate_part(Some(&wavering), false, range, &otherwise), Ok(Some(20)));
        let both_other = [(header::ETAG, "\"2\""), (header::LAST_MODIFIED, "x")];
        assert!(is_changed(validate_part(Some(&wavering), false, range, &both_other)));
        let redated = [(header::ETAG, "\"1\""), (header::LAST_MODIFIED, "x")];
        assert_eq!(validate_part(Some(&dated), false, range, &redated), unproven);
        assert_eq!(validate_part(Some(&dated), true, range, &shown), Ok(Some(20)));
        dated.validators.etag = None;
        assert_eq!(validate_part(Some(&dated), false, range, &shown), Ok(Some(20)));
        let full = |if_range_sent, start, etag| {
            let range = Some(start..start + 10);
            let known = Expectation { range, file: Some(&file), if_range_sent };
            let fields = headers(&[(header::CONTENT_LENGTH, "100"), (header::ETAG, etag)]);
            known.validate(200, Version::HTTP_11, &fields).map(|(_, body_range)| body_range.start)
        };
        assert_eq!(full(true, 10, "\"1\""), Err(UpstreamError::RangeIgnored));
        assert_eq!(full(false, 10, "\"1\""), Ok(0));
        assert!(is_changed(full(false, MAX_SKIP + 1, "\"1\"").map(Some)));
        assert!(is_changed(full(false, 10, "\"2\"").map(Some)));
    }

    #[test]
    fn an_empty_file_is_one() {
        let known = Expectation { range: Some(0..10), file: None, if_range_sent: false };
        let check = |range: &str| {
            let fields = headers(&[(header::CONTENT_RANGE, range)]);
            known.validate(416, Version::HTTP_11, &fields).map(|(file, _)| file.len)
        };
        assert_eq!(check("bytes */0"), Ok(Some(0)));
        assert_eq!(check("bytes */9"), Err(UpstreamError::PastEnd(9)));
        assert_eq!(check("bytes */10"), Err(UpstreamError::Status(416)));
    }
}

//! Whether an answer is what was asked for: the right part, of the same file as before, with an
//! end that can be told from a cut. Pure.

use std::ops::Range;
use std::time::Duration;

use ureq::http::Version;
use ureq::http::header::{self, HeaderMap, HeaderValue};

use crate::error::Fault;
use crate::range::{self, Sent, decimal};

/// What is known of the file behind a URL, once it has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its length, if it tells.
    pub len: Option<u64>,
    /// Whether parts of it can be asked for.
    pub ranged: bool,
    /// What tells this file from another one of the same name.
    pub validators: Validators,
}

impl File {
    /// What tells this file from others, as far as its upstream says, as bytes.
    pub fn identity(&self) -> Vec<u8> {
        let text = |value: &Option<HeaderValue>| value.as_ref().map(|v| v.as_bytes().to_vec());
        let len = self.len.map(|len| len.to_string().into_bytes());
        // No field of a header has a line end in it.
        let fields = [len, text(&self.validators.etag), text(&self.validators.modified)];
        fields.map(Option::unwrap_or_default).join(&b'\n')
    }
}

/// The validators of a file (RFC 9110 §8.8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// Its ETag, unless that is a weak one.
    pub etag: Option<HeaderValue>,
    /// Its Last-Modified date, as it came. It has whole seconds only, and may be the same for
    /// two files.
    pub modified: Option<HeaderValue>,
}

impl Validators {
    fn of(headers: &HeaderMap) -> Validators {
        let etag = headers.get(header::ETAG).filter(|value| value.as_bytes().starts_with(b"\""));
        Validators { etag: etag.cloned(), modified: headers.get(header::LAST_MODIFIED).cloned() }
    }

    /// The stronger one, for an If-Range field.
    pub fn best(&self) -> Option<&HeaderValue> {
        self.etag.as_ref().or(self.modified.as_ref())
    }

    /// Whether they prove that it is the same file (`Some(true)`), or another one.
    fn same_as(&self, other: &Validators) -> Option<bool> {
        let pairs = [(&self.etag, &other.etag), (&self.modified, &other.modified)];
        let verdicts = pairs.map(|pair| match pair {
            (Some(one), Some(other)) => Some(one == other),
            _ => None,
        });
        match verdicts {
            [Some(false), _] | [_, Some(false)] => Some(false),
            [Some(true), _] => Some(true),
            // A date does not stand in for an ETag that is missing.
            [None, Some(true)] if self.etag.is_none() => Some(true),
            [None, _] => None,
        }
    }
}

/// Where the part begins, and where it ends if that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) end: Option<u64>,
}

/// What an answer is judged by.
pub(super) struct Known<'a> {
    pub(super) part: Option<Range<u64>>,
    pub(super) file: Option<&'a File>,
    pub(super) if_range_sent: bool,
}

impl Known<'_> {
    /// Judges an answer with this head.
    pub(super) fn judge(
        &self,
        status: u16,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<(File, Extent), Fault> {
        let content_range = headers.get(header::CONTENT_RANGE).map(HeaderValue::as_bytes);
        let content_range = content_range.and_then(range::sent);
        match (status, &self.part) {
            (200, _) => self.judge_whole(version, headers),
            (206, Some(asked)) => match content_range {
                Some(Sent::Part { part, len }) => {
                    self.judge_part(asked, &part, len, version, headers)
                }
                _ => Err(Fault::WrongRange),
            },
            (206, None) => Err(Fault::WrongRange),
            // Asked for the first bytes of an empty file.
            (416, Some(asked)) if asked.start == 0 && content_range == Some(EMPTY) => {
                let file = File { len: Some(0), ranged: true, validators: Validators::of(headers) };
                self.agrees_with(&file)?;
                Ok((file, Extent { start: 0, end: Some(0) }))
            }
            (429 | 503, _) => Err(Fault::Busy(status, retry_after(headers))),
            _ => Err(Fault::Status(status)),
        }
    }

    /// All of the file, whatever part was asked for.
    fn judge_whole(&self, version: Version, headers: &HeaderMap) -> Result<(File, Extent), Fault> {
        let len = proof_of_end(version, headers)?;
        let file = File { len, ranged: false, validators: Validators::of(headers) };
        match self.file {
            // If-Range leads to this answer when the file has changed.
            Some(_) if self.if_range_sent => Err(Fault::RangeIgnored),
            Some(known) if known.ranged => Err(Fault::Changed("it sends no parts of it any more")),
            _ => {
                self.agrees_with(&file)?;
                Ok((file, Extent { start: 0, end: len }))
            }
        }
    }

    fn judge_part(
        &self,
        asked: &Range<u64>,
        part: &Range<u64>,
        len: u64,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<(File, Extent), Fault> {
        // It may send less than was asked for, but not something else.
        if part.start != asked.start || part.end > asked.end {
            return Err(Fault::WrongRange);
        }
        if proof_of_end(version, headers)?.is_some_and(|len| len != part.end - part.start) {
            return Err(Fault::WrongRange);
        }
        let file = File { len: Some(len), ranged: true, validators: Validators::of(headers) };
        self.agrees_with(&file)?;
        Ok((file, Extent { start: part.start, end: Some(part.end) }))
    }

    /// Whether an answer belongs to the file that is known already.
    fn agrees_with(&self, file: &File) -> Result<(), Fault> {
        let Some(known) = self.file else { return Ok(()) };
        if known.len != file.len {
            return Err(Fault::Changed("its length is another one"));
        }
        match known.validators.same_as(&file.validators) {
            Some(false) => {
                Err(Fault::Changed("its validator (ETag or Last-Modified) is another one"))
            }
            // Nothing was known, or the upstream has compared it itself (RFC 9110 §13.1.5).
            None if known.validators.best().is_some() && !self.if_range_sent => {
                Err(Fault::Changed("it does not show its validator any more"))
            }
            _ => Ok(()),
        }
    }
}

const EMPTY: Sent = Sent::Nothing { len: 0 };

/// Checks that the end of a body can be told from a cut: by its length, or by the last chunk of
/// a chunked body (then `None`).
///
/// What ureq takes for a chunked body is not to be seen from outside, so this is stricter than
/// any reading of the standard: HTTP/1.1, and `chunked` alone. Were ureq to read until the
/// connection closes, a cut would pass for the end.
fn proof_of_end(version: Version, headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    let all = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    if all(header::CONTENT_ENCODING).iter().any(|value| !value.eq_ignore_ascii_case(b"identity")) {
        return Err(Fault::Encoded);
    }
    // When both are there the length is not what delimits the body, but must be right, too.
    let lengths = all(header::CONTENT_LENGTH);
    let announced = match lengths[..] {
        [] => None,
        [one] => Some(decimal(one).filter(|len| *len < u64::MAX).ok_or(Fault::LengthUnknown)?),
        _ => return Err(Fault::LengthUnknown),
    };
    match all(header::TRANSFER_ENCODING)[..] {
        [] if announced.is_some() => Ok(announced),
        [chunked] if version == Version::HTTP_11 && chunked.eq_ignore_ascii_case(b"chunked") => {
            Ok(announced)
        }
        _ => Err(Fault::LengthUnknown),
    }
}

/// After how long the upstream wants to be asked again: seconds, or a date (RFC 9110 §10.2.3).
#[expect(clippy::disallowed_methods, reason = "an upstream may name a time of day")]
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Some(seconds) = decimal(value.as_bytes()) {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use ureq::http::HeaderName;

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn an_answer_must_be_able_to_prove_its_end() {
        let judge_as = |version, pairs: &[_]| proof_of_end(version, &headers(pairs));
        let judge = |pairs: &[_]| judge_as(Version::HTTP_11, pairs);
        assert_eq!(judge(&[(header::CONTENT_LENGTH, "7")]), Ok(Some(7)));
        assert_eq!(judge(&[(header::TRANSFER_ENCODING, "chunked")]), Ok(None));
        let both = [(header::CONTENT_LENGTH, "7"), (header::TRANSFER_ENCODING, "Chunked")];
        assert_eq!(judge(&both), Ok(Some(7)));
        assert_eq!(judge(&[]), Err(Fault::LengthUnknown));
        for encoding in ["xchunked", "not-chunked", "\"chunked", "foo chunked", "gzip, chunked"] {
            let pairs = [(header::TRANSFER_ENCODING, encoding)];
            assert_eq!(judge(&pairs), Err(Fault::LengthUnknown), "{encoding}");
        }
        let chunked = [(header::TRANSFER_ENCODING, "chunked")];
        assert_eq!(judge_as(Version::HTTP_10, &chunked), Err(Fault::LengthUnknown));
        for length in ["+7", "7, 7", "", "0x7", "99999999999999999999"] {
            let pairs = [(header::CONTENT_LENGTH, length)];
            assert_eq!(judge(&pairs), Err(Fault::LengthUnknown), "{length}");
        }
        let twice = [(header::CONTENT_LENGTH, "7"), (header::CONTENT_LENGTH, "7")];
        assert_eq!(judge(&twice), Err(Fault::LengthUnknown));
        let pairs = [(header::CONTENT_LENGTH, "7"), (header::CONTENT_ENCODING, "gzip")];
        assert_eq!(judge(&pairs), Err(Fault::Encoded));
    }

    /// Judges a 206 with these fields for a question about bytes 10 to 19.
    fn judge_part(
        file: Option<&File>,
        if_range_sent: bool,
        range: &str,
        more: &[(HeaderName, &str)],
    ) -> Result<Option<u64>, Fault> {
        let known = Known { part: Some(10..20), file, if_range_sent };
        let mut pairs = more.to_vec();
        pairs.extend([(header::CONTENT_RANGE, range), (header::TRANSFER_ENCODING, "chunked")]);
        known.judge(206, Version::HTTP_11, &headers(&pairs)).map(|(_, span)| span.end)
    }

    #[test]
    fn only_the_part_that_was_asked_for_is_taken() {
        let judge = |range| judge_part(None, false, range, &[]);
        assert_eq!(judge("bytes 10-19/100"), Ok(Some(20)));
        assert_eq!(judge("bytes 10-14/100"), Ok(Some(15)));
        for range in
            ["bytes 9-19/100", "bytes 11-19/100", "bytes 10-20/100", "bytes */100", "bytes 10-19/*"]
        {
            assert_eq!(judge(range), Err(Fault::WrongRange), "{range}");
        }
        let wrong = [(header::CONTENT_LENGTH, "9")];
        assert_eq!(judge_part(None, false, "bytes 10-19/100", &wrong), Err(Fault::WrongRange));
        let known = Known { part: None, file: None, if_range_sent: false };
        let fields = headers(&[(header::CONTENT_RANGE, "bytes 0-9/10")]);
        assert_eq!(known.judge(206, Version::HTTP_11, &fields), Err(Fault::WrongRange));
    }

    #[test]
    fn a_part_of_another_file_is_not_taken() {
        let validators =
            Validators { etag: Some(HeaderValue::from_static("\"1\"")), modified: None };
        let file = File { len: Some(100), ranged: true, validators };
        let judge = |if_range, range, more: &[_]| judge_part(Some(&file), if_range, range, more);
        let is_changed = |judged| matches!(judged, Err(Fault::Changed(_)));
        let range = "bytes 10-19/100";
        assert_eq!(judge(false, range, &[(header::ETAG, "\"1\"")]), Ok(Some(20)));
        assert!(is_changed(judge(true, range, &[(header::ETAG, "\"2\"")])));
        assert!(is_changed(judge(true, "bytes 10-19/101", &[(header::ETAG, "\"1\"")])));
        // Without a validator only an upstream that was asked to compare it is believed.
        assert_eq!(judge(true, range, &[]), Ok(Some(20)));
        assert!(is_changed(judge(false, range, &[])));
        // The date does not stand in for the ETag.
        let date = HeaderValue::from_static("Sun, 22 Nov 2026 10:00:00 GMT");
        let mut dated = file.clone();
        dated.validators.modified = Some(date.clone());
        let shown = [(header::LAST_MODIFIED, date.to_str().unwrap())];
        assert!(is_changed(judge_part(Some(&dated), false, range, &shown)));
        assert_eq!(judge_part(Some(&dated), true, range, &shown), Ok(Some(20)));
        dated.validators.etag = None;
        assert_eq!(judge_part(Some(&dated), false, range, &shown), Ok(Some(20)));
        let whole = headers(&[(header::CONTENT_LENGTH, "100")]);
        for (if_range_sent, fault) in [
            (true, Fault::RangeIgnored),
            (false, Fault::Changed("it sends no parts of it any more")),
        ] {
            let known = Known { part: Some(10..20), file: Some(&file), if_range_sent };
            assert_eq!(known.judge(200, Version::HTTP_11, &whole), Err(fault));
        }
    }

    #[test]
    fn an_empty_file_is_one() {
        let known = Known { part: Some(0..10), file: None, if_range_sent: false };
        let judge = |range: &str| {
            let fields = headers(&[(header::CONTENT_RANGE, range)]);
            known.judge(416, Version::HTTP_11, &fields).map(|(file, _)| file.len)
        };
        assert_eq!(judge("bytes */0"), Ok(Some(0)));
        assert_eq!(judge("bytes */9"), Err(Fault::Status(416)));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the upstream names a time of day")]
    fn busy_upstreams_say_for_how_long() {
        let wait = |value: &str| {
            let pairs = [(header::RETRY_AFTER, value)];
            retry_after(&headers(&pairs)).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        assert_eq!(wait("soon"), None);
        let later = std::time::SystemTime::now() + Duration::from_secs(100);
        let seconds = wait(&httpdate::fmt_http_date(later)).unwrap();
        assert!((98..=100).contains(&seconds), "{seconds}");
    }
}

//! Whether an answer is what was asked for: the right part, of the same file as before, with an
//! end that can be told from a cut. What it says is a hint, and taken as widely as it can be as long
//! as it does not let other bytes through. Pure.

use std::ops::Range;
use std::time::Duration;

use ureq::http::Version;
use ureq::http::header::{self, HeaderMap, HeaderValue};

use crate::error::UpstreamError;
use crate::range::{self, ContentRange, decimal};

/// What is known of the file behind a URL, once it has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its length, if it tells.
    pub len: Option<u64>,
    /// Whether parts of it can be asked for.
    pub ranged: bool,
    /// What tells this file from another one of the same name.
    pub validators: Validators,
    /// Whether its servers name it differently: one of its validators may be another one if the
    /// other is the same, and proves nothing.
    pub wavers: bool,
}

impl RemoteFile {
    fn of(len: Option<u64>, ranged: bool, headers: &HeaderMap) -> RemoteFile {
        RemoteFile { len, ranged, validators: Validators::of(headers), wavers: false }
    }

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

    /// What these say of the file with `other`.
    pub(crate) fn compare(&self, other: &Validators) -> ValidatorMatch {
        let pairs = [(&self.etag, &other.etag), (&self.modified, &other.modified)];
        let same = pairs.map(|pair| match pair {
            (Some(one), Some(other)) => Some(one == other),
            _ => None,
        });
        match same {
            [Some(true), Some(false)] | [Some(false), Some(true)] => ValidatorMatch::Weak,
            [Some(true), _] => ValidatorMatch::Same,
            [Some(false), _] | [_, Some(false)] => ValidatorMatch::Different,
            // A date does not stand in for an ETag that is missing.
            [None, Some(true)] if self.etag.is_some() => ValidatorMatch::Weak,
            [None, Some(true)] => ValidatorMatch::Same,
            [None, None] => ValidatorMatch::Unknown,
        }
    }
}

/// What two pairs of validators say of their files, if these have the same length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValidatorMatch {
    /// They are the same.
    Same,
    /// One validator is the same, and the other is not, or not there any more.
    Weak,
    /// They are not the same.
    Different,
    /// Nothing.
    Unknown,
}

/// So much in front of what was asked for is passed over at most, where an answer begins earlier.
pub(crate) const MAX_SKIP: u64 = 1 << 20;

/// Why a file is another one for its length: other reasons leave less room for doubt.
pub(crate) const LENGTH_CHANGED: &str = "its length is another one";

/// Where the part begins, and where it ends if that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyRange {
    pub(crate) start: u64,
    pub(crate) end: Option<u64>,
}

/// What an answer is judged by.
pub(crate) struct Expectation<'a> {
    pub(crate) part: Option<Range<u64>>,
    pub(crate) file: Option<&'a RemoteFile>,
    pub(crate) if_range_sent: bool,
}

impl Expectation<'_> {
    /// Judges an answer with this head.
    pub(crate) fn validate(
        &self,
        status: u16,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<(RemoteFile, BodyRange), UpstreamError> {
        let content_range = headers.get(header::CONTENT_RANGE).map(HeaderValue::as_bytes);
        let content_range = content_range.and_then(range::parse_content_range);
        let judged = match (status, content_range) {
            (200, _) => self.validate_full(version, headers),
            (206, Some(ContentRange::Range { part, len })) => {
                self.validate_partial(&part, len, version, headers)
            }
            (206, _) if is_multipart(headers) => Err(UpstreamError::Multipart),
            (206, _) => Err(UpstreamError::WrongRange),
            (416, Some(ContentRange::Unsatisfiable { len })) => {
                self.validate_unsatisfiable(len, headers)
            }
            (429 | 503, _) => Err(UpstreamError::Busy(status, retry_after(headers))),
            _ => Err(UpstreamError::Status(status)),
        };
        // Some scripts call all they send a web page: it is one if it is not the file.
        judged.map_err(|fault| match fault {
            UpstreamError::Status(_) | UpstreamError::Busy(..) => fault,
            _ if is_page(headers) => UpstreamError::WebPage,
            fault => fault,
        })
    }

    /// None of the bytes that were asked for, as the file has no more than `len`.
    fn validate_unsatisfiable(
        &self,
        len: u64,
        headers: &HeaderMap,
    ) -> Result<(RemoteFile, BodyRange), UpstreamError> {
        let Some(asked) = &self.part else { return Err(UpstreamError::Status(416)) };
        let file = RemoteFile::of(Some(len), true, headers);
        if self.file.is_some_and(|known| known.len.is_some() && known.len != file.len) {
            return Err(UpstreamError::EntityChanged(LENGTH_CHANGED));
        }
        // Asked for the first bytes of an empty file.
        if len == 0 && asked.start == 0 {
            self.check_same_entity(&file)?;
            return Ok((file, BodyRange { start: 0, end: Some(0) }));
        }
        let is_past = asked.start < len && len < asked.end;
        Err(if is_past { UpstreamError::PastEnd(len) } else { UpstreamError::Status(416) })
    }

    /// All of the file, whatever part was asked for.
    fn validate_full(
        &self,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<(RemoteFile, BodyRange), UpstreamError> {
        let len = body_length(version, headers)?;
        let extent = BodyRange { start: 0, end: len };
        match self.file {
            // If-Range leads to this answer when the file has changed.
            Some(_) if self.if_range_sent => Err(UpstreamError::RangeIgnored),
            Some(known) if known.ranged => {
                let file = RemoteFile::of(len, true, headers);
                self.check_same_entity(&file)?;
                let is_far = self.part.as_ref().is_none_or(|part| part.start > MAX_SKIP);
                let gone = UpstreamError::EntityChanged("it sends no parts of it any more");
                if is_far { Err(gone) } else { Ok((file, extent)) }
            }
            _ => {
                let file = RemoteFile::of(len, false, headers);
                self.check_same_entity(&file)?;
                Ok((file, extent))
            }
        }
    }

    fn validate_partial(
        &self,
        part: &Range<u64>,
        len: Option<u64>,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<(RemoteFile, BodyRange), UpstreamError> {
        // It may send less than was asked for, or more, but not something else. Who asked for
        // everything is not content with a part.
        let asked = self.part.clone().unwrap_or(0..len.unwrap_or(u64::MAX));
        let early = asked.start.checked_sub(part.start);
        let is_all = self.part.is_some() || part.end == asked.end;
        if early.is_none_or(|early| early > MAX_SKIP) || part.end <= asked.start || !is_all {
            return Err(UpstreamError::WrongRange);
        }
        let body = match body_length(version, headers) {
            // Content-Range tells as well how many bytes there must be.
            Err(UpstreamError::LengthUnknown) if !is_delimited(headers) => None,
            body => body?,
        };
        if body.is_some_and(|len| len != part.end - part.start) {
            return Err(UpstreamError::WrongRange);
        }
        let len = len.or(self.file.and_then(|known| known.len));
        let file = RemoteFile::of(len, self.part.is_some(), headers);
        if len.is_some_and(|len| part.end > len) {
            return Err(UpstreamError::EntityChanged(LENGTH_CHANGED));
        }
        self.check_same_entity(&file)?;
        Ok((file, BodyRange { start: part.start, end: Some(part.end) }))
    }

    /// Whether an answer belongs to the file that is known already.
    fn check_same_entity(&self, file: &RemoteFile) -> Result<(), UpstreamError> {
        let Some(known) = self.file else { return Ok(()) };
        if known.len != file.len {
            return Err(UpstreamError::EntityChanged(LENGTH_CHANGED));
        }
        // The upstream may have compared it itself (RFC 9110 §13.1.5).
        let is_compared = self.if_range_sent && file.validators.etag.is_none();
        match known.validators.compare(&file.validators) {
            ValidatorMatch::Weak if !known.wavers && !is_compared => {
                Err(UpstreamError::ValidatorsDisagree)
            }
            ValidatorMatch::Different => Err(UpstreamError::EntityChanged(
                "its validator (ETag or Last-Modified) is another one",
            )),
            ValidatorMatch::Unknown if known.validators.best().is_some() && !self.if_range_sent => {
                Err(UpstreamError::EntityChanged("it does not show its validator any more"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a body is of a type that media never have, but for the careless.
fn is_page(headers: &HeaderMap) -> bool {
    ["text/html", "application/xhtml+xml", "application/json"]
        .iter()
        .any(|page| is_type(headers, page))
}

/// Whether several parts come as one body (RFC 9110 §14.6).
fn is_multipart(headers: &HeaderMap) -> bool {
    is_type(headers, "multipart/byteranges")
}

fn is_type(headers: &HeaderMap, named: &str) -> bool {
    let said = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let said = said.split(|byte| *byte == b';').next().unwrap_or_default();
    said.trim_ascii().eq_ignore_ascii_case(named.as_bytes())
}

/// Whether a body has an end of its own, and not only that of the connection.
fn is_delimited(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING)
}

/// Whether a body is coded, for all that its Content-Encoding says: these are the codings that
/// there are (IANA HTTP Content Coding Registry). Other words are there by mistake, such as `none`
/// or the name of a character set, and change nothing; if they did, what comes would not be media.
fn has_content_coding(headers: &HeaderMap) -> bool {
    const CODINGS: [&str; 13] = [
        "aes128gcm",
        "br",
        "brotli",
        "compress",
        "dcb",
        "dcz",
        "deflate",
        "exi",
        "gzip",
        "pack200-gzip",
        "x-compress",
        "x-gzip",
        "zstd",
    ];
    let is_coding = |word: &[u8]| {
        let word = word.trim_ascii();
        let bare = word.strip_prefix(b"\"").and_then(|word| word.strip_suffix(b"\""));
        let word = bare.unwrap_or(word);
        CODINGS.iter().any(|coding| word.eq_ignore_ascii_case(coding.as_bytes()))
    };
    let all = headers.get_all(header::CONTENT_ENCODING);
    all.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).any(is_coding)
}

/// Checks that the end of a body can be told from a cut: by its length, or by the last chunk of
/// a chunked body (then `None`).
///
/// What ureq takes for a chunked body is not to be seen from outside, so this is stricter than
/// any reading of the standard: HTTP/1.1, and `chunked` alone. Were ureq to read until the
/// connection closes, a cut would pass for the end.
fn body_length(version: Version, headers: &HeaderMap) -> Result<Option<u64>, UpstreamError> {
    let all = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    if has_content_coding(headers) {
        return Err(UpstreamError::UnexpectedEncoding);
    }
    // When both are there the length is not what delimits the body, but must be right, too.
    let lengths = all(header::CONTENT_LENGTH);
    let announced = match lengths[..] {
        [] => None,
        [one] => {
            Some(decimal(one).filter(|len| *len < u64::MAX).ok_or(UpstreamError::LengthUnknown)?)
        }
        _ => return Err(UpstreamError::LengthUnknown),
    };
    match all(header::TRANSFER_ENCODING)[..] {
        [] if announced.is_some() => Ok(announced),
        [chunked] if version == Version::HTTP_11 && chunked.eq_ignore_ascii_case(b"chunked") => {
            Ok(announced)
        }
        _ => Err(UpstreamError::LengthUnknown),
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
        let judge_as = |version, pairs: &[_]| body_length(version, &headers(pairs));
        let judge = |pairs: &[_]| judge_as(Version::HTTP_11, pairs);
        assert_eq!(judge(&[(header::CONTENT_LENGTH, "7")]), Ok(Some(7)));
        assert_eq!(judge(&[(header::TRANSFER_ENCODING, "chunked")]), Ok(None));
        let both = [(header::CONTENT_LENGTH, "7"), (header::TRANSFER_ENCODING, "Chunked")];
        assert_eq!(judge(&both), Ok(Some(7)));
        assert_eq!(judge(&[]), Err(UpstreamError::LengthUnknown));
        for encoding in ["xchunked", "not-chunked", "\"chunked", "foo chunked", "gzip, chunked"] {
            let pairs = [(header::TRANSFER_ENCODING, encoding)];
            assert_eq!(judge(&pairs), Err(UpstreamError::LengthUnknown), "{encoding}");
        }
        let chunked = [(header::TRANSFER_ENCODING, "chunked")];
        assert_eq!(judge_as(Version::HTTP_10, &chunked), Err(UpstreamError::LengthUnknown));
        for length in ["+7", "7, 7", "", "0x7", "99999999999999999999"] {
            let pairs = [(header::CONTENT_LENGTH, length)];
            assert_eq!(judge(&pairs), Err(UpstreamError::LengthUnknown), "{length}");
        }
        let twice = [(header::CONTENT_LENGTH, "7"), (header::CONTENT_LENGTH, "7")];
        assert_eq!(judge(&twice), Err(UpstreamError::LengthUnknown));
        let pairs = [(header::CONTENT_LENGTH, "7"), (header::CONTENT_ENCODING, "gzip")];
        assert_eq!(judge(&pairs), Err(UpstreamError::UnexpectedEncoding));
    }

    /// Judges a 206 with these fields for a question about bytes 10 to 19.
    fn judge_part(
        file: Option<&RemoteFile>,
        if_range_sent: bool,
        range: &str,
        more: &[(HeaderName, &str)],
    ) -> Result<Option<u64>, UpstreamError> {
        let known = Expectation { part: Some(10..20), file, if_range_sent };
        let mut pairs = more.to_vec();
        pairs.extend([(header::CONTENT_RANGE, range), (header::TRANSFER_ENCODING, "chunked")]);
        known.validate(206, Version::HTTP_11, &headers(&pairs)).map(|(_, span)| span.end)
    }

    #[test]
    fn only_the_part_that_was_asked_for_is_taken() {
        let judge = |range| judge_part(None, false, range, &[]);
        assert_eq!(judge("bytes 10-19/100"), Ok(Some(20)));
        assert_eq!(judge("bytes 10-14/100"), Ok(Some(15)));
        // More than that: the rest is not read.
        assert_eq!(judge("bytes 9-19/100"), Ok(Some(20)));
        assert_eq!(judge("bytes 10-20/100"), Ok(Some(21)));
        assert_eq!(judge("bytes 0-99/100"), Ok(Some(100)));
        assert_eq!(judge("bytes 10-19/*"), Ok(Some(20)));
        for range in ["bytes 11-19/100", "bytes 0-9/100", "bytes 20-29/100", "bytes */100"] {
            assert_eq!(judge(range), Err(UpstreamError::WrongRange), "{range}");
        }
        let far = Expectation { part: Some(2 << 20..3 << 20), file: None, if_range_sent: false };
        let fields = headers(&[
            (header::CONTENT_RANGE, "bytes 1048575-3145727/9000000"),
            (header::TRANSFER_ENCODING, "chunked"),
        ]);
        assert_eq!(far.validate(206, Version::HTTP_11, &fields), Err(UpstreamError::WrongRange));
        let wrong = [(header::CONTENT_LENGTH, "9")];
        assert_eq!(
            judge_part(None, false, "bytes 10-19/100", &wrong),
            Err(UpstreamError::WrongRange)
        );
        let all = |range| {
            let known = Expectation { part: None, file: None, if_range_sent: false };
            let fields = headers(&[(header::CONTENT_RANGE, range)]);
            known.validate(206, Version::HTTP_10, &fields).map(|(file, _)| (file.len, file.ranged))
        };
        assert_eq!(all("bytes 0-9/10"), Ok((Some(10), false)));
        assert_eq!(all("bytes 0-8/10"), Err(UpstreamError::WrongRange));
        assert_eq!(all("bytes 0-8/*"), Err(UpstreamError::WrongRange));
        let several = headers(&[(header::CONTENT_TYPE, "multipart/byteranges; boundary=x")]);
        let known = Expectation { part: Some(0..9), file: None, if_range_sent: false };
        let judged = known.validate(206, Version::HTTP_11, &several);
        assert_eq!(judged, Err(UpstreamError::Multipart));
    }

    #[test]
    fn a_page_is_one_only_if_it_is_not_the_file() {
        let file = RemoteFile::of(Some(100), true, &HeaderMap::new());
        let judge = |status, pairs: &[_]| {
            let known = Expectation { part: Some(10..20), file: Some(&file), if_range_sent: false };
            let html = [(header::CONTENT_TYPE, "Text/HTML; charset=utf-8")];
            known.validate(status, Version::HTTP_11, &headers(&[pairs, &html].concat())).map(drop)
        };
        let len = |len| (header::CONTENT_LENGTH, len);
        assert_eq!(judge(200, &[len("99")]), Err(UpstreamError::WebPage));
        assert_eq!(judge(200, &[]), Err(UpstreamError::WebPage));
        let encoded = [len("100"), (header::CONTENT_ENCODING, "gzip")];
        assert_eq!(judge(200, &encoded), Err(UpstreamError::WebPage));
        let part = [len("10"), (header::CONTENT_RANGE, "bytes 10-19/99")];
        assert_eq!(judge(206, &part), Err(UpstreamError::WebPage));
        let part = [len("10"), (header::CONTENT_RANGE, "bytes 10-19/100")];
        assert_eq!(judge(206, &part), Ok(()));
        assert_eq!(judge(403, &[len("9")]), Err(UpstreamError::Status(403)));
    }

    #[test]
    fn words_that_are_no_codings_change_nothing() {
        let judge = |value| {
            let pairs = [(header::CONTENT_LENGTH, "7"), (header::CONTENT_ENCODING, value)];
            body_length(Version::HTTP_11, &headers(&pairs))
        };
        for word in [
            "none",
            "None",
            "",
            "identity",
            "identity, identity",
            "binary",
            "utf-8",
            "\"none\"",
            ",",
        ] {
            assert_eq!(judge(word), Ok(Some(7)), "{word}");
        }
        for word in ["gzip", "GZIP", "x-gzip", "br", "deflate", "zstd", "identity, gzip", "\"br\""]
        {
            assert_eq!(judge(word), Err(UpstreamError::UnexpectedEncoding), "{word}");
        }
    }

    #[test]
    fn a_part_of_another_file_is_not_taken() {
        let validators =
            Validators { etag: Some(HeaderValue::from_static("\"1\"")), modified: None };
        let file = RemoteFile { len: Some(100), ranged: true, validators, wavers: false };
        let judge = |if_range, range, more: &[_]| judge_part(Some(&file), if_range, range, more);
        let is_changed = |judged| matches!(judged, Err(UpstreamError::EntityChanged(_)));
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
        let unproven = Err(UpstreamError::ValidatorsDisagree);
        assert_eq!(judge_part(Some(&dated), false, range, &shown), unproven);
        let otherwise = [(header::ETAG, "\"2\""), shown[0].clone()];
        assert_eq!(judge_part(Some(&dated), true, range, &otherwise), unproven);
        let wavering = RemoteFile { wavers: true, ..dated.clone() };
        assert_eq!(judge_part(Some(&wavering), false, range, &otherwise), Ok(Some(20)));
        let both_other = [(header::ETAG, "\"2\""), (header::LAST_MODIFIED, "x")];
        assert!(is_changed(judge_part(Some(&wavering), false, range, &both_other)));
        let redated = [(header::ETAG, "\"1\""), (header::LAST_MODIFIED, "x")];
        assert_eq!(judge_part(Some(&dated), false, range, &redated), unproven);
        assert_eq!(judge_part(Some(&dated), true, range, &shown), Ok(Some(20)));
        dated.validators.etag = None;
        assert_eq!(judge_part(Some(&dated), false, range, &shown), Ok(Some(20)));
        let whole = |if_range_sent, start, etag| {
            let part = Some(start..start + 10);
            let known = Expectation { part, file: Some(&file), if_range_sent };
            let fields = headers(&[(header::CONTENT_LENGTH, "100"), (header::ETAG, etag)]);
            known.validate(200, Version::HTTP_11, &fields).map(|(_, extent)| extent.start)
        };
        assert_eq!(whole(true, 10, "\"1\""), Err(UpstreamError::RangeIgnored));
        assert_eq!(whole(false, 10, "\"1\""), Ok(0));
        assert!(is_changed(whole(false, MAX_SKIP + 1, "\"1\"").map(Some)));
        assert!(is_changed(whole(false, 10, "\"2\"").map(Some)));
    }

    #[test]
    fn an_empty_file_is_one() {
        let known = Expectation { part: Some(0..10), file: None, if_range_sent: false };
        let judge = |range: &str| {
            let fields = headers(&[(header::CONTENT_RANGE, range)]);
            known.validate(416, Version::HTTP_11, &fields).map(|(file, _)| file.len)
        };
        assert_eq!(judge("bytes */0"), Ok(Some(0)));
        assert_eq!(judge("bytes */9"), Err(UpstreamError::PastEnd(9)));
        assert_eq!(judge("bytes */10"), Err(UpstreamError::Status(416)));
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

//! How a response delimits its body, so that its end can be told from a truncation (RFC 9112 §6).
//! Pure.

use ureq::http::Version;
use ureq::http::header::{self, HeaderMap, HeaderValue};

use crate::error::UpstreamError;
use crate::range::decimal;

/// Returns whether the body has an end other than that of the connection.
pub(crate) fn is_delimited(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING)
}

/// Returns whether Content-Encoding names a registered coding (IANA HTTP Content Coding Registry).
/// Other values appear by mistake, such as `none` or the name of a character set, and change
/// nothing; if they did, the body would not be media.
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

/// Returns the length of a body whose end can be told from a truncation: by its length, or by the
/// last chunk of a chunked body (then `None`).
///
/// This check is stricter than any reading of the standard: HTTP/1.1, and `chunked` alone. If the
/// protocol engine read another body until the connection closes, a truncation would pass for the
/// end.
pub(crate) fn body_length(
    version: Version,
    headers: &HeaderMap,
) -> Result<Option<u64>, UpstreamError> {
    let all = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    if has_content_coding(headers) {
        return Err(UpstreamError::UnexpectedEncoding);
    }
    // When both fields are present, the length does not delimit the body, but must be right.
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
        let check = |pairs: &[_]| judge_as(Version::HTTP_11, pairs);
        assert_eq!(check(&[(header::CONTENT_LENGTH, "7")]), Ok(Some(7)));
        assert_eq!(check(&[(header::TRANSFER_ENCODING, "chunked")]), Ok(None));
        let both = [(header::CONTENT_LENGTH, "7"), (header::TRANSFER_ENCODING, "Chunked")];
        assert_eq!(check(&both), Ok(Some(7)));
        assert_eq!(check(&[]), Err(UpstreamError::LengthUnknown));
        for encoding in ["xchunked", "not-chunked", "\"chunked", "foo chunked", "gzip, chunked"] {
            let pairs = [(header::TRANSFER_ENCODING, encoding)];
            assert_eq!(check(&pairs), Err(UpstreamError::LengthUnknown), "{encoding}");
        }
        let chunked = [(header::TRANSFER_ENCODING, "chunked")];
        assert_eq!(judge_as(Version::HTTP_10, &chunked), Err(UpstreamError::LengthUnknown));
        for length in ["+7", "7, 7", "", "0x7", "99999999999999999999"] {
            let pairs = [(header::CONTENT_LENGTH, length)];
            assert_eq!(check(&pairs), Err(UpstreamError::LengthUnknown), "{length}");
        }
        let twice = [(header::CONTENT_LENGTH, "7"), (header::CONTENT_LENGTH, "7")];
        assert_eq!(check(&twice), Err(UpstreamError::LengthUnknown));
        let pairs = [(header::CONTENT_LENGTH, "7"), (header::CONTENT_ENCODING, "gzip")];
        assert_eq!(check(&pairs), Err(UpstreamError::UnexpectedEncoding));
    }

    #[test]
    fn words_that_are_no_codings_change_nothing() {
        let check = |value| {
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
            assert_eq!(check(word), Ok(Some(7)), "{word}");
        }
        for word in ["gzip", "GZIP", "x-gzip", "br", "deflate", "zstd", "identity, gzip", "\"br\""]
        {
            assert_eq!(check(word), Err(UpstreamError::UnexpectedEncoding), "{word}");
        }
    }
}

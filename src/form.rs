//! `application/x-www-form-urlencoded` (WHATWG URL §5): queries, and bodies of forms. Pure.

use std::fmt::Write;

use percent_encoding::{
    AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode,
};

/// The maximum number of parameters, more than any route needs.
pub const MAX_PARAMETERS: usize = 128;
/// The parameters that may be repeated: several links make a list, several audio files tracks of one file.
const REPEATED: [&str; 2] = [LINK, AUDIO];
/// The link of a page.
pub const LINK: &str = "url";
/// The URL of an audio file.
pub const AUDIO: &str = "audio";

/// The characters to percent-encode in a query value: all but the unreserved ones (RFC 3986 §2.3).
const NOT_UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a text is no form.
#[derive(Debug, PartialEq, Eq)]
pub enum FormError {
    /// It is not properly percent-encoded UTF-8.
    Encoding,
    /// It has this parameter twice.
    Duplicate(String),
    /// It has more than [`MAX_PARAMETERS`].
    TooMany,
}

/// Returns the decoded parameters, names and values, in order.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, FormError> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        if !REPEATED.contains(&&*name) && parameters.iter().any(|(known, _)| *known == name) {
            return Err(FormError::Duplicate(name));
        }
        if parameters.len() == MAX_PARAMETERS {
            return Err(FormError::TooMany);
        }
        parameters.push((name, value));
    }
    Ok(parameters)
}

/// Returns parameters in the one encoding that is the same for all who write them.
pub fn encode<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in parameters {
        let separator = if text.is_empty() { "" } else { "&" };
        // Writing to a string cannot fail.
        write!(text, "{separator}{}={}", encode_value(name), encode_value(value)).ok();
    }
    text
}

/// Percent-encodes a name or a value.
pub fn encode_value(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, NOT_UNRESERVED)
}

/// Decodes a name or a value; bytes that are not UTF-8 are an error.
fn decode(text: &str) -> Result<String, FormError> {
    let text = text.replace('+', " ");
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let is_valid = |at: usize| bytes[at] != b'%' || (hex(at + 1) && hex(at + 2));
    match percent_decode_str(&text).decode_utf8() {
        Ok(decoded) if (0..bytes.len()).all(is_valid) => Ok(decoded.into_owned()),
        _ => Err(FormError::Encoding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parameters_are_decoded() {
        let parsed = parse("a=b+c%26&&d&%c3%bc=%2B").unwrap();
        let expected = [("a", "b c&"), ("d", ""), ("ü", "+")];
        assert_eq!(parse("url=1&url=2").map(|links| links.len()), Ok(2));
        assert_eq!(parsed, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(encode(expected), "a=b%20c%26&d=&%C3%BC=%2B");
        for text in ["%zz", "a=%4", "a=%", "%ff=a"] {
            assert_eq!(parse(text), Err(FormError::Encoding), "{text}");
        }
        assert_eq!(parse("a=1&%61=2"), Err(FormError::Duplicate("a".into())));
        let many: Vec<_> = (0..=MAX_PARAMETERS).map(|number| format!("{number}=")).collect();
        assert_eq!(parse(&many[1..].join("&")).map(|parsed| parsed.len()), Ok(MAX_PARAMETERS));
        assert_eq!(parse(&many.join("&")), Err(FormError::TooMany));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(pairs in prop::collection::btree_map(".{1,9}", ".{0,9}", 0..9)) {
            let pairs: Vec<_> = pairs.into_iter().collect();
            let text = encode(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            prop_assert_eq!(parse(&text), Ok(pairs));
        }
    }
}

//! The Content-Range field of an upstream: a range is never empty, and lies within the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ytcanal::range::{ContentRange, parse_content_range};

fuzz_target!(|input: (u64, u64, u64, &[u8])| {
    let (first, last, len, bytes) = input;
    sensible(bytes);
    sensible(&[b"bytes ", bytes].concat());

    // What is well formed is understood as plain arithmetic has it.
    let said = format!("bytes {first}-{last}/{len}");
    let makes_sense = first <= last && last < len;
    let range = makes_sense.then(|| ContentRange::Range { range: first..last + 1, len: Some(len) });
    assert_eq!(parse_content_range(said.as_bytes()), range, "{said}");
    let said = format!("bytes {first}-{last}/*");
    let makes_sense = first <= last && last < u64::MAX;
    let range = makes_sense.then(|| ContentRange::Range { range: first..last + 1, len: None });
    assert_eq!(parse_content_range(said.as_bytes()), range, "{said}");
});

/// What was sent makes sense, and says the same when it is written down again.
fn sensible(bytes: &[u8]) {
    let Some(said) = parse_content_range(bytes) else { return };
    let again = match &said {
        ContentRange::Range { range, len } => {
            assert!(range.start < range.end, "{said:?}");
            assert!(len.is_none_or(|len| range.end <= len), "{said:?}");
            let len = len.map_or("*".into(), |len| len.to_string());
            format!("bytes {}-{}/{len}", range.start, range.end - 1)
        }
        ContentRange::Unsatisfiable { len } => format!("bytes */{len}"),
    };
    assert_eq!(parse_content_range(again.as_bytes()), Some(said));
}

//! The Range field of a client: whatever it says, no byte outside of the file is ever meant.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ytcanal::range::{RangeHeader, format_range, parse_range};

fuzz_target!(|input: (u64, u64, u64, &[u8])| {
    let (len, first, last, bytes) = input;
    inside(bytes, len);
    inside(&[b"bytes=", bytes].concat(), len);

    // What is well formed is understood as plain arithmetic has it.
    let part = |from: u64, to: u64| {
        if from < to { RangeHeader::Range(from..to) } else { RangeHeader::Unsatisfiable }
    };
    let behind = |last: u64| last.saturating_add(1).min(len);
    let pair = if last < first { RangeHeader::Full } else { part(first, behind(last)) };
    assert_eq!(parse_range(format!("bytes={first}-{last}").as_bytes(), len), pair);
    assert_eq!(parse_range(format!("Bytes={first}-").as_bytes(), len), part(first, len));
    assert_eq!(
        parse_range(format!("bytes=-{last}").as_bytes(), len),
        part(len.saturating_sub(last), len)
    );
});

/// What is asked lies in the file, and our own words for it are understood.
fn inside(bytes: &[u8], len: u64) {
    if let RangeHeader::Range(part) = parse_range(bytes, len) {
        assert!(part.start < part.end && part.end <= len, "{part:?} of {len}");
        assert_eq!(parse_range(format_range(&part).as_bytes(), len), RangeHeader::Range(part));
    }
}

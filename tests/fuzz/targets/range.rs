//! The Range field of a client: whatever it says, no byte outside of the file is ever meant.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ytcanal::range::{Wanted, field, wanted};

fuzz_target!(|input: (u64, u64, u64, &[u8])| {
    let (len, first, last, bytes) = input;
    inside(bytes, len);
    inside(&[b"bytes=", bytes].concat(), len);

    // What is well formed is understood as plain arithmetic has it.
    let part =
        |from: u64, to: u64| if from < to { Wanted::Part(from..to) } else { Wanted::Nothing };
    let behind = |last: u64| last.saturating_add(1).min(len);
    let pair = if last < first { Wanted::Whole } else { part(first, behind(last)) };
    assert_eq!(wanted(format!("bytes={first}-{last}").as_bytes(), len), pair);
    assert_eq!(wanted(format!("Bytes={first}-").as_bytes(), len), part(first, len));
    assert_eq!(
        wanted(format!("bytes=-{last}").as_bytes(), len),
        part(len.saturating_sub(last), len)
    );
});

/// What is wanted lies in the file, and our own words for it are understood.
fn inside(bytes: &[u8], len: u64) {
    if let Wanted::Part(part) = wanted(bytes, len) {
        assert!(part.start < part.end && part.end <= len, "{part:?} of {len}");
        assert_eq!(wanted(field(&part).as_bytes(), len), Wanted::Part(part));
    }
}

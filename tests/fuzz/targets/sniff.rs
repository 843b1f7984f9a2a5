//! The first bytes of a file: the looks at them end with a verdict, and more bytes do not turn
//! it into another one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ytcanal::mux::sniff::{Format, LOOK_AT_MOST, Verdict, sniff};

/// What is looked at further, in the program.
const STEP: usize = 16 << 10;

const MAGICS: [&[u8]; 8] = [
    b"",
    b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff",
    b"\0\0\0\x0cftypisom",
    b"\0\0\0\x08ftyp\0\0\x02\0moov\0\0\0\x6cmvhd",
    b"OggS\0\x02",
    b"\xff\xfb\x90",
    b"\xff\xf1\x50\x80",
    b"RIFF\0\0\0\0WAVE",
];

fuzz_target!(|input: (u8, Option<u64>, u8, u32, &[u8], &[u8])| {
    let (magic, len, filler, count, start, end) = input;
    // A run of the same byte makes long files out of short inputs.
    let run = vec![filler; count as usize % (LOOK_AT_MOST + STEP)];
    let mut file = [MAGICS[usize::from(magic) % MAGICS.len()], start, &run, end].concat();
    file.truncate(LOOK_AT_MOST);

    let (mut seen, mut decided) = (0, None);
    while seen < file.len() {
        seen = file.len().min(if seen < 64 { seen + 1 } else { seen + STEP });
        let verdict = kind(sniff(&file[..seen], len, false));
        assert!(decided.is_none() || verdict.is_none() || verdict == decided, "at {seen}");
        decided = decided.or(verdict);
    }
    let verdict = kind(sniff(&file, len, true));
    assert!(verdict.is_some(), "it waits for bytes that do not come");
    assert!(decided.is_none() || verdict == decided, "{decided:?}, then {verdict:?}");
});

/// Which format it is, `None` for a refusal, if there is a verdict.
fn kind(verdict: Verdict) -> Option<Option<Format>> {
    match verdict {
        Verdict::More => None,
        Verdict::Known(head) => Some(Some(head.format)),
        Verdict::Refused(_) => Some(None),
    }
}

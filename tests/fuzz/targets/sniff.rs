//! The first bytes of a file: the looks at them end with a verdict, and more bytes do not turn
//! it into another one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ytcanal::container::probe::{Format, PROBE_SIZE, Probe, View, probe};

/// What is looked at further, in the program.
const STEP: usize = 16 << 10;

const MAGICS: [&[u8]; 17] = [
    b"",
    b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff",
    b"\0\0\0\x0cftypisom",
    b"\0\0\0\x08ftyp\0\0\x02\0moov\0\0\0\x6cmvhd",
    b"OggS\0\x02",
    b"\xff\xfb\x90",
    b"\xff\xf1\x50\x80",
    b"RIFF\0\0\0\0WAVE",
    b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0",
    b"FORM\0\0\0\0AIFFCOMM\0\0\0\x12",
    b"ID3\x04\0\0\0\0\0\x10",
    b"ID3\x04\0\0\0\x7f\0\0",
    b"APETAGEX\xd0\x07\0\0\x40\0\0\0\0\0\0\0\0\0\0\xa0",
    b"\x0b\x77\0\0\x14\x40",
    b"\x0b\x77\x01\x7f\x34\x87",
    b"FLV\x01\x05\0\0\0\x09\0\0\0\0\x12",
    b"fLaC\0\0\0\x22",
];

fuzz_target!(|input: (u8, Option<u64>, u8, u32, &[u8], &[u8])| {
    let (magic, len, filler, count, start, end) = input;
    // A run of the same byte makes long files out of short inputs.
    let run = vec![filler; count as usize % (PROBE_SIZE + STEP)];
    let mut file = [MAGICS[usize::from(magic) % MAGICS.len()], start, &run, end].concat();
    file.truncate(PROBE_SIZE);
    // A source hands on no byte behind the length that it tells.
    let len = len.map(|len| len.max(file.len() as u64));

    let (mut seen, mut decided) = (0, None);
    while seen < file.len() {
        seen = file.len().min(if seen < 64 { seen + 1 } else { seen + STEP });
        let verdict = kind(probe(&View::front(&file[..seen], len, false)));
        assert!(decided.is_none() || verdict.is_none() || verdict == decided, "at {seen}");
        decided = decided.or(verdict);
    }
    let verdict = kind(probe(&View::front(&file, len, true)));
    assert!(verdict.is_some(), "it waits for bytes that do not come");
    assert!(decided.is_none() || verdict == decided, "{decided:?}, then {verdict:?}");

    // With a look at other places, each is asked for once, and there are few.
    let mut far: Vec<(u64, Vec<u8>)> = Vec::new();
    loop {
        let front = View::front(&file, len, true);
        let view = View { far: &far, may_look: true, is_thorough: true, ..front };
        let Probe::At(at) = probe(&view) else { break };
        assert!(far.len() < 300 && far.iter().all(|(asked, _)| *asked != at), "at {at} again");
        far.push((at, end.to_vec()));
    }
});

/// Which format it is, `None` for a refusal, if there is a verdict.
fn kind(verdict: Probe) -> Option<Option<Format>> {
    match verdict {
        Probe::NeedMore | Probe::At(_) => None,
        Probe::Recognised(head) => Some(Some(head.format)),
        Probe::Unsupported(_) => Some(None),
    }
}

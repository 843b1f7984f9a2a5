//! The durations in the index that ffmpeg wrote: they get in, and nothing else changes.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use ytcanal::ffmpeg::patch_duration::{Scan, with_durations};

/// How the one new box begins, and how long it is.
const MEHD: (&[u8], usize) = (b"\0\0\0\x10mehd", 16);

fuzz_target!(|input: (Vec<Option<u32>>, Vec<(u16, u8)>, &[u8])| {
    let (millis, edits, behind) = input;
    let duration = |millis: &Option<u32>| millis.map(|count| Duration::from_millis(count.into()));
    let tracks: Vec<_> = millis.iter().take(3).map(duration).collect();
    only_durations(behind, &tracks);
    // Random bytes are no index, so there is one, with some of its bytes overwritten.
    let mut file = [&index(tracks.len()), behind].concat();
    for (at, value) in edits {
        let at = usize::from(at) % file.len();
        file[at] = value;
    }
    only_durations(&file, &tracks);
});

fn only_durations(old: &[u8], tracks: &[Option<Duration>]) {
    let whole = with_durations(old, tracks, &[]);
    // The answer must not depend on how much ffmpeg happened to write at once.
    let less = with_durations(&old[..old.len() * 7 / 8], tracks, &[]);
    let new = match (&less, &whole) {
        (Scan::NeedMore | Scan::Unsupported, Scan::Unsupported)
        | (Scan::NeedMore, Scan::NeedMore) => return,
        (Scan::NeedMore, Scan::Complete(new)) => new,
        (Scan::Complete(less), Scan::Complete(new)) if new.starts_with(less) => new,
        _ => panic!("{less:?}, and then {whole:?}"),
    };
    if tracks.iter().all(Option::is_none) {
        return assert_eq!(new, old, "nobody knows how long anything plays");
    }
    assert_eq!(new.len(), old.len() + MEHD.1);
    let mut moov = 0;
    while &old[moov + 4..moov + 8] == b"ftyp" {
        moov += number(old, moov) as usize;
    }
    // The new box is the first in mvex; the two around it have grown; else only zeros went.
    let fits = |mehd: usize| {
        let (mvex, without) = (mehd - 8, [&new[..mehd], &new[mehd + MEHD.1..]].concat());
        let grown = |at: usize| number(&without, at).checked_sub(16) == Some(number(old, at));
        let is_size = |at: usize| (moov..moov + 4).contains(&at) || (mvex..mvex + 4).contains(&at);
        let mut changed = (0..old.len()).filter(|at| old[*at] != without[*at] && !is_size(*at));
        let zeros = changed.by_ref().take_while(|at| old[*at] == 0).count();
        grown(moov)
            && grown(mvex)
            && changed.next().is_none()
            && zeros <= 4 * (1 + 2 * tracks.len())
    };
    let mut places = (8..old.len() + 1).filter(|at| new[*at..].starts_with(MEHD.0));
    assert!(places.any(fits), "more than the durations has changed");
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// What ffmpeg writes for so many tracks, as far as it matters here.
fn index(tracks: usize) -> Vec<u8> {
    let boxed = |kind: &[u8; 4], payload: &[u8]| {
        [&(payload.len() as u32 + 8).to_be_bytes()[..], kind, payload].concat()
    };
    // The times of its making, 1000 ticks a second, and a duration of 0.
    let timed = [&[0; 12][..], &[0, 0, 3, 232], &[0; 8]].concat();
    let mdia = boxed(b"mdia", &boxed(b"mdhd", &timed));
    let trak = boxed(b"trak", &[boxed(b"tkhd", &[0; 84]), mdia].concat());
    let mvex = boxed(b"mvex", &boxed(b"trex", &[0; 24]));
    let moov = boxed(b"moov", &[boxed(b"mvhd", &timed), trak.repeat(tracks), mvex].concat());
    [boxed(b"ftyp", b"isom"), moov].concat()
}

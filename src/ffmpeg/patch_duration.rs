//! Sets the durations in the moov box of a fragmented MP4. ffmpeg writes that box first and cannot know
//! them; the probed inputs tell them. Without a duration, players show a wrong one.
//!
//! The duration goes into every box that players read it from: mvex/mehd, which ISO/IEC 14496-12 defines
//! for fragmented files, mvhd and tkhd, and mdhd, which ffmpeg's own demuxer reads when it cannot seek.
//!
//! The moov box may grow: with `default_base_moof` no offset is relative to the start of the file. Pure.

use std::time::Duration;

/// The maximum size of a moov box.
const MAX_MOOV: usize = 1 << 20;

/// The outcome for the first bytes of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Scan {
    /// The moov box is incomplete.
    NeedMore,
    /// The bytes with the durations set.
    Complete(Vec<u8>),
    /// The bytes have another structure than ffmpeg writes.
    Unsupported,
}

/// Sets the durations of the tracks, where known, in the moov box among the first `bytes` of a fragmented
/// MP4. The movie is as long as the longest track.
pub fn with_durations(bytes: &[u8], tracks: &[Option<Duration>]) -> Scan {
    let mut at = 0;
    loop {
        let Some(found) = find(bytes, at) else {
            return if bytes.len() > MAX_MOOV { Scan::Unsupported } else { Scan::NeedMore };
        };
        if !(8..=MAX_MOOV).contains(&found.len) {
            return Scan::Unsupported;
        }
        let Some(complete) = bytes.get(at..at + found.len) else { return Scan::NeedMore };
        match &found.kind {
            b"ftyp" => at += found.len,
            b"moov" => {
                let Some(moov) = patched(complete, tracks) else { return Scan::Unsupported };
                return Scan::Complete([&bytes[..at], &moov, &bytes[at + found.len..]].concat());
            }
            _ => return Scan::Unsupported,
        }
    }
}

/// A box at an offset.
#[derive(Debug, Clone, Copy)]
struct Found {
    kind: [u8; 4],
    at: usize,
    len: usize,
}

fn find(bytes: &[u8], at: usize) -> Option<Found> {
    let len = u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?) as usize;
    Some(Found { kind: *bytes.get(at + 4..)?.first_chunk()?, at, len })
}

/// Returns the children of a box, which must fill it exactly.
fn children(bytes: &[u8], parent: Found) -> Option<Vec<Found>> {
    let (mut at, end) = (parent.at + 8, parent.at + parent.len);
    let mut all = Vec::new();
    while at < end {
        let child = find(bytes, at)?;
        if child.len < 8 || child.len > end - child.at {
            return None;
        }
        at += child.len;
        all.push(child);
    }
    Some(all)
}

/// Returns a moov box with the durations set, and with an mehd box.
fn patched(moov: &[u8], tracks: &[Option<Duration>]) -> Option<Vec<u8>> {
    let mut bytes = moov.to_vec();
    let root = find(moov, 0)?;
    let boxes = children(moov, root)?;
    let child = |kind: &[u8; 4]| boxes.iter().find(|found| found.kind == *kind).copied();
    let (mvhd, mvex) = (child(b"mvhd")?, child(b"mvex")?);
    let timescale = u32_at(moov, mvhd.at + TIMESCALE)?;
    let Some(longest) = tracks.iter().copied().flatten().max() else { return Some(bytes) };
    let movie = ticks(longest, timescale)?;
    set_u32(&mut bytes, mvhd, MVHD_DURATION, movie)?;
    let traks: Vec<Found> = boxes.iter().filter(|found| &found.kind == b"trak").copied().collect();
    if traks.is_empty() {
        return None;
    }
    for (trak, duration) in traks.into_iter().zip(tracks) {
        let Some(duration) = duration else { continue };
        let inside = children(moov, trak)?;
        let tkhd = *inside.iter().find(|found| &found.kind == b"tkhd")?;
        set_u32(&mut bytes, tkhd, TKHD_DURATION, ticks(*duration, timescale)?)?;
        let mdia = *inside.iter().find(|found| &found.kind == b"mdia")?;
        let mdhd = *children(moov, mdia)?.iter().find(|found| &found.kind == b"mdhd")?;
        let media_timescale = u32_at(moov, mdhd.at + TIMESCALE)?;
        // The media duration excludes an empty edit at the beginning.
        let media = duration.saturating_sub(empty_edit(moov, &inside, timescale));
        set_u32(&mut bytes, mdhd, MDHD_DURATION, ticks(media, media_timescale)?)?;
    }
    // §8.8.2: the duration of the movie including all fragments.
    let mehd = [&16u32.to_be_bytes()[..], b"mehd", &[0; 4], &movie.to_be_bytes()].concat();
    for grown in [mvex, root] {
        let len = u32::try_from(grown.len + mehd.len()).ok()?;
        bytes.get_mut(grown.at..)?.first_chunk_mut().map(|field| *field = len.to_be_bytes())?;
    }
    bytes.splice(mvex.at + 8..mvex.at + 8, mehd);
    Some(bytes)
}

/// Returns the duration of the empty edit at the beginning of a track's edit list (§8.6.6), or 0.
fn empty_edit(moov: &[u8], inside: &[Found], timescale: u32) -> Duration {
    let list = || {
        let edts = *inside.iter().find(|found| &found.kind == b"edts")?;
        let elst = *children(moov, edts)?.iter().find(|found| &found.kind == b"elst")?;
        let entry = elst.at + 16;
        let (ticks, is_empty) = match moov.get(elst.at + 8)? {
            0 => (u64::from(u32_at(moov, entry)?), u32_at(moov, entry + 4)? == u32::MAX),
            _ => (u64_at(moov, entry)?, u64_at(moov, entry + 8)? == u64::MAX),
        };
        let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(timescale.max(1));
        is_empty.then(|| u64::try_from(nanos).map(Duration::from_nanos).ok())?
    };
    list().unwrap_or_default()
}

/// The offsets of fields from the start of a box of version 0 (§8.2.2, §8.3.2, §8.4.2), which ffmpeg
/// writes while the duration is 0.
const TIMESCALE: usize = 20;
const MVHD_DURATION: usize = 24;
const TKHD_DURATION: usize = 28;
const MDHD_DURATION: usize = 24;

/// Sets a 32-bit field in a box of version 0, if it is 0 as expected.
fn set_u32(bytes: &mut [u8], found: Found, offset: usize, value: u32) -> Option<()> {
    let field = bytes.get_mut(found.at + 8..found.at + found.len)?;
    let (version, field) = (*field.first()?, field.get_mut(offset - 8..)?.first_chunk_mut()?);
    if version != 0 || *field != [0; 4] {
        return None;
    }
    *field = value.to_be_bytes();
    Some(())
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Converts a duration to a timescale; `None` if it does not fit. All ones would mean "unknown".
fn ticks(duration: Duration, timescale: u32) -> Option<u32> {
    let ticks = duration.as_nanos() * u128::from(timescale) / 1_000_000_000;
    u32::try_from(ticks).ok().filter(|ticks| *ticks != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: [Option<Duration>; 1] = [Some(Duration::from_secs(1))];

    fn boxed(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        let size = u32::try_from(payload.len() + 8).unwrap();
        [&size.to_be_bytes()[..], kind, payload].concat()
    }

    fn file() -> Vec<u8> {
        let mut mvhd = vec![0; 100];
        mvhd[12..16].copy_from_slice(&1000u32.to_be_bytes());
        let mut tkhd = vec![0; 84];
        tkhd[3] = 3;
        let mvex = boxed(b"mvex", &boxed(b"trex", &[0; 24]));
        let mut mdhd = vec![0; 24];
        mdhd[12..16].copy_from_slice(&90_000u32.to_be_bytes());
        let mdia = boxed(b"mdia", &boxed(b"mdhd", &mdhd));
        let trak = boxed(b"trak", &[boxed(b"tkhd", &tkhd), mdia].concat());
        let moov = [boxed(b"mvhd", &mvhd), trak, mvex, boxed(b"udta", &[])].concat();
        [boxed(b"ftyp", b"isom"), boxed(b"moov", &moov), boxed(b"moof", &[7; 9])].concat()
    }

    #[test]
    fn the_duration_gets_in_and_nothing_else_changes() {
        let file = file();
        let Scan::Complete(new) = with_durations(&file, &[Some(Duration::from_millis(61_500))])
        else {
            panic!()
        };
        assert_eq!(new.len(), file.len() + 16);
        let ticks = 61_500u32.to_be_bytes();
        let places = new.windows(4).filter(|window| **window == ticks).count();
        assert_eq!(places, 3, "mvhd, tkhd and mehd");
        let media_ticks = (61_500u32 * 90).to_be_bytes();
        assert!(new.windows(4).any(|window| *window == media_ticks), "mdhd");
        assert!(new.ends_with(&boxed(b"moof", &[7; 9])));
        let moov = find(&new, 12).unwrap();
        assert_eq!(&moov.kind, b"moov");
        let inside = children(&new, moov).unwrap();
        assert_eq!(
            inside.iter().map(|b| b.kind).collect::<Vec<_>>(),
            [*b"mvhd", *b"trak", *b"mvex", *b"udta"]
        );
    }

    #[test]
    fn what_is_not_shown_at_first_is_not_of_the_media() {
        let file = file();
        let entry = [250, u32::MAX, 0x1_0000].map(u32::to_be_bytes);
        let elst = boxed(b"elst", &[&[0, 0, 0, 0, 0, 0, 0, 1], entry.as_flattened()].concat());
        let edts = boxed(b"edts", &elst);
        let mdia = file.windows(4).position(|window| window == b"mdia").unwrap() - 4;
        let mut late = [&file[..mdia], &edts, &file[mdia..]].concat();
        for kind in [b"moov", b"trak"] {
            let at = late.windows(4).position(|window| window == kind).unwrap() - 4;
            let len = u32_at(&late, at).unwrap() + edts.len() as u32;
            late[at..at + 4].copy_from_slice(&len.to_be_bytes());
        }
        let Scan::Complete(new) = with_durations(&late, &SECOND) else { panic!() };
        let count = |ticks: u32| {
            let ticks = ticks.to_be_bytes();
            new.windows(4).filter(|window| **window == ticks).count()
        };
        assert_eq!((count(67_500), count(90_000)), (1, 1), "three quarters, beside the scale");
    }

    #[test]
    fn it_waits_for_the_whole_index() {
        let file = file();
        let whole = file.len() - 17;
        for len in 0..whole {
            assert_eq!(with_durations(&file[..len], &SECOND), Scan::NeedMore, "{len}");
        }
        let at_last = with_durations(&file[..whole], &SECOND);
        assert!(matches!(at_last, Scan::Complete(_)));
    }

    #[test]
    fn what_does_not_fit_is_left_alone() {
        assert_eq!(with_durations(&[0xff; 64], &SECOND), Scan::Unsupported);
        // 50 days at 1000 ticks a second do not fit into 32 bits.
        let long = Duration::from_secs(50 * 86_400);
        assert_eq!(with_durations(&file(), &[Some(long)]), Scan::Unsupported);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in 0usize..300, value: u8, secs: u64) {
            let mut bytes = file();
            let at = at % bytes.len();
            bytes[at] = value;
            with_durations(&bytes, &[Some(Duration::from_secs(secs))]);
        }
    }
}

//! Sets the durations in the moov box of a fragmented MP4, and adds chapters. ffmpeg writes that box first and cannot
//! know them; the probed inputs tell them. Without a duration, players show a wrong one.
//!
//! The duration goes into every box that players read it from: mvex/mehd, which ISO/IEC 14496-12 defines
//! for fragmented files, mvhd and tkhd, and mdhd, which ffmpeg's own demuxer reads when it cannot seek.
//!
//! The moov box may grow: with `default_base_moof` no offset is relative to the start of the file. Pure.

use std::borrow::Cow;
use std::time::Duration;

use crate::container::isobmff::edit_list::EditList;
use crate::container::isobmff::fields::TimeHeader;
use crate::container::isobmff::{Header, Mp4Box, boxed, children, find, header};

/// The maximum size of a moov box.
const MAX_MOOV: usize = 1 << 20;
/// The maximum length of the header of a box.
const MAX_HEADER: usize = 16;

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
/// MP4, and adds the box `chapters`, if that is not empty. The movie is as long as the longest track.
pub fn with_durations(bytes: &[u8], tracks: &[Option<Duration>], chapters: &[u8]) -> Scan {
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let Some(Header { kind, header, len }) = header(rest) else {
            return if rest.len() < MAX_HEADER { Scan::NeedMore } else { Scan::Unsupported };
        };
        let len = len.and_then(|len| usize::try_from(len).ok()).filter(|len| *len <= MAX_MOOV);
        let Some(len) = len else { return Scan::Unsupported };
        let Some(complete) = rest.get(..len) else { return Scan::NeedMore };
        match &kind {
            b"ftyp" => at += len,
            b"moov" => {
                let moov = with_chapters(&complete[header..], chapters)
                    .and_then(|moov| patched(&moov, tracks));
                return moov.map_or(Scan::Unsupported, |moov| {
                    Scan::Complete([&bytes[..at], &moov, &rest[len..]].concat())
                });
            }
            _ => return Scan::Unsupported,
        }
    }
}

/// Returns the payload of a moov box with the box `chapters` in its udta box.
fn with_chapters<'m>(moov: &'m [u8], chapters: &[u8]) -> Option<Cow<'m, [u8]>> {
    if chapters.is_empty() {
        return Some(moov.into());
    }
    let is_udta = |found: &Mp4Box<'_>| found.kind == *b"udta";
    let old = children(moov)?.into_iter().find(is_udta);
    let own = old.map_or(&[][..], |found| &found.bytes[found.header..]);
    let udta = boxed(b"udta", &[own, chapters]);
    let rest =
        rebuilt(moov, |found| Some(if is_udta(found) { Vec::new() } else { found.bytes.to_vec() }));
    Some([rest?, udta].concat().into())
}

/// Returns a moov box with this payload, the durations set, and with an mehd box.
fn patched(moov: &[u8], tracks: &[Option<Duration>]) -> Option<Vec<u8>> {
    let longest = tracks.iter().copied().flatten().max();
    let Some(longest) = longest else { return Some(boxed(b"moov", &[moov])) };
    let TimeHeader { timescale, .. } = TimeHeader::read(find(moov, &[b"mvhd"])?)?;
    find(moov, &[b"mvex"])?;
    let movie = ticks(longest, timescale)?;
    let mut durations = tracks.iter();
    let moov = rebuilt(moov, |found| match &found.kind {
        b"mvhd" => with_u32(found, MVHD_DURATION, movie),
        b"trak" => match durations.next() {
            Some(Some(duration)) => patched_trak(found.payload(), *duration, timescale),
            _ => Some(found.bytes.to_vec()),
        },
        // §8.8.2: the duration of the movie including all fragments.
        b"mvex" => {
            let mehd = boxed(b"mehd", &[&[0; 4], &movie.to_be_bytes()]);
            Some(boxed(b"mvex", &[&mehd, found.payload()]))
        }
        _ => Some(found.bytes.to_vec()),
    })?;
    let has_tracks = durations.len() < tracks.len();
    has_tracks.then(|| boxed(b"moov", &[&moov]))
}

/// Returns a trak box with this payload and the durations of the track and of its media set.
fn patched_trak(trak: &[u8], duration: Duration, movie_timescale: u32) -> Option<Vec<u8>> {
    let media_header = TimeHeader::read(find(trak, &[b"mdia", b"mdhd"])?)?;
    find(trak, &[b"tkhd"])?;
    let track = ticks(duration, movie_timescale)?;
    // The media duration excludes an empty edit at the beginning.
    let media = duration.saturating_sub(empty_edit(trak, movie_timescale));
    let media = ticks(media, media_header.timescale)?;
    let trak = rebuilt(trak, |found| match &found.kind {
        b"tkhd" => with_u32(found, TKHD_DURATION, track),
        b"mdia" => {
            let mdia = rebuilt(found.payload(), |found| match &found.kind {
                b"mdhd" => with_u32(found, MDHD_DURATION, media),
                _ => Some(found.bytes.to_vec()),
            });
            Some(boxed(b"mdia", &[&mdia?]))
        }
        _ => Some(found.bytes.to_vec()),
    });
    Some(boxed(b"trak", &[&trak?]))
}

/// Returns the boxes that `bytes` consist of, each replaced by what `replace` returns.
fn rebuilt(bytes: &[u8], replace: impl FnMut(&Mp4Box<'_>) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let boxes = children(bytes)?.iter().map(replace).collect::<Option<Vec<_>>>()?;
    Some(boxes.concat())
}

/// Returns the duration of the empty edit at the beginning of a track's edit list (§8.6.6), or 0.
fn empty_edit(trak: &[u8], timescale: u32) -> Duration {
    let list = find(trak, &[b"edts", b"elst"]).and_then(EditList::read);
    let first = list.and_then(|list| list.edits().next());
    let Some(empty) = first.filter(|edit| edit.media_time == -1) else { return Duration::ZERO };
    let nanos = u128::from(empty.segment) * 1_000_000_000 / u128::from(timescale.max(1));
    u64::try_from(nanos).map(Duration::from_nanos).unwrap_or_default()
}

/// The offsets of fields in the payloads of boxes of version 0 (§8.2.2, §8.3.2, §8.4.2), which ffmpeg
/// writes while the duration is 0.
const MVHD_DURATION: usize = 16;
const TKHD_DURATION: usize = 20;
const MDHD_DURATION: usize = 16;

/// Returns a box of version 0 with a 32-bit field set, which must be 0 as expected.
fn with_u32(found: &Mp4Box<'_>, offset: usize, value: u32) -> Option<Vec<u8>> {
    let mut bytes = found.bytes.to_vec();
    let payload = &mut bytes[found.header..];
    let (version, field) = (*payload.first()?, payload.get_mut(offset..)?.first_chunk_mut()?);
    if version != 0 || *field != [0; 4] {
        return None;
    }
    *field = value.to_be_bytes();
    Some(bytes)
}

/// Converts a duration to a timescale; `None` if it does not fit. All ones would mean "unknown".
fn ticks(duration: Duration, timescale: u32) -> Option<u32> {
    let ticks = duration.as_nanos() * u128::from(timescale) / 1_000_000_000;
    u32::try_from(ticks).ok().filter(|ticks| *ticks != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::isobmff::{self, u32_at};
    use proptest::prelude::*;

    const SECOND: [Option<Duration>; 1] = [Some(Duration::from_secs(1))];

    fn boxed(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        isobmff::boxed(kind, &[payload])
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
        let Scan::Complete(new) =
            with_durations(&file, &[Some(Duration::from_millis(61_500))], &[])
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
        let media = new.windows(4).position(|window| window == b"moof").unwrap() - 4;
        let moov = find(&new[..media], &[b"moov"]).unwrap();
        let kinds: Vec<_> = children(moov).unwrap().iter().map(|found| found.kind).collect();
        assert_eq!(kinds, [*b"mvhd", *b"trak", *b"mvex", *b"udta"]);
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
        let Scan::Complete(new) = with_durations(&late, &SECOND, &[]) else { panic!() };
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
            assert_eq!(with_durations(&file[..len], &SECOND, &[]), Scan::NeedMore, "{len}");
        }
        let at_last = with_durations(&file[..whole], &SECOND, &[]);
        assert!(matches!(at_last, Scan::Complete(_)));
    }

    #[test]
    fn what_does_not_fit_is_left_alone() {
        assert_eq!(with_durations(&[0xff; 64], &SECOND, &[]), Scan::Unsupported);
        // 50 days at 1000 ticks a second do not fit into 32 bits.
        let long = Duration::from_secs(50 * 86_400);
        assert_eq!(with_durations(&file(), &[Some(long)], &[]), Scan::Unsupported);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(at in 0usize..300, value: u8, secs: u64) {
            let mut bytes = file();
            let at = at % bytes.len();
            bytes[at] = value;
            with_durations(&bytes, &[Some(Duration::from_secs(secs))], b"\0\0\0\x08chpl");
        }
    }
}

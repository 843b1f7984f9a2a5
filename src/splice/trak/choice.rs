//! Track selection: which track of a kind a player would take. Files hold more than their main
//! tracks: chapters as text or as images, time codes, hint tracks, covers, other languages. The
//! selection is pure; a malformed track is never selected.

use crate::container::isobmff::fields::{TrackHeader, handler_type, sample_count};
use crate::container::isobmff::{find, u32_at};

/// The sample entry types of still images, which are not selected as video if there is anything
/// else.
const STILL_IMAGES: [&[u8; 4]; 5] = [b"jpeg", b"png ", b"tiff", b"gif ", b"BMP "];

/// A track and its rank.
struct Candidate<'a> {
    trak: &'a [u8],
    /// The highest rank is selected.
    rank: Rank,
}

/// The criteria of the selection, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    has_samples: bool,
    is_no_chapter_track: bool,
    is_moving: bool,
    is_enabled: bool,
}

/// Returns the track with this handler that a player would take: the first enabled one among those
/// that have samples and are not chapters.
pub(super) fn select<'a>(traks: &[&'a [u8]], handler: &[u8; 4]) -> Option<&'a [u8]> {
    let chapters: Vec<u32> = traks.iter().flat_map(|trak| chapters_of(trak)).collect();
    let mut best: Option<Candidate<'a>> = None;
    for trak in traks.iter().filter(|trak| handler_of(trak) == Some(handler)) {
        let rank = rank(trak, &chapters);
        // Among equals the first one stays.
        if best.as_ref().is_none_or(|best| rank > best.rank) {
            best = Some(Candidate { trak, rank });
        }
    }
    best.map(|best| best.trak)
}

fn rank(trak: &[u8], chapters: &[u32]) -> Rank {
    let header = find(trak, &[b"tkhd"]).and_then(TrackHeader::read);
    let described = description_of(trak);
    Rank {
        // In a fragmented file no track has samples here.
        has_samples: samples_of(trak).is_some_and(|count| count > 0),
        is_no_chapter_track: header.is_none_or(|header| !chapters.contains(&header.id)),
        is_moving: described.is_none_or(|kind| !STILL_IMAGES.contains(&&kind)),
        is_enabled: header.is_some_and(|header| header.flags & 1 == 1),
    }
}

/// Returns the handler of a track (ISO/IEC 14496-12 §8.4.3).
pub(super) fn handler_of(trak: &[u8]) -> Option<&[u8; 4]> {
    find(trak, &[b"mdia", b"hdlr"]).and_then(handler_type)
}

/// Returns the IDs of the tracks that hold the chapters of this one (§8.3.3; the reference type is
/// QuickTime's).
fn chapters_of(trak: &[u8]) -> Vec<u32> {
    let chap = find(trak, &[b"tref", b"chap"]).unwrap_or_default();
    chap.chunks_exact(4).filter_map(|id| u32_at(id, 0)).collect()
}

/// Returns the number of samples of a track (§8.7.3).
fn samples_of(trak: &[u8]) -> Option<u32> {
    let stbl = find(trak, &[b"mdia", b"minf", b"stbl"])?;
    find(stbl, &[b"stsz"]).or_else(|| find(stbl, &[b"stz2"])).and_then(sample_count)
}

/// Returns the type of the first sample description (§8.5.2).
fn description_of(trak: &[u8]) -> Option<[u8; 4]> {
    let stsd = find(trak, &[b"mdia", b"minf", b"stbl", b"stsd"])?;
    stsd.get(12..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::isobmff::boxed;

    /// Returns a track with this handler, ID, flags, sample entry type and number of samples.
    fn trak(handler: &[u8; 4], id: u8, flags: u8, described: &[u8; 4], samples: u8) -> Vec<u8> {
        let tkhd = boxed(b"tkhd", &[&[0, 0, 0, flags], &[0; 8], &[0, 0, 0, id], &[0; 68]]);
        let hdlr = boxed(b"hdlr", &[&[0; 8], handler, &[0; 13]]);
        let stsd = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], &boxed(described, &[&[0; 8]])]);
        let stsz = boxed(b"stsz", &[&[0; 4], &[0, 0, 0, 9], &[0, 0, 0, samples]]);
        let stbl = boxed(b"stbl", &[&stsd, &stsz]);
        let mdia = boxed(b"mdia", &[&hdlr, &boxed(b"minf", &[&stbl])]);
        [tkhd, mdia].concat()
    }

    fn with_chapters(trak: &[u8], id: u8) -> Vec<u8> {
        [trak, &boxed(b"tref", &[&boxed(b"chap", &[&[0, 0, 0, id]])])].concat()
    }

    #[track_caller]
    fn assert_chosen(traks: &[Vec<u8>], handler: &[u8; 4], index: Option<usize>) {
        let traks: Vec<_> = traks.iter().map(Vec::as_slice).collect();
        let chosen = select(&traks, handler);
        assert_eq!(chosen, index.map(|index| traks[index]));
    }

    #[test]
    fn the_first_enabled_track_of_the_film_is_meant() {
        let text = trak(b"text", 9, 1, b"text", 2);
        let main = trak(b"vide", 1, 3, b"avc1", 50);
        let second = trak(b"vide", 2, 3, b"avc1", 50);
        let off = trak(b"vide", 3, 0, b"avc1", 50);
        let empty = trak(b"vide", 4, 3, b"avc1", 0);
        let cover = trak(b"vide", 5, 3, b"jpeg", 1);
        let stills = trak(b"vide", 6, 3, b"avc1", 3);
        let audio = with_chapters(&trak(b"soun", 7, 3, b"mp4a", 80), 6);
        let traks_of_file =
            [&text, &cover, &empty, &off, &stills, &main, &second, &audio].map(Clone::clone);
        assert_chosen(&traks_of_file, b"vide", Some(5));
        assert_chosen(&traks_of_file, b"soun", Some(7));
        assert_chosen(&traks_of_file, b"tmcd", None);
        // Each of them is better than nothing.
        for lone in [main, off, empty, cover, stills] {
            assert_chosen(&[text.clone(), lone, audio.clone()], b"vide", Some(1));
        }
        assert_chosen(&[vec![1, 2, 3], audio], b"soun", Some(1));
    }
}

//! Which track of a file is meant. Files hold more than their film: chapters as text or as pictures,
//! time codes, hints for servers, covers, other languages. Pure; a track that makes no sense is none
//! that is meant.

use crate::container::isobmff::{Found, children, u32_at};

/// The kinds of sample descriptions that hold still pictures. Nobody means them who asks for video,
/// if there is anything else.
const STILLS: [&[u8; 4]; 5] = [b"jpeg", b"png ", b"tiff", b"gif ", b"BMP "];

/// What matters of a track in order to choose.
struct Candidate<'a> {
    trak: &'a [u8],
    /// Ordered: the largest is the best.
    merit: Merit,
}

/// What speaks for a track, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Merit {
    has_samples: bool,
    is_of_film: bool,
    moves: bool,
    is_enabled: bool,
}

/// The track with this handler that a player would take: the first one that is enabled, of those
/// that have samples and belong to the film itself.
pub(super) fn choose<'a>(traks: &[&'a [u8]], handler: &[u8; 4]) -> Option<&'a [u8]> {
    let chapters: Vec<u32> = traks.iter().flat_map(|trak| chapters_of(trak)).collect();
    let mut best: Option<Candidate<'a>> = None;
    for trak in traks.iter().filter(|trak| handler_of(trak) == Some(handler)) {
        let merit = merit(trak, &chapters);
        // Of equals the first one stays.
        if best.as_ref().is_none_or(|best| merit > best.merit) {
            best = Some(Candidate { trak, merit });
        }
    }
    best.map(|best| best.trak)
}

fn merit(trak: &[u8], chapters: &[u32]) -> Merit {
    let id = id_and_flags(trak);
    let described = description_of(trak);
    Merit {
        // In fragments they come later; then no track has any.
        has_samples: sample_count(trak).is_some_and(|count| count > 0),
        is_of_film: id.is_none_or(|(id, _)| !chapters.contains(&id)),
        moves: described.is_none_or(|kind| !STILLS.contains(&&kind)),
        is_enabled: id.is_some_and(|(_, flags)| flags & 1 == 1),
    }
}

/// The handler of a track (ISO/IEC 14496-12 §8.4.3).
pub(super) fn handler_of(trak: &[u8]) -> Option<&[u8; 4]> {
    let mdia = descend(trak, &[b"mdia"])?;
    descend(mdia, &[b"hdlr"])?.get(8..)?.first_chunk()
}

/// Number and flags of a track (§8.3.2).
fn id_and_flags(trak: &[u8]) -> Option<(u32, u32)> {
    let tkhd = descend(trak, &[b"tkhd"])?;
    let at = if tkhd.first() == Some(&0) { 12 } else { 20 };
    Some((u32_at(tkhd, at)?, u32_at(tkhd, 0)? & 0xff_ffff))
}

/// The numbers of the tracks that hold the chapters of this one (§8.3.3; the type is QuickTime's).
fn chapters_of(trak: &[u8]) -> Vec<u32> {
    let chap = descend(trak, &[b"tref", b"chap"]).unwrap_or_default();
    chap.chunks_exact(4).filter_map(|id| u32_at(id, 0)).collect()
}

/// How many samples a track has (§8.7.3).
fn sample_count(trak: &[u8]) -> Option<u32> {
    let stbl = descend(trak, &[b"mdia", b"minf", b"stbl"])?;
    u32_at(descend(stbl, &[b"stsz"]).or_else(|| descend(stbl, &[b"stz2"]))?, 8)
}

/// The type of the first sample description (§8.5.2).
fn description_of(trak: &[u8]) -> Option<[u8; 4]> {
    let stsd = descend(trak, &[b"mdia", b"minf", b"stbl", b"stsd"])?;
    stsd.get(12..)?.first_chunk().copied()
}

/// What is in the first box that this way leads to.
fn descend<'a>(bytes: &'a [u8], way: &[&[u8; 4]]) -> Option<&'a [u8]> {
    way.iter().try_fold(bytes, |bytes, kind| {
        let boxes = children(bytes)?;
        boxes.iter().find(|found| found.kind == **kind).map(Found::payload)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::isobmff::boxed;

    /// A track of this handler with this number, these flags, samples of this kind, and so many.
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
    fn assert_chosen(traks: &[Vec<u8>], handler: &[u8; 4], place: Option<usize>) {
        let traks: Vec<_> = traks.iter().map(Vec::as_slice).collect();
        let chosen = choose(&traks, handler);
        assert_eq!(chosen, place.map(|place| traks[place]));
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
        let sound = with_chapters(&trak(b"soun", 7, 3, b"mp4a", 80), 6);
        let film = [&text, &cover, &empty, &off, &stills, &main, &second, &sound].map(Clone::clone);
        assert_chosen(&film, b"vide", Some(5));
        assert_chosen(&film, b"soun", Some(7));
        assert_chosen(&film, b"tmcd", None);
        // Each of them is better than nothing.
        for lone in [main, off, empty, cover, stills] {
            assert_chosen(&[text.clone(), lone, sound.clone()], b"vide", Some(1));
        }
        assert_chosen(&[vec![1, 2, 3], sound], b"soun", Some(1));
    }
}

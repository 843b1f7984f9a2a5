//! What the head of a joined file promises, held against the rest of it.

use std::collections::BTreeMap;

use ytcanal::container::isobmff::{Mp4Box, children, u32_at, u64_at};

/// The first box at the end of this way down.
fn inside<'a>(from: &'a [u8], way: &[&[u8; 4]]) -> &'a [u8] {
    let find = |from: &'a [u8], kind: &&[u8; 4]| {
        children(from).unwrap().into_iter().find(|found| found.kind == **kind).unwrap().payload()
    };
    way.iter().fold(from, find)
}

/// Makes sure that each index leads to its own track's fragments alone and reaches to the end, that
/// the last one begins right behind itself, and that the film is as long as its longer track. Says
/// how many indexes there are.
pub(super) fn check(file: &[u8]) -> usize {
    let boxes = children(file).unwrap();
    let of = |kind: &[u8; 4]| boxes.iter().filter(|found| found.kind == *kind).collect::<Vec<_>>();
    let moov = of(b"moov")[0].payload();
    let mvhd = inside(moov, &[b"mvhd"]);
    assert_eq!((mvhd[0], mvhd.last()), (0, Some(&3)), "the next number of a track");
    let mehd = u64_at(inside(moov, &[b"mvex", b"mehd"]), 4);
    assert_eq!(mehd, u32_at(mvhd, 16).map(u64::from));
    let traks: Vec<_> = children(moov).unwrap();
    let longest = traks.iter().filter(|found| found.kind == *b"trak").map(|trak| {
        let tkhd = inside(trak.payload(), &[b"tkhd"]);
        if tkhd[0] == 1 { u64_at(tkhd, 28) } else { u32_at(tkhd, 20).map(u64::from) }
    });
    assert_eq!(longest.max().unwrap(), mehd);

    let mut tracks = BTreeMap::new();
    let mut numbers = Vec::new();
    for moof in of(b"moof") {
        tracks.insert(moof.at, u32_at(inside(moof.payload(), &[b"traf", b"tfhd"]), 4).unwrap());
        numbers.push(u32_at(inside(moof.payload(), &[b"mfhd"]), 4).unwrap());
    }
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
    let indexes = of(b"sidx");
    for (place, sidx) in indexes.iter().enumerate() {
        references(sidx, &tracks, file.len(), place + 1 == indexes.len());
    }
    indexes.len()
}

fn references(sidx: &Mp4Box<'_>, tracks: &BTreeMap<usize, u32>, end: usize, is_last: bool) {
    let payload = sidx.payload();
    let (track, first_offset) = (u32_at(payload, 4).unwrap(), u64_at(payload, 20).unwrap());
    assert_eq!(is_last, first_offset == 0, "only the last one stands in front of the media");
    assert_eq!(is_last, track == 1, "and it is the picture's");
    let mut at = sidx.at + sidx.bytes.len() + first_offset as usize;
    for entry in payload[32..].chunks(12) {
        // What stands in front of a moof belongs to it.
        let (_, found) = tracks.range(at..).next().expect("a fragment");
        assert_eq!(*found, track, "at {at}");
        assert!(u32_at(entry, 4).unwrap() > 0);
        at += u32_at(entry, 0).unwrap() as usize;
    }
    assert_eq!(at, end, "of the index of track {track}");
}

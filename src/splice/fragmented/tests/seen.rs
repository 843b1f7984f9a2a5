//! What a player would see of a joined file, read without the code that is tested but for where
//! boxes begin and end.

use crate::container::isobmff::{Mp4Box, children, u32_at, u64_at};

/// A joined file.
pub(super) struct Seen {
    /// Types of the boxes at the top, moof and mdat but the first ones left out.
    pub(super) front: Vec<String>,
    pub(super) indexes: Vec<Index>,
    pub(super) fragments: Vec<Fragment>,
    pub(super) moov: Vec<u8>,
    pub(super) len: usize,
}

pub(super) struct Index {
    pub(super) track: u32,
    pub(super) timescale: u32,
    pub(super) earliest: u64,
    /// Where its first reference leads to.
    pub(super) anchor: usize,
    pub(super) first_offset: u64,
    /// Lengths and durations.
    pub(super) references: Vec<(usize, u32)>,
    /// What they say of key frames.
    pub(super) kinds: Vec<u32>,
}

pub(super) struct Fragment {
    pub(super) at: usize,
    pub(super) number: u32,
    pub(super) track: u32,
    pub(super) time: u64,
    /// The bytes that its trun means.
    pub(super) media: Vec<u8>,
    /// Types of the boxes in the moof.
    pub(super) boxes: Vec<String>,
}

fn named(found: &Mp4Box<'_>) -> String {
    String::from_utf8_lossy(&found.kind).into_owned()
}

/// The box at the end of this way down; panics if there is none.
pub(super) fn inside<'a>(from: &'a [u8], way: &[&[u8; 4]]) -> &'a [u8] {
    way.iter().fold(from, |from, kind| {
        children(from).unwrap().into_iter().find(|found| found.kind == **kind).unwrap().payload()
    })
}

pub(super) fn seen(bytes: &[u8]) -> Seen {
    let mut seen = Seen {
        front: Vec::new(),
        indexes: Vec::new(),
        fragments: Vec::new(),
        moov: Vec::new(),
        len: bytes.len(),
    };
    for found in children(bytes).unwrap() {
        if seen.fragments.is_empty() {
            seen.front.push(named(&found));
        }
        match &found.kind {
            b"moov" => seen.moov = found.payload().to_vec(),
            b"sidx" => seen.indexes.push(index(&found)),
            b"moof" => seen.fragments.push(fragment(bytes, &found)),
            _ => {}
        }
    }
    seen
}

fn index(sidx: &Mp4Box<'_>) -> Index {
    let payload = sidx.payload();
    assert_eq!(payload[0], 1);
    let first_offset = u64_at(payload, 20).unwrap();
    let references = payload[32..].chunks(12).map(|entry| {
        let (len, duration) = (u32_at(entry, 0).unwrap(), u32_at(entry, 4).unwrap());
        assert!(len < 1 << 31);
        (len as usize, duration)
    });
    Index {
        track: u32_at(payload, 4).unwrap(),
        timescale: u32_at(payload, 8).unwrap(),
        earliest: u64_at(payload, 12).unwrap(),
        anchor: sidx.at + sidx.bytes.len() + first_offset as usize,
        first_offset,
        references: references.collect(),
        kinds: payload[32..].chunks(12).map(|entry| u32_at(entry, 8).unwrap()).collect(),
    }
}

fn fragment(bytes: &[u8], moof: &Mp4Box<'_>) -> Fragment {
    let traf = inside(moof.payload(), &[b"traf"]);
    let tfhd = inside(traf, &[b"tfhd"]);
    let base = match u32_at(tfhd, 0).unwrap() & 1 {
        0 => moof.at as u64,
        _ => u64_at(tfhd, 8).unwrap(),
    };
    let boxes = children(traf).unwrap();
    let tfdt =
        boxes.iter().find(|found| found.kind == *b"tfdt").map_or(&[0; 8][..], Mp4Box::payload);
    let trun = inside(traf, &[b"trun"]);
    let from = base as usize + u32_at(trun, 8).unwrap() as usize;
    let len = u32_at(trun, 4).unwrap() as usize * 10;
    Fragment {
        at: moof.at,
        number: u32_at(inside(moof.payload(), &[b"mfhd"]), 4).unwrap(),
        track: u32_at(tfhd, 4).unwrap(),
        time: if tfdt[0] == 1 { u64_at(tfdt, 4).unwrap() } else { u32_at(tfdt, 4).unwrap().into() },
        media: bytes[from..from + len].to_vec(),
        boxes: children(moof.payload()).unwrap().iter().map(named).collect(),
    }
}

impl Seen {
    /// What the joined file must always be: each index leads only to fragments of its own track and
    /// to the end, the last one begins right after itself; numbers rise.
    pub(super) fn check(&self) {
        assert!(self.fragments.windows(2).all(|pair| pair[0].number < pair[1].number));
        assert_eq!(self.fragments[0].track, 1, "the very first is of the video");
        let Some(last) = self.indexes.last() else { return };
        assert_eq!((last.track, last.first_offset), (1, 0));
        for index in &self.indexes {
            let mut at = index.anchor;
            for (len, duration) in &index.references {
                // Boxes before a moof belong to it.
                let fragment = self.fragments.iter().find(|fragment| fragment.at >= at).unwrap();
                assert_eq!(fragment.track, index.track, "at {at}");
                assert!(*duration > 0);
                at += len;
            }
            assert_eq!(at, self.len, "the index of track {}", index.track);
        }
    }

    /// Times and media of a track.
    pub(super) fn of(&self, track: u32) -> Vec<(u64, Vec<u8>)> {
        let of = self.fragments.iter().filter(|fragment| fragment.track == track);
        of.map(|fragment| (fragment.time, fragment.media.clone())).collect()
    }

    pub(super) fn times(&self, track: u32) -> Vec<u64> {
        self.of(track).into_iter().map(|(time, _)| time).collect()
    }

    pub(super) fn numbers(&self) -> Vec<u32> {
        self.fragments.iter().map(|fragment| fragment.number).collect()
    }

    /// Duration in the movie timescale and media time of each edit of a track.
    pub(super) fn edits(&self, track: usize) -> Vec<(u64, u64)> {
        let traks: Vec<_> = children(&self.moov).unwrap();
        let trak = traks.iter().filter(|found| found.kind == *b"trak").nth(track - 1).unwrap();
        let boxes = children(trak.payload()).unwrap();
        if !boxes.iter().any(|found| found.kind == *b"edts") {
            return Vec::new();
        }
        let elst = inside(trak.payload(), &[b"edts", b"elst"]);
        let wide = elst[0] == 1;
        elst[8..]
            .chunks(if wide { 20 } else { 12 })
            .map(|edit| match wide {
                true => (u64_at(edit, 0).unwrap(), u64_at(edit, 8).unwrap()),
                false => (u32_at(edit, 0).unwrap().into(), u32_at(edit, 4).unwrap().into()),
            })
            .collect()
    }
}

//! Files made by hand, for tests: what no encoder writes, and what would not fit on a disk.

use std::borrow::Cow;
use std::ops::Range;

use crate::container::isobmff::boxed;
use crate::splice::{ReadAt, SurveyError};

/// A file of which a few bytes are there, and zeros everywhere else.
#[derive(Clone, Debug)]
pub(super) struct Sparse {
    pub(super) len: u64,
    /// Where they begin, and they.
    pub(super) runs: Vec<(u64, Vec<u8>)>,
    pub(super) looks: usize,
}

impl ReadAt for Sparse {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {}", self.len);
        assert!(range.end - range.start <= crate::splice::MAX_READ, "{range:?}");
        self.looks += 1;
        let mut bytes = vec![0; (range.end - range.start) as usize];
        for (at, run) in &self.runs {
            for (byte, at) in run.iter().zip(*at..) {
                if range.contains(&at) {
                    bytes[(at - range.start) as usize] = *byte;
                }
            }
        }
        Ok(bytes.into())
    }
}

/// A box that has a version, flags, and these numbers in it.
pub(super) fn table(kind: &[u8; 4], numbers: &[u32]) -> Vec<u8> {
    boxed(kind, &[&[0; 4], &be(numbers)])
}

fn be(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// A track whose boxes can be replaced one by one. As it is, it has six samples of 10 bytes in two
/// chunks, of half a second each.
#[derive(Clone, Debug)]
pub(super) struct Crafted {
    pub(super) handler: [u8; 4],
    pub(super) ftyp: Vec<u8>,
    pub(super) edts: Vec<u8>,
    pub(super) dinf: Vec<u8>,
    pub(super) stbl: Vec<Vec<u8>>,
    /// What else is in the moov.
    pub(super) more: Vec<u8>,
    pub(super) movie_scale: u32,
    pub(super) scale: u32,
    /// How long the media are, the header of their box not counted.
    pub(super) media: u64,
}

/// Where the media begin: the header of their box has 16 bytes.
pub(super) const MEDIA: u64 = 40;

impl Crafted {
    pub(super) fn new(handler: &[u8; 4]) -> Crafted {
        let entry = boxed(b"avc1", &[&[0; 8]]);
        let stsd = boxed(b"stsd", &[&be(&[0, 1]), &entry]);
        let url = boxed(b"url ", &[&be(&[1])]);
        Crafted {
            handler: *handler,
            ftyp: boxed(b"ftyp", &[b"isom", &[0; 4], b"isom", b"avc1"]),
            edts: Vec::new(),
            dinf: boxed(b"dinf", &[&boxed(b"dref", &[&be(&[0, 1]), &url])]),
            stbl: vec![
                stsd,
                table(b"stts", &[1, 6, 500]),
                table(b"stsc", &[1, 1, 3, 1]),
                table(b"stsz", &[10, 6]),
                table(b"stco", &[2, MEDIA as u32, MEDIA as u32 + 30]),
            ],
            more: Vec::new(),
            movie_scale: 1000,
            scale: 1000,
            media: 60,
        }
    }

    /// With another box of this type in its sample table.
    pub(super) fn with(mut self, with: Vec<u8>) -> Crafted {
        match self.stbl.iter_mut().find(|found| found[4..8] == with[4..8]) {
            Some(found) => *found = with,
            None => self.stbl.push(with),
        }
        self
    }

    /// Without this type of box in its sample table.
    pub(super) fn without(mut self, kind: &[u8; 4]) -> Crafted {
        self.stbl.retain(|found| found[4..8] != *kind);
        self
    }

    /// What is in its moov.
    pub(super) fn moov(&self) -> Vec<u8> {
        let mvhd = boxed(b"mvhd", &[&be(&[0, 0, 0, self.movie_scale]), &[0; 84]]);
        let tkhd = boxed(b"tkhd", &[&be(&[0, 0, 0, 9, 0, 0]), &[7; 60]]);
        let mdhd = boxed(b"mdhd", &[&be(&[0, 0, 0, self.scale, 0, 0])]);
        let hdlr = boxed(b"hdlr", &[&[0; 8], &self.handler, &[0; 13]]);
        let stbl = boxed(b"stbl", &[&self.stbl.concat()]);
        let minf = boxed(b"minf", &[&self.dinf, &stbl]);
        let mdia = boxed(b"mdia", &[&mdhd, &hdlr, &minf]);
        let trak = boxed(b"trak", &[&tkhd, &self.edts, &mdia, &boxed(b"udta", &[b"old"])]);
        [&mvhd[..], &trak, &self.more].concat()
    }

    /// The file, its moov at the end.
    pub(super) fn file(&self) -> Sparse {
        let mut head = self.ftyp.clone();
        head.extend(be(&[1]));
        head.extend(b"mdat");
        head.extend((self.media + 16).to_be_bytes());
        let moov = boxed(b"moov", &[&self.moov()]);
        let at = head.len() as u64 + self.media;
        Sparse { len: at + moov.len() as u64, runs: vec![(0, head), (at, moov)], looks: 0 }
    }

    /// An edit list of these edits: durations and times of the media.
    pub(super) fn edited(mut self, edits: &[(u32, i32)]) -> Crafted {
        let entries =
            edits.iter().flat_map(|(segment, at)| [*segment, at.cast_unsigned(), 0x1_0000]);
        let numbers: Vec<u32> = [edits.len() as u32].into_iter().chain(entries).collect();
        self.edts = boxed(b"edts", &[&table(b"elst", &numbers)]);
        self
    }
}

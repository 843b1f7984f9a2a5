//! Made-up files. Must never be right by the code that is tested: they are laid out by hand.

use super::File;
use crate::container::completeness::Incomplete;
use crate::container::isobmff::boxed;
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::options::TimeRange;
use crate::splice::SurveyError;
use crate::splice::fragmented::Track;

/// A file to generate, and its oddities.
#[derive(Clone)]
pub(super) struct Fixture {
    pub(super) kind: TrackKind,
    pub(super) id: u32,
    pub(super) timescale: u32,
    pub(super) movie_scale: u32,
    /// Duration in the movie timescale, and media time.
    pub(super) edits: Vec<(u32, i32)>,
    pub(super) codec: [u8; 4],
    /// How many samples the moov claims.
    pub(super) samples: u32,
    pub(super) traks: usize,
    pub(super) has_trex: bool,
    pub(super) runs: Vec<Run>,
    pub(super) index: Index,
    /// Between the index, or else the moov, and the first run.
    pub(super) between: Vec<u8>,
    pub(super) behind: Vec<u8>,
}

/// What an entry of the index leads to.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) fragments: Vec<Fragment>,
    /// In front of the first moof.
    pub(super) front: Vec<u8>,
    /// The last word of the entry: what kind of an entry it is.
    pub(super) sap: u32,
}

/// Ten samples of a tenth of a second, of ten bytes.
#[derive(Clone)]
pub(super) struct Fragment {
    pub(super) time: u64,
    pub(super) is_wide: bool,
    pub(super) base: Base,
    pub(super) mdat: Mdat,
    /// A traf of another track after (or before) its own.
    pub(super) foreign: Option<bool>,
    /// Whether its first sample, and each other one, can be decoded alone.
    pub(super) syncs: (bool, bool),
    /// Whether it tells its time.
    pub(super) is_timed: bool,
    pub(super) fill: u8,
}

/// From where its media is counted.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Base {
    Moof,
    Absolute,
    /// None is given.
    Silent,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mdat {
    Plain,
    Wide,
    ToTheEnd,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Index {
    None,
    /// Ticks a second, and what its times begin with.
    Sidx(u32, u64),
    Mfra,
}

pub(super) const ENTRY: u32 = 9 << 28;
pub(super) const MEDIA: usize = 100;

pub(super) fn be(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// A fragment that begins at this time.
pub(super) fn fragment(time: u64, fill: u8) -> Fragment {
    let (base, mdat) = (Base::Moof, Mdat::Plain);
    let (syncs, is_timed) = ((true, true), true);
    Fragment { time, is_wide: true, base, mdat, foreign: None, syncs, is_timed, fill }
}

/// Five fragments of a second.
pub(super) fn fixture(kind: TrackKind) -> Fixture {
    let is_video = kind == TrackKind::Video;
    let (id, timescale) = if is_video { (7, 12_800) } else { (3, 48_000) };
    let run = |second: u8| Run {
        fragments: vec![fragment(u64::from(second) * u64::from(timescale), second)],
        front: Vec::new(),
        sap: ENTRY,
    };
    Fixture {
        kind,
        id,
        timescale,
        movie_scale: 600,
        edits: Vec::new(),
        codec: if is_video { *b"avc1" } else { *b"mp4a" },
        samples: 0,
        traks: 1,
        has_trex: true,
        runs: (0..5).map(run).collect(),
        index: Index::Sidx(timescale, 0),
        between: Vec::new(),
        behind: Vec::new(),
    }
}

impl Fragment {
    pub(super) fn media(&self) -> Vec<u8> {
        (0..MEDIA).map(|at| self.fill.wrapping_mul(31).wrapping_add(at as u8)).collect()
    }

    /// `at` is where it begins in its file.
    fn bytes(&self, at: usize, id: u32, timescale: u32) -> Vec<u8> {
        let mdat = match self.mdat {
            Mdat::Plain => be(&[8 + MEDIA as u32, u32::from_be_bytes(*b"mdat")]),
            Mdat::Wide => be(&[1, u32::from_be_bytes(*b"mdat"), 0, 16 + MEDIA as u32]),
            Mdat::ToTheEnd => be(&[0, u32::from_be_bytes(*b"mdat")]),
        };
        let moof = |len: usize| {
            let (flags, base) = match self.base {
                Base::Moof => (0x2_0038, vec![]),
                Base::Absolute => (0x39, be(&[0, at as u32])),
                Base::Silent => (0x38, vec![]),
            };
            let flags_of = |is_sync| if is_sync { 0x200_0000 } else { 0x101_0000 };
            let defaults = be(&[timescale / 10, 10, flags_of(self.syncs.1)]);
            let tfhd = boxed(b"tfhd", &[&be(&[flags, id]), &base, &defaults]);
            let time = if self.is_wide {
                [&[1, 0, 0, 0][..], &self.time.to_be_bytes()].concat()
            } else {
                be(&[0, self.time as u32])
            };
            let trun = be(&[5, 10, (len + mdat.len()) as u32, flags_of(self.syncs.0)]);
            let tfdt = if self.is_timed { boxed(b"tfdt", &[&time]) } else { Vec::new() };
            let traf = [tfhd, tfdt, boxed(b"trun", &[&trun])].concat();
            let own = boxed(b"traf", &[&traf]);
            let other = boxed(b"traf", &[&boxed(b"tfhd", &[&be(&[0x2_0000, 77])])]);
            let trafs = match self.foreign {
                None => own,
                Some(false) => [own, other].concat(),
                Some(true) => [other, own].concat(),
            };
            boxed(b"moof", &[&boxed(b"mfhd", &[&be(&[0, 999])]), &trafs])
        };
        [moof(moof(0).len()), mdat, self.media()].concat()
    }
}

/// Whether it leads to another index; its length, duration and kind.
pub(super) type Reference = (bool, u32, u32, u32);

/// A sidx.
pub(super) fn sidx(scale: u32, earliest: u64, gap: u64, to: &[Reference]) -> Vec<u8> {
    let entries = to.iter().flat_map(|(is_index, len, duration, sap)| {
        be(&[u32::from(*is_index) << 31 | len, *duration, *sap])
    });
    let times = [earliest.to_be_bytes(), gap.to_be_bytes()].concat();
    let (count, entries) = ((to.len() as u32).to_be_bytes(), entries.collect::<Vec<_>>());
    boxed(b"sidx", &[&be(&[1 << 24, 1, scale]), &times, &count, &entries])
}

impl Fixture {
    pub(super) fn fragments(&self) -> impl Iterator<Item = &Fragment> {
        self.runs.iter().flat_map(|run| &run.fragments)
    }

    pub(super) fn fragments_mut(&mut self) -> impl Iterator<Item = &mut Fragment> {
        self.runs.iter_mut().flat_map(|run| &mut run.fragments)
    }

    pub(super) fn head(&self) -> Vec<u8> {
        let timed = |scale: u32| be(&[0, 0, 0, scale, 0]);
        let handler = if self.kind == TrackKind::Video { b"vide" } else { b"soun" };
        let hdlr = boxed(b"hdlr", &[&[0; 8], handler, &[0; 13]]);
        let url = boxed(b"url ", &[&be(&[1])]);
        let dinf = boxed(b"dinf", &[&boxed(b"dref", &[&be(&[0, 1]), &url])]);
        let stsd = boxed(b"stsd", &[&be(&[0, 1]), &boxed(&self.codec, &[&[0; 28]])]);
        let stsz = boxed(b"stsz", &[&be(&[0, 10, self.samples])]);
        let minf = boxed(b"minf", &[&dinf, &boxed(b"stbl", &[&stsd, &stsz])]);
        let mdhd = boxed(b"mdhd", &[&timed(self.timescale), &[0; 4]]);
        let mdia = boxed(b"mdia", &[&mdhd, &hdlr, &minf]);
        let tkhd = boxed(b"tkhd", &[&be(&[0, 0, 0, self.id]), &[0; 68]]);
        let edits = self
            .edits
            .iter()
            .flat_map(|(duration, time)| be(&[*duration, time.cast_unsigned(), 1 << 16]));
        let elst = [be(&[0, self.edits.len() as u32]), edits.collect()].concat();
        let edts = match self.edits.len() {
            0 => Vec::new(),
            _ => boxed(b"edts", &[&boxed(b"elst", &[&elst])]),
        };
        let traks = boxed(b"trak", &[&tkhd, &edts, &mdia]).repeat(self.traks);
        let mvhd = boxed(b"mvhd", &[&timed(self.movie_scale), &[0; 80]]);
        let trex = if self.has_trex {
            boxed(b"trex", &[&be(&[0, self.id, 1, 0, 0, 0])])
        } else {
            Vec::new()
        };
        let moov = boxed(b"moov", &[&mvhd, &traks, &boxed(b"mvex", &[&trex])]);
        [boxed(b"ftyp", &[b"iso6", &[0; 4]]), moov].concat()
    }

    /// The runs, the first of which begins at `at`.
    pub(super) fn runs_at(&self, mut at: usize) -> Vec<Vec<u8>> {
        let runs = self.runs.iter().map(|run| {
            let mut bytes = run.front.clone();
            for fragment in &run.fragments {
                bytes.extend(fragment.bytes(at + bytes.len(), self.id, self.timescale));
            }
            at += bytes.len();
            bytes
        });
        runs.collect()
    }

    /// When a run begins and the last one ends, in seconds.
    fn seconds(&self, run: usize) -> u64 {
        let scale = u64::from(self.timescale.max(1));
        let before: usize = self.runs[..run].iter().map(|run| run.fragments.len()).sum();
        self.runs[0].fragments[0].time / scale + before as u64
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let head = self.head();
        let mut begin = head.len() + self.between.len();
        let mut index = Vec::new();
        if let Index::Sidx(scale, earliest) = self.index {
            begin += 8 + 4 + 8 + 16 + 4 + 12 * self.runs.len();
            let runs = self.runs_at(begin);
            let references: Vec<_> = runs
                .iter()
                .zip(&self.runs)
                .map(|(bytes, run)| {
                    (false, bytes.len() as u32, scale * run.fragments.len() as u32, run.sap)
                })
                .collect();
            index = sidx(scale, earliest, self.between.len() as u64, &references);
        }
        let runs = self.runs_at(begin);
        let mut bytes = [head, index, self.between.clone()].concat();
        let mut entries = Vec::new();
        for (number, run) in runs.iter().enumerate() {
            if self.index == Index::Mfra {
                let time = self.seconds(number) as u32 * self.timescale;
                let at = bytes.len() + self.runs[number].front.len();
                entries.extend([be(&[time, at as u32]), vec![1, 1, 1]].concat());
            }
            bytes.extend(run);
        }
        if self.index == Index::Mfra {
            let tfra = boxed(b"tfra", &[&be(&[0, self.id, 0, runs.len() as u32]), &entries]);
            let len = 8 + tfra.len() as u32 + 16;
            let mfro = boxed(b"mfro", &[&be(&[0, len])]);
            bytes.extend(boxed(b"mfra", &[&tfra, &mfro]));
        }
        [bytes, self.behind.clone()].concat()
    }

    pub(super) fn read_index(&self, trim: TimeRange) -> Result<Track, SurveyError> {
        super::read_index(&mut File::of(self.bytes()), trim).map(Option::unwrap)
    }

    pub(super) fn refusal(&self) -> &'static str {
        match self.read_index(TimeRange::default()) {
            Err(
                SurveyError::Refused(Unsupported(why)) | SurveyError::Incomplete(Incomplete(why)),
            ) => why,
            other => panic!("{other:?}"),
        }
    }
}

//! The layout of a joined file: a head that is made anew, behind it pieces of the tracks, and how the
//! bytes of any part of it are made.

use std::ops::Range;
use std::time::Duration;

use ring::digest::{Context, SHA256};

use super::{RangeWriter, TrackInput, fragmented, webm};
use crate::container::Container;
use crate::error::Error;

/// The computed layout of a joined file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What the file is.
    pub container: Container,
    /// How long it plays.
    pub duration: Duration,
    head: Vec<u8>,
    layout: Layout,
    rewriter: Rewriter,
}

/// A piece of a track's file in the joined file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Which track, by its place among the tracks.
    pub track: u8,
    /// Where it begins in the file of its track.
    pub from: u64,
    /// Where it begins in the joined file.
    pub at: u64,
    /// How long it is.
    pub len: u64,
}

/// How pieces are changed on their way, in fields of fixed width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewriter {
    /// Not at all.
    None,
    /// Fragments of an MP4.
    Fragments(fragmented::FragmentRewriter),
    /// Clusters of a WebM.
    Clusters(webm::ClusterRewriteRules),
}

impl Rewriter {
    /// How many bytes behind a piece of `track` that ends at `end` are needed to finish it.
    fn behind(&self, track: u8, end: u64) -> u64 {
        match self {
            Rewriter::Fragments(rules) => rules.behind(track, end),
            Rewriter::None | Rewriter::Clusters(_) => 0,
        }
    }

    /// Gives `update` an unambiguous encoding of the rules, in which no name of the code appears: a
    /// client that resumes has the digest of it in its ETag.
    fn encode(&self, update: &mut dyn FnMut(&[u8])) {
        match self {
            Rewriter::None => update(&[0]),
            Rewriter::Fragments(rules) => {
                update(&[1]);
                rules.encode(update);
            }
            Rewriter::Clusters(rules) => {
                update(&[2]);
                rules.encode(update);
            }
        }
    }
}

/// The pieces behind the head, written down from the first to the last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    extents: Vec<PackedExtent>,
    /// All of them together.
    len: u64,
}

/// Where a piece begins; it ends where the next one begins. Long films have thousands of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PackedExtent {
    /// Behind the head of the joined file.
    at: u64,
    /// In the file of its track, whose place among the tracks stands in the uppermost bits.
    from: u64,
}

impl PackedExtent {
    const TRACK: u32 = Layout::MAX_FILE_LEN.trailing_zeros();

    fn new(at: u64, track: u8, from: u64) -> PackedExtent {
        debug_assert!(from < Layout::MAX_FILE_LEN, "{from}");
        PackedExtent { at, from: from | u64::from(track) << PackedExtent::TRACK }
    }

    fn track(self) -> u8 {
        (self.from >> PackedExtent::TRACK) as u8
    }

    fn from(self) -> u64 {
        self.from & (Layout::MAX_FILE_LEN - 1)
    }
}

/// What is needed of a track, in the order of its file.
#[derive(Debug, Clone)]
pub struct Runs<'p> {
    plan: &'p Plan,
    /// The pieces that are still to come, of all tracks.
    places: Range<usize>,
    track: usize,
    part: Range<u64>,
    gap: u64,
}

impl Iterator for Runs<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        let mut run: Option<Range<u64>> = None;
        while let Some(place) = self.places.clone().next() {
            match (self.plan.needed(self.track, place, &self.part), &mut run) {
                (None, _) => {}
                (Some(needed), None) => run = Some(needed),
                (Some(needed), Some(run)) if needed.start.saturating_sub(run.end) <= self.gap => {
                    run.end = run.end.max(needed.end);
                }
                (Some(_), Some(_)) => break,
            }
            self.places.next();
        }
        run
    }
}

impl Layout {
    /// All places in a file of a track are in front of this one.
    pub const MAX_FILE_LEN: u64 = 1 << 56;

    /// One that is to have so many pieces.
    pub fn with_capacity(pieces: usize) -> Layout {
        Layout { extents: Vec::with_capacity(pieces), len: 0 }
    }

    /// The next piece: these bytes of a track, of which there must be some.
    pub fn add(&mut self, track: u8, range: Range<u64>) {
        debug_assert!(range.start < range.end, "{range:?}");
        self.extents.push(PackedExtent::new(self.len, track, range.start));
        self.len += range.end - range.start;
    }

    /// The length of all pieces.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no piece.
    pub fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }

    /// Where each piece of a track begins, behind the head.
    pub fn places(&self, track: u8) -> impl Iterator<Item = u64> {
        self.extents.iter().filter(move |mark| mark.track() == track).map(|mark| mark.at)
    }

    /// It is complete, and this stands in front of it.
    pub fn plan(
        self,
        head: Vec<u8>,
        container: Container,
        duration: Duration,
        rules: Rewriter,
    ) -> Plan {
        Plan { container, duration, head, layout: self, rewriter: rules }
    }
}

impl Plan {
    /// The length of the file.
    pub fn len(&self) -> u64 {
        self.head.len() as u64 + self.layout.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What stands in front of the pieces.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// What it takes to keep it in memory.
    pub fn memory_size(&self) -> usize {
        let rules = match &self.rewriter {
            Rewriter::Clusters(rules) => rules.weight(),
            // A few words a track.
            Rewriter::None | Rewriter::Fragments(_) => 0,
        };
        let marks = self.layout.extents.capacity() * size_of::<PackedExtent>();
        size_of::<Plan>() + self.head.capacity() + marks + rules
    }

    /// What tells this plan from others: whatever was computed from its inputs.
    pub fn digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(&(self.head.len() as u64).to_be_bytes());
        context.update(&self.head);
        for marks in self.layout.extents.chunks(64) {
            let mut told = [[0; 16]; 64];
            for (told, mark) in told.iter_mut().zip(marks) {
                told[..8].copy_from_slice(&mark.at.to_be_bytes());
                told[8..].copy_from_slice(&mark.from.to_be_bytes());
            }
            context.update(told[..marks.len()].as_flattened());
        }
        context.update(&self.len().to_be_bytes());
        self.rewriter.encode(&mut |bytes| context.update(bytes));
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }

    /// The pieces, in their order.
    pub fn extents(&self) -> impl DoubleEndedIterator<Item = Extent> + ExactSizeIterator {
        (0..self.layout.extents.len()).map(|place| self.extent(place))
    }

    fn extent(&self, place: usize) -> Extent {
        let Layout { extents: marks, len } = &self.layout;
        let mark = marks[place];
        let end = marks.get(place + 1).map_or(*len, |next| next.at);
        let at = self.head.len() as u64 + mark.at;
        Extent { track: mark.track(), from: mark.from(), at, len: end - mark.at }
    }

    /// Which pieces have bytes of `part` in them.
    fn within(&self, part: &Range<u64>) -> Range<usize> {
        let marks = &self.layout.extents;
        let [start, end] =
            [part.start, part.end].map(|at| at.saturating_sub(self.head.len() as u64));
        let first = marks.partition_point(|mark| mark.at <= start).saturating_sub(1);
        first..marks.partition_point(|mark| mark.at < end)
    }

    /// Which bytes of the track at this place it takes to make `part`, if any.
    pub fn source_range(&self, track: usize, part: &Range<u64>) -> Option<Range<u64>> {
        // The pieces of a track are in the order of its file.
        let first = self.within(part).find_map(|place| self.needed(track, place, part))?;
        let last = self.within(part).rev().find_map(|place| self.needed(track, place, part))?;
        Some(first.start..last.end)
    }

    /// The same in runs, between which more than `gap` bytes are not needed.
    pub fn runs(&self, track: usize, part: &Range<u64>, gap: u64) -> Runs<'_> {
        Runs { plan: self, places: self.within(part), track, part: part.clone(), gap }
    }

    /// What of a piece it takes to make `part`, if it is one of this track.
    fn needed(&self, track: usize, place: usize, part: &Range<u64>) -> Option<Range<u64>> {
        let Extent { track: of, from, at, len } = self.extent(place);
        if usize::from(of) != track {
            return None;
        }
        let (start, end) = (part.start.saturating_sub(at), len.min(part.end - at.min(part.end)));
        Some(match &self.rewriter {
            Rewriter::None => from + start..from + end,
            // What is to be changed is found from the beginning on.
            rules => {
                let is_finished = end == len;
                let behind = if is_finished { rules.behind(of, from + len) } else { 0 };
                from..from + len + behind
            }
        })
    }

    /// Where in the file of the track at this place the first byte of `part` is, if it lies within
    /// a piece whose beginning must be read for that.
    pub fn seek_target(&self, track: usize, part: &Range<u64>) -> Option<u64> {
        let piece = self.extent(self.within(part).next()?);
        let is_inside = usize::from(piece.track) == track && part.start > piece.at;
        (is_inside && self.rewriter != Rewriter::None).then(|| piece.from + (part.start - piece.at))
    }

    /// How many bytes from the beginning of a piece on must be read so that everything up to
    /// `target` (counted from there, too) can be passed over; `None` if these `bytes` do not tell.
    pub fn media_start(&self, bytes: &[u8], target: u64) -> Option<usize> {
        match &self.rewriter {
            Rewriter::Fragments(_) => fragmented::way_in(bytes, target),
            Rewriter::None | Rewriter::Clusters(_) => None,
        }
    }

    /// Makes the bytes of `part`, in order, and gives them to `send`. `inputs` bring what the
    /// tracks [need](Plan::source_range), in the order of the tracks.
    pub fn write_range(
        &self,
        part: &Range<u64>,
        inputs: &mut [TrackInput<'_>],
        send: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        RangeWriter::new(0, part.clone(), send).write(&self.head)?;
        for place in self.within(part) {
            let Extent { track, from, at, len } = self.extent(place);
            let mut window = RangeWriter::new(at, part.clone(), send);
            let input = &mut inputs[usize::from(track)];
            match &self.rewriter {
                Rewriter::None => {
                    let ahead = window.skip_ahead(len);
                    input.skip_to(from + ahead)?;
                    window.copy(input, len - ahead)?;
                }
                Rewriter::Fragments(rules) => {
                    input.skip_to(from)?;
                    rules.emit(track, place, len, input, &mut window)?;
                }
                Rewriter::Clusters(rules) => {
                    input.skip_to(from)?;
                    rules.emit(track, place, len, input, &mut window)?;
                }
            }
        }
        Ok(())
    }
}

//! The layout of a joined file: a list of pieces, and how the bytes of any part of it are made.

use std::ops::Range;
use std::time::Duration;

use ring::digest::{Context, SHA256};

use super::{Input, Window, fragmented, webm};
use crate::error::Error;
use crate::mux::Container;

/// The computed layout of a joined file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What the file is.
    pub container: Container,
    /// How long it plays.
    pub duration: Duration,
    made: Vec<u8>,
    pieces: Vec<Piece>,
    len: u64,
    rules: Rules,
}

/// A run of the file. It ends where the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins in the joined file.
    pub at: u64,
    /// Where its bytes are from.
    pub what: What,
}

/// Where the bytes of a piece are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Made by the plan.
    Made {
        /// Where they begin among all that were made.
        from: usize,
    },
    /// Copied from a track as they are.
    Copied {
        /// Which one, by its place among the tracks.
        track: u8,
        /// Where they begin in its file.
        from: u64,
    },
    /// Copied, but for fields of fixed width that are changed on the way.
    Patched {
        /// Which track, by its place among the tracks.
        track: u8,
        /// Where they begin in its file.
        from: u64,
        /// What the rules of the plan need to know of this piece.
        number: u32,
    },
}

/// How patched pieces are changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rules {
    /// There are none.
    None,
    /// Fragments of an MP4.
    Fragments(fragmented::Rules),
    /// Clusters of a WebM.
    Clusters(webm::Rules),
}

impl Rules {
    /// How many bytes behind a piece of `track` that ends at `end` are needed to finish it.
    fn behind(&self, track: u8, end: u64) -> u64 {
        match self {
            Rules::Fragments(rules) => rules.behind(track, end),
            Rules::None | Rules::Clusters(_) => 0,
        }
    }
}

/// A layout that is being written down, from its first byte to its last.
#[derive(Debug, Default)]
pub struct Layout {
    made: Vec<u8>,
    pieces: Vec<Piece>,
    len: u64,
}

impl Layout {
    /// One that begins with these bytes, which the plan has made, and is to have so many pieces more.
    pub fn begin(head: Vec<u8>, more: usize) -> Layout {
        let mut pieces = Vec::with_capacity(1 + more);
        if !head.is_empty() {
            pieces.push(Piece { at: 0, what: What::Made { from: 0 } });
        }
        Layout { len: head.len() as u64, made: head, pieces }
    }

    /// Bytes that the plan has made.
    pub fn make(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.push(What::Made { from: self.made.len() }, bytes.len() as u64);
            self.made.extend_from_slice(bytes);
        }
    }

    /// Bytes of a track as they are.
    pub fn copy(&mut self, track: u8, range: Range<u64>) {
        self.push(What::Copied { track, from: range.start }, range.end - range.start);
    }

    /// Bytes of a track that are changed on the way.
    pub fn patch(&mut self, track: u8, range: Range<u64>, number: u32) {
        self.push(What::Patched { track, from: range.start, number }, range.end - range.start);
    }

    fn push(&mut self, what: What, len: u64) {
        if len > 0 {
            self.pieces.push(Piece { at: self.len, what });
            self.len += len;
        }
    }

    /// The length so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// It is complete.
    pub fn plan(self, container: Container, duration: Duration, rules: Rules) -> Plan {
        let Layout { made, pieces, len } = self;
        Plan { container, duration, made, pieces, len, rules }
    }
}

impl Plan {
    /// The length of the file.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What it takes to keep it in memory.
    pub fn weight(&self) -> usize {
        let rules = match &self.rules {
            Rules::Clusters(rules) => rules.weight(),
            // A few words a track.
            Rules::None | Rules::Fragments(_) => 0,
        };
        let pieces = self.pieces.capacity() * size_of::<Piece>();
        size_of::<Plan>() + self.made.capacity() + pieces + rules
    }

    /// What tells this plan from others: whatever was computed from its inputs.
    pub fn digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(&self.made);
        for Piece { at, what } in &self.pieces {
            let (kind, track, number, from) = match *what {
                What::Made { from } => (0, 0, 0, from as u64),
                What::Copied { track, from } => (1, track, 0, from),
                What::Patched { track, from, number } => (2, track, number, from),
            };
            let mut told = [0; 24];
            told[..8].copy_from_slice(&at.to_be_bytes());
            told[8..16].copy_from_slice(&from.to_be_bytes());
            told[16..20].copy_from_slice(&number.to_be_bytes());
            told[20..22].copy_from_slice(&[kind, track]);
            context.update(&told);
        }
        context.update(&self.len.to_be_bytes());
        context.update(format!("{:?}", self.rules).as_bytes());
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }

    /// The pieces, in their order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The pieces that have bytes of `part` in them, each with where it ends.
    fn within(&self, part: &Range<u64>) -> impl DoubleEndedIterator<Item = (Piece, u64)> {
        let first = self.pieces.partition_point(|piece| piece.at <= part.start).saturating_sub(1);
        let behind = self.pieces.partition_point(|piece| piece.at < part.end);
        let end = |place: usize| self.pieces.get(place + 1).map_or(self.len, |next| next.at);
        (first..behind).map(move |place| (self.pieces[place], end(place)))
    }

    /// Which bytes of the track at this place it takes to make `part`, if any.
    pub fn needs(&self, track: usize, part: &Range<u64>) -> Option<Range<u64>> {
        let of_track = |(piece, end): (Piece, u64)| {
            let (of, range) = match piece.what {
                What::Made { .. } => return None,
                What::Copied { track, from } => {
                    let (start, end) = (part.start.max(piece.at), part.end.min(end));
                    (track, from + (start - piece.at)..from + (end - piece.at))
                }
                // What is to be changed is found from the beginning on.
                What::Patched { track, from, .. } => {
                    let until = from + (end - piece.at);
                    let is_finished = part.end >= end;
                    let behind = if is_finished { self.rules.behind(track, until) } else { 0 };
                    (track, from..until + behind)
                }
            };
            (usize::from(of) == track).then_some(range)
        };
        // The pieces of a track are in the order of its file.
        let first = self.within(part).find_map(of_track)?;
        let last = self.within(part).rev().find_map(of_track)?;
        Some(first.start..last.end)
    }

    /// Where in the file of the track at this place the first byte of `part` is, if it lies within
    /// a piece whose beginning must be read for that.
    pub fn target(&self, track: usize, part: &Range<u64>) -> Option<u64> {
        match self.within(part).next()?.0 {
            Piece { at, what: What::Patched { track: of, from, .. } }
                if usize::from(of) == track && part.start > at =>
            {
                Some(from + (part.start - at))
            }
            _ => None,
        }
    }

    /// How many bytes from the beginning of a piece on must be read so that everything up to
    /// `target` (counted from there, too) can be passed over; `None` if these `bytes` do not tell.
    pub fn way_in(&self, bytes: &[u8], target: u64) -> Option<usize> {
        match &self.rules {
            Rules::Fragments(_) => fragmented::way_in(bytes, target),
            Rules::None | Rules::Clusters(_) => None,
        }
    }

    /// Makes the bytes of `part`, in order, and gives them to `send`. `inputs` bring what the
    /// tracks [need](Plan::needs), in the order of the tracks.
    pub fn emit(
        &self,
        part: &Range<u64>,
        inputs: &mut [Input<'_>],
        send: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (piece, end) in self.within(part) {
            let mut window = Window::new(piece.at, part.clone(), send);
            let len = end - piece.at;
            match piece.what {
                What::Made { from } => {
                    let len = usize::try_from(len).unwrap_or(usize::MAX);
                    window.write(self.made.get(from..from + len).unwrap_or(&[]))?;
                }
                What::Copied { track, from } => {
                    let input = &mut inputs[usize::from(track)];
                    let ahead = window.skip_ahead(len);
                    input.skip_to(from + ahead)?;
                    window.copy(input, len - ahead)?;
                }
                What::Patched { track, from, number } => {
                    let input = &mut inputs[usize::from(track)];
                    input.skip_to(from)?;
                    match &self.rules {
                        Rules::None => window.copy(input, len)?,
                        Rules::Fragments(rules) => {
                            rules.emit(track, number, len, input, &mut window)?;
                        }
                        Rules::Clusters(rules) => {
                            rules.emit(track, number, len, input, &mut window)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

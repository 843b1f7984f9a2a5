//! Joins files in segments of unknown length while they arrive: [`StreamingPlan`] has the header of the joined
//! file, and [`StreamingMuxer`] makes its fragments, with the packets that a [`Plan`](super::Plan) would have.
//!
//! **Invariant:** nothing is left out but what is no media. A file that cannot be joined to its end is an error.

use std::sync::Arc;

use super::{fragmented, mpeg_ts};
use crate::container::retime::{LiveClock, Restart};
use crate::media::segments::Declared;

/// By how much video may be ahead of audio, in ticks of 1/90000 s: where both begin together, video comes first.
const LEAD: u64 = 9000;

/// Buffers of this length are used again, this number of them: to allocate them takes longer than to fill them.
const MIN_BUFFER: usize = 64 << 10;
const MAX_BUFFERS: usize = 4;

/// What is known of the joined file before its media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamingPlan {
    /// The header: ftyp and moov.
    pub head: Vec<u8>,
    pub(super) files: Vec<FileRules>,
}

/// How a file becomes fragments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileRules {
    Packets(mpeg_ts::StreamingRules),
    Fragments(fragmented::StreamingRules),
}

impl StreamingPlan {
    /// Returns a muxer, which has written the header.
    pub fn start(&self) -> StreamingMuxer<'_> {
        let clock = Arc::default();
        let files = self.files.iter().map(|rules| Some(rules.start(&clock)));
        StreamingMuxer { files: files.collect(), output: Output::default() }
    }
}

impl FileRules {
    fn start<'p>(&'p self, clock: &Arc<LiveClock>) -> Box<dyn FileMuxer + 'p> {
        match self {
            FileRules::Packets(rules) => Box::new(rules.start(clock)),
            FileRules::Fragments(rules) => Box::new(rules.start(clock)),
        }
    }
}

/// Makes fragments of one file.
pub(super) trait FileMuxer {
    /// Returns what time the fragments have reached, in ticks of 1/90000 s.
    fn reached(&self) -> u64;

    /// Returns whether a fragment is being written: no other one may come between its pieces.
    fn is_within_fragment(&self) -> bool;

    /// Begins another segment, behind a discontinuity if there is a `restart`.
    fn begin_segment(
        &mut self,
        declared: Option<Declared>,
        restart: Option<Restart>,
        output: &mut Output,
    ) -> Result<(), &'static str>;

    /// Takes the next bytes of the current segment, up to a packet or a box at most; returns how many.
    fn push(&mut self, bytes: &[u8], output: &mut Output) -> Result<usize, &'static str>;

    /// Ends the file.
    fn end(&mut self, output: &mut Output) -> Result<(), &'static str>;
}

/// What was joined and not written yet.
#[derive(Default)]
pub(super) struct Output {
    pub(super) pieces: Vec<Vec<u8>>,
    /// Large buffers that were written and can be used again.
    pub(super) buffers: Vec<Vec<u8>>,
    sequence: u32,
}

impl Output {
    /// Returns the number of the next fragment.
    pub(super) fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }
}

/// Joins the files of a [`StreamingPlan`].
pub struct StreamingMuxer<'p> {
    /// Those that have ended are `None`.
    files: Vec<Option<Box<dyn FileMuxer + 'p>>>,
    output: Output,
}

impl StreamingMuxer<'_> {
    /// Returns the index of the file that is needed next; `None` if all have ended.
    pub fn next(&self) -> Option<usize> {
        let files = self.files.iter().enumerate();
        let files = files.filter_map(|(index, file)| {
            let file = file.as_ref()?;
            // Video is first.
            let lead = if index == 0 { LEAD } else { 0 };
            Some((!file.is_within_fragment(), file.reached().saturating_sub(lead), index))
        });
        files.min().map(|(_, _, index)| index)
    }

    /// Begins another segment of a file, behind a discontinuity if there is a `restart`. What is `declared` of it must
    /// be true.
    pub fn begin_segment(
        &mut self,
        file: usize,
        declared: Option<Declared>,
        restart: Option<Restart>,
    ) -> Result<(), &'static str> {
        let Some(muxer) = &mut self.files[file] else { return Ok(()) };
        muxer.begin_segment(declared, restart, &mut self.output)
    }

    /// Takes the next bytes of the current segment of a file, as far as no other file is needed before the rest of
    /// them; returns how many. So it does not matter in which pieces a file arrives.
    pub fn push(&mut self, file: usize, bytes: &[u8]) -> Result<usize, &'static str> {
        let mut count = 0;
        while count < bytes.len() && (count == 0 || self.next() == Some(file)) {
            let Some(muxer) = &mut self.files[file] else { return Ok(bytes.len()) };
            count += muxer.push(&bytes[count..], &mut self.output)?;
        }
        Ok(count)
    }

    /// Ends a file.
    pub fn end(&mut self, file: usize) -> Result<(), &'static str> {
        let Some(mut muxer) = self.files[file].take() else { return Ok(()) };
        muxer.end(&mut self.output)
    }

    /// Passes what was joined since the last call to `write`, in pieces.
    pub fn write<E>(&mut self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let Output { pieces, buffers, .. } = &mut self.output;
        for piece in pieces.drain(..) {
            write(&piece)?;
            if piece.capacity() >= MIN_BUFFER && buffers.len() < MAX_BUFFERS {
                buffers.push(piece);
            }
        }
        Ok(())
    }
}

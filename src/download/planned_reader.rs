//! Reads the byte ranges that a plan needs of a remote file, without requesting the long gaps.

use std::mem::take;
use std::ops::Range;

use super::splice::PositionedSource;
use crate::error::Error;
use crate::fetch::TrackReader;
use crate::splice::Runs;
use crate::sys::SplicePipe;

/// The largest gap that is fetched along with the bytes around it: that takes no longer than another
/// request.
pub(super) const MAX_GAP: u64 = 512 << 10;

/// A reader that follows the runs of a plan.
pub(super) struct PlannedReader<'r> {
    source: Box<dyn TrackSource + 'r>,
    /// Bytes that were read already.
    buffered: Vec<u8>,
    /// The remaining runs.
    runs: Runs<'r>,
}

impl<'r> PlannedReader<'r> {
    /// Continues from `positioned`, which is at the first of `runs`.
    pub(super) fn new(positioned: PositionedSource<'r>, mut runs: Runs<'r>) -> Self {
        let PositionedSource { source, head, .. } = positioned;
        runs.next();
        PlannedReader { source, buffered: head, runs }
    }

    /// Returns the next bytes that were read already.
    pub(super) fn take_buffered(&mut self) -> Option<Vec<u8>> {
        Some(take(&mut self.buffered)).filter(|bytes| !bytes.is_empty())
    }

    /// Reads the bytes after those.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        match self.source.read(buffer)? {
            0 => Err(Error::Internal("a reader ended before its range without an error")),
            count => Ok(count),
        }
    }

    /// Returns whether the client is slower than the upstream.
    pub(super) fn is_slow(&self) -> bool {
        self.source.is_slow()
    }

    /// Returns the source, if no bytes are buffered.
    pub(super) fn source(&mut self) -> Option<&mut (dyn TrackSource + 'r)> {
        self.buffered.is_empty().then_some(&mut *self.source)
    }

    /// Moves to the next run if this one is over; returns how many bytes that skips. `max` is 0 if none
    /// may be skipped.
    pub(super) fn skip(&mut self, max: u64) -> u64 {
        if max == 0 || !self.source().is_some_and(|source| source.is_over()) {
            return 0;
        }
        self.runs.next().map_or(0, |run| self.source.continue_with(run))
    }
}

/// What sending needs of a [`TrackReader`], whose methods these are.
pub(super) trait TrackSource: Send {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error>;
    fn is_over(&self) -> bool;
    fn is_slow(&self) -> bool;
    fn continue_with(&mut self, range: Range<u64>) -> u64;
    fn can_splice(&self) -> bool;
    fn splice_into(&mut self, pipe: &SplicePipe, max_len: u64) -> Result<usize, Error>;
}

impl TrackSource for TrackReader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        TrackReader::read(self, buffer)
    }

    fn is_over(&self) -> bool {
        TrackReader::is_over(self)
    }

    fn is_slow(&self) -> bool {
        TrackReader::is_slow(self)
    }

    fn continue_with(&mut self, range: Range<u64>) -> u64 {
        TrackReader::continue_with(self, range)
    }

    fn can_splice(&self) -> bool {
        TrackReader::can_splice(self)
    }

    fn splice_into(&mut self, pipe: &SplicePipe, max_len: u64) -> Result<usize, Error> {
        TrackReader::splice_into(self, pipe, max_len)
    }
}

//! Reads the byte ranges that a plan needs of a remote file, without requesting the long gaps.

use super::splice::PositionedSource;
use crate::error::Error;
use crate::fetch::TrackReader;
use crate::splice::Runs;

/// The largest gap that is fetched along with the bytes around it: that takes no longer than another
/// request.
pub(super) const MAX_GAP: u64 = 512 << 10;

/// A reader that follows the runs of a plan.
pub(super) struct PlannedReader<'r, 'scope, 'env> {
    source: TrackReader<'scope, 'env>,
    /// Bytes that were read already, the last first.
    buffered: Vec<Vec<u8>>,
    /// The remaining runs.
    runs: Runs<'r>,
}

impl<'r, 'scope, 'env> PlannedReader<'r, 'scope, 'env> {
    /// Continues from `positioned`, which is at the first of `runs`.
    pub(super) fn new(positioned: PositionedSource<'scope, 'env>, mut runs: Runs<'r>) -> Self {
        let PositionedSource { mut source, head, .. } = positioned;
        runs.next();
        PlannedReader { buffered: vec![source.take_peeked(), head], source, runs }
    }

    /// Returns the next bytes that were read already.
    pub(super) fn take_buffered(&mut self) -> Option<Vec<u8>> {
        std::iter::from_fn(|| self.buffered.pop()).find(|bytes| !bytes.is_empty())
    }

    /// Reads the bytes after those.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        match self.source.read(buffer)? {
            0 => Err(Error::Internal("a reader ended before its range without an error")),
            count => Ok(count),
        }
    }

    /// Returns the source, if no bytes are buffered.
    pub(super) fn source(&mut self) -> Option<&mut TrackReader<'scope, 'env>> {
        self.buffered.iter().all(Vec::is_empty).then_some(&mut self.source)
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

//! Reads what a plan needs of a file, run after run: what lies far between is not asked for.

use super::splice::PositionedSource;
use crate::error::Error;
use crate::fetch::TrackReader;
use crate::splice::Runs;

/// No more than this lies between bytes that are asked for together: to fetch it takes no longer than
/// to ask once more.
pub(super) const MAX_GAP: u64 = 512 << 10;

/// A source on its way along the runs of a plan.
pub(super) struct PlannedReader<'r, 'scope, 'env> {
    source: TrackReader<'scope, 'env>,
    /// What was read of it already, the last first.
    first: Vec<Vec<u8>>,
    /// Those that are still to come.
    runs: Runs<'r>,
}

impl<'r, 'scope, 'env> PlannedReader<'r, 'scope, 'env> {
    /// What comes behind `entered`, which is at the first of `runs`.
    pub(super) fn new(entered: PositionedSource<'scope, 'env>, mut runs: Runs<'r>) -> Self {
        let PositionedSource { mut source, head, .. } = entered;
        runs.next();
        PlannedReader { first: vec![source.take_peeked(), head], source, runs }
    }

    /// The next bytes that are here already.
    pub(super) fn take_buffered(&mut self) -> Option<Vec<u8>> {
        std::iter::from_fn(|| self.first.pop()).find(|bytes| !bytes.is_empty())
    }

    /// The next ones behind those.
    pub(super) fn read(&mut self, room: &mut [u8]) -> Result<usize, Error> {
        match self.source.read(room)? {
            0 => Err(Error::Internal("a reader ended before its range without an error")),
            count => Ok(count),
        }
    }

    /// Where the next bytes come from, if none are at hand.
    pub(super) fn source(&mut self) -> Option<&mut TrackReader<'scope, 'env>> {
        self.first.iter().all(Vec::is_empty).then_some(&mut self.source)
    }

    /// Goes on to the next run, if this one is over: how many of the next `most` bytes that leaves out.
    pub(super) fn skip(&mut self, most: u64) -> u64 {
        if most == 0 || !self.source().is_some_and(|source| source.is_over()) {
            return 0;
        }
        self.runs.next().map_or(0, |run| self.source.continue_with(run))
    }
}

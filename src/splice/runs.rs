//! The byte ranges of a track that a range of the joined file needs.

use std::ops::Range;

use super::Plan;

/// The byte ranges of a track that a range of the joined file needs, in the order of its file.
#[derive(Debug, Clone)]
pub struct Runs<'p> {
    pub(super) plan: &'p Plan,
    /// The extents that are still to come, of all tracks.
    pub(super) indexes: Range<usize>,
    pub(super) track: usize,
    pub(super) range: Range<u64>,
    pub(super) gap: u64,
}

impl Iterator for Runs<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        let mut run: Option<Range<u64>> = None;
        while let Some(index) = self.indexes.clone().next() {
            match (self.plan.needed(self.track, index, &self.range), &mut run) {
                (None, _) => {}
                (Some(needed), None) => run = Some(needed),
                (Some(needed), Some(run)) if needed.start.saturating_sub(run.end) <= self.gap => {
                    run.end = run.end.max(needed.end);
                }
                (Some(_), Some(_)) => break,
            }
            self.indexes.next();
        }
        run
    }
}

//! Positions the reader of a track at the first bytes that a plan needs.
//!
//! A byte range that begins within an extent needs the beginning of that extent, which tells how it is
//! rewritten, but not the bytes between.

use std::ops::Range;

use crate::download::planned_reader::{MAX_GAP, TrackSource};
use crate::error::Error;
use crate::fetch::TrackReader;
use crate::splice::Plan;

/// The smallest gap worth another request; a smaller one is fetched and dropped.
const MIN_GAP: u64 = 128 << 10;
/// How much of the beginning of an extent is requested.
const PEEK_SIZE: u64 = 32 << 10;

/// Where the first read of a track begins.
pub(in crate::download) struct TrackRead {
    /// The needed range, up to the next long gap.
    needed: Range<u64>,
    /// Where the requested bytes begin, if that is far from the beginning of their extent.
    target: Option<u64>,
    /// The range of the first request.
    pub(in crate::download) first: Range<u64>,
}

/// A reader that is positioned at the needed bytes.
pub(in crate::download) struct PositionedSource<'s> {
    pub(in crate::download) source: Box<dyn TrackSource + 's>,
    /// The bytes before those of the source.
    pub(in crate::download) head: Vec<u8>,
    /// The offset of `head` in the file.
    pub(in crate::download) at: u64,
    /// The range between `head` and the bytes of the source that is not fetched.
    pub(in crate::download) gap: Range<u64>,
}

impl TrackRead {
    /// Returns the first read of the track at `index` for `range` of the output, if that needs any of its
    /// bytes.
    pub(in crate::download) fn new(
        plan: &Plan,
        index: usize,
        range: &Range<u64>,
    ) -> Option<TrackRead> {
        let needed = plan.runs(index, range, MAX_GAP).next()?;
        let is_far = |target: &u64| {
            *target - needed.start > MIN_GAP && needed.end - needed.start > PEEK_SIZE
        };
        let target = plan.seek_target(index, range).filter(is_far);
        let end = if target.is_some() { needed.start + PEEK_SIZE } else { needed.end };
        Some(TrackRead { first: needed.start..end, needed, target })
    }

    /// Positions a source that has requested `first`.
    pub(in crate::download) fn position<'scope>(
        self,
        plan: &Plan,
        mut source: TrackReader<'scope, '_>,
    ) -> Result<PositionedSource<'scope>, Error> {
        let TrackRead { needed, target, .. } = self;
        let at = needed.start;
        let Some(target) = target else {
            let head = source.take_peeked();
            return Ok(PositionedSource { source: Box::new(source), head, at, gap: 0..0 });
        };
        while source.fill_peeked(PEEK_SIZE as usize)? {}
        let mut head = source.take_peeked();
        let mut from = at + head.len() as u64;
        let mut gap = 0..0;
        if let Some(inside) = plan.media_start(&head, target - at) {
            head.truncate(inside);
            (gap, from) = (at + inside as u64..target, target);
        }
        source.restrict_to(from..needed.end);
        Ok(PositionedSource { source: Box::new(source), head, at, gap })
    }
}

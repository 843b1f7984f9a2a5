//! [`BegunSegments`] tells the reader of a track in segments of unknown length where these begin.

use std::mem::take;
use std::time::Duration;

use crate::media::segments::{Declared, SegmentList};

/// Where a segment of a track begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentStart {
    /// Offset of its first byte.
    pub offset: u64,
    /// How long it lasts.
    pub declared: Declared,
    /// The discontinuity before it, if there is one.
    pub discontinuity: Option<Discontinuity>,
}

/// The timestamps of a track in segments may begin again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discontinuity {
    /// Its number in the stream.
    pub number: u64,
    /// Duration of what was read before it, from the previous one on.
    pub after: Duration,
}

/// The segments that have begun, as far as nobody has taken them.
#[derive(Debug, Default)]
pub(super) struct BegunSegments {
    starts: Vec<SegmentStart>,
    has_begun: bool,
    /// Duration of the segments since the last discontinuity.
    period: Duration,
}

impl BegunSegments {
    /// Begins the segment that is this part of the joined file, at `offset`.
    pub(super) fn begin(&mut self, offset: u64, list: &SegmentList, part: usize) {
        let Some((segment, number)) = list.segment(part) else { return };
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let is_restart = segment.is_discontinuous && !is_first;
        let discontinuity =
            is_restart.then(|| Discontinuity { number, after: take(&mut self.period) });
        let declared = Declared { duration: segment.duration, rounding: list.rounding };
        self.starts.push(SegmentStart { offset, declared, discontinuity });
        self.period = self.period.saturating_add(segment.duration);
    }

    /// Returns the segments that were not taken.
    pub(super) fn starts(&self) -> &[SegmentStart] {
        &self.starts
    }

    /// Takes the segments.
    pub(super) fn take(&mut self) -> Vec<SegmentStart> {
        take(&mut self.starts)
    }
}

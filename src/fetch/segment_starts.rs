//! Where the segments of a track begin in the file that they are. Pure.

use std::collections::VecDeque;

use crate::media::segments::SegmentList;

/// The offsets at which segments begin, as far as they are known. Those of a track of unknown length are
/// forgotten when they lie behind: a live stream may last for days.
pub(super) struct SegmentStarts {
    /// How many were forgotten.
    forgotten: usize,
    starts: VecDeque<u64>,
    forgets: bool,
}

impl SegmentStarts {
    /// Begins with what the list tells.
    pub(super) fn new(list: &SegmentList) -> SegmentStarts {
        let mut starts = VecDeque::from([0]);
        let mut end = 0;
        for file in list.files.iter().flat_map(|files| files.iter()) {
            end += file.len;
            starts.push_back(end);
        }
        SegmentStarts { forgotten: 0, starts, forgets: list.files.is_none() }
    }

    /// Returns where a segment begins, if that is known.
    pub(super) fn get(&self, index: usize) -> Option<u64> {
        self.starts.get(index.checked_sub(self.forgotten)?).copied()
    }

    /// Records that segment `index` has `len` bytes, unless the end of it is known.
    pub(super) fn record_len(&mut self, index: usize, len: u64) {
        if let Some(start) = self.get(index).filter(|_| self.get(index + 1).is_none()) {
            self.starts.push_back(start.saturating_add(len));
        }
    }

    /// Forgets the segments before `index`.
    pub(super) fn forget_before(&mut self, index: usize) {
        while self.forgets && self.forgotten < index && self.starts.len() > 1 {
            self.starts.pop_front();
            self.forgotten += 1;
        }
    }

    /// Returns the last segment that begins at `offset` or before it.
    pub(super) fn segment_at(&self, offset: u64) -> usize {
        let begun = self.starts.partition_point(|start| *start <= offset);
        self.forgotten + begun.saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_is_forgotten() {
        let list = SegmentList {
            inits: Vec::new(),
            segments: Vec::new(),
            is_complete: false,
            media_sequence: 0,
            discontinuity_sequence: 0,
            forgotten: 0,
            end_date: None,
            rounding: std::time::Duration::ZERO,
            target_duration: std::time::Duration::ZERO,
            may_end_early: false,
            files: None,
        };
        let mut starts = SegmentStarts::new(&list);
        for index in 0..1000 {
            assert_eq!(starts.segment_at(10 * index as u64), index);
            starts.record_len(index, 10);
            starts.record_len(index, 99);
            starts.forget_before(index);
            assert_eq!(starts.get(index + 1), Some(10 * (index as u64 + 1)));
            assert!(starts.starts.len() <= 2);
        }
        assert_eq!(starts.get(5), None);
        assert_eq!(starts.segment_at(10_005), 1000);
    }
}

//! Which range of the file is read, how far, and which bytes were peeked at. Pure.

use std::mem::take;
use std::ops::Range;

/// A position in the file.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// Offset of the first byte, of the next byte, and of the end (exclusive) if that is known.
    pub(super) start: u64,
    pub(super) offset: u64,
    pub(super) end: Option<u64>,
    /// Bytes that were peeked at but not taken.
    pub(super) peeked: Vec<u8>,
}

impl Cursor {
    /// Makes a cursor at the start of `range`.
    pub(super) fn over(range: Range<u64>) -> Cursor {
        let Range { start, end } = range;
        Cursor { start, offset: start, end: Some(end), peeked: Vec::new() }
    }

    /// Returns how many bytes are still to be read, if the end is known. Peeked bytes may lie
    /// beyond the end.
    pub(super) fn remaining(&self) -> Option<u64> {
        self.end.map(|end| end.saturating_sub(self.offset))
    }

    /// Returns whether every byte of the range was read.
    pub(super) fn is_over(&self) -> bool {
        self.remaining() == Some(0)
    }

    /// Returns how many bytes were read in a row.
    pub(super) fn progress(&self) -> u64 {
        self.offset - self.start
    }

    /// Continues at `offset`, without what was read before.
    pub(super) fn move_to(&mut self, offset: u64) {
        (self.start, self.offset) = (offset, offset);
    }

    /// Restricts what follows to `range`; returns whether that begins with bytes that were peeked
    /// at, or with the next one. Otherwise it is elsewhere, and the cursor moves there.
    pub(super) fn restrict_to(&mut self, range: Range<u64>) -> bool {
        self.end = Some(range.end);
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.peeked.len());
        let (from, to) = (index(range.start), index(range.end));
        if from as u64 != range.start && range.start != self.offset {
            drop(take(&mut self.peeked));
            self.move_to(range.start);
            return false;
        }
        self.peeked.truncate(to);
        self.peeked.drain(..from);
        // The bytes may be many, and are sent much later.
        self.peeked.shrink_to_fit();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cursor after the first ten bytes of a file, which were peeked at.
    fn peeked() -> Cursor {
        Cursor { offset: 10, end: Some(100), peeked: (0..10).collect(), ..Cursor::default() }
    }

    #[test]
    fn a_range_begins_within_the_peeked_bytes_or_elsewhere() {
        let restrict = |range: Range<u64>| {
            let mut cursor = peeked();
            let is_here = cursor.restrict_to(range);
            (is_here, cursor.offset, cursor.peeked)
        };
        assert_eq!(restrict(0..100), (true, 10, (0..10).collect()));
        assert_eq!(restrict(4..8), (true, 10, vec![4, 5, 6, 7]));
        assert_eq!(restrict(10..20), (true, 10, vec![]));
        assert_eq!(restrict(11..20), (false, 11, vec![]));
    }

    #[test]
    fn peeked_bytes_may_lie_beyond_the_end() {
        let mut cursor = peeked();
        cursor.restrict_to(0..4);
        assert!(cursor.is_over());
        let mut cursor = Cursor::over(5..7);
        assert_eq!((cursor.remaining(), cursor.progress()), (Some(2), 0));
        cursor.offset += 2;
        assert!(cursor.is_over() && cursor.progress() == 2);
        assert!(!Cursor::default().is_over());
    }
}

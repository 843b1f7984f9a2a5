//! [`WindowedReader`] reads adjacent data with one request: the start of the file, which is buffered
//! or on its way, and a window that moves to wherever else something has to be read.
//!
//! Each read beyond the start may be a request to an upstream while a client waits, hence their
//! number is limited. **API boundary:** the reader does not interpret the bytes.

use std::borrow::Cow;
use std::ops::Range;

use super::{NextRead, ReadAt, SourceSegment, SurveyError, Unsupported};
use crate::container::probe::PROBE_SIZE;

/// The start of a file, which arrives without a request of its own.
const PREFIX: u64 = PROBE_SIZE as u64;

/// How much and how often a [`WindowedReader`] reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct WindowPolicy {
    /// The least that one read beyond the start fetches.
    min_read: u64,
    /// The maximum number of such reads.
    reads: usize,
}

impl WindowPolicy {
    /// For fragments: most moofs are shorter, and arrive with their neighbours. A walk may read
    /// once per fragment, and some more.
    pub(super) const FRAGMENTS: WindowPolicy = WindowPolicy { min_read: 16 << 10, reads: 160 };
    /// For clusters: most indexes at the end of a file are shorter, and so arrive together with
    /// their header and with what follows them.
    pub(super) const CLUSTERS: WindowPolicy = WindowPolicy { min_read: 256 << 10, reads: 12 };
}

pub(super) struct WindowedReader<'a> {
    inner: &'a mut dyn ReadAt,
    policy: WindowPolicy,
    /// The offset of the window, and its bytes.
    at: u64,
    bytes: Vec<u8>,
    reads: usize,
}

impl<'a> WindowedReader<'a> {
    pub(super) fn new(inner: &'a mut dyn ReadAt, policy: WindowPolicy) -> WindowedReader<'a> {
        WindowedReader { inner, policy, at: 0, bytes: Vec::new(), reads: 0 }
    }

    /// Returns exactly the bytes of `range`, which must lie within the file.
    pub(super) fn bytes(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
        if range.end <= PREFIX {
            return self.inner.read_at(range);
        }
        self.move_window(&range)?;
        // Both are within the window, and so within memory.
        let index = |end: u64| end.checked_sub(self.at).map(|index| index as usize);
        let bounds = index(range.start).zip(index(range.end));
        let seen = bounds.and_then(|(from, to)| self.bytes.get(from..to));
        Ok(seen.ok_or(Unsupported("the index reader lost track of its window"))?.into())
    }

    /// Moves the window, unless it holds all of `range`.
    fn move_window(&mut self, range: &Range<u64>) -> Result<(), SurveyError> {
        if range.start < self.at || range.end > self.at + self.bytes.len() as u64 {
            let known_end = self.inner.known_until(range.start);
            let end = if known_end >= range.end {
                known_end
            } else {
                self.reads += 1;
                if self.reads > self.policy.reads {
                    return Err(Unsupported("the index takes too many requests to read").into());
                }
                let min_end = range.start.saturating_add(self.policy.min_read).min(self.len());
                range.end.max(min_end)
            };
            self.bytes = self.inner.read_at(range.start..end)?.into_owned();
            self.at = range.start;
        }
        Ok(())
    }
}

impl ReadAt for WindowedReader<'_> {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
        self.bytes(range)
    }

    /// Chains are limited in time, not in number.
    fn chains(&mut self, begins: Vec<Range<u64>>, next: &NextRead<'_>) -> Result<(), SurveyError> {
        self.inner.chains(begins, next)
    }

    fn segments(&self) -> Option<&[SourceSegment]> {
        self.inner.segments()
    }

    fn buffered_len(&self) -> u64 {
        self.inner.buffered_len()
    }

    fn known_until(&self, at: u64) -> u64 {
        self.inner.known_until(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of numbers that records the ranges read.
    struct Noted(u64, Vec<Range<u64>>);

    impl Noted {
        fn remote_reads(&self) -> usize {
            self.1.iter().filter(|range| range.end > PREFIX).count()
        }
    }

    impl ReadAt for Noted {
        fn len(&self) -> u64 {
            self.0
        }

        fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
            self.1.push(range.clone());
            Ok(range.map(|at| (at / 1000) as u8).collect())
        }
    }

    fn read(reader: &mut WindowedReader<'_>, offsets: &[u64]) {
        for at in offsets {
            let end = (at + 10).min(reader.len());
            let bytes = reader.bytes(*at..end).unwrap();
            assert_eq!((bytes.len() as u64, bytes[0]), (end - at, (at / 1000) as u8), "{at}");
        }
    }

    #[test]
    fn what_is_in_sight_is_not_looked_at_again() {
        let mut file = Noted(1_000_000, Vec::new());
        let mut reader = WindowedReader::new(&mut file, WindowPolicy::FRAGMENTS);
        let offsets = [0, 60_000, 500_000, 500_100, 516_374, 65_526, 516_370, 516_375];
        read(&mut reader, &offsets);
        read(&mut reader, &[499_999, 999_995, 0]);
        assert!(reader.bytes(1_000_000..1_000_000).unwrap().is_empty());
        assert_eq!(file.remote_reads(), 4);

        let mut file = Noted(2_000_000, Vec::new());
        let mut reader = WindowedReader::new(&mut file, WindowPolicy::CLUSTERS);
        let offsets = [0, 65_000, 1_500_000, 1_700_000, 60_000, 1_500_500, 1_300_000, 65_530];
        read(&mut reader, &offsets);
        read(&mut reader, &[1_999_995]);
        assert_eq!(file.remote_reads(), 4);
    }

    #[test]
    fn the_front_is_not_waited_for_any_further_than_it_is_needed() {
        let mut file = Noted(1_000_000, Vec::new());
        read(&mut WindowedReader::new(&mut file, WindowPolicy::CLUSTERS), &[0, 8000, 100]);
        assert_eq!(file.1, [0..10, 8000..8010, 100..110]);
    }

    #[test]
    fn it_does_not_look_for_ever() {
        for policy in [WindowPolicy::FRAGMENTS, WindowPolicy::CLUSTERS] {
            let mut file = Noted(u64::MAX, Vec::new());
            let mut reader = WindowedReader::new(&mut file, policy);
            let reads =
                (1..1000).take_while(|gib| reader.bytes(gib << 30..(gib << 30) + 1).is_ok());
            assert_eq!(reads.count(), policy.reads);
        }
    }
}

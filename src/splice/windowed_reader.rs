//! Looks at a file so that what stands close together takes one request: at its front, which is here
//! or on its way, and through a window that moves to where else something is to be read.
//!
//! Every look beyond the front may be a request to an upstream while a client waits, hence their
//! number is limited. Must never know what the bytes mean.

use std::borrow::Cow;
use std::ops::Range;

use super::{NextRead, ReadAt, SurveyError, Unsupported};
use crate::container::probe::PROBE_SIZE;

/// The front of a file: it comes by itself.
const FRONT: u64 = PROBE_SIZE as u64;

/// How far is looked.
#[derive(Debug, Clone, Copy)]
pub(super) struct WindowPolicy {
    /// What a look beyond the front brings at least.
    ahead: u64,
    /// So often may be looked there.
    looks: usize,
}

impl WindowPolicy {
    /// A moof is mostly shorter, and comes with what is around it. There may be a look at each
    /// fragment of a walk, and some more.
    pub(super) const FRAGMENTS: WindowPolicy = WindowPolicy { ahead: 16 << 10, looks: 160 };
    /// An index that ends the file is mostly shorter, and so comes with its header and with what is
    /// behind it.
    pub(super) const CLUSTERS: WindowPolicy = WindowPolicy { ahead: 256 << 10, looks: 12 };
}

pub(super) struct WindowedReader<'a> {
    look: &'a mut dyn ReadAt,
    reach: WindowPolicy,
    /// Where the window begins, and what is in it.
    at: u64,
    bytes: Vec<u8>,
    looks: usize,
}

impl<'a> WindowedReader<'a> {
    pub(super) fn new(look: &'a mut dyn ReadAt, reach: WindowPolicy) -> WindowedReader<'a> {
        WindowedReader { look, reach, at: 0, bytes: Vec::new(), looks: 0 }
    }

    /// Exactly these bytes, which must lie within the file.
    pub(super) fn bytes(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
        if range.end <= FRONT {
            return self.look.read_at(range);
        }
        self.see(&range)?;
        // Both are within the window, and so within memory.
        let place = |end: u64| end.checked_sub(self.at).map(|place| place as usize);
        let within = place(range.start).zip(place(range.end));
        let seen = within.and_then(|(from, to)| self.bytes.get(from..to));
        Ok(seen.ok_or(Unsupported("its bytes are not to be had"))?.into())
    }

    /// Moves the window, if not all of `range` is in it.
    fn see(&mut self, range: &Range<u64>) -> Result<(), SurveyError> {
        if range.start < self.at || range.end > self.at + self.bytes.len() as u64 {
            self.looks += 1;
            if self.looks > self.reach.looks {
                return Err(Unsupported("its index is spread over too many places").into());
            }
            let least = range.start.saturating_add(self.reach.ahead).min(self.len());
            self.bytes = self.look.read_at(range.start..range.end.max(least))?.into_owned();
            self.at = range.start;
        }
        Ok(())
    }
}

impl ReadAt for WindowedReader<'_> {
    fn len(&self) -> u64 {
        self.look.len()
    }

    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
        self.bytes(range)
    }

    /// Their time is limited, not their number.
    fn chains(&mut self, begins: Vec<Range<u64>>, next: &NextRead<'_>) -> Result<(), SurveyError> {
        self.look.chains(begins, next)
    }

    fn buffered_len(&self) -> u64 {
        self.look.buffered_len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of numbers that notes what is looked at.
    struct Noted(u64, Vec<Range<u64>>);

    impl Noted {
        fn far(&self) -> usize {
            self.1.iter().filter(|range| range.end > FRONT).count()
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

    fn read(near: &mut WindowedReader<'_>, places: &[u64]) {
        for at in places {
            let end = (at + 10).min(near.len());
            let bytes = near.bytes(*at..end).unwrap();
            assert_eq!((bytes.len() as u64, bytes[0]), (end - at, (at / 1000) as u8), "{at}");
        }
    }

    #[test]
    fn what_is_in_sight_is_not_looked_at_again() {
        let mut file = Noted(1_000_000, Vec::new());
        let mut near = WindowedReader::new(&mut file, WindowPolicy::FRAGMENTS);
        let places = [0, 60_000, 500_000, 500_100, 516_374, 65_526, 516_370, 516_375];
        read(&mut near, &places);
        read(&mut near, &[499_999, 999_995, 0]);
        assert!(near.bytes(1_000_000..1_000_000).unwrap().is_empty());
        assert_eq!(file.far(), 4);

        let mut file = Noted(2_000_000, Vec::new());
        let mut near = WindowedReader::new(&mut file, WindowPolicy::CLUSTERS);
        let places = [0, 65_000, 1_500_000, 1_700_000, 60_000, 1_500_500, 1_300_000, 65_530];
        read(&mut near, &places);
        read(&mut near, &[1_999_995]);
        assert_eq!(file.far(), 4);
    }

    #[test]
    fn the_front_is_not_waited_for_any_further_than_it_is_needed() {
        let mut file = Noted(1_000_000, Vec::new());
        read(&mut WindowedReader::new(&mut file, WindowPolicy::CLUSTERS), &[0, 8000, 100]);
        assert_eq!(file.1, [0..10, 8000..8010, 100..110]);
    }

    #[test]
    fn it_does_not_look_for_ever() {
        for reach in [WindowPolicy::FRAGMENTS, WindowPolicy::CLUSTERS] {
            let mut file = Noted(u64::MAX, Vec::new());
            let mut near = WindowedReader::new(&mut file, reach);
            let looks = (1..1000).take_while(|far| near.bytes(far << 30..(far << 30) + 1).is_ok());
            assert_eq!(looks.count(), reach.looks);
        }
    }
}

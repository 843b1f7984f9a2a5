//! Looks at a file through two windows, so that what stands close together takes one request: one at
//! its front, which grows, and one that moves to where else something is to be read.
//!
//! Every look beyond the front may be a request to an upstream while a client waits, hence their
//! number is limited. Must never know what the bytes mean.

use std::ops::Range;

use super::{Halt, Look, Refusal};
use crate::mux::sniff::LOOK_AT_MOST;

/// The front of a file: it comes by itself.
const FRONT: u64 = LOOK_AT_MOST as u64;

/// How far is looked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// What a look beyond the front brings at least.
    ahead: u64,
    /// So often may be looked there.
    looks: usize,
}

impl Reach {
    /// A moof is mostly shorter, and comes with what is around it. There may be a look at each
    /// fragment of a walk, and some more.
    pub(super) const FRAGMENTS: Reach = Reach { ahead: 16 << 10, looks: 160 };
    /// An index that ends the file is mostly shorter, and so comes with its header and with what is
    /// behind it.
    pub(super) const CLUSTERS: Reach = Reach { ahead: 256 << 10, looks: 12 };
}

pub(super) struct Near<'a> {
    look: &'a mut dyn Look,
    reach: Reach,
    /// What of the front was looked at.
    front: Vec<u8>,
    /// Where the moving window begins.
    at: u64,
    bytes: Vec<u8>,
    looks: usize,
}

impl<'a> Near<'a> {
    pub(super) fn new(look: &'a mut dyn Look, reach: Reach) -> Near<'a> {
        Near { look, reach, front: Vec::new(), at: 0, bytes: Vec::new(), looks: 0 }
    }

    /// Exactly these bytes, which must lie within the file.
    pub(super) fn bytes(&mut self, range: Range<u64>) -> Result<&[u8], Halt> {
        let (window, at) = if range.end <= FRONT {
            self.see_front(range.end)?;
            (&self.front, 0)
        } else {
            self.see(&range)?;
            (&self.bytes, self.at)
        };
        // Both are within a window, and so within memory.
        let place = |end: u64| end.checked_sub(at).map(|place| place as usize);
        let seen =
            place(range.start).zip(place(range.end)).and_then(|(from, to)| window.get(from..to));
        seen.ok_or(Refusal("its bytes are not to be had").into())
    }

    /// Looks at the front as far as `end`, and at what else of it is here already.
    fn see_front(&mut self, end: u64) -> Result<(), Halt> {
        let seen = self.front.len() as u64;
        if seen < end {
            let free = self.look.at_hand().min(FRONT).min(self.len());
            let more = self.look.look(seen..end.max(free))?;
            self.front.extend(more);
        }
        Ok(())
    }

    /// Moves the window, if not all of `range` is in it.
    fn see(&mut self, range: &Range<u64>) -> Result<(), Halt> {
        if range.start < self.at || range.end > self.at + self.bytes.len() as u64 {
            self.looks += 1;
            if self.looks > self.reach.looks {
                return Err(Refusal("its index is spread over too many places").into());
            }
            let least = range.start.saturating_add(self.reach.ahead).min(self.len());
            self.bytes = self.look.look(range.start..range.end.max(least))?;
            self.at = range.start;
        }
        Ok(())
    }
}

impl Look for Near<'_> {
    fn len(&self) -> u64 {
        self.look.len()
    }

    fn look(&mut self, range: Range<u64>) -> Result<Vec<u8>, Halt> {
        self.bytes(range).map(<[u8]>::to_vec)
    }

    fn at_hand(&self) -> u64 {
        self.look.at_hand()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of numbers, of whose front so much is here, that notes what is looked at.
    struct Noted(u64, u64, Vec<Range<u64>>);

    impl Noted {
        fn far(&self) -> usize {
            self.2.iter().filter(|range| range.end > FRONT).count()
        }
    }

    impl Look for Noted {
        fn len(&self) -> u64 {
            self.0
        }

        fn look(&mut self, range: Range<u64>) -> Result<Vec<u8>, Halt> {
            self.2.push(range.clone());
            Ok(range.map(|at| (at / 1000) as u8).collect())
        }

        fn at_hand(&self) -> u64 {
            self.1
        }
    }

    fn read(near: &mut Near<'_>, places: &[u64]) {
        for at in places {
            let end = (at + 10).min(near.len());
            let bytes = near.bytes(*at..end).unwrap();
            assert_eq!((bytes.len() as u64, bytes[0]), (end - at, (at / 1000) as u8), "{at}");
        }
    }

    #[test]
    fn what_is_in_sight_is_not_looked_at_again() {
        let mut file = Noted(1_000_000, 0, Vec::new());
        let mut near = Near::new(&mut file, Reach::FRAGMENTS);
        let places = [0, 60_000, 500_000, 500_100, 516_374, 65_526, 516_370, 516_375];
        read(&mut near, &places);
        read(&mut near, &[499_999, 999_995, 0]);
        assert!(near.bytes(1_000_000..1_000_000).unwrap().is_empty());
        assert_eq!(file.far(), 4);

        let mut file = Noted(2_000_000, 0, Vec::new());
        let mut near = Near::new(&mut file, Reach::CLUSTERS);
        let places = [0, 65_000, 1_500_000, 1_700_000, 60_000, 1_500_500, 1_300_000, 65_530];
        read(&mut near, &places);
        read(&mut near, &[1_999_995]);
        assert_eq!(file.far(), 4);
    }

    #[test]
    fn the_front_is_not_waited_for_any_further_than_it_is_needed() {
        let mut file = Noted(1_000_000, 5000, Vec::new());
        read(&mut Near::new(&mut file, Reach::CLUSTERS), &[0, 4000, 8000, 100, 7000, 60_000]);
        assert_eq!(file.2, [0..5000, 5000..8010, 8010..60_010]);
        let mut file = Noted(3000, u64::MAX, Vec::new());
        read(&mut Near::new(&mut file, Reach::FRAGMENTS), &[0, 2995]);
        assert_eq!((file.2.len(), &file.2[0]), (1, &(0..3000)));
    }

    #[test]
    fn it_does_not_look_for_ever() {
        for reach in [Reach::FRAGMENTS, Reach::CLUSTERS] {
            let mut file = Noted(u64::MAX, 0, Vec::new());
            let mut near = Near::new(&mut file, reach);
            let looks = (1..1000).take_while(|far| near.bytes(far << 30..(far << 30) + 1).is_ok());
            assert_eq!(looks.count(), reach.looks);
        }
    }
}

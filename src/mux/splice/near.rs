//! Looks at a file through a window, so that boxes that stand close together take one request.
//!
//! Every look may be a request to an upstream while a client waits, hence their number is limited.
//! Must never know what the bytes mean.

use std::ops::Range;

use super::{Halt, Look, Refusal};
use crate::mux::sniff::LOOK_AT_MOST;

/// What a look brings at least: a moof is mostly shorter, and comes with what is around it.
const AHEAD: u64 = 16 << 10;
/// So often may be looked beyond the first bytes: at each fragment of a walk, and some more.
const MOST_LOOKS: usize = 160;

pub(super) struct Near<'a> {
    look: &'a mut dyn Look,
    at: u64,
    bytes: Vec<u8>,
    looks: usize,
}

impl<'a> Near<'a> {
    pub(super) fn new(look: &'a mut dyn Look) -> Near<'a> {
        Near { look, at: 0, bytes: Vec::new(), looks: 0 }
    }

    /// What of the window lies in `range`, if all of that does.
    fn in_sight(&self, range: &Range<u64>) -> Option<Vec<u8>> {
        let from = usize::try_from(range.start.checked_sub(self.at)?).ok()?;
        let to = usize::try_from(range.end.checked_sub(self.at)?).ok()?;
        self.bytes.get(from..to).map(<[u8]>::to_vec)
    }
}

impl Look for Near<'_> {
    fn len(&self) -> u64 {
        self.look.len()
    }

    fn look(&mut self, range: Range<u64>) -> Result<Vec<u8>, Halt> {
        if let Some(bytes) = self.in_sight(&range) {
            return Ok(bytes);
        }
        // What is at hand anyway ends there.
        let free = LOOK_AT_MOST as u64;
        let most = if range.end <= free { free.min(self.len()) } else { self.len() };
        if range.end > free {
            self.looks += 1;
            if self.looks > MOST_LOOKS {
                return Err(Refusal("its index is spread over too many places").into());
            }
        }
        let end = range.end.max(range.start.saturating_add(AHEAD).min(most));
        self.bytes = self.look.look(range.start..end)?;
        self.at = range.start;
        self.in_sight(&range).ok_or(Refusal("its bytes are not to be had").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of numbers that counts.
    struct Counted(u64, usize);

    impl Look for Counted {
        fn len(&self) -> u64 {
            self.0
        }

        fn look(&mut self, range: Range<u64>) -> Result<Vec<u8>, Halt> {
            self.1 += usize::from(range.end > LOOK_AT_MOST as u64);
            Ok(range.map(|at| (at / 100) as u8).collect())
        }
    }

    #[test]
    fn what_is_in_sight_is_not_looked_at_again() {
        let mut file = Counted(1_000_000, 0);
        let mut near = Near::new(&mut file);
        for at in [0, 60_000, 65_526, 500_000, 500_100, 516_374, 516_375, 499_999, 999_990] {
            let bytes = near.look(at..at + 10).unwrap();
            assert_eq!((bytes.len(), bytes[0]), (10, (at / 100) as u8), "{at}");
        }
        assert!(near.look(1_000_000..1_000_000).unwrap().is_empty());
        assert_eq!(file.1, 4);
    }

    #[test]
    fn it_does_not_look_for_ever() {
        let mut file = Counted(u64::MAX, 0);
        let mut near = Near::new(&mut file);
        let looks = (1..1000).take_while(|far| near.look(far << 30..(far << 30) + 1).is_ok());
        assert_eq!(looks.count(), MOST_LOOKS);
    }
}

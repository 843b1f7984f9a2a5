//! What of a file is in sight: a window that moves where something is to be read.
//!
//! Every move may be a request to an upstream, hence their number is limited. Must never know what
//! the bytes mean, but for where an element begins and ends.

use crate::mux::sniff::LOOK_AT_MOST;
use crate::mux::splice::ebml::{self, Header, MALFORMED, MAX_HEADER};
use crate::mux::splice::{Halt, Look, MAX_LOOK, Refusal};

/// What a look at a far place brings at least: an index that ends the file is mostly shorter, and
/// so comes with its header and with what is behind it.
const AHEAD: u64 = 256 << 10;
/// So often may be looked beyond the first bytes.
const MAX_LOOKS: usize = 12;

pub(super) struct Sight<'a> {
    look: &'a mut dyn Look,
    /// The first bytes, which are at hand anyway.
    head: Vec<u8>,
    at: u64,
    bytes: Vec<u8>,
    looks: usize,
}

impl<'a> Sight<'a> {
    pub(super) fn new(look: &'a mut dyn Look) -> Result<Sight<'a>, Halt> {
        let head = look.look(0..look.len().min(LOOK_AT_MOST as u64))?;
        Ok(Sight { look, head, at: 0, bytes: Vec::new(), looks: 0 })
    }

    /// The length of the file.
    pub(super) fn len(&self) -> u64 {
        self.look.len()
    }

    /// The bytes from `at` on: `count` of them, or fewer if the file ends.
    pub(super) fn bytes(&mut self, at: u64, count: u64) -> Result<&[u8], Halt> {
        let end = at.saturating_add(count).min(self.len());
        if at > end || count > MAX_LOOK {
            return Err(MALFORMED.into());
        }
        if end <= self.head.len() as u64 {
            // Both are within a slice.
            return Ok(&self.head[at as usize..end as usize]);
        }
        if at < self.at || end > self.at + self.bytes.len() as u64 {
            self.looks += 1;
            if self.looks > MAX_LOOKS {
                return Err(Refusal("its index is spread over too many places").into());
            }
            let to = end.max(at.saturating_add(AHEAD).min(self.len()));
            self.bytes = self.look.look(at..to)?;
            self.at = at;
        }
        let from = (at - self.at) as usize;
        self.bytes.get(from..from + (end - at) as usize).ok_or(MALFORMED.into())
    }

    /// The header of the element at `at`.
    pub(super) fn header(&mut self, at: u64) -> Result<Header, Halt> {
        let bytes = self.bytes(at, MAX_HEADER as u64)?;
        ebml::header(bytes).ok_or(MALFORMED.into())
    }

    /// What is in the element at `at`, which must not be longer than `most`.
    pub(super) fn payload(&mut self, at: u64, header: Header, most: u64) -> Result<&[u8], Halt> {
        let size = header.size.ok_or(MALFORMED)?;
        if size > most {
            return Err(Refusal("an element of its head is too large").into());
        }
        let bytes = self.bytes(at + header.len as u64, size)?;
        if bytes.len() as u64 == size { Ok(bytes) } else { Err(MALFORMED.into()) }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    /// A file of numbers that counts.
    struct Counted(u64, usize);

    impl Look for Counted {
        fn len(&self) -> u64 {
            self.0
        }

        fn look(&mut self, range: Range<u64>) -> Result<Vec<u8>, Halt> {
            self.1 += 1;
            Ok(range.map(|at| (at / 1000) as u8).collect())
        }
    }

    #[test]
    fn what_is_in_sight_is_not_looked_at_again() {
        let mut file = Counted(2_000_000, 0);
        let mut sight = Sight::new(&mut file).unwrap();
        let at = |sight: &mut Sight<'_>, at: u64| sight.bytes(at, 10).unwrap().to_vec();
        for place in [0, 65_000, 1_500_000, 1_700_000, 1_500_500, 1_300_000, 65_530, 1_999_995] {
            let bytes = at(&mut sight, place);
            assert_eq!(bytes.len() as u64, (2_000_000 - place).min(10));
            assert_eq!(bytes[0], (place / 1000) as u8, "{place}");
        }
        assert_eq!(file.1, 1 + 4);
    }

    #[test]
    fn it_does_not_look_for_ever() {
        let mut file = Counted(u64::MAX, 0);
        let mut sight = Sight::new(&mut file).unwrap();
        let looks = (1..100).take_while(|far| sight.bytes(far << 30, 1).is_ok()).count();
        assert_eq!(looks, MAX_LOOKS);
        assert!(sight.bytes(0, MAX_LOOK + 1).is_err());
        assert!(sight.bytes(u64::MAX, u64::MAX).is_err());
    }
}

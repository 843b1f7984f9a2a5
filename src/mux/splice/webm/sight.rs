//! What of a file is in sight, as elements: where one begins and ends, and what is in it.
//!
//! Must never know what the bytes mean beyond that, nor hold a payload that is longer than was said.

use std::borrow::Cow;

use crate::mux::splice::ebml::{self, Header, MALFORMED, MAX_HEADER};
use crate::mux::splice::near::{Near, Reach};
use crate::mux::splice::{Halt, Look, MAX_LOOK, Refusal};

pub(super) struct Sight<'a>(Near<'a>);

impl<'a> Sight<'a> {
    pub(super) fn new(look: &'a mut dyn Look) -> Sight<'a> {
        Sight(Near::new(look, Reach::CLUSTERS))
    }

    /// The length of the file.
    pub(super) fn len(&self) -> u64 {
        self.0.len()
    }

    /// The bytes from `at` on: `count` of them, or fewer if the file ends.
    pub(super) fn bytes(&mut self, at: u64, count: u64) -> Result<Cow<'_, [u8]>, Halt> {
        let end = at.saturating_add(count).min(self.len());
        if at > end || count > MAX_LOOK {
            return Err(MALFORMED.into());
        }
        self.0.bytes(at..end)
    }

    /// The header of the element at `at`.
    pub(super) fn header(&mut self, at: u64) -> Result<Header, Halt> {
        let bytes = self.bytes(at, MAX_HEADER as u64)?;
        ebml::header(&bytes).ok_or(MALFORMED.into())
    }

    /// What is in the element at `at`, which must not be longer than `most`.
    pub(super) fn payload(
        &mut self,
        at: u64,
        header: Header,
        most: u64,
    ) -> Result<Cow<'_, [u8]>, Halt> {
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

    struct Endless;

    impl Look for Endless {
        fn len(&self) -> u64 {
            u64::MAX
        }

        fn look(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, Halt> {
            Ok(range.map(|_| 0).collect())
        }
    }

    #[test]
    fn no_more_is_looked_at_than_may_be() {
        let mut file = Endless;
        let mut sight = Sight::new(&mut file);
        assert_eq!(*sight.bytes(0, 3).unwrap(), [0; 3]);
        assert!(sight.bytes(0, MAX_LOOK + 1).is_err());
        assert!(sight.bytes(u64::MAX, u64::MAX).is_err());
    }
}

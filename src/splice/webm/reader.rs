//! [`EbmlReader`] reads elements of a file: a header, or a payload of limited length.
//!
//! **API boundary:** it does not interpret payloads.

use std::borrow::Cow;

use crate::container::ebml::{self, Header, MALFORMED, MAX_HEADER};
use crate::error::Unsupported;
use crate::splice::windowed_reader::{WindowPolicy, WindowedReader};
use crate::splice::{MAX_READ, ReadAt, SurveyError};

pub(super) struct EbmlReader<'a>(WindowedReader<'a>);

impl<'a> EbmlReader<'a> {
    pub(super) fn new(reader: &'a mut dyn ReadAt) -> EbmlReader<'a> {
        EbmlReader(WindowedReader::new(reader, WindowPolicy::CLUSTERS))
    }

    /// Returns the length of the file.
    pub(super) fn len(&self) -> u64 {
        self.0.len()
    }

    /// Returns `count` bytes from `at` on, or fewer if the file ends.
    pub(super) fn bytes(&mut self, at: u64, count: u64) -> Result<Cow<'_, [u8]>, SurveyError> {
        let end = at.saturating_add(count).min(self.len());
        if at > end || count > MAX_READ {
            return Err(MALFORMED.into());
        }
        self.0.bytes(at..end)
    }

    /// Reads the header of the element at `at`.
    pub(super) fn header(&mut self, at: u64) -> Result<Header, SurveyError> {
        let bytes = self.bytes(at, MAX_HEADER as u64)?;
        ebml::header(&bytes).ok_or(MALFORMED.into())
    }

    /// Reads the payload of the element at `at`, refused if it is longer than `max`.
    pub(super) fn payload(
        &mut self,
        at: u64,
        header: Header,
        max: u64,
    ) -> Result<Cow<'_, [u8]>, SurveyError> {
        let size = header.size.ok_or(MALFORMED)?;
        if size > max {
            return Err(Unsupported("an element before the clusters is too large").into());
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

    impl ReadAt for Endless {
        fn len(&self) -> u64 {
            u64::MAX
        }

        fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
            Ok(range.map(|_| 0).collect())
        }
    }

    #[test]
    fn no_more_is_looked_at_than_may_be() {
        let mut file = Endless;
        let mut reader = EbmlReader::new(&mut file);
        assert_eq!(*reader.bytes(0, 3).unwrap(), [0; 3]);
        assert!(reader.bytes(0, MAX_READ + 1).is_err());
        assert!(reader.bytes(u64::MAX, u64::MAX).is_err());
    }
}

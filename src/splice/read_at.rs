//! Random access to the bytes of an input file, of which splice reads the index.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use crate::container::completeness::Incomplete;
use crate::error::{Error, Unsupported};
use crate::media::segments::Declared;

/// The longest byte range of one [`ReadAt::read_at`].
pub const MAX_READ: u64 = 16 << 20;

/// Random access to the bytes of one file, local or remote.
pub trait ReadAt {
    /// Returns the length of the file.
    fn len(&self) -> u64;

    /// Returns exactly the bytes of `range`, which must lie within the file and be no longer than
    /// [`MAX_READ`]. The first 64 KiB arrive without a request of their own and are awaited only as
    /// far as `range` reaches; any other range costs one more request.
    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError>;

    /// Follows several chains of reads through the file. Each chain begins with one of the ranges
    /// in `begins`; after each read `next` gets the number of the chain, the offset and the bytes,
    /// and returns the range to read next in this chain. Chains are independent of each other and
    /// may run concurrently. No range may be longer than 1 MiB.
    fn chains(&mut self, begins: Vec<Range<u64>>, next: &NextRead<'_>) -> Result<(), SurveyError> {
        for (chain, begin) in begins.into_iter().enumerate() {
            let mut next_range = Some(begin);
            while let Some(range) = next_range {
                let at = range.start;
                next_range = next(chain, at, &self.read_at(range)?)?;
            }
        }
        Ok(())
    }

    /// Returns the segments that the file consists of, one after the other, if it is delivered in
    /// segments.
    fn segments(&self) -> Option<&[SourceSegment]> {
        None
    }

    /// Returns how many of the first bytes are buffered, so that reading them takes no time.
    fn buffered_len(&self) -> u64 {
        0
    }

    /// Returns the end of the bytes from `at` on that are there already, far from the beginning of the file; 0 if there
    /// are none.
    fn known_until(&self, _at: u64) -> u64 {
        0
    }

    /// Returns whether the file has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A segment of a file that is delivered in segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceSegment {
    /// The offset in the file.
    pub offset: u64,
    /// The length.
    pub len: u64,
    /// The duration, as the list of the segments declares it.
    pub duration: Duration,
    /// By how much that may differ from the duration of the media.
    pub rounding: Duration,
    /// Whether timestamps, or anything else, may change before this segment.
    pub is_discontinuous: bool,
}

impl SourceSegment {
    /// Returns how long it lasts by the list.
    pub(super) fn declared(&self) -> Declared {
        Declared { duration: self.duration, rounding: self.rounding }
    }
}

/// Decides which range a chain reads next, given its number, the offset and the bytes just read;
/// `None` ends the chain.
pub type NextRead<'n> =
    dyn Fn(usize, u64, &[u8]) -> Result<Option<Range<u64>>, SurveyError> + Sync + 'n;

/// Why the index of a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SurveyError {
    /// The file cannot be spliced.
    Refused(Unsupported),
    /// The end of the file is missing, so that no other engine may join it either.
    Incomplete(Incomplete),
    /// The bytes of the file could not be read.
    Failed(Error),
}

impl From<Unsupported> for SurveyError {
    fn from(refusal: Unsupported) -> SurveyError {
        SurveyError::Refused(refusal)
    }
}

impl From<Incomplete> for SurveyError {
    fn from(incomplete: Incomplete) -> SurveyError {
        SurveyError::Incomplete(incomplete)
    }
}

impl From<Error> for SurveyError {
    fn from(error: Error) -> SurveyError {
        SurveyError::Failed(error)
    }
}

/// The first bytes of a file of which the rest has not arrived.
pub(super) struct FrontReader<'f> {
    front: &'f [u8],
    len: u64,
    /// Whether bytes were needed that are not there.
    pub(super) is_short: bool,
}

impl<'f> FrontReader<'f> {
    /// Takes the bytes for the whole file.
    pub(super) fn whole(front: &'f [u8]) -> FrontReader<'f> {
        FrontReader { front, len: front.len() as u64, is_short: false }
    }

    /// Reads the bytes as the beginning of a longer file.
    pub(super) fn of_more(front: &'f [u8]) -> FrontReader<'f> {
        FrontReader { front, len: u64::MAX >> 1, is_short: false }
    }
}

impl ReadAt for FrontReader<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
        let range = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let bytes = range.and_then(|(start, end)| self.front.get(start..end));
        self.is_short |= bytes.is_none();
        bytes.map(Cow::from).ok_or(Unsupported("the file is not there yet").into())
    }
}

//! Fragmented MP4: the fragments of both files, in the order of their times.

use super::{Halt, Input, Look, Options, Plan, Refusal, Window};
use crate::error::Error;
use crate::media::Kind;

/// What is known of a fragmented MP4 file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {}

/// How fragments are changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {}

pub(super) fn survey(_look: &mut dyn Look) -> Result<Option<Track>, Halt> {
    Ok(None)
}

pub(super) fn plan(_tracks: &[(Kind, &Track)], _options: &Options<'_>) -> Result<Plan, Refusal> {
    Err(Refusal("not yet"))
}

impl Rules {
    /// Makes the fragment of `track` whose `len` bytes come next from `input`.
    pub(super) fn emit(
        &self,
        _track: u8,
        _number: u32,
        len: u64,
        input: &mut Input<'_>,
        window: &mut Window<'_>,
    ) -> Result<(), Error> {
        window.copy(input, len)
    }
}

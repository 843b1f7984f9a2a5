//! Progressive MP4: all samples of a file stand in its moov. The joined file has both moovs, and the
//! samples of both in the order of their times.

use super::{Halt, Look, Options, Plan, Refusal};
use crate::media::Kind;

/// What is known of a progressive MP4 file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {}

pub(super) fn survey(_look: &mut dyn Look) -> Result<Track, Halt> {
    Err(Refusal("not yet").into())
}

pub(super) fn plan(_tracks: &[(Kind, &Track)], _options: &Options<'_>) -> Result<Plan, Refusal> {
    Err(Refusal("not yet"))
}

//! Which key frame a part begins with of a fragmented MP4 that cannot be cut itself: it has other tracks
//! beside its video, or its key frames are anywhere in its fragments.

use std::time::Duration;

use super::fragment::{FragmentInfo, fragment_at, info_at};
use super::init::InitSegment;
use super::table::Table;
use super::walk::{Step, Walk};
use super::{index, with_lead};
use crate::media::TrackKind;
use crate::splice::{ReadAt, SurveyError};

/// So many fragments are looked at, from the one on in which the part begins: each may be a request.
const MAX_READS: usize = 24;

/// When the last key frame of the video is decoded that is shown at `start` or before, as far as the
/// fragments tell to which an index leads, or all of them if there is none.
pub(in crate::splice) fn key_frame(
    reader: &mut dyn ReadAt,
    moov: &[u8],
    behind: u64,
    start: Duration,
) -> Result<Option<Duration>, SurveyError> {
    let init = with_lead(reader, InitSegment::of_kind(moov, TrackKind::Video)?, behind)?;
    let timeline = init.timeline()?;
    let start = timeline.media_time(start);
    let mut fragments = fragments(reader, &init, behind)?;
    // What an index says may be off a little.
    fragments.retain(|(time, _)| *time <= start.saturating_add(init.timescale.into()));
    for (_, from) in fragments.iter().rev().take(MAX_READS) {
        let mut table = Table::default();
        match fragment_at(reader, *from, &init, Some(&mut table)) {
            Ok(FragmentInfo { time, is_timed: true, .. }) => {
                if let Some(time) = table.last_sync(time, start) {
                    return Ok(Some(timeline.presentation_time(time)));
                }
            }
            // It may hold other tracks alone, and where an index leads to may be anything.
            Ok(_) | Err(SurveyError::Refused(_) | SurveyError::Incomplete(_)) => {}
            Err(halt) => return Err(halt),
        }
    }
    Ok(None)
}

/// When fragments begin in which key frames may be, and where.
fn fragments(
    reader: &mut dyn ReadAt,
    init: &InitSegment,
    behind: u64,
) -> Result<Vec<(u64, u64)>, SurveyError> {
    let (first, mut told) = index::told(reader, init, behind)?;
    let Some((begin, from)) = told.first().copied() else {
        let steps = Walk::new(init, first, &[]).steps(reader)?;
        let steps = steps.iter().filter(|Step { info, .. }| info.has_sync);
        return Ok(steps.map(|Step { from, info, .. }| (info.time, *from)).collect());
    };
    // An index may count from elsewhere.
    if let Ok(FragmentInfo { time, is_timed: true, .. }) = info_at(reader, from, init) {
        for (at, _) in &mut told {
            *at = at.saturating_sub(begin).saturating_add(time);
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_key_frame_is_that_which_is_shown_in_time() {
        let mut table = Table::default();
        table.begin(0, 1);
        table.run(0, Some(0)).unwrap();
        // Three groups of four, shown two samples after they are decoded.
        for _ in 0..3 {
            table.samples(1, 9, 10, 20, true).unwrap();
            table.samples(3, 5, 10, 20, false).unwrap();
        }
        for (until, found) in [
            (0, None),
            (119, None),
            (120, Some(100)),
            (159, Some(100)),
            (160, Some(140)),
            (199, Some(140)),
            (u64::MAX, Some(180)),
        ] {
            assert_eq!(table.last_sync(100, until), found, "{until}");
        }
        assert_eq!(Table::default().last_sync(100, u64::MAX), None);
    }
}

//! Finds the key frame with which a time range begins, in a fragmented MP4 that splice cannot trim: it
//! has other tracks beside its video, or its key frames are anywhere within fragments.

use std::time::Duration;

use super::fragment::{FragmentInfo, fragment_at, info_at};
use super::init::InitSegment;
use super::table::Table;
use super::walk::{Step, Walk};
use super::{index, with_lead};
use crate::media::TrackKind;
use crate::splice::{ReadAt, SurveyError};

/// The maximum number of fragments to read, from the one in which the time range begins: each may be
/// a request.
const MAX_READS: usize = 24;

/// Returns the decode time of the last key frame that is presented at `start` or before, as far as it
/// is in a fragment that an index lists, or in any fragment if there is no index.
pub(in crate::splice) fn key_frame(
    reader: &mut dyn ReadAt,
    moov: &[u8],
    moov_end: u64,
    start: Duration,
) -> Result<Option<Duration>, SurveyError> {
    let init = with_lead(reader, InitSegment::of_kind(moov, TrackKind::Video)?, moov_end)?;
    let timeline = init.timeline()?;
    let start = timeline.media_time(start);
    let mut fragments = fragments(reader, &init, moov_end)?;
    // The times of an index may be off a little.
    fragments.retain(|(time, _)| *time <= start.saturating_add(init.timescale.into()));
    for (_, from) in fragments.iter().rev().take(MAX_READS) {
        let mut table = Table::default();
        match fragment_at(reader, *from, &init, Some(&mut table)) {
            Ok(FragmentInfo { time, is_timed: true, .. }) => {
                if let Some(time) = table.last_sync(time, start) {
                    return Ok(Some(timeline.presentation_time(time)));
                }
            }
            // The fragment may hold only other tracks, and an index may point anywhere.
            Ok(_) | Err(SurveyError::Refused(_) | SurveyError::Incomplete(_)) => {}
            Err(halt) => return Err(halt),
        }
    }
    Ok(None)
}

/// Returns time and offset of the fragments that may have key frames.
fn fragments(
    reader: &mut dyn ReadAt,
    init: &InitSegment,
    moov_end: u64,
) -> Result<Vec<(u64, u64)>, SurveyError> {
    let (first, mut listed) = index::listed(reader, init, moov_end)?;
    let Some((begin, from)) = listed.first().copied() else {
        let steps = Walk::new(init, first, &[]).steps(reader)?;
        let steps = steps.iter().filter(|Step { info, .. }| info.has_sync);
        return Ok(steps.map(|Step { from, info, .. }| (info.time, *from)).collect());
    };
    // An index may count from elsewhere.
    if let Ok(FragmentInfo { time, is_timed: true, .. }) = info_at(reader, from, init) {
        for (at, _) in &mut listed {
            *at = at.saturating_sub(begin).saturating_add(time);
        }
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_key_frame_is_that_which_is_shown_in_time() {
        let mut table = Table::default();
        table.begin_fragment(0, 1);
        table.begin_run(0, Some(0)).unwrap();
        // Three groups of four, shown two samples after they are decoded.
        for _ in 0..3 {
            table.push_samples(1, 9, 10, 20, true).unwrap();
            table.push_samples(3, 5, 10, 20, false).unwrap();
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

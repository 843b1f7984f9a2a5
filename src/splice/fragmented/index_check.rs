//! Checks the claims of an index against the fragments that are read, and selects the fragment with which a
//! time range begins.

use std::time::Duration;

use super::fragment::{FragmentInfo, info_at};
use super::index::Index;
use super::init::InitSegment;
use super::{Fragment, MAX_TICKS};
use crate::container::probe::PROBE_SIZE;
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::splice::{ReadAt, SurveyError};

impl Index {
    /// Finds the fragment with which the time range from `start` on begins, and returns its index and
    /// info; converts all times to composition times. Returns `None` if a fragment that is read
    /// contradicts the index: the first one, the selected one, and the second one if it is buffered
    /// or if the first one looks as if fragments were cut anywhere.
    pub(super) fn selected(
        &mut self,
        reader: &mut dyn ReadAt,
        init: &InitSegment,
        first: &FragmentInfo,
        start: Option<Duration>,
    ) -> Result<Option<(usize, FragmentInfo)>, SurveyError> {
        let is_video = init.kind == TrackKind::Video;
        let Some(end) = in_composition_time(&mut self.fragments, self.end, first.earliest) else {
            return if self.is_verified { Err(OUT_OF_RANGE.into()) } else { Ok(None) };
        };
        self.end = end;
        if !is_video && !self.is_verified {
            self.include_priming(first, u64::from(init.timescale) / TOLERANCE);
        }
        if !self.is_verified && !self.fragments.iter().any(|fragment| fragment.is_entry) {
            if is_video || !first.is_entry {
                return Ok(None);
            }
            // The index has no sync flags: in audio, each fragment is an entry if the first one is.
            self.fragments.iter_mut().for_each(|fragment| fragment.is_entry = true);
        }
        let agrees = |fragment: &Fragment, info: &FragmentInfo| {
            let off = fragment.time.abs_diff(info.earliest);
            let is_in_time = off <= u64::from(init.timescale) / TOLERANCE || !info.is_timed;
            self.is_verified || (is_in_time && (info.is_entry || !fragment.is_entry))
        };
        let mut agreed = |fragment: &Fragment| match info_at(reader, fragment.from, init) {
            Ok(info) => Ok(Some(info).filter(|info| agrees(fragment, info))),
            // An index may point anywhere.
            Err(SurveyError::Refused(_) | SurveyError::Incomplete(_)) if !self.is_verified => {
                Ok(None)
            }
            Err(halt) => Err(halt),
        };
        if !agrees(&self.fragments[0], first) {
            return Ok(None);
        }
        if let Some(second) = self.fragments.get(1).filter(|_| !self.is_verified) {
            let is_buffered = second.from + TYPICAL_HEAD <= PROBE_SIZE as u64;
            let is_read = is_buffered || (is_video && !first.is_closed);
            if is_read && agreed(second)?.is_none() {
                return Ok(None);
            }
        }
        let Some(start) = start else { return Ok(Some((0, *first))) };
        let start = init.timeline()?.media_time(start);
        // A video frame needs its key frame.
        let at = self.fragments.iter().rposition(|f| f.time <= start && f.is_entry).unwrap_or(0);
        let later = self.fragments[at + 1..].iter().zip(at + 1..);
        let mut later = later.take_while(|(fragment, _)| fragment.time <= start);
        if is_video && later.any(|(_, index)| self.within.contains(&index)) {
            return Err(
                Unsupported("the requested start is at a key frame inside a fragment").into()
            );
        }
        let info = if at == 0 { Some(*first) } else { agreed(&self.fragments[at])? };
        Ok(info.map(|info| (at, info)))
    }

    /// Moves all audio fragments after the `first` one to where that really ends, and the end of the
    /// file with them. Some writers, ffmpeg among them, omit the encoder's priming from the duration of
    /// the first reference, so that all later times are too early by as much: by `limit` at most.
    fn include_priming(&mut self, first: &FragmentInfo, limit: u64) {
        let first_end = first.earliest.saturating_add(first.duration);
        let claimed_end = self.fragments.get(1).map_or(self.end, |second| second.time);
        let priming = first_end.saturating_sub(claimed_end);
        if priming <= limit {
            self.fragments.iter_mut().skip(1).for_each(|fragment| fragment.time += priming);
            self.end += priming;
        }
    }
}

/// The tolerance for times in an index, as a fraction of a second (1/10): some use coarse ticks, or
/// count presentation times rather than decode times.
const TOLERANCE: u64 = 10;
/// The typical upper limit of the length of a moof.
const TYPICAL_HEAD: u64 = 4 << 10;
const OUT_OF_RANGE: Unsupported = Unsupported("the index has times that are out of range");

/// Shifts the times of all fragments so that the first one begins at `earliest`, its own composition
/// time. Returns the end of the last one, which was `end` before; `None` if some are out of range. An
/// index may count from elsewhere: its times should be presentation times (§8.16.3), and not all
/// writers comply.
fn in_composition_time(fragments: &mut [Fragment], end: u64, earliest: u64) -> Option<u64> {
    let begin = fragments.first().map_or(0, |first| first.time);
    let moved = |time: u64| {
        let moved = time.checked_add(earliest)?.checked_sub(begin)?;
        Some(moved).filter(|time| *time < MAX_TICKS)
    };
    if fragments.iter().any(|fragment| moved(fragment.time).is_none()) {
        return None;
    }
    for fragment in fragments {
        fragment.time = moved(fragment.time)?;
    }
    moved(end)
}

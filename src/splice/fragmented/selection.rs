//! Selects the fragments of all tracks that a time range needs, and shifts their times.

use std::ops::Range;
use std::time::Duration;

use super::init::{self, Timeline};
use super::{Fragment, Track};
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::options::TimeRange;
use crate::splice::edits::NANOS;

/// The part of a track that goes into the joined file, and its shift in time.
pub(super) struct SelectedTrack<'a> {
    pub(super) track: &'a Track,
    pub(super) fragments: &'a [Fragment],
    /// The end of the last of these fragments.
    pub(super) end: u64,
    /// Subtracted from all timestamps, in the media timescale.
    pub(super) shift: u64,
    /// The mapping of shifted timestamps to presentation time in the joined file.
    pub(super) timeline: Timeline,
    /// Whether the edit list has to be rewritten for that.
    pub(super) is_cut: bool,
}

impl SelectedTrack<'_> {
    pub(super) fn timescale(&self) -> u32 {
        self.track.init.timescale
    }

    /// Returns the presentation time in the joined file of a composition time, in ticks of the track;
    /// negative times are not presented.
    pub(super) fn presentation_ticks(&self, time: u64) -> i128 {
        i128::from(time) - i128::from(self.shift) + self.timeline.offset()
    }

    /// Returns when a composition time is presented in the joined file, in milliseconds.
    pub(super) fn presented_millis(&self, time: u64) -> u64 {
        let ticks = self.presentation_ticks(time).max(0);
        u64::try_from(ticks * 1000 / i128::from(self.timescale().max(1))).unwrap_or(u64::MAX)
    }

    /// Returns the unread bytes after the last fragment, if that is the last one of its file.
    pub(super) fn unverified(&self) -> Range<u64> {
        let unverified = &self.track.unverified;
        let end = self.fragments.last().map(|last| last.range().end);
        if end == Some(unverified.start) { unverified.clone() } else { 0..0 }
    }

    /// Returns the duration of the track in the joined file.
    pub(super) fn duration(&self) -> Duration {
        let end = self.presentation_ticks(self.end).max(0);
        init::seconds(u64::try_from(end).unwrap_or(u64::MAX), self.timescale())
    }
}

/// Returns when the joined file begins, in nanoseconds from the beginning of the media.
pub(super) fn origin(chosen: &[SelectedTrack<'_>]) -> i128 {
    let late = chosen.iter().map(|chosen| chosen.track.late_seconds).min().unwrap_or(0);
    let Some(lead) = chosen.first() else { return 0 };
    let before = lead.track.init.simple_timeline().map_or(0, |timeline| timeline.offset());
    let ticks = before + i128::from(lead.shift) - lead.timeline.offset();
    let scale = i128::from(lead.timescale());
    (ticks - i128::from(late) * scale) * i128::from(NANOS) / scale.max(1)
}

/// Selects all fragments of all tracks. Full seconds by which both tracks begin late are subtracted
/// from both.
pub(super) fn untrimmed<'a>(tracks: &[(TrackKind, &'a Track)]) -> Vec<SelectedTrack<'a>> {
    let seconds = tracks.iter().map(|(_, track)| track.late_seconds).min().unwrap_or(0);
    let chosen = tracks.iter().map(|(_, track)| {
        let shift = seconds * u64::from(track.init.timescale);
        let timeline = track.init.simple_timeline();
        let timeline = timeline.unwrap_or(Timeline::identity(track.init.timescale));
        let (fragments, end) = (&track.fragments[..], track.end);
        SelectedTrack { track, fragments, end, shift, timeline, is_cut: track.init.lead > 0 }
    });
    chosen.collect()
}

/// Selects the fragments within `trim`, shifted so that the video begins at 0.
pub(super) fn trimmed<'a>(
    tracks: &[(TrackKind, &'a Track)],
    trim: TimeRange,
) -> Result<Vec<SelectedTrack<'a>>, Unsupported> {
    let lead = tracks.first().map(|(_, track)| *track).ok_or(Unsupported("there is no track"))?;
    if tracks.iter().any(|(_, track)| track.late_seconds < lead.late_seconds) {
        return Err(Unsupported("the video begins too long after the audio to be trimmed"));
    }
    let late_seconds = Duration::from_secs(lead.late_seconds);
    let (at, info) = lead.selected;
    let timeline = lead.init.timeline()?;
    // The presentation time of the first frame, on the timeline of the input. Frames presented before
    // the key frame depend on what is omitted.
    let zero = timeline.presentation_time(if at > 0 { info.composed } else { info.earliest });
    let end = lead.until(at, trim.end.map(|end| end + late_seconds), &timeline);
    let until = timeline.presentation_time(lead.begins(end));
    let mut all = Vec::new();
    for (index, (_, track)) in tracks.iter().enumerate() {
        let timeline = track.init.timeline()?;
        if timeline.media_time(trim.start + late_seconds) >= track.end {
            return Err(Unsupported("the media ends before the requested start"));
        }
        let (from, to) = if index == 0 {
            (at, end)
        } else {
            let selected = timeline.media_time(zero);
            let from = track.fragments.iter().rposition(|f| f.time <= selected).unwrap_or(0);
            (from, track.until(from, trim.end.map(|_| until), &timeline))
        };
        let fragments = &track.fragments[from..to];
        // Timestamps begin at 0; the rest of the shift goes into the edit list.
        let begins = if index == 0 { info.time } else { track.begins_behind(fragments[0].time) };
        let shift = begins.min(timeline.media_time(zero));
        let timeline = timeline.rebase(zero, shift);
        all.push(SelectedTrack {
            track,
            fragments,
            end: track.begins(to),
            shift,
            timeline,
            is_cut: true,
        });
    }
    Ok(all)
}

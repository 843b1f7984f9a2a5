//! Splices fragmented MP4 (ISO/IEC 14496-12 §8.8, §8.16): the fragments of both files in the order of
//! their timestamps, after a moov and segment indexes (sidx) that are derived from theirs.
//!
//! Fragments carry their own timestamps and sizes, so that only fields of fixed width in them change.
//! **Invariant:** media data is never interpreted.

use std::ops::Range;
use std::time::Duration;

use super::layout::Rewriter as PlanRules;
use super::{Layout, Options, Plan, ReadAt, SurveyError, Unsupported};
use crate::container::Container;
use crate::container::probe::PROBE_SIZE;
use crate::media::TrackKind;
use crate::options::TimeRange;

mod fragment;
mod gather;
mod index;
mod init;
mod key_frame;
mod moof;
mod moov;
mod sidx;
mod table;
#[cfg(test)]
mod tests;
mod walk;

use fragment::{FragmentInfo, info_at};
pub(super) use gather::{Gathered, gather};
use index::Index;
use init::{InitSegment, Timeline};
pub(super) use key_frame::key_frame;
pub(super) use moof::{FragmentRewriter, media_start};
use walk::Walk;

/// The exclusive upper limit of timestamps in ticks, so that sums of them fit.
const MAX_TICKS: u64 = 1 << 61;

/// The index of a fragmented MP4 file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    init: InitSegment,
    /// The fragments in file order.
    fragments: Vec<Fragment>,
    /// The end of the last fragment, in composition time.
    end: u64,
    /// The bytes after the last fragment, if they were not read.
    unverified: Range<u64>,
    /// Whether the facts about the fragments come from the fragments and not from an index.
    is_verified: bool,
    /// The info of the first fragment.
    first: FragmentInfo,
    /// Index and info of the fragment with which the requested time range begins.
    selected: (usize, FragmentInfo),
    /// By how many full seconds the timestamps of the fragments begin late.
    late_seconds: u64,
}

/// A byte range that begins with a fragment, and mostly is one. It lasts until the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fragment {
    /// The offset in the file.
    from: u64,
    /// The earliest composition time, in the media timescale.
    time: u64,
    len: u32,
    /// Whether decoding can begin here.
    is_entry: bool,
}

impl Fragment {
    fn range(&self) -> Range<u64> {
        self.from..self.from + u64::from(self.len)
    }
}

/// Reads the index of the fragments after a moov, which ends at `moov_end`.
pub(super) fn read_index(
    reader: &mut dyn ReadAt,
    moov: &[u8],
    moov_end: u64,
    trim: TimeRange,
) -> Result<Track, SurveyError> {
    let init = with_lead(reader, InitSegment::read(moov)?, moov_end)?;
    let mut index = index::read(reader, &init, moov_end)?;
    let begin = index.fragments.first().ok_or(Unsupported("the file has no fragments"))?.from;
    let first = info_at(reader, begin, &init)?;
    let late_seconds = seconds_late(&init, first.time);
    // An untrimmed output begins earlier by as much.
    let start = Some(trim.start).filter(|start| !start.is_zero());
    let start = start.map(|start| start + Duration::from_secs(late_seconds));
    if !first.is_timed && !trim.is_full() {
        return Err(
            Unsupported("the fragments have no decode time (tfdt) and cannot be trimmed").into()
        );
    }
    let mut selected = index.selected(reader, &init, &first, start)?;
    if selected.is_none() {
        // The index contradicts a fragment and is not trusted any more: all fragments are read.
        index = Index::of(&Walk::new(&init, begin, &index.fragments).steps(reader)?)?;
        selected = index.selected(reader, &init, &first, start)?;
    }
    let selected = selected.ok_or(Unsupported("the fragments changed while they were read"))?;
    let Index { fragments, end, unverified, is_verified, .. } = index;
    Ok(Track { init, fragments, end, unverified, is_verified, first, selected, late_seconds })
}

impl Index {
    /// Finds the fragment with which the time range from `start` on begins, and returns its index and
    /// info; converts all times to composition times. Returns `None` if a fragment that is read
    /// contradicts the index: the first one, the selected one, and the second one if it is buffered
    /// or if the first one looks as if fragments were cut anywhere.
    fn selected(
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
            // The index has no sync flags: in audio, each fragment is an entry if the first one is.
            if is_video || !first.is_entry {
                return Ok(None);
            }
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
        if at == 0 {
            return Ok(Some((0, *first)));
        }
        Ok(agreed(&self.fragments[at])?.map(|info| (at, info)))
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

/// Returns `init` with the lead of its fragments before time 0, which needs a simple edit list.
fn with_lead(
    reader: &mut dyn ReadAt,
    mut init: InitSegment,
    moov_end: u64,
) -> Result<InitSegment, SurveyError> {
    let first = index::front(reader, &init, moov_end)?.first;
    init.lead = fragment::lead_at(reader, first, &init)?;
    if init.lead > 0 {
        init.timeline()?;
    }
    Ok(init)
}

/// Returns how many full seconds can be subtracted from all timestamps of a track that begins at
/// `first`.
fn seconds_late(init: &InitSegment, first: u64) -> u64 {
    let timescale = u64::from(init.timescale);
    match init.simple_timeline() {
        // Encoder priming takes less than a second.
        Some(timeline) if timeline.media_time < timescale => first / timescale,
        // The edit list refers to the timestamps as they are.
        _ => 0,
    }
}

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

/// The part of a track that goes into the joined file, and its shift in time.
struct SelectedTrack<'a> {
    track: &'a Track,
    fragments: &'a [Fragment],
    /// The end of the last of these fragments.
    end: u64,
    /// Subtracted from all timestamps, in the media timescale.
    shift: u64,
    /// The mapping of shifted timestamps to presentation time in the joined file.
    timeline: Timeline,
    /// Whether the edit list has to be rewritten for that.
    is_cut: bool,
}

impl SelectedTrack<'_> {
    fn timescale(&self) -> u32 {
        self.track.init.timescale
    }

    /// Returns the presentation time in the joined file of a composition time, in ticks of the track;
    /// negative times are not presented.
    fn presentation_ticks(&self, time: u64) -> i128 {
        i128::from(time) - i128::from(self.shift) + self.timeline.offset()
    }

    /// Returns the unread bytes after the last fragment, if that is the last one of its file.
    fn unverified(&self) -> Range<u64> {
        let unverified = &self.track.unverified;
        let end = self.fragments.last().map(|last| last.range().end);
        if end == Some(unverified.start) { unverified.clone() } else { 0..0 }
    }

    /// Returns the duration of the track in the joined file.
    fn duration(&self) -> Duration {
        let end = self.presentation_ticks(self.end).max(0);
        init::seconds(u64::try_from(end).unwrap_or(u64::MAX), self.timescale())
    }
}

pub(super) fn plan(
    tracks: &[(TrackKind, &Track)],
    options: &Options<'_>,
) -> Result<Plan, Unsupported> {
    for (kind, track) in tracks {
        if track.init.kind != *kind {
            return Err(Unsupported("the file has another kind of track than expected"));
        }
    }
    let chosen = if options.time_range.is_full() {
        untrimmed(tracks)
    } else {
        trimmed(tracks, options.time_range)?
    };
    let layout = interleave(&chosen);
    let duration = chosen.iter().map(SelectedTrack::duration).max().unwrap_or_default();

    let mut head = moov::head(&chosen, duration, options.metadata)?;
    sidx::add_indexes(&mut head, &chosen, &layout);
    let rules = chosen.iter().enumerate().map(|(index, chosen)| moof::TrackPatch {
        old_id: chosen.track.init.id,
        lead: chosen.track.init.lead,
        new_id: index as u32 + 1,
        shift: chosen.shift,
        unverified: chosen.unverified(),
    });
    let rules = PlanRules::Fragments(FragmentRewriter { tracks: rules.collect() });
    Ok(layout.plan(head, Container::Mp4, duration, rules))
}

/// Selects all fragments of all tracks. Full seconds by which both tracks begin late are subtracted
/// from both.
fn untrimmed<'a>(tracks: &[(TrackKind, &'a Track)]) -> Vec<SelectedTrack<'a>> {
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
fn trimmed<'a>(
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

impl Track {
    /// Returns the time at which decoding of the requested time range begins.
    pub(super) fn entry(&self) -> Option<Duration> {
        let (_, info) = self.selected;
        let timeline = self.init.timeline().ok().filter(|_| info.is_entry)?;
        Some(timeline.presentation_time(info.time))
    }

    /// Returns the presentation time of the end of the track.
    pub(super) fn presentation_end(&self) -> Option<Duration> {
        Some(self.init.simple_timeline()?.presentation_time(self.end)).filter(|end| !end.is_zero())
    }

    /// Returns the begin of a fragment, or the end of the last one if `index` is past it.
    fn begins(&self, index: usize) -> u64 {
        self.fragments.get(index).map_or(self.end, |fragment| fragment.time)
    }

    /// Returns a decode time that an unread fragment with this time has certainly reached: an index
    /// may have coarser ticks than its track, and round.
    fn begins_behind(&self, time: u64) -> u64 {
        let offset = self.first.earliest.saturating_sub(self.first.time);
        time.saturating_sub(offset).saturating_sub(u64::from(self.init.timescale) / 10)
    }

    /// Returns the index after the last fragment that begins before `end`; at least `from` + 1.
    fn until(&self, from: usize, end: Option<Duration>, timeline: &Timeline) -> usize {
        let Some(end) = end else { return self.fragments.len() };
        let end = timeline.media_time(end);
        let later = self.fragments[from + 1..].iter().position(|fragment| fragment.time >= end);
        later.map_or(self.fragments.len(), |later| from + 1 + later)
    }
}

/// Interleaves the fragments by time, audio first where two begin together. Only the very first one
/// is of the video: some players give up if the file does not begin with a frame.
fn interleave(chosen: &[SelectedTrack<'_>]) -> Layout {
    let count = chosen.iter().map(|chosen| chosen.fragments.len()).sum();
    let mut layout = Layout::with_capacity(count);
    let [video, audio] = chosen else {
        chosen[0].fragments.iter().for_each(|fragment| layout.add(0, fragment.range()));
        return layout;
    };
    // Presentation times, in ticks of both timescales multiplied.
    let times = |own: &SelectedTrack<'_>, other: &SelectedTrack<'_>| {
        let (zero, scale) = (own.presentation_ticks(0), i128::from(other.timescale()));
        move |fragment: &Fragment| (i128::from(fragment.time) + zero) * scale
    };
    let (video_time, audio_time) = (times(video, audio), times(audio, video));
    let mut audio_fragments = audio.fragments.iter().peekable();
    for (index, frame) in video.fragments.iter().enumerate() {
        let due = video_time(frame);
        let is_before = |fragment: &&Fragment| index > 0 && audio_time(fragment) <= due;
        while let Some(fragment) = audio_fragments.next_if(is_before) {
            layout.add(1, fragment.range());
        }
        layout.add(0, frame.range());
    }
    audio_fragments.for_each(|fragment| layout.add(1, fragment.range()));
    layout
}

//! Leaves intervals out of the tracks: of video, whole fragments between key frames; of audio, the samples that belong to
//! them, or to the intervals themselves where there is no video.
//!
//! **Invariant:** nothing outside of the intervals is left out but what is played within a second of the end. All tracks
//! move by the duration of the same video, so that they stay together however often something is left out.

use std::ops::Range;
use std::time::Duration;

use super::fragment::{FragmentInfo, info_at};
use super::index::Index;
use super::init::{InitSegment, Timeline};
use super::parts::Later;
use super::thin::{Defaults, Thinner};
use super::{Fragment, Track};
use crate::container::isobmff::u32_at;
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::media::removal::Removal;
use crate::options::TimeRange;
use crate::splice::{ReadAt, SurveyError};

/// What is left of the media behind an interval is left out, too, if it is no longer: pages round durations.
const REST: Duration = Duration::from_secs(1);
/// The maximum number of gaps in a video: each takes a request beforehand.
const MAX_CUTS: usize = 64;
/// The tolerance for times in an index, as a fraction of a second: coarse ticks are milliseconds.
const ROUNDING: u64 = 500;

/// Fragments that can be left out: they begin with a key frame, and so does what follows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    fragments: Range<usize>,
    /// The fragment that follows, if there is one.
    next: Option<FragmentInfo>,
}

/// How the fragments of a track are changed, beside their numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    /// From where on they are later, or earlier.
    pub(super) later: Vec<Later>,
    /// What is left out of them.
    pub(super) thinner: Option<Thinner>,
}

/// Tracks without what is left out of them.
pub(super) struct Shortened {
    /// Their fragments have the times at which they are then.
    pub(super) tracks: Vec<Track>,
    pub(super) changes: Vec<Changes>,
    /// What is left out, in nanoseconds from the beginning of the media.
    pub(super) gone: Removal,
}

/// Finds the fragments of a video between the key frames within each of the intervals, in nanoseconds from its
/// beginning. What follows them is read: an index may be wrong.
pub(super) fn find(
    reader: &mut dyn ReadAt,
    (init, first): (&InitSegment, &FragmentInfo),
    index: &Index,
    late: Duration,
    removal: &Removal,
) -> Result<Vec<Cut>, SurveyError> {
    let Some(timeline) = init.simple_timeline().filter(|_| first.is_timed) else {
        return Ok(Vec::new());
    };
    let mut cuts = Vec::new();
    for interval in on_timeline(removal, &timeline, late, index.end) {
        let Some(fragments) = between_entries(&index.fragments, &interval, index.end) else {
            continue;
        };
        if cuts.len() == MAX_CUTS {
            break;
        }
        let next = match index.fragments.get(fragments.end) {
            None => None,
            Some(next) => match info_at(reader, next.from, init) {
                Ok(info) => Some((next, info)),
                // An index may point anywhere.
                Err(SurveyError::Refused(_) | SurveyError::Incomplete(_)) => continue,
                Err(halt) => return Err(halt),
            },
        };
        let offset = |info: &FragmentInfo| info.earliest.wrapping_sub(info.time);
        // Frames that follow the key frame and are presented before it would lack what they depend on.
        let is_clean = |(next, info): &(&Fragment, FragmentInfo)| {
            let begins = info.is_entry && info.is_timed && info.composed == info.earliest;
            let apart = info.earliest.abs_diff(next.time);
            begins && apart <= u64::from(init.timescale) / ROUNDING && offset(info) == offset(first)
        };
        if next.as_ref().is_none_or(is_clean) {
            cuts.push(Cut { fragments, next: next.map(|(_, info)| info) });
        }
    }
    Ok(cuts)
}

/// Returns the intervals in composition time; `end` is that of the track.
fn on_timeline(
    removal: &Removal,
    timeline: &Timeline,
    late: Duration,
    end: u64,
) -> impl Iterator<Item = Range<u64>> {
    let rest = super::init::ticks(REST, timeline.timescale);
    let ticks = move |nanos| timeline.media_time(Duration::from_nanos(nanos).saturating_add(late));
    removal.intervals().iter().map(move |interval| {
        let reaches_end = ticks(interval.end).saturating_add(rest) >= end;
        // What is before the first time is left out with it.
        let from = if interval.start == 0 { 0 } else { ticks(interval.start) };
        from..if reaches_end { end.max(ticks(interval.end)) } else { ticks(interval.end) }
    })
}

/// Returns the fragments between the first key frame and the last one within an interval, or to the end.
fn between_entries(
    fragments: &[Fragment],
    interval: &Range<u64>,
    end: u64,
) -> Option<Range<usize>> {
    let is_within = |fragment: &Fragment| fragment.time >= interval.start && fragment.is_entry;
    let from = fragments.iter().position(is_within)?;
    let to = if interval.end >= end {
        fragments.len()
    } else {
        let is_before = |fragment: &Fragment| fragment.time <= interval.end && fragment.is_entry;
        fragments.iter().rposition(is_before)?
    };
    (from < to).then_some(from..to)
}

/// Leaves the intervals out of the tracks, as far as that is possible; `None` if it is not at all.
pub(super) fn shorten(
    tracks: &[(TrackKind, &Track)],
    removal: &Removal,
) -> Result<Option<Shortened>, Unsupported> {
    let (kind, lead) = *tracks.first().ok_or(Unsupported("there is no track"))?;
    if tracks.iter().any(|(_, track)| !track.first.is_timed || !track.parts.later.is_empty()) {
        return Err(Unsupported("the fragments have no times that go on (tfdt)"));
    }
    let late = Duration::from_secs(lead.late_seconds);
    let timeline = lead.init.timeline()?;
    let intervals: Vec<Range<u64>> = match kind {
        TrackKind::Video => lead.cuts.iter().map(|cut| lead.times(&cut.fragments)).collect(),
        TrackKind::Audio => on_timeline(removal, &timeline, late, lead.end).collect(),
    };
    let own = Removal::new(intervals);
    if own.is_empty() {
        return Ok(None);
    }
    if own.moved(lead.end) <= own.moved(lead.begins(0)) {
        return Err(Unsupported("nothing would be left of the media"));
    }
    let presented = |time: u64| timeline.presentation_time(time);
    let since_begin = |time: u64| {
        let nanos = presented(time).saturating_sub(late).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX)
    };
    let intervals = own.intervals().iter();
    let gone =
        Removal::new(intervals.map(|times| since_begin(times.start)..since_begin(times.end)));
    let mut shortened = Shortened { tracks: Vec::new(), changes: Vec::new(), gone };
    for (index, (kind, track)) in tracks.iter().enumerate() {
        let removal = if index == 0 {
            own.clone()
        } else {
            let timeline = track.init.timeline()?;
            let times = own.intervals().iter().map(|times| {
                let end = timeline.media_time(presented(times.end));
                let end = if times.end >= lead.end { end.max(track.end) } else { end };
                timeline.media_time(presented(times.start))..end
            });
            Removal::new(times)
        };
        let (track, changes) = match kind {
            TrackKind::Video => track.without_fragments(&removal)?,
            TrackKind::Audio => track.without_samples(removal)?,
        };
        shortened.tracks.push(track);
        shortened.changes.push(changes);
    }
    Ok(Some(shortened))
}

impl Shortened {
    /// Returns the tracks with their kinds.
    pub(super) fn tracks(&self) -> Vec<(TrackKind, &Track)> {
        self.tracks.iter().map(|track| (track.init.kind, track)).collect()
    }

    /// Returns a time range of what is left, which is requested of the media as they were.
    pub(super) fn time_range(&self, range: TimeRange) -> Result<TimeRange, Unsupported> {
        let start = self.gone.moved_time(range.start);
        let end = range.end.map(|end| self.gone.moved_time(end));
        if end.is_some_and(|end| end <= start) {
            return Err(Unsupported("the requested time range is left out"));
        }
        Ok(TimeRange { start, end })
    }
}

impl Track {
    /// Returns when fragments begin and end.
    fn times(&self, fragments: &Range<usize>) -> Range<u64> {
        self.begins(fragments.start)..self.begins(fragments.end)
    }

    /// Returns a video without the fragments of its cuts.
    fn without_fragments(&self, removal: &Removal) -> Result<(Track, Changes), Unsupported> {
        let cut_at = |index: usize| self.cuts.iter().find(|cut| cut.fragments.contains(&index));
        let later = self.cuts.iter().filter_map(|cut| {
            let next = self.fragments.get(cut.fragments.end)?;
            let by = i64::try_from(removal.before(next.time)).ok()?.checked_neg()?;
            Some(Later { from: next.from, by })
        });
        let (mut at, mut info) = self.selected;
        if let Some(cut) = cut_at(at) {
            const BEHIND: Unsupported = Unsupported("what is requested is left out");
            (at, info) = (cut.fragments.end, cut.next.ok_or(BEHIND)?);
        }
        let before = (0..at).filter(|index| cut_at(*index).is_none()).count();
        let kept = self.fragments.iter().enumerate();
        let kept = kept.filter(|(index, _)| cut_at(*index).is_none());
        let fragments = kept.map(|(_, fragment)| fragment.moved(removal)).collect();
        let track = self.moved(fragments, (before, info), removal);
        Ok((track, Changes { later: later.collect(), thinner: None }))
    }

    /// Returns audio without the samples in these intervals.
    fn without_samples(&self, removal: Removal) -> Result<(Track, Changes), Unsupported> {
        // An index with coarser ticks than the track rounds.
        let is_exact = self.fragments.first().map(|first| first.time) == Some(self.first.earliest);
        let margin = if is_exact { 0 } else { u64::from(self.init.timescale) / 10 };
        let is_kept = |index: usize| {
            let Range { start, end } = self.times(&(index..index + 1));
            !removal.covers(&(start.saturating_sub(margin)..end.saturating_add(margin)))
        };
        let (at, info) = self.selected;
        let before = (0..at).filter(|index| is_kept(*index)).count();
        let kept = self.fragments.iter().enumerate().filter(|(index, _)| is_kept(*index));
        let fragments: Vec<_> = kept.map(|(_, fragment)| fragment.moved(&removal)).collect();
        if fragments.is_empty() {
            return Err(Unsupported("nothing would be left of the audio"));
        }
        let before = before.min(fragments.len() - 1);
        let track = self.moved(fragments, (before, info), &removal);
        let default = |at| u32_at(&self.init.trex, at).unwrap_or(0);
        let defaults = Defaults { duration: default(12), size: default(16), flags: default(20) };
        let thinner = Thinner { removal, defaults, lead: self.init.lead };
        Ok((track, Changes { later: Vec::new(), thinner: Some(thinner) }))
    }

    /// Returns the track with these fragments, with times as they are then.
    fn moved(
        &self,
        fragments: Vec<Fragment>,
        (at, info): (usize, FragmentInfo),
        removal: &Removal,
    ) -> Track {
        let by = removal.before(info.earliest);
        let [time, earliest, composed] =
            [info.time, info.earliest, info.composed].map(|time| time.saturating_sub(by));
        let info = FragmentInfo { time, earliest, composed, ..info };
        let end = removal.moved(self.end);
        Track { fragments, end, selected: (at, info), cuts: Vec::new(), ..self.clone() }
    }
}

impl Fragment {
    fn moved(&self, removal: &Removal) -> Fragment {
        Fragment { time: removal.moved(self.time), ..*self }
    }
}

//! Splices fragmented MP4 (ISO/IEC 14496-12 §8.8, §8.16): the fragments of all files in the order of
//! their timestamps, after a moov and segment indexes (sidx) that are derived from theirs.
//!
//! Fragments carry their own timestamps and sizes, so that only fields of fixed width in them change.
//! **Invariant:** media data is never interpreted.

use std::ops::Range;
use std::time::Duration;

use super::layout::Rewriter as PlanRules;
use super::text_track::TextTracks;
use super::{Options, Plan, ReadAt, SurveyError, UNKNOWN_LENGTHS, Unsupported};
use crate::container::Container;
use crate::media::TrackKind;
use crate::media::removal::Removal;
use crate::options::TimeRange;

mod box_header;
mod cuts;
mod fragment;
mod gather;
mod index;
mod index_check;
mod init;
mod interleave;
mod key_frame;
mod moof;
mod moov;
mod muxed;
mod parts;
mod segments;
mod selection;
mod sidx;
mod streaming;
mod table;
#[cfg(test)]
mod tests;
mod thin;
mod walk;

use cuts::{Changes, Cut};
use fragment::{FragmentInfo, info_at};
pub(super) use gather::{Gathered, gather};
use index::Index;
use init::{InitSegment, Timeline};
use interleave::interleave;
pub(super) use key_frame::key_frame;
pub(super) use moof::{FragmentRewriter, media_start};
pub(super) use muxed::{Muxed, is_muxed, plan as plan_muxed, read_index as read_muxed_index};
use parts::Parts;
pub(super) use segments::SegmentRewriter;
use selection::{SelectedTrack, trimmed, untrimmed};
pub(super) use streaming::{
    StreamingRules, plan as plan_streaming, plan_muxed as plan_muxed_streaming, read_front,
};
use walk::Walk;

/// The exclusive upper limit of timestamps in ticks, so that sums of them fit.
const MAX_TICKS: u64 = 1 << 61;

/// The index of a fragmented MP4 file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    init: InitSegment,
    /// The fragments in file order.
    fragments: Vec<Fragment>,
    /// The end of the last fragment, in composition time; 0 if it is not known.
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
    /// Where they begin again.
    parts: Parts,
    /// Those of a video that can be left out.
    cuts: Vec<Cut>,
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
    removal: &Removal,
) -> Result<Track, SurveyError> {
    let init = with_lead(reader, InitSegment::read(moov)?, moov_end)?;
    let (mut index, parts) = index::read(reader, &init, moov_end)?;
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
    let late = Duration::from_secs(late_seconds);
    let cuts = match init.kind {
        TrackKind::Video => cuts::find(reader, (&init, &first), &index, late, removal)?,
        TrackKind::Audio => Vec::new(),
    };
    let Index { fragments, end, unverified, is_verified, .. } = index;
    Ok(Track {
        init,
        fragments,
        end,
        unverified,
        is_verified,
        first,
        selected,
        late_seconds,
        parts,
        cuts,
    })
}

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

pub(super) fn plan(
    tracks: &[(TrackKind, &Track)],
    options: &Options<'_>,
) -> Result<Plan, Unsupported> {
    check_kinds(tracks)?;
    if tracks.iter().any(|(_, track)| track.is_open()) {
        return Err(UNKNOWN_LENGTHS);
    }
    let is_full = options.time_range.is_full();
    let removal = &options.metadata.removal;
    if !removal.is_empty()
        && let Some(shortened) = cuts::shorten(tracks, removal)?
    {
        let time_range = shortened.time_range(options.time_range)?;
        let tracks = shortened.tracks();
        let mut chosen = if is_full { untrimmed(&tracks) } else { trimmed(&tracks, time_range)? };
        chosen.iter_mut().for_each(|chosen| chosen.is_cut = true);
        let metadata = &options.metadata.without(&shortened.gone);
        return plan_selected(&chosen, &shortened.changes, &Options { metadata, ..*options });
    }
    if tracks.iter().any(|(_, track)| !track.parts.later.is_empty()) {
        if !is_full {
            return Err(Unsupported("the timestamps begin again and cannot be trimmed"));
        }
        let carried_on =
            parts::carried_on(&tracks.iter().map(|(_, track)| *track).collect::<Vec<_>>())?;
        let (moved, later): (Vec<_>, Vec<_>) = carried_on.into_iter().unzip();
        let changes = later.into_iter().map(|later| Changes { later, thinner: None });
        let changes: Vec<_> = changes.collect();
        let kinds = tracks.iter().map(|(kind, _)| *kind);
        let moved: Vec<_> = kinds.zip(&moved).collect();
        return plan_selected(&untrimmed(&moved), &changes, options);
    }
    let chosen = if is_full { untrimmed(tracks) } else { trimmed(tracks, options.time_range)? };
    plan_selected(&chosen, &vec![Changes::default(); tracks.len()], options)
}

/// Plans to join what was selected of the tracks, with these changes of each.
fn plan_selected(
    chosen: &[SelectedTrack<'_>],
    changes: &[Changes],
    options: &Options<'_>,
) -> Result<Plan, Unsupported> {
    let layout = interleave(chosen);
    let duration = chosen.iter().map(SelectedTrack::duration).max().unwrap_or_default();

    let metadata = options.metadata.within(selection::origin(chosen), duration);
    let mut head = moov::head(chosen, duration, &metadata)?;
    let starts =
        chosen[0].fragments.iter().map(|fragment| chosen[0].presented_millis(fragment.time));
    let texts = TextTracks::new(&metadata.subtitles)?;
    let (layout, offsets) = texts.add_to(&mut head, layout, &starts.collect::<Vec<_>>())?;
    sidx::add_indexes(&mut head, chosen, &layout);
    offsets.write(&mut head);
    let rules =
        chosen.iter().zip(changes).enumerate().map(|(index, (chosen, changes))| moof::TrackPatch {
            old_id: chosen.track.init.id,
            lead: chosen.track.init.lead,
            new_id: index as u32 + 1,
            shift: chosen.shift,
            unverified: chosen.unverified(),
            later: changes.later.clone(),
            thinner: changes.thinner.clone(),
        });
    let rules = PlanRules::Fragments(FragmentRewriter { tracks: rules.collect() });
    Ok(layout.plan(head, Container::Mp4, duration, rules))
}

fn check_kinds(tracks: &[(TrackKind, &Track)]) -> Result<(), Unsupported> {
    match tracks.iter().all(|(kind, track)| track.init.kind == *kind) {
        true => Ok(()),
        false => Err(Unsupported("the file has another kind of track than expected")),
    }
}

impl Track {
    pub(super) fn kind(&self) -> TrackKind {
        self.init.kind
    }

    /// Returns whether the lengths of the fragments are not known: only the first one was read.
    pub(super) fn is_open(&self) -> bool {
        self.fragments.iter().all(|fragment| fragment.len == 0)
    }

    /// Returns the time at which decoding of the requested time range begins.
    pub(super) fn entry(&self) -> Option<Duration> {
        let (_, info) = self.selected;
        let timeline = self.init.timeline().ok().filter(|_| info.is_entry)?;
        Some(timeline.presentation_time(info.time))
    }

    /// Returns the presentation time of the end of the track.
    pub(super) fn presentation_end(&self) -> Option<Duration> {
        let is_known = self.end > 0 && self.parts.later.is_empty();
        let end = Some(self.end).filter(|_| is_known)?;
        Some(self.init.simple_timeline()?.presentation_time(end)).filter(|end| !end.is_zero())
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

//! Fragmented MP4: the fragments of both files, in the order of their times, behind a moov and
//! indexes (sidx) that are made of theirs (ISO/IEC 14496-12 §8.8, §8.16).
//!
//! Fragments carry their own times and sizes, so that nothing but fields of fixed width in them
//! changes. Must never look at the media itself.

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

/// Times are less than this many ticks, so that sums of them fit.
const MAX_TICKS: u64 = 1 << 61;

/// What is known of a fragmented MP4 file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    init: InitSegment,
    /// In their order in the file.
    fragments: Vec<Fragment>,
    /// When the last one ends.
    end: u64,
    /// What is behind them, if nobody looked there.
    unseen: Range<u64>,
    /// Whether what is known of them is from themselves, and not from an index.
    is_proven: bool,
    /// What the first fragment says of itself.
    first: FragmentInfo,
    /// Where the wanted part begins among the fragments, and what that one says.
    wanted: (usize, FragmentInfo),
    /// How many whole seconds it begins late, as its fragments tell.
    late: u64,
}

/// A run of the file that begins with a fragment, and mostly is one. It lasts until the next one
/// begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fragment {
    /// Where it begins in the file.
    from: u64,
    /// Its earliest composition time, in the track's timescale.
    time: u64,
    len: u32,
    /// Whether decoding can begin with it.
    is_entry: bool,
}

impl Fragment {
    fn range(&self) -> Range<u64> {
        self.from..self.from + u64::from(self.len)
    }
}

/// Reads the index of the fragments behind a moov, which ends at `behind`.
pub(super) fn read_index(
    reader: &mut dyn ReadAt,
    moov: &[u8],
    behind: u64,
    trim: TimeRange,
) -> Result<Track, SurveyError> {
    let init = with_lead(reader, InitSegment::read(moov)?, behind)?;
    let mut index = index::read(reader, &init, behind)?;
    let begin = index.fragments.first().ok_or(Unsupported("the file has no fragments"))?.from;
    let first = info_at(reader, begin, &init)?;
    let late = seconds_late(&init, first.time);
    // The whole film would begin so much earlier.
    let start = Some(trim.start).filter(|start| !start.is_zero());
    let start = start.map(|start| start + Duration::from_secs(late));
    if !first.is_timed && !trim.is_full() {
        return Err(
            Unsupported("the fragments have no decode time (tfdt) and cannot be trimmed").into()
        );
    }
    let mut wanted = index.wanted(reader, &init, &first, start)?;
    if wanted.is_none() {
        // What lies once is not believed again: all fragments are looked at.
        index = Index::of(&Walk::new(&init, begin, &index.fragments).steps(reader)?)?;
        wanted = index.wanted(reader, &init, &first, start)?;
    }
    let wanted = wanted.ok_or(Unsupported("the fragments changed while they were read"))?;
    let Index { fragments, end, unseen, is_proven, .. } = index;
    Ok(Track { init, fragments, end, unseen, is_proven, first, wanted, late })
}

impl Index {
    /// With which fragment the part begins that is wanted from `start` on, and what that one says;
    /// makes all times those of composition. `None` if the fragments that are looked at for it
    /// contradict: those are the first one, the one that is wanted, and the second one if it is at
    /// hand, or if the first one looks as if it were cut anywhere.
    fn wanted(
        &mut self,
        reader: &mut dyn ReadAt,
        init: &InitSegment,
        first: &FragmentInfo,
        start: Option<Duration>,
    ) -> Result<Option<(usize, FragmentInfo)>, SurveyError> {
        let is_picture = init.kind == TrackKind::Video;
        let Some(end) = in_composition_time(&mut self.fragments, self.end, first.earliest) else {
            return if self.is_proven { Err(INSANE.into()) } else { Ok(None) };
        };
        self.end = end;
        if !self.is_proven && !self.fragments.iter().any(|fragment| fragment.is_entry) {
            // It says nothing of entries: of sound, each fragment is one if the first is.
            if is_picture || !first.is_entry {
                return Ok(None);
            }
            self.fragments.iter_mut().for_each(|fragment| fragment.is_entry = true);
        }
        let agrees = |fragment: &Fragment, info: &FragmentInfo| {
            let off = fragment.time.abs_diff(info.earliest);
            let is_in_time = off <= u64::from(init.timescale) / TOLERANCE || !info.is_timed;
            self.is_proven || (is_in_time && (info.is_entry || !fragment.is_entry))
        };
        let mut agreed = |fragment: &Fragment| match info_at(reader, fragment.from, init) {
            Ok(info) => Ok(Some(info).filter(|info| agrees(fragment, info))),
            // Where an index leads to may be anything.
            Err(SurveyError::Refused(_) | SurveyError::Incomplete(_)) if !self.is_proven => {
                Ok(None)
            }
            Err(halt) => Err(halt),
        };
        if !agrees(&self.fragments[0], first) {
            return Ok(None);
        }
        if let Some(second) = self.fragments.get(1).filter(|_| !self.is_proven) {
            let is_at_hand = second.from + TYPICAL_HEAD <= PROBE_SIZE as u64;
            let is_wanted = is_at_hand || (is_picture && !first.is_closed);
            if is_wanted && agreed(second)?.is_none() {
                return Ok(None);
            }
        }
        let Some(start) = start else { return Ok(Some((0, *first))) };
        let start = init.timeline()?.media_time(start);
        // A picture needs its key frame.
        let at = self.fragments.iter().rposition(|f| f.time <= start && f.is_entry).unwrap_or(0);
        let behind = self.fragments[at + 1..].iter().zip(at + 1..);
        let mut behind = behind.take_while(|(fragment, _)| fragment.time <= start);
        if is_picture && behind.any(|(_, place)| self.within.contains(&place)) {
            return Err(
                Unsupported("the requested start is at a key frame inside a fragment").into()
            );
        }
        if at == 0 {
            return Ok(Some((0, *first)));
        }
        Ok(agreed(&self.fragments[at])?.map(|info| (at, info)))
    }
}

/// An index may be wrong by this part of a second: some count in coarse ticks, or what is shown rather
/// than what is decoded.
const TOLERANCE: u64 = 10;
/// The heads of most fragments are shorter.
const TYPICAL_HEAD: u64 = 4 << 10;
const INSANE: Unsupported = Unsupported("the index has times that are out of range");

/// The same with what its fragments are in front of 0, of which only a simple edit list can be kept.
fn with_lead(
    reader: &mut dyn ReadAt,
    mut init: InitSegment,
    behind: u64,
) -> Result<InitSegment, SurveyError> {
    let first = index::front(reader, &init, behind)?.first;
    init.lead = fragment::lead_at(reader, first, &init)?;
    if init.lead > 0 {
        init.timeline()?;
    }
    Ok(init)
}

/// How many seconds can be taken from all times of a track whose first one is this.
fn seconds_late(init: &InitSegment, first: u64) -> u64 {
    let timescale = u64::from(init.timescale);
    match init.simple_timeline() {
        // This is how little a coder needs to begin with.
        Some(timeline) if timeline.media_time < timescale => first / timescale,
        // Its edit list tells of times as they are.
        _ => 0,
    }
}

/// Moves the times of all fragments so that the first one begins when it says itself, and gives when
/// the last one, which ended at `end`, ends then; `None` if some are not sane. An index may count from
/// elsewhere: its times are those at which something is shown (§8.16.3), and not all writers mean that.
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

/// What of a track goes into the joined file, and how it is moved.
struct SelectedTrack<'a> {
    track: &'a Track,
    fragments: &'a [Fragment],
    /// When the last of these ends.
    end: u64,
    /// What is taken from its times, in its timescale.
    shift: u64,
    /// How its times, then, become those of the joined film.
    timeline: Timeline,
    /// Whether its edit list is to be made anew, for that.
    is_cut: bool,
}

impl SelectedTrack<'_> {
    fn timescale(&self) -> u32 {
        self.track.init.timescale
    }

    /// When something of this composition time is shown in the joined film, in ticks of the track;
    /// what comes before 0 is not.
    fn shown(&self, time: u64) -> i128 {
        i128::from(time) - i128::from(self.shift) + self.timeline.offset()
    }

    /// What is behind the last fragment, if that is the last one of its file and nobody looked.
    fn unseen(&self) -> Range<u64> {
        let unseen = &self.track.unseen;
        let end = self.fragments.last().map(|last| last.range().end);
        if end == Some(unseen.start) { unseen.clone() } else { 0..0 }
    }

    /// How long it plays in the joined film.
    fn duration(&self) -> Duration {
        let end = self.shown(self.end).max(0);
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
    let chosen =
        if options.time_range.is_full() { whole(tracks) } else { cut(tracks, options.time_range)? };
    let layout = in_order(&chosen);
    let duration = chosen.iter().map(SelectedTrack::duration).max().unwrap_or_default();

    let mut head = moov::head(&chosen, duration, options.metadata)?;
    sidx::add_indexes(&mut head, &chosen, &layout);
    let rules = chosen.iter().enumerate().map(|(place, chosen)| moof::TrackPatch {
        old_id: chosen.track.init.id,
        lead: chosen.track.init.lead,
        new_id: place as u32 + 1,
        shift: chosen.shift,
        unseen: chosen.unseen(),
    });
    let rules = PlanRules::Fragments(FragmentRewriter { tracks: rules.collect() });
    Ok(layout.plan(head, Container::Mp4, duration, rules))
}

/// All fragments of all tracks. Where both begin late, so many whole seconds are taken from both.
fn whole<'a>(tracks: &[(TrackKind, &'a Track)]) -> Vec<SelectedTrack<'a>> {
    let seconds = tracks.iter().map(|(_, track)| track.late).min().unwrap_or(0);
    let chosen = tracks.iter().map(|(_, track)| {
        let shift = seconds * u64::from(track.init.timescale);
        let timeline = track.init.simple_timeline();
        let timeline = timeline.unwrap_or(Timeline::identity(track.init.timescale));
        let (fragments, end) = (&track.fragments[..], track.end);
        SelectedTrack { track, fragments, end, shift, timeline, is_cut: track.init.lead > 0 }
    });
    chosen.collect()
}

/// The fragments that `trim` leaves, so moved that the picture begins at 0.
fn cut<'a>(
    tracks: &[(TrackKind, &'a Track)],
    trim: TimeRange,
) -> Result<Vec<SelectedTrack<'a>>, Unsupported> {
    let lead = tracks.first().map(|(_, track)| *track).ok_or(Unsupported("there is no track"))?;
    if tracks.iter().any(|(_, track)| track.late < lead.late) {
        return Err(Unsupported("the video begins too long after the audio to be trimmed"));
    }
    let late = Duration::from_secs(lead.late);
    let (at, info) = lead.wanted;
    let timeline = lead.init.timeline()?;
    // When the first picture is shown, on the time line of the whole film. Those that would be shown
    // before the key frame need what is left out.
    let zero = timeline.presentation_time(if at > 0 { info.composed } else { info.earliest });
    let end = lead.until(at, trim.end.map(|end| end + late), &timeline);
    let until = timeline.presentation_time(lead.begins(end));
    let mut all = Vec::new();
    for (place, (_, track)) in tracks.iter().enumerate() {
        let timeline = track.init.timeline()?;
        if timeline.media_time(trim.start + late) >= track.end {
            return Err(Unsupported("the media ends before the requested start"));
        }
        let (from, to) = if place == 0 {
            (at, end)
        } else {
            let wanted = timeline.media_time(zero);
            let from = track.fragments.iter().rposition(|f| f.time <= wanted).unwrap_or(0);
            (from, track.until(from, trim.end.map(|_| until), &timeline))
        };
        let fragments = &track.fragments[from..to];
        // Times begin at 0; what is left to take from them goes into the edit list.
        let begins = if place == 0 { info.time } else { track.begins_behind(fragments[0].time) };
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
    /// When the part that was wanted can begin to be decoded.
    pub(super) fn entry(&self) -> Option<Duration> {
        let (_, info) = self.wanted;
        let timeline = self.init.timeline().ok().filter(|_| info.is_entry)?;
        Some(timeline.presentation_time(info.time))
    }

    /// Until when it is shown.
    pub(super) fn shown_until(&self) -> Option<Duration> {
        Some(self.init.simple_timeline()?.presentation_time(self.end)).filter(|end| !end.is_zero())
    }

    /// When this one of its fragments begins; when the last one ends, if it is behind that.
    fn begins(&self, index: usize) -> u64 {
        self.fragments.get(index).map_or(self.end, |fragment| fragment.time)
    }

    /// A decoding time that the fragment of this time, which nobody looked at, has reached for
    /// sure: an index may tell times in coarser ticks than its track, and rounded.
    fn begins_behind(&self, time: u64) -> u64 {
        let offset = self.first.earliest.saturating_sub(self.first.time);
        time.saturating_sub(offset).saturating_sub(u64::from(self.init.timescale) / 10)
    }

    /// Behind the last fragment that begins before `end`; at least one behind `from`.
    fn until(&self, from: usize, end: Option<Duration>, timeline: &Timeline) -> usize {
        let Some(end) = end else { return self.fragments.len() };
        let end = timeline.media_time(end);
        let later = self.fragments[from + 1..].iter().position(|fragment| fragment.time >= end);
        later.map_or(self.fragments.len(), |later| from + 1 + later)
    }
}

/// All fragments in the order of the joined file: by their times, sound first where they begin
/// together, but for the very first, without whose picture some players give up.
fn in_order(chosen: &[SelectedTrack<'_>]) -> Layout {
    let count = chosen.iter().map(|chosen| chosen.fragments.len()).sum();
    let mut layout = Layout::with_capacity(count);
    let [video, audio] = chosen else {
        chosen[0].fragments.iter().for_each(|fragment| layout.add(0, fragment.range()));
        return layout;
    };
    // When one is shown, in ticks of both timescales multiplied.
    let times = |own: &SelectedTrack<'_>, other: &SelectedTrack<'_>| {
        let (zero, scale) = (own.shown(0), i128::from(other.timescale()));
        move |fragment: &Fragment| (i128::from(fragment.time) + zero) * scale
    };
    let (of_picture, of_sound) = (times(video, audio), times(audio, video));
    let mut sounds = audio.fragments.iter().peekable();
    for (place, picture) in video.fragments.iter().enumerate() {
        let due = of_picture(picture);
        let is_before = |sound: &&Fragment| place > 0 && of_sound(sound) <= due;
        while let Some(sound) = sounds.next_if(is_before) {
            layout.add(1, sound.range());
        }
        layout.add(0, picture.range());
    }
    sounds.for_each(|sound| layout.add(1, sound.range()));
    layout
}

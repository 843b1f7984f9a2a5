//! Fragmented MP4: the fragments of both files, in the order of their times, behind a moov and
//! indexes (sidx) that are made of theirs (ISO/IEC 14496-12 §8.8, §8.16).
//!
//! Fragments carry their own times and sizes, so that nothing but fields of fixed width in them
//! changes. Must never look at the media itself.

use std::ops::Range;
use std::time::Duration;

use super::layout::Rules as PlanRules;
use super::{Halt, Layout, Look, Options, Plan, Refusal};
use crate::media::Kind;
use crate::mux::{Container, Trim};

mod facts;
mod index;
mod init;
mod moof;
mod moov;
mod sidx;
#[cfg(test)]
mod tests;

use init::{Init, Timeline};
pub(super) use moof::{Rules, way_in};

/// Times are less than this many ticks, so that sums of them fit.
const MOST_TICKS: u64 = 1 << 61;

/// What is known of a fragmented MP4 file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    init: Init,
    /// In their order in the file.
    fragments: Vec<Fragment>,
    /// What is behind them, if nobody looked there.
    unseen: Range<u64>,
    /// What the first fragment says of itself.
    first: facts::Facts,
    /// Where the wanted part begins among the fragments, and what that one says.
    wanted: (usize, facts::Facts),
    /// Whether each piece is one fragment alone, as far as the first one tells.
    is_single: bool,
}

/// A run of the file that begins with a fragment, and mostly is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fragment {
    /// Where it begins in the file.
    from: u64,
    len: u64,
    /// Its earliest composition time, in the track's timescale.
    time: u64,
    duration: u64,
    /// Whether decoding can begin with it.
    is_entry: bool,
}

/// Reads the index of the fragments behind a moov, which ends at `behind`.
pub(super) fn survey(
    look: &mut dyn Look,
    moov: &[u8],
    behind: u64,
    trim: Trim,
) -> Result<Track, Halt> {
    let init = Init::read(moov)?;
    let index::Index { mut fragments, unseen } = index::read(look, &init, behind)?;
    let begin = *fragments.first().ok_or(Refusal("it has no fragments"))?;
    let first = facts::facts_at(look, begin.from, &init)?;
    let is_single = first.len == begin.len;
    let end = in_composition_time(&mut fragments, first.earliest)?;
    let mut wanted = (0, first);
    if !trim.start.is_zero() {
        let start = init.timeline()?.media_time(trim.start);
        if start >= end {
            return Err(Refusal("the film ends before start").into());
        }
        // A picture needs its key frame.
        let at = fragments.iter().rposition(|f| f.time <= start && f.is_entry).unwrap_or(0);
        wanted = (at, facts::facts_at(look, fragments[at].from, &init)?);
    }
    Ok(Track { init, fragments, unseen, first, wanted, is_single })
}

/// Moves the times of all fragments so that the first one begins when it says itself; gives when
/// the last one ends. An index may count from elsewhere: its times are those at which something is
/// shown (§8.16.3), and not all writers mean that.
fn in_composition_time(fragments: &mut [Fragment], earliest: u64) -> Result<u64, Refusal> {
    const INSANE: Refusal = Refusal("its index has no sane times");
    let late = i128::from(earliest) - fragments.first().map_or(0, |first| i128::from(first.time));
    let (mut end, mut total) = (0, 0_u64);
    for fragment in fragments {
        let sane = |time: u64| Some(time).filter(|time| *time < MOST_TICKS).ok_or(INSANE);
        fragment.time = u64::try_from(i128::from(fragment.time) + late).map_err(|_| INSANE)?;
        end = sane(sane(fragment.time)? + sane(fragment.duration)?)?;
        total = sane(total + fragment.duration)?;
    }
    Ok(end)
}

/// What of a track goes into the joined file, and how it is moved.
struct Chosen<'a> {
    track: &'a Track,
    fragments: &'a [Fragment],
    /// What is taken from its times, in its timescale.
    shift: u64,
    /// How its times, then, become those of the joined film.
    timeline: Timeline,
    /// Whether its edit list is to be made anew, for that.
    is_cut: bool,
}

impl Chosen<'_> {
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
        let end = self.fragments.last().map(|last| last.from + last.len);
        if end == Some(unseen.start) { unseen.clone() } else { 0..0 }
    }

    /// How long it plays in the joined film.
    fn duration(&self) -> Duration {
        let end = self.fragments.last().map_or(0, |last| self.shown(last.time + last.duration));
        init::seconds(u64::try_from(end.max(0)).unwrap_or(u64::MAX), self.timescale())
    }
}

pub(super) fn plan(tracks: &[(Kind, &Track)], options: &Options<'_>) -> Result<Plan, Refusal> {
    for (kind, track) in tracks {
        if track.init.kind != *kind {
            return Err(Refusal("a file holds another kind of track than it was named for"));
        }
    }
    let chosen = if options.trim.is_whole() { whole(tracks) } else { cut(tracks, options.trim)? };
    let order = in_order(&chosen);
    let duration = chosen.iter().map(Chosen::duration).max().unwrap_or_default();

    let mut head = moov::head(&chosen, duration, options.tags)?;
    sidx::add_indexes(&mut head, &chosen, &order);
    let mut layout = Layout::begin(head, order.len());
    // Pieces of several fragments need several numbers; gaps are allowed (§8.8.5).
    let step = if tracks.iter().all(|(_, track)| track.is_single) { 1 } else { 256 };
    for (place, next) in order.iter().enumerate() {
        let fragment = chosen[next.track()].fragments[next.index()];
        let number = u32::try_from(place).ok().and_then(|place| place.checked_mul(step));
        let number = number.and_then(|number| number.checked_add(1)).ok_or(TOO_MANY)?;
        let range = fragment.from..fragment.from + fragment.len;
        layout.patch(next.track, range, number);
    }
    let rules = chosen.iter().enumerate().map(|(place, chosen)| moof::Rule {
        old_id: chosen.track.init.id,
        new_id: place as u32 + 1,
        shift: chosen.shift,
        unseen: chosen.unseen(),
    });
    let rules = PlanRules::Fragments(Rules(rules.collect()));
    Ok(layout.plan(Container::Mp4, duration, rules))
}

const TOO_MANY: Refusal = Refusal("it has too many fragments");

/// All fragments of all tracks. Where both begin late, so many whole seconds are taken from both.
fn whole<'a>(tracks: &[(Kind, &'a Track)]) -> Vec<Chosen<'a>> {
    let seconds = tracks.iter().map(|(_, track)| track.seconds_late()).min().unwrap_or(0);
    let chosen = tracks.iter().map(|(_, track)| {
        let shift = seconds * u64::from(track.init.timescale);
        let timeline = track.init.plain_timeline();
        let timeline = timeline.unwrap_or(Timeline::plain(track.init.timescale));
        Chosen { track, fragments: &track.fragments, shift, timeline, is_cut: false }
    });
    chosen.collect()
}

/// The fragments that `trim` leaves, so moved that the picture begins at 0.
fn cut<'a>(tracks: &[(Kind, &'a Track)], trim: Trim) -> Result<Vec<Chosen<'a>>, Refusal> {
    let lead = tracks.first().map(|(_, track)| *track).ok_or(TOO_MANY)?;
    let (at, facts) = lead.wanted;
    let timeline = lead.init.timeline()?;
    // When the first picture is shown, on the time line of the whole film.
    let zero = timeline.shown(facts.earliest);
    let end = lead.until(at, trim.end, &timeline);
    let last = lead.fragments[end - 1];
    let until = timeline.shown(last.time + last.duration);
    let mut all = Vec::new();
    for (place, (_, track)) in tracks.iter().enumerate() {
        let timeline = track.init.timeline()?;
        let (from, to) = if place == 0 {
            (at, end)
        } else {
            let wanted = timeline.media_time(zero);
            let from = track.fragments.iter().rposition(|f| f.time <= wanted).unwrap_or(0);
            (from, track.until(from, trim.end.map(|_| until), &timeline))
        };
        let fragments = &track.fragments[from..to];
        // Times begin at 0; what is left to take from them goes into the edit list.
        let begins = if place == 0 { facts.time } else { track.begins_behind(fragments[0].time) };
        let shift = begins.min(timeline.media_time(zero));
        let timeline = timeline.from(zero, shift);
        all.push(Chosen { track, fragments, shift, timeline, is_cut: true });
    }
    Ok(all)
}

impl Track {
    /// How many seconds can be taken from all its times.
    fn seconds_late(&self) -> u64 {
        let timescale = u64::from(self.init.timescale);
        match self.init.plain_timeline() {
            // This is how little a coder needs to begin with.
            Some(timeline) if timeline.media_time < timescale => self.first.time / timescale,
            // Its edit list tells of times as they are.
            _ => 0,
        }
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

/// A fragment of the joined file: of which track, and which of its fragments.
#[derive(Debug, Clone, Copy)]
struct Next {
    track: u8,
    index: u32,
}

impl Next {
    fn track(self) -> usize {
        self.track.into()
    }

    /// There are never so many that they would not fit.
    fn index(self) -> usize {
        self.index as usize
    }
}

/// All fragments in the order of the joined file: by their times, sound first where they begin
/// together, but for the very first, without whose picture some players give up.
fn in_order(chosen: &[Chosen<'_>]) -> Vec<Next> {
    let [video, audio] = chosen else {
        let all = 0..chosen[0].fragments.len() as u32;
        return all.map(|index| Next { track: 0, index }).collect();
    };
    let mut order = Vec::with_capacity(video.fragments.len() + audio.fragments.len());
    // When one is shown, in ticks of both timescales multiplied.
    let time = |own: &Chosen<'_>, other: &Chosen<'_>, index: u32| {
        let fragment = own.fragments.get(index as usize)?;
        Some(own.shown(fragment.time) * i128::from(other.timescale()))
    };
    let (mut v, mut a) = (0, 0);
    let (mut picture, mut sound) = (time(video, audio, 0), time(audio, video, 0));
    while picture.is_some() || sound.is_some() {
        let is_picture = match (picture, sound) {
            (Some(picture), Some(sound)) => v == 0 || picture < sound,
            (picture, _) => picture.is_some(),
        };
        if is_picture {
            order.push(Next { track: 0, index: v });
            v += 1;
            picture = time(video, audio, v);
        } else {
            order.push(Next { track: 1, index: a });
            a += 1;
            sound = time(audio, video, a);
        }
    }
    order
}

//! Parts of a file in segments whose timestamps begin again (EXT-X-DISCONTINUITY, or another period of DASH): each
//! goes on where the one before has ended by the declared durations.
//!
//! **Invariant:** all files that are joined are shifted by the same amounts, or they would drift against each other.

use std::borrow::Cow;
use std::time::Duration;

use super::fragment::FragmentInfo;
use super::init::InitSegment;
use super::moof::TrackPatch;
use super::walk::Step;
use super::{Fragment, Track};
use crate::container::completeness::Incomplete;
use crate::container::mpeg_ts::pes::TICKS_PER_SECOND;
use crate::container::mpeg_ts::ticks;
use crate::error::Unsupported;
use crate::splice::place::Places;
use crate::splice::{ReadAt, SourceSegment, SurveyError};

/// The maximum number of parts behind the first one.
const MAX_PARTS: usize = 64;
/// By how much timestamps may differ from the declared durations, in ticks, to go on by themselves: a second.
const ROUNDING: i64 = TICKS_PER_SECOND as i64;
/// The maximum difference of the times at which two files have the same discontinuity: a second.
const MAX_APART: u64 = TICKS_PER_SECOND;
const TOO_LATE: Unsupported = Unsupported("a fragment has a decode time that is too large");

/// The parts of a file. Times are in ticks of 1/90000 s.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Parts {
    /// The first decode time.
    pub(super) first: i64,
    /// The parts behind discontinuities.
    pub(super) later: Vec<Part>,
}

/// A part behind a discontinuity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Its offset in the file.
    pub(super) from: u64,
    /// When it begins after the file does, by the declared durations.
    declared: u64,
    /// Its first decode time.
    pub(super) first: i64,
    /// The time that the part before it has reached, if that is known.
    before: Option<i64>,
}

/// From an offset in a file on, times are later by a number of ticks of the track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Later {
    pub(super) from: u64,
    pub(super) by: i64,
}

/// Returns the offsets of the parts behind discontinuities, and when they begin.
pub(super) fn begins(reader: &dyn ReadAt) -> Result<Vec<(u64, u64)>, Unsupported> {
    let (mut begins, mut time) = (Vec::new(), Duration::ZERO);
    for (index, segment) in reader.segments().unwrap_or_default().iter().enumerate() {
        let SourceSegment { offset, duration, is_discontinuous, .. } = *segment;
        if is_discontinuous && index > 0 {
            begins.push((offset, ticks(time)));
        }
        time = time.saturating_add(duration);
    }
    if begins.len() > MAX_PARTS {
        return Err(Unsupported("there are too many discontinuities"));
    }
    Ok(begins)
}

/// Checks that the fragments of each segment are where the list of the segments has them.
pub(super) fn check_places(
    reader: &dyn ReadAt,
    steps: &[Step],
    init: &InitSegment,
) -> Result<(), SurveyError> {
    let (mut places, mut steps) = (Places::default(), steps.iter().peekable());
    let Some(segments) = reader.segments() else { return Ok(()) };
    for segment in segments {
        places.begin(Some(segment.declared()), segment.is_discontinuous).map_err(Incomplete)?;
        let end = segment.offset + segment.len;
        if steps.peek().is_none_or(|step| step.from >= end) {
            return Err(Incomplete("a segment has no media").into());
        }
        while let Some(step) = steps.next_if(|step| step.from < end) {
            let FragmentInfo { time, duration, .. } = step.info;
            let [time, duration] = [time, duration].map(|time| on_clock(time, init.timescale));
            places.add(0, time?, Some(duration?));
        }
    }
    Ok(places.verify(true).map_err(Incomplete)?)
}

impl Parts {
    /// Returns the parts that begin there and at `first`; `time` returns the first decode time at an offset.
    pub(super) fn read<E: From<Unsupported>>(
        begins: &[(u64, u64)],
        first: u64,
        mut time: impl FnMut(u64) -> Result<i64, E>,
    ) -> Result<Parts, E> {
        if begins.is_empty() {
            return Ok(Parts::default());
        }
        let later = begins.iter().map(|(from, declared)| {
            Ok(Part { from: *from, declared: *declared, first: time(*from)?, before: None })
        });
        let later = later.collect::<Result<Vec<_>, E>>()?;
        Ok(Parts { first: time(first)?, later })
    }

    /// Returns the parts of a file whose fragments were read.
    pub(super) fn of(
        begins: &[(u64, u64)],
        steps: &[Step],
        init: &InitSegment,
    ) -> Result<Parts, Unsupported> {
        let at = |from: u64| steps.partition_point(|step| step.from < from);
        let of = |index: usize| steps.get(index).map(|step| step.info);
        let mut parts = Parts::read(begins, 0, |from| {
            let info = of(at(from)).ok_or(Unsupported("a segment has no media"))?;
            if !info.is_timed {
                return Err(Unsupported("the fragments have no decode time (tfdt)"));
            }
            on_clock(info.time, init.timescale)
        })?;
        for part in &mut parts.later {
            let last = at(part.from).checked_sub(1).and_then(of);
            let end = last.map(|last| on_clock(last.time + last.duration, init.timescale));
            part.before = end.transpose()?;
        }
        Ok(parts)
    }

    /// Returns by how much each part is later than its timestamps tell, in ticks of 1/90000 s.
    pub(super) fn shifts(&self) -> Vec<i64> {
        let mut shift = 0;
        let shifts = self.later.iter().map(|part| {
            let due = self.first.saturating_add(i64::try_from(part.declared).unwrap_or(i64::MAX));
            let own = part.first.saturating_add(shift);
            let begin = if due.abs_diff(own) <= ROUNDING.unsigned_abs() { own } else { due };
            // Declared durations are rounded: what was there must not come again.
            let begin = part.before.map_or(begin, |end| begin.max(end.saturating_add(shift)));
            shift = begin.saturating_sub(part.first);
            shift
        });
        shifts.collect()
    }

    /// Returns by how much the parts are later, in ticks of a track with this timescale.
    pub(super) fn by(&self, shifts: &[i64], timescale: u32) -> Result<Vec<Later>, Unsupported> {
        let parts = self.later.iter().zip(shifts);
        let parts =
            parts.map(|(part, by)| Ok(Later { from: part.from, by: from_clock(*by, timescale)? }));
        parts.collect()
    }
}

/// Returns the tracks as if their timestamps went on, and what is done to them for that.
pub(super) fn carried_on(tracks: &[&Track]) -> Result<Vec<(Track, Vec<Later>)>, Unsupported> {
    const OTHER_PARTS: Unsupported = Unsupported("video and audio have other discontinuities");
    let lead = tracks.first().map(|track| &track.parts).ok_or(OTHER_PARTS)?;
    let shifts = lead.shifts();
    let tracks = tracks.iter().map(|track| {
        let mut pairs = lead.later.iter().zip(&track.parts.later);
        let is_same = pairs.all(|(one, other)| one.declared.abs_diff(other.declared) <= MAX_APART);
        if lead.later.len() != track.parts.later.len() || !is_same {
            return Err(OTHER_PARTS);
        }
        let by = track.parts.by(&shifts, track.init.timescale)?;
        let moved = |time: u64, from: u64| {
            time.checked_add_signed(later_at(&by, from))
                .filter(|time| *time < super::MAX_TICKS)
                .ok_or(TOO_LATE)
        };
        let fragments = track.fragments.iter().map(|fragment| {
            let time = moved(fragment.time, fragment.from)?;
            Ok(Fragment { time, ..*fragment })
        });
        let fragments = fragments.collect::<Result<Vec<_>, Unsupported>>()?;
        let end = moved(track.end, u64::MAX)?;
        Ok((Track { fragments, end, ..(*track).clone() }, by))
    });
    tracks.collect()
}

/// Returns by how much what is at `offset` is later.
pub(super) fn later_at(parts: &[Later], offset: u64) -> i64 {
    let part = parts.partition_point(|part| part.from <= offset).checked_sub(1);
    part.map_or(0, |part| parts[part].by)
}

impl TrackPatch {
    /// Returns the rules for the fragment at an offset in the file.
    pub(super) fn at(&self, offset: u64) -> Cow<'_, TrackPatch> {
        match later_at(&self.later, offset) {
            0 => Cow::Borrowed(self),
            by => {
                let lead = self.lead.wrapping_add_signed(by);
                Cow::Owned(TrackPatch { lead, later: Vec::new(), ..self.clone() })
            }
        }
    }
}

/// Converts a time of a track to ticks of 1/90000 s.
pub(super) fn on_clock(time: u64, timescale: u32) -> Result<i64, Unsupported> {
    let ticks = i128::from(time) * i128::from(TICKS_PER_SECOND) / i128::from(timescale.max(1));
    i64::try_from(ticks).map_err(|_| TOO_LATE)
}

/// Converts a difference in ticks of 1/90000 s to ticks of a track.
pub(super) fn from_clock(by: i64, timescale: u32) -> Result<i64, Unsupported> {
    let ticks = i128::from(TICKS_PER_SECOND);
    let by = (i128::from(by) * i128::from(timescale) * 2 + ticks).div_euclid(ticks * 2);
    i64::try_from(by).map_err(|_| TOO_LATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(declared: u64, first: i64, before: Option<i64>) -> Part {
        Part { from: declared, declared, first, before }
    }

    #[test]
    fn parts_go_on_where_those_before_have_ended() {
        let parts = |later| Parts { first: 900, later };
        // Each begins at 0 again, and the last one at the end of a day.
        let day = 86_400 * 90_000;
        let again = [part(450_000, 0, None), part(900_000, 90, None), part(990_000, day, None)];
        assert_eq!(parts(again.to_vec()).shifts(), [450_900, 900_810, 990_900 - day]);
        // What was there does not come again, and what goes on by itself stays as it is.
        assert_eq!(parts(vec![part(450_000, 0, Some(452_000))]).shifts(), [452_000]);
        let on = [part(450_000, 430_000, Some(430_000)), part(900_000, 890_000, Some(880_000))];
        assert_eq!(parts(on.to_vec()).shifts(), [0, 0]);
        let by = parts(again.to_vec()).by(&[450_900, 3, -7], 48_000).unwrap();
        assert_eq!(by.iter().map(|later| later.by).collect::<Vec<_>>(), [240_480, 2, -4]);
        let at = |offset| later_at(&by, offset);
        assert_eq!((at(0), at(449_999), at(450_000), at(u64::MAX)), (0, 0, 240_480, -4));
    }
}

//! Compares the times of segments with what their list declares. Pure.
//!
//! A server may deliver another segment than the one that is listed, or one without its end, though its packets or
//! fragments are complete. Nothing but its timestamps shows that.
//!
//! **Invariant:** a segment is compared with its neighbour alone: declared durations are rounded, and over hours their
//! sums drift away from the timestamps.

use crate::container::mpeg_ts::pes::TICKS_PER_SECOND;
use crate::container::mpeg_ts::ticks;
use crate::media::segments::Declared;

/// By how much the media of a segment may be shorter than declared, in ticks of 1/90000 s: a quarter of a second, and
/// two frames.
const SHORT: i64 = TICKS_PER_SECOND as i64 / 4;
/// By how much a segment may begin earlier or later than the one before it declares: half a second, and half of its
/// duration.
const APART: i64 = TICKS_PER_SECOND as i64 / 2;

const NOT_IN_ORDER: &str = "a segment is earlier than the one before it";
const ELSEWHERE: &str = "a segment is not where the list of the segments has it";
const CUT: &str = "a segment lacks its end: it is shorter than the list of the segments declares";

/// The times of a track in a segment, in ticks of 1/90000 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    first: i64,
    last: i64,
    /// Unknown of a single frame without a duration.
    end: Option<i64>,
    /// The longest time from one frame to the next, where they have no durations.
    step: i64,
}

impl Span {
    /// Adds a frame or a fragment to what there is of a track.
    pub(super) fn add(span: &mut Option<Span>, time: i64, duration: Option<i64>) {
        let Some(span) = span else {
            let end = duration.map(|duration| time.saturating_add(duration));
            *span = Some(Span { first: time, last: time, end, step: 0 });
            return;
        };
        let step = time.saturating_sub(span.last);
        if duration.is_none() {
            span.step = span.step.max(step);
        }
        span.end = Some(time.saturating_add(duration.unwrap_or(step)));
        span.last = time;
    }

    fn tolerance(&self, declared: &Declared) -> i64 {
        SHORT
            .saturating_add(self.step.saturating_mul(2))
            .saturating_add(in_ticks(declared.rounding))
    }

    fn is_short(&self, declared: &Declared) -> bool {
        let missing = |end: i64| in_ticks(declared.duration) - end.saturating_sub(self.first);
        self.end.is_some_and(|end| missing(end) > self.tolerance(declared))
    }

    /// Returns whether there is a gap before what follows.
    fn ends_before(&self, next: i64, declared: &Declared) -> bool {
        self.end.is_some_and(|end| next.saturating_sub(end) > self.tolerance(declared))
    }
}

fn in_ticks(duration: std::time::Duration) -> i64 {
    i64::try_from(ticks(duration)).unwrap_or(i64::MAX)
}

/// Compares the tracks of a segment with the first time of each in the next one; without these, it is the last one
/// before a discontinuity, or of all.
pub(super) fn check(
    spans: &[Option<Span>],
    declared: &Declared,
    next: Option<&[Option<i64>]>,
) -> Result<(), &'static str> {
    let mut known = spans.iter().flatten().peekable();
    let is_short = known.peek().is_some() && known.all(|span| span.is_short(declared));
    let Some(next) = next else { return if is_short { Err(CUT) } else { Ok(()) } };
    let pairs = spans.iter().zip(next).filter_map(|(span, next)| Some(((*span)?, (*next)?)));
    let duration = in_ticks(declared.duration);
    if pairs.clone().any(|(span, next)| next <= span.last) {
        return Err(NOT_IN_ORDER);
    }
    let apart =
        pairs.clone().map(|(span, next)| next.saturating_sub(span.first).abs_diff(duration));
    let Some(apart) = apart.min().filter(|_| duration > 0) else { return Ok(()) };
    let tolerance =
        (duration / 2).saturating_add(APART).saturating_add(in_ticks(declared.rounding));
    if apart > tolerance.unsigned_abs() {
        return Err(ELSEWHERE);
    }
    let has_gap = pairs.clone().all(|(span, next)| span.ends_before(next, declared));
    if is_short && has_gap { Err(CUT) } else { Ok(()) }
}

/// Compares the segments of a file, one after the other.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// The tracks of the current segment.
    spans: Vec<Option<Span>>,
    declared: Option<Declared>,
    before: Option<(Vec<Option<Span>>, Declared)>,
}

impl Places {
    /// Begins the next segment, behind a discontinuity if it `is_restart`.
    pub(super) fn begin(
        &mut self,
        declared: Option<Declared>,
        is_restart: bool,
    ) -> Result<(), &'static str> {
        self.verify(is_restart)?;
        let spans = std::mem::take(&mut self.spans);
        self.before = self.declared.filter(|_| !is_restart).map(|declared| (spans, declared));
        self.declared = declared;
        Ok(())
    }

    /// Adds a frame or a fragment of a track of the current segment.
    pub(super) fn add(&mut self, track: usize, time: i64, duration: Option<i64>) {
        Span::add(self.span(track), time, duration);
    }

    /// Returns what there is of a track in the current segment.
    pub(super) fn span(&mut self, track: usize) -> &mut Option<Span> {
        if self.spans.len() <= track {
            self.spans.resize(track + 1, None);
        }
        &mut self.spans[track]
    }

    /// Compares the current segment with the one before it, and with what is declared if it `is_last`.
    pub(super) fn verify(&self, is_last: bool) -> Result<(), &'static str> {
        if let Some((spans, declared)) = &self.before {
            let next: Vec<_> = self.spans.iter().map(|span| span.map(|span| span.first)).collect();
            check(spans, declared, Some(&next))?;
        }
        match &self.declared {
            Some(declared) if is_last => check(&self.spans, declared, None),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: i64 = TICKS_PER_SECOND as i64;

    fn declared(milliseconds: u64, rounding: u64) -> Declared {
        let [duration, rounding] = [milliseconds, rounding].map(Duration::from_millis);
        Declared { duration, rounding }
    }

    /// The frames of segments of two seconds, by their numbers.
    fn judge(segments: &[(i64, std::ops::Range<i64>)], fps: i64) -> Result<(), &'static str> {
        let mut places = Places::default();
        for (seconds, frames) in segments {
            places.begin(Some(declared(2000, 0)), false)?;
            for frame in frames.clone() {
                places.add(0, seconds * SECOND + frame * SECOND / fps, None);
            }
        }
        places.verify(true)
    }

    #[test]
    fn segments_that_are_elsewhere_are_found() {
        assert_eq!(judge(&[(0, 0..50), (2, 0..50), (4, 0..49)], 25), Ok(()));
        for (segments, why) in [
            ([(0, 0..50), (2, 0..50), (0, 0..50)], NOT_IN_ORDER),
            ([(0, 0..50), (0, 0..50), (4, 0..50)], NOT_IN_ORDER),
            ([(4, 0..50), (2, 0..50), (4, 0..50)], NOT_IN_ORDER),
            ([(0, 0..50), (4, 0..50), (6, 0..50)], ELSEWHERE),
            ([(0, 0..50), (2, 0..50), (4, 0..36)], CUT),
            ([(0, 0..50), (2, 0..36), (4, 0..50)], CUT),
            ([(0, 0..36), (2, 0..50), (4, 0..50)], CUT),
        ] {
            assert_eq!(judge(&segments, 25), Err(why), "{segments:?}");
        }
    }

    #[test]
    fn lists_need_not_be_exact() {
        // A slide show, whose last frame lasts for as long as it may, and segments of other lengths.
        assert_eq!(judge(&[(0, 0..2), (2, 0..1), (4, 0..1)], 1), Ok(()));
        assert_eq!(judge(&[(0, 0..75), (3, 0..25), (4, 0..50)], 25), Ok(()));
        let is_cut = |missing: i64, rounding| {
            let mut span = None;
            Span::add(&mut span, 0, Some(2 * SECOND - missing));
            check(&[span, None], &declared(2000, rounding), None).is_err()
        };
        assert!(!is_cut(SHORT, 0) && is_cut(SHORT + 1, 0) && !is_cut(SECOND, 1000));
        assert_eq!(check(&[None], &declared(2000, 0), None), Ok(()));
        // One that says nothing of durations.
        let mut span = None;
        Span::add(&mut span, 0, Some(SECOND));
        assert_eq!(check(&[span], &declared(0, 0), Some(&[Some(SECOND)])), Ok(()));
    }
}

//! The way to the first byte that is wanted of a track: past what need not be fetched.
//!
//! A part that begins within a piece needs the head of that piece, but not what lies between.

use std::ops::Range;

use crate::download::planned_reader::MAX_GAP;
use crate::error::Error;
use crate::fetch::TrackReader;
use crate::splice::Plan;

/// What lies between is fetched and passed over if it is less than this: asking once more takes a
/// while, too.
const FAR: u64 = 128 << 10;
/// What is asked for of the head of a piece.
const PEEK: u64 = 32 << 10;

/// The way to what is needed of a track first.
pub(in crate::download) struct TrackRead {
    /// That, up to the next long gap.
    needs: Range<u64>,
    /// Where the wanted bytes begin, if that is far behind the beginning of their piece.
    target: Option<u64>,
    /// What is to be asked for first.
    pub(in crate::download) first: Range<u64>,
}

/// A source that is ready to bring what is needed.
pub(in crate::download) struct PositionedSource<'scope, 'env> {
    pub(in crate::download) source: TrackReader<'scope, 'env>,
    /// What comes before what the source brings.
    pub(in crate::download) head: Vec<u8>,
    /// Where all of it begins.
    pub(in crate::download) at: u64,
    /// What is left out, behind the head.
    pub(in crate::download) gap: Range<u64>,
}

impl TrackRead {
    /// What `part` needs of the track at this place, if it needs something of it.
    pub(in crate::download) fn to(
        plan: &Plan,
        place: usize,
        part: &Range<u64>,
    ) -> Option<TrackRead> {
        let needs = plan.runs(place, part, MAX_GAP).next()?;
        let far = |target: &u64| *target - needs.start > FAR && needs.end - needs.start > PEEK;
        let target = plan.seek_target(place, part).filter(far);
        let end = if target.is_some() { needs.start + PEEK } else { needs.end };
        Some(TrackRead { first: needs.start..end, needs, target })
    }

    /// Goes it with a source that was asked for the first of it.
    pub(in crate::download) fn enter<'scope, 'env>(
        self,
        plan: &Plan,
        mut source: TrackReader<'scope, 'env>,
    ) -> Result<PositionedSource<'scope, 'env>, Error> {
        let TrackRead { needs, target, .. } = self;
        let at = needs.start;
        let Some(target) = target else {
            return Ok(PositionedSource { source, head: Vec::new(), at, gap: 0..0 });
        };
        while source.fill_peeked(PEEK as usize)? {}
        let mut head = source.take_peeked();
        let mut from = at + head.len() as u64;
        let mut gap = 0..0;
        if let Some(inside) = plan.media_start(&head, target - at) {
            head.truncate(inside);
            (gap, from) = (at + inside as u64..target, target);
        }
        source.restrict_to(from..needs.end);
        Ok(PositionedSource { source, head, at, gap })
    }
}

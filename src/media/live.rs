//! Live streams: lists of segments to which segments are added at the end, while others leave at the
//! beginning. Pure.

use std::time::Duration;

use super::segments::{MediaSegment, SegmentList};
use super::{Delivery, RemoteLocation};

/// A live stream begins this many target durations before its newest segment ends (RFC 8216 §6.3.3).
const EDGE_DISTANCE: u32 = 3;

impl RemoteLocation {
    /// Returns whether it is that of a live stream.
    pub fn is_live(&self) -> bool {
        matches!(&self.delivery, Delivery::Segments(list) if list.is_live())
    }
}

impl SegmentList {
    /// Returns whether the list grows.
    pub fn is_live(&self) -> bool {
        !self.is_complete
    }

    /// Forgets the first `count` segments, as if the list did not have them.
    fn begin_at(&mut self, count: usize) {
        let flags = self.segments.drain(..count).filter(|segment| segment.is_discontinuous).count();
        self.media_sequence = self.media_sequence.saturating_add(count as u64);
        self.discontinuity_sequence = self.discontinuity_sequence.saturating_add(flags as u64);
    }

    /// Forgets the segments before this sequence number, as if the list did not have them.
    pub fn begin_at_sequence(&mut self, sequence: u64) {
        let count = sequence.saturating_sub(self.media_sequence);
        self.begin_at(usize::try_from(count).unwrap_or(usize::MAX).min(self.segments.len()));
    }

    /// Returns the number of discontinuities up to the end of the list.
    fn discontinuities(&self) -> u64 {
        let flags = self.segments.iter().filter(|segment| segment.is_discontinuous).count();
        self.discontinuity_sequence.saturating_add(flags as u64)
    }

    fn at(&self, sequence: u64) -> Option<(usize, &MediaSegment)> {
        let index = usize::try_from(sequence.checked_sub(self.media_sequence)?).ok()?;
        Some((index, self.segments.get(index)?))
    }

    fn end_sequence(&self) -> u64 {
        self.media_sequence.saturating_add(self.segments.len() as u64)
    }

    /// Returns the sequence number of a part of the joined file, if it is a segment.
    pub fn sequence_of(&self, part: usize) -> u64 {
        let index = part.saturating_sub(self.first_segment());
        self.media_sequence.saturating_add(index as u64)
    }

    /// Returns this list as it goes on by `new`, which was loaded later, without what is before the part
    /// `next` of the joined file: parts keep their numbers. Segments that have left the list stay if they
    /// were listed before; `None` if some were never listed.
    ///
    /// Servers behind one name may be late: an older list adds nothing.
    pub fn continued_by(&self, new: &SegmentList, next: usize) -> Option<SegmentList> {
        let from = self.sequence_of(next);
        let (old_end, new_end) = (self.end_sequence(), new.end_sequence());
        let newest = if new_end >= old_end { new } else { self };
        let segments = (from..old_end.max(new_end)).map(|sequence| {
            let (old, listed) = (self.at(sequence), new.at(sequence));
            let (index, segment) = listed.or(old)?;
            let is_discontinuous = match old {
                // Its tag may have left the list with the segment before.
                Some((_, old)) => old.is_discontinuous,
                None if index == 0 => {
                    segment.is_discontinuous || new.discontinuity_sequence > self.discontinuities()
                }
                None => segment.is_discontinuous,
            };
            Some(MediaSegment { is_discontinuous, ..segment.clone() })
        });
        let segments: Vec<_> = segments.collect::<Option<_>>()?;
        // Counted here: not all servers say how many have left their lists.
        let left = self.segments.iter().take(usize::try_from(from - self.media_sequence).ok()?);
        let left = left.filter(|segment| segment.is_discontinuous).count();
        Some(SegmentList {
            inits: if new.inits.is_empty() { &self.inits } else { &new.inits }.clone(),
            segments,
            is_complete: new.is_complete && new_end >= old_end,
            media_sequence: from,
            discontinuity_sequence: self.discontinuity_sequence.saturating_add(left as u64),
            forgotten: next.saturating_sub(self.first_segment()) + self.forgotten,
            end_date: newest.end_date,
            rounding: new.rounding,
            target_duration: new.target_duration,
            may_end_early: false,
            files: None,
        })
    }
}

/// Has the lists of a live stream begin behind the same discontinuity: timestamps of the tracks can only be
/// compared between two of them. A list that has no such discontinuity stays as it is.
pub fn begin_at_same_discontinuity(lists: &mut [&mut SegmentList]) {
    let number = |list: &SegmentList| {
        let own = list.segments.first().is_some_and(|first| first.is_discontinuous);
        list.discontinuity_sequence.saturating_add(own.into())
    };
    let latest = lists.iter().map(|list| number(list)).max().unwrap_or_default();
    for list in lists {
        let mut at = list.discontinuity_sequence;
        let first = list.segments.iter().position(|segment| {
            at = at.saturating_add(segment.is_discontinuous.into());
            at >= latest
        });
        list.begin_at(first.unwrap_or(0));
    }
}

/// Has the lists of a live stream begin near their ends, all at the same time: by the dates of their
/// segments if all have them, otherwise each at the same distance from its end.
pub fn begin_near_end(lists: &mut [&mut SegmentList]) {
    let target = lists.iter().map(|list| list.target_duration).max().unwrap_or_default();
    let distance = target.saturating_mul(EDGE_DISTANCE);
    let dates: Option<Vec<_>> = lists.iter().map(|list| list.end_date).collect();
    let earliest = dates.and_then(|dates| dates.into_iter().min());
    for list in lists {
        // One of them may have been loaded before a segment was added to all.
        let lead = earliest.and_then(|earliest| list.end_date?.duration_since(earliest).ok());
        let distance = distance.saturating_add(lead.unwrap_or_default());
        let mut sum = Duration::ZERO;
        let first = list.segments.iter().rposition(|segment| {
            sum = sum.saturating_add(segment.duration);
            sum >= distance
        });
        list.begin_at(first.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::media::segments::SegmentLocation;

    /// A live list of segments of a second each.
    fn list(media_sequence: u64, count: u64) -> SegmentList {
        let segment = |sequence: u64| MediaSegment {
            location: SegmentLocation {
                url: format!("http://a/{sequence}").parse().unwrap(),
                range: None,
            },
            duration: Duration::from_secs(1),
            init: None,
            encryption: None,
            is_discontinuous: false,
        };
        SegmentList {
            inits: Vec::new(),
            segments: (media_sequence..media_sequence + count).map(segment).collect(),
            is_complete: false,
            media_sequence,
            discontinuity_sequence: 0,
            forgotten: 0,
            end_date: None,
            rounding: Duration::ZERO,
            target_duration: Duration::from_secs(1),
            may_end_early: false,
            files: None,
        }
    }

    fn paths(list: &SegmentList) -> Vec<u64> {
        let number = |url: &url::Url| url.path().trim_start_matches('/').parse().unwrap();
        list.segments.iter().map(|segment| number(&segment.location.url)).collect()
    }

    #[test]
    fn a_list_goes_on_where_it_was_read_to() {
        let old = list(10, 4);
        let grown = old.continued_by(&list(12, 4), 3).unwrap();
        assert_eq!((paths(&grown), grown.first_segment()), (vec![13, 14, 15], 3));
        assert_eq!((grown.media_sequence, grown.part_count()), (13, 6));
        let again = grown.continued_by(&list(16, 1), 6).unwrap();
        assert_eq!((paths(&again), again.first_segment()), (vec![16], 6));
    }

    #[test]
    fn what_was_never_listed_is_missing() {
        let old = list(10, 4);
        let next = |new: &SegmentList, next| old.continued_by(new, next).map(|list| paths(&list));
        assert_eq!(next(&list(14, 2), 4), Some(vec![14, 15]));
        assert_eq!(next(&list(14, 2), 2), Some(vec![12, 13, 14, 15]), "it may still be there");
        assert_eq!(next(&list(15, 2), 4), None);
        assert_eq!(next(&list(u64::MAX, 0), 4), None);
        // A server that is late, and a stream that begins again.
        assert_eq!(next(&list(9, 4), 4), Some(vec![]));
        assert_eq!(next(&list(0, 2), 3), Some(vec![13]));
    }

    #[test]
    fn it_ends_with_the_newest_list_only() {
        let ended = |first, count| SegmentList { is_complete: true, ..list(first, count) };
        let old = list(10, 4);
        assert!(old.continued_by(&ended(10, 4), 4).unwrap().is_complete);
        assert!(old.continued_by(&ended(12, 3), 4).unwrap().is_complete);
        assert!(!old.continued_by(&ended(10, 3), 4).unwrap().is_complete);
    }

    #[test]
    fn a_discontinuity_is_known_without_its_tag() {
        let flag = |mut list: SegmentList, index: usize| {
            list.segments[index].is_discontinuous = true;
            list
        };
        let flags = |list: &SegmentList| {
            list.segments.iter().map(|segment| segment.is_discontinuous).collect::<Vec<_>>()
        };
        let old = flag(list(10, 3), 2);
        let grown = old.continued_by(&list(12, 2), 2).unwrap();
        assert_eq!(flags(&grown), [true, false]);
        let behind = |count| SegmentList { discontinuity_sequence: count, ..list(14, 2) };
        let next = |count| flags(&grown.continued_by(&behind(count), 4).unwrap());
        assert_eq!((next(1), next(2)), (vec![false, false], vec![true, false]));
        assert_eq!(next(0), [false, false], "a server that does not count");
        let later = grown.continued_by(&behind(1), 4).unwrap();
        assert_eq!((later.discontinuity_sequence, grown.discontinuities()), (1, 1));
        let tagged = flag(behind(1), 1);
        assert_eq!(flags(&grown.continued_by(&tagged, 4).unwrap()), [false, true]);
    }

    #[test]
    fn all_begin_behind_the_same_discontinuity() {
        let (mut video, mut audio) = (list(10, 3), list(20, 4));
        video.discontinuity_sequence = 5;
        (audio.discontinuity_sequence, audio.segments[1].is_discontinuous) = (4, true);
        begin_at_same_discontinuity(&mut [&mut video, &mut audio]);
        assert_eq!((paths(&video), paths(&audio)), (vec![10, 11, 12], vec![21, 22, 23]));
        assert_eq!(audio.discontinuity_sequence, 4, "its own tag counts");
        // A server that does not count.
        let (mut video, mut audio) = (list(10, 3), list(20, 4));
        video.discontinuity_sequence = 5;
        begin_at_same_discontinuity(&mut [&mut video, &mut audio]);
        assert_eq!((paths(&video).len(), paths(&audio).len()), (3, 4));
    }

    #[test]
    fn all_begin_at_the_same_time_near_the_end() {
        let (mut video, mut audio) = (list(10, 8), list(20, 9));
        begin_near_end(&mut [&mut video, &mut audio]);
        assert_eq!((paths(&video), paths(&audio)), (vec![15, 16, 17], vec![26, 27, 28]));
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let mut video = SegmentList { end_date: at(100), ..list(10, 8) };
        let mut audio = SegmentList { end_date: at(102), ..list(20, 9) };
        begin_near_end(&mut [&mut video, &mut audio]);
        assert_eq!((paths(&video).len(), paths(&audio).len()), (3, 5));
        let mut short = list(1, 2);
        begin_near_end(&mut [&mut short]);
        assert_eq!(paths(&short), [1, 2]);
        short.begin_at_sequence(2);
        assert_eq!((paths(&short), short.media_sequence), (vec![2], 2));
        short.begin_at_sequence(u64::MAX);
        assert!(short.segments.is_empty());
    }
}

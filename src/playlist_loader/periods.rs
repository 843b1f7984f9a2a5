//! [`align`] lets the periods of DASH begin and end at the same time in all tracks.
//!
//! Where one duration stands for all segments of a period, the last one is shorter, and nothing tells by how much:
//! the sum may be too long by nearly a segment, and another one in each track.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::loaded::Located;
use crate::media::Delivery;
use crate::media::segments::SegmentList;

/// Declares the last segment of each period shorter, so that the period lasts no longer than in any other track.
pub(super) fn align(located: &mut [Located]) {
    let lists = located.iter_mut().map(|located| match &mut located.location.delivery {
        Delivery::Segments(list) if !list.is_live() => Some(list),
        _ => None,
    });
    if let Some(mut lists) = lists.collect::<Option<Vec<_>>>() {
        align_lists(&mut lists);
    }
}

fn align_lists(lists: &mut [&mut Arc<SegmentList>]) {
    let periods: Vec<_> = lists.iter().map(|list| periods(list)).collect();
    let count = periods.first().map_or(0, Vec::len);
    if periods.iter().any(|own| own.len() != count) {
        return;
    }
    for number in 0..count {
        let own = lists.iter().zip(&periods).map(|(list, periods)| sum(list, &periods[number]));
        let sums: Vec<Duration> = own.collect();
        let shortest = sums.iter().copied().min().unwrap_or_default();
        for ((list, periods), sum) in lists.iter_mut().zip(&periods).zip(sums) {
            shorten(list, &periods[number], sum.saturating_sub(shortest));
        }
    }
}

fn periods(list: &SegmentList) -> Vec<Range<usize>> {
    let count = list.segments.len();
    let begins = (1..count).filter(|index| list.segments[*index].is_discontinuous);
    let begins: Vec<usize> = std::iter::once(0).chain(begins).collect();
    let ends = begins[1..].iter().copied().chain([count]);
    begins.iter().zip(ends).map(|(begin, end)| *begin..end).collect()
}

fn sum(list: &SegmentList, period: &Range<usize>) -> Duration {
    list.segments[period.clone()].iter().map(|segment| segment.duration).sum()
}

/// Shortens a period, if it is declared by one duration, and no more than its last segment has.
fn shorten(list: &mut Arc<SegmentList>, period: &Range<usize>, by: Duration) {
    let last = period.clone().next_back().filter(|_| list.may_end_early && !by.is_zero());
    let Some(last) = last.filter(|last| by <= list.segments[*last].duration) else { return };
    Arc::make_mut(list).segments[last].duration -= by;
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::media::packed_segments::{PackedLocations, PackedSegments, Run};

    /// Periods of so many segments, of so many seconds each.
    fn list(periods: &[(usize, u64)]) -> Arc<SegmentList> {
        let runs = periods.iter().flat_map(|(count, seconds)| {
            let duration = Some(Duration::from_secs(*seconds));
            [Run { count: 1, duration: None }, Run { count: *count, duration }]
        });
        let runs: Vec<_> = runs.collect();
        let locations = vec!["a"; runs.iter().map(|run| run.count).sum()];
        let base = Url::parse("https://cdn.example/").unwrap();
        let packed = PackedSegments::new(base, None, PackedLocations::new(&locations), runs);
        Arc::new(packed.unwrap().unpack().unwrap())
    }

    fn seconds(list: &SegmentList) -> Vec<u64> {
        periods(list).iter().map(|period| sum(list, period).as_secs()).collect()
    }

    #[test]
    fn periods_last_as_long_in_both_tracks() {
        let (mut video, mut audio) =
            (list(&[(5, 2), (3, 4), (5, 2)]), list(&[(6, 2), (5, 2), (6, 2)]));
        let mut other = list(&[(7, 2), (9, 1), (1, 10)]);
        align_lists(&mut [&mut video, &mut audio, &mut other]);
        assert_eq!(seconds(&video), [10, 9, 10]);
        assert_eq!(seconds(&audio), [10, 9, 10]);
        // A period that is too long by more than its last segment stays as it is.
        assert_eq!(seconds(&other), [14, 9, 10]);
        // What is no matter of a last segment is left alone.
        let (mut video, mut audio) = (list(&[(5, 2), (5, 2)]), list(&[(8, 2), (8, 2)]));
        align_lists(&mut [&mut video, &mut audio]);
        assert_eq!((seconds(&video), seconds(&audio)), (vec![10, 10], vec![16, 16]));
        let (mut video, mut audio) = (list(&[(5, 2), (5, 2)]), list(&[(11, 2)]));
        align_lists(&mut [&mut video, &mut audio]);
        assert_eq!((seconds(&video), seconds(&audio)), (vec![10, 10], vec![22]));
    }
}

//! The chapters of media, as a page lists them, made consistent. Pure.
//!
//! **Invariant:** chapters begin in ascending order, each lasts until the next one begins, and the last one to the
//! end: players know no gaps between chapters.

use std::cmp::Ordering;
use std::time::Duration;

use super::removal::Removal;
use crate::text::one_line;

/// Maximum number of chapters: what an MP4 file can list (`chpl` counts them in a byte).
pub(super) const MAX_CHAPTERS: usize = 255;
/// Maximum length of a title in characters, and in bytes: that of an MP4 file has its length in a byte.
const MAX_TITLE_CHARS: usize = 200;
const MAX_TITLE: usize = 255;
/// The exclusive upper limit of the seconds at which a chapter begins: a year.
pub(super) const MAX_START: f64 = 366.0 * 86_400.0;

/// A chapter. It lasts until the next one begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Chapter {
    /// When it begins, in full milliseconds.
    pub start: Duration,
    /// Its title, never empty.
    pub title: String,
}

/// A chapter as a page lists it. Any of it may be absurd.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListedChapter {
    /// When it begins, in seconds.
    pub start: Option<f64>,
    /// When it ends, in seconds.
    pub end: Option<f64>,
    /// Its title.
    pub title: Option<String>,
}

/// Returns the chapters of media of this duration, if that is known. Those without a usable start, those that end before
/// they begin, and those behind the end are left out. Of several that begin together, the last one is kept: the
/// others have no duration.
pub fn chapters(
    listed: impl IntoIterator<Item = ListedChapter>,
    duration: Option<Duration>,
) -> Vec<Chapter> {
    let mut chapters: Vec<Chapter> = Vec::new();
    for (number, chapter) in (1..).zip(listed) {
        let Some(start) = begin(&chapter, duration) else { continue };
        let title = chapter_title(chapter.title.as_deref().unwrap_or_default());
        let title = if title.is_empty() { format!("Chapter {number}") } else { title };
        // Nearly always at the end.
        let at = chapters.partition_point(|other| other.start <= start);
        let count = chapters.len();
        match at.checked_sub(1).and_then(|before| chapters.get_mut(before)) {
            Some(same) if same.start == start => same.title = title,
            _ if count == MAX_CHAPTERS => break,
            _ => chapters.insert(at, Chapter { start, title }),
        }
    }
    chapters
}

/// Returns when a chapter begins, if it is usable.
fn begin(chapter: &ListedChapter, duration: Option<Duration>) -> Option<Duration> {
    let start = chapter.start.filter(|start| start.is_finite())?;
    // A missing end is that of the next chapter. NaN is not greater than anything.
    let is_over = |end: f64| end.partial_cmp(&start.max(0.0)) != Some(Ordering::Greater);
    if chapter.end.is_some_and(is_over) || start >= MAX_START {
        return None;
    }
    let start = Duration::from_millis((start.max(0.0) * 1000.0).round() as u64);
    Some(start).filter(|start| duration.is_none_or(|duration| *start < duration))
}

/// Cleans a title.
pub(super) fn chapter_title(text: &str) -> String {
    let mut title = one_line(text, MAX_TITLE_CHARS);
    title.truncate(title.floor_char_boundary(MAX_TITLE));
    title
}

/// Returns the chapters of media that begins at `origin` of what they were listed for, in nanoseconds, and lasts for
/// `duration`; 0 if that is not known.
pub fn within(chapters: &[Chapter], origin: i128, duration: Duration) -> Vec<Chapter> {
    let mut within: Vec<Chapter> = Vec::new();
    for Chapter { start, title } in chapters {
        let start = i128::try_from(start.as_nanos()).unwrap_or(i128::MAX).saturating_sub(origin);
        // Full milliseconds, as everywhere.
        let millis = u64::try_from(start.max(0) / 1_000_000).unwrap_or(u64::MAX);
        let start = Duration::from_millis(millis);
        if !duration.is_zero() && start >= duration {
            break;
        }
        // One that ends before the origin is followed by another one that begins at or before it.
        within.retain(|before| before.start < start);
        within.push(Chapter { start, title: title.clone() });
    }
    within
}

/// Returns the chapters of media of which these intervals are left out, in nanoseconds. A chapter that went on behind one
/// is a single one again.
pub fn without(chapters: &[Chapter], gone: &Removal) -> Vec<Chapter> {
    let mut left: Vec<Chapter> = Vec::new();
    for Chapter { start, title } in chapters {
        let millis = gone.moved_time(*start).as_millis();
        let start = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
        left.retain(|before| before.start < start);
        if left.last().is_none_or(|before| before.title != *title) {
            left.push(Chapter { start, title: title.clone() });
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(start: f64, end: f64, title: &str) -> ListedChapter {
        ListedChapter { start: Some(start), end: Some(end), title: Some(title.to_owned()) }
    }

    fn brief(chapters: &[Chapter]) -> Vec<(u64, &str)> {
        chapters.iter().map(|c| (c.start.as_millis() as u64, &c.title[..])).collect()
    }

    #[test]
    fn chapters_of_a_page() {
        let of = |list: Vec<ListedChapter>| chapters(list, Some(Duration::from_secs(60)));
        let page = of(vec![listed(0.0, 10.0, "One"), listed(10.0, 60.0, " Two\n2 ")]);
        assert_eq!(brief(&page), [(0, "One"), (10_000, "Two 2")]);
        // Out of order, overlapping, negative, without a title, behind the end.
        let page = of(vec![
            listed(30.0, 70.0, "C"),
            listed(-5.0, 31.0, "A"),
            listed(20.5, 40.0, ""),
            listed(60.0, 90.0, "behind"),
            listed(-9.0, -5.0, "before"),
        ]);
        assert_eq!(brief(&page), [(0, "A"), (20_500, "Chapter 3"), (30_000, "C")]);
    }

    #[test]
    fn absurd_values_are_left_out() {
        let odd = [
            listed(f64::NAN, 5.0, "x"),
            listed(1.0, f64::NAN, "x"),
            listed(f64::INFINITY, f64::INFINITY, "x"),
            listed(5.0, 5.0, "x"),
            listed(9.0, 2.0, "x"),
            listed(1e300, 2e300, "x"),
            ListedChapter::default(),
        ];
        assert_eq!(chapters(odd, None), []);
        let long = "ä".repeat(1000);
        let many = (0..1000).map(|at| listed(f64::from(at), f64::from(at + 1), &long));
        let many = chapters(many, None);
        assert_eq!(many.len(), MAX_CHAPTERS);
        assert!(many.iter().all(|chapter| (1..=MAX_TITLE).contains(&chapter.title.len())));
        let same = [listed(1.0, 9.0, "a"), listed(1.0, 3.0, "b")];
        assert_eq!(brief(&chapters(same, None)), [(1000, "b")]);
    }

    #[test]
    fn what_is_left_out_moves_them() {
        let page = [
            listed(0.0, 10.0, "A"),
            listed(10.0, 20.0, "sponsor"),
            listed(20.0, 30.0, "A"),
            listed(30.0, 40.0, "B"),
            listed(40.0, 50.0, "sponsor"),
        ];
        let page = chapters(page, None);
        let of = |gone: &[std::ops::Range<u64>]| {
            let nanos = gone.iter().map(|gone| gone.start * 1_000_000..gone.end * 1_000_000);
            let left = without(&page, &Removal::new(nanos));
            left.iter().map(|c| (c.start.as_millis() as u64, c.title.clone())).collect::<Vec<_>>()
        };
        let titled = |list: &[(u64, &str)]| {
            list.iter().map(|(at, title)| (*at, (*title).to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(of(&[10_000..20_000]), titled(&[(0, "A"), (20_000, "B"), (30_000, "sponsor")]));
        let remains = titled(&[(0, "A"), (10_000, "sponsor"), (14_000, "A"), (24_000, "B")]);
        assert_eq!(of(&[12_000..18_000, 40_000..50_000])[..4], remains);
        assert_eq!(of(&[0..30_000]), titled(&[(0, "B"), (10_000, "sponsor")]));
    }

    #[test]
    fn a_time_range_shifts_and_clips_them() {
        let page = [listed(0.0, 10.0, "A"), listed(10.0, 20.0, "B"), listed(20.0, 30.0, "C")];
        let page = chapters(page, None);
        let second = 1_000_000_000;
        let of = |origin: i128, seconds| {
            let within = within(&page, origin, Duration::from_secs(seconds));
            within.iter().map(|c| (c.start.as_millis(), c.title.clone())).collect::<Vec<_>>()
        };
        let titled = |list: &[(u128, &str)]| {
            list.iter().map(|(at, title)| (*at, (*title).to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(of(0, 0), titled(&[(0, "A"), (10_000, "B"), (20_000, "C")]));
        assert_eq!(of(12 * second, 5), titled(&[(0, "B")]));
        assert_eq!(of(9 * second, 11), titled(&[(0, "A"), (1000, "B")]));
        assert_eq!(of(10 * second, 11), titled(&[(0, "B"), (10_000, "C")]));
        assert_eq!(of(-2 * second, 0), titled(&[(2000, "A"), (12_000, "B"), (22_000, "C")]));
        assert_eq!(of(99 * second, 5), titled(&[(0, "C")]));
    }
}

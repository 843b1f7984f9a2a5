//! The segments of media that SponsorBlock lists, as yt-dlp asks for them: chapters of their own, or intervals to leave
//! out. Pure.

use std::time::Duration;

use super::chapters::{Chapter, MAX_CHAPTERS, MAX_START, chapter_title};
use super::removal::Removal;

/// The categories that yt-dlp knows. Those at the end mark what is worth seeing, and are never removed.
pub const CATEGORIES: [&str; 11] = [
    "sponsor",
    "intro",
    "outro",
    "selfpromo",
    "preview",
    "filler",
    "interaction",
    "music_offtopic",
    "hook",
    "poi_highlight",
    "chapter",
];
const KEPT: [&str; 2] = ["poi_highlight", "chapter"];

/// How yt-dlp begins the title of a chapter that is such a segment.
const PREFIX: &str = "[SponsorBlock]: ";
/// What is left of a chapter beside a segment is no chapter of its own if it is shorter, as in yt-dlp.
const TINY: Duration = Duration::from_secs(1);

/// What SponsorBlock has told of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SponsorBlock {
    /// The segments, by their starts.
    pub segments: Vec<Segment>,
    /// Why there are none, if it was not told.
    pub failure: Option<String>,
}

/// A segment of media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// When it begins, in full milliseconds.
    pub start: Duration,
    /// When it ends, later than it begins.
    pub end: Duration,
    /// One of [`CATEGORIES`].
    pub category: &'static str,
    /// What yt-dlp calls the category, or the title of a chapter.
    pub title: String,
}

/// What is done with the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SponsorBlockUse {
    /// They become chapters.
    Mark,
    /// They are left out, as far as that is possible; what is left of them becomes chapters.
    Remove,
}

/// A segment as yt-dlp lists it. Any of it may be absurd.
#[derive(Debug, Clone, Default)]
pub struct ListedSegment {
    /// When it begins, in seconds.
    pub start: Option<f64>,
    /// When it ends, in seconds.
    pub end: Option<f64>,
    /// Its category.
    pub category: Option<String>,
    /// Its title.
    pub title: Option<String>,
}

impl Segment {
    /// Checks a segment of media of this duration, if that is known.
    pub fn new(listed: &ListedSegment, duration: Option<Duration>) -> Option<Segment> {
        let category = listed.category.as_deref()?;
        let category = CATEGORIES.into_iter().find(|known| *known == category)?;
        let time = |seconds: Option<f64>| {
            let seconds = seconds.filter(|seconds| seconds.is_finite())?.clamp(0.0, MAX_START);
            Some(Duration::from_millis((seconds * 1000.0).round() as u64))
        };
        let (start, end) = (time(listed.start)?, time(listed.end)?);
        let end = duration.map_or(end, |duration| end.min(duration));
        let title = chapter_title(listed.title.as_deref().unwrap_or_default());
        let title = if title.is_empty() { category.to_owned() } else { title };
        (start < end).then_some(Segment { start, end, category, title })
    }

    /// Returns the approximate memory, in bytes.
    pub fn memory_size(&self) -> usize {
        size_of::<Segment>() + self.title.len()
    }
}

/// Returns the intervals that are to be removed, in nanoseconds.
pub fn removed(segments: &[Segment]) -> Removal {
    let removed = segments.iter().filter(|segment| !KEPT.contains(&segment.category));
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Removal::new(removed.map(|segment| nanos(segment.start)..nanos(segment.end)))
}

/// A part of the media in which one chapter goes on, or the same segments do.
struct Piece {
    start: Duration,
    /// The index of the chapter that it is a part of; `None` before the first one.
    chapter: Option<usize>,
    /// The title, if it is in a segment.
    marked: Option<String>,
}

/// Returns the chapters of media with the segments as chapters: the one around a segment goes on behind it. Where there
/// is none, `title` names it, that of the media, which lasts for `duration`, if that is known.
pub fn marked(
    chapters: &[Chapter],
    segments: &[Segment],
    title: &str,
    duration: Option<Duration>,
) -> Vec<Chapter> {
    if segments.is_empty() {
        return chapters.to_vec();
    }
    let ends = segments.iter().flat_map(|segment| [segment.start, segment.end]);
    let starts = chapters.iter().map(|chapter| chapter.start);
    let mut times: Vec<_> = ends.chain(starts).chain([Duration::ZERO]).collect();
    times.sort();
    times.dedup();
    times.retain(|time| duration.is_none_or(|duration| *time < duration));
    let pieces = times.into_iter().map(|time| Piece::at(time, chapters, segments));
    let pieces = joined(pieces.collect());
    let ends: Vec<_> =
        pieces.iter().skip(1).map(|next| Some(next.start)).chain([duration]).collect();
    let mut kept: Vec<Piece> = Vec::new();
    // Where the first piece begins, if those before it are tiny.
    let mut from = Duration::ZERO;
    for (piece, end) in pieces.into_iter().zip(ends) {
        let is_tiny = end.is_some_and(|end| end.saturating_sub(piece.start) < TINY);
        if is_tiny && !piece.is_whole(chapters, end) {
            continue;
        }
        from = if kept.is_empty() { from } else { piece.start };
        kept.push(Piece { start: from, ..piece });
    }
    let name = |piece: Piece| {
        let own = piece.chapter.map(|index| chapters[index].title.clone());
        let title = piece.marked.or(own).unwrap_or_else(|| chapter_title(title));
        Chapter { start: piece.start, title }
    };
    joined(kept).into_iter().map(name).take(MAX_CHAPTERS).collect()
}

/// Returns the pieces without those that go on with what the one before them is.
fn joined(mut pieces: Vec<Piece>) -> Vec<Piece> {
    pieces.dedup_by(|piece, before| {
        before.marked == piece.marked && (piece.marked.is_some() || before.chapter == piece.chapter)
    });
    pieces
}

impl Piece {
    fn at(start: Duration, chapters: &[Chapter], segments: &[Segment]) -> Piece {
        let covers = |segment: &&Segment| segment.start <= start && start < segment.end;
        let mut names: Vec<&str> = Vec::new();
        for segment in segments.iter().filter(covers) {
            if !names.contains(&&*segment.title) {
                names.push(&segment.title);
            }
        }
        let marked =
            (!names.is_empty()).then(|| chapter_title(&format!("{PREFIX}{}", names.join(", "))));
        let chapter = chapters.partition_point(|chapter| chapter.start <= start).checked_sub(1);
        Piece { start, chapter, marked }
    }

    /// Returns whether it is a chapter as the page has it, from its start to `end`.
    fn is_whole(&self, chapters: &[Chapter], end: Option<Duration>) -> bool {
        let (Some(index), None) = (self.chapter, &self.marked) else { return false };
        let next = chapters.get(index + 1).map(|next| next.start);
        chapters[index].start == self.start && (next.is_none() || next == end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn segment(start: f64, end: f64, category: &str) -> Segment {
        let listed = ListedSegment {
            start: Some(start),
            end: Some(end),
            category: Some(category.into()),
            title: Some(category.to_uppercase()),
        };
        Segment::new(&listed, Some(seconds(100))).unwrap()
    }

    fn chapters(list: &[(u64, &str)]) -> Vec<Chapter> {
        let chapter = |(start, title): &(u64, &str)| Chapter {
            start: Duration::from_millis(*start),
            title: (*title).to_owned(),
        };
        list.iter().map(chapter).collect()
    }

    fn mark(own: &[(u64, &str)], segments: &[Segment]) -> Vec<(u64, String)> {
        let marked = marked(&chapters(own), segments, "Film", Some(seconds(100)));
        marked.into_iter().map(|c| (c.start.as_millis() as u64, c.title)).collect()
    }

    fn titled(list: &[(u64, &str)]) -> Vec<(u64, String)> {
        let full = |title: &str| title.replace('#', PREFIX);
        list.iter().map(|(start, title)| (*start, full(title))).collect()
    }

    #[test]
    fn the_chapter_around_a_segment_goes_on_behind_it() {
        let sponsor = segment(10.0, 20.0, "sponsor");
        let own = [(0, "A"), (30_000, "B")];
        assert_eq!(mark(&own, &[]), titled(&own));
        assert_eq!(
            mark(&own, std::slice::from_ref(&sponsor)),
            titled(&[(0, "A"), (10_000, "#SPONSOR"), (20_000, "A"), (30_000, "B")])
        );
        // Across the border of two chapters, up to the end, from the start.
        assert_eq!(
            mark(&own, &[segment(25.0, 40.0, "intro"), segment(90.0, 200.0, "outro")]),
            titled(&[(0, "A"), (25_000, "#INTRO"), (40_000, "B"), (90_000, "#OUTRO")])
        );
        // Without chapters.
        assert_eq!(
            mark(&[], &[segment(-1.0, 5.5, "intro"), sponsor.clone()]),
            titled(&[(0, "#INTRO"), (5500, "Film"), (10_000, "#SPONSOR"), (20_000, "Film")])
        );
        assert_eq!(
            mark(&[(30_000, "B")], &[sponsor]),
            titled(&[(0, "Film"), (10_000, "#SPONSOR"), (20_000, "Film"), (30_000, "B")])
        );
    }

    #[test]
    fn what_overlaps_has_both_names_and_what_is_tiny_none() {
        let overlapping = [segment(10.0, 30.0, "sponsor"), segment(20.0, 40.0, "selfpromo")];
        assert_eq!(
            mark(&[], &overlapping),
            titled(&[
                (0, "Film"),
                (10_000, "#SPONSOR"),
                (20_000, "#SPONSOR, SELFPROMO"),
                (30_000, "#SELFPROMO"),
                (40_000, "Film")
            ])
        );
        // The same twice, and side by side.
        let same = [segment(10.0, 20.0, "sponsor"), segment(10.0, 20.0, "sponsor")];
        assert_eq!(mark(&[], &same).len(), 3);
        let beside = [segment(10.0, 20.0, "sponsor"), segment(20.0, 30.0, "sponsor")];
        assert_eq!(
            mark(&[], &beside),
            titled(&[(0, "Film"), (10_000, "#SPONSOR"), (30_000, "Film")])
        );
        // Remains of less than a second; a chapter of the page stays however short it is.
        let near = [segment(0.5, 10.0, "intro"), segment(10.4, 29.5, "sponsor")];
        assert_eq!(
            mark(&[(0, "A"), (30_000, "B"), (30_300, "C")], &near),
            titled(&[(0, "#INTRO"), (10_400, "#SPONSOR"), (30_000, "B"), (30_300, "C")])
        );
    }

    #[test]
    fn absurd_segments_are_left_out() {
        let of = |start: f64, end: f64, category: &str| {
            let (start, end) = (Some(start), Some(end));
            let listed = ListedSegment { start, end, category: Some(category.into()), title: None };
            Segment::new(&listed, Some(seconds(100)))
        };
        for (start, end) in [
            (f64::NAN, 5.0),
            (5.0, f64::INFINITY),
            (5.0, 5.0),
            (9.0, 2.0),
            (-9.0, -2.0),
            (100.0, 1e300),
        ] {
            assert_eq!(of(start, end, "sponsor"), None, "{start} to {end}");
        }
        assert_eq!(of(1.0, 2.0, "unknown"), None);
        assert_eq!(of(99.0, 1e300, "outro").unwrap().end, seconds(100));
        assert_eq!(Segment::new(&ListedSegment::default(), None), None);
        let many: Vec<_> =
            (0..1000).filter_map(|at| of(f64::from(at) / 10.0, 100.0, "sponsor")).collect();
        assert_eq!(mark(&[], &many), titled(&[(0, "#sponsor")]));
    }

    #[test]
    fn removed_intervals_are_apart() {
        let segments = [
            segment(40.0, 50.0, "sponsor"),
            segment(10.0, 20.0, "sponsor"),
            segment(15.0, 30.0, "selfpromo"),
            segment(30.0, 35.0, "intro"),
            segment(60.0, 61.0, "poi_highlight"),
            segment(70.0, 90.0, "chapter"),
        ];
        let second = 1_000_000_000;
        let apart = [10 * second..35 * second, 40 * second..50 * second];
        assert_eq!(removed(&segments).intervals(), apart);
    }
}

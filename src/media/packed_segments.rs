//! The segments of a track as a page lists them, in little memory. Pure.
//!
//! A page may offer twenty renditions of ten thousand segments each. Their URLs differ in a number
//! only, so what they have in common is stored once.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::extra_query::ExtraQuery;
use super::segments::{InitSegment, MediaSegment, SegmentList, SegmentLocation};

/// Maximum number of segments, as in a playlist.
const MAX_SEGMENTS: usize = 20_000;
/// Maximum number of hosts.
const MAX_HOSTS: usize = 4;
/// Maximum length of a URL, and of all URLs.
const MAX_URL: usize = 8 << 10;
const MAX_URLS: usize = 16 << 20;

/// The segments of a track, valid and in order.
#[derive(Clone, PartialEq, Eq)]
pub struct PackedSegments {
    base: Url,
    query: Option<String>,
    locations: PackedLocations,
    runs: Vec<Run>,
}

/// The locations of segments: URLs, absolute or relative.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackedLocations {
    /// How all of them begin.
    pub prefix: String,
    /// How all of them end.
    pub suffix: String,
    /// What is between, a line for each.
    pub parts: String,
}

/// Successive segments of one duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Their number.
    pub count: usize,
    /// Duration of each; initialisation segments have none.
    pub duration: Option<Duration>,
}

impl PackedLocations {
    /// Packs locations, none of which may contain a line feed.
    pub fn new(locations: &[&str]) -> PackedLocations {
        let Some((first, others)) = locations.split_first() else {
            return PackedLocations::default();
        };
        let same_chars = |one: &str, other: &str| {
            let pairs = one.char_indices().zip(other.chars());
            pairs
                .take_while(|((_, one), other)| one == other)
                .last()
                .map_or(0, |((at, c), _)| at + c.len_utf8())
        };
        let prefix = others.iter().fold(*first, |prefix, one| &prefix[..same_chars(prefix, one)]);
        let rest: Vec<&str> = locations.iter().map(|one| &one[prefix.len()..]).collect();
        let suffix = rest.iter().skip(1).fold(rest[0], |suffix, one| {
            let pairs = suffix.char_indices().rev().zip(one.chars().rev());
            let same = pairs.take_while(|((_, one), other)| one == other).last();
            same.map_or("", |((at, _), _)| &suffix[at..])
        });
        let parts = rest.iter().map(|one| &one[..one.len() - suffix.len()]);
        let parts = parts.collect::<Vec<_>>().join("\n");
        PackedLocations { prefix: prefix.to_owned(), suffix: suffix.to_owned(), parts }
    }

    fn iter(&self) -> impl Iterator<Item = String> {
        self.parts.split('\n').map(|part| format!("{}{part}{}", self.prefix, self.suffix))
    }
}

impl PackedSegments {
    /// Makes the list, if it is one of valid segments behind initialisation segments; otherwise returns
    /// what is wrong. `query` is added to each URL.
    pub fn new(
        base: Url,
        query: Option<String>,
        locations: PackedLocations,
        runs: Vec<Run>,
    ) -> Result<PackedSegments, &'static str> {
        let total = runs.iter().try_fold(0_usize, |sum, run| sum.checked_add(run.count));
        let lines = 1 + locations.parts.bytes().filter(|byte| *byte == b'\n').count();
        if total != Some(lines) {
            return Err("a list of segments that is malformed");
        }
        if lines > MAX_SEGMENTS {
            return Err("more segments than can be handled");
        }
        // Files of their own, one after the other, are none.
        if runs.first().is_none_or(|run| run.duration.is_some()) {
            return Err("segments without an initialisation segment");
        }
        let packed = PackedSegments { base, query, locations, runs };
        let list = packed.unpack()?;
        let urls = list.inits.iter().map(|init| &init.location.url);
        let urls = urls.chain(list.segments.iter().map(|segment| &segment.location.url));
        let mut hosts: Vec<&str> = urls.filter_map(|url| url.host_str()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        match (list.segments.is_empty(), hosts.len() > MAX_HOSTS) {
            (true, _) => Err("a list without segments"),
            (_, true) => Err("segments on too many hosts"),
            _ => Ok(packed),
        }
    }

    /// Returns whether the segments look as if they were numbered (`$Number$`), in each period up to a number
    /// that follows from one duration: in all other manifests, the duration of each is listed.
    fn is_numbered(&self) -> bool {
        let mut periods = self.runs.split(|run| run.duration.is_none());
        let is_one = |period: &[Run]| match period {
            [] => true,
            [run] => run.duration > Some(Duration::ZERO),
            _ => false,
        };
        periods.all(is_one) && self.runs.iter().any(|run| run.duration.is_some() && run.count > 1)
    }

    /// Returns the list of segments.
    pub fn unpack(&self) -> Result<SegmentList, &'static str> {
        const MALFORMED: &str = "segments with URLs that are neither http nor https";
        let query = self.query.as_deref().map(ExtraQuery::new);
        let durations =
            self.runs.iter().flat_map(|run| std::iter::repeat_n(run.duration, run.count));
        let mut list = SegmentList {
            inits: Vec::new(),
            segments: Vec::new(),
            is_complete: true,
            media_sequence: 0,
            discontinuity_sequence: 0,
            forgotten: 0,
            end_date: None,
            rounding: Duration::ZERO,
            target_duration: Duration::ZERO,
            may_end_early: self.is_numbered(),
            files: None,
        };
        let (mut init, mut is_discontinuous, mut len) = (None, false, 0);
        for (location, duration) in self.locations.iter().zip(durations) {
            let mut url = self.base.join(&location).map_err(|_| MALFORMED)?;
            if let Some(query) = &query {
                query.add_to(&mut url);
            }
            if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
                return Err(MALFORMED);
            }
            len += url.as_str().len();
            if url.as_str().len() > MAX_URL || len > MAX_URLS {
                return Err("segments with URLs that are too long");
            }
            let location = SegmentLocation { url, range: None };
            let Some(duration) = duration else {
                // Another period begins.
                is_discontinuous = !list.segments.is_empty();
                init = Some(list.init_index(location));
                continue;
            };
            list.target_duration = list.target_duration.max(duration);
            list.segments.push(MediaSegment {
                location,
                duration,
                init,
                encryption: None,
                is_discontinuous: std::mem::take(&mut is_discontinuous),
            });
        }
        if list.may_end_early {
            // One duration stands for all of a period, and the last one is shorter.
            list.rounding = list.target_duration;
        }
        Ok(list)
    }

    /// Returns the first URL.
    pub fn first_url(&self) -> Option<Url> {
        self.base.join(&self.locations.iter().next()?).ok()
    }

    /// Returns the number of segments, initialisation segments included.
    pub fn count(&self) -> usize {
        self.runs.iter().map(|run| run.count).sum()
    }

    /// Returns the number of initialisation segments: each period has one.
    pub fn init_count(&self) -> usize {
        self.runs.iter().filter(|run| run.duration.is_none()).map(|run| run.count).sum()
    }

    /// Returns the sum of the durations of all segments.
    pub fn duration(&self) -> Duration {
        let durations = self.runs.iter().filter_map(|run| {
            Some(run.duration?.saturating_mul(u32::try_from(run.count).unwrap_or(u32::MAX)))
        });
        durations.fold(Duration::ZERO, Duration::saturating_add)
    }

    /// Returns the approximate memory on the heap, in bytes.
    pub fn memory_size(&self) -> usize {
        let PackedLocations { prefix, suffix, parts } = &self.locations;
        let query = self.query.as_ref().map_or(0, String::len);
        let texts = self.base.as_str().len() + query + prefix.len() + suffix.len() + parts.len();
        size_of::<PackedSegments>() + texts + self.runs.len() * size_of::<Run>()
    }
}

impl SegmentList {
    /// Returns the index of an initialisation segment that is not encrypted, which is added if it is a
    /// new one.
    fn init_index(&mut self, location: SegmentLocation) -> u32 {
        let known = self.inits.iter().rposition(|init| init.location == location);
        let index = known.unwrap_or_else(|| {
            self.inits.push(InitSegment { location, encryption: None });
            self.inits.len() - 1
        });
        index as u32
    }
}

impl fmt::Debug for PackedSegments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} segments", self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn base() -> Url {
        Url::parse("https://cdn.example/films/").unwrap()
    }

    fn packed(
        locations: &[&str],
        runs: &[(usize, Option<u64>)],
    ) -> Result<PackedSegments, &'static str> {
        let run = |(count, seconds): &(usize, Option<u64>)| Run {
            count: *count,
            duration: seconds.map(Duration::from_secs),
        };
        let runs = runs.iter().map(run).collect();
        PackedSegments::new(base(), Some("s=1".into()), PackedLocations::new(locations), runs)
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let urls = [
            "v/init.mp4?x=1&s=0",
            "v/1.mp4?x=1&s=0",
            "v/2.mp4?x=1&s=0",
            "https://b.example/3.mp4?x=1&s=0",
        ];
        let packed = packed(&urls, &[(1, None), (2, Some(4)), (1, Some(1))]).unwrap();
        let list = packed.unpack().unwrap();
        assert_eq!(packed.locations.suffix, ".mp4?x=1&s=0");
        assert_eq!(
            list.inits[0].location.url.as_str(),
            "https://cdn.example/films/v/init.mp4?x=1&s=1"
        );
        let urls: Vec<_> = list.segments.iter().map(|one| one.location.url.as_str()).collect();
        assert_eq!(
            urls[1..],
            ["https://cdn.example/films/v/2.mp4?x=1&s=1", "https://b.example/3.mp4?x=1&s=1"]
        );
        assert!(list.is_complete && list.segments.iter().all(|one| one.init == Some(0)));
        assert_eq!((list.duration().as_secs(), list.target_duration.as_secs()), (9, 4));
    }

    #[test]
    fn another_period_begins_with_its_initialisation_segment() {
        let list = packed(
            &["a", "1", "b", "2", "a", "3", "4"],
            &[(1, None), (1, Some(1)), (1, None), (1, Some(1)), (1, None), (2, Some(1))],
        );
        let list = list.unwrap();
        assert_eq!((list.init_count(), list.duration().as_secs()), (3, 4));
        let list = list.unpack().unwrap();
        let seen: Vec<_> =
            list.segments.iter().map(|one| (one.init.unwrap(), one.is_discontinuous)).collect();
        assert_eq!(seen, [(0, false), (1, true), (0, true), (0, false)]);
        assert_eq!(list.inits.len(), 2);
    }

    #[test]
    fn one_duration_stands_for_all_segments_of_a_period() {
        let rounding = |runs: &[(usize, Option<u64>)]| {
            let count = runs.iter().map(|(count, _)| count).sum();
            let list = packed(&vec!["a"; count], runs).unwrap().unpack().unwrap();
            (list.rounding.as_secs(), list.may_end_early)
        };
        assert_eq!(rounding(&[(1, None), (3, Some(2))]), (2, true));
        assert_eq!(rounding(&[(1, None), (3, Some(2)), (1, None), (1, Some(4))]), (4, true));
        // Each is listed.
        for runs in [
            &[(1, None), (1, Some(2)), (1, None), (1, Some(4))][..],
            &[(1, None), (3, Some(2)), (1, Some(1))],
            &[(1, None), (3, Some(2)), (1, None), (3, Some(2)), (1, Some(1))],
            &[(1, None), (3, Some(0))],
        ] {
            assert_eq!(rounding(runs), (0, false), "{runs:?}");
        }
    }

    #[test]
    fn ten_thousand_segments_take_little() {
        let locations: Vec<String> = (0..10_000)
            .map(|index| {
                format!("https://cdn.example/{}/{index}.m4s?{}", "x".repeat(200), "y".repeat(300))
            })
            .collect();
        let locations: Vec<&str> = locations.iter().map(String::as_str).collect();
        let packed = packed(&locations, &[(1, None), (9_999, Some(2))]).unwrap();
        assert!(packed.memory_size() < 60_000, "{}", packed.memory_size());
        assert!(packed.unpack().unwrap().memory_size() > 5_000_000);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for (locations, runs, why) in [
            (&["a", "b"][..], &[(1, None), (2, Some(1))][..], "malformed"),
            (&["a", "b"], &[(1, None)], "malformed"),
            (&["a", "b\nc"], &[(1, None), (1, Some(1))], "malformed"),
            (&[], &[], "malformed"),
            (&["a", "b"], &[(1, None), (usize::MAX, Some(1)), (2, None)], "malformed"),
            (&["a", "b"], &[(2, Some(1))], "without an initialisation segment"),
            (&["a", "b"], &[(2, None)], "without segments"),
            (&["a", "file:///b"], &[(1, None), (1, Some(1))], "neither http nor https"),
            (&["a", "http://["], &[(1, None), (1, Some(1))], "neither http nor https"),
            (
                &[
                    "a",
                    "http://1.example",
                    "http://2.example",
                    "http://3.example",
                    "http://4.example",
                ],
                &[(1, None), (4, Some(1))],
                "too many hosts",
            ),
        ] {
            assert!(packed(locations, runs).unwrap_err().contains(why), "{why}");
        }
        let many = vec!["a"; MAX_SEGMENTS + 1];
        assert!(
            packed(&many, &[(1, None), (MAX_SEGMENTS, Some(1))])
                .unwrap_err()
                .contains("more segments")
        );
    }

    proptest! {
        #[test]
        fn locations_of_any_kind(locations in proptest::collection::vec("[aäb日]{0,6}", 1..6)) {
            let locations: Vec<&str> = locations.iter().map(String::as_str).collect();
            let packed = PackedLocations::new(&locations);
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), locations);
        }
    }
}

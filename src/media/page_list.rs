//! The entries of a page that is a list: a playlist, a channel, an album. Pure.

use std::ops::RangeInclusive;
use std::time::Duration;

use url::Url;

/// How many entries are read at a time.
pub const PART_LEN: u32 = 100;
/// The largest number of an entry.
const MAX_NUMBER: u32 = 100_000;

/// A part of the entries of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageList {
    /// URL of the page.
    pub page_url: Url,
    /// Which part it is, from 0 on.
    pub part: u32,
    /// Id on the site.
    pub id: String,
    /// The yt-dlp extractor that read the page.
    pub extractor: String,
    /// Title.
    pub title: Option<String>,
    /// Author or uploader.
    pub uploader: Option<String>,
    /// How many entries the list has in all, if the page tells.
    pub count: Option<u64>,
    /// The entries of this part, in their order.
    pub entries: Vec<ListEntry>,
}

/// An entry, as far as the list tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListEntry {
    /// The page of the entry; `None` if the list has no usable link of it.
    pub page_url: Option<Url>,
    /// Title.
    pub title: Option<String>,
    /// Author or uploader.
    pub uploader: Option<String>,
    /// Duration.
    pub duration: Option<Duration>,
}

impl PageList {
    /// Returns the entries with their numbers, which begin with 1.
    pub fn numbered(&self) -> impl Iterator<Item = (u32, &ListEntry)> {
        (self.part * PART_LEN + 1..).zip(&self.entries)
    }

    /// Returns whether there may be another part behind this one.
    pub fn has_more(&self) -> bool {
        let end = u64::from(self.part + 1) * u64::from(PART_LEN);
        self.entries.len() >= PART_LEN as usize && self.count.is_none_or(|count| count > end)
    }

    /// Returns the approximate memory, in bytes.
    pub fn memory_size(&self) -> usize {
        let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let entries = self.entries.iter().map(|entry| {
            let url = entry.page_url.as_ref().map_or(0, |url| url.as_str().len());
            size_of::<ListEntry>() + url + len(&entry.title) + len(&entry.uploader)
        });
        let texts = self.page_url.as_str().len() + len(&self.title) + len(&self.uploader);
        size_of::<PageList>() + texts + entries.sum::<usize>()
    }
}

/// Which entries of a list are requested, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Items(Vec<RangeInclusive<u32>>);

impl Default for Items {
    /// All of them.
    fn default() -> Items {
        Items(vec![1..=MAX_NUMBER])
    }
}

impl Items {
    /// The maximum number of ranges.
    const MAX_RANGES: usize = 100;

    /// Parses numbers and ranges such as `1-10,15,20-`; `None` if they are not in ascending order.
    pub fn parse(text: &str) -> Option<Items> {
        let number = |text: &str| -> Option<u32> {
            let number = crate::range::decimal(text.as_bytes())?;
            u32::try_from(number).ok().filter(|number| (1..=MAX_NUMBER).contains(number))
        };
        let mut ranges: Vec<RangeInclusive<u32>> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let range = match part.split_once('-') {
                None => number(part).map(|one| one..=one)?,
                Some((first, "")) => number(first)?..=MAX_NUMBER,
                Some((first, last)) => number(first)?..=number(last)?,
            };
            let before = ranges.last().map_or(0, |range| *range.end());
            if range.is_empty() || *range.start() <= before || ranges.len() == Self::MAX_RANGES {
                return None;
            }
            ranges.push(range);
        }
        Some(Items(ranges))
    }

    /// Returns how many of the numbers up to `last` are requested.
    pub fn count_to(&self, last: u32) -> u32 {
        let lens =
            self.0.iter().map(|range| (last.min(*range.end()) + 1).saturating_sub(*range.start()));
        lens.sum()
    }

    /// Returns the first number at or behind `number` that is requested.
    pub fn next_from(&self, number: u32) -> Option<u32> {
        self.0.iter().find(|range| *range.end() >= number).map(|range| number.max(*range.start()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn items_are_numbers_and_ranges_in_ascending_order() {
        let numbers = |text: &str| {
            let items = Items::parse(text)?;
            let next = |number: &u32| items.next_from(number + 1);
            Some(std::iter::successors(items.next_from(1), next).take(6).collect::<Vec<_>>())
        };
        assert_eq!(numbers("1-3,5"), Some(vec![1, 2, 3, 5]));
        assert_eq!(numbers("7 , 9-"), Some(vec![7, 9, 10, 11, 12, 13]));
        for wrong in
            ["", ",", "0", "-3", "3-2", "1,1", "5,2", "1-3,3", "a", "1--2", "1-2-3", "100001"]
        {
            assert_eq!(numbers(wrong), None, "{wrong}");
        }
        assert_eq!(Items::parse(&vec!["1"; 200].join(",")), None);
        assert_eq!(Items::default().next_from(9), Some(9));
        let counts = ["1-", "1-3,5", "7-9"].map(|text| Items::parse(text).unwrap().count_to(8));
        assert_eq!((counts, Items::default().count_to(8)), ([8, 4, 2], 8));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[0-9,\\- ]{0,30}") {
            if let Some(items) = Items::parse(&text) {
                prop_assert!(items.next_from(1).is_some());
            }
        }
    }
}

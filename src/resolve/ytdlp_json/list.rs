//! Reads the entries of a list.

use std::time::Duration;

use url::Url;

use super::super::page_url::parse_page_url;
use super::lenient::{First, parse};
use super::schema::{Entries, Entry, PageFields};
use super::{integer, text};
use crate::media::page_list::{ListEntry, PageList};

/// Returns a part of a list.
pub(super) fn list(page_url: &Url, part: u32, page: PageFields<'_>) -> PageList {
    let First(entries) = page.entries.and_then(parse::<Entries<'_>>).unwrap_or(First(Vec::new()));
    // One that is not an object has its number, too.
    let entries =
        entries.into_iter().map(|json| parse::<Entry>(json).map(Entry::read).unwrap_or_default());
    PageList {
        page_url: page_url.clone(),
        part,
        id: page.id.as_deref().map(text).unwrap_or_default(),
        extractor: page.extractor.as_deref().map(text).unwrap_or_default(),
        title: page.title.as_deref().map(text).filter(|title| !title.is_empty()),
        uploader: page.uploader.or(page.channel).as_deref().map(text),
        count: page.playlist_count.and_then(integer),
        entries: entries.collect(),
    }
}

impl Entry {
    fn read(self) -> ListEntry {
        // Where the entry was read itself, `url` may be that of its file.
        let is_link = matches!(self.kind.as_deref(), Some("url" | "url_transparent"));
        let page_url = if is_link { self.url.or(self.webpage_url) } else { self.webpage_url };
        ListEntry {
            page_url: page_url.and_then(|text| parse_page_url(&text).ok()),
            title: self.title.as_deref().map(text).filter(|title| !title.is_empty()),
            uploader: self.uploader.or(self.channel).as_deref().map(text),
            duration: self.duration.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        }
    }
}

//! The entries of an archive, in order: the links of the request, or the entries of the list that it names, which is
//! read part by part.

use std::sync::Arc;

use url::Url;

use super::Job;
use crate::error::{ArchiveError, Error};
use crate::media::page_list::{PART_LEN, PageList};
use crate::resolve::{PageContent, RequestContext};

/// An entry of an archive.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    /// Its number in the list, from 1 on.
    pub(super) number: u32,
    /// Its page.
    pub(super) page_url: Option<Url>,
    /// Its title, if the list tells.
    pub(super) title: Option<String>,
}

/// The entries that are still to come.
pub(super) struct Entries<'j> {
    job: Job<'j>,
    /// The beginning of the list; `None` if the links themselves are the entries.
    first: Option<Arc<PageList>>,
    /// The part of the list that was read last.
    current: Option<Arc<PageList>>,
    /// The number from which on entries are to come.
    number: u32,
    /// How many entries there were.
    count: u32,
}

impl<'j> Entries<'j> {
    /// Finds out what the links are.
    pub(super) fn new(job: Job<'j>, context: &RequestContext<'_>) -> Result<Entries<'j>, Error> {
        let first = match &job.archive.links[..] {
            [link] => match job.app.resolver.resolve_any(link, context)? {
                PageContent::List(list) => Some(list),
                PageContent::Media(_) => None,
            },
            _ => None,
        };
        let limit = job.app.config.limits.archive_entries;
        let count = first.as_ref().and_then(|list| u32::try_from(list.count?).ok());
        if count.is_some_and(|count| job.archive.items.count_to(count) > limit)
            || job.archive.links.len() as u64 > u64::from(limit)
        {
            return Err(Error::Archive(ArchiveError::TooMany(limit)));
        }
        let mut entries = Entries { job, current: first.clone(), first, number: 1, count: 0 };
        match entries.next(context) {
            None => return Err(Error::Archive(ArchiveError::Empty)),
            Some(Err((_, cause))) => return Err(cause),
            Some(Ok(_)) => entries.rewind(),
        }
        Ok(entries)
    }

    /// Begins again.
    pub(super) fn rewind(&mut self) {
        (self.number, self.count) = (1, 0);
        self.current.clone_from(&self.first);
    }

    /// Returns the title of the list.
    pub(super) fn title(&self) -> Option<&str> {
        self.first.as_ref()?.title.as_deref()
    }

    /// Returns the next entry; after an error, which has the number of the entry, nothing comes any more.
    pub(super) fn next(
        &mut self,
        context: &RequestContext<'_>,
    ) -> Option<Result<Entry, (u32, Error)>> {
        let number = self.next_number()?;
        let found = self.find(number, context).transpose()?;
        let limit = self.job.app.config.limits.archive_entries;
        self.count += 1;
        let entry = match found {
            Ok(_) if self.count > limit => Err(Error::Archive(ArchiveError::TooMany(limit))),
            found => found,
        };
        self.number = if entry.is_ok() { number + 1 } else { u32::MAX };
        Some(entry.map_err(|error| (number, error)))
    }

    /// Returns the page of the next entry, if its part of the list was read.
    pub(super) fn following(&self) -> Option<Url> {
        let number = self.next_number()?;
        self.known(number)?.page_url
    }

    /// Returns the next number that is requested.
    fn next_number(&self) -> Option<u32> {
        match self.first {
            Some(_) => self.job.archive.items.next_from(self.number),
            None => Some(self.number),
        }
    }

    /// Returns the entry with this number, if it is known.
    fn known(&self, number: u32) -> Option<Entry> {
        let index = number - 1;
        let Some(list) = &self.current else {
            let link = self.job.archive.links.get(usize::try_from(index).ok()?)?;
            return Some(Entry { number, page_url: Some(link.clone()), title: None });
        };
        if list.part != index / PART_LEN {
            return None;
        }
        let entry = list.entries.get(usize::try_from(index % PART_LEN).ok()?)?;
        Some(Entry { number, page_url: entry.page_url.clone(), title: entry.title.clone() })
    }

    /// Returns the entry with this number, if the list has it.
    fn find(&mut self, number: u32, context: &RequestContext<'_>) -> Result<Option<Entry>, Error> {
        let part = (number - 1) / PART_LEN;
        if let Some(list) = &self.current
            && list.part < part
            && list.has_more()
        {
            let resolver = &self.job.app.resolver;
            self.current = Some(resolver.list_part(&list.page_url, part, context)?);
        }
        Ok(self.known(number))
    }
}

//! Remembers the plans of archives: a client that resumes must find the archive as it was, and what is known of the
//! checksums of its files.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use url::Url;

use crate::archive::{ArchiveFormat, Checksum, Layout, Part, Sent};
use crate::http_server::{Request, Selection, select};
use crate::instruments::{CounterSet, Found};
use crate::lru::LruMap;
use crate::resolve::CookiesId;

/// How long plans are kept, and their memory.
const MAX_AGE: Duration = Duration::from_secs(3600);
const CACHE_SIZE: usize = 4 << 20;

/// An archive of known length.
#[derive(Debug)]
pub struct PlannedArchive {
    /// The title of the list.
    pub title: Option<String>,
    /// Where everything is.
    pub layout: Layout,
    /// The content of each file.
    pub files: Vec<PlannedFile>,
    /// The strong ETag, if all files have one.
    pub etag: Option<String>,
    /// The checksums of the files, as far as they were sent; of a tar, nothing is known.
    checksums: Mutex<Vec<Checksum>>,
}

/// The content of a file in an archive.
#[derive(Debug)]
pub enum PlannedFile {
    /// The media of a page.
    Media {
        /// The number of its entry.
        number: u32,
        /// The page.
        page_url: Url,
        /// Its strong ETag.
        etag: Option<String>,
        /// Whether byte ranges of it can be sent.
        is_ranged: bool,
    },
    /// A text that says why the media are missing.
    Text(String),
}

impl PlannedArchive {
    /// Makes the plan.
    pub fn new(
        title: Option<String>,
        layout: Layout,
        files: Vec<PlannedFile>,
        etag: Option<String>,
    ) -> PlannedArchive {
        let checksum = |file: &PlannedFile| {
            let mut checksum = Checksum::default();
            if let PlannedFile::Text(text) = file {
                checksum.update(text.as_bytes());
            }
            checksum
        };
        let checksums = Mutex::new(files.iter().map(checksum).collect());
        PlannedArchive { title, layout, files, etag, checksums }
    }

    /// Returns whether a file is missing.
    pub fn lacks_any(&self) -> bool {
        self.files.iter().any(|file| matches!(file, PlannedFile::Text(_)))
    }

    /// Returns what is known of the checksum of a file.
    pub fn checksum(&self, index: usize) -> Checksum {
        let checksums = self.checksums.lock().unwrap_or_else(PoisonError::into_inner);
        checksums.get(index).cloned().unwrap_or_default()
    }

    /// Remembers the checksum of a file, if it is further than what is known.
    pub fn keep_checksum(&self, index: usize, checksum: Checksum) {
        let mut checksums = self.checksums.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = checksums.get_mut(index).filter(|known| known.len() < checksum.len()) {
            *known = checksum;
        }
    }

    /// Returns the length and the checksum of a file that was sent; `None` if the checksum is not known.
    pub fn sent(&self, index: usize) -> Option<Sent> {
        let len = self.layout.members().get(index)?.len?;
        if self.layout.format() == ArchiveFormat::Tar {
            return Some(Sent { len, crc: 0 });
        }
        let checksum = self.checksum(index);
        (checksum.len() == len).then(|| Sent { len, crc: checksum.value() })
    }

    /// Returns whether the byte range that is requested can be sent, or any one if none is.
    pub fn has_ranges(&self, request: &Request) -> bool {
        let is_ranged = |file: &PlannedFile| match file {
            PlannedFile::Media { is_ranged, .. } => *is_ranged,
            PlannedFile::Text(_) => true,
        };
        if !self.files.iter().all(is_ranged) {
            return false;
        }
        match select(request, self.etag.as_deref(), Some(self.layout.total_len())) {
            Selection::Range(range) => self.can_send(&range),
            _ => (0..self.files.len()).all(|index| self.sent(index).is_some()),
        }
    }

    /// Returns whether all checksums in a byte range are known, or will be when they are sent.
    fn can_send(&self, range: &Range<u64>) -> bool {
        let parts = self.layout.parts(range);
        let becomes_known = |index: usize| {
            let len = self.layout.members().get(index).and_then(|member| member.len);
            parts.iter().any(|part| match part {
                Part::Content(of, bytes) => {
                    *of == index
                        && Some(bytes.end) == len
                        && self.checksum(index).back_to(bytes.start).is_some()
                }
                _ => false,
            })
        };
        let is_known = |index: usize| self.sent(index).is_some() || becomes_known(index);
        parts.iter().all(|part| match part {
            Part::Header(..) | Part::Content(..) => true,
            Part::Footer(index, _) => is_known(*index),
            Part::Trailer(_) => (0..self.files.len()).all(is_known),
        })
    }

    fn memory_size(&self) -> usize {
        let of_file = |file: &PlannedFile| match file {
            PlannedFile::Media { page_url, etag, .. } => {
                page_url.as_str().len() + etag.as_ref().map_or(0, String::len)
            }
            PlannedFile::Text(text) => text.len(),
        };
        let members = self.layout.members();
        let names: usize = members.iter().map(|member| 2 * member.name.len() + 200).sum();
        // A checksum is remembered for each 8 MiB.
        let marks: u64 = members.iter().filter_map(|member| Some(member.len? >> 21)).sum();
        let files: usize =
            self.files.iter().map(|file| size_of::<PlannedFile>() + of_file(file)).sum();
        size_of::<PlannedArchive>() + names + files + usize::try_from(marks).unwrap_or(usize::MAX)
    }
}

/// What tells an archive from others: the target of its request, and the cookies that its pages are read with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArchiveKey {
    /// The target.
    pub target: String,
    /// The cookies.
    pub cookies: CookiesId,
}

/// The plans.
pub struct PlannedArchives {
    plans: Mutex<LruMap<ArchiveKey, (Arc<PlannedArchive>, Instant)>>,
    lookups: CounterSet<Found>,
}

impl Default for PlannedArchives {
    fn default() -> PlannedArchives {
        let plans = Mutex::new(LruMap::new(CACHE_SIZE));
        PlannedArchives { plans, lookups: CounterSet::default() }
    }
}

impl PlannedArchives {
    /// Returns the plan of an archive.
    pub fn get(&self, key: &ArchiveKey) -> Option<Arc<PlannedArchive>> {
        let mut plans = self.lock();
        let found = plans.get(key).filter(|(_, made)| made.elapsed() < MAX_AGE);
        self.lookups.look(found.map(|(plan, _)| plan.clone()))
    }

    /// Returns how often a plan was found.
    pub fn lookups(&self) -> &CounterSet<Found> {
        &self.lookups
    }

    /// Remembers a plan; returns it.
    pub fn insert(&self, key: ArchiveKey, plan: PlannedArchive) -> Arc<PlannedArchive> {
        let (size, plan) = (plan.memory_size(), Arc::new(plan));
        self.lock().insert(key, (plan.clone(), Instant::now()), size);
        plan
    }

    /// Forgets the plan of an archive.
    pub fn remove(&self, key: &ArchiveKey) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, LruMap<ArchiveKey, (Arc<PlannedArchive>, Instant)>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

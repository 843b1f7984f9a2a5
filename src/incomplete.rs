//! Remembers files that turned out to be truncated while they were passed through. A client that
//! resumes such a download would receive only the last bytes, and take the file for complete.
//!
//! **Invariant:** holds at most `MAX_FILES` entries.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use url::Url;

use crate::http_client::RemoteFile;
use crate::lru::LruMap;

/// The maximum number of remembered files.
const MAX_FILES: usize = 1024;

/// The files that are known to be incomplete.
#[derive(Debug)]
pub struct IncompleteFiles {
    hasher: RandomState,
    reasons: Mutex<LruMap<u64, &'static str>>,
}

impl Default for IncompleteFiles {
    fn default() -> IncompleteFiles {
        let reasons = Mutex::new(LruMap::new(MAX_FILES));
        IncompleteFiles { hasher: RandomState::default(), reasons }
    }
}

impl IncompleteFiles {
    /// Remembers that the file at `url` is incomplete, and the reason.
    pub fn insert(&self, url: &Url, file: &RemoteFile, reason: &'static str) {
        self.lock().insert(self.key(url, file), reason, 1);
    }

    /// Returns the reason why the file is incomplete, if that is known.
    pub fn get(&self, url: &Url, file: &RemoteFile) -> Option<&'static str> {
        self.lock().get(&self.key(url, file)).copied()
    }

    fn lock(&self) -> MutexGuard<'_, LruMap<u64, &'static str>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the key of a file. A replaced file has another length or another validator.
    fn key(&self, url: &Url, file: &RemoteFile) -> u64 {
        self.hasher.hash_one((url.as_str(), file.identity()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client::Validators;

    #[test]
    fn a_replaced_file_is_another_one_and_the_oldest_are_dropped() {
        let url = |number: usize| Url::parse(&format!("http://a.example/{number}")).unwrap();
        let file = |len| RemoteFile {
            len: Some(len),
            ranged: true,
            validators: Validators::default(),
            validators_vary: false,
        };
        let files = IncompleteFiles::default();
        (0..=MAX_FILES).for_each(|number| files.insert(&url(number), &file(7), "it is cut"));
        files.insert(&url(1), &file(7), "it is cut");
        assert_eq!(files.get(&url(1), &file(7)), Some("it is cut"));
        assert_eq!(files.get(&url(1), &file(8)), None);
        assert_eq!(files.get(&url(0), &file(7)), None);
        assert_eq!(files.lock().len(), MAX_FILES);
    }
}

//! Files that were found to lack their end while they were passed through. Where only the last bytes
//! of a file show that, a client that resumes would be sent just these, and take the file for
//! complete. Must never hold more than its limit.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use url::Url;

use crate::http_client::RemoteFile;

/// The most that are remembered.
const MAX_FILES: usize = 1024;

/// What was found, the oldest first.
#[derive(Debug, Default)]
pub struct IncompleteFiles {
    hasher: RandomState,
    found: Mutex<VecDeque<(u64, &'static str)>>,
}

impl IncompleteFiles {
    /// Remembers that the file behind `url` is incomplete, and how that shows.
    pub fn insert(&self, url: &Url, file: &RemoteFile, how: &'static str) {
        let key = self.key(url, file);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.retain(|(known, _)| *known != key);
        if found.len() == MAX_FILES {
            found.pop_front();
        }
        found.push_back((key, how));
    }

    /// How it shows that the file is incomplete, if that was found before.
    pub fn get(&self, url: &Url, file: &RemoteFile) -> Option<&'static str> {
        let key = self.key(url, file);
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.iter().find(|(known, _)| *known == key).map(|(_, how)| *how)
    }

    /// A file that is replaced has another length or another validator.
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
        assert_eq!(files.found.lock().unwrap().len(), MAX_FILES);
    }
}

//! Remembers what earlier responses showed of upstreams, which spares requests: the size of a range
//! that a host sends, and the validators that the servers behind one name use for a file. All of it
//! is a hint.
//!
//! **Invariant:** no URL is stored, as it may be signed, and no more than [`MAX_ENTRIES`] of each
//! kind.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use url::Url;

use crate::error::UpstreamError;
use crate::lru::LruMap;
use crate::media::remote_file::{RemoteFile, ValidatorMatch, Validators};

/// Maximum number of entries of each kind, and their lifetime: afterwards a host may send more
/// again.
const MAX_ENTRIES: usize = 512;
const MAX_AGE: Duration = Duration::from_secs(3600);
/// Longer validators are not stored.
const MAX_VALIDATOR_LEN: usize = 256;

/// The memory of all hosts.
#[derive(Default)]
pub(crate) struct HostMemory(Mutex<State>);

impl fmt::Debug for HostMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostMemory")
    }
}

#[derive(Default)]
struct State {
    hasher: RandomState,
    request_limits: ExpiringMap<u64>,
    validators: ExpiringMap<StoredValidators>,
}

/// The validators under which a file is known.
struct StoredValidators {
    validators: Validators,
    validators_vary: bool,
}

/// The latest entries of one kind.
struct ExpiringMap<V>(LruMap<u64, (V, Instant)>);

impl<V> Default for ExpiringMap<V> {
    fn default() -> ExpiringMap<V> {
        ExpiringMap(LruMap::new(MAX_ENTRIES))
    }
}

impl<V> ExpiringMap<V> {
    fn get(&mut self, key: u64) -> Option<&mut V> {
        let (value, since) = self.0.get(&key)?;
        (since.elapsed() < MAX_AGE).then_some(value)
    }

    fn insert(&mut self, key: u64, value: V) {
        self.0.insert(key, (value, Instant::now()), 1);
    }
}

impl State {
    /// Hashes what identifies a file. The query is left out: it mostly holds the signature, which
    /// changes.
    fn key(&self, url: &Url, file: &RemoteFile) -> u64 {
        self.hash((url.origin(), url.path(), file.len))
    }

    fn hash(&self, what: impl Hash) -> u64 {
        self.hasher.hash_one(what)
    }
}

impl HostMemory {
    /// Returns the number of bytes that the host sends at once, if it was found to send less than
    /// requested.
    pub(crate) fn request_limit(&self, url: &Url) -> Option<u64> {
        let mut state = self.lock();
        let key = state.hash(url.origin());
        state.request_limits.get(key).copied()
    }

    /// Records that the host sends at most `limit` bytes at once.
    pub(crate) fn set_request_limit(&self, url: &Url, request_limit: u64) {
        let mut state = self.lock();
        let key = state.hash(url.origin());
        state.request_limits.insert(key, request_limit);
    }

    /// Replaces the validators of `file` by those under which it is known, where it is the same
    /// file: another server may use others. Fails if another server should be tried, which may have
    /// the known ones; `may_retry` says whether that is allowed, and `was_tried` whether it was
    /// done.
    pub(crate) fn canonicalize(
        &self,
        url: &Url,
        file: &mut RemoteFile,
        may_retry: bool,
        was_tried: bool,
    ) -> Result<(), UpstreamError> {
        let len = |validators: &Validators| {
            let values = [&validators.etag, &validators.modified];
            values.into_iter().flatten().map(|value| value.len()).sum::<usize>()
        };
        let is_storable = (1..=MAX_VALIDATOR_LEN).contains(&len(&file.validators));
        let mut state = self.lock();
        let key = state.key(url, file);
        let Some(known) = state.validators.get(key) else {
            if file.len.is_some() && is_storable {
                let known = StoredValidators {
                    validators: file.validators.clone(),
                    validators_vary: false,
                };
                state.validators.insert(key, known);
            }
            return Ok(());
        };
        match known.validators.compare(&file.validators) {
            ValidatorMatch::Same => known.validators_vary |= was_tried,
            ValidatorMatch::Weak if known.validators_vary => {}
            comparison => {
                let dates = [&known.validators.modified, &file.validators.modified];
                let is_plain = dates.iter().all(|date| date.is_some()) && dates[0] != dates[1];
                if may_retry && !(is_plain && comparison == ValidatorMatch::Different) {
                    return Err(UpstreamError::ValidatorsDisagree);
                }
                *known = StoredValidators {
                    validators: file.validators.clone(),
                    validators_vary: false,
                };
            }
        }
        file.validators.clone_from(&known.validators);
        file.validators_vary = known.validators_vary;
        Ok(())
    }

    /// Records that bytes have proven several validators to be of the same file.
    pub(crate) fn mark_unstable(&self, url: &Url, file: &RemoteFile) {
        let mut state = self.lock();
        let key = state.key(url, file);
        if let Some(known) = state.validators.get(key) {
            known.validators_vary = true;
        }
    }

    /// Returns whether the file is known under several validators.
    pub(crate) fn is_unstable(&self, url: &Url, file: &RemoteFile) -> bool {
        let mut state = self.lock();
        let key = state.key(url, file);
        state
            .validators
            .get(key)
            .is_some_and(|known| known.validators_vary && known.validators == file.validators)
    }

    /// No panic leaves this state half-changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::http::HeaderValue;

    fn file(etag: Option<&'static str>, modified: Option<&'static str>) -> RemoteFile {
        let value = |text: Option<&'static str>| text.map(HeaderValue::from_static);
        let validators = Validators { etag: value(etag), modified: value(modified) };
        RemoteFile { len: Some(7), ranged: true, validators, validators_vary: false }
    }

    fn url(number: usize) -> Url {
        Url::parse(&format!("http://films.example/{number}?sig={number}")).unwrap()
    }

    #[test]
    fn a_file_keeps_its_name_while_it_may_be_the_same() {
        let memory = HostMemory::default();
        let canonicalize = |etag, modified, may_retry, was_tried| {
            let mut file = file(etag, modified);
            let result = memory.canonicalize(&url(0), &mut file, may_retry, was_tried);
            result.map(|()| (file.validators.etag, file.validators_vary))
        };
        let called =
            |etag, validators_vary| Ok((Some(HeaderValue::from_static(etag)), validators_vary));
        assert_eq!(canonicalize(Some("a"), Some("x"), true, false), called("a", false));
        assert_eq!(
            canonicalize(Some("b"), Some("x"), true, false),
            Err(UpstreamError::ValidatorsDisagree)
        );
        // It was not found again: it is another file.
        assert_eq!(canonicalize(Some("b"), Some("x"), false, true), called("b", false));
        assert_eq!(
            canonicalize(Some("a"), Some("x"), true, false),
            Err(UpstreamError::ValidatorsDisagree)
        );
        assert_eq!(canonicalize(Some("b"), Some("x"), true, true), called("b", true));
        for etag in [Some("a"), Some("c"), None] {
            assert_eq!(canonicalize(etag, Some("x"), true, false), called("b", true));
        }
        assert_eq!(canonicalize(Some("c"), Some("y"), true, false), called("c", false));
        assert_eq!(
            canonicalize(Some("d"), None, true, false),
            Err(UpstreamError::ValidatorsDisagree)
        );
    }

    #[test]
    fn the_last_ones_are_remembered() {
        let memory = HostMemory::default();
        for number in 0..2 * MAX_ENTRIES {
            memory.canonicalize(&url(number), &mut file(Some("a"), None), true, false).unwrap();
            memory.set_request_limit(&Url::parse(&format!("http://{number}.example")).unwrap(), 1);
        }
        let state = memory.lock();
        assert_eq!(
            (state.validators.0.len(), state.request_limits.0.len()),
            (MAX_ENTRIES, MAX_ENTRIES)
        );
    }
}

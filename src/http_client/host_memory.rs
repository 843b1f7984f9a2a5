//! What was learned of upstreams, and spares questions the next time: how much a host gives at once,
//! and how the servers behind one name call a file. All of it is a hint. Must never hold a URL, which
//! may be signed, nor more than its limit.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use url::Url;

use crate::error::UpstreamError;
use crate::http_client::validate::{RemoteFile, ValidatorMatch, Validators};

/// Of each kind so many are remembered, and for so long: then a host may give more again.
const MAX_ENTRIES: usize = 512;
const MAX_AGE: Duration = Duration::from_secs(3600);
/// Validators that are longer are not remembered.
const MAX_VALIDATOR_LEN: usize = 256;

/// What was learned.
#[derive(Default)]
pub(crate) struct HostMemory(Mutex<State>);

impl fmt::Debug for HostMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Learned")
    }
}

#[derive(Default)]
struct State {
    hasher: RandomState,
    chunks: ExpiringMap<u64>,
    names: ExpiringMap<Name>,
}

/// What a file is called.
struct Name {
    validators: Validators,
    wavers: bool,
}

/// Some of a kind, the last ones.
struct ExpiringMap<V>(HashMap<u64, (V, Instant)>);

impl<V> Default for ExpiringMap<V> {
    fn default() -> ExpiringMap<V> {
        ExpiringMap(HashMap::new())
    }
}

impl<V> ExpiringMap<V> {
    fn get(&mut self, key: u64) -> Option<&mut V> {
        let (value, since) = self.0.get_mut(&key)?;
        (since.elapsed() < MAX_AGE).then_some(value)
    }

    fn insert(&mut self, key: u64, value: V) {
        self.0.insert(key, (value, Instant::now()));
        if self.0.len() > MAX_ENTRIES {
            let oldest = self.0.iter().min_by_key(|(_, (_, since))| *since).map(|(key, _)| *key);
            oldest.map(|key| self.0.remove(&key));
        }
    }
}

impl State {
    /// The signature is mostly in the query, and changes.
    fn key(&self, url: &Url, file: &RemoteFile) -> u64 {
        self.hash((url.origin(), url.path(), file.len))
    }

    fn hash(&self, what: impl Hash) -> u64 {
        self.hasher.hash_one(what)
    }
}

impl HostMemory {
    /// As much as the host gives at once, if it was found to give less than it was asked for.
    pub(crate) fn chunk(&self, url: &Url) -> Option<u64> {
        let mut state = self.lock();
        let key = state.hash(url.origin());
        state.chunks.get(key).copied()
    }

    /// The host gives so much at once, and no more.
    pub(crate) fn set_chunk(&self, url: &Url, chunk: u64) {
        let mut state = self.lock();
        let key = state.hash(url.origin());
        state.chunks.insert(key, chunk);
    }

    /// Calls a file as it was called before, where that is the same file: another server may have
    /// another name for it. The fault if one should be asked that has the name of before; `may_ask`
    /// says whether that is to be tried, and `was_asked` whether it was.
    pub(crate) fn name(
        &self,
        url: &Url,
        file: &mut RemoteFile,
        may_ask: bool,
        was_asked: bool,
    ) -> Result<(), UpstreamError> {
        let len = |validators: &Validators| {
            let values = [&validators.etag, &validators.modified];
            values.into_iter().flatten().map(|value| value.len()).sum::<usize>()
        };
        let is_of_use = (1..=MAX_VALIDATOR_LEN).contains(&len(&file.validators));
        let mut state = self.lock();
        let key = state.key(url, file);
        let Some(name) = state.names.get(key) else {
            if file.len.is_some() && is_of_use {
                let name = Name { validators: file.validators.clone(), wavers: false };
                state.names.insert(key, name);
            }
            return Ok(());
        };
        match name.validators.compare(&file.validators) {
            ValidatorMatch::Same => name.wavers |= was_asked,
            ValidatorMatch::Weak if name.wavers => {}
            likeness => {
                let dates = [&name.validators.modified, &file.validators.modified];
                let is_plain = dates.iter().all(|date| date.is_some()) && dates[0] != dates[1];
                if may_ask && !(is_plain && likeness == ValidatorMatch::Different) {
                    return Err(UpstreamError::ValidatorsDisagree);
                }
                *name = Name { validators: file.validators.clone(), wavers: false };
            }
        }
        file.validators.clone_from(&name.validators);
        file.wavers = name.wavers;
        Ok(())
    }

    /// Bytes have shown that the same file has several names.
    pub(crate) fn mark_unstable(&self, url: &Url, file: &RemoteFile) {
        let mut state = self.lock();
        let key = state.key(url, file);
        if let Some(name) = state.names.get(key) {
            name.wavers = true;
        }
    }

    /// Whether it has.
    pub(crate) fn is_unstable(&self, url: &Url, file: &RemoteFile) -> bool {
        let mut state = self.lock();
        let key = state.key(url, file);
        state.names.get(key).is_some_and(|name| name.wavers && name.validators == file.validators)
    }

    /// Nothing here is left half-changed by a panic.
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
        RemoteFile { len: Some(7), ranged: true, validators, wavers: false }
    }

    fn url(number: usize) -> Url {
        Url::parse(&format!("http://films.example/{number}?sig={number}")).unwrap()
    }

    #[test]
    fn a_file_keeps_its_name_while_it_may_be_the_same() {
        let learned = HostMemory::default();
        let name = |etag, modified, may_ask, was_asked| {
            let mut file = file(etag, modified);
            let named = learned.name(&url(0), &mut file, may_ask, was_asked);
            named.map(|()| (file.validators.etag, file.wavers))
        };
        let called = |etag, wavers| Ok((Some(HeaderValue::from_static(etag)), wavers));
        assert_eq!(name(Some("a"), Some("x"), true, false), called("a", false));
        assert_eq!(name(Some("b"), Some("x"), true, false), Err(UpstreamError::ValidatorsDisagree));
        // It was not found again: it is another file.
        assert_eq!(name(Some("b"), Some("x"), false, true), called("b", false));
        assert_eq!(name(Some("a"), Some("x"), true, false), Err(UpstreamError::ValidatorsDisagree));
        assert_eq!(name(Some("b"), Some("x"), true, true), called("b", true));
        for etag in [Some("a"), Some("c"), None] {
            assert_eq!(name(etag, Some("x"), true, false), called("b", true));
        }
        assert_eq!(name(Some("c"), Some("y"), true, false), called("c", false));
        assert_eq!(name(Some("d"), None, true, false), Err(UpstreamError::ValidatorsDisagree));
    }

    #[test]
    fn the_last_ones_are_remembered() {
        let learned = HostMemory::default();
        for number in 0..2 * MAX_ENTRIES {
            learned.name(&url(number), &mut file(Some("a"), None), true, false).unwrap();
            learned.set_chunk(&Url::parse(&format!("http://{number}.example")).unwrap(), 1);
        }
        let state = learned.lock();
        assert_eq!((state.names.0.len(), state.chunks.0.len()), (MAX_ENTRIES, MAX_ENTRIES));
    }
}

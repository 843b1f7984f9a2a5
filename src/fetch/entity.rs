//! What is known of the file that is read, and what proves that a response is of it: validators, or
//! else bytes that were read before. Pure.

use std::mem::take;

use crate::fetch::cursor::Cursor;
use crate::fetch::fingerprint::{Fingerprint, OVERLAP};
use crate::http_client::{RemoteFile, Validators};

/// A file, as its first response or the caller described it.
pub(super) struct Entity {
    pub(super) file: RemoteFile,
    /// Whether the caller gave `file`; the first response must then match it.
    is_pinned: bool,
    /// Whether the location was refreshed and the validators are not known there yet.
    has_new_location: bool,
    /// The last bytes read, and those read earlier or elsewhere in the file: the upstream must send
    /// them again unchanged.
    pub(super) recent_bytes: Fingerprint,
    pub(super) fingerprints: Vec<Fingerprint>,
}

impl Entity {
    /// Makes the entity of a first response.
    pub(super) fn new(file: RemoteFile) -> Entity {
        Entity {
            file,
            is_pinned: false,
            has_new_location: false,
            recent_bytes: Fingerprint::default(),
            fingerprints: Vec::new(),
        }
    }

    /// Makes the entity that the caller expects.
    pub(super) fn pinned(file: RemoteFile) -> Entity {
        Entity { is_pinned: true, ..Entity::new(file) }
    }

    /// Returns whether an ETag proves that the file is the same.
    pub(super) fn has_validator(&self) -> bool {
        self.file.validators.etag.is_some() && !self.file.validators_vary
    }

    /// Returns whether the bytes before the cursor were read by this process, and not spliced past
    /// it.
    pub(super) fn has_tail(&self, cursor: &Cursor) -> bool {
        let expected = cursor.progress().min(OVERLAP as u64);
        self.recent_bytes.end() == cursor.offset && self.recent_bytes.len() >= expected
    }

    /// Returns how many bytes before `from` to request again and compare: none where an ETag proves
    /// that the file is the same.
    pub(super) fn overlap(&self, cursor: &Cursor, from: u64) -> u64 {
        if self.has_validator() { 0 } else { (from - cursor.start).min(OVERLAP as u64) }
    }

    /// Stores the recent bytes before reading moves elsewhere in the file: if no validator proves
    /// that the next response is of the same file, they are fetched and compared once more.
    pub(super) fn stash_fingerprint(&mut self) {
        let tail = take(&mut self.recent_bytes);
        if self.file.validators.best().is_none() && tail.len() > 0 {
            self.fingerprints.push(tail);
        }
    }

    /// Prepares for a new location: the file there must have the same length and repeat the bytes
    /// before the break. Where no bytes were read, the validators that the client was given decide.
    pub(super) fn relocate(&mut self, cursor: &Cursor) {
        if cursor.progress() > 0 || (cursor.start == 0 && !self.is_pinned) {
            self.file.validators = Validators::default();
            self.has_new_location = true;
        }
    }

    /// Takes over what a verified response shows: at a new location, the same file may have other
    /// validators.
    pub(super) fn observe(&mut self, file: RemoteFile) {
        if take(&mut self.has_new_location) {
            self.file.validators = file.validators;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::http::HeaderValue;

    fn file(etag: Option<&'static str>) -> RemoteFile {
        let validators = Validators { etag: etag.map(HeaderValue::from_static), modified: None };
        RemoteFile { len: Some(9000), ranged: true, validators, validators_vary: false }
    }

    #[test]
    fn bytes_are_compared_where_no_etag_decides() {
        let mut cursor = Cursor::over(100..9000);
        cursor.offset = 5000;
        let overlap = |entity: &Entity, from| entity.overlap(&cursor, from);
        assert_eq!(overlap(&Entity::new(file(Some("\"1\""))), 5000), 0);
        let mut varying = Entity::new(file(Some("\"1\"")));
        varying.file.validators_vary = true;
        for entity in [varying, Entity::new(file(None))] {
            assert_eq!((overlap(&entity, 5000), overlap(&entity, 150)), (1024, 50));
        }
    }

    #[test]
    fn what_was_read_is_stashed_unless_a_validator_decides() {
        for (etag, count) in [(None, 1), (Some("\"1\""), 0)] {
            let mut entity = Entity::new(file(etag));
            entity.recent_bytes.extend(b"abc", 3);
            entity.stash_fingerprint();
            entity.stash_fingerprint();
            assert_eq!(entity.fingerprints.len(), count);
        }
    }

    #[test]
    fn a_new_location_may_have_other_validators_once() {
        let mut entity = Entity::new(file(Some("\"1\"")));
        entity.relocate(&Cursor::default());
        assert_eq!(entity.file.validators, Validators::default());
        for etag in ["\"2\"", "\"3\""] {
            entity.observe(file(Some(etag)));
            assert_eq!(entity.file, file(Some("\"2\"")));
        }
        // Nothing was read: the caller's file is the only proof.
        let mut pinned = Entity::pinned(file(Some("\"1\"")));
        pinned.relocate(&Cursor::over(0..9000));
        assert_eq!(pinned.file, file(Some("\"1\"")));
    }

    #[test]
    fn bytes_that_were_spliced_cannot_be_compared() {
        let mut entity = Entity::new(file(None));
        let mut cursor = Cursor::over(0..9000);
        entity.recent_bytes.extend(b"abc", 3);
        cursor.offset = 3;
        assert!(entity.has_tail(&cursor));
        cursor.offset = 4;
        assert!(!entity.has_tail(&cursor));
    }
}

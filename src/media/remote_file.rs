//! What identifies the file behind a URL: its length and its validators. Pure.

use ureq::http::header::{self, HeaderMap, HeaderValue};

/// What is known of the file behind a URL after its first response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteFile {
    /// Length in bytes, if the upstream reports it.
    pub len: Option<u64>,
    /// Whether the upstream serves byte ranges of it.
    pub ranged: bool,
    /// What distinguishes this version from others under the same URL.
    pub validators: Validators,
    /// Whether its servers report different validators: then one of them may differ if the other
    /// matches, and neither is proof.
    pub validators_vary: bool,
}

impl RemoteFile {
    pub(crate) fn new(len: Option<u64>, ranged: bool, headers: &HeaderMap) -> RemoteFile {
        RemoteFile { len, ranged, validators: Validators::new(headers), validators_vary: false }
    }

    /// Makes the file that several files are, one after the other; `digest` tells them apart from
    /// others.
    pub(crate) fn joined(len: u64, digest: &[u8]) -> RemoteFile {
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let etag = HeaderValue::from_str(&format!("\"{hex}\"")).ok();
        let validators = Validators { etag, modified: None };
        RemoteFile { len: Some(len), ranged: true, validators, validators_vary: false }
    }

    /// Returns the length and validators as bytes, which identify the file as far as its upstream
    /// describes it.
    pub fn identity(&self) -> Vec<u8> {
        let text = |value: &Option<HeaderValue>| value.as_ref().map(|v| v.as_bytes().to_vec());
        let len = self.len.map(|len| len.to_string().into_bytes());
        // A field value holds no line feed.
        let fields = [len, text(&self.validators.etag), text(&self.validators.modified)];
        fields.map(Option::unwrap_or_default).join(&b'\n')
    }
}

/// The validators of a file (RFC 9110 §8.8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// The ETag, unless it is weak.
    pub etag: Option<HeaderValue>,
    /// The Last-Modified date as received. Its resolution is one second, so two versions may share
    /// it.
    pub modified: Option<HeaderValue>,
}

impl Validators {
    fn new(headers: &HeaderMap) -> Validators {
        let etag = headers.get(header::ETAG).filter(|value| value.as_bytes().starts_with(b"\""));
        Validators { etag: etag.cloned(), modified: headers.get(header::LAST_MODIFIED).cloned() }
    }

    /// Returns the stronger validator, for If-Range (RFC 9110 §13.1.5).
    pub fn best(&self) -> Option<&HeaderValue> {
        self.etag.as_ref().or(self.modified.as_ref())
    }

    /// Compares the validators of two responses.
    pub(crate) fn compare(&self, other: &Validators) -> ValidatorMatch {
        let pairs = [(&self.etag, &other.etag), (&self.modified, &other.modified)];
        let same = pairs.map(|pair| match pair {
            (Some(one), Some(other)) => Some(one == other),
            _ => None,
        });
        match same {
            [Some(true), Some(false)] | [Some(false), Some(true)] => ValidatorMatch::Weak,
            [Some(true), _] => ValidatorMatch::Same,
            [Some(false), _] | [_, Some(false)] => ValidatorMatch::Different,
            // A date does not replace an ETag that is missing.
            [None, Some(true)] if self.etag.is_some() => ValidatorMatch::Weak,
            [None, Some(true)] => ValidatorMatch::Same,
            [None, None] => ValidatorMatch::Unknown,
        }
    }
}

/// What two pairs of validators say of their files, if these have the same length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValidatorMatch {
    /// The files are the same.
    Same,
    /// One validator is the same, and the other differs or is missing.
    Weak,
    /// The files differ.
    Different,
    /// There is nothing to compare.
    Unknown,
}

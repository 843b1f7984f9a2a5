//! Proves that a file is still the same where no validator does: refetches bytes that were read
//! before and compares them.

use std::mem::take;
use std::time::Instant;

use crate::error::{Error, UpstreamError};
use crate::fetch::TrackReader;
use crate::http_client::body::RangeBody;
use crate::http_client::request::{RangeRequest, RangeResponse};
use crate::http_client::validate::MAX_SKIP;

/// Number of trailing bytes that are compared.
const OVERLAP: usize = 1 << 10;

const REPLACED: UpstreamError =
    UpstreamError::EntityChanged("bytes read earlier are different now");

/// Some bytes of the file and their offset.
#[derive(Debug, Clone, Default)]
pub(super) struct Fingerprint {
    /// At most [`OVERLAP`] bytes.
    bytes: Vec<u8>,
    /// Offset of their end.
    end: u64,
}

impl Fingerprint {
    /// Appends `bytes`, which end at offset `end`.
    pub(super) fn extend(&mut self, bytes: &[u8], end: u64) {
        let excess = (self.bytes.len() + bytes.len()).saturating_sub(OVERLAP);
        self.bytes.drain(..excess.min(self.bytes.len()));
        self.bytes.extend(&bytes[bytes.len().saturating_sub(OVERLAP)..]);
        self.end = end;
    }

    /// Returns the last `count` bytes.
    fn last(&self, count: u64) -> &[u8] {
        let from = self.bytes.len().saturating_sub(usize::try_from(count).unwrap_or(OVERLAP));
        &self.bytes[from..]
    }
}

impl TrackReader<'_, '_> {
    /// Returns whether an ETag proves that the file is the same.
    pub(super) fn has_validator(&self) -> bool {
        self.file().validators.etag.is_some() && !self.file().validators_vary
    }

    /// Returns whether the bytes before the current offset were read by this process, and not
    /// spliced past it.
    pub(super) fn has_tail(&self) -> bool {
        let expected = (self.offset - self.start).min(OVERLAP as u64);
        self.recent_bytes.end == self.offset && self.recent_bytes.bytes.len() as u64 >= expected
    }

    /// Returns how many bytes before `from` to request again and compare: none where an ETag proves
    /// that the file is the same.
    pub(super) fn overlap(&self, from: u64) -> u64 {
        if self.has_validator() { 0 } else { (from - self.start).min(OVERLAP as u64) }
    }

    /// Compares the overlapping bytes of `body` with those read before. Returns `false` if `body`
    /// does not continue at the current offset.
    pub(super) fn verify(&mut self, body: &mut RangeBody) -> Result<bool, UpstreamError> {
        let overlap = self.overlap(self.offset);
        let skipped = (self.offset - overlap).checked_sub(body.start);
        let Some(skipped) = skipped.filter(|skipped| *skipped <= MAX_SKIP) else {
            return Ok(false);
        };
        self.skip(body, skipped)?;
        let expected = self.recent_bytes.last(overlap);
        if expected.len() as u64 != overlap || !self.matches(body, expected)? {
            return Err(UpstreamError::EntityChanged(
                "the bytes before the break are different now",
            ));
        }
        // A body that holds only the overlap would be requested again and again.
        if overlap > 0 && body.end.is_some_and(|end| end <= self.offset) {
            return Err(UpstreamError::WrongRange);
        }
        // Checked only after a response of the file has come: otherwise the bytes might be of
        // another file than that response.
        for fingerprint in &self.fingerprints {
            if !self.is_unchanged(fingerprint)? {
                return Err(REPLACED);
            }
        }
        self.fingerprints.clear();
        Ok(true)
    }

    /// Stores the recent bytes before reading moves elsewhere in the file: if no validator proves
    /// that the next response is of the same file, they are fetched and compared once more.
    pub(super) fn stash_fingerprint(&mut self) {
        let tail = take(&mut self.recent_bytes);
        if self.file().validators.best().is_none() && !tail.bytes.is_empty() {
            self.fingerprints.push(tail);
        }
    }

    /// Takes over the fingerprints of another reader of the same file, and compares the bytes that
    /// this reader read before with what the upstream sends now.
    pub fn absorb(&mut self, mut other: TrackReader<'_, '_>) -> Result<(), Error> {
        other.stash_fingerprint();
        self.fingerprints = take(&mut other.fingerprints);
        // The next request finds its connection in the pool.
        other.body.map(RangeBody::drain_for_reuse);
        while !self.fingerprints.is_empty() {
            match self.is_unchanged(&self.recent_bytes) {
                Ok(true) => break,
                Ok(false) => return Err(self.failed(REPLACED)),
                Err(fault) => self.retry_or_fail(fault)?,
            }
        }
        Ok(())
    }

    fn is_unchanged(&self, fingerprint: &Fingerprint) -> Result<bool, UpstreamError> {
        let from = fingerprint.end - fingerprint.bytes.len() as u64;
        let request = self.build_request(self.offset);
        let range = Some(from..fingerprint.end);
        let request = RangeRequest { range, may_reuse: true, ..request };
        let RangeResponse { mut body, .. } = request.fetch()?;
        let skipped = from.saturating_sub(body.start);
        self.skip(&mut body, skipped)?;
        let repeats = self.matches(&mut body, &fingerprint.bytes);
        body.drain_for_reuse();
        repeats
    }

    /// Returns whether the next bytes of `body` are `expected`.
    fn matches(&self, body: &mut RangeBody, expected: &[u8]) -> Result<bool, UpstreamError> {
        let mut bytes = vec![0; expected.len()];
        self.fill(body, &mut bytes, Instant::now())?;
        Ok(bytes == expected)
    }

    /// Discards the bytes of a response that precede the requested range.
    fn skip(&self, body: &mut RangeBody, mut count: u64) -> Result<(), UpstreamError> {
        let mut buffer = [0; 16 << 10];
        let started = Instant::now();
        while count > 0 {
            let len = usize::try_from(count).unwrap_or(usize::MAX).min(buffer.len());
            self.fill(body, &mut buffer[..len], started)?;
            count -= len as u64;
        }
        Ok(())
    }

    fn fill(
        &self,
        body: &mut RangeBody,
        bytes: &mut [u8],
        started: Instant,
    ) -> Result<(), UpstreamError> {
        let limit = self.upstream.stall_timeout;
        let mut filled = 0;
        while filled < bytes.len() {
            // The stall timeout limits the total: a byte within each timeout would take hours.
            if started.elapsed() > limit {
                return Err(UpstreamError::Timeout("while reading", limit));
            }
            match body.read(&mut bytes[filled..])? {
                0 => return Err(UpstreamError::WrongRange),
                count => filled += count,
            }
        }
        Ok(())
    }
}

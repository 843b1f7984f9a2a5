//! That it is still the same file: where no validator proves it, what was seen of it before is
//! fetched again and compared.

use std::mem::take;
use std::time::Instant;

use crate::error::{Error, UpstreamError};
use crate::fetch::TrackReader;
use crate::http_client::body::RangeBody;
use crate::http_client::request::{RangeRequest, RangeResponse};
use crate::http_client::validate::MAX_SKIP;

/// The last bytes of what was seen that are compared.
const OVERLAP: usize = 1 << 10;

const REPLACED: UpstreamError =
    UpstreamError::EntityChanged("what was looked at in it is not there any more");

/// Bytes of the file that were seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Fingerprint {
    /// At most [`OVERLAP`] of them.
    bytes: Vec<u8>,
    /// Where they end.
    end: u64,
}

impl Fingerprint {
    /// More was seen, up to `end`.
    pub(super) fn extend(&mut self, bytes: &[u8], end: u64) {
        let excess = (self.bytes.len() + bytes.len()).saturating_sub(OVERLAP);
        self.bytes.drain(..excess.min(self.bytes.len()));
        self.bytes.extend(&bytes[bytes.len().saturating_sub(OVERLAP)..]);
        self.end = end;
    }

    /// The last `count` of them.
    fn last(&self, count: u64) -> &[u8] {
        let from = self.bytes.len().saturating_sub(usize::try_from(count).unwrap_or(OVERLAP));
        &self.bytes[from..]
    }
}

impl TrackReader<'_, '_> {
    /// Whether an ETag proves that it is the same file.
    pub(super) fn has_validator(&self) -> bool {
        self.file().validators.etag.is_some() && !self.file().wavers
    }

    /// Whether the bytes before the next one were seen, and did not pass by.
    pub(super) fn has_tail(&self) -> bool {
        let wanted = (self.offset - self.begin).min(OVERLAP as u64);
        self.recent_bytes.end == self.offset && self.recent_bytes.bytes.len() as u64 >= wanted
    }

    /// How many of the bytes before `from` are to be asked for again, and compared: where an ETag
    /// proves that it is the same file, none.
    pub(super) fn overlap(&self, from: u64) -> u64 {
        if self.has_validator() { 0 } else { (from - self.begin).min(OVERLAP as u64) }
    }

    /// Compares the bytes of a part that were read before; `false` if it does not go on where the
    /// last one ended.
    pub(super) fn verify(&mut self, part: &mut RangeBody) -> Result<bool, UpstreamError> {
        let overlap = self.overlap(self.offset);
        let early = (self.offset - overlap).checked_sub(part.begin);
        let Some(early) = early.filter(|early| *early <= MAX_SKIP) else { return Ok(false) };
        self.skip(part, early)?;
        let known = self.recent_bytes.last(overlap);
        if known.len() as u64 != overlap || !self.matches(part, known)? {
            return Err(UpstreamError::EntityChanged(
                "it repeats the bytes before a break differently",
            ));
        }
        // One that has nothing else in it would be asked for again and again.
        if overlap > 0 && part.end.is_some_and(|end| end <= self.offset) {
            return Err(UpstreamError::WrongRange);
        }
        // After the answer to which they belong, or it might be of another file than they.
        for seen in &self.fingerprints {
            if !self.is_unchanged(seen)? {
                return Err(REPLACED);
            }
        }
        self.fingerprints.clear();
        Ok(true)
    }

    /// What was seen of the file up to now lies elsewhere: if nothing else proves that what comes
    /// next is of the same file, it is looked at once more.
    pub(super) fn stash_fingerprint(&mut self) {
        let tail = take(&mut self.recent_bytes);
        if self.file().validators.best().is_none() && !tail.bytes.is_empty() {
            self.fingerprints.push(tail);
        }
    }

    /// Another source has seen something of the file, which must still be the same: what was seen
    /// before it is looked at once more, now, and what it has seen later.
    pub fn absorb(&mut self, mut other: TrackReader<'_, '_>) -> Result<(), Error> {
        other.stash_fingerprint();
        self.fingerprints = take(&mut other.fingerprints);
        // Its connection is of use now.
        drop(other);
        while !self.fingerprints.is_empty() {
            match self.is_unchanged(&self.recent_bytes) {
                Ok(true) => break,
                Ok(false) => return Err(self.failed(REPLACED)),
                Err(fault) => self.retry_or_fail(fault)?,
            }
        }
        Ok(())
    }

    fn is_unchanged(&self, seen: &Fingerprint) -> Result<bool, UpstreamError> {
        let from = seen.end - seen.bytes.len() as u64;
        let client = self.client_for_prefetch();
        let question = self.build_request(self.offset, client.clone());
        let question = RangeRequest { range: Some(from..seen.end), ..question };
        let RangeResponse { body: mut part, .. } = question.send()?;
        let early = from.saturating_sub(part.begin);
        self.skip(&mut part, early)?;
        let repeats = self.matches(&mut part, &seen.bytes);
        part.drain_for_reuse();
        self.upstream.idle_clients.put_back(&client, &self.location.url);
        repeats
    }

    /// Whether a part goes on with bytes that are known.
    fn matches(&self, part: &mut RangeBody, known: &[u8]) -> Result<bool, UpstreamError> {
        let mut bytes = vec![0; known.len()];
        self.fill(part, &mut bytes, Instant::now())?;
        Ok(bytes == known)
    }

    /// Reads what an answer brings in front of what was asked for.
    fn skip(&self, part: &mut RangeBody, mut count: u64) -> Result<(), UpstreamError> {
        let mut room = [0; 16 << 10];
        let begun = Instant::now();
        while count > 0 {
            let some = usize::try_from(count).unwrap_or(usize::MAX).min(room.len());
            self.fill(part, &mut room[..some], begun)?;
            count -= some as u64;
        }
        Ok(())
    }

    fn fill(
        &self,
        part: &mut RangeBody,
        bytes: &mut [u8],
        begun: Instant,
    ) -> Result<(), UpstreamError> {
        let limit = self.upstream.stall_timeout;
        let mut filled = 0;
        while filled < bytes.len() {
            // Each byte in time would be hours for all.
            if begun.elapsed() > limit {
                return Err(UpstreamError::Timeout("while reading", limit));
            }
            match part.read(&mut bytes[filled..])? {
                0 => return Err(UpstreamError::WrongRange),
                count => filled += count,
            }
        }
        Ok(())
    }
}

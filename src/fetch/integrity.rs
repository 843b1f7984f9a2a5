//! Proves that a file is still the same where no validator does: refetches bytes that were read
//! before and compares them.

use std::time::Instant;

use crate::error::UpstreamError;
use crate::fetch::cursor::Cursor;
use crate::fetch::entity::Entity;
use crate::fetch::fingerprint::Fingerprint;
use crate::fetch::requester::Requester;
use crate::http_client::body::RangeBody;
use crate::http_client::request::{RangeRequest, RangeResponse};
use crate::http_client::validate::MAX_SKIP;

pub(super) const REPLACED: UpstreamError =
    UpstreamError::EntityChanged("bytes read earlier are different now");

impl Requester<'_> {
    /// Compares the overlapping bytes of `body` with those read before. Returns `false` if `body`
    /// does not continue at the cursor.
    pub(super) fn verify(
        &self,
        entity: &mut Entity,
        cursor: &Cursor,
        body: &mut RangeBody,
    ) -> Result<bool, UpstreamError> {
        let overlap = entity.overlap(cursor, cursor.offset);
        let skipped = (cursor.offset - overlap).checked_sub(body.start);
        let Some(skipped) = skipped.filter(|skipped| *skipped <= MAX_SKIP) else {
            return Ok(false);
        };
        self.skip(body, skipped)?;
        let expected = entity.recent_bytes.last(overlap);
        if expected.len() as u64 != overlap || !self.matches(body, expected)? {
            return Err(UpstreamError::EntityChanged(
                "the bytes before the break are different now",
            ));
        }
        // A body that holds only the overlap would be requested again and again.
        if overlap > 0 && body.end.is_some_and(|end| end <= cursor.offset) {
            return Err(UpstreamError::WrongRange);
        }
        // Checked only after a response of the file has come: otherwise the bytes might be of
        // another file than that response.
        for fingerprint in &entity.fingerprints {
            if !self.is_unchanged(fingerprint, entity, cursor)? {
                return Err(REPLACED);
            }
        }
        entity.fingerprints.clear();
        Ok(true)
    }

    /// Returns whether the upstream still sends the bytes of `fingerprint`.
    pub(super) fn is_unchanged(
        &self,
        fingerprint: &Fingerprint,
        entity: &Entity,
        cursor: &Cursor,
    ) -> Result<bool, UpstreamError> {
        let from = fingerprint.start();
        let request = self.request(Some(entity), cursor, cursor.offset);
        let range = Some(from..fingerprint.end());
        let request = RangeRequest { range, may_reuse: true, ..request };
        let RangeResponse { mut body, .. } = request.fetch()?;
        let skipped = from.saturating_sub(body.start);
        self.skip(&mut body, skipped)?;
        let repeats = self.matches(&mut body, fingerprint.bytes());
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

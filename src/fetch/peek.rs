//! Peeks at the first bytes of a track before the caller knows which ranges of the track to read.

use std::mem::take;
use std::ops::Range;
use std::time::Instant;

use crate::error::Error;
use crate::fetch::TrackReader;
use crate::fetch::prefetch::MIN_REQUEST_SIZE;
use crate::http_client::body::RangeBody;

impl TrackReader<'_, '_> {
    /// Returns the bytes peeked at so far.
    pub fn peeked(&self) -> &[u8] {
        &self.peeked
    }

    /// Announces that the caller needs the next `len` bytes at once: they are requested in one
    /// range, up to the maximum request size. 0 withdraws the hint.
    pub fn set_size_hint(&mut self, len: u64) {
        self.size_hint = if len > 0 { len.max(MIN_REQUEST_SIZE) } else { 0 };
    }

    /// Peeks at more bytes, up to `limit` in total; returns `false` at the end of the track.
    pub fn fill_peeked(&mut self, limit: usize) -> Result<bool, Error> {
        const STEP: usize = 64 << 10;
        let old_len = self.peeked.len();
        let wanted = STEP.min(limit.saturating_sub(old_len));
        self.peeked.resize(old_len + wanted, 0);
        let mut bytes = take(&mut self.peeked);
        let count = self.read_with_retry(&mut bytes[old_len..]);
        bytes.truncate(old_len + count.as_ref().copied().unwrap_or(0));
        self.peeked = bytes;
        Ok(count? > 0)
    }

    /// Takes the peeked bytes, which precede the first [`read`](TrackReader::read).
    pub fn take_peeked(&mut self) -> Vec<u8> {
        take(&mut self.peeked)
    }

    /// Returns whether every byte of the range was read.
    pub fn is_over(&self) -> bool {
        self.remaining() == Some(0)
    }

    /// Restricts reading to `range`, which follows the range before, and returns the size of the
    /// gap between them. Peeked bytes may lie beyond it.
    pub fn continue_with(&mut self, range: Range<u64>) -> u64 {
        let gap = range.start.saturating_sub(self.end.unwrap_or(self.offset));
        self.restrict_to(range);
        gap
    }

    /// Restricts reading to `range` of a file that supports ranges.
    pub fn restrict_to(&mut self, range: Range<u64>) {
        self.end = Some(range.end);
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.peeked.len());
        let (from, to) = (index(range.start), index(range.end));
        if from as u64 == range.start || range.start == self.offset {
            self.peeked.truncate(to);
            self.peeked.drain(..from);
            // The bytes may be many, and are sent much later.
            self.peeked.shrink_to_fit();
            // How quickly it is read shows from now on.
            self.rate_window = [(Instant::now(), self.offset); 2];
        } else {
            // A connection whose response was read to the end serves the next request.
            if self.body.take().map_or(self.prefetched.is_empty(), RangeBody::drain_for_reuse) {
                self.prefetched.clear();
            } else {
                self.drop_connections();
            }
            self.peeked = Vec::new();
            self.stash_fingerprint();
            self.begin_at(range.start);
        }
    }
}

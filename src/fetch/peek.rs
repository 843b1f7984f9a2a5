//! The head of a track: what is looked at before it is known what of the track is wanted.

use std::mem::take;
use std::ops::Range;
use std::time::Instant;

use crate::error::Error;
use crate::fetch::TrackReader;
use crate::fetch::prefetch::MIN_REQUEST_SIZE;
use crate::http_client::body::RangeBody;

impl TrackReader<'_, '_> {
    /// The bytes looked at so far.
    pub fn peeked(&self) -> &[u8] {
        &self.peeked
    }

    /// So much is wanted of what comes next, and at once: it is asked for in one part, if it may be.
    /// 0 if that is not so any more.
    pub fn set_size_hint(&mut self, len: u64) {
        self.size_hint = if len > 0 { len.max(MIN_REQUEST_SIZE) } else { 0 };
    }

    /// Looks at more bytes, up to `limit` in all, as they come; `false` when there are none to be
    /// had.
    pub fn fill_peeked(&mut self, limit: usize) -> Result<bool, Error> {
        const STEP: usize = 64 << 10;
        let old = self.peeked.len();
        let wanted = STEP.min(limit.saturating_sub(old));
        self.peeked.resize(old + wanted, 0);
        let mut head = take(&mut self.peeked);
        let count = self.read_with_retry(&mut head[old..]);
        head.truncate(old + count.as_ref().copied().unwrap_or(0));
        self.peeked = head;
        Ok(count? > 0)
    }

    /// What was looked at, to be passed on before the first [`fetch`](TrackReader::read).
    pub fn take_peeked(&mut self) -> Vec<u8> {
        take(&mut self.peeked)
    }

    /// Whether everything was read that is to be had.
    pub fn is_over(&self) -> bool {
        self.remaining() == Some(0)
    }

    /// From now on only these bytes, which come behind the last ones of those that were wanted before;
    /// how many are between. What was looked at may have gone beyond them.
    pub fn continue_with(&mut self, part: Range<u64>) -> u64 {
        let passed = part.start.saturating_sub(self.end.unwrap_or(self.offset));
        self.restrict_to(part);
        passed
    }

    /// From now on only these bytes of a file whose parts can be asked for.
    pub fn restrict_to(&mut self, part: Range<u64>) {
        self.end = Some(part.end);
        let seen = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.peeked.len());
        let (from, to) = (seen(part.start), seen(part.end));
        if from as u64 == part.start || part.start == self.offset {
            self.peeked.truncate(to);
            self.peeked.drain(..from);
            // It may have been long, and is sent much later.
            self.peeked.shrink_to_fit();
            // How quickly it is read shows from now on.
            self.since = [(Instant::now(), self.offset); 2];
        } else {
            // A connection on which everything was read is of use for it.
            if self.body.take().map_or(self.prefetched.is_empty(), RangeBody::drain_for_reuse) {
                self.prefetched.clear();
            } else {
                self.drop_connections();
            }
            self.peeked = Vec::new();
            self.stash_fingerprint();
            self.begin_at(part.start);
        }
    }
}

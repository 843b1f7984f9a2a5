//! Moves the next bytes of a track from its connection into a pipe by splice(2), without copying
//! them through this process.

use std::time::Instant;

use crate::error::{Error, UpstreamError};
use crate::fetch::TrackReader;
use crate::fetch::fingerprint::Fingerprint;
use crate::http_client::body::RangeBody;
use crate::sys::SplicePipe;

impl TrackReader<'_, '_> {
    /// Returns whether [`splice_into`](TrackReader::splice_into) can move the next bytes.
    pub fn can_splice(&self) -> bool {
        // Where nothing else proves that the bytes after a break are of the same file, the bytes
        // before it are compared, and so must be read.
        let proven = self.has_validator() && self.refresh.is_none();
        proven && self.peeked.is_empty() && self.body.as_ref().is_some_and(RangeBody::can_splice)
    }

    /// Moves up to `max_len` of the next bytes into `pipe`. Returns 0 where they must be
    /// [read](TrackReader::read).
    pub fn splice_into(&mut self, pipe: &SplicePipe, max_len: u64) -> Result<usize, Error> {
        let max_len = max_len.min(self.remaining().unwrap_or(0));
        if !self.can_splice() {
            return Ok(0);
        }
        let Some(body) = &mut self.body else { return Ok(0) };
        let started = Instant::now();
        let count = match body.splice_into(pipe, max_len) {
            Ok(0) => return Ok(0),
            Ok(count) => count,
            Err(fault) => return self.recover(fault).map(|()| 0),
        };
        self.advance(count);
        self.recent_bytes = Fingerprint::default();
        // Bytes that have arrived are good, however slowly they came.
        if let Err(rate) = self.throughput.record(count, started.elapsed()) {
            self.recover(UpstreamError::Slow(rate))?;
        }
        self.prefetch();
        Ok(count)
    }
}

//! The next bytes of a track, unseen: from its connection right into a conduit.

use std::time::Instant;

use crate::error::{Error, UpstreamError};
use crate::fetch::TrackReader;
use crate::fetch::fingerprint::Fingerprint;
use crate::http_client::body::RangeBody;
use crate::sys::SplicePipe;

impl TrackReader<'_, '_> {
    /// Whether the next bytes can be [poured](TrackReader::splice_into).
    pub fn can_splice(&self) -> bool {
        // Where nothing else proves that what comes after a break is of the same file, the bytes
        // before it are compared, and so must be seen.
        let proven = self.has_validator() && self.refresh.is_none();
        proven && self.peeked.is_empty() && self.body.as_ref().is_some_and(RangeBody::can_splice)
    }

    /// Takes up to `most` of the next bytes into `conduit`, unseen; none where they must be
    /// [fetched](TrackReader::read).
    pub fn splice_into(&mut self, conduit: &SplicePipe, most: u64) -> Result<usize, Error> {
        let most = most.min(self.remaining().unwrap_or(0));
        if !self.can_splice() {
            return Ok(0);
        }
        let Some(part) = &mut self.body else { return Ok(0) };
        let asked = Instant::now();
        let count = match part.splice_into(conduit, most) {
            Ok(0) => return Ok(0),
            Ok(count) => count,
            Err(fault) => return self.recover(fault).map(|()| 0),
        };
        self.advance(count);
        self.recent_bytes = Fingerprint::default();
        // What has come is good, however slowly it came.
        if let Err(rate) = self.pace.record(count, asked.elapsed()) {
            self.recover(UpstreamError::Slow(rate))?;
        }
        self.prefetch();
        Ok(count)
    }
}

//! Reads ranges of a remote file by requests of their own, also several at a time.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::super::DownloadContext;
use super::heads::SegmentHeads;
use crate::error::{Error, Unsupported, UpstreamError};
use crate::fetch::TrackReader;
use crate::http_client::RemoteFile;
use crate::media::Track;
use crate::splice::{NextRead, SurveyError};

const TOO_SLOW: Unsupported = Unsupported("its index took too long to read (muxer.plan_timeout)");

pub(super) fn check_deadline(deadline: Instant) -> Result<(), Unsupported> {
    if Instant::now() > deadline { Err(TOO_SLOW) } else { Ok(()) }
}

/// The progress of parallel chains of reads along a file.
pub(super) struct ScanProgress {
    started: Instant,
    /// The available time.
    limit: Duration,
    /// The length of the file without the extents of the first read of each chain, which are longer than
    /// those of later reads.
    total: AtomicU64,
    /// How much of that was scanned.
    scanned: AtomicU64,
}

impl ScanProgress {
    pub(super) fn new(deadline: Instant, total: u64) -> ScanProgress {
        let started = Instant::now();
        let limit = deadline.saturating_duration_since(started);
        ScanProgress { started, limit, total: AtomicU64::new(total), scanned: AtomicU64::new(0) }
    }

    /// Records the extent of one read.
    fn record(&self, bytes: u64, is_first: bool) {
        if is_first {
            let rest = |total: u64| Some(total.saturating_sub(bytes));
            // The closure always returns a value.
            self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).ok();
        } else {
            self.scanned.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Whether a quarter of the time has passed, and at this rate the file takes more than twice the limit.
    fn is_hopeless(&self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.started);
        let scanned = self.scanned.load(Ordering::Relaxed) as f64;
        let total = self.total.load(Ordering::Relaxed) as f64;
        elapsed > self.limit / 4
            && elapsed.as_secs_f64() * total > 2.0 * self.limit.as_secs_f64() * scanned
    }
}

/// Reads ranges of a file on any thread.
pub(super) struct RemoteReads<'scope, 'env> {
    pub(super) context: DownloadContext<'scope, 'env>,
    pub(super) track: Track,
    pub(super) file: RemoteFile,
    /// What need not be requested.
    pub(super) heads: Arc<SegmentHeads>,
    pub(super) deadline: Instant,
}

impl<'scope, 'env> RemoteReads<'scope, 'env> {
    /// Reads a range, with a source that is done with another one, or with a new source, which is
    /// returned; with none if the bytes came before.
    pub(super) fn read(
        &self,
        source: Option<TrackReader<'scope, 'env>>,
        range: Range<u64>,
    ) -> Result<(Option<TrackReader<'scope, 'env>>, Vec<u8>), SurveyError> {
        if let Some(bytes) = self.heads.get(&range) {
            return Ok((source, bytes));
        }
        let DownloadContext { scope, app, cancel, .. } = self.context;
        let (start, len) = (range.start, range.end - range.start);
        let mut source = match source {
            Some(mut source) => {
                source.restrict_to(range);
                source
            }
            None => TrackReader::open_range(
                scope,
                &app.upstream,
                &self.track,
                range,
                len,
                &self.file,
                cancel,
            )?,
        };
        let mut bytes = vec![0; len as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            check_deadline(self.deadline)?;
            match source.read(&mut bytes[filled..])? {
                0 => return Err(self.truncated(start + filled as u64)),
                count => filled += count,
            }
        }
        Ok((Some(source), bytes))
    }

    /// Reads a chain, in which each read tells the range of the next, until it ends, another chain fails,
    /// or it cannot end in time.
    pub(super) fn read_chain(
        &self,
        chain: usize,
        begin: Range<u64>,
        next: &NextRead<'_>,
        scan: &ScanProgress,
        is_over: &AtomicBool,
    ) -> Result<Option<TrackReader<'scope, 'env>>, SurveyError> {
        let (first, mut source, mut next_range) = (begin.start, None, Some(begin));
        while let Some(range) = next_range.filter(|_| !is_over.load(Ordering::Relaxed)) {
            let at = range.start;
            let (used, bytes) = self.read(source, range)?;
            source = used;
            next_range = next(chain, at, &bytes)?;
            let extent = next_range.as_ref().map_or(0, |next| next.start.saturating_sub(at));
            scan.record(extent, at == first);
            if next_range.is_some() && scan.is_hopeless(Instant::now()) {
                return Err(TOO_SLOW.into());
            }
        }
        Ok(source)
    }

    /// The error of a source that ended early without an error.
    pub(super) fn truncated(&self, received: u64) -> SurveyError {
        let fault = UpstreamError::Truncated { received, announced: self.file.len };
        Error::Upstream { track: self.track.kind, fault }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_is_given_up_late_and_only_if_it_is_far_too_slow() {
        let scan = ScanProgress::new(Instant::now() + Duration::from_secs(20), 1500);
        scan.record(500, true);
        let after = |scanned: u64, seconds: u64| {
            scan.scanned.store(scanned, Ordering::Relaxed);
            scan.is_hopeless(scan.started + Duration::from_secs(seconds))
        };
        assert!(!after(0, 4), "it has hardly started");
        assert!(after(0, 6) && after(100, 6));
        // 30 s in total at this rate, which may still improve.
        assert!(!after(200, 6) && !after(500, 15));
        assert!(after(300, 15));
    }
}

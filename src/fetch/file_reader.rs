//! The reader of a file whose upstream has responded.

use std::mem::take;
use std::ops::Range;
use std::thread::Scope;
use std::time::{Duration, Instant};

use crate::error::{Error, UpstreamError};
use crate::fetch::cursor::Cursor;
use crate::fetch::entity::Entity;
use crate::fetch::fingerprint::Fingerprint;
use crate::fetch::integrity::REPLACED;
use crate::fetch::prefetch::Prefetcher;
use crate::fetch::requester::Requester;
use crate::fetch::throughput::ThroughputMonitor;
use crate::http_client::body::{DRAIN_TIMEOUT, RangeBody};
use crate::http_client::{RemoteFile, UpstreamClient};
use crate::media::{Track, TrackKind};
use crate::sys::SplicePipe;

/// Reads one file.
pub struct FileReader<'scope, 'env> {
    requester: Requester<'scope>,
    entity: Entity,
    cursor: Cursor,
    body: Option<RangeBody>,
    prefetcher: Prefetcher<'scope, 'env>,
    throughput: ThroughputMonitor,
}

impl<'scope, 'env> FileReader<'scope, 'env> {
    /// Begins to read at `body`, the first one of a file, if any byte of it is needed.
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        requester: Requester<'scope>,
        entity: Entity,
        cursor: Cursor,
        body: Option<RangeBody>,
    ) -> FileReader<'scope, 'env> {
        let UpstreamClient { min_throughput, stall_timeout, .. } = *requester.upstream;
        let throughput = ThroughputMonitor::new(min_throughput, stall_timeout);
        let prefetcher = Prefetcher::new(scope);
        FileReader { requester, entity, cursor, body, prefetcher, throughput }
    }

    /// Discards everything after bytes that turned out not to be the file, and requests the first
    /// `first` bytes from a refreshed location. Returns `false` if there is none.
    pub fn restart_from(&mut self, first: u64) -> Result<bool, Error> {
        self.drop_responses();
        (self.requester.target.effective_url, self.requester.may_reuse) = (None, false);
        self.cursor.move_to(0);
        self.requester.sizing.restart(0);
        if !self.requester.refreshed(None, &self.cursor) {
            return Ok(false);
        }
        self.cursor = Cursor::default();
        self.requester.sizing.set_size_hint(first);
        self.requester.back_off(Duration::ZERO)?;
        let (entity, body) = self.requester.open(None, &mut self.cursor)?;
        self.requester.sizing.set_size_hint(0);
        (self.entity, self.body) = (entity, Some(body));
        Ok(true)
    }

    /// Returns the kind of the track.
    pub fn track(&self) -> TrackKind {
        self.requester.track
    }

    /// Returns the track with its current location.
    pub fn as_track(&self) -> Track {
        self.requester.target.track(self.requester.track)
    }

    /// Returns the file as its upstream describes it.
    pub fn file(&self) -> &RemoteFile {
        &self.entity.file
    }

    /// Returns whether the first response was labelled as a web page.
    pub fn is_page(&self) -> bool {
        self.requester.is_page
    }

    /// Returns whether the reader is slower than its upstream, so that nothing is gained by reading much at a time.
    pub fn is_slow(&self) -> bool {
        self.requester.sizing.pace.is_slow(self.cursor.offset)
    }

    /// Returns whether every byte of the range was read.
    pub fn is_over(&self) -> bool {
        self.cursor.is_over()
    }

    /// Returns the bytes peeked at so far.
    pub fn peeked(&self) -> &[u8] {
        &self.cursor.peeked
    }

    /// Takes the peeked bytes, which precede the first [`read`](FileReader::read).
    pub fn take_peeked(&mut self) -> Vec<u8> {
        take(&mut self.cursor.peeked)
    }

    /// Announces that the caller needs the next `len` bytes at once: they are requested in one
    /// range, up to the maximum request size. 0 withdraws the hint.
    pub fn set_size_hint(&mut self, len: u64) {
        self.requester.sizing.set_size_hint(len);
    }

    /// Peeks at more bytes, up to `limit` in total, before the caller knows which ranges of the
    /// track to read; returns `false` at the end of the track.
    pub fn fill_peeked(&mut self, limit: usize) -> Result<bool, Error> {
        const STEP: usize = 64 << 10;
        let mut bytes = take(&mut self.cursor.peeked);
        let old_len = bytes.len();
        bytes.resize(old_len + STEP.min(limit.saturating_sub(old_len)), 0);
        let count = self.read_with_retry(&mut bytes[old_len..]);
        bytes.truncate(old_len + count.as_ref().copied().unwrap_or(0));
        self.cursor.peeked = bytes;
        Ok(count? > 0)
    }

    /// Restricts reading to `range` of a file that supports ranges. Peeked bytes may lie beyond it.
    pub fn restrict_to(&mut self, range: Range<u64>) {
        if !self.cursor.restrict_to(range) {
            // A connection whose response was read to the end serves the next request.
            if let Some(body) = self.body.take() {
                body.drain_for_reuse();
            }
            self.prefetcher.clear();
            self.entity.stash_fingerprint();
        }
        self.requester.sizing.restart(self.cursor.offset);
    }

    /// Restricts reading to `range`, which follows the range before, and returns the size of the
    /// gap between them.
    pub fn continue_with(&mut self, range: Range<u64>) -> u64 {
        let gap = range.start.saturating_sub(self.cursor.end.unwrap_or(self.cursor.offset));
        self.restrict_to(range);
        gap
    }

    /// Reads the next bytes. Returns 0 only if the track is complete or `buffer` is empty.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let count = self.read_with_retry(buffer)?;
        self.prefetch();
        Ok(count)
    }

    fn read_with_retry(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        while !buffer.is_empty() && !self.cursor.is_over() {
            match self.read_checked(buffer) {
                Ok(0) => {}
                Ok(count) => {
                    self.advance(count);
                    self.entity.recent_bytes.extend(&buffer[..count], self.cursor.offset);
                    return Ok(count);
                }
                Err(fault) => self.recover(fault)?,
            }
        }
        if let Some(body) = self.body.as_mut().filter(|_| !buffer.is_empty()) {
            body.settle(DRAIN_TIMEOUT);
        }
        Ok(0)
    }

    /// Reads the next bytes of the current body and holds the upstream to its minimum throughput; 0
    /// at the end of the body.
    fn read_checked(&mut self, buffer: &mut [u8]) -> Result<usize, UpstreamError> {
        let started = Instant::now();
        let count = self.read_body(buffer)?;
        let waited = started.elapsed();
        self.requester.sizing.pace.record_wait(waited);
        // Response time counts, too: otherwise a byte per response would be fast enough.
        self.throughput.record(count, waited).map_err(UpstreamError::Slow)?;
        Ok(count)
    }

    fn read_body(&mut self, buffer: &mut [u8]) -> Result<usize, UpstreamError> {
        if self.body.is_none() {
            let prefetched = self.prefetcher.pop();
            self.body = self.requester.next_body(prefetched, &mut self.entity, &self.cursor)?;
        }
        let Some(body) = &mut self.body else {
            // The body before was shorter than its request.
            self.prefetcher.clear();
            return Ok(0);
        };
        let remaining = self.cursor.remaining().unwrap_or(u64::MAX);
        let len = usize::try_from(remaining).unwrap_or(usize::MAX).min(buffer.len());
        let count = body.read(&mut buffer[..len])?;
        if count == 0 {
            if body.end.is_none() {
                self.cursor.end = Some(self.cursor.offset);
            }
            self.body = None;
        }
        Ok(count)
    }

    fn advance(&mut self, count: usize) {
        self.cursor.offset += count as u64;
        self.requester.retry.budget.progress(count);
        if let Some(body) = self.body.as_mut().filter(|_| self.cursor.is_over()) {
            // The caller may read no more. Mostly, the end has arrived together with the last byte.
            body.settle(Duration::ZERO);
        }
    }

    /// Returns whether [`splice_into`](FileReader::splice_into) can move the next bytes.
    pub fn can_splice(&self) -> bool {
        // Where nothing else proves that the bytes after a break are of the same file, the bytes
        // before it are compared, and so must be read.
        let is_proven = self.entity.has_validator() && self.requester.target.refresh.is_none();
        is_proven
            && self.peeked().is_empty()
            && self.body.as_ref().is_some_and(RangeBody::can_splice)
    }

    /// Moves up to `max_len` of the next bytes into `pipe` by splice(2), without copying them
    /// through this process. Returns 0 where they must be [read](FileReader::read).
    pub fn splice_into(&mut self, pipe: &SplicePipe, max_len: u64) -> Result<usize, Error> {
        let max_len = max_len.min(self.cursor.remaining().unwrap_or(0));
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
        self.entity.recent_bytes = Fingerprint::default();
        let waited = started.elapsed();
        self.requester.sizing.pace.record_wait(waited);
        // Bytes that have arrived are good, however slowly they came.
        if let Err(rate) = self.throughput.record(count, waited) {
            self.recover(UpstreamError::Slow(rate))?;
        }
        self.prefetch();
        Ok(count)
    }

    fn prefetch(&mut self) {
        if let Some(body) = &self.body {
            self.prefetcher.prefetch(&self.requester, &self.entity, &self.cursor, body);
        }
    }

    /// Takes over the fingerprints of another reader of the same file, and compares the bytes that
    /// this reader read before with what the upstream sends now.
    pub fn absorb(&mut self, other: FileReader<'_, '_>) -> Result<(), Error> {
        let FileReader { mut entity, body, .. } = other;
        entity.stash_fingerprint();
        self.entity.fingerprints = entity.fingerprints;
        // The next request finds its connection in the pool.
        body.map(RangeBody::drain_for_reuse);
        while !self.entity.fingerprints.is_empty() {
            let Entity { recent_bytes, .. } = &self.entity;
            match self.requester.is_unchanged(recent_bytes, &self.entity, &self.cursor) {
                Ok(true) => break,
                Ok(false) => return Err(self.requester.failed(REPLACED)),
                Err(fault) => {
                    let entity = Some(&mut self.entity);
                    self.requester.retry_or_fail(fault, entity, &mut self.cursor)?;
                }
            }
        }
        Ok(())
    }

    /// Ends reading. A connection whose response was read to the end serves the next request.
    pub fn close(self) {
        self.body.map(RangeBody::drain_for_reuse);
    }

    /// Drops the connection in use, prepares the next try on a new one, and waits until it is due;
    /// or fails. Pooled connections have not failed and stay.
    fn recover(&mut self, fault: UpstreamError) -> Result<(), Error> {
        self.drop_responses();
        self.requester.recover(fault, Some(&mut self.entity), &mut self.cursor)
    }

    fn drop_responses(&mut self) {
        self.body = None;
        self.prefetcher.clear();
    }
}

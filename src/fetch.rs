//! Reads the bytes of one track from its upstream, whatever the network does.
//!
//! [`TrackReader`] requests byte ranges of bounded length and prefetches the next one while the
//! last is still arriving. A transfer that breaks is resumed at the exact byte.
//!
//! **Invariant:** a transfer resumes only if the upstream proves that it still serves the same
//! file; otherwise the track fails.
//!
//! **API boundary:** nothing here knows containers, ffmpeg or the client.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::thread::Scope;
use std::time::{Duration, Instant};

use url::Url;

use crate::cancel::CancelToken;
use crate::error::{Error, UpstreamError};
use crate::media::{RefreshHandle, RemoteLocation, Track, TrackKind};

mod fallback;
mod fingerprint;
mod first_response;
mod peek;
mod prefetch;
mod retry;
mod retry_budget;
mod throughput;
mod zero_copy;

pub use prefetch::FIRST_REQUEST_SIZE;

use crate::http_client::body::{DRAIN_TIMEOUT, RangeBody};
use crate::http_client::request::{RangeRequest, RangeResponse};
use crate::http_client::{RemoteFile, UpstreamClient, Validators};
use fallback::Fallbacks;
use fingerprint::Fingerprint;
use prefetch::Prefetch;
use retry_budget::RetryBudget;
use throughput::ThroughputMonitor;

/// Maximum number of retries before the first response: a client that pasted a wrong link learns so
/// soon.
const OPENING_RETRIES: u32 = 2;
/// Reads one track.
pub struct TrackReader<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    upstream: &'scope UpstreamClient,
    cancel: Arc<CancelToken>,
    track: TrackKind,
    location: Arc<RemoteLocation>,
    refresh: Option<RefreshHandle>,
    /// Maximum size of a range request.
    chunk: u64,
    /// Size of the largest body received so far.
    largest_body: u64,
    /// Number of bytes that the caller needs at once; 0 if it reads as they come.
    size_hint: u64,
    /// What was changed after a refusal.
    fallbacks: Fallbacks,
    budget: RetryBudget,
    /// Whether no response has arrived yet.
    is_opening: bool,
    throughput: ThroughputMonitor,
    /// Whether the next request may use a pooled connection.
    may_reuse: bool,
    /// URL of the last response, after all redirects.
    effective_url: Option<Url>,
    /// The file, as its first response described it.
    file: Option<RemoteFile>,
    /// Whether the caller gave `file`; the first response must then match it.
    is_pinned: bool,
    /// Whether requests carry If-Range (RFC 9110 §13.1.5), which some upstreams refuse.
    send_if_range: bool,
    /// Whether the location was refreshed and the validators are not known there yet.
    has_new_location: bool,
    /// Offset of the first byte, of the next byte, and of the end (exclusive) if that is known.
    start: u64,
    offset: u64,
    end: Option<u64>,
    body: Option<RangeBody>,
    prefetched: VecDeque<Prefetch<'scope>>,
    /// Cloned by each prefetching thread, even when its response is no longer needed; the count
    /// limits them.
    in_flight: Arc<()>,
    /// Time and offset at which the current body and the one before it began.
    rate_window: [(Instant, u64); 2],
    /// Response time of the quickest response.
    min_response_time: Option<Duration>,
    /// The last bytes read, and those read earlier or elsewhere in the file: the upstream must send
    /// them again unchanged.
    recent_bytes: Fingerprint,
    fingerprints: Vec<Fingerprint>,
    /// Bytes that were peeked at but not taken.
    peeked: Vec<u8>,
}

impl<'scope, 'env> TrackReader<'scope, 'env> {
    /// Requests the first `first` bytes of the track (or as many as one request may cover) and
    /// waits for the response.
    pub fn open(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope UpstreamClient,
        track: &Track,
        first: u64,
        cancel: &Arc<CancelToken>,
    ) -> Result<TrackReader<'scope, 'env>, Error> {
        TrackReader::begin(scope, upstream, track, first, cancel).wait()
    }

    /// Requests `range` of a known file, beginning with its first `first` bytes, and waits for the
    /// response, which must be of that same file.
    pub fn open_range(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope UpstreamClient,
        track: &Track,
        range: Range<u64>,
        first: u64,
        file: &RemoteFile,
        cancel: &Arc<CancelToken>,
    ) -> Result<TrackReader<'scope, 'env>, Error> {
        TrackReader::begin_range(scope, upstream, track, range, first, file, cancel).wait()
    }

    /// Makes a reader to [wait](TrackReader::wait) for. The request is sent at once if a pooled
    /// connection is available.
    pub fn begin(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope UpstreamClient,
        track: &Track,
        first: u64,
        cancel: &Arc<CancelToken>,
    ) -> TrackReader<'scope, 'env> {
        let mut reader = TrackReader::new(scope, upstream, track, cancel);
        reader.size_hint = first;
        reader.send_first_request();
        reader
    }

    /// Like [`begin`](TrackReader::begin), for `range` of a file that is known already.
    pub fn begin_range(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope UpstreamClient,
        track: &Track,
        range: Range<u64>,
        first: u64,
        file: &RemoteFile,
        cancel: &Arc<CancelToken>,
    ) -> TrackReader<'scope, 'env> {
        let mut reader = TrackReader::new(scope, upstream, track, cancel);
        reader.size_hint = first;
        let validators_vary =
            file.validators_vary || upstream.host_memory.is_unstable(&track.location.url, file);
        (reader.file, reader.is_pinned) =
            (Some(RemoteFile { validators_vary, ..file.clone() }), true);
        reader.begin_at(range.start);
        reader.end = Some(range.end);
        reader.send_first_request();
        reader
    }

    /// Waits for the first response.
    pub fn wait(mut self) -> Result<TrackReader<'scope, 'env>, Error> {
        self.back_off(Duration::ZERO)?;
        self.receive_first_response()?;
        // Bytes have arrived: from now on patience pays.
        self.is_opening = false;
        self.budget = RetryBudget::new(self.upstream.retries, self.upstream.min_progress());
        Ok(self)
    }

    fn receive_first_response(&mut self) -> Result<(), Error> {
        while self.body.is_none() && self.remaining() != Some(0) {
            self.next_response().or_else(|fault| self.recover(fault))?;
        }
        self.size_hint = 0;
        Ok(())
    }

    /// Discards everything after bytes that turned out not to be the file, and requests the first
    /// `first` bytes from a refreshed location. Returns `false` if there is none.
    pub fn restart_from(&mut self, first: u64) -> Result<bool, Error> {
        self.drop_connections();
        self.begin_at(0);
        if !self.refreshed() {
            return Ok(false);
        }
        (self.file, self.has_new_location, self.end, self.size_hint) = (None, false, None, first);
        (self.recent_bytes, self.fingerprints, self.peeked) =
            (Fingerprint::default(), Vec::new(), Vec::new());
        self.back_off(Duration::ZERO)?;
        self.receive_first_response().map(|()| true)
    }

    fn begin_at(&mut self, at: u64) {
        (self.start, self.offset, self.rate_window) = (at, at, [(Instant::now(), at); 2]);
    }

    fn new(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope UpstreamClient,
        track: &Track,
        cancel: &Arc<CancelToken>,
    ) -> TrackReader<'scope, 'env> {
        TrackReader {
            scope,
            upstream,
            cancel: cancel.clone(),
            track: track.kind,
            location: Arc::new(track.location.clone()),
            refresh: track.refresh.clone(),
            chunk: upstream.chunk_size(&track.location),
            largest_body: 0,
            size_hint: 0,
            fallbacks: Fallbacks::default(),
            budget: RetryBudget::new(
                upstream.retries.min(OPENING_RETRIES),
                upstream.min_progress(),
            ),
            is_opening: true,
            throughput: ThroughputMonitor::new(upstream.min_throughput, upstream.stall_timeout),
            may_reuse: true,
            effective_url: None,
            file: None,
            is_pinned: false,
            send_if_range: true,
            has_new_location: false,
            start: 0,
            offset: 0,
            end: None,
            body: None,
            prefetched: VecDeque::new(),
            in_flight: Arc::new(()),
            rate_window: [(Instant::now(), 0); 2],
            min_response_time: None,
            recent_bytes: Fingerprint::default(),
            fingerprints: Vec::new(),
            peeked: Vec::new(),
        }
    }

    /// Returns the kind of the track.
    pub fn track(&self) -> TrackKind {
        self.track
    }

    /// Returns the track with its current location.
    pub fn as_track(&self) -> Track {
        let location = RemoteLocation::clone(&self.location);
        Track { kind: self.track, location, refresh: self.refresh.clone() }
    }

    /// Returns the file as its upstream describes it.
    pub fn file(&self) -> &RemoteFile {
        const UNKNOWN: &RemoteFile = &RemoteFile {
            len: None,
            ranged: false,
            validators: Validators { etag: None, modified: None },
            validators_vary: false,
        };
        // Known as soon as the first response has arrived.
        self.file.as_ref().unwrap_or(UNKNOWN)
    }

    /// Reads the next bytes. Returns 0 only if the track is complete or `buffer` is empty.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let count = self.read_with_retry(buffer)?;
        self.prefetch();
        Ok(count)
    }

    fn read_with_retry(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        while !buffer.is_empty() && self.remaining() != Some(0) {
            match self.read_checked(buffer) {
                Ok(0) => {}
                Ok(count) => {
                    self.record(&buffer[..count]);
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

    /// Returns how many bytes are still to be read, if the end is known. Peeked bytes may lie
    /// beyond the end.
    fn remaining(&self) -> Option<u64> {
        self.end.map(|end| end.saturating_sub(self.offset))
    }

    /// Reads the next bytes of the current body and holds the upstream to its minimum throughput; 0
    /// at the end of the body.
    fn read_checked(&mut self, buffer: &mut [u8]) -> Result<usize, UpstreamError> {
        let started = Instant::now();
        let count = self.read_body(buffer)?;
        // Response time counts, too: otherwise a byte per response would be fast enough.
        self.throughput.record(count, started.elapsed()).map_err(UpstreamError::Slow)?;
        Ok(count)
    }

    fn read_body(&mut self, buffer: &mut [u8]) -> Result<usize, UpstreamError> {
        if self.body.is_none() {
            self.next_response()?;
        }
        let remaining = self.remaining().unwrap_or(u64::MAX);
        let Some(body) = &mut self.body else { return Ok(0) };
        let len = usize::try_from(remaining).unwrap_or(usize::MAX).min(buffer.len());
        let count = body.read(&mut buffer[..len])?;
        if count == 0 {
            if body.end.is_none() {
                self.end = Some(self.offset);
            }
            self.body = None;
        }
        Ok(count)
    }

    fn record(&mut self, bytes: &[u8]) {
        self.advance(bytes.len());
        self.recent_bytes.extend(bytes, self.offset);
    }

    fn advance(&mut self, count: usize) {
        self.offset += count as u64;
        self.budget.progress(count);
        if let Some(body) = self.body.as_mut().filter(|_| self.end == Some(self.offset)) {
            // The caller may read no more. Mostly, the end has arrived together with the last byte.
            body.settle(Duration::ZERO);
        }
    }

    /// Takes the prefetched response, or sends the next request.
    fn next_response(&mut self) -> Result<(), UpstreamError> {
        let response = match self.prefetched.pop_front() {
            Some(prefetch) => prefetch.into_response(),
            None => self.build_request(self.offset).fetch(),
        };
        self.may_reuse = true;
        let mut response = response?;
        if self.file.is_none() {
            response = self.complete(response)?;
        }
        let RangeResponse { mut body, file, url, .. } = response;
        if !self.verify(&mut body)? {
            // The body before was shorter than its request.
            self.prefetched.clear();
            return Ok(());
        }
        self.learn(&body);
        self.fallbacks.came();
        self.largest_body = self.largest_body.max(body.end.map_or(0, |end| end - body.start));
        let quickest = self.min_response_time.unwrap_or(Duration::MAX).min(body.response_time);
        (self.effective_url, self.min_response_time) = (Some(url), Some(quickest));
        match &mut self.file {
            // At the new location, the same file may have other validators.
            Some(known) if self.has_new_location => {
                (known.validators, self.has_new_location) = (file.validators, false);
            }
            Some(_) => {}
            None => {
                self.end = file.len;
                self.file = Some(file);
            }
        }
        self.body = Some(body);
        self.rate_window = [self.rate_window[1], (Instant::now(), self.offset)];
        Ok(())
    }

    /// Builds the request for the bytes from offset `from` on.
    fn build_request(&self, from: u64) -> RangeRequest<'scope> {
        let ranged = self.file.as_ref().is_none_or(|file| file.ranged);
        let from = from - self.overlap(from);
        let to = from.saturating_add(self.request_size()).min(self.end.unwrap_or(u64::MAX));
        RangeRequest {
            upstream: self.upstream,
            cancel: self.cancel.clone(),
            location: self.location.clone(),
            effective_url: self.effective_url.clone(),
            range: (ranged && !self.fallbacks.next_is_full).then_some(from..to),
            file: self.file.clone(),
            send_if_range: self.send_if_range,
            may_reuse: self.may_reuse,
        }
    }
}

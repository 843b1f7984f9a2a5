//! One track's bytes, from its upstream to whoever reads them, whatever the network does.
//!
//! A track is fetched in parts of bounded length, the next one asked for while the last is still
//! arriving. What breaks is taken up again at the exact byte, as long as the upstream proves that
//! it is still the same file; where it does not, the track fails. Must never know the muxer.

use std::collections::VecDeque;
use std::mem::replace;
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

use crate::http_client::body::RangeBody;
use crate::http_client::client::HttpClient;
use crate::http_client::request::{RangeRequest, RangeResponse};
use crate::http_client::{RemoteFile, UpstreamClient, Validators};
use fallback::Fallbacks;
use fingerprint::Fingerprint;
use prefetch::Prefetch;
use retry_budget::RetryBudget;
use throughput::ThroughputMonitor;

/// Tries for a first answer: whoever pasted a wrong link is not to wait long for being told.
const OPENING_RETRIES: u32 = 2;
/// The reader of one track.
pub struct TrackReader<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    upstream: &'scope UpstreamClient,
    cancel: Arc<CancelToken>,
    track: TrackKind,
    location: Arc<RemoteLocation>,
    refresh: Option<RefreshHandle>,
    /// What is asked for at once, at most; the most that was given at once; and what is wanted at
    /// once just now, if anything.
    chunk: u64,
    fits: u64,
    size_hint: u64,
    /// What was done when something was refused.
    tried: Fallbacks,
    budget: RetryBudget,
    /// Whether somebody still waits for a first answer.
    opening: bool,
    pace: ThroughputMonitor,
    /// The HTTP client whose turn it is, and those that have had theirs.
    client: Arc<HttpClient>,
    idle_clients: Vec<Arc<HttpClient>>,
    /// Where the last answer came from, after all redirects.
    effective_url: Option<Url>,
    /// What is known of the file since its first answer.
    file: Option<RemoteFile>,
    /// Whether that was told by somebody else before the first answer, which must agree with it.
    foretold: bool,
    /// Whether the upstream is to compare validators itself: some refuse the question.
    if_range: bool,
    /// Whether the location is another one than the validators were of.
    is_renewed: bool,
    /// Where reading began, where it is, and where it ends, if that is known.
    begin: u64,
    offset: u64,
    end: Option<u64>,
    body: Option<RangeBody>,
    prefetched: VecDeque<Prefetch<'scope>>,
    /// Held by each thread that asks ahead, also by those whose answer is not wanted any more.
    in_flight: Arc<()>,
    /// When, and where, this part began and the one before it.
    since: [(Instant, u64); 2],
    /// What the quickest answer took.
    min_response_time: Option<Duration>,
    /// The last bytes read, and what was looked at before or elsewhere: what must be there again.
    recent_bytes: Fingerprint,
    fingerprints: Vec<Fingerprint>,
    /// Bytes that were looked at but not yet taken.
    peeked: Vec<u8>,
}

impl<'scope, 'env> TrackReader<'scope, 'env> {
    /// Asks the track's upstream for its first `first` bytes (or as many as it gives at once) and
    /// waits for the answer.
    pub fn open(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope UpstreamClient,
        track: &Track,
        first: u64,
        cancel: &Arc<CancelToken>,
    ) -> Result<TrackReader<'scope, 'env>, Error> {
        TrackReader::begin(scope, upstream, track, first, cancel).wait()
    }

    /// Asks the track's upstream for `part` of a file that is known already, first for `first` bytes of
    /// it, and waits for the answer, which must be of that same file.
    pub fn open_range(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope UpstreamClient,
        track: &Track,
        part: Range<u64>,
        first: u64,
        file: &RemoteFile,
        cancel: &Arc<CancelToken>,
    ) -> Result<TrackReader<'scope, 'env>, Error> {
        TrackReader::begin_range(scope, upstream, track, part, first, file, cancel).wait()
    }

    /// One that is to be [opened](TrackReader::wait): it asks already, if that needs no waiting.
    pub fn begin(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope UpstreamClient,
        track: &Track,
        first: u64,
        cancel: &Arc<CancelToken>,
    ) -> TrackReader<'scope, 'env> {
        let mut source = TrackReader::new(scope, upstream, track, cancel);
        source.size_hint = first;
        source.send_first_request();
        source
    }

    /// The same of `part` of a file that is known already.
    pub fn begin_range(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope UpstreamClient,
        track: &Track,
        part: Range<u64>,
        first: u64,
        file: &RemoteFile,
        cancel: &Arc<CancelToken>,
    ) -> TrackReader<'scope, 'env> {
        let mut source = TrackReader::new(scope, upstream, track, cancel);
        source.size_hint = first;
        let wavers = file.wavers || upstream.host_memory.is_unstable(&track.location.url, file);
        (source.file, source.foretold) = (Some(RemoteFile { wavers, ..file.clone() }), true);
        source.begin_at(part.start);
        source.end = Some(part.end);
        source.send_first_request();
        source
    }

    /// Waits for the first answer.
    pub fn wait(mut self) -> Result<TrackReader<'scope, 'env>, Error> {
        self.back_off(Duration::ZERO)?;
        self.receive_first_response()?;
        // From now on it is worth the while to be patient.
        self.opening = false;
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

    /// What came is not the file: whether there is a fresh location, which is then asked for its first
    /// `first` bytes.
    pub fn restart_from(&mut self, first: u64) -> Result<bool, Error> {
        self.drop_connections();
        self.begin_at(0);
        if !self.refreshed() {
            return Ok(false);
        }
        (self.file, self.is_renewed, self.end, self.size_hint) = (None, false, None, first);
        (self.recent_bytes, self.fingerprints, self.peeked) =
            (Fingerprint::default(), Vec::new(), Vec::new());
        self.back_off(Duration::ZERO)?;
        self.receive_first_response().map(|()| true)
    }

    fn begin_at(&mut self, at: u64) {
        (self.begin, self.offset, self.since) = (at, at, [(Instant::now(), at); 2]);
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
            fits: 0,
            size_hint: 0,
            tried: Fallbacks::default(),
            budget: RetryBudget::new(
                upstream.retries.min(OPENING_RETRIES),
                upstream.min_progress(),
            ),
            opening: true,
            pace: ThroughputMonitor::new(upstream.min_throughput, upstream.stall_timeout),
            client: upstream.client(&track.location.url, cancel),
            idle_clients: Vec::new(),
            effective_url: None,
            file: None,
            foretold: false,
            if_range: true,
            is_renewed: false,
            begin: 0,
            offset: 0,
            end: None,
            body: None,
            prefetched: VecDeque::new(),
            in_flight: Arc::new(()),
            since: [(Instant::now(), 0); 2],
            min_response_time: None,
            recent_bytes: Fingerprint::default(),
            fingerprints: Vec::new(),
            peeked: Vec::new(),
        }
    }

    /// Which track this is.
    pub fn track(&self) -> TrackKind {
        self.track
    }

    /// The same, where it is now.
    pub fn as_track(&self) -> Track {
        let location = RemoteLocation::clone(&self.location);
        Track { kind: self.track, location, refresh: self.refresh.clone() }
    }

    /// What its upstream says of the file.
    pub fn file(&self) -> &RemoteFile {
        const UNKNOWN: &RemoteFile = &RemoteFile {
            len: None,
            ranged: false,
            validators: Validators { etag: None, modified: None },
            wavers: false,
        };
        // There is one as soon as there is a source.
        self.file.as_ref().unwrap_or(UNKNOWN)
    }

    /// The next bytes. 0 means that the track is complete, and nothing else (or that `buffer`
    /// is empty).
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
        Ok(0)
    }

    /// How much is still to come, if that is known. What was looked at may reach behind the end.
    fn remaining(&self) -> Option<u64> {
        self.end.map(|end| end.saturating_sub(self.offset))
    }

    /// The next bytes of this part, or 0 when it is over.
    fn read_checked(&mut self, buffer: &mut [u8]) -> Result<usize, UpstreamError> {
        let asked = Instant::now();
        let count = self.read_body(buffer)?;
        // The wait for an answer counts, too, or a byte an answer would be fast enough.
        self.pace.record(count, asked.elapsed()).map_err(UpstreamError::Slow)?;
        Ok(count)
    }

    fn read_body(&mut self, buffer: &mut [u8]) -> Result<usize, UpstreamError> {
        if self.body.is_none() {
            self.next_response()?;
        }
        let left = self.remaining().unwrap_or(u64::MAX);
        let Some(part) = &mut self.body else { return Ok(0) };
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = part.read(&mut buffer[..room])?;
        if count == 0 {
            if part.end.is_none() {
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
    }

    /// Takes the answer that was asked for ahead, or asks now.
    fn next_response(&mut self) -> Result<(), UpstreamError> {
        let answer = match self.prefetched.pop_front() {
            Some(ahead) => {
                let before = replace(&mut self.client, ahead.client.clone());
                if !Arc::ptr_eq(&before, &self.client) {
                    self.idle_clients.push(before);
                }
                ahead.into_response()
            }
            None => self.build_request(self.offset, self.client.clone()).send(),
        };
        let mut answer = answer?;
        if self.file.is_none() {
            answer = self.complete(answer)?;
        }
        let RangeResponse { body: mut part, file, url, .. } = answer;
        if !self.verify(&mut part)? {
            // The part before was shorter than it had been asked for.
            self.prefetched.clear();
            return Ok(());
        }
        self.learn(&part);
        self.tried.came();
        self.fits = self.fits.max(part.end.map_or(0, |end| end - part.begin));
        let quickest = self.min_response_time.unwrap_or(Duration::MAX).min(part.response_time);
        (self.effective_url, self.min_response_time) = (Some(url), Some(quickest));
        match &mut self.file {
            // Behind a fresh location the same file may have other validators.
            Some(known) if self.is_renewed => {
                (known.validators, self.is_renewed) = (file.validators, false);
            }
            Some(_) => {}
            None => {
                self.end = file.len;
                self.file = Some(file);
            }
        }
        self.body = Some(part);
        self.since = [self.since[1], (Instant::now(), self.offset)];
        Ok(())
    }

    fn client_for_prefetch(&self) -> Arc<HttpClient> {
        self.upstream.client(&self.location.url, &self.cancel)
    }

    /// What to ask for next, from the byte at `from` on.
    fn build_request(&self, from: u64, client: Arc<HttpClient>) -> RangeRequest<'scope> {
        let ranged = self.file.as_ref().is_none_or(|file| file.ranged);
        let from = from - self.overlap(from);
        let to = from.saturating_add(self.request_size()).min(self.end.unwrap_or(u64::MAX));
        RangeRequest {
            upstream: self.upstream,
            client,
            location: self.location.clone(),
            effective_url: self.effective_url.clone(),
            range: (ranged && !self.tried.asks_for_all).then_some(from..to),
            file: self.file.clone(),
            if_range: self.if_range,
            sent_at: None,
        }
    }
}

impl Drop for TrackReader<'_, '_> {
    /// Connections on which everything was read are of use for those who come next.
    fn drop(&mut self) {
        if let Some(part) = self.body.take() {
            part.drain_for_reuse();
        }
        for client in self.idle_clients.iter().chain([&self.client]) {
            self.upstream.idle_clients.put_back(client, &self.location.url);
        }
    }
}

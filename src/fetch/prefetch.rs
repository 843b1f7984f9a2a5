//! Sizes range requests, and sends the next one before the last body has ended, which hides the
//! response time of the upstream.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver};

use crate::error::UpstreamError;
use crate::fetch::TrackReader;
use crate::fetch::retry_budget::jittered_chunk;
use crate::http_client::request::{RangeRequest, RangeResponse, SentRequest};

/// Size of the first request for bytes that go to the client. While a nearby upstream sends a large
/// range it leaves no bandwidth for the other track; and a shorter one ends before it shows how
/// quickly the client reads, whose buffers are still filling.
pub const FIRST_REQUEST_SIZE: u64 = 640 << 10;
/// Later requests are at least this large, however slow the reader, unless the chunk limit is
/// lower.
pub(super) const MIN_REQUEST_SIZE: u64 = 512 << 10;
/// The next request is sent when at most this many bytes are still to be read, or earlier.
const MIN_PREFETCH_DISTANCE: u64 = 128 << 10;
/// The prefetch distance in response times: some for the response, and some for the connection to
/// gather speed.
const PREFETCH_RESPONSE_TIMES: f64 = 4.0;
/// Maximum number of prefetched responses.
const MAX_PREFETCHED: usize = 4;
/// A range is no longer than what is read in this time: bytes that wait for a slow reader occupy
/// kernel memory, and were fetched in vain if the reader leaves.
const TARGET_REQUEST_DURATION: Duration = Duration::from_secs(4);
/// Shorter times say nothing about the speed of an upstream.
const MIN_RESPONSE_TIME: Duration = Duration::from_millis(10);

/// A response that was requested ahead.
pub(super) struct Prefetch<'u> {
    pub(super) end: u64,
    response: Pending<'u>,
}

enum Pending<'u> {
    /// The request was sent on a pooled connection.
    OnConnection(Box<SentRequest<'u>>),
    /// A thread sends the request and receives the response.
    OnThread(Receiver<Result<RangeResponse, UpstreamError>>),
}

impl Prefetch<'_> {
    pub(super) fn into_response(self) -> Result<RangeResponse, UpstreamError> {
        match self.response {
            Pending::OnConnection(request) => request.receive(),
            Pending::OnThread(response) => response.recv().unwrap_or_else(|_| {
                Err(UpstreamError::Unreachable("the request was abandoned".into()))
            }),
        }
    }

    /// Returns whether the response has begun to arrive, now or within `limit`.
    fn is_ready(&self, limit: Duration) -> bool {
        matches!(&self.response, Pending::OnConnection(request) if request.poll(limit))
    }
}

impl<'scope> TrackReader<'scope, '_> {
    /// Requests the next ranges once few requested bytes remain to be read. Where no pooled
    /// connection is available, a thread sends the request; it ends with its response or with the
    /// stream.
    pub(super) fn prefetch(&mut self) {
        let Some(body) = &self.body else { return };
        // Slower responses were slowed by prefetching itself, or by a busy machine; prefetching
        // even more would help neither.
        let response_time = self.min_response_time.unwrap_or(body.response_time).as_secs_f64();
        let distance = MIN_PREFETCH_DISTANCE
            .max((self.rate() * response_time * PREFETCH_RESPONSE_TIMES) as u64);
        while self.prefetched.len() < MAX_PREFETCHED
            && Arc::strong_count(&self.in_flight) <= MAX_PREFETCHED
        {
            let requested_until =
                self.prefetched.back().map_or(body.end, |prefetch| Some(prefetch.end));
            let (Some(from), Some(end)) = (requested_until, self.end) else { break };
            if from >= end || from.saturating_sub(self.offset) > distance {
                break;
            }
            let request = self.build_request(from);
            let end = request.range.as_ref().map_or(end, |range| range.end);
            let response = match request.send() {
                Ok(sent) => Some(Pending::OnConnection(Box::new(sent))),
                Err(request) => self.send_on_thread(*request),
            };
            // If the request cannot be sent now, it is sent when its bytes are due.
            let Some(response) = response else { break };
            self.prefetched.push_back(Prefetch { end, response });
        }
    }

    /// Sends a request on a new thread; `None` if there is no thread for it.
    fn send_on_thread(&self, request: RangeRequest<'scope>) -> Option<Pending<'scope>> {
        let (sender, receiver) = channel::bounded(1);
        let guard = self.in_flight.clone();
        let thread = thread::Builder::new().name("prefetch".into());
        let spawned = thread.spawn_scoped(self.scope, move || {
            // Nothing receives any more if an earlier range has failed.
            sender.send(request.fetch()).ok();
            drop(guard);
        });
        spawned.inspect_err(|error| log::debug!("cannot start a prefetch thread: {error}")).ok()?;
        Some(Pending::OnThread(receiver))
    }

    /// Sends the first request if that takes no waiting.
    pub(super) fn send_first_request(&mut self) {
        if self.location.available_at.is_some() || self.remaining() == Some(0) {
            return;
        }
        let request = self.build_request(self.offset);
        let end = request.range.as_ref().map_or(u64::MAX, |range| range.end);
        if let Ok(sent) = request.send() {
            let response = Pending::OnConnection(Box::new(sent));
            self.prefetched.push_back(Prefetch { end, response });
        }
    }

    /// Returns whether the first request is sent.
    pub fn is_sent(&self) -> bool {
        !self.prefetched.is_empty()
    }

    /// Returns whether the first response has begun to arrive, now or within `limit`.
    pub fn poll_response(&self, limit: Duration) -> bool {
        self.prefetched.front().is_some_and(|prefetch| prefetch.is_ready(limit))
    }

    /// Returns the size of the next request: the size hint, or else what is read within
    /// [`TARGET_REQUEST_DURATION`].
    pub(super) fn request_size(&self) -> u64 {
        if self.size_hint > 0 {
            return self.size_hint.min(self.chunk);
        }
        let expected = (self.rate() * TARGET_REQUEST_DURATION.as_secs_f64()) as u64;
        jittered_chunk(expected.max(MIN_REQUEST_SIZE).min(self.chunk))
    }

    /// Returns bytes per second over the current body and the one before it, limited by the
    /// upstream or by the reader, whichever is slower. Players read as fast as possible until their
    /// buffers are full.
    fn rate(&self) -> f64 {
        let (started, offset) = self.rate_window[0];
        (self.offset - offset) as f64 / started.elapsed().max(MIN_RESPONSE_TIME).as_secs_f64()
    }
}

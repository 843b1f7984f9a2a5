//! Looking ahead: how much is asked for at once, and that the next part is asked for before the last
//! one has ended, so that what an upstream takes to answer is not seen.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver};

use crate::error::UpstreamError;
use crate::fetch::TrackReader;
use crate::fetch::retry_budget::jittered_chunk;
use crate::http_client::client::HttpClient;
use crate::http_client::request::{RangeRequest, RangeResponse};

/// What is asked for first of what is to be sent. While an upstream that is near pours out a large
/// part, it has no time for the other track; and by the end of a short one it does not show yet how
/// quickly the client reads, whose buffers are being filled.
pub const FIRST_REQUEST_SIZE: u64 = 640 << 10;
/// Later on, no less is asked for, however slowly it is read, where so much may be.
pub(super) const MIN_REQUEST_SIZE: u64 = 512 << 10;
/// More is asked for when no more than this is still to come of what was, or earlier.
const MIN_PREFETCH_DISTANCE: u64 = 128 << 10;
/// The lead in answer times: some for the answer, and some for the connection to gather speed.
const PREFETCH_RESPONSE_TIMES: f64 = 4.0;
/// Parts that are asked for before their time, at most.
const MAX_PREFETCHED: usize = 4;
/// A part is no longer than what is read in this time: what waits for a slow reader waits in the
/// memory of the kernel, and for a reader that leaves it was fetched in vain.
const TARGET_REQUEST_DURATION: Duration = Duration::from_secs(4);
/// What arrives within less than this says nothing about the speed of an upstream.
const MIN_RESPONSE_TIME: Duration = Duration::from_millis(10);

/// A part that was asked for before its time.
pub(super) struct Prefetch<'u> {
    pub(super) end: u64,
    pub(super) client: Arc<HttpClient>,
    response: Pending<'u>,
}

enum Pending<'u> {
    /// Was put, and is answered on its connection.
    OnConnection(Box<RangeRequest<'u>>),
    /// Is being asked on a thread.
    OnThread(Receiver<Result<RangeResponse, UpstreamError>>),
}

impl Prefetch<'_> {
    pub(super) fn into_response(self) -> Result<RangeResponse, UpstreamError> {
        match self.response {
            Pending::OnConnection(question) => question.send(),
            Pending::OnThread(answer) => answer
                .recv()
                .unwrap_or_else(|_| Err(UpstreamError::Unreachable("the stream is over".into()))),
        }
    }

    /// Whether the answer is there, now or within `limit`.
    fn is_ready(&self, limit: Duration) -> bool {
        matches!(self.response, Pending::OnConnection(_)) && self.client.pool.poll_response(limit)
    }
}

impl<'scope> TrackReader<'scope, '_> {
    /// Asks for the next parts once the end of what was asked for is near: what the upstream takes
    /// to answer is then not seen. Where there is no connection for that, it is asked on a thread,
    /// which ends with its answer or with the stream.
    pub(super) fn prefetch(&mut self) {
        let Some(part) = &self.body else { return };
        // Slower answers were slow because of what was asked for ahead, or of a busy machine; to ask
        // for still more of it then would help neither.
        let answer = self.min_response_time.unwrap_or(part.response_time).as_secs_f64();
        let lead =
            MIN_PREFETCH_DISTANCE.max((self.rate() * answer * PREFETCH_RESPONSE_TIMES) as u64);
        while self.prefetched.len() < MAX_PREFETCHED
            && Arc::strong_count(&self.in_flight) <= MAX_PREFETCHED
        {
            let asked_until = self.prefetched.back().map_or(part.end, |ahead| Some(ahead.end));
            let (Some(from), Some(end)) = (asked_until, self.end) else { break };
            if from >= end || from.saturating_sub(self.offset) > lead {
                break;
            }
            let client = self.idle_clients.pop().unwrap_or_else(|| self.client_for_prefetch());
            let mut question = self.build_request(from, client.clone());
            let end = question.range.as_ref().map_or(end, |part| part.end);
            let answer = if question.send_only() {
                Some(Pending::OnConnection(Box::new(question)))
            } else {
                self.send_on_thread(question)
            };
            // If it cannot be asked for now, it is in its time.
            let Some(answer) = answer else { break };
            self.prefetched.push_back(Prefetch { end, client, response: answer });
        }
    }

    /// Asks on a thread, if there is one to be had.
    fn send_on_thread(&self, question: RangeRequest<'scope>) -> Option<Pending<'scope>> {
        let (say, answer) = channel::bounded(1);
        let asking = self.in_flight.clone();
        let thread = thread::Builder::new().name("ask ahead".into());
        let started = thread.spawn_scoped(self.scope, move || {
            // Nobody listens any more when the part before has failed.
            say.send(question.send()).ok();
            drop(asking);
        });
        started.inspect_err(|error| log::debug!("cannot look ahead: {error}")).ok()?;
        Some(Pending::OnThread(answer))
    }

    /// Asks for the first bytes, if they need not be waited for.
    pub(super) fn send_first_request(&mut self) {
        if self.location.available_at.is_some() || self.remaining() == Some(0) {
            return;
        }
        let mut question = self.build_request(self.offset, self.client.clone());
        let end = question.range.as_ref().map_or(u64::MAX, |part| part.end);
        if question.send_only() {
            let (client, answer) = (self.client.clone(), Pending::OnConnection(Box::new(question)));
            self.prefetched.push_back(Prefetch { end, client, response: answer });
        }
    }

    /// Whether the first bytes were asked for already.
    pub fn is_sent(&self) -> bool {
        !self.prefetched.is_empty()
    }

    /// Whether what was put first is answered, now or within `limit`.
    pub fn poll_response(&self, limit: Duration) -> bool {
        self.prefetched.front().is_some_and(|ahead| ahead.is_ready(limit))
    }

    /// How much to ask for: what is wanted at once, or else as much as is read in some time.
    pub(super) fn request_size(&self) -> u64 {
        if self.size_hint > 0 {
            return self.size_hint.min(self.chunk);
        }
        let quick = (self.rate() * TARGET_REQUEST_DURATION.as_secs_f64()) as u64;
        jittered_chunk(quick.max(MIN_REQUEST_SIZE).min(self.chunk))
    }

    /// Bytes a second in this part and the one before it, whoever was slower: the upstream or the
    /// reader. Players read as fast as they can until they have enough.
    fn rate(&self) -> f64 {
        let (since, from) = self.since[0];
        (self.offset - from) as f64 / since.elapsed().max(MIN_RESPONSE_TIME).as_secs_f64()
    }
}

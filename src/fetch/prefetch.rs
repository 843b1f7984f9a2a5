//! Sends the next requests before the last body has ended, which hides the response time of the
//! upstream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, Scope};

use crossbeam::channel::{self, Receiver};

use crate::error::UpstreamError;
use crate::fetch::cursor::Cursor;
use crate::fetch::entity::Entity;
use crate::fetch::requester::Requester;
use crate::http_client::body::RangeBody;
use crate::http_client::request::{RangeRequest, RangeResponse, SentRequest};
use crate::request_id::carried;

/// Maximum number of prefetched responses.
const MAX_PREFETCHED: usize = 4;

/// A response that was requested ahead.
pub(super) enum Prefetch<'u> {
    /// The request was sent on a pooled connection.
    OnConnection(Box<SentRequest<'u>>),
    /// A thread sends the request and receives the response.
    OnThread(Receiver<Result<RangeResponse, UpstreamError>>),
}

impl Prefetch<'_> {
    /// Receives the response.
    pub(super) fn receive(self) -> Result<RangeResponse, UpstreamError> {
        match self {
            Prefetch::OnConnection(request) => request.receive(),
            Prefetch::OnThread(response) => response.recv().unwrap_or_else(|_| {
                Err(UpstreamError::Unreachable("the request was abandoned".into()))
            }),
        }
    }
}

/// The responses that one reader has requested ahead.
pub(super) struct Prefetcher<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    /// In the order of their ranges, each with the offset of its end.
    queue: VecDeque<(u64, Prefetch<'scope>)>,
    /// Cloned by each prefetching thread, even when its response is no longer needed; the count
    /// limits them.
    in_flight: Arc<()>,
}

impl<'scope, 'env> Prefetcher<'scope, 'env> {
    /// Makes a prefetcher whose threads end before `scope`.
    pub(super) fn new(scope: &'scope Scope<'scope, 'env>) -> Prefetcher<'scope, 'env> {
        Prefetcher { scope, queue: VecDeque::new(), in_flight: Arc::new(()) }
    }

    /// Takes the next response.
    pub(super) fn pop(&mut self) -> Option<Prefetch<'scope>> {
        self.queue.pop_front().map(|(_, prefetch)| prefetch)
    }

    /// Abandons all responses.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    /// Requests the ranges after `body` once few requested bytes remain to be read, or none for a slow reader. Where no pooled
    /// connection is available, a thread sends the request; it ends with its response or with the
    /// stream.
    pub(super) fn prefetch(
        &mut self,
        requester: &Requester<'scope>,
        entity: &Entity,
        cursor: &Cursor,
        body: &RangeBody,
    ) {
        let distance = requester.sizing.prefetch_distance(cursor.offset);
        while self.queue.len() < MAX_PREFETCHED
            && Arc::strong_count(&self.in_flight) <= MAX_PREFETCHED
        {
            let requested_until = self.queue.back().map_or(body.end, |(end, _)| Some(*end));
            let (Some(from), Some(end)) = (requested_until, cursor.end) else { break };
            if from >= end || from.saturating_sub(cursor.offset) > distance {
                break;
            }
            let request = requester.request(Some(entity), cursor, from);
            let end = request.range.as_ref().map_or(end, |range| range.end);
            let prefetch = match request.send() {
                Ok(sent) => Some(Prefetch::OnConnection(Box::new(sent))),
                Err(request) => send_on_thread(self.scope, *request, self.in_flight.clone()),
            };
            // If the request cannot be sent now, it is sent when its bytes are due.
            let Some(prefetch) = prefetch else { break };
            self.queue.push_back((end, prefetch));
        }
    }
}

/// Sends a request on a new thread, which keeps `guard` until the response has come; `None` if there
/// is no thread for it.
pub(super) fn send_on_thread<'scope>(
    scope: &'scope Scope<'scope, '_>,
    request: RangeRequest<'scope>,
    guard: impl Send + 'scope,
) -> Option<Prefetch<'scope>> {
    let (sender, receiver) = channel::bounded(1);
    let thread = thread::Builder::new().name("prefetch".into());
    let fetch = carried(move || {
        // Nothing receives any more if an earlier range has failed.
        sender.send(request.fetch()).ok();
        drop(guard);
    });
    let spawned = thread.spawn_scoped(scope, fetch);
    spawned.inspect_err(|error| log::debug!("cannot start a prefetch thread: {error}")).ok()?;
    Some(Prefetch::OnThread(receiver))
}

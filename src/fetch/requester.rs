//! Makes the requests of one track, before its first response and after, and takes over what the
//! responses show.

use std::sync::Arc;

use crate::cancel::CancelToken;
use crate::error::UpstreamError;
use crate::fetch::cursor::Cursor;
use crate::fetch::entity::Entity;
use crate::fetch::prefetch::Prefetch;
use crate::fetch::retry::Retry;
use crate::fetch::sizing::RequestSizing;
use crate::fetch::target::Target;
use crate::http_client::UpstreamClient;
use crate::http_client::body::RangeBody;
use crate::http_client::request::{RangeRequest, RangeResponse};
use crate::media::{Track, TrackKind};

/// What requests are made of, apart from the file and the position in it.
pub(super) struct Requester<'u> {
    pub(super) upstream: &'u UpstreamClient,
    pub(super) cancel: Arc<CancelToken>,
    pub(super) track: TrackKind,
    pub(super) target: Target,
    pub(super) sizing: RequestSizing,
    pub(super) retry: Retry,
    /// Whether the first response was labelled as a web page, and whether it must not be.
    pub(super) is_page: bool,
    pub(super) refuses_pages: bool,
    /// Whether the next request may use a pooled connection.
    pub(super) may_reuse: bool,
}

impl<'u> Requester<'u> {
    /// Makes the requester of a track that is read from `offset` on; the caller needs `size_hint`
    /// bytes at once.
    pub(super) fn new(
        upstream: &'u UpstreamClient,
        track: &Track,
        offset: u64,
        size_hint: u64,
        cancel: &Arc<CancelToken>,
    ) -> Requester<'u> {
        Requester {
            upstream,
            cancel: cancel.clone(),
            track: track.kind,
            target: Target::new(track, upstream.chunk_size(&track.location)),
            sizing: RequestSizing::new(offset, size_hint),
            retry: Retry::before_first_response(upstream),
            is_page: false,
            refuses_pages: false,
            may_reuse: true,
        }
    }

    /// Makes the request for the bytes from offset `from` on.
    pub(super) fn request(
        &self,
        entity: Option<&Entity>,
        cursor: &Cursor,
        from: u64,
    ) -> RangeRequest<'u> {
        let Target { location, effective_url, chunk, .. } = &self.target;
        let fallbacks = &self.retry.fallbacks;
        let ranged = entity.is_none_or(|entity| entity.file.ranged) && !fallbacks.next_is_full;
        let from = from - entity.map_or(0, |entity| entity.overlap(cursor, from));
        let size = self.sizing.request_size(*chunk, cursor.offset);
        let to = from.saturating_add(size).min(cursor.end.unwrap_or(u64::MAX));
        RangeRequest {
            upstream: self.upstream,
            cancel: self.cancel.clone(),
            location: location.clone(),
            effective_url: effective_url.clone(),
            range: ranged.then_some(from..to),
            file: entity.map(|entity| entity.file.clone()),
            send_if_range: !fallbacks.without_if_range,
            may_reuse: self.may_reuse,
        }
    }

    /// Receives the first body of a file of which nothing is known yet, and the description of that
    /// file.
    pub(super) fn first_body(
        &mut self,
        sent: Option<Prefetch<'u>>,
        cursor: &mut Cursor,
    ) -> Result<(Entity, RangeBody), UpstreamError> {
        let response = self.receive(sent, None, cursor)?;
        self.is_page = response.is_page;
        if self.is_page && self.refuses_pages {
            return Err(UpstreamError::WebPage);
        }
        let response = self.complete(response, cursor)?;
        let mut entity = Entity::new(response.file.clone());
        let body = self.accept(response.body, &mut entity, cursor)?;
        let body = body.ok_or(UpstreamError::WrongRange)?;
        self.target.effective_url = Some(response.url);
        cursor.end = cursor.end.or(entity.file.len);
        Ok((entity, body))
    }

    /// Receives the next body of a file, or returns `None` if it does not continue at the cursor.
    pub(super) fn next_body(
        &mut self,
        prefetched: Option<Prefetch<'u>>,
        entity: &mut Entity,
        cursor: &Cursor,
    ) -> Result<Option<RangeBody>, UpstreamError> {
        let RangeResponse { body, file, url, .. } =
            self.receive(prefetched, Some(entity), cursor)?;
        let is_found_again = self.retry.fallbacks.is_found_again();
        let Some(body) = self.accept(body, entity, cursor)? else { return Ok(None) };
        self.target.effective_url = Some(url);
        entity.file.validators_vary |= is_found_again;
        if entity.file.validators_vary {
            self.upstream.host_memory.mark_unstable(&self.target.location.url, &entity.file);
        }
        entity.observe(file);
        Ok(Some(body))
    }

    fn receive(
        &mut self,
        sent: Option<Prefetch<'u>>,
        entity: Option<&Entity>,
        cursor: &Cursor,
    ) -> Result<RangeResponse, UpstreamError> {
        let response = match sent {
            Some(sent) => sent.receive(),
            None => self.request(entity, cursor, cursor.offset).fetch(),
        };
        self.may_reuse = true;
        response
    }

    /// Verifies the first bytes of a body, and learns from it; `None` if it does not continue at
    /// the cursor.
    fn accept(
        &mut self,
        mut body: RangeBody,
        entity: &mut Entity,
        cursor: &Cursor,
    ) -> Result<Option<RangeBody>, UpstreamError> {
        if !self.verify(entity, cursor, &mut body)? {
            return Ok(None);
        }
        let Target { location, chunk, .. } = &self.target;
        if *chunk < self.upstream.chunk_size(location) && body.end.is_some() {
            self.upstream.host_memory.set_request_limit(&location.url, *chunk);
        }
        self.retry.fallbacks.came();
        let len = body.end.map_or(0, |end| end - body.start);
        self.sizing.record_body(len, body.response_time, cursor.offset);
        Ok(Some(body))
    }
}

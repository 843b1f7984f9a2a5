//! A file that was requested, and whose first response is still to come.

use std::ops::Range;
use std::sync::Arc;
use std::thread::Scope;
use std::time::Duration;

use crate::cancel::CancelToken;
use crate::error::Error;
use crate::fetch::cursor::Cursor;
use crate::fetch::entity::Entity;
use crate::fetch::file_reader::FileReader;
use crate::fetch::prefetch::{Prefetch, send_on_thread};
use crate::fetch::requester::Requester;
use crate::http_client::body::RangeBody;
use crate::http_client::{RemoteFile, UpstreamClient};
use crate::media::Track;

/// A reader before its first response.
pub struct PendingFile<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    requester: Requester<'scope>,
    /// The file, if the caller knows it.
    expected: Option<Entity>,
    cursor: Cursor,
    sent: Option<Prefetch<'scope>>,
}

impl<'scope, 'env> PendingFile<'scope, 'env> {
    /// Requests the first `first` bytes of a track, if a pooled connection is available: that takes
    /// no waiting.
    pub fn begin(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope UpstreamClient,
        track: &Track,
        first: u64,
        cancel: &Arc<CancelToken>,
    ) -> PendingFile<'scope, 'env> {
        let requester = Requester::new(upstream, track, 0, first, cancel);
        PendingFile::new(scope, requester, None, Cursor::default())
    }

    /// Like [`begin`](PendingFile::begin), for `range` of a file that is known already.
    pub fn begin_range(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope UpstreamClient,
        track: &Track,
        range: Range<u64>,
        first: u64,
        file: &RemoteFile,
        cancel: &Arc<CancelToken>,
    ) -> PendingFile<'scope, 'env> {
        let requester = Requester::new(upstream, track, range.start, first, cancel);
        let mut file = file.clone();
        file.validators_vary |= upstream.host_memory.is_unstable(&track.location.url, &file);
        PendingFile::new(scope, requester, Some(Entity::pinned(file)), Cursor::over(range))
    }

    /// Like [`begin`](PendingFile::begin), for `range` of a file of which nothing else is known.
    pub fn begin_part(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope UpstreamClient,
        track: &Track,
        range: Range<u64>,
        cancel: &Arc<CancelToken>,
    ) -> PendingFile<'scope, 'env> {
        let size = range.end.saturating_sub(range.start);
        let requester = Requester::new(upstream, track, range.start, size, cancel);
        PendingFile::new(scope, requester, None, Cursor::over(range))
    }

    fn new(
        scope: &'scope Scope<'scope, 'env>,
        requester: Requester<'scope>,
        expected: Option<Entity>,
        cursor: Cursor,
    ) -> PendingFile<'scope, 'env> {
        let is_due = requester.target.location.available_at.is_none() && !cursor.is_over();
        let request = is_due.then(|| requester.request(expected.as_ref(), &cursor, cursor.offset));
        let sent = request.and_then(|request| request.send().ok());
        let sent = sent.map(|sent| Prefetch::OnConnection(Box::new(sent)));
        PendingFile { scope, requester, expected, cursor, sent }
    }

    /// Returns whether the first request is sent.
    pub fn is_sent(&self) -> bool {
        self.sent.is_some()
    }

    /// Takes part in the download of a track that has begun to arrive: from the first request on,
    /// patience pays. Sends that request on a thread where no pooled connection was available.
    pub fn ahead(mut self) -> PendingFile<'scope, 'env> {
        self.requester.retry.after_first_response(self.requester.upstream);
        if self.sent.is_none() && !self.cursor.is_over() {
            let PendingFile { requester, expected, cursor, .. } = &self;
            let request = requester.request(expected.as_ref(), cursor, cursor.offset);
            self.sent = send_on_thread(self.scope, request, ());
        }
        self
    }

    /// Likewise, for bytes that are needed at once.
    pub fn patient(mut self) -> PendingFile<'scope, 'env> {
        self.requester.retry.after_first_response(self.requester.upstream);
        self
    }

    /// Fails if the response is labelled as a web page, since those before it were not.
    pub fn without_pages(mut self, refuses_pages: bool) -> PendingFile<'scope, 'env> {
        self.requester.refuses_pages = refuses_pages;
        self
    }

    /// Returns whether the first response has begun to arrive, now or within `limit`.
    pub fn poll_response(&self, limit: Duration) -> bool {
        match &self.sent {
            Some(Prefetch::OnConnection(sent)) => sent.poll(limit),
            _ => false,
        }
    }

    /// Waits for the first response.
    pub fn wait(self) -> Result<FileReader<'scope, 'env>, Error> {
        let PendingFile { scope, mut requester, expected, mut cursor, sent } = self;
        requester.back_off(Duration::ZERO)?;
        let (entity, body) = match expected {
            None => requester.open(sent, &mut cursor).map(|(entity, body)| (entity, Some(body)))?,
            Some(mut entity) => {
                let body = requester.open_known(sent, &mut entity, &mut cursor)?;
                (entity, body)
            }
        };
        requester.sizing.set_size_hint(0);
        requester.retry.after_first_response(requester.upstream);
        Ok(FileReader::new(scope, requester, entity, cursor, body))
    }
}

impl<'u> Requester<'u> {
    /// Receives the first body of a file of which nothing is known, with as many tries as that
    /// takes.
    pub(super) fn open(
        &mut self,
        mut sent: Option<Prefetch<'u>>,
        cursor: &mut Cursor,
    ) -> Result<(Entity, RangeBody), Error> {
        loop {
            match self.first_body(sent.take(), cursor) {
                Ok(opened) => return Ok(opened),
                Err(fault) => self.recover(fault, None, cursor)?,
            }
        }
    }

    /// Receives the first body of a known file, with as many tries as that takes; `None` if no byte
    /// of it is needed.
    fn open_known(
        &mut self,
        mut sent: Option<Prefetch<'u>>,
        entity: &mut Entity,
        cursor: &mut Cursor,
    ) -> Result<Option<RangeBody>, Error> {
        while !cursor.is_over() {
            match self.next_body(sent.take(), entity, cursor) {
                Ok(None) => {}
                Ok(body) => return Ok(body),
                Err(fault) => self.recover(fault, Some(entity), cursor)?,
            }
        }
        Ok(None)
    }
}

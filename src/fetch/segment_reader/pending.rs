//! [`PendingSegments`]: a track in segments before its first response.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::thread::Scope;
use std::time::Duration;

use super::SegmentReader;
use crate::cancel::CancelToken;
use crate::error::{Error, UpstreamError};
use crate::fetch::cursor::Cursor;
use crate::fetch::segment_refresh::{self, CurrentLocation};
use crate::fetch::segment_source::{PendingSegment, SegmentSource};
use crate::fetch::sizing::first_request_size;
use crate::http_client::{RemoteFile, UpstreamClient};
use crate::media::Track;

/// A track in segments whose first one was requested.
pub struct PendingSegments<'scope, 'env> {
    reader: SegmentReader<'scope, 'env>,
    /// The first segments, in order.
    first: Result<VecDeque<PendingSegment<'scope, 'env>>, Error>,
}

impl<'scope, 'env> PendingSegments<'scope, 'env> {
    /// Requests the first segments of a track, or of `known`, a range of a file that is known. `None`
    /// if the track is not in segments. If no more than `first` bytes are needed now, those that follow are
    /// not requested ahead.
    pub(in crate::fetch) fn begin(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope UpstreamClient,
        track: &Track,
        known: Option<(Range<u64>, &RemoteFile)>,
        first: u64,
        cancel: &Arc<CancelToken>,
    ) -> Option<PendingSegments<'scope, 'env>> {
        let list = segment_refresh::list(&track.location)?.clone();
        let source = SegmentSource {
            scope,
            upstream,
            cancel: cancel.clone(),
            kind: track.kind,
            location: CurrentLocation::new(track),
            resources: HashMap::new(),
            are_pages: None,
        };
        let mut reader = SegmentReader::new(source, list);
        reader.is_probed = known.is_none() && first < first_request_size(track.kind);
        let is_other = known.as_ref().is_some_and(|(_, file)| **file != reader.file);
        if let Some((range, _)) = known {
            reader.cursor = Cursor::over(range);
        }
        let first = if is_other {
            Err(reader.failed(UpstreamError::EntityChanged("its segments are different now")))
        } else {
            reader.begin_first()
        };
        Some(PendingSegments { reader, first })
    }

    /// Returns whether the first request is sent.
    pub(in crate::fetch) fn is_sent(&self) -> bool {
        let first = self.first.as_ref().ok().and_then(VecDeque::front);
        first.is_some_and(|first| first.file().is_sent())
    }

    /// Returns whether the first response has begun to arrive, now or within `limit`.
    pub(in crate::fetch) fn poll_response(&self, limit: Duration) -> bool {
        let first = self.first.as_ref().ok().and_then(VecDeque::front);
        first.is_some_and(|first| first.file().poll_response(limit))
    }

    /// Waits for the first response.
    pub(in crate::fetch) fn wait(self) -> Result<SegmentReader<'scope, 'env>, Error> {
        let PendingSegments { mut reader, first } = self;
        let mut first = first?;
        if let Some(segment) = first.pop_front() {
            reader.receive(segment)?;
        }
        reader.ahead = first;
        Ok(reader)
    }
}

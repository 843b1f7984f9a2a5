//! Reads the segments of a track as if they were one file.
//!
//! Each segment is read by a reader of its own, which resumes, retries and refreshes as for any file.
//! The next ones are requested while one is still arriving.
//!
//! The list of a live stream is loaded again when a segment is needed that it does not have yet.
//!
//! **Invariant:** where the lengths of the segments are known, each is as long as it was then; and
//! `read` returns 0 only behind the last one of a list that is complete.

mod pending;

use std::collections::VecDeque;
use std::mem::take;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, UpstreamError};
use crate::fetch::begun_segments::{BegunSegments, SegmentStart};
use crate::fetch::cursor::Cursor;
use crate::fetch::follow::Follower;
use crate::fetch::pace::Pace;
use crate::fetch::segment_source::{PendingSegment, SegmentBody, SegmentSource};
use crate::fetch::segment_starts::SegmentStarts;
use crate::http_client::RemoteFile;
use crate::media::segments::SegmentList;
use crate::media::{Track, TrackKind};
use crate::sys::SplicePipe;

pub(super) use pending::PendingSegments;

/// The next segments are requested until this many bytes are to be read, or [`MAX_AHEAD`] segments.
const AHEAD_BYTES: u64 = 1 << 20;
const MAX_AHEAD: usize = 3;

/// Reads the segments of one track.
pub struct SegmentReader<'scope, 'env> {
    source: SegmentSource<'scope, 'env>,
    list: Arc<SegmentList>,
    /// The file that the segments are.
    file: RemoteFile,
    /// Where each segment begins in it, as far as that is known.
    starts: SegmentStarts,
    /// Follows the list, if it is that of a live stream.
    follower: Option<Follower>,
    /// The segments that have begun, if their lengths are not known.
    begun: BegunSegments,
    cursor: Cursor,
    pace: Pace,
    /// Whether only its first bytes are read so far, and others may be needed next.
    is_probed: bool,
    /// The segment that is read, and those that were requested ahead.
    current: Option<SegmentBody<'scope, 'env>>,
    ahead: VecDeque<PendingSegment<'scope, 'env>>,
}

impl<'scope, 'env> SegmentReader<'scope, 'env> {
    fn new(
        source: SegmentSource<'scope, 'env>,
        list: Arc<SegmentList>,
    ) -> SegmentReader<'scope, 'env> {
        let file = list.remote_file();
        let starts = SegmentStarts::new(&list);
        let patience = source.upstream.stall_timeout;
        let follower = list.is_live().then(|| Follower::new(patience));
        let cursor = Cursor { end: file.len, ..Cursor::default() };
        let ahead = VecDeque::new();
        let current = None;
        SegmentReader {
            source,
            list,
            file,
            starts,
            follower,
            begun: BegunSegments::default(),
            cursor,
            pace: Pace::new(0),
            is_probed: false,
            current,
            ahead,
        }
    }

    /// Returns the kind of the track.
    pub(super) fn track(&self) -> TrackKind {
        self.source.kind
    }

    /// Returns the track with its current location.
    pub(super) fn as_track(&self) -> Track {
        self.source.location.as_track(self.source.kind)
    }

    /// Returns the file that the segments are.
    pub(super) fn file(&self) -> &RemoteFile {
        &self.file
    }

    /// Returns whether the reader is slower than its upstream.
    pub(super) fn is_slow(&self) -> bool {
        self.pace.is_slow(self.cursor.offset)
    }

    /// Returns whether every byte of the range was read.
    pub(super) fn is_over(&self) -> bool {
        self.cursor.is_over()
    }

    /// Returns the bytes peeked at so far.
    pub(super) fn peeked(&self) -> &[u8] {
        &self.cursor.peeked
    }

    /// Takes the peeked bytes, which precede the first [`read`](SegmentReader::read).
    pub(super) fn take_peeked(&mut self) -> Vec<u8> {
        self.is_probed = false;
        take(&mut self.cursor.peeked)
    }

    /// Peeks at more bytes, up to `limit` in total; returns `false` at the end of the track.
    pub(super) fn fill_peeked(&mut self, limit: usize) -> Result<bool, Error> {
        const STEP: usize = 64 << 10;
        let mut bytes = take(&mut self.cursor.peeked);
        let old_len = bytes.len();
        bytes.resize(old_len + STEP.min(limit.saturating_sub(old_len)), 0);
        let count = self.read(&mut bytes[old_len..]);
        bytes.truncate(old_len + count.as_ref().copied().unwrap_or(0));
        self.cursor.peeked = bytes;
        Ok(count? > 0)
    }

    /// Restricts reading to `range` of a file of known length. Peeked bytes may lie beyond it.
    pub(super) fn restrict_to(&mut self, range: Range<u64>) {
        self.is_probed = false;
        let is_shorter = self.cursor.end.is_none_or(|end| range.end < end);
        let is_here = self.cursor.restrict_to(range);
        // What was requested may reach beyond the new end.
        if !is_here || is_shorter {
            self.abandon();
        }
    }

    /// Restricts reading to `range`, which follows the range before, and returns the size of the
    /// gap between them.
    pub(super) fn continue_with(&mut self, range: Range<u64>) -> u64 {
        let gap = range.start.saturating_sub(self.cursor.end.unwrap_or(self.cursor.offset));
        self.restrict_to(range);
        gap
    }

    /// Reads the next bytes. Returns 0 only if the track is complete or `buffer` is empty.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        while !buffer.is_empty() && !self.cursor.is_over() {
            let len = self.len_now(buffer.len() as u64) as usize;
            let started = Instant::now();
            let Some(body) = self.body()? else { continue };
            let count = body.read(&mut buffer[..len])?;
            self.pace.record_wait(started.elapsed());
            if count > 0 {
                self.advance(count)?;
                return Ok(count);
            }
            self.finish_segment()?;
        }
        Ok(0)
    }

    /// Returns whether [`splice_into`](SegmentReader::splice_into) can move the next bytes.
    pub(super) fn can_splice(&self) -> bool {
        self.peeked().is_empty() && self.current.as_ref().is_some_and(SegmentBody::can_splice)
    }

    /// Moves up to `max_len` of the next bytes into `pipe` by splice(2). Returns 0 where they must be
    /// [read](SegmentReader::read).
    pub(super) fn splice_into(&mut self, pipe: &SplicePipe, max_len: u64) -> Result<usize, Error> {
        let max_len = self.len_now(max_len);
        let Some(body) = self.current.as_mut().filter(|_| self.cursor.peeked.is_empty()) else {
            return Ok(0);
        };
        let started = Instant::now();
        let count = body.splice_into(pipe, max_len)?;
        self.pace.record_wait(started.elapsed());
        self.advance(count)?;
        Ok(count)
    }

    /// Ends reading.
    pub(super) fn close(mut self) {
        self.abandon();
    }

    /// Returns how many of the next `len` bytes belong to the range.
    fn len_now(&self, len: u64) -> u64 {
        len.min(self.cursor.remaining().unwrap_or(u64::MAX))
    }

    /// Counts bytes that were read, and requests what follows them.
    fn advance(&mut self, count: usize) -> Result<(), Error> {
        self.cursor.offset += count as u64;
        if self.cursor.is_over() {
            // The connection serves the next request.
            self.current.take().into_iter().for_each(SegmentBody::close);
            return Ok(());
        }
        self.request_ahead()
    }

    /// Abandons what was requested.
    fn abandon(&mut self) {
        self.current.take().into_iter().for_each(SegmentBody::close);
        self.ahead.clear();
    }

    /// Returns the segment of the next byte, opened; `None` if the track turns out to end here.
    fn body(&mut self) -> Result<Option<&mut SegmentBody<'scope, 'env>>, Error> {
        if self.current.is_none() {
            let next = match self.ahead.pop_front() {
                Some(next) => next,
                None => {
                    let index = self.starts.segment_at(self.cursor.offset);
                    if !self.is_listed(index)? {
                        self.cursor.end = Some(self.cursor.offset);
                        return Ok(None);
                    }
                    self.begin(index)?.patient()
                }
            };
            self.receive(next)?;
        }
        Ok(self.current.as_mut())
    }

    /// Returns whether the list has this segment; that of a live stream may have it later.
    fn is_listed(&mut self, index: usize) -> Result<bool, Error> {
        if let Some(follower) = &mut self.follower {
            let SegmentSource { kind, location, cancel, .. } = &self.source;
            self.list = follower.wait_for(index, *kind, location, cancel)?;
        }
        Ok(index < self.list.part_count())
    }

    /// Waits for the response of a segment.
    fn receive(&mut self, segment: PendingSegment<'scope, 'env>) -> Result<(), Error> {
        let body = segment.wait(&mut self.source)?;
        self.note_start(body.index);
        self.pace.mark(self.cursor.offset);
        // The next segment begins behind this one, which may be a range of its resource.
        let range = self.list.part(body.index).and_then(|part| part.location.range.clone());
        let len = body.len().map(|len| range.map_or(len, |range| range.end - range.start));
        len.into_iter().for_each(|len| self.starts.record_len(body.index, len));
        self.current = Some(body);
        Ok(())
    }

    /// Records that a media segment begins now, if nothing else knows where, or that there are discontinuities.
    fn note_start(&mut self, index: usize) {
        if self.is_of_unknown_length() || self.list.is_discontinuous() {
            self.begun.begin(self.cursor.offset, &self.list, index);
        }
    }

    /// Returns whether the lengths of the segments are not known.
    pub(super) fn is_of_unknown_length(&self) -> bool {
        self.list.files.is_none()
    }

    /// Returns the segments that have begun up to the last byte that was read, and were not taken.
    pub(super) fn begun(&self) -> &[SegmentStart] {
        self.begun.starts()
    }

    /// Takes the segments that have begun up to the last byte that was read.
    pub(super) fn take_begun(&mut self) -> Vec<SegmentStart> {
        self.begun.take()
    }

    /// Ends the current segment, all of whose bytes were read.
    fn finish_segment(&mut self) -> Result<(), Error> {
        let Some(body) = self.current.take() else { return Ok(()) };
        let end = self.cursor.offset;
        let start = self.starts.get(body.index).unwrap_or(0);
        self.starts.record_len(body.index, end.saturating_sub(start));
        if self.starts.get(body.index + 1) != Some(end) {
            return Err(self.failed(UpstreamError::EntityChanged("a segment has another length")));
        }
        if end == start && self.is_of_unknown_length() {
            return Err(self.failed(UpstreamError::Truncated { received: 0, announced: None }));
        }
        self.starts.forget_before(body.index);
        if body.index + 1 == self.list.part_count() && !self.list.is_live() {
            self.cursor.end = Some(end);
        }
        body.close();
        Ok(())
    }

    /// Requests the first segments: a short one, such as the initialisation, with the one after it.
    fn begin_first(&self) -> Result<VecDeque<PendingSegment<'scope, 'env>>, Error> {
        let mut first = VecDeque::new();
        if !self.cursor.is_over() && self.list.part_count() > 0 {
            first.push_back(self.begin(self.starts.segment_at(self.cursor.offset))?);
        }
        Ok(first)
    }

    /// Requests the next segments, unless enough bytes are on their way.
    fn request_ahead(&mut self) -> Result<(), Error> {
        let Some(current) = &self.current else { return Ok(()) };
        // The next request of a slow reader finds the connection of the one before it.
        if self.is_probed || self.is_slow() {
            return Ok(());
        }
        while self.ahead.len() < MAX_AHEAD {
            let next = self.ahead.back().map_or(current.index, |last| last.index) + 1;
            let start = self.starts.get(next);
            let is_needed = match (start, self.cursor.end) {
                (Some(start), Some(end)) => start < end,
                _ => next < self.list.part_count(),
            };
            let on_the_way = start.map(|start| start.saturating_sub(self.cursor.offset));
            // One of unknown length is requested when that of the one before it is known.
            let is_due = on_the_way.is_some_and(|bytes| bytes < AHEAD_BYTES);
            if !is_needed || !is_due {
                break;
            }
            let segment = self.begin(next)?.ahead();
            self.ahead.push_back(segment);
        }
        Ok(())
    }

    /// Requests what is needed of a segment.
    fn begin(&self, index: usize) -> Result<PendingSegment<'scope, 'env>, Error> {
        let known = self.list.files.as_ref().and_then(|files| files.get(index));
        let range = known.map(|file| {
            let start = self.starts.get(index).unwrap_or(0);
            let end = self.cursor.end.unwrap_or(u64::MAX).saturating_sub(start).min(file.len);
            self.cursor.offset.saturating_sub(start).min(end)..end
        });
        self.source.begin(&self.list, index, range)
    }

    fn failed(&self, fault: UpstreamError) -> Error {
        Error::Upstream { track: self.source.kind, fault }
    }
}

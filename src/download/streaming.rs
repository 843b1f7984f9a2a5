//! Serves tracks in segments of unknown length that splice joins while they arrive. The thread of the connection
//! reads the track that is behind; meanwhile the bytes of the other one wait in the socket buffer of the
//! kernel.

use std::collections::VecDeque;
use std::time::Instant;

use super::probe::ProbedTrack;
use super::{DownloadContext, MediaBody, MediaResponse, Prepared, ShortResponse};
use crate::container::retime::Restart;
use crate::container::{Container, OutputType, type_of};
use crate::error::{Error, UpstreamError};
use crate::fetch::{Discontinuity, SegmentStart, TrackReader};
use crate::http_server::BodyWriter;
use crate::splice::{StreamingMuxer, StreamingPlan};

/// Bytes read from a track per call.
const BUFFER_SIZE: usize = 64 << 10;

/// Prepares the response with the tracks of a plan.
pub(super) fn prepare<'scope, 'env>(
    context: &DownloadContext<'scope, 'env>,
    tracks: Vec<ProbedTrack<'scope, 'env>>,
    plan: StreamingPlan,
) -> Prepared<'scope> {
    let planned = Instant::now();
    let kinds = context.media.tracks.iter().map(|track| track.kind);
    let OutputType { media_type, extension } = type_of(Container::Mp4, kinds);
    let head = context.head(media_type, extension).with("Accept-Ranges", "none");
    if context.request.head_only {
        let timing = context.server_timing(planned, planned, ENGINE);
        return Prepared::Short(ShortResponse::Head(head.with("Server-Timing", timing)));
    }
    let body = StreamingBody { context: *context, plan, tracks };
    Prepared::Media(MediaResponse { head, engine: ENGINE.into(), planned, body: Box::new(body) })
}

const ENGINE: &str = "splice";

struct StreamingBody<'scope, 'env> {
    context: DownloadContext<'scope, 'env>,
    plan: StreamingPlan,
    tracks: Vec<ProbedTrack<'scope, 'env>>,
}

impl MediaBody for StreamingBody<'_, '_> {
    fn write(self: Box<Self>, body: &mut BodyWriter) -> Result<(), Error> {
        let StreamingBody { context, plan, tracks } = *self;
        let cancelled = context.cancelled();
        body.write(&plan.head, cancelled)?;
        let mut muxer = plan.start();
        let mut inputs: Vec<_> =
            (0..).zip(tracks).map(|(file, track)| Input::new(file, track)).collect();
        while let Some(file) = muxer.next() {
            let input = &mut inputs[file];
            if input.is_drained() {
                body.flush(cancelled)?;
            }
            input.advance(&mut muxer)?;
            muxer.write(|bytes| body.write(bytes, cancelled))?;
        }
        Ok(())
    }
}

/// A track on its way to the muxer.
struct Input<'scope, 'env> {
    /// Its index among the files of the muxer.
    file: usize,
    source: TrackReader<'scope, 'env>,
    /// The bytes that were read, and how many of them were taken.
    buffer: Vec<u8>,
    taken: usize,
    /// The offset of the next byte.
    offset: u64,
    /// The segments that begin there, or later.
    starts: VecDeque<SegmentStart>,
}

impl<'scope, 'env> Input<'scope, 'env> {
    fn new(file: usize, track: ProbedTrack<'scope, 'env>) -> Input<'scope, 'env> {
        let mut source = track.file.source;
        let buffer = source.take_peeked();
        Input { file, source, buffer, taken: 0, offset: 0, starts: VecDeque::new() }
    }

    /// Returns whether the upstream is awaited next.
    fn is_drained(&self) -> bool {
        self.taken == self.buffer.len()
    }

    /// Gives the muxer the next bytes of the track, until it needs another one.
    fn advance(&mut self, muxer: &mut StreamingMuxer<'_>) -> Result<(), Error> {
        if self.is_drained() {
            // The bytes of the probe may have been many.
            if self.buffer.capacity() > 2 * BUFFER_SIZE {
                self.buffer = Vec::new();
            }
            self.buffer.resize(BUFFER_SIZE, 0);
            let count = self.source.read(&mut self.buffer)?;
            self.buffer.truncate(count);
            self.taken = 0;
        }
        self.starts.extend(self.source.take_begun_segments());
        let given = if self.buffer.is_empty() { muxer.end(self.file) } else { self.push(muxer) };
        given.map_err(|why| {
            let fault = UpstreamError::Damaged(why);
            Error::Upstream { track: self.source.track(), fault }
        })
    }

    fn push(&mut self, muxer: &mut StreamingMuxer<'_>) -> Result<(), &'static str> {
        while !self.is_drained() && muxer.next() == Some(self.file) {
            if let Some(SegmentStart { offset, declared, discontinuity }) =
                self.starts.front().copied()
                && offset <= self.offset
            {
                self.starts.pop_front();
                let restart = |Discontinuity { number, after }| Restart { number, after };
                muxer.begin_segment(self.file, Some(declared), discontinuity.map(restart))?;
                continue;
            }
            let next = self.starts.front().map_or(u64::MAX, |start| start.offset);
            let len = usize::try_from(next - self.offset).unwrap_or(usize::MAX);
            let rest = &self.buffer[self.taken..];
            let count = muxer.push(self.file, &rest[..len.min(rest.len())])?;
            self.taken += count;
            self.offset += count as u64;
        }
        Ok(())
    }
}

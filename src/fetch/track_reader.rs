//! The reader of one track, be it one file or segments.

use std::ops::Range;
use std::sync::Arc;
use std::thread::Scope;
use std::time::Duration;

use crate::cancel::CancelToken;
use crate::error::Error;
use crate::fetch::begun_segments::SegmentStart;
use crate::fetch::file_reader::FileReader;
use crate::fetch::pending_file::PendingFile;
use crate::fetch::segment_reader::{PendingSegments, SegmentReader};
use crate::http_client::{RemoteFile, UpstreamClient};
use crate::media::{Track, TrackKind};
use crate::sys::SplicePipe;

/// A track whose first bytes were requested.
pub enum PendingReader<'scope, 'env> {
    /// It is one file.
    File(Box<PendingFile<'scope, 'env>>),
    /// It is in segments.
    Segments(Box<PendingSegments<'scope, 'env>>),
}

/// Reads one track.
pub enum TrackReader<'scope, 'env> {
    /// It is one file.
    File(Box<FileReader<'scope, 'env>>),
    /// It is in segments.
    Segments(Box<SegmentReader<'scope, 'env>>),
}

impl<'scope, 'env> PendingReader<'scope, 'env> {
    /// Requests the first `first` bytes of a track, if a pooled connection is available: that takes
    /// no waiting.
    pub fn begin(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope UpstreamClient,
        track: &Track,
        first: u64,
        cancel: &Arc<CancelToken>,
    ) -> PendingReader<'scope, 'env> {
        match PendingSegments::begin(scope, upstream, track, None, first, cancel) {
            Some(segments) => PendingReader::Segments(Box::new(segments)),
            None => PendingReader::File(Box::new(PendingFile::begin(
                scope, upstream, track, first, cancel,
            ))),
        }
    }

    /// Like [`begin`](PendingReader::begin), for `range` of a file that is known already.
    pub fn begin_range(
        scope: &'scope Scope<'scope, 'env>,
        upstream: &'scope UpstreamClient,
        track: &Track,
        range: Range<u64>,
        first: u64,
        file: &RemoteFile,
        cancel: &Arc<CancelToken>,
    ) -> PendingReader<'scope, 'env> {
        let known = Some((range.clone(), file));
        match PendingSegments::begin(scope, upstream, track, known, first, cancel) {
            Some(segments) => PendingReader::Segments(Box::new(segments)),
            None => PendingReader::File(Box::new(PendingFile::begin_range(
                scope, upstream, track, range, first, file, cancel,
            ))),
        }
    }

    /// Returns whether the first request is sent.
    pub fn is_sent(&self) -> bool {
        match self {
            PendingReader::File(file) => file.is_sent(),
            PendingReader::Segments(segments) => segments.is_sent(),
        }
    }

    /// Returns whether the first response has begun to arrive, now or within `limit`.
    pub fn poll_response(&self, limit: Duration) -> bool {
        match self {
            PendingReader::File(file) => file.poll_response(limit),
            PendingReader::Segments(segments) => segments.poll_response(limit),
        }
    }

    /// Waits for the first response.
    pub fn wait(self) -> Result<TrackReader<'scope, 'env>, Error> {
        Ok(match self {
            PendingReader::File(file) => TrackReader::File(Box::new(file.wait()?)),
            PendingReader::Segments(segments) => TrackReader::Segments(Box::new(segments.wait()?)),
        })
    }
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
        PendingReader::begin(scope, upstream, track, first, cancel).wait()
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
        PendingReader::begin_range(scope, upstream, track, range, first, file, cancel).wait()
    }

    /// Discards everything after bytes that turned out not to be the file, and requests the first
    /// `first` bytes from a refreshed location. Returns `false` if there is none.
    pub fn restart_from(&mut self, first: u64) -> Result<bool, Error> {
        match self {
            TrackReader::File(file) => file.restart_from(first),
            // Whether a list is current shows when it is loaded.
            TrackReader::Segments(_) => Ok(false),
        }
    }

    /// Returns the kind of the track.
    pub fn track(&self) -> TrackKind {
        match self {
            TrackReader::File(file) => file.track(),
            TrackReader::Segments(segments) => segments.track(),
        }
    }

    /// Returns the track with its current location.
    pub fn as_track(&self) -> Track {
        match self {
            TrackReader::File(file) => file.as_track(),
            TrackReader::Segments(segments) => segments.as_track(),
        }
    }

    /// Returns the file as its upstream describes it.
    pub fn file(&self) -> &RemoteFile {
        match self {
            TrackReader::File(file) => file.file(),
            TrackReader::Segments(segments) => segments.file(),
        }
    }

    /// Returns whether it is in segments whose lengths are not known.
    pub fn is_in_unknown_segments(&self) -> bool {
        match self {
            TrackReader::File(_) => false,
            TrackReader::Segments(segments) => segments.is_of_unknown_length(),
        }
    }

    /// Returns the segments of unknown length that have begun up to the last byte that was read, and were
    /// not taken.
    pub fn begun_segments(&self) -> &[SegmentStart] {
        match self {
            TrackReader::File(_) => &[],
            TrackReader::Segments(segments) => segments.begun(),
        }
    }

    /// Takes the segments of unknown length that have begun up to the last byte that was read.
    pub fn take_begun_segments(&mut self) -> Vec<SegmentStart> {
        match self {
            TrackReader::File(_) => Vec::new(),
            TrackReader::Segments(segments) => segments.take_begun(),
        }
    }

    /// Returns whether every byte of the range was read.
    pub fn is_over(&self) -> bool {
        match self {
            TrackReader::File(file) => file.is_over(),
            TrackReader::Segments(segments) => segments.is_over(),
        }
    }

    /// Returns the bytes peeked at so far.
    pub fn peeked(&self) -> &[u8] {
        match self {
            TrackReader::File(file) => file.peeked(),
            TrackReader::Segments(segments) => segments.peeked(),
        }
    }

    /// Takes the peeked bytes, which precede the first [`read`](TrackReader::read).
    pub fn take_peeked(&mut self) -> Vec<u8> {
        match self {
            TrackReader::File(file) => file.take_peeked(),
            TrackReader::Segments(segments) => segments.take_peeked(),
        }
    }

    /// Announces that the caller needs the next `len` bytes at once: they are requested in one
    /// range, up to the maximum request size. 0 withdraws the hint.
    pub fn set_size_hint(&mut self, len: u64) {
        match self {
            TrackReader::File(file) => file.set_size_hint(len),
            // A segment is requested as a whole.
            TrackReader::Segments(_) => {}
        }
    }

    /// Peeks at more bytes, up to `limit` in total, before the caller knows which ranges of the
    /// track to read; returns `false` at the end of the track.
    pub fn fill_peeked(&mut self, limit: usize) -> Result<bool, Error> {
        match self {
            TrackReader::File(file) => file.fill_peeked(limit),
            TrackReader::Segments(segments) => segments.fill_peeked(limit),
        }
    }

    /// Restricts reading to `range` of a file that supports ranges. Peeked bytes may lie beyond it.
    pub fn restrict_to(&mut self, range: Range<u64>) {
        match self {
            TrackReader::File(file) => file.restrict_to(range),
            TrackReader::Segments(segments) => segments.restrict_to(range),
        }
    }

    /// Restricts reading to `range`, which follows the range before, and returns the size of the
    /// gap between them.
    pub fn continue_with(&mut self, range: Range<u64>) -> u64 {
        match self {
            TrackReader::File(file) => file.continue_with(range),
            TrackReader::Segments(segments) => segments.continue_with(range),
        }
    }

    /// Reads the next bytes. Returns 0 only if the track is complete or `buffer` is empty.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        match self {
            TrackReader::File(file) => file.read(buffer),
            TrackReader::Segments(segments) => segments.read(buffer),
        }
    }

    /// Returns whether the reader is slower than its upstream, so that nothing is gained by reading much at a time.
    pub fn is_slow(&self) -> bool {
        match self {
            TrackReader::File(file) => file.is_slow(),
            TrackReader::Segments(segments) => segments.is_slow(),
        }
    }

    /// Returns whether [`splice_into`](TrackReader::splice_into) can move the next bytes.
    pub fn can_splice(&self) -> bool {
        match self {
            TrackReader::File(file) => file.can_splice(),
            TrackReader::Segments(segments) => segments.can_splice(),
        }
    }

    /// Moves up to `max_len` of the next bytes into `pipe` by splice(2), without copying them
    /// through this process. Returns 0 where they must be [read](TrackReader::read).
    pub fn splice_into(&mut self, pipe: &SplicePipe, max_len: u64) -> Result<usize, Error> {
        match self {
            TrackReader::File(file) => file.splice_into(pipe, max_len),
            TrackReader::Segments(segments) => segments.splice_into(pipe, max_len),
        }
    }

    /// Takes over what another reader of the same track has learned, and compares the bytes that
    /// this reader read before with what the upstream sends now, where nothing else proves them.
    pub fn absorb(&mut self, other: TrackReader<'_, '_>) -> Result<(), Error> {
        match (self, other) {
            (TrackReader::File(file), TrackReader::File(other)) => file.absorb(*other),
            // Each segment is proven by its own response.
            (_, TrackReader::Segments(other)) => {
                other.close();
                Ok(())
            }
            (TrackReader::Segments(_), TrackReader::File(_)) => {
                Err(Error::Internal("a track is both in segments and in one file"))
            }
        }
    }
}

//! Reads the indexes of remote tracks for splice: at their beginnings, or at any other offset by range
//! requests.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::DownloadContext;
use super::probe::{PANICKED, ProbedTrack, incomplete};
use crate::container::probe::{Format, PROBE_SIZE, ProbedInput};
use crate::error::{Error, Unsupported};
use crate::fetch::TrackReader;
use crate::http_client::RemoteFile;
use crate::media::segments::{MediaSegment, SegmentFile};
use crate::media::{Delivery, TrackKind};
use crate::memory_budget::Reservation;
use crate::request_id::carried;
use crate::splice::{self, NextRead, ReadAt, SourceSegment, SurveyError, TrackIndex};
use crate::strategy;

mod heads;
mod remote_reads;

pub(super) use heads::SegmentHeads;
use remote_reads::{RemoteReads, ScanProgress, check_deadline};

/// The largest gap after the buffered bytes that is read through instead of sending a range request.
const MAX_SKIP_AHEAD: u64 = 256 << 10;
/// The maximum number of buffered bytes from the beginning of a file.
const MAX_BUFFERED: u64 = 48 << 20;

/// The minimum number of bytes that are read more of a file in segments of unknown length.
const MIN_FRONT_STEP: usize = 64 << 10;

/// The approximate memory of one chain of reads.
const CHAIN_WINDOW: u64 = 512 << 10;

/// How many copies of an index, raw or parsed, exist while it is read.
const INDEX_COPIES: u64 = 4;

/// A remote file that can be read at any offset, with the memory that these reads reserve.
pub(super) struct RemoteFileReader<'scope, 'env> {
    context: DownloadContext<'scope, 'env>,
    pub(super) source: TrackReader<'scope, 'env>,
    /// The reservation in the memory budget.
    pub(super) memory: Reservation,
    /// When the reads of the current search must be done.
    deadline: Instant,
    /// The segments of the file, if it has any of known length, and what came of them already.
    segments: Vec<SourceSegment>,
    heads: Arc<SegmentHeads>,
}

impl<'scope, 'env> RemoteFileReader<'scope, 'env> {
    /// Reads the track at `index` of the download.
    pub(super) fn new(
        context: DownloadContext<'scope, 'env>,
        index: usize,
        source: TrackReader<'scope, 'env>,
    ) -> RemoteFileReader<'scope, 'env> {
        let mut memory = context.app.memory_budget.reservation();
        let segments = segments(&source);
        let heads = context.take_heads(index);
        let heads = Some(heads).filter(|heads| memory.grow(heads.memory_size()));
        let heads = Arc::new(heads.unwrap_or_default());
        RemoteFileReader { context, source, memory, deadline: Instant::now(), segments, heads }
    }

    /// Begins a search in the file; `None` if its upstream does not support byte ranges.
    fn search(&mut self) -> Option<&mut RemoteFileReader<'scope, 'env>> {
        let RemoteFile { len, ranged, .. } = *self.source.file();
        self.deadline = Instant::now() + self.context.app.config.muxer.plan_timeout.0;
        (ranged && len.is_some()).then_some(self)
    }
}

/// Returns the segments of a track.
fn segments(source: &TrackReader<'_, '_>) -> Vec<SourceSegment> {
    let Delivery::Segments(list) = source.as_track().location.delivery else { return Vec::new() };
    let Some(files) = &list.files else { return Vec::new() };
    let inits = list.part_count() - list.segments.len();
    let mut offset: u64 = files[..inits].iter().map(|file| file.len).sum();
    let segments = list.segments.iter().zip(&files[inits..]);
    let segments = segments.map(|(segment, SegmentFile { len, .. })| {
        offset += len;
        let MediaSegment { duration, is_discontinuous, .. } = *segment;
        let (offset, rounding) = (offset - len, list.rounding);
        SourceSegment { offset, len: *len, duration, rounding, is_discontinuous }
    });
    segments.collect()
}

/// Reads the index of a track whose upstream has responded, or returns why splice does not support it.
pub(super) fn read_index(
    file: &mut RemoteFileReader<'_, '_>,
    input: ProbedInput,
) -> Result<Result<TrackIndex, Unsupported>, Error> {
    let DownloadContext { media, options, .. } = file.context;
    let is_whole = options.time_range.is_full() && media.metadata.removal.is_empty();
    if file.source.is_in_unknown_segments() && is_whole {
        return read_front(file, input);
    }
    let Some(reader) = file.search() else {
        return Ok(Err(Unsupported("its upstream does not support byte ranges")));
    };
    if strategy::wants_tag(input, media.tracks.len(), &options) {
        return supported(splice::read_frames(reader).map(TrackIndex::Mp3), input.kind);
    }
    let removal = &media.metadata.removal;
    let gathered = if strategy::wants_single_index(input, media.tracks.len(), &options)
        && removal.is_empty()
    {
        Some(splice::read_gathered_index(reader))
    } else {
        None
    };
    let gathered = match gathered {
        // A time range must be spliced, if only from fragments.
        Some(Err(SurveyError::Refused(_))) if !options.time_range.is_full() => None,
        other => other,
    };
    let index = gathered.unwrap_or_else(|| {
        splice::read_index(input.probe.format, reader, options.time_range, removal)
    });
    supported(index, input.kind)
}

/// Reads the beginning of a track in segments of unknown length.
fn read_front(
    file: &mut RemoteFileReader<'_, '_>,
    input: ProbedInput,
) -> Result<Result<TrackIndex, Unsupported>, Error> {
    let duration = match file.source.as_track().location.delivery {
        Delivery::Segments(list) if !list.is_live() => Some(list.duration()),
        _ => None,
    };
    file.deadline = Instant::now() + file.context.app.config.muxer.plan_timeout.0;
    loop {
        let (peeked, begun) = (file.source.peeked(), file.source.begun_segments());
        let second = begun.get(1).and_then(|start| usize::try_from(start.offset).ok());
        let front = &peeked[..second.map_or(peeked.len(), |end| end.min(peeked.len()))];
        let is_all = second.is_some() || file.source.is_over();
        match splice::read_front(input.probe.format, front, is_all, duration) {
            Ok(Some(index)) => return Ok(Ok(index)),
            Err(why) => return Ok(Err(why)),
            Ok(None) => {}
        }
        let len = peeked.len();
        if let Err(why) = file.check_deadline() {
            return Ok(Err(why));
        }
        if !file.memory.grow((2 * len) as u64) {
            return Ok(Err(OUT_OF_MEMORY));
        }
        // Each time it is read from the beginning.
        let end = len + MIN_FRONT_STEP.max(len / 4);
        while file.source.peeked().len() < end && file.source.fill_peeked(end)? {}
    }
}

/// Verifies by its top-level boxes that an MP4 is not truncated. For ranges that begin after the first
/// byte, where completeness cannot be followed while the file is sent.
pub(super) fn check_boxes(track: &mut ProbedTrack<'_, '_>) -> Result<(), Error> {
    let input = track.input;
    match track.file.search().filter(|_| input.probe.format == Format::Mp4) {
        Some(reader) => supported(splice::check_boxes(reader), input.kind).map(drop),
        None => Ok(()),
    }
}

/// Searches for the key frame before the start of the time range, in a video without an index of key
/// frames.
pub(super) fn find_key_frame(
    context: &DownloadContext<'_, '_>,
    tracks: &mut [ProbedTrack<'_, '_>],
) -> Result<Option<Duration>, Error> {
    let inputs: Vec<ProbedInput> = tracks.iter().map(|track| track.input).collect();
    for ProbedTrack { file, input, index, .. } in tracks {
        let start =
            strategy::key_frame_target(&inputs, input.kind, index.as_ref(), &context.options);
        let Some(start) = start else { continue };
        let Some(reader) = file.search() else { continue };
        let found = splice::key_frame(input.probe.format, reader, start);
        return supported(found, input.kind).map(|found| found.unwrap_or(None));
    }
    Ok(None)
}

/// Reads [`PROBE_SIZE`] bytes at `at` of a file that is being probed; none if they cannot be read.
pub(super) fn probe_at(file: &mut RemoteFileReader<'_, '_>, at: u64) -> Result<Vec<u8>, Error> {
    let Some(reader) = file.search() else { return Ok(Vec::new()) };
    let end = reader.len().min(at.saturating_add(PROBE_SIZE as u64));
    if at >= end {
        return Ok(Vec::new());
    }
    match reader.read_at(at..end) {
        Ok(bytes) => Ok(bytes.into_owned()),
        Err(SurveyError::Refused(_) | SurveyError::Incomplete(_)) => Ok(Vec::new()),
        Err(SurveyError::Failed(error)) => Err(error),
    }
}

/// Tells a file that splice does not support from a failure.
fn supported<T>(
    found: Result<T, SurveyError>,
    track: TrackKind,
) -> Result<Result<T, Unsupported>, Error> {
    match found {
        Ok(found) => Ok(Ok(found)),
        Err(SurveyError::Refused(unsupported)) => Ok(Err(unsupported)),
        Err(SurveyError::Incomplete(how)) => Err(incomplete(track, how)),
        Err(SurveyError::Failed(error)) => Err(error),
    }
}

impl ReadAt for RemoteFileReader<'_, '_> {
    fn len(&self) -> u64 {
        self.source.file().len.unwrap_or(0)
    }

    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
        if let Some(bytes) = self.heads.get(&range) {
            return Ok(bytes.into());
        }
        let buffered = self.source.peeked().len() as u64;
        let is_near = range.end <= MAX_BUFFERED && range.start <= buffered + MAX_SKIP_AHEAD;
        let more = range.end.saturating_sub(if is_near { buffered } else { range.start });
        if !self.memory.grow((buffered + more).saturating_mul(INDEX_COPIES)) {
            return Err(OUT_OF_MEMORY.into());
        }
        if is_near {
            self.buffered(range).map(Cow::from)
        } else {
            self.remote(range).map(Cow::from)
        }
    }

    fn chains(&mut self, begins: Vec<Range<u64>>, next: &NextRead<'_>) -> Result<(), SurveyError> {
        if !self.memory.grow((begins.len() as u64).saturating_mul(CHAIN_WINDOW)) {
            return Err(OUT_OF_MEMORY.into());
        }
        let (remote, is_over) = (self.remote_reads(), &AtomicBool::new(false));
        // Together the chains cover the file from the first begin to its end.
        let total = begins.first().map_or(0, |first| self.len().saturating_sub(first.start));
        let (remote, scan) = (&remote, &ScanProgress::new(self.deadline, total));
        let results = thread::scope(|threads| {
            let chains = begins.into_iter().enumerate().map(|(chain, begin)| {
                let work = move || {
                    let result = remote.read_chain(chain, begin, next, scan, is_over);
                    is_over.fetch_or(result.is_err(), Ordering::Relaxed);
                    result
                };
                let thread = thread::Builder::new().name("index".into());
                let started = thread.spawn_scoped(threads, carried(work));
                started.map_err(|e| Error::system("start a thread", &e))
            });
            let chains: Vec<_> = chains.collect();
            is_over.fetch_or(chains.iter().any(Result::is_err), Ordering::Relaxed);
            let results = chains.into_iter().map(|chain| match chain {
                Ok(chain) => chain.join().unwrap_or(Err(PANICKED.into())),
                Err(error) => Err(error.into()),
            });
            results.collect::<Vec<_>>()
        });
        // Chains that ended because another one failed have no error of their own.
        for source in
            results.into_iter().collect::<Result<Vec<_>, SurveyError>>()?.into_iter().flatten()
        {
            self.source.absorb(source)?;
        }
        Ok(())
    }

    fn segments(&self) -> Option<&[SourceSegment]> {
        Some(&*self.segments).filter(|segments| !segments.is_empty())
    }

    fn buffered_len(&self) -> u64 {
        self.source.peeked().len() as u64
    }

    fn known_until(&self, at: u64) -> u64 {
        self.heads.end_around(at)
    }
}

impl<'scope, 'env> RemoteFileReader<'scope, 'env> {
    /// Reads a range from the buffered beginning of the file, which grows as needed.
    fn buffered(&mut self, range: Range<u64>) -> Result<&[u8], SurveyError> {
        // Both are at most MAX_BUFFERED.
        let (from, to) = (range.start as usize, range.end as usize);
        self.source.set_size_hint(range.end.saturating_sub(self.source.peeked().len() as u64));
        let filled = self.fill_up_to(to);
        self.source.set_size_hint(0);
        filled.map(|()| &self.source.peeked()[from..to])
    }

    /// Buffers the file up to `end`.
    fn fill_up_to(&mut self, end: usize) -> Result<(), SurveyError> {
        while self.source.peeked().len() < end {
            self.check_deadline()?;
            if !self.source.fill_peeked(end)? {
                return Err(self.remote_reads().truncated(self.source.peeked().len() as u64));
            }
        }
        Ok(())
    }

    /// Reads a range by a request of its own.
    fn remote(&mut self, range: Range<u64>) -> Result<Vec<u8>, SurveyError> {
        let (source, bytes) = self.remote_reads().read(None, range)?;
        source.map_or(Ok(()), |source| self.source.absorb(source))?;
        Ok(bytes)
    }

    fn remote_reads(&self) -> RemoteReads<'scope, 'env> {
        let (context, deadline) = (self.context, self.deadline);
        // The current location, which may have been refreshed.
        let (track, file) = (self.source.as_track(), self.source.file().clone());
        RemoteReads { context, track, file, heads: self.heads.clone(), deadline }
    }

    fn check_deadline(&self) -> Result<(), Unsupported> {
        check_deadline(self.deadline)
    }
}

const OUT_OF_MEMORY: Unsupported =
    Unsupported("too many long indexes are being read at the same time");

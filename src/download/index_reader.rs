//! Reads the indexes of remote tracks for splice: at their beginnings, or at any other offset by range
//! requests.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::DownloadContext;
use super::probe::{PANICKED, ProbedTrack, incomplete};
use crate::container::probe::{Format, PROBE_SIZE, ProbedInput};
use crate::error::{Error, Unsupported, UpstreamError};
use crate::fetch::TrackReader;
use crate::http_client::RemoteFile;
use crate::media::Track;
use crate::memory_budget::Reservation;
use crate::splice::{self, NextRead, ReadAt, SurveyError, TrackIndex};
use crate::strategy;

/// The largest gap after the buffered bytes that is read through instead of sending a range request.
const MAX_SKIP_AHEAD: u64 = 256 << 10;
/// The maximum number of buffered bytes from the beginning of a file.
const MAX_BUFFERED: u64 = 48 << 20;

/// The approximate memory of one chain of reads.
const CHAIN_WINDOW: u64 = 512 << 10;

/// How many copies of an index, raw or parsed, exist while it is read.
const INDEX_COPIES: u64 = 4;

/// Reads the index of a track whose upstream has responded, or returns why splice does not support it.
pub(super) fn read_index<'scope, 'env>(
    context: &DownloadContext<'scope, 'env>,
    track: &Track,
    source: &mut TrackReader<'scope, 'env>,
    input: ProbedInput,
    memory: &mut Reservation,
) -> Result<Result<TrackIndex, Unsupported>, Error> {
    let Some(len) = source.file().len.filter(|_| source.file().ranged) else {
        return Ok(Err(Unsupported("its upstream does not support byte ranges")));
    };
    let deadline = Instant::now() + context.app.config.muxer.plan_timeout.0;
    let mut reader = IndexReader { context: *context, source, len, deadline, memory };
    let DownloadContext { media, options, .. } = context;
    let gathered = if strategy::wants_single_index(input, media.tracks.len(), options) {
        Some(splice::read_gathered_index(&mut reader))
    } else {
        None
    };
    let gathered = match gathered {
        // A time range must be spliced, if only from fragments.
        Some(Err(SurveyError::Refused(_))) if !options.time_range.is_full() => None,
        other => other,
    };
    match gathered
        .unwrap_or_else(|| splice::read_index(input.probe.format, &mut reader, options.time_range))
    {
        Ok(index) => Ok(Ok(index)),
        Err(SurveyError::Refused(unsupported)) => Ok(Err(unsupported)),
        Err(SurveyError::Incomplete(how)) => Err(incomplete(track.kind, how)),
        Err(SurveyError::Failed(error)) => Err(error),
    }
}

/// Verifies by its top-level boxes that an MP4 is not truncated. For ranges that begin after the first
/// byte, where completeness cannot be followed while the file is sent.
pub(super) fn check_boxes<'scope, 'env>(
    context: &DownloadContext<'scope, 'env>,
    probed: &mut ProbedTrack<'scope, 'env>,
) -> Result<(), Error> {
    let (ProbedTrack { source, input, memory, .. }, [track]) = (probed, &context.media.tracks[..])
    else {
        return Ok(());
    };
    let Some(len) = source.file().len.filter(|_| input.probe.format == Format::Mp4) else {
        return Ok(());
    };
    let deadline = Instant::now() + context.app.config.muxer.plan_timeout.0;
    let mut reader = IndexReader { context: *context, source, len, deadline, memory };
    match splice::check_boxes(&mut reader) {
        Ok(()) | Err(SurveyError::Refused(_)) => Ok(()),
        Err(SurveyError::Incomplete(how)) => Err(incomplete(track.kind, how)),
        Err(SurveyError::Failed(error)) => Err(error),
    }
}

/// Searches for the key frame before the start of the time range, in a video without an index of key
/// frames.
pub(super) fn find_key_frame<'scope, 'env>(
    context: &DownloadContext<'scope, 'env>,
    tracks: &mut [ProbedTrack<'scope, 'env>],
) -> Result<Option<Duration>, Error> {
    let inputs: Vec<ProbedInput> = tracks.iter().map(|track| track.input).collect();
    for (probed, track) in tracks.iter_mut().zip(&context.media.tracks) {
        let ProbedTrack { source, input, memory, index, .. } = probed;
        let start =
            strategy::key_frame_target(&inputs, input.kind, index.as_ref(), &context.options);
        let Some(start) = start else { continue };
        let Some(len) = source.file().len.filter(|_| source.file().ranged) else { continue };
        let deadline = Instant::now() + context.app.config.muxer.plan_timeout.0;
        let mut reader = IndexReader { context: *context, source, len, deadline, memory };
        return match splice::key_frame(input.probe.format, &mut reader, start) {
            Ok(found) => Ok(found),
            Err(SurveyError::Refused(_)) => Ok(None),
            Err(SurveyError::Incomplete(how)) => Err(incomplete(track.kind, how)),
            Err(SurveyError::Failed(error)) => Err(error),
        };
    }
    Ok(None)
}

/// Reads [`PROBE_SIZE`] bytes at `at` of a file that is being probed; none if they cannot be read.
pub(super) fn probe_at<'scope, 'env>(
    context: &DownloadContext<'scope, 'env>,
    source: &mut TrackReader<'scope, 'env>,
    at: u64,
    memory: &mut Reservation,
) -> Result<Vec<u8>, Error> {
    let Some(len) = source.file().len.filter(|_| source.file().ranged) else {
        return Ok(Vec::new());
    };
    let deadline = Instant::now() + context.app.config.muxer.plan_timeout.0;
    let end = len.min(at.saturating_add(PROBE_SIZE as u64));
    if at >= end {
        return Ok(Vec::new());
    }
    let mut reader = IndexReader { context: *context, source, len, deadline, memory };
    match reader.read_at(at..end) {
        Ok(bytes) => Ok(bytes.into_owned()),
        Err(SurveyError::Refused(_) | SurveyError::Incomplete(_)) => Ok(Vec::new()),
        Err(SurveyError::Failed(error)) => Err(error),
    }
}

/// Random access to a remote file, with a deadline and a memory reservation.
struct IndexReader<'l, 'scope, 'env> {
    context: DownloadContext<'scope, 'env>,
    source: &'l mut TrackReader<'scope, 'env>,
    len: u64,
    /// When all reads must be done.
    deadline: Instant,
    memory: &'l mut Reservation,
}

impl ReadAt for IndexReader<'_, '_, '_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, range: Range<u64>) -> Result<Cow<'_, [u8]>, SurveyError> {
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
        let total = begins.first().map_or(0, |first| self.len.saturating_sub(first.start));
        let (remote, scan) = (&remote, &ScanProgress::new(self.deadline, total));
        let results = thread::scope(|threads| {
            let chains = begins.into_iter().enumerate().map(|(chain, begin)| {
                let work = move || {
                    let result = remote.read_chain(chain, begin, next, scan, is_over);
                    is_over.fetch_or(result.is_err(), Ordering::Relaxed);
                    result
                };
                let thread = thread::Builder::new().name("index".into());
                let started = thread.spawn_scoped(threads, work);
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

    fn buffered_len(&self) -> u64 {
        self.source.peeked().len() as u64
    }
}

impl<'scope, 'env> IndexReader<'_, 'scope, 'env> {
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
        self.source.absorb(source)?;
        Ok(bytes)
    }

    fn remote_reads(&self) -> RemoteReads<'scope, 'env> {
        let (context, deadline) = (self.context, self.deadline);
        // The current location, which may have been refreshed.
        let (track, file) = (self.source.as_track(), self.source.file().clone());
        RemoteReads { context, track, file, deadline }
    }

    fn check_deadline(&self) -> Result<(), Unsupported> {
        check_deadline(self.deadline)
    }
}

const TOO_SLOW: Unsupported = Unsupported("its index took too long to read (muxer.plan_timeout)");
const OUT_OF_MEMORY: Unsupported =
    Unsupported("too many long indexes are being read at the same time");

fn check_deadline(deadline: Instant) -> Result<(), Unsupported> {
    if Instant::now() > deadline { Err(TOO_SLOW) } else { Ok(()) }
}

/// The progress of parallel chains of reads along a file.
struct ScanProgress {
    started: Instant,
    /// The available time.
    limit: Duration,
    /// The length of the file without the extents of the first read of each chain, which are longer than
    /// those of later reads.
    total: AtomicU64,
    /// How much of that was scanned.
    scanned: AtomicU64,
}

impl ScanProgress {
    fn new(deadline: Instant, total: u64) -> ScanProgress {
        let started = Instant::now();
        let limit = deadline.saturating_duration_since(started);
        ScanProgress { started, limit, total: AtomicU64::new(total), scanned: AtomicU64::new(0) }
    }

    /// Records the extent of one read.
    fn record(&self, bytes: u64, is_first: bool) {
        if is_first {
            let rest = |total: u64| Some(total.saturating_sub(bytes));
            // The closure always returns a value.
            self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).ok();
        } else {
            self.scanned.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Whether a quarter of the time has passed, and at this rate the file takes more than twice the limit.
    fn is_hopeless(&self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.started);
        let scanned = self.scanned.load(Ordering::Relaxed) as f64;
        let total = self.total.load(Ordering::Relaxed) as f64;
        elapsed > self.limit / 4
            && elapsed.as_secs_f64() * total > 2.0 * self.limit.as_secs_f64() * scanned
    }
}

/// Reads ranges of a file on any thread.
struct RemoteReads<'scope, 'env> {
    context: DownloadContext<'scope, 'env>,
    track: Track,
    file: RemoteFile,
    deadline: Instant,
}

impl<'scope, 'env> RemoteReads<'scope, 'env> {
    /// Reads a range, with a source that is done with another one, or with a new source.
    fn read(
        &self,
        source: Option<TrackReader<'scope, 'env>>,
        range: Range<u64>,
    ) -> Result<(TrackReader<'scope, 'env>, Vec<u8>), SurveyError> {
        let DownloadContext { scope, app, cancel, .. } = self.context;
        let (start, len) = (range.start, range.end - range.start);
        let mut source = match source {
            Some(mut source) => {
                source.restrict_to(range);
                source
            }
            None => TrackReader::open_range(
                scope,
                &app.upstream,
                &self.track,
                range,
                len,
                &self.file,
                cancel,
            )?,
        };
        let mut bytes = vec![0; len as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            check_deadline(self.deadline)?;
            match source.read(&mut bytes[filled..])? {
                0 => return Err(self.truncated(start + filled as u64)),
                count => filled += count,
            }
        }
        Ok((source, bytes))
    }

    /// Reads a chain, in which each read tells the range of the next, until it ends, another chain fails,
    /// or it cannot end in time.
    fn read_chain(
        &self,
        chain: usize,
        begin: Range<u64>,
        next: &NextRead<'_>,
        scan: &ScanProgress,
        is_over: &AtomicBool,
    ) -> Result<Option<TrackReader<'scope, 'env>>, SurveyError> {
        let (first, mut source, mut next_range) = (begin.start, None, Some(begin));
        while let Some(range) = next_range.filter(|_| !is_over.load(Ordering::Relaxed)) {
            let at = range.start;
            let (used, bytes) = self.read(source, range)?;
            source = Some(used);
            next_range = next(chain, at, &bytes)?;
            let extent = next_range.as_ref().map_or(0, |next| next.start.saturating_sub(at));
            scan.record(extent, at == first);
            if next_range.is_some() && scan.is_hopeless(Instant::now()) {
                return Err(TOO_SLOW.into());
            }
        }
        Ok(source)
    }

    /// The error of a source that ended early without an error.
    fn truncated(&self, received: u64) -> SurveyError {
        let fault = UpstreamError::Truncated { received, announced: self.file.len };
        Error::Upstream { track: self.track.kind, fault }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_is_given_up_late_and_only_if_it_is_far_too_slow() {
        let scan = ScanProgress::new(Instant::now() + Duration::from_secs(20), 1500);
        scan.record(500, true);
        let after = |scanned: u64, seconds: u64| {
            scan.scanned.store(scanned, Ordering::Relaxed);
            scan.is_hopeless(scan.started + Duration::from_secs(seconds))
        };
        assert!(!after(0, 4), "it has hardly started");
        assert!(after(0, 6) && after(100, 6));
        // 30 s in total at this rate, which may still improve.
        assert!(!after(200, 6) && !after(500, 15));
        assert!(after(300, 15));
    }
}

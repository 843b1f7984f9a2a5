//! Opens and probes the tracks of a download, and feeds them to ffmpeg, each on a thread of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Sender};

use super::planned_reader::{MAX_GAP, PlannedReader};
use super::splice::TrackRead;
use super::{DownloadContext, index_reader};
use crate::cancel::CancelToken;
use crate::container::completeness::{Completeness, Incomplete};
use crate::container::probe::{self, Probe, ProbeInfo, ProbedInput, View};
use crate::error::{Error, FfmpegError, InputError, Unsupported, UpstreamError};
use crate::fetch::TrackReader;
use crate::ffmpeg::FeedProgress;
use crate::ffmpeg::fifo::{FeedError, FifoWriter};
use crate::http_client::{RemoteFile, SOCKET_BUFFER};
use crate::media::{Track, TrackKind};
use crate::memory_budget::Reservation;
use crate::runtime_dir::FifoSet;
use crate::splice::{self, ChunkSource, TrackIndex};
use crate::strategy;

/// How long a feeder may take to notice that ffmpeg has ended.
const FEED_END_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes that a feeder copies per call.
const COPY_SIZE: usize = 128 << 10;
/// Upstreams that respond within this time are so near that threads would cost more than they save.
const INLINE_WAIT: Duration = Duration::from_millis(2);
/// How many bytes are probed first.
const FIRST_PROBE_SIZE: usize = 16 << 10;
/// The maximum number of reads at other offsets while a track is probed.
const MAX_FAR_READS: usize = 8;
/// How far a file without byte ranges is read to probe what follows its tags.
const MAX_TAG_SIZE: usize = 16 << 20;
/// The size of the first request if a complete file is not needed.
pub(super) const PROBE_SIZE: u64 = probe::PROBE_SIZE as u64;

/// An open track whose format is known.
pub(super) struct ProbedTrack<'scope, 'env> {
    pub(super) source: TrackReader<'scope, 'env>,
    pub(super) input: ProbedInput,
    /// The index of the track, or why splice does not support it; `None` if it was not read.
    pub(super) index: Option<Result<TrackIndex, Unsupported>>,
    /// The plan of the file to feed to ffmpeg instead of the remote file.
    pub(super) feed: Option<splice::Plan>,
    /// The reservation in the memory budget.
    pub(super) memory: Reservation,
}

/// Opens and probes all tracks at the same time; the first request of each is for `first_size` bytes.
pub(super) fn probe_tracks<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    context: &'scope DownloadContext<'_, '_, '_>,
    first_size: u64,
) -> Result<Vec<ProbedTrack<'scope, 'env>>, Error> {
    let DownloadContext { app, media, options, cancel, .. } = *context;
    let begin = |track| TrackReader::begin(scope, &app.upstream, track, first_size, cancel);
    let sources = media.tracks.iter().map(|track| (track, begin(track)));
    let open_one = move |track: &Track, source: Result<TrackReader<'scope, 'env>, Error>| {
        let mut source = source?;
        let mut memory = app.memory_budget.reservation();
        let prober = Prober { scope, context, track };
        let mut input = prober.probe_or_refresh(&mut source, first_size, &mut memory)?;
        // The first bytes may show that the file is truncated, before anything is sent.
        let mut completeness = completeness(input.probe, source.file().len);
        let begin = usize::try_from(input.probe.skip).unwrap_or(usize::MAX);
        let peeked = source.peeked().get(begin..).unwrap_or(&[]);
        completeness.see(peeked).map_err(|how| incomplete(track.kind, how))?;
        let reads_index =
            strategy::needs_index(input, media.tracks.len(), &options, &media.metadata);
        let index = reads_index.then(|| {
            index_reader::read_index(scope, context, track, &mut source, input, &mut memory)
        });
        let index = index.transpose()?;
        // The sample description may be out of reach of the probe.
        if matches!(index, Some(Err(splice::ENCRYPTED))) {
            return Err(prober.unusable(InputError::Encrypted));
        }
        if let Some(Ok(index)) = &index {
            // An index at the end of a file tells more than the first bytes.
            let info = &mut input.probe;
            info.has_video = index.has_video().or(info.has_video);
            info.begin = index.begin().unwrap_or(info.begin);
            info.end = info.end.or(index.duration());
        }
        Ok(ProbedTrack { source, input, index, feed: None, memory })
    };
    // The first error cancels the other tracks at once.
    let probed = for_each_track(scope, sources, move |track, source| {
        open_one(track, source).inspect_err(|error: &Error| cancel.cancel_with(error.clone()))
    })?;
    probed.into_iter().collect()
}

/// Waits for the first response of each source and runs `work` with it, all in parallel: the last one on
/// this thread, the others on threads of their own. If all upstreams respond within [`INLINE_WAIT`], all
/// work is done on this thread.
pub(super) fn for_each_track<'scope, 'env: 'scope, I: Send + 'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    sources: impl Iterator<Item = (I, TrackReader<'scope, 'env>)>,
    work: impl Fn(I, Result<TrackReader<'scope, 'env>, Error>) -> Result<T, Error>
    + Send
    + Clone
    + 'scope,
) -> Result<Vec<Result<T, Error>>, Error> {
    let mut sources: Vec<_> = sources.collect();
    let all_sent = sources.iter().all(|(_, source)| source.is_sent());
    if all_sent && sources.iter().all(|(_, source)| source.poll_response(INLINE_WAIT)) {
        // All responses first, so that the throughput of each is measured without the work of others.
        let open = sources.into_iter().map(|(item, source)| (item, source.wait()));
        let open: Vec<_> = open.collect();
        return Ok(open.into_iter().map(|(item, source)| work(item, source)).collect());
    }
    let last = sources.pop();
    let mut threads = Vec::with_capacity(sources.len());
    for (item, source) in sources {
        let thread = thread::Builder::new().name("open".into());
        let work = work.clone();
        let started = thread.spawn_scoped(scope, move || work(item, source.wait()));
        threads.push(started.map_err(|e| Error::system("start a thread", &e))?);
    }
    let last = last.map(|(item, source)| work(item, source.wait()));
    let done = threads.into_iter().map(|thread| thread.join().unwrap_or(Err(PANICKED)));
    Ok(done.chain(last).collect())
}

/// The error of a thread that panicked.
pub(super) const PANICKED: Error = Error::Internal("a thread panicked");

/// Returns the completeness check of a track of `len` bytes, if that is known, after the bytes that ffmpeg
/// does not get.
fn completeness(info: ProbeInfo, len: Option<u64>) -> Completeness {
    Completeness::new(info.format, len.map(|len| len.saturating_sub(info.skip)))
}

/// The error of a track whose file is truncated.
pub(super) fn incomplete(track: TrackKind, Incomplete(how): Incomplete) -> Error {
    Error::Upstream { track, fault: UpstreamError::Incomplete(how) }
}

/// Whether these bytes are text, or none, rather than media of an unknown format. HLS playlists are text,
/// but no sign of an expired location.
fn is_text(bytes: &[u8]) -> bool {
    let first = &bytes[..bytes.len().min(1 << 10)];
    let is_text_byte = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~' | 0x80..);
    first.iter().all(is_text_byte) && !first.starts_with(b"#EXTM3U")
}

/// Determines the format of a track.
struct Prober<'scope, 'env, 'a, 't> {
    scope: &'scope Scope<'scope, 'env>,
    context: &'scope DownloadContext<'a, 'a, 'a>,
    track: &'t Track,
}

impl<'scope, 'env> Prober<'scope, 'env, '_, '_> {
    /// Probes the track. If the response is text, the location may have expired, which some sites report by
    /// a web page with status 200: then it is refreshed, once, and `first_size` bytes are requested of it.
    fn probe_or_refresh(
        &self,
        source: &mut TrackReader<'scope, 'env>,
        first_size: u64,
        memory: &mut Reservation,
    ) -> Result<ProbedInput, Error> {
        loop {
            match self.probe(source, memory) {
                Err(Error::Unusable { reason: InputError::NotMedia(_), .. })
                    if is_text(source.peeked()) && source.restart_from(first_size)? => {}
                result => return result,
            }
        }
    }

    /// Probes the first bytes, and bytes at other offsets where the format needs that.
    fn probe(
        &self,
        source: &mut TrackReader<'scope, 'env>,
        memory: &mut Reservation,
    ) -> Result<ProbedInput, Error> {
        let DownloadContext { media, options, .. } = self.context;
        let (mut all, mut is_thorough, mut far) = (false, false, Vec::new());
        loop {
            let RemoteFile { len, ranged, .. } = *source.file();
            let may_look = far.len() < MAX_FAR_READS && (ranged && len.is_some() || !all);
            let view = View { front: source.peeked(), len, all, far: &far, may_look, is_thorough };
            match probe::probe(&view) {
                Probe::Recognised(info) if info.is_encrypted == Some(true) => {
                    return Err(self.unusable(InputError::Encrypted));
                }
                Probe::Recognised(info) => {
                    let input = ProbedInput { kind: self.track.kind, probe: info };
                    let (count, metadata) = (media.tracks.len(), &media.metadata);
                    let needs_more =
                        strategy::needs_thorough_probe(input, count, options, metadata, ranged);
                    if is_thorough || !needs_more {
                        return Ok(input);
                    }
                    is_thorough = true;
                }
                Probe::Unsupported(reason) => return Err(self.unusable(reason)),
                Probe::At(at) if ranged && len.is_some() => {
                    let Self { scope, context, .. } = *self;
                    let bytes = index_reader::probe_at(scope, context, source, at, memory)?;
                    far.push((at, bytes));
                }
                // Without byte ranges, the file is read up to there, if that is not too far.
                Probe::At(at) => {
                    let end = usize::try_from(at).map_or(MAX_TAG_SIZE, |at| at + probe::PROBE_SIZE);
                    let is_near = end < MAX_TAG_SIZE && memory.grow(end as u64);
                    while is_near && source.peeked().len() < end && source.fill_peeked(end)? {}
                    all = true;
                }
                Probe::NeedMore => {
                    // Mostly a few bytes are enough; otherwise a long index is among them.
                    let is_first = source.peeked().is_empty();
                    let len = if is_first { FIRST_PROBE_SIZE } else { probe::PROBE_SIZE };
                    all = !source.fill_peeked(len)?;
                }
            }
        }
    }

    fn unusable(&self, reason: InputError) -> Error {
        Error::Unusable { track: self.track.kind, reason }
    }
}

/// The feeders of one ffmpeg; each sends whether its track was fed completely.
pub(super) struct FeedPool(Vec<Receiver<bool>>);

/// Starts a feeder for each track, which writes it to its named pipe.
pub(super) fn feed<'scope>(
    scope: &'scope Scope<'scope, '_>,
    tracks: Vec<ProbedTrack<'scope, '_>>,
    fifos: &FifoSet,
    pipe_len: u64,
    progress: &Arc<FeedProgress>,
    cancel: &'scope CancelToken,
) -> Result<FeedPool, Error> {
    let mut results = Vec::with_capacity(tracks.len());
    for ProbedTrack { source, input, feed, mut memory, .. } in tracks {
        let (sender, result) = channel::bounded(1);
        let pipe = fifos.path(input.kind);
        let task = FeedTask { input, pipe, pipe_len, progress: progress.clone(), cancel };
        // The index is dropped by now.
        memory.resize(feed.as_ref().map_or(0, splice::Plan::memory_size) as u64);
        thread::Builder::new()
            .name(format!("feed {}", input.kind))
            .spawn_scoped(scope, move || {
                task.run(source, feed.as_ref(), &sender);
                drop(memory);
            })
            .map_err(|e| Error::system("start a thread", &e))?;
        results.push(result);
    }
    Ok(FeedPool(results))
}

/// Takes the peeked bytes of a track as ffmpeg's demuxer should see them: without tags, and with a patched
/// header.
fn take_front(source: &mut TrackReader<'_, '_>, info: ProbeInfo) -> Vec<u8> {
    let RemoteFile { len, ranged, .. } = *source.file();
    if let Some(len) = len.filter(|_| ranged && info.skip > 0) {
        source.restrict_to(info.skip..len);
        return source.take_peeked();
    }
    let mut front = source.take_peeked();
    front.drain(..front.len().min(usize::try_from(info.skip).unwrap_or(usize::MAX)));
    if let Some(patch) = info.header_patch {
        patch.apply(&mut front);
    }
    front
}

impl FeedPool {
    /// Verifies that ffmpeg, which has ended, read every byte of every track.
    pub(super) fn all_complete(&self) -> Result<(), Error> {
        for result in &self.0 {
            // A feeder that has not ended yet has no reader on its pipe any more, or never had one.
            if !matches!(result.recv_timeout(FEED_END_TIMEOUT), Ok(true)) {
                let message = "it ended without reading a complete track".into();
                return Err(Error::Ffmpeg(FfmpegError::Failed(message)));
            }
        }
        Ok(())
    }
}

/// The task of one feeder.
struct FeedTask<'s> {
    input: ProbedInput,
    pipe: PathBuf,
    pipe_len: u64,
    progress: Arc<FeedProgress>,
    cancel: &'s CancelToken,
}

impl FeedTask<'_> {
    /// Feeds the track, and sends whether ffmpeg read all of it.
    fn run(self, source: TrackReader<'_, '_>, plan: Option<&splice::Plan>, result: &Sender<bool>) {
        let complete = match self.feed(source, plan) {
            Ok(()) => true,
            // The exit status of ffmpeg tells why it closed the pipe.
            Err(FeedError::Stopped | FeedError::Closed) => false,
            Err(FeedError::Failed(error)) => {
                self.cancel.cancel_with(error);
                false
            }
        };
        // A download that has failed already does not receive it.
        result.send(complete).ok();
    }

    /// Writes the track to its pipe, as it is or by a plan.
    fn feed(
        &self,
        source: TrackReader<'_, '_>,
        plan: Option<&splice::Plan>,
    ) -> Result<(), FeedError> {
        let mut fifo = FifoWriter::open(&self.pipe, self.pipe_len, self.cancel)?;
        let written = match plan {
            None => self.copy(source, &mut fifo),
            Some(plan) => self.write_planned(source, plan, &mut fifo),
        };
        if let Err(FeedError::Failed(error)) = &written {
            // Cancel first, then close the pipe: ffmpeg sees the end of a pipe as the end of the track,
            // and must be dead by then.
            self.cancel.cancel_with(error.clone());
        }
        written.and_then(|()| fifo.complete())
    }

    fn write(&self, bytes: &[u8], fifo: &mut FifoWriter<'_>) -> Result<(), FeedError> {
        fifo.write(bytes)?;
        self.progress.add(bytes.len());
        Ok(())
    }

    /// Writes the remote file as it is.
    fn copy(
        &self,
        mut source: TrackReader<'_, '_>,
        fifo: &mut FifoWriter<'_>,
    ) -> Result<(), FeedError> {
        let ProbedInput { kind, probe: info } = self.input;
        let front = take_front(&mut source, info);
        let mut completeness = completeness(info, source.file().len);
        let incomplete = |how| FeedError::Failed(incomplete(kind, how));
        let mut left = info.until.saturating_sub(info.skip);
        let mut write = |bytes: &[u8]| {
            // Checked before it is written: ffmpeg would see a truncated end as the end of the track.
            completeness.see(bytes).map_err(incomplete)?;
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            left -= count as u64;
            self.write(&bytes[..count], fifo)
        };
        write(&front)?;
        let mut buffer = vec![0; COPY_SIZE];
        loop {
            let fetched = self.progress.while_awaiting(|| source.read(&mut buffer));
            match fetched.map_err(FeedError::Failed)? {
                0 => return completeness.end().map_err(incomplete),
                count => write(&buffer[..count])?,
            }
        }
    }

    /// Writes the file of a plan instead of the remote file.
    fn write_planned(
        &self,
        mut source: TrackReader<'_, '_>,
        plan: &splice::Plan,
        fifo: &mut FifoWriter<'_>,
    ) -> Result<(), FeedError> {
        let (kind, all) = (source.track(), 0..plan.len());
        let read = TrackRead::new(plan, 0, &all)
            .ok_or(FeedError::Failed(Error::Internal("a plan needs nothing of its track")))?;
        source.restrict_to(read.first.clone());
        let positioned = read.position(plan, source).map_err(FeedError::Failed)?;
        let (at, gap) = (positioned.at, positioned.gap.clone());
        let reader = PlannedReader::new(positioned, plan.runs(0, &all, MAX_GAP));
        let input =
            splice::TrackInput::new(kind, at, FeedSource { reader, progress: &self.progress })
                .without(gap);
        let mut feed_error = None;
        let mut write = |bytes: &[u8]| {
            self.write(bytes, fifo).map_err(|error| {
                feed_error = Some(error);
                Error::Stopped
            })
        };
        let written = plan.write_range(&all, &mut [input], &mut write);
        written.map_err(|error| feed_error.unwrap_or(FeedError::Failed(error)))
    }
}

/// Reads the source of a plan, and reports when it waits for the upstream.
struct FeedSource<'f, 'scope, 'env> {
    reader: PlannedReader<'f, 'scope, 'env>,
    progress: &'f FeedProgress,
}

impl ChunkSource for FeedSource<'_, '_, '_> {
    fn next_chunk(&mut self, mut buffer: Vec<u8>) -> Result<(Vec<u8>, usize), Error> {
        if let Some(bytes) = self.reader.take_buffered() {
            let count = bytes.len();
            return Ok((bytes, count));
        }
        if buffer.len() != COPY_SIZE {
            buffer = vec![0; COPY_SIZE];
        }
        let count = self.progress.while_awaiting(|| self.reader.read(&mut buffer))?;
        Ok((buffer, count))
    }

    fn skip(&mut self, max: u64) -> Result<u64, Error> {
        Ok(self.reader.skip(max))
    }
}

/// Returns the pipe capacity for a read-ahead limit: the other buffers on the way count towards it, too.
pub(super) fn pipe_len(read_ahead: u64) -> u64 {
    read_ahead.saturating_sub((SOCKET_BUFFER + COPY_SIZE) as u64)
}

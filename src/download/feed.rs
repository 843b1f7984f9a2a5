//! Feeds tracks to ffmpeg, each on a thread of its own.
//!
//! **Invariant:** a pipe is closed before the end of its track only when the download is cancelled.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Sender};

use super::DownloadContext;
use super::index_reader::RemoteFileReader;
use super::live::Mender;
use super::planned_reader::{MAX_GAP, PlannedReader};
use super::probe::{ProbedTrack, completeness, incomplete};
use super::splice::TrackRead;
use crate::cancel::CancelToken;
use crate::container::probe::{ProbeInfo, ProbedInput};
use crate::container::retime::LiveClock;
use crate::error::{Error, FfmpegError, UpstreamError};
use crate::fetch::TrackReader;
use crate::ffmpeg::FeedProgress;
use crate::ffmpeg::fifo::{FeedError, FifoWriter};
use crate::http_client::RemoteFile;
use crate::request_id::carried;
use crate::runtime_dir::FifoSet;
use crate::splice::{self, ChunkSource};

/// How long a feeder may take to notice that ffmpeg has ended.
const FEED_END_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes that a feeder copies per call.
const COPY_SIZE: usize = 128 << 10;

/// The feeders of one ffmpeg; each sends whether its track was fed completely.
pub(super) struct FeedPool(Vec<Receiver<bool>>);

/// Starts a feeder for each track, which writes it to its named pipe.
pub(super) fn feed<'scope, 'env>(
    context: &DownloadContext<'scope, 'env>,
    tracks: Vec<ProbedTrack<'scope, 'env>>,
    fifos: &FifoSet,
    progress: &Arc<FeedProgress>,
) -> Result<FeedPool, Error> {
    let DownloadContext { scope, app, cancel, .. } = *context;
    let pipe_len = pipe_len(app.config.upstream.read_ahead.0);
    let mut results = Vec::with_capacity(tracks.len());
    let clock = Arc::new(LiveClock::default());
    for (index, ProbedTrack { file, input, feed, .. }) in tracks.into_iter().enumerate() {
        let RemoteFileReader { source, mut memory, .. } = file;
        let (sender, result) = channel::bounded(1);
        let pipe = fifos.path(index);
        let (progress, clock) = (progress.clone(), clock.clone());
        let task = FeedTask { input, pipe, pipe_len, progress, clock, cancel };
        // The index is dropped by now.
        memory.resize(feed.as_ref().map_or(0, splice::Plan::memory_size) as u64);
        thread::Builder::new()
            .name(format!("feed {}", input.kind))
            .spawn_scoped(
                scope,
                carried(move || {
                    task.run(source, feed.as_ref(), &sender);
                    drop(memory);
                }),
            )
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
    clock: Arc<LiveClock>,
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
        let mends = source.is_in_unknown_segments() || info.is_discontinuous;
        let mut mender = mends.then(|| Mender::new(info.format, info.skip, &self.clock));
        let mut write = |bytes: &[u8], source: &mut TrackReader<'_, '_>| {
            // Checked before it is written: ffmpeg would see a truncated end as the end of the track.
            completeness.see(bytes).map_err(incomplete)?;
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            left -= count as u64;
            let Some(mender) = &mut mender else { return self.write(&bytes[..count], fifo) };
            let mended = mender.mend(&bytes[..count], source.take_begun_segments());
            let changed = |how| {
                let fault = UpstreamError::EntityChanged(how);
                FeedError::Failed(Error::Upstream { track: kind, fault })
            };
            self.write(&mended.map_err(changed)?, fifo)
        };
        write(&front, &mut source)?;
        let mut buffer = vec![0; COPY_SIZE];
        loop {
            let fetched = self.progress.while_awaiting(|| source.read(&mut buffer));
            match fetched.map_err(FeedError::Failed)? {
                0 => break,
                count => write(&buffer[..count], &mut source)?,
            }
        }
        completeness.end().map_err(incomplete)?;
        let rest = mender.map(Mender::finish).unwrap_or_default();
        self.write(&rest, fifo)
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
struct FeedSource<'f> {
    reader: PlannedReader<'f>,
    progress: &'f FeedProgress,
}

impl ChunkSource for FeedSource<'_> {
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

/// Returns the pipe capacity for a read-ahead limit: what is copied, and the segment or record that it comes from, count
/// towards it, too.
fn pipe_len(read_ahead: u64) -> u64 {
    read_ahead.saturating_sub(2 * COPY_SIZE as u64)
}

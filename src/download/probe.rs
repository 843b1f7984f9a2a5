//! The downloader threads: each finds out what its track is, and then feeds it to the muxer.

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

/// How long a downloader may take to see that the muxer has ended.
const END_LIMIT: Duration = Duration::from_secs(2);
/// What a downloader passes on at once.
const COPY_SIZE: usize = 128 << 10;
/// Whoever answers within this time is near.
const INLINE_WAIT: Duration = Duration::from_millis(2);
/// What is looked at first to find out what a track is.
const SNIFF_STEP: usize = 16 << 10;
/// So many places are looked at to find out what it is.
const MAX_FAR_READS: usize = 8;
/// How far is read to see what is behind the tags of a file of which no part can be asked for.
const MAX_TAG_SIZE: usize = 16 << 20;
/// What is asked for first when there is more to find out than to fetch.
pub(super) const PROBE_SIZE: u64 = probe::PROBE_SIZE as u64;

/// A track whose upstream has answered with something that we know.
pub(super) struct ProbedTrack<'scope, 'env> {
    pub(super) source: TrackReader<'scope, 'env>,
    pub(super) input: ProbedInput,
    /// What is in it, or why that is of no use; nothing if it was not looked at.
    pub(super) survey: Option<Result<TrackIndex, Unsupported>>,
    /// What the muxer is given instead of the file as it is.
    pub(super) feed: Option<splice::Plan>,
    /// Of the memory for indexes.
    pub(super) memory: Reservation,
}

/// Opens all tracks of a film at the same time. `first` bytes of each are asked for.
pub(super) fn probe_tracks<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    context: &'scope DownloadContext<'_, '_, '_>,
    first: u64,
) -> Result<Vec<ProbedTrack<'scope, 'env>>, Error> {
    let DownloadContext { app, media, options, cancel, .. } = *context;
    let of = |track| TrackReader::begin(scope, &app.upstream, track, first, cancel);
    let sources = media.tracks.iter().map(|track| (track, of(track)));
    let open_one = move |track: &Track, source: Result<TrackReader<'scope, 'env>, Error>| {
        let mut source = source?;
        let mut memory = app.memory_budget.reservation();
        let recognising = Prober { scope, context, track };
        let mut input = recognising.sniff_or_refresh(&mut source, first, &mut memory)?;
        // What the first bytes tell of the end is known before anything is sent.
        let mut completeness = completeness(input.probe, source.file().len);
        let begin = usize::try_from(input.probe.skip).unwrap_or(usize::MAX);
        let seen = source.peeked().get(begin..).unwrap_or(&[]);
        completeness.see(seen).map_err(|how| incomplete(track.kind, how))?;
        let looks = strategy::is_surveyed(input, media.tracks.len(), &options, &media.metadata);
        let survey = looks
            .then(|| index_reader::survey(scope, context, track, &mut source, input, &mut memory));
        let survey = survey.transpose()?;
        // Of a track whose description is far behind the front.
        if matches!(survey, Some(Err(splice::ENCRYPTED))) {
            return Err(recognising.unusable(InputError::Encrypted));
        }
        if let Some(Ok(survey)) = &survey {
            // An index says more than the first bytes, where it is not among them.
            let head = &mut input.probe;
            head.has_picture = survey.has_video().or(head.has_picture);
            head.begin = survey.begin().unwrap_or(head.begin);
            head.end = head.end.or(survey.duration());
        }
        Ok(ProbedTrack { source, input, survey, feed: None, memory })
    };
    // One that fails ends the others at once.
    let opened = for_each_track(scope, sources, move |track, source| {
        open_one(track, source).inspect_err(|error: &Error| cancel.cancel_with(error.clone()))
    })?;
    opened.into_iter().collect()
}

/// Opens sources and does the same with each at the same time: with the last one here, with the others
/// on threads of their own. Where all upstreams have answered at once, they are so near that threads
/// would take longer.
pub(super) fn for_each_track<'scope, 'env: 'scope, I: Send + 'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    sources: impl Iterator<Item = (I, TrackReader<'scope, 'env>)>,
    work: impl Fn(I, Result<TrackReader<'scope, 'env>, Error>) -> Result<T, Error>
    + Send
    + Clone
    + 'scope,
) -> Result<Vec<Result<T, Error>>, Error> {
    let mut sources: Vec<_> = sources.collect();
    let are_put = sources.iter().all(|(_, source)| source.is_sent());
    if are_put && sources.iter().all(|(_, source)| source.poll_response(INLINE_WAIT)) {
        // How soon all of them have answered shows before any work is done.
        let opened = sources.into_iter().map(|(item, source)| (item, source.wait()));
        let opened: Vec<_> = opened.collect();
        return Ok(opened.into_iter().map(|(item, source)| work(item, source)).collect());
    }
    let last = sources.pop();
    let mut working = Vec::with_capacity(sources.len());
    for (item, source) in sources {
        let thread = thread::Builder::new().name("open".into());
        let work = work.clone();
        let started = thread.spawn_scoped(scope, move || work(item, source.wait()));
        working.push(started.map_err(|e| Error::system("start a thread", &e))?);
    }
    let last = last.map(|(item, source)| work(item, source.wait()));
    let done = working.into_iter().map(|thread| thread.join().unwrap_or(Err(PANICKED)));
    Ok(done.chain(last).collect())
}

/// What a thread that panicked leaves behind.
pub(super) const PANICKED: Error = Error::Internal("a thread panicked");

/// Follows a track of `len` bytes, if that is known, from where its demuxer begins.
fn completeness(head: ProbeInfo, len: Option<u64>) -> Completeness {
    Completeness::new(head.format, len.map(|len| len.saturating_sub(head.skip)))
}

/// The file of a track lacks its end.
pub(super) fn incomplete(track: TrackKind, Incomplete(how): Incomplete) -> Error {
    Error::Upstream { track, fault: UpstreamError::Incomplete(how) }
}

/// Whether these are words, or nothing, rather than media that we do not know.
fn is_text(bytes: &[u8]) -> bool {
    let first = &bytes[..bytes.len().min(1 << 10)];
    let is_word = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~' | 0x80..);
    first.iter().all(is_word) && !first.starts_with(b"#EXTM3U")
}

/// Finds out what a track is.
struct Prober<'scope, 'env, 'a, 't> {
    scope: &'scope Scope<'scope, 'env>,
    context: &'scope DownloadContext<'a, 'a, 'a>,
    track: &'t Track,
}

impl<'scope, 'env> Prober<'scope, 'env, '_, '_> {
    /// Says it, of a fresh location if this one may have expired, which sites also tell with a web page
    /// or with some words: `first` bytes of that are looked at, once.
    fn sniff_or_refresh(
        &self,
        source: &mut TrackReader<'scope, 'env>,
        first: u64,
        memory: &mut Reservation,
    ) -> Result<ProbedInput, Error> {
        loop {
            match self.sniff_format(source, memory) {
                Err(Error::Unusable { reason: InputError::NotMedia(_), .. })
                    if is_text(source.peeked()) && source.restart_from(first)? => {}
                recognised => return recognised,
            }
        }
    }

    /// Looks at the first bytes until they say what this is, and at others where that is worth it.
    fn sniff_format(
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
                Probe::Recognised(head) if head.is_encrypted == Some(true) => {
                    return Err(self.unusable(InputError::Encrypted));
                }
                Probe::Recognised(head) => {
                    let input = ProbedInput { kind: self.track.kind, probe: head };
                    let count = media.tracks.len();
                    let deserves =
                        strategy::needs_survey(input, count, options, &media.metadata, ranged);
                    if is_thorough || !deserves {
                        return Ok(input);
                    }
                    is_thorough = true;
                }
                Probe::Unsupported(reason) => return Err(self.unusable(reason)),
                Probe::At(at) if ranged && len.is_some() => {
                    let Self { scope, context, .. } = *self;
                    let bytes = index_reader::sniff_far(scope, context, source, at, memory)?;
                    far.push((at, bytes));
                }
                // Where it cannot be asked for, it is read on to, if it is not too far.
                Probe::At(at) => {
                    let end = usize::try_from(at).map_or(MAX_TAG_SIZE, |at| at + probe::PROBE_SIZE);
                    let is_near = end < MAX_TAG_SIZE && memory.grow(end as u64);
                    while is_near && source.peeked().len() < end && source.fill_peeked(end)? {}
                    all = true;
                }
                Probe::NeedMore => {
                    // Mostly a few bytes are enough; else an index is among them, which is long.
                    let is_first = source.peeked().is_empty();
                    let most = if is_first { SNIFF_STEP } else { probe::PROBE_SIZE };
                    all = !source.fill_peeked(most)?;
                }
            }
        }
    }

    fn unusable(&self, reason: InputError) -> Error {
        Error::Unusable { track: self.track.kind, reason }
    }
}

/// The downloaders of one stream.
pub(super) struct FeedPool(Vec<Receiver<bool>>);

/// Starts a downloader for each source, which feeds it to the muxer through its pipe.
pub(super) fn feed<'scope>(
    scope: &'scope Scope<'scope, '_>,
    opened: Vec<ProbedTrack<'scope, '_>>,
    fifos: &FifoSet,
    pipe_len: u64,
    progress: &Arc<FeedProgress>,
    cancel: &'scope CancelToken,
) -> Result<FeedPool, Error> {
    let mut all = Vec::with_capacity(opened.len());
    for ProbedTrack { source, input, feed, mut memory, .. } in opened {
        let (end, done) = channel::bounded(1);
        let pipe = fifos.path(input.kind);
        let feeding = FeedTask { input, pipe, pipe_len, progress: progress.clone(), cancel };
        // Nothing is left of its index.
        memory.resize(feed.as_ref().map_or(0, splice::Plan::memory_size) as u64);
        thread::Builder::new()
            .name(format!("fetch {}", input.kind))
            .spawn_scoped(scope, move || {
                feeding.run(source, feed.as_ref(), &end);
                drop(memory);
            })
            .map_err(|e| Error::system("start a thread", &e))?;
        all.push(done);
    }
    Ok(FeedPool(all))
}

/// The first bytes of a track as its demuxer should see them.
fn take_front(source: &mut TrackReader<'_, '_>, head: ProbeInfo) -> Vec<u8> {
    let RemoteFile { len, ranged, .. } = *source.file();
    if let Some(len) = len.filter(|_| ranged && head.skip > 0) {
        source.restrict_to(head.skip..len);
        return source.take_peeked();
    }
    let mut front = source.take_peeked();
    front.drain(..front.len().min(usize::try_from(head.skip).unwrap_or(usize::MAX)));
    if let Some(mend) = head.header_patch {
        mend.apply(&mut front);
    }
    front
}

impl FeedPool {
    /// Makes sure that every byte of every track went into the muxer, which has ended.
    pub(super) fn all_complete(&self) -> Result<(), Error> {
        for done in &self.0 {
            // The pipe of one that is still at it has no reader any more, or never had one.
            if !matches!(done.recv_timeout(END_LIMIT), Ok(true)) {
                let said = "it ended without reading all of a track".into();
                return Err(Error::Ffmpeg(FfmpegError::Failed(said)));
            }
        }
        Ok(())
    }
}

/// What a downloader needs beside its source.
struct FeedTask<'s> {
    input: ProbedInput,
    pipe: PathBuf,
    pipe_len: u64,
    progress: Arc<FeedProgress>,
    cancel: &'s CancelToken,
}

impl FeedTask<'_> {
    /// The life of a downloader. It says whether the muxer took all of the track.
    fn run(self, source: TrackReader<'_, '_>, plan: Option<&splice::Plan>, end: &Sender<bool>) {
        let complete = match self.feed(source, plan) {
            Ok(()) => true,
            // A muxer that closed its pipe has its reason, which its exit status tells.
            Err(FeedError::Stopped | FeedError::Closed) => false,
            Err(FeedError::Failed(error)) => {
                self.cancel.cancel_with(error);
                false
            }
        };
        // A stream that has failed already does not listen any more.
        end.send(complete).ok();
    }

    fn feed(
        &self,
        source: TrackReader<'_, '_>,
        plan: Option<&splice::Plan>,
    ) -> Result<(), FeedError> {
        let mut feed = FifoWriter::open(&self.pipe, self.pipe_len, self.cancel)?;
        let passed_on = match plan {
            None => self.pass_on(source, &mut feed),
            Some(plan) => self.emit(source, plan, &mut feed),
        };
        if let Err(FeedError::Failed(error)) = &passed_on {
            // First the stream, then the pipe: the muxer takes the end of a pipe for the end of
            // the track, and must be dead by then.
            self.cancel.cancel_with(error.clone());
        }
        passed_on.and_then(|()| feed.complete())
    }

    fn write(&self, bytes: &[u8], feed: &mut FifoWriter<'_>) -> Result<(), FeedError> {
        feed.write(bytes)?;
        self.progress.add(bytes.len());
        Ok(())
    }

    /// The file as it is.
    fn pass_on(
        &self,
        mut source: TrackReader<'_, '_>,
        feed: &mut FifoWriter<'_>,
    ) -> Result<(), FeedError> {
        let ProbedInput { kind, probe: head } = self.input;
        let front = take_front(&mut source, head);
        let mut completeness = completeness(head, source.file().len);
        let incomplete = |how| FeedError::Failed(incomplete(kind, how));
        let mut left = head.until.saturating_sub(head.skip);
        let mut give = |bytes: &[u8]| {
            // The muxer would take it for the end of the track.
            completeness.see(bytes).map_err(incomplete)?;
            let of_use = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            left -= of_use as u64;
            self.write(&bytes[..of_use], feed)
        };
        give(&front)?;
        let mut buffer = vec![0; COPY_SIZE];
        loop {
            let fetched = self.progress.while_awaiting(|| source.read(&mut buffer));
            match fetched.map_err(FeedError::Failed)? {
                0 => return completeness.end().map_err(incomplete),
                count => give(&buffer[..count])?,
            }
        }
    }

    /// What was planned instead.
    fn emit(
        &self,
        mut source: TrackReader<'_, '_>,
        plan: &splice::Plan,
        feed: &mut FifoWriter<'_>,
    ) -> Result<(), FeedError> {
        let (kind, all) = (source.track(), 0..plan.len());
        let way = TrackRead::to(plan, 0, &all)
            .ok_or(FeedError::Failed(Error::Internal("a plan needs nothing of its track")))?;
        source.restrict_to(way.first.clone());
        let entered = way.enter(plan, source).map_err(FeedError::Failed)?;
        let (at, gap) = (entered.at, entered.gap.clone());
        let reading = PlannedReader::new(entered, plan.runs(0, &all, MAX_GAP));
        let input =
            splice::TrackInput::new(kind, at, FeedSource { reading, progress: &self.progress })
                .without(gap);
        let mut unfed = None;
        let mut give = |bytes: &[u8]| {
            self.write(bytes, feed).map_err(|why| {
                unfed = Some(why);
                Error::Stopped
            })
        };
        let emitted = plan.write_range(&all, &mut [input], &mut give);
        emitted.map_err(|error| unfed.unwrap_or(FeedError::Failed(error)))
    }
}

/// What a source brings of what is planned.
struct FeedSource<'f, 'scope, 'env> {
    reading: PlannedReader<'f, 'scope, 'env>,
    progress: &'f FeedProgress,
}

impl ChunkSource for FeedSource<'_, '_, '_> {
    fn next_chunk(&mut self, mut room: Vec<u8>) -> Result<(Vec<u8>, usize), Error> {
        if let Some(bytes) = self.reading.take_buffered() {
            let count = bytes.len();
            return Ok((bytes, count));
        }
        if room.len() != COPY_SIZE {
            room = vec![0; COPY_SIZE];
        }
        let count = self.progress.while_awaiting(|| self.reading.read(&mut room))?;
        Ok((room, count))
    }

    fn skip(&mut self, most: u64) -> Result<u64, Error> {
        Ok(self.reading.skip(most))
    }
}

/// How much a pipe may hold of what may be read ahead: the rest is in the buffers on its way.
pub(super) fn pipe_len(read_ahead: u64) -> u64 {
    read_ahead.saturating_sub((SOCKET_BUFFER + COPY_SIZE) as u64)
}

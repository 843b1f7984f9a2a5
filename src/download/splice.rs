//! Serves spliced files: the content of every offset is known, so that they have a length and ranges like
//! a static file. The thread of the connection reads the tracks in turn; meanwhile the bytes of the other
//! track wait in the socket buffer of the kernel, which costs no thread and no copy.

use std::cell::RefCell;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use super::planned_reader::{MAX_GAP, PlannedReader};
use super::probe::{self, ProbedTrack};
use super::representation::{self, Representation, select_representation};
use super::sink::ClientSink;
use super::{DownloadContext, MediaBody, MediaResponse, Prepared};
use crate::container::{OutputType, type_of};
use crate::error::{Error, UpstreamError};
use crate::fetch::{PendingReader, TrackReader, first_request_size};
use crate::http_client::RemoteFile;
use crate::http_server::BodyWriter;
use crate::limits::StreamPermit;
use crate::media::TrackKind;
use crate::plan_cache::{CachedPlan, PlanKey};
use crate::splice::{self, ChunkSource, Runs, TrackInput};

/// Bytes read from a track per call.
const BUFFER_SIZE: usize = 64 << 10;
/// Bytes read for a slow client, which they wait for, and after a zero-copy transfer, since the next bytes will mostly be
/// transferred, too.
const SMALL_BUFFER_SIZE: usize = 16 << 10;

mod seek;

pub(super) use seek::{PositionedSource, TrackRead};

/// Whether a plan can be used.
pub(super) enum PlanOutcome<'scope> {
    /// The response is ready.
    Ready(Prepared<'scope>),
    /// An upstream does not serve what the plan needs of it. Nothing was sent.
    Stale(Error),
}

/// The readers that a plan is served from.
pub(super) enum Readers<'scope, 'env> {
    /// Each is at the beginning of its track: the plan was made from these files.
    Open(Vec<TrackReader<'scope, 'env>>),
    /// There are none yet. Their first responses verify that the files are those of the plan.
    Unopened,
}

/// Caches the plan that was made from these tracks; returns it with their readers.
pub(super) fn cache_plan<'scope, 'env>(
    context: &DownloadContext<'_, '_>,
    key: PlanKey,
    plan: splice::Plan,
    mut tracks: Vec<ProbedTrack<'scope, 'env>>,
) -> (Arc<CachedPlan>, Readers<'scope, 'env>) {
    let mut memory = context.app.memory_budget.reservation();
    tracks.iter_mut().for_each(|track| memory.absorb(&mut track.file.memory));
    // The indexes are dropped by now.
    memory.resize(plan.memory_size() as u64);
    let files: Vec<_> = tracks.iter().map(|track| track.file.source.file().clone()).collect();
    let etag = etag(&plan, &files);
    let cached = Arc::new(CachedPlan { plan, files, etag, memory });
    // Without validators a later request could not verify that the files are the same.
    if cached.etag.is_some() {
        context.app.plan_cache.insert(key, &cached);
    }
    (cached, Readers::Open(tracks.into_iter().map(|track| track.file.source).collect()))
}

/// Prepares the response with a file by its plan.
pub(super) fn prepare<'scope, 'env>(
    context: &DownloadContext<'scope, 'env>,
    key: PlanKey,
    cached: Arc<CachedPlan>,
    readers: Readers<'scope, 'env>,
) -> Result<PlanOutcome<'scope>, Error> {
    let planned = Instant::now();
    let representation = select_for_plan(context, &cached);
    let memory = reserve_segments(context, &cached.plan)?;
    let range = match &representation {
        Representation::Send(_, range) => range.clone().unwrap_or(0..cached.plan.len()),
        Representation::Short(_) => 0..0,
    };
    let reads = (0..cached.files.len()).map(|index| TrackRead::new(&cached.plan, index, &range));
    let reads: Vec<_> = reads.collect();
    let sources = match readers {
        Readers::Open(readers) => position_readers(&cached, readers, reads),
        Readers::Unopened => open_readers(context, &cached, reads),
    };
    let sources = match sources {
        Ok(sources) => sources,
        // Another plan would need these bytes, too.
        Err(error @ Error::Upstream { fault: UpstreamError::StillRefused(_), .. }) => {
            return Err(error);
        }
        Err(error @ Error::Upstream { .. }) if !context.cancel.is_cancelled() => {
            return Ok(PlanOutcome::Stale(error));
        }
        Err(error) => return Err(error),
    };
    Ok(PlanOutcome::Ready(match representation {
        Representation::Short(response) => Prepared::Short(response),
        // The plan holds the first bytes of the file.
        Representation::Send(head, _) => Prepared::Media(MediaResponse {
            head,
            engine: "splice".into(),
            planned,
            body: Box::new(SplicedBody {
                context: *context,
                key,
                cached,
                sources,
                range,
                _memory: memory,
            }),
        }),
    }))
}

/// Reserves memory for the segments of a plan that are in memory as a whole, if there are any.
fn reserve_segments<'scope>(
    context: &DownloadContext<'scope, '_>,
    plan: &splice::Plan,
) -> Result<Option<StreamPermit<'scope>>, Error> {
    let DownloadContext { app, cancel, client, .. } = *context;
    let mebibytes = usize::try_from(plan.buffer_len() >> 20).unwrap_or(usize::MAX);
    if mebibytes == 0 || context.request.head_only {
        return Ok(None);
    }
    let timeout = app.config.limits.slot_timeout.0;
    app.segment_limiter.try_acquire_many(mebibytes, client, cancel, timeout).map(Some)
}

/// Positions open readers at the first bytes that the plan needs of their tracks, if any.
fn position_readers<'scope>(
    cached: &CachedPlan,
    readers: Vec<TrackReader<'scope, '_>>,
    reads: Vec<Option<TrackRead>>,
) -> Result<Vec<Option<PositionedSource<'scope>>>, Error> {
    let needed = readers.into_iter().zip(reads).map(|(mut source, read)| {
        let read = read?;
        source.restrict_to(read.first.clone());
        Some((read, source))
    });
    // All requests are sent before the first response is awaited.
    let needed: Vec<_> = needed.collect();
    let positioned = needed
        .into_iter()
        .map(|needed| needed.map(|(read, source)| read.position(&cached.plan, source)).transpose());
    positioned.collect()
}

/// Opens a reader for each track at the first bytes that a cached plan needs of it, and verifies that the
/// files are the same. Returns those of the tracks that are needed.
fn open_readers<'scope>(
    context: &DownloadContext<'scope, '_>,
    cached: &Arc<CachedPlan>,
    reads: Vec<Option<TrackRead>>,
) -> Result<Vec<Option<PositionedSource<'scope>>>, Error> {
    // All tracks are verified if none is needed, or if the client asks whether its copy is current.
    let none_needed = reads.iter().all(Option::is_none);
    let conditions = &context.request.preconditions;
    let all = none_needed || conditions.if_range.is_some() || conditions.if_match.is_some();
    let requests = reads.into_iter().zip(&context.media.tracks).enumerate();
    let requests = requests.filter(|(_, (read, _))| all || read.is_some());
    let DownloadContext { scope, app, cancel, .. } = *context;
    let sources = requests.map(|(index, (read, track))| {
        let file = &cached.files[index];
        // If no byte of a track is needed, one is requested to verify the file.
        let one = 0..file.len.unwrap_or(0).min(1);
        let first = read.as_ref().map_or(one, |read| read.first.clone());
        let source = PendingReader::begin_range(
            scope,
            &app.upstream,
            track,
            first,
            first_request_size(track.kind),
            file,
            cancel,
        );
        ((index, read), source)
    });
    let shared = cached.clone();
    let results = probe::for_each_track(scope, sources, move |(index, read), source| {
        let source = source?;
        let positioned = read.map(|read| read.position(&shared.plan, source));
        Ok((index, positioned.transpose()?))
    })?;
    let mut sources: Vec<_> = cached.files.iter().map(|_| None).collect();
    for result in results {
        let (index, positioned) = result?;
        sources[index] = positioned;
    }
    Ok(sources)
}

/// Removes a plan from the cache if upstreams contradict it. It stays if the client leaves, as players do
/// at each seek, or if an upstream breaks off.
fn remove_if_contradicted(context: &DownloadContext<'_, '_>, key: &PlanKey, error: &Error) {
    let contradicts = |error: &Error| {
        let Error::Upstream { fault, .. } = error else { return false };
        matches!(
            fault,
            UpstreamError::EntityChanged(_)
                | UpstreamError::ValidatorsDisagree
                | UpstreamError::IndexMismatch(_)
        )
    };
    if contradicts(error) || context.cancel.cause().is_some_and(|cause| contradicts(&cause)) {
        context.app.plan_cache.remove(key);
    }
}

/// Selects the response for the file of a plan.
fn select_for_plan(context: &DownloadContext<'_, '_>, cached: &CachedPlan) -> Representation {
    let kinds = context.media.tracks.iter().map(|track| track.kind);
    let OutputType { media_type, extension } = type_of(cached.plan.container, kinds);
    let head = context.head(media_type, extension);
    select_representation(
        (context.app, context.request),
        head,
        cached.etag.as_deref(),
        Some(cached.plan.len()),
        true,
    )
}

/// Returns the strong ETag of a spliced file, the same on every server that splices the same files alike.
/// `None` if an upstream sends no validator for its file.
fn etag(plan: &splice::Plan, files: &[RemoteFile]) -> Option<String> {
    let identities = files.iter().map(|file| file.validators.best().map(|_| file.identity()));
    let identities = identities.collect::<Option<Vec<_>>>()?;
    let (version, digest) = (splice::VERSION.to_be_bytes(), plan.digest());
    let layout = [&b"splice"[..], &version, &digest];
    Some(representation::etag(layout.into_iter().chain(identities.iter().map(Vec::as_slice))))
}

/// A byte range of a spliced file.
struct SplicedBody<'scope, 'env> {
    context: DownloadContext<'scope, 'env>,
    key: PlanKey,
    cached: Arc<CachedPlan>,
    /// A source for each track that the range needs.
    sources: Vec<Option<PositionedSource<'scope>>>,
    range: Range<u64>,
    _memory: Option<StreamPermit<'scope>>,
}

impl MediaBody for SplicedBody<'_, '_> {
    fn write(self: Box<Self>, body: &mut BodyWriter) -> Result<(), Error> {
        let SplicedBody { context, key, cached, sources, range, _memory } = *self;
        let cancelled = context.cancelled();
        let sink = RefCell::new(ClientSink::new(body));
        let tracks = context.media.tracks.iter().zip(sources).enumerate();
        let inputs = tracks.map(|(index, (track, source))| {
            let runs = cached.plan.runs(index, &range, MAX_GAP);
            input(track.kind, source, runs, &sink, cancelled)
        });
        let mut inputs: Vec<_> = inputs.collect();
        let mut write = |bytes: &[u8]| sink.borrow_mut().body.write(bytes, cancelled);
        cached
            .plan
            .write_range(&range, &mut inputs, &mut write)
            .inspect_err(|error| remove_if_contradicted(&context, &key, error))
    }
}

/// Wraps the source of a track as an input of the plan.
fn input<'i>(
    kind: TrackKind,
    positioned: Option<PositionedSource<'i>>,
    runs: Runs<'i>,
    sink: &'i RefCell<ClientSink<'_>>,
    cancelled: BorrowedFd<'i>,
) -> TrackInput<'i> {
    let Some(positioned) = positioned else {
        return TrackInput::new(kind, 0, |_| {
            Err(Error::Internal("a track is read of which the plan needs nothing"))
        });
    };
    let (at, gap) = (positioned.at, positioned.gap.clone());
    let reader = PlannedReader::new(positioned, runs);
    TrackInput::new(kind, at, SourceFeed { reader, sink, cancelled, read_size: BUFFER_SIZE })
        .without(gap)
}

/// Reads a track; flushes the body before it waits for the upstream.
struct SourceFeed<'i, 'b> {
    reader: PlannedReader<'i>,
    sink: &'i RefCell<ClientSink<'b>>,
    cancelled: BorrowedFd<'i>,
    /// The size of the next read.
    read_size: usize,
}

impl ChunkSource for SourceFeed<'_, '_> {
    fn next_chunk(&mut self, mut buffer: Vec<u8>) -> Result<(Vec<u8>, usize), Error> {
        if let Some(bytes) = self.reader.take_buffered() {
            let count = bytes.len();
            return Ok((bytes, count));
        }
        self.sink.borrow_mut().body.flush(self.cancelled)?;
        let size = if self.reader.is_slow() { SMALL_BUFFER_SIZE } else { BUFFER_SIZE };
        if buffer.len() != size {
            buffer = vec![0; size];
        }
        let read_size = std::mem::replace(&mut self.read_size, BUFFER_SIZE).min(size);
        let count = self.reader.read(&mut buffer[..read_size])?;
        Ok((buffer, count))
    }

    fn skip(&mut self, max: u64) -> Result<u64, Error> {
        Ok(self.reader.skip(max))
    }

    fn splice_to_sink(&mut self, max: u64) -> Result<u64, Error> {
        let Some(source) = self.reader.source() else { return Ok(0) };
        let count = self.sink.borrow_mut().splice_from(source, max, self.cancelled)?;
        if count > 0 {
            self.read_size = SMALL_BUFFER_SIZE;
        }
        Ok(count as u64)
    }
}

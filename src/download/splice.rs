//! Tracks that are spliced: each byte of the joined file is known by its place, so that it is
//! served like a file. This thread reads the tracks by turns and puts their pieces together: what
//! comes meanwhile of the other track waits in the kernel, where it costs no thread and no copy.

use std::cell::RefCell;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::thread::Scope;
use std::time::Instant;

use super::planned_reader::{MAX_GAP, PlannedReader};
use super::probe::{self, ProbedTrack};
use super::representation::{self, Representation, select_representation};
use super::sink::ClientSink;
use super::{DownloadContext, Outcome};
use crate::container::{OutputType, type_of};
use crate::error::{Error, UpstreamError};
use crate::fetch::{FIRST_REQUEST_SIZE, TrackReader};
use crate::http_client::RemoteFile;
use crate::http_server::ResponseHead;
use crate::media::TrackKind;
use crate::plan_cache::{CachedPlan, PlanKey};
use crate::splice::{self, ChunkSource, Runs, TrackInput};

/// What is read of a track at once.
const BUFFER_SIZE: usize = 64 << 10;
/// The same behind bytes that were sent on unseen, as the rest will mostly be.
const SEEK_WINDOW: usize = 16 << 10;

mod seek;

pub(super) use seek::{PositionedSource, TrackRead};

/// Serves a file whose plan was just made of these tracks, which are open at their beginnings.
pub(super) fn serve_new_plan<'c, 'edge>(
    context: &DownloadContext<'c, 'edge, '_>,
    mut tracks: Vec<ProbedTrack<'_, '_>>,
    plan: splice::Plan,
) -> Result<Outcome<'c, 'edge>, Error> {
    let planned = Instant::now();
    let mut memory = context.app.memory_budget.reservation();
    tracks.iter_mut().for_each(|track| memory.absorb(&mut track.memory));
    let files: Vec<_> = tracks.iter().map(|track| track.source.file().clone()).collect();
    let etag = etag(&plan, &files);
    let mut cached = CachedPlan { plan, files, etag, memory };
    let choice = select_for_plan(context, &cached);
    let part = match &choice {
        Representation::Send(_, part) => part.clone().unwrap_or(0..cached.plan.len()),
        Representation::Done(_) => 0..0,
    };
    let ways = tracks.into_iter().enumerate().map(|(place, ProbedTrack { mut source, .. })| {
        let way = TrackRead::to(&cached.plan, place, &part)?;
        source.restrict_to(way.first.clone());
        Some((way, source))
    });
    let ways: Vec<_> = ways.collect();
    // Nothing is left of the indexes.
    cached.memory.resize(cached.plan.memory_size() as u64);
    let cached = Arc::new(cached);
    let key = PlanKey::new(context.media, &context.options);
    // Without validators nobody could tell later whether the files are still the same.
    if cached.etag.is_some() {
        context.app.plan_cache.insert(key, &cached);
    }
    let head = match choice {
        Representation::Done(served) => return Ok(served),
        Representation::Send(head, _) => head,
    };
    let entered = ways.into_iter().map(|way| match way {
        Some((way, source)) => way.enter(&cached.plan, source).map(Some),
        None => Ok(None),
    });
    let ways = entered.collect::<Result<Vec<_>, _>>()?;
    send(context, &cached, ways, head, part, planned)
        .inspect_err(|error| remove_if_contradicted(context, &key, error))
}

/// Serves a file whose plan is known from before, if there is one and its files are still the same.
pub(super) fn serve_cached_plan<'scope, 'c, 'edge>(
    scope: &'scope Scope<'scope, '_>,
    context: &'scope DownloadContext<'c, 'edge, '_>,
) -> Result<Option<Outcome<'c, 'edge>>, Error> {
    let key = PlanKey::new(context.media, &context.options);
    let Some(cached) = context.app.plan_cache.get(&key) else { return Ok(None) };
    let planned = Instant::now();
    let choice = select_for_plan(context, &cached);
    let part = match &choice {
        Representation::Send(_, part) => part.clone().unwrap_or(0..cached.plan.len()),
        Representation::Done(_) => 0..0,
    };
    let ways: Vec<_> =
        (0..cached.files.len()).map(|place| TrackRead::to(&cached.plan, place, &part)).collect();
    // Where nothing is needed of any track, or a client asks whether its file is still the same, all
    // of them must be.
    let none = ways.iter().all(Option::is_none);
    let conditions = &context.request.preconditions;
    let all = none || conditions.if_range.is_some() || conditions.if_match.is_some();
    let wanted = ways.into_iter().zip(&context.media.tracks).enumerate();
    let wanted = wanted.filter(|(_, (way, _))| all || way.is_some());
    let DownloadContext { app, cancel, .. } = *context;
    let sources = wanted.map(|(place, (way, track))| {
        let file = &cached.files[place];
        // Where no byte of a track is needed, one shows whether it is still the same.
        let one = 0..file.len.unwrap_or(0).min(1);
        let first = way.as_ref().map_or(one, |way| way.first.clone());
        let source = TrackReader::begin_range(
            scope,
            &app.upstream,
            track,
            first,
            FIRST_REQUEST_SIZE,
            file,
            cancel,
        );
        ((place, way), source)
    });
    let known = cached.clone();
    let opened = probe::for_each_track(scope, sources, move |(place, way), source| {
        let source = source?;
        let entered = way.map(|way| way.enter(&known.plan, source));
        Ok((place, entered.transpose()?))
    })?;
    let mut ways: Vec<_> = cached.files.iter().map(|_| None).collect();
    for opened in opened {
        match opened {
            Ok((place, entered)) => ways[place] = entered,
            // There is nothing new to see.
            Err(error @ Error::Upstream { fault: UpstreamError::StillRefused(_), .. }) => {
                return Err(error);
            }
            // Whatever else it is, those who look afresh will see it, too, or get over it.
            Err(Error::Upstream { track, fault }) if !cancel.is_cancelled() => {
                log::debug!("a plan of before is of no use: {track} upstream: {fault}");
                app.plan_cache.remove(&key);
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
    match choice {
        Representation::Done(served) => Ok(Some(served)),
        Representation::Send(head, part) => {
            let part = part.unwrap_or(0..cached.plan.len());
            send(context, &cached, ways, head, part, planned)
                .inspect_err(|error| remove_if_contradicted(context, &key, error))
                .map(Some)
        }
    }
}

/// A plan that upstreams contradict is not used again. It has nothing to fear of a client that
/// leaves, as players do at each seek, nor of an upstream that breaks off.
fn remove_if_contradicted(context: &DownloadContext<'_, '_, '_>, key: &PlanKey, error: &Error) {
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

fn select_for_plan<'c, 'edge>(
    context: &DownloadContext<'c, 'edge, '_>,
    cached: &CachedPlan,
) -> Representation<'c, 'edge> {
    let kinds = context.media.tracks.iter().map(|track| track.kind);
    let OutputType { media_type, extension } = type_of(cached.plan.container, kinds);
    let head = context.head(media_type, extension);
    select_representation(context, head, cached.etag.as_deref(), Some(cached.plan.len()), true)
}

/// A strong validator that is the same wherever the same files are spliced alike. Where an upstream
/// gives none for its file, there is none for the joined one.
fn etag(plan: &splice::Plan, files: &[RemoteFile]) -> Option<String> {
    let identities = files.iter().map(|file| file.validators.best().map(|_| file.identity()));
    let identities = identities.collect::<Option<Vec<_>>>()?;
    let (version, digest) = (splice::VERSION.to_be_bytes(), plan.digest());
    let own = [&b"splice"[..], &version, &digest];
    Some(representation::etag(own.into_iter().chain(identities.iter().map(Vec::as_slice))))
}

/// Sends `part` of the file.
fn send<'c, 'edge>(
    context: &DownloadContext<'c, 'edge, '_>,
    cached: &CachedPlan,
    ways: Vec<Option<PositionedSource<'_, '_>>>,
    head: ResponseHead,
    part: Range<u64>,
    planned: Instant,
) -> Result<Outcome<'c, 'edge>, Error> {
    let DownloadContext { app, media, started: asked, .. } = *context;
    // The head of the joined file is the first of it, and is here.
    app.metrics.first_byte(asked.elapsed());
    let timing = context.server_timing(planned, Instant::now(), "splice");
    let body = context.commit(&head.with("Server-Timing", timing))?;
    let out = RefCell::new(ClientSink::new(body));
    let over = context.cancelled();
    let inputs = media.tracks.iter().zip(ways).enumerate().map(|(place, (track, entered))| {
        let runs = cached.plan.runs(place, &part, MAX_GAP);
        input(track.kind, entered, runs, &out, over)
    });
    let mut inputs: Vec<_> = inputs.collect();
    let mut give = |bytes: &[u8]| out.borrow_mut().body.write(bytes, over);
    cached.plan.write_range(&part, &mut inputs, &mut give)?;
    // Before anything is let go of.
    out.borrow_mut().body.flush(over)?;
    drop(inputs);
    Ok(Outcome::Body(out.into_inner().body))
}

/// What the source of a track brings, as the plan takes it.
fn input<'i, 'scope: 'i, 'env: 'i>(
    kind: TrackKind,
    entered: Option<PositionedSource<'scope, 'env>>,
    runs: Runs<'i>,
    out: &'i RefCell<ClientSink<'_, '_>>,
    over: BorrowedFd<'i>,
) -> TrackInput<'i> {
    // A track of which nothing is needed is not asked for anything.
    let Some(entered) = entered else {
        return TrackInput::new(kind, 0, |_| {
            Err(Error::Internal("a track is read of which the plan needs nothing"))
        });
    };
    let (at, gap) = (entered.at, entered.gap.clone());
    let reading = PlannedReader::new(entered, runs);
    TrackInput::new(kind, at, SourceFeed { reading, out, over, room: BUFFER_SIZE }).without(gap)
}

/// What a source brings. Before it is waited for, what is ready goes out.
struct SourceFeed<'i, 'scope, 'env, 'c, 'edge> {
    reading: PlannedReader<'i, 'scope, 'env>,
    out: &'i RefCell<ClientSink<'c, 'edge>>,
    over: BorrowedFd<'i>,
    /// How much is read at once.
    room: usize,
}

impl ChunkSource for SourceFeed<'_, '_, '_, '_, '_> {
    fn next_chunk(&mut self, mut room: Vec<u8>) -> Result<(Vec<u8>, usize), Error> {
        if let Some(bytes) = self.reading.take_buffered() {
            let count = bytes.len();
            return Ok((bytes, count));
        }
        self.out.borrow_mut().body.flush(self.over)?;
        if room.len() != BUFFER_SIZE {
            room = vec![0; BUFFER_SIZE];
        }
        let count =
            self.reading.read(&mut room[..std::mem::replace(&mut self.room, BUFFER_SIZE)])?;
        Ok((room, count))
    }

    fn skip(&mut self, most: u64) -> Result<u64, Error> {
        Ok(self.reading.skip(most))
    }

    fn splice_to_sink(&mut self, most: u64) -> Result<u64, Error> {
        let Some(source) = self.reading.source() else { return Ok(0) };
        let count = self.out.borrow_mut().splice_from(source, most, self.over)?;
        if count > 0 {
            self.room = SEEK_WINDOW;
        }
        Ok(count as u64)
    }
}

//! Tracks that are spliced: each byte of the joined file is known by its place, so that it is
//! served like a file. This thread reads the tracks by turns and puts their pieces together: what
//! comes meanwhile of the other track waits in the kernel, where it costs no thread and no copy.

use std::cell::RefCell;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::thread::Scope;
use std::time::Instant;

use super::fetch::{self, Opened};
use super::out::Out;
use super::reading::{GAP, Reading};
use super::select::{self, Choice, choose};
use super::{Answering, Served};
use crate::error::{Error, UpstreamError};
use crate::http_server::ResponseHead;
use crate::media::TrackKind;
use crate::mux::splice::{self, Flow, Input, Runs};
use crate::mux::{self, Finished};
use crate::plan_cache::{CachedPlan, PlanKey};
use crate::source::{FIRST_REQUEST_SIZE, RemoteFile, TrackReader};

/// What is read of a track at once.
const ROOM: usize = 64 << 10;
/// The same behind bytes that were sent on unseen, as the rest will mostly be.
const SIGHT: usize = 16 << 10;

mod way;

pub(super) use way::{Entered, Way};

/// Serves a file whose plan was just made of these tracks, which are open at their beginnings.
pub(super) fn begin<'c, 'edge>(
    answering: &Answering<'c, 'edge, '_>,
    mut tracks: Vec<Opened<'_, '_>>,
    plan: splice::Plan,
) -> Result<Served<'c, 'edge>, Error> {
    let planned = Instant::now();
    let mut memory = answering.canal.memory_budget.reservation();
    tracks.iter_mut().for_each(|track| memory.absorb(&mut track.memory));
    let files: Vec<_> = tracks.iter().map(|track| track.source.file().clone()).collect();
    let etag = etag(&plan, &files);
    let mut spliced = CachedPlan { plan, files, etag, memory };
    let choice = judge(answering, &spliced);
    let part = match &choice {
        Choice::Send(_, part) => part.clone().unwrap_or(0..spliced.plan.len()),
        Choice::Done(_) => 0..0,
    };
    let ways = tracks.into_iter().enumerate().map(|(place, Opened { mut source, .. })| {
        let way = Way::to(&spliced.plan, place, &part)?;
        source.restrict_to(way.first.clone());
        Some((way, source))
    });
    let ways: Vec<_> = ways.collect();
    // Nothing is left of the indexes.
    spliced.memory.resize(spliced.plan.weight() as u64);
    let spliced = Arc::new(spliced);
    let key = PlanKey::new(answering.media, &answering.wish);
    // Without validators nobody could tell later whether the files are still the same.
    if spliced.etag.is_some() {
        answering.canal.plan_cache.insert(key, &spliced);
    }
    let head = match choice {
        Choice::Done(served) => return Ok(served),
        Choice::Send(head, _) => head,
    };
    let entered = ways.into_iter().map(|way| match way {
        Some((way, source)) => way.enter(&spliced.plan, source).map(Some),
        None => Ok(None),
    });
    let ways = entered.collect::<Result<Vec<_>, _>>()?;
    send(answering, &spliced, ways, head, part, planned)
        .inspect_err(|error| forget_if_wrong(answering, &key, error))
}

/// Serves a file whose plan is known from before, if there is one and its files are still the same.
pub(super) fn again<'scope, 'c, 'edge>(
    scope: &'scope Scope<'scope, '_>,
    answering: &'scope Answering<'c, 'edge, '_>,
) -> Result<Option<Served<'c, 'edge>>, Error> {
    let key = PlanKey::new(answering.media, &answering.wish);
    let Some(spliced) = answering.canal.plan_cache.get(&key) else { return Ok(None) };
    let planned = Instant::now();
    let choice = judge(answering, &spliced);
    let part = match &choice {
        Choice::Send(_, part) => part.clone().unwrap_or(0..spliced.plan.len()),
        Choice::Done(_) => 0..0,
    };
    let ways: Vec<_> =
        (0..spliced.files.len()).map(|place| Way::to(&spliced.plan, place, &part)).collect();
    // Where nothing is needed of any track, or a client asks whether its file is still the same, all
    // of them must be.
    let none = ways.iter().all(Option::is_none);
    let conditions = &answering.request.preconditions;
    let all = none || conditions.if_range.is_some() || conditions.if_match.is_some();
    let wanted = ways.into_iter().zip(&answering.media.tracks).enumerate();
    let wanted = wanted.filter(|(_, (way, _))| all || way.is_some());
    let Answering { canal, stop, .. } = *answering;
    let sources = wanted.map(|(place, (way, track))| {
        let file = &spliced.files[place];
        // Where no byte of a track is needed, one shows whether it is still the same.
        let one = 0..file.len.unwrap_or(0).min(1);
        let first = way.as_ref().map_or(one, |way| way.first.clone());
        let source = TrackReader::begin_range(
            scope,
            &canal.upstream,
            track,
            first,
            FIRST_REQUEST_SIZE,
            file,
            stop,
        );
        ((place, way), source)
    });
    let known = spliced.clone();
    let opened = fetch::each(scope, sources, move |(place, way), source| {
        let source = source?;
        let entered = way.map(|way| way.enter(&known.plan, source));
        Ok((place, entered.transpose()?))
    })?;
    let mut ways: Vec<_> = spliced.files.iter().map(|_| None).collect();
    for opened in opened {
        match opened {
            Ok((place, entered)) => ways[place] = entered,
            // There is nothing new to see.
            Err(error @ Error::Upstream { fault: UpstreamError::StillRefused(_), .. }) => {
                return Err(error);
            }
            // Whatever else it is, those who look afresh will see it, too, or get over it.
            Err(Error::Upstream { track, fault }) if !stop.is_cancelled() => {
                log::debug!("a plan of before is of no use: {track} upstream: {fault}");
                canal.plan_cache.remove(&key);
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
    match choice {
        Choice::Done(served) => Ok(Some(served)),
        Choice::Send(head, part) => {
            let part = part.unwrap_or(0..spliced.plan.len());
            send(answering, &spliced, ways, head, part, planned)
                .inspect_err(|error| forget_if_wrong(answering, &key, error))
                .map(Some)
        }
    }
}

/// A plan that upstreams contradict is not used again. It has nothing to fear of a client that
/// leaves, as players do at each seek, nor of an upstream that breaks off.
fn forget_if_wrong(answering: &Answering<'_, '_, '_>, key: &PlanKey, error: &Error) {
    let contradicts = |error: &Error| {
        let Error::Upstream { fault, .. } = error else { return false };
        matches!(
            fault,
            UpstreamError::EntityChanged(_)
                | UpstreamError::ValidatorsDisagree
                | UpstreamError::IndexMismatch(_)
        )
    };
    if contradicts(error) || answering.stop.cause().is_some_and(|cause| contradicts(&cause)) {
        answering.canal.plan_cache.remove(key);
    }
}

fn judge<'c, 'edge>(
    answering: &Answering<'c, 'edge, '_>,
    spliced: &CachedPlan,
) -> Choice<'c, 'edge> {
    let kinds = answering.media.tracks.iter().map(|track| track.kind);
    let Finished { media_type, extension } = mux::type_of(spliced.plan.container, kinds);
    let head = answering.head(media_type, extension);
    choose(answering, head, spliced.etag.as_deref(), Some(spliced.plan.len()), true)
}

/// A strong validator that is the same wherever the same files are spliced alike. Where an upstream
/// gives none for its file, there is none for the joined one.
fn etag(plan: &splice::Plan, files: &[RemoteFile]) -> Option<String> {
    let identities = files.iter().map(|file| file.validators.best().map(|_| file.identity()));
    let identities = identities.collect::<Option<Vec<_>>>()?;
    let (version, digest) = (splice::VERSION.to_be_bytes(), plan.digest());
    let own = [&b"splice"[..], &version, &digest];
    Some(select::etag(own.into_iter().chain(identities.iter().map(Vec::as_slice))))
}

/// Sends `part` of the file.
fn send<'c, 'edge>(
    answering: &Answering<'c, 'edge, '_>,
    spliced: &CachedPlan,
    ways: Vec<Option<Entered<'_, '_>>>,
    head: ResponseHead,
    part: Range<u64>,
    planned: Instant,
) -> Result<Served<'c, 'edge>, Error> {
    let Answering { canal, media, asked, .. } = *answering;
    // The head of the joined file is the first of it, and is here.
    canal.metrics.first_byte(asked.elapsed());
    let timing = answering.timing(planned, Instant::now(), "splice");
    let body = answering.commit(&head.with("Server-Timing", timing))?;
    let out = RefCell::new(Out::new(body));
    let over = answering.over();
    let inputs = media.tracks.iter().zip(ways).enumerate().map(|(place, (track, entered))| {
        let runs = spliced.plan.runs(place, &part, GAP);
        input(track.kind, entered, runs, &out, over)
    });
    let mut inputs: Vec<_> = inputs.collect();
    let mut give = |bytes: &[u8]| out.borrow_mut().body.write(bytes, over);
    spliced.plan.emit(&part, &mut inputs, &mut give)?;
    // Before anything is let go of.
    out.borrow_mut().body.flush(over)?;
    drop(inputs);
    Ok(Served::Body(out.into_inner().body))
}

/// What the source of a track brings, as the plan takes it.
fn input<'i, 'scope: 'i, 'env: 'i>(
    kind: TrackKind,
    entered: Option<Entered<'scope, 'env>>,
    runs: Runs<'i>,
    out: &'i RefCell<Out<'_, '_>>,
    over: BorrowedFd<'i>,
) -> Input<'i> {
    // A track of which nothing is needed is not asked for anything.
    let Some(entered) = entered else {
        return Input::new(kind, 0, |_| Err(Error::Stopped));
    };
    let (at, gap) = (entered.at, entered.gap.clone());
    let reading = Reading::new(entered, runs);
    Input::new(kind, at, Brought { reading, out, over, room: ROOM }).without(gap)
}

/// What a source brings. Before it is waited for, what is ready goes out.
struct Brought<'i, 'scope, 'env, 'c, 'edge> {
    reading: Reading<'i, 'scope, 'env>,
    out: &'i RefCell<Out<'c, 'edge>>,
    over: BorrowedFd<'i>,
    /// How much is read at once.
    room: usize,
}

impl Flow for Brought<'_, '_, '_, '_, '_> {
    fn next(&mut self, mut room: Vec<u8>) -> Result<(Vec<u8>, usize), Error> {
        if let Some(bytes) = self.reading.at_hand() {
            let count = bytes.len();
            return Ok((bytes, count));
        }
        self.out.borrow_mut().body.flush(self.over)?;
        if room.len() != ROOM {
            room = vec![0; ROOM];
        }
        let count = self.reading.fetch(&mut room[..std::mem::replace(&mut self.room, ROOM)])?;
        Ok((room, count))
    }

    fn leave_out(&mut self, most: u64) -> Result<u64, Error> {
        Ok(self.reading.leave_out(most))
    }

    fn send_on(&mut self, most: u64) -> Result<u64, Error> {
        let Some(source) = self.reading.source() else { return Ok(0) };
        let count = self.out.borrow_mut().pass_on(source, most, self.over)?;
        if count > 0 {
            self.room = SIGHT;
        }
        Ok(count as u64)
    }
}

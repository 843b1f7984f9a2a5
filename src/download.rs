//! ★ Serves one download, from the request to the last byte. Read this first.
//!
//! The thread of the connection resolves the media, probes its tracks, chooses a [`Strategy`], and sends
//! the body. With ffmpeg, one more thread per track feeds it. The first error cancels all of them, as does
//! a client that leaves.
//!
//! **Invariant:** holds the order of the steps, and no logic of its own.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;

use crate::app::App;
use crate::cancel::CancelToken;
use crate::error::Error;
use crate::http_server::{BodyWriter, ClientConnection, Request, Response, ResponseHead};
use crate::labels::EngineName;
use crate::limits::{Client, StreamPermit};
use crate::media::Media;
use crate::media::page_media::PageMedia;
use crate::media::selection::{CoverRequest, FormatRequest};
use crate::media::sponsorblock::{self, SponsorBlockUse};
use crate::memory_budget::Reservation;
use crate::options::{Engine, OutputOptions};
use crate::plan_cache::PlanKey;
use crate::resolve::{self, RequestContext};
use crate::route::MediaSource;
use crate::strategy::{FfmpegPlan, Strategy, plan};
use crate::thumbnail::Thumbnail;

pub mod archive;
mod context;
mod deliver;
mod encoded;
mod feed;
mod ffmpeg;
mod index_reader;
mod live;
mod passthrough;
mod planned_reader;
mod probe;
mod record;
mod representation;
mod sink;
mod splice;
mod streaming;
mod subtitles;

use context::DownloadContext;
use deliver::{Order, Recipient, deliver};
use probe::{Probed, ProbedTrack};
use record::Record;
use splice::{PlanOutcome, Readers};

/// Sends the media of `source` to `client` as one file. On an error, sends a problem before the commit
/// point and resets the connection after it.
pub fn serve(
    app: &App,
    source: MediaSource,
    options: OutputOptions,
    request: &Request,
    client: ClientConnection,
) {
    let mut record = Record::new(app, &source, &client);
    // Threads, child process, pipes and permit are released before the client sees the end: a script
    // that sends its next request at once finds the slot free.
    conclude(&mut record, run(app, source, options, request, client), request);
}

/// Ends the response to the client as the download ended.
fn conclude(record: &mut Record<'_>, ended: Ended, request: &Request) {
    match ended {
        Ended::Unsent(client, response) => {
            record.complete();
            match response {
                ShortResponse::Head(head) => client.respond_head(&head, request),
                ShortResponse::Response(response) => client.respond(response, Some(request)),
            }
        }
        Ended::Failed(client, cause) => {
            let problem = record.failed(&cause, Level::Info);
            client.refuse(&problem, request);
        }
        Ended::Sent(body) => match body.finish() {
            Ok(finished) => {
                record.complete();
                finished.close();
            }
            Err(error) => drop(record.failed(&error, Level::Warn)),
        },
        Ended::Aborted(body, cause) => {
            let problem = record.failed(&cause, Level::Warn);
            // Resets the connection.
            body.abort(&problem);
        }
    }
}

/// How a download ended.
enum Ended {
    /// The response is a short one. Nothing was sent.
    Unsent(ClientConnection, ShortResponse),
    /// It failed before the commit point. Nothing was sent.
    Failed(ClientConnection, Arc<Error>),
    /// The complete body was sent, but for its end.
    Sent(BodyWriter),
    /// It failed after the commit point.
    Aborted(BodyWriter, Arc<Error>),
}

/// A response without a media body.
enum ShortResponse {
    /// This head (HEAD, or 304).
    Head(ResponseHead),
    /// A problem (412 or 416).
    Response(Response),
}

/// Runs a download with its permit held.
fn run(
    app: &App,
    source: MediaSource,
    options: OutputOptions,
    request: &Request,
    client: ClientConnection,
) -> Ended {
    let started = Instant::now();
    let cancel = match new_token(client.cancel_token()) {
        Ok(cancel) => cancel,
        Err(error) => return Ended::Failed(client, Arc::new(error)),
    };
    match acquire(app, source, &options, client.client(), &cancel) {
        Ok((_permit, media, memory)) => {
            let client_id = client.client();
            let order = Order { app, media, memory, options, request, client: client_id, started };
            deliver(order, cancel, client)
        }
        Err(error) => Ended::Failed(client, cancel.cancel_with(error)),
    }
}

fn new_token(token: io::Result<CancelToken>) -> Result<Arc<CancelToken>, Error> {
    token.map(Arc::new).map_err(|e| Error::system("watch the connection of a client", &e))
}

impl Recipient for ClientConnection {
    type Outcome = Ended;

    fn cancel_token(&self) -> io::Result<CancelToken> {
        ClientConnection::cancel_token(self)
    }

    fn receive(self, context: &DownloadContext<'_, '_>, response: Prepared<'_>) -> Ended {
        match response {
            Prepared::Short(response) => Ended::Unsent(self, response),
            Prepared::Media(response) => send(context, self, response),
            Prepared::Playlists(_) => {
                self.fail(Arc::new(Error::Internal("a playlist was to be sent")))
            }
        }
    }

    fn fail(self, cause: Arc<Error>) -> Ended {
        Ended::Failed(self, cause)
    }

    fn cause(outcome: &Ended) -> Option<&Error> {
        match outcome {
            Ended::Failed(_, cause) | Ended::Aborted(_, cause) => Some(cause),
            Ended::Unsent(..) | Ended::Sent(_) => None,
        }
    }
}

/// Acquires a permit for a download, and finds out the locations of its tracks.
fn acquire<'a>(
    app: &'a App,
    source: MediaSource,
    options: &OutputOptions,
    client: Client,
    cancel: &Arc<CancelToken>,
) -> Result<(StreamPermit<'a>, Media, Reservation), Error> {
    if let MediaSource::Page { choice, .. } = &source {
        check_sponsorblock(app, choice)?;
    }
    let timeout = app.config.limits.slot_timeout.0;
    let acquire = |weight| app.stream_limiter.try_acquire_many(weight, client, cancel, timeout);
    let first = match &source {
        MediaSource::Urls(media) => weight(media),
        MediaSource::Page { .. } => 1,
    };
    let permit = acquire(first)?;
    let (media, memory) = match source {
        MediaSource::Urls(media) => (media, app.memory_budget.reservation()),
        MediaSource::Page { page_url, choice } => {
            let page = app.resolver.resolve(&page_url, &RequestContext { client, cancel })?;
            media_of(app, &page, &choice, (options, client), cancel)?
        }
    };
    if weight(&media) <= first {
        return Ok((permit, media, memory));
    }
    // Whoever held one while waiting for more would wait for themselves.
    drop(permit);
    Ok((acquire(weight(&media))?, media, memory))
}

/// Fails if the operator has not switched on what is requested.
fn check_sponsorblock(app: &App, choice: &FormatRequest) -> Result<(), Error> {
    let is_off = app.config.resolver.sponsorblock.is_empty();
    if is_off && choice.sponsorblock.is_some() { Err(Error::SponsorBlockOff) } else { Ok(()) }
}

/// Returns how many permits a download takes: one is for a video with its audio, which are two tracks.
fn weight(media: &Media) -> usize {
    media.tracks.len().div_ceil(2).max(1)
}

/// Selects the media of a page; returns them with the memory that their subtitles take.
fn media_of(
    app: &App,
    page: &Arc<PageMedia>,
    choice: &FormatRequest,
    (options, client): (&OutputOptions, Client),
    cancel: &Arc<CancelToken>,
) -> Result<(Media, Reservation), Error> {
    let mut memory = app.memory_budget.reservation();
    let mut media = match options.text_only {
        Some(_) => resolve::without_tracks(page),
        None => resolve::media(&app.resolver, page, choice, client)?,
    };
    if choice.sponsorblock.is_some() {
        media.metadata.chapters = page.marked_chapters();
    }
    if choice.sponsorblock == Some(SponsorBlockUse::Remove) {
        media.metadata.removal = sponsorblock::removed(page.segments());
    }
    if let Some(request) = &choice.subtitles {
        (media.metadata.subtitles, memory) = subtitles::fetch_all(app, page, request, cancel)?;
    }
    media.metadata.cover = match choice.cover {
        CoverRequest::None => None,
        CoverRequest::Required => Some(Thumbnail::fetch(page, &app.upstream, cancel)?.cover()?),
        CoverRequest::IfAvailable => {
            let key = (page.page_url.clone(), app.resolver.cookies_id(client)?);
            app.covers
                .get_or_fetch(key, || Thumbnail::optional_cover(page, &app.upstream, cancel))?
        }
    };
    Ok((media, memory))
}

/// A response that can be sent. Until here, every error is a problem.
enum Prepared<'s> {
    Short(ShortResponse),
    Media(MediaResponse<'s>),
    /// The tracks at these indexes are playlists, which must be loaded first.
    Playlists(Vec<usize>),
}

/// A media response whose first bytes are available.
struct MediaResponse<'s> {
    head: ResponseHead,
    /// The engine as Server-Timing names it.
    engine: String,
    /// When the strategy was chosen.
    planned: Instant,
    body: Box<dyn MediaBody + 's>,
}

/// The body of a response, by one of the engines.
trait MediaBody {
    /// Writes the body. Its end is left to the caller, who marks it when the engine has released all that
    /// it holds.
    fn write(self: Box<Self>, body: &mut BodyWriter) -> Result<(), Error>;
}

/// Passes the commit point, and sends the body.
fn send(
    context: &DownloadContext<'_, '_>,
    client: ClientConnection,
    response: MediaResponse<'_>,
) -> Ended {
    let DownloadContext { app, request, cancel, started, .. } = *context;
    let MediaResponse { head, engine, planned, body: media } = response;
    let name = EngineName::of(&engine);
    app.metrics.first_byte(name, started.elapsed());
    client.record().first_byte(name);
    let timing = context.server_timing(planned, Instant::now(), &engine);
    let mut body = match client.commit(&head.with("Server-Timing", timing), request) {
        Ok(body) => body,
        Err(refused) => {
            let (client, error) = *refused;
            return Ended::Failed(client, cancel.cancel_with(error));
        }
    };
    match media.write(&mut body).and_then(|()| body.flush(context.cancelled())) {
        Ok(()) => Ended::Sent(body),
        Err(error) => Ended::Aborted(body, cancel.cancel_with(error)),
    }
}

/// Prepares the response from the plan cache, or probes the tracks, chooses the strategy, and prepares its
/// engine.
fn prepare<'scope>(context: &DownloadContext<'scope, '_>) -> Result<Prepared<'scope>, Error> {
    let key = PlanKey::new(context.media, &context.options);
    let context = &uncounted(context, &key);
    let DownloadContext { app, media, options, request, .. } = context;
    if let Some(format) = options.text_only {
        return subtitles::prepare(context, format);
    }
    if let Some(cached) = app.plan_cache.get(&key) {
        match splice::prepare(context, key, cached, Readers::Unopened)? {
            PlanOutcome::Ready(prepared) => return Ok(prepared),
            // A new plan may succeed, or reports the error itself.
            PlanOutcome::Stale(error) => {
                log::debug!("discarding cached plan: {error}");
                app.plan_cache.remove(&key);
            }
        }
    }
    let wants_all = request.is_full_get() && options.time_range.is_full();
    let mut tracks = match probe::probe_tracks(context, wants_all)? {
        Probed::Tracks(tracks) => tracks,
        Probed::Playlists(playlists) => return Ok(Prepared::Playlists(playlists)),
    };
    let key_frame = index_reader::find_key_frame(context, &mut tracks)?;
    match choose_strategy(context, &mut tracks, key_frame)? {
        Strategy::Passthrough(output_type) => {
            passthrough::prepare(context, tracks.swap_remove(0), output_type)
        }
        Strategy::Splice(plan) => {
            let (cached, readers) = splice::cache_plan(context, key, plan, tracks);
            match splice::prepare(context, key, cached, readers)? {
                PlanOutcome::Ready(prepared) => Ok(prepared),
                PlanOutcome::Stale(error) => Err(error),
            }
        }
        Strategy::Stream(plan) => Ok(streaming::prepare(context, tracks, plan)),
        Strategy::Ffmpeg(FfmpegPlan { job, feeds, refusal }) => {
            let reason = refusal.map(|refusal| format!(" ({refusal})")).unwrap_or_default();
            log::debug!("muxing by ffmpeg{reason}: {:?}", media.tracks);
            tracks.iter_mut().zip(feeds).for_each(|(track, feed)| track.feed = feed);
            let mut used = (0..).map(|index| job.used.contains(&index));
            tracks.retain(|_| used.next() == Some(true));
            let engine = format!("ffmpeg{reason}");
            match job.exact_layout() {
                Some(layout) => encoded::prepare(context, key, tracks, &job, layout, engine),
                None => ffmpeg::prepare(context, tracks, &job, engine),
            }
        }
    }
}

/// Returns the context of a download whose samples are not counted, if they were miscounted before.
fn uncounted<'scope, 'env>(
    context: &DownloadContext<'scope, 'env>,
    key: &PlanKey,
) -> DownloadContext<'scope, 'env> {
    let options = context.options;
    let engine = if context.app.miscounted.contains(key) { Engine::Ffmpeg } else { options.engine };
    DownloadContext { options: OutputOptions { engine, ..options }, ..*context }
}

/// Chooses the strategy for these tracks. Their indexes, which may be long, are dropped.
fn choose_strategy(
    context: &DownloadContext<'_, '_>,
    tracks: &mut [ProbedTrack<'_, '_>],
    key_frame: Option<Duration>,
) -> Result<Strategy, Error> {
    let inputs = tracks.iter().map(|track| track.input).collect();
    let indexes: Vec<_> = tracks.iter_mut().map(|track| track.index.take()).collect();
    plan(inputs, &indexes, key_frame, &context.options, &context.media.metadata)
}

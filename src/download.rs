//! ★ Serves one download, from the request to the last byte. Read this first.
//!
//! The thread of the connection resolves the media, probes its tracks, chooses a [`Strategy`], and sends
//! the body. With ffmpeg, one more thread per track feeds it. The first error cancels all of them, as does
//! a client that leaves.
//!
//! **Invariant:** holds the order of the steps, and no logic of its own.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use log::Level;

use crate::app::App;
use crate::cancel::CancelToken;
use crate::disposition::attachment;
use crate::error::Error;
use crate::fetch::FIRST_REQUEST_SIZE;
use crate::http_server::{BodyWriter, ClientConnection, Request, Response, ResponseHead};
use crate::media::Media;
use crate::options::OutputOptions;
use crate::plan_cache::PlanKey;
use crate::problem::Problem;
use crate::resolve::{self, RequestContext};
use crate::route::MediaSource;
use crate::strategy::{FfmpegPlan, Strategy, plan};
use crate::thumbnail::Thumbnail;

mod ffmpeg;
mod index_reader;
mod passthrough;
mod planned_reader;
mod probe;
mod representation;
mod sink;
mod splice;

use probe::ProbedTrack;
use splice::{PlanOutcome, Readers};

/// Sends the media of `source` to `client` as one file. On an error, sends a problem before the commit
/// point and resets the connection after it.
pub fn serve(
    app: &App,
    source: MediaSource,
    options: OutputOptions,
    request: &Request,
    client: ClientConnection<'_>,
) {
    let started = Instant::now();
    let label = source.to_string();
    // Threads, child process, pipes and permit are released before the client sees the end: a script
    // that sends its next request at once finds the slot free.
    let outcome = match run(app, source, options, request, &client) {
        Ok(Outcome::Head(head)) => Ok(Some(ShortResponse::Head(head))),
        Ok(Outcome::Response(response)) => Ok(Some(ShortResponse::Response(response))),
        Ok(Outcome::Body(body)) => body.finish().map(|()| None).map_err(Arc::new),
        Err(cause) => Err(cause),
    };
    let problem = outcome.as_ref().err().map(|cause| Problem::from(&**cause));
    app.metrics.stream_ended(problem.as_ref().map_or("complete", |problem| problem.code.as_str()));
    // Errors that the operator can fix must stand out from those of clients and upstreams.
    let level = match outcome.as_ref().err().map(|cause| &**cause) {
        Some(cause) if cause.is_server_fault() => Level::Error,
        None | Some(Error::ClientLeft) => Level::Info,
        Some(_) if client.is_committed() => Level::Warn,
        Some(_) => Level::Info,
    };
    log::log!(
        level,
        "{} {label}: {}, {} bytes in {:.1?}",
        client.address(),
        outcome.as_ref().err().map_or_else(|| "complete".into(), ToString::to_string),
        client.sent(),
        started.elapsed(),
    );
    match (outcome, problem) {
        (Ok(Some(ShortResponse::Head(head))), _) => client.respond_head(&head, request),
        (Ok(Some(ShortResponse::Response(response))), _) => client.respond(response, Some(request)),
        (Ok(None), _) => client.close(),
        // After the commit point, dropping the connection resets it.
        (Err(_), Some(problem)) if !client.is_committed() => {
            client.respond(Response::problem(&problem, request.wants_html), Some(request));
        }
        (Err(_), _) => drop(client),
    }
}

/// A response without a media body.
enum ShortResponse {
    Head(ResponseHead),
    Response(Response),
}

/// How a download ended.
enum Outcome<'c, 'server> {
    /// The response is this head (HEAD, or 304).
    Head(ResponseHead),
    /// The response is a problem (412 or 416).
    Response(Response),
    /// The complete body was sent, but for its end.
    Body(BodyWriter<'c, 'server>),
}

/// Runs a download with its permit held, and its threads in a scope.
fn run<'c, 'server>(
    app: &App,
    source: MediaSource,
    options: OutputOptions,
    request: &Request,
    client: &'c ClientConnection<'server>,
) -> Result<Outcome<'c, 'server>, Arc<Error>> {
    let options = OutputOptions { engine: options.engine.or(app.config.muxer.engine), ..options };
    let started = Instant::now();
    with_client_cancellation(client, |cancel| {
        let timeout = app.config.limits.slot_timeout.0;
        let _permit = app.stream_limiter.try_acquire(client.address(), cancel, timeout)?;
        app.metrics.stream_started();
        let media = match source {
            MediaSource::Urls(media) => media,
            MediaSource::Page { link, choice } => {
                let client = client.address();
                let page_media = app.resolver.resolve(&link, &RequestContext { client, cancel })?;
                let mut media = resolve::media(&app.resolver, &page_media, &choice, client)?;
                if choice.cover {
                    let thumbnail = Thumbnail::fetch(&page_media, &app.upstream, cancel)?;
                    media.metadata.cover = Some(thumbnail.cover()?);
                }
                media
            }
        };
        let resolved = Instant::now();
        let media = &media;
        let context =
            DownloadContext { app, media, options, request, client, cancel, started, resolved };
        thread::scope(|scope| {
            // Ends the threads of the scope however it is left, by a panic included.
            let _cancel = CancelOnDrop(cancel);
            run_engine(scope, &context).inspect_err(|error| cancel.cancel_with(error.clone()))
        })
    })
}

/// Runs `work` with a token that is cancelled when the client leaves. An error cancels it, too; the
/// first cause is returned.
pub(crate) fn with_client_cancellation<T>(
    client: &ClientConnection<'_>,
    work: impl FnOnce(&Arc<CancelToken>) -> Result<T, Error>,
) -> Result<T, Arc<Error>> {
    let cancel =
        client.cancel_token().map_err(|e| Error::system("watch the connection of a client", &e))?;
    let cancel = Arc::new(cancel);
    work(&cancel).map_err(|error| {
        cancel.cancel_with(error.clone());
        cancel.cause().unwrap_or_else(|| Arc::new(error))
    })
}

/// Serves from the plan cache, or probes the tracks, chooses the strategy, and runs its engine.
fn run_engine<'scope, 'env, 'c, 'server>(
    scope: &'scope Scope<'scope, 'env>,
    context: &'scope DownloadContext<'c, 'server, '_>,
) -> Result<Outcome<'c, 'server>, Error> {
    let DownloadContext { app, media, options, request, .. } = context;
    let key = PlanKey::new(media, options);
    if let Some(cached) = app.plan_cache.get(&key) {
        match splice::serve_plan(scope, context, &key, &cached, Readers::Unopened)? {
            PlanOutcome::Served(outcome) => return Ok(outcome),
            // A new plan may succeed, or reports the error itself.
            PlanOutcome::Stale(error) => {
                log::debug!("discarding cached plan: {error}");
                app.plan_cache.remove(&key);
            }
        }
    }
    let wants_all = request.is_full_get() && options.time_range.is_full();
    let first_size = if wants_all { FIRST_REQUEST_SIZE } else { probe::PROBE_SIZE };
    let mut tracks = probe::probe_tracks(scope, context, first_size)?;
    let key_frame = index_reader::find_key_frame(scope, context, &mut tracks)?;
    match choose_strategy(context, &mut tracks, key_frame)? {
        Strategy::Passthrough(output_type) => {
            passthrough::serve(scope, context, tracks.swap_remove(0), output_type)
        }
        Strategy::Splice(plan) => {
            let (cached, readers) = splice::cache_plan(context, key, plan, tracks);
            match splice::serve_plan(scope, context, &key, &cached, readers)? {
                PlanOutcome::Served(outcome) => Ok(outcome),
                PlanOutcome::Stale(error) => Err(error),
            }
        }
        Strategy::Ffmpeg(FfmpegPlan { job, feeds, refusal }) => {
            let reason = refusal.map(|refusal| format!(" ({refusal})")).unwrap_or_default();
            log::debug!("muxing by ffmpeg{reason}: {:?}", media.tracks);
            tracks.iter_mut().zip(feeds).for_each(|(track, feed)| track.feed = feed);
            tracks.retain(|track| job.inputs.iter().any(|used| used.kind == track.input.kind));
            ffmpeg::serve(scope, context, tracks, &job, &format!("ffmpeg{reason}"))
        }
    }
}

/// Chooses the strategy for these tracks. Their indexes, which may be long, are dropped.
fn choose_strategy(
    context: &DownloadContext<'_, '_, '_>,
    tracks: &mut [ProbedTrack<'_, '_>],
    key_frame: Option<Duration>,
) -> Result<Strategy, Error> {
    let inputs = tracks.iter().map(|track| track.input).collect();
    let indexes: Vec<_> = tracks.iter_mut().map(|track| track.index.take()).collect();
    plan(inputs, &indexes, key_frame, &context.options, &context.media.metadata)
}

/// The context of one download.
struct DownloadContext<'c, 'server, 's> {
    app: &'s App,
    media: &'s Media,
    options: OutputOptions,
    request: &'s Request,
    client: &'c ClientConnection<'server>,
    cancel: &'s Arc<CancelToken>,
    started: Instant,
    /// When the URLs of the tracks were known.
    resolved: Instant,
}

impl<'c, 'server> DownloadContext<'c, 'server, '_> {
    /// Returns a head with the fields that all media responses have.
    fn head(&self, media_type: &'static str, extension: &'static str) -> ResponseHead {
        ResponseHead::default()
            .with("Content-Type", media_type)
            .with("Content-Disposition", attachment(self.media.name.as_deref(), extension))
            .with("Cache-Control", "no-store")
            .with("X-Content-Type-Options", "nosniff")
            // nginx would buffer the whole file on its disk for a slow client.
            .with("X-Accel-Buffering", "no")
    }

    /// Returns the value of Server-Timing: when the media were resolved, when the strategy was chosen,
    /// when the first byte of the body was available, and the engine.
    fn server_timing(&self, planned: Instant, first_byte: Instant, engine: &str) -> String {
        let millis = |at: Instant| (at - self.started).as_secs_f64() * 1000.0;
        let [resolved, planned, first] = [self.resolved, planned, first_byte].map(millis);
        format!(
            "resolve;dur={resolved:.1}, plan;dur={planned:.1}, first;dur={first:.1}, \
             engine;desc=\"{engine}\""
        )
    }

    fn commit(&self, head: &ResponseHead) -> Result<BodyWriter<'c, 'server>, Error> {
        BodyWriter::commit(self.client, self.request, head)
    }

    fn problem_response(&self, problem: &Problem) -> Response {
        Response::problem(problem, self.request.wants_html)
    }

    /// Returns the descriptor that becomes readable when the download is cancelled.
    fn cancelled(&self) -> BorrowedFd<'_> {
        self.cancel.as_fd()
    }
}

struct CancelOnDrop<'a>(&'a CancelToken);

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

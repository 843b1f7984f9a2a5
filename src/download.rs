//! ★ Serves one client, from the tracks to the last byte. Read this first.
//!
//! One thread a track fetches it; this one starts the muxer between them and the client, and
//! relays. Whatever goes wrong first stops them all, and so does a client that leaves. Must never hold logic of its own.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::Instant;

use log::Level;

use crate::app::App;
use crate::cancel::CancelToken;
use crate::disposition::attachment;
use crate::error::Error;
use crate::fetch::FIRST_REQUEST_SIZE;
use crate::http_server::{BodyWriter, ClientConnection, Request, Response, ResponseHead};
use crate::media::Media;
use crate::options::OutputOptions;
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

/// Sends `film` to `client` as one file, or an error, or an abort.
pub fn serve(
    app: &App,
    film: MediaSource,
    options: OutputOptions,
    request: &Request,
    client: ClientConnection<'_>,
) {
    let begun = Instant::now();
    // Threads, child, pipes and slot are gone before the client hears that it has everything: a
    // script that asks for the next file at once finds the slot free.
    let named = film.to_string();
    let outcome = match run(app, film, options, request, &client) {
        Ok(Outcome::Head(head)) => Ok(Some(ShortResponse::Head(head))),
        Ok(Outcome::Reply(reply)) => Ok(Some(ShortResponse::Reply(reply))),
        Ok(Outcome::Body(body)) => body.finish().map(|()| None).map_err(Arc::new),
        Err(cause) => Err(cause),
    };
    let problem = outcome.as_ref().err().map(|cause| Problem::from(&**cause));
    app.metrics.stream_ended(problem.as_ref().map_or("complete", |problem| problem.code.as_str()));
    // What is the operator's to mend must not drown among what clients and upstreams do.
    let level = match outcome.as_ref().err().map(|cause| &**cause) {
        Some(cause) if cause.is_server_fault() => Level::Error,
        None | Some(Error::ClientLeft) => Level::Info,
        Some(_) if client.is_committed() => Level::Warn,
        Some(_) => Level::Info,
    };
    log::log!(
        level,
        "{} {named}: {}, {} bytes in {:.1?}",
        client.address(),
        outcome.as_ref().err().map_or_else(|| "complete".into(), ToString::to_string),
        client.sent(),
        begun.elapsed(),
    );
    match (outcome, problem) {
        (Ok(Some(ShortResponse::Head(head))), _) => client.respond_head(&head, request),
        (Ok(Some(ShortResponse::Reply(reply))), _) => client.respond(reply, Some(request)),
        (Ok(None), _) => client.close(),
        // After the commit point the reset of the connection is all that can be said.
        (Err(_), Some(problem)) if !client.is_committed() => {
            client.respond(Response::problem(&problem, request.wants_html), Some(request));
        }
        (Err(_), _) => drop(client),
    }
}

/// An answer without a body of media.
enum ShortResponse {
    Head(ResponseHead),
    Reply(Response),
}

/// What a stream came to.
enum Outcome<'c, 'edge> {
    /// This head is all that is to be sent.
    Head(ResponseHead),
    /// Nothing of the file is to be sent, but this.
    Reply(Response),
    /// Everything was sent but the end.
    Body(BodyWriter<'c, 'edge>),
}

/// Runs the stream in its slot, and its threads in their scope.
fn run<'c, 'edge>(
    app: &App,
    film: MediaSource,
    options: OutputOptions,
    request: &Request,
    client: &'c ClientConnection<'edge>,
) -> Result<Outcome<'c, 'edge>, Arc<Error>> {
    let options = OutputOptions { engine: options.engine.or(app.config.muxer.engine), ..options };
    let asked = Instant::now();
    with_client_cancellation(client, |cancel| {
        let patience = app.config.limits.slot_timeout.0;
        let _slot = app.stream_limiter.try_acquire(client.address(), cancel, patience)?;
        app.metrics.stream_started();
        let media = match film {
            MediaSource::Urls(media) => media,
            MediaSource::Page { link, choice } => {
                let client = client.address();
                let offer = app.resolver.resolve(&link, &RequestContext { client, cancel })?;
                let mut media = resolve::media(&app.resolver, &offer, &choice, client)?;
                if choice.cover {
                    let picture = Thumbnail::fetch(&offer, &app.upstream, cancel)?;
                    media.metadata.cover = Some(picture.cover()?);
                }
                media
            }
        };
        let resolved = Instant::now();
        let media = &media;
        let context = DownloadContext {
            app,
            media,
            options,
            request,
            client,
            cancel,
            started: asked,
            resolved,
        };
        thread::scope(|scope| {
            // Ends the threads of the scope whatever happens in it, a panic included.
            let _end = CancelOnDrop(cancel);
            run_engine(scope, &context).inspect_err(|error| cancel.cancel_with(error.clone()))
        })
    })
}

/// Does something that a client waits for; it is stopped when the client leaves.
pub(crate) fn with_client_cancellation<T>(
    client: &ClientConnection<'_>,
    work: impl FnOnce(&Arc<CancelToken>) -> Result<T, Error>,
) -> Result<T, Arc<Error>> {
    let cancel = client.cancel_token().map_err(|e| Error::system("look after a client", &e))?;
    let cancel = Arc::new(cancel);
    work(&cancel).map_err(|error| {
        cancel.cancel_with(error.clone());
        cancel.cause().unwrap_or_else(|| Arc::new(error))
    })
}

/// The story itself.
fn run_engine<'scope, 'env, 'c, 'edge>(
    scope: &'scope Scope<'scope, 'env>,
    context: &'scope DownloadContext<'c, 'edge, '_>,
) -> Result<Outcome<'c, 'edge>, Error> {
    let DownloadContext { media, options, request, .. } = context;
    if let Some(served) = splice::serve_cached_plan(scope, context)? {
        return Ok(served);
    }
    let wants_all = request.is_full_get() && options.time_range.is_full();
    let first = if wants_all { FIRST_REQUEST_SIZE } else { probe::PROBE_SIZE };
    let mut tracks = probe::probe_tracks(scope, context, first)?;
    let key_frame = index_reader::find_key_frame(scope, context, &mut tracks)?;
    let inputs = tracks.iter().map(|track| track.input).collect();
    let surveys: Vec<_> = tracks.iter_mut().map(|track| track.survey.take()).collect();
    match plan(inputs, &surveys, key_frame, options, &media.metadata)? {
        Strategy::Passthrough(finished) => {
            passthrough::serve(scope, context, tracks.swap_remove(0), finished)
        }
        Strategy::Splice(plan) => splice::serve_new_plan(context, tracks, plan),
        Strategy::Ffmpeg(FfmpegPlan { job, feeds, refused }) => {
            let why = refused.map(|refused| format!(" ({refused})")).unwrap_or_default();
            log::debug!("{:?}: joined by ffmpeg{why}", media.tracks);
            tracks.iter_mut().zip(feeds).for_each(|(track, feed)| track.feed = feed);
            tracks.retain(|track| job.inputs.iter().any(|used| used.kind == track.input.kind));
            ffmpeg::serve(scope, context, tracks, &job, &format!("ffmpeg{why}"))
        }
    }
}

/// One request that is being answered.
struct DownloadContext<'c, 'edge, 's> {
    app: &'s App,
    media: &'s Media,
    options: OutputOptions,
    request: &'s Request,
    client: &'c ClientConnection<'edge>,
    cancel: &'s Arc<CancelToken>,
    started: Instant,
    /// When it was known where the tracks are.
    resolved: Instant,
}

impl<'c, 'edge> DownloadContext<'c, 'edge, '_> {
    /// What every head of a file says.
    fn head(&self, media_type: &'static str, extension: &'static str) -> ResponseHead {
        ResponseHead::default()
            .with("Content-Type", media_type)
            .with("Content-Disposition", attachment(self.media.name.as_deref(), extension))
            .with("Cache-Control", "no-store")
            .with("X-Content-Type-Options", "nosniff")
            // Else nginx reads ahead of a slow client, into a file as large as the film.
            .with("X-Accel-Buffering", "no")
    }

    /// What Server-Timing says: when it was known where the tracks are, what to send, when the first
    /// of it was there, and what made it.
    fn server_timing(&self, planned: Instant, first: Instant, engine: &str) -> String {
        let millis = |at: Instant| (at - self.started).as_secs_f64() * 1000.0;
        let [resolved, planned, first] = [self.resolved, planned, first].map(millis);
        format!(
            "resolve;dur={resolved:.1}, plan;dur={planned:.1}, first;dur={first:.1}, \
             engine;desc=\"{engine}\""
        )
    }

    fn commit(&self, head: &ResponseHead) -> Result<BodyWriter<'c, 'edge>, Error> {
        BodyWriter::commit(self.client, self.request, head)
    }

    fn problem_response(&self, problem: &Problem) -> Response {
        Response::problem(problem, self.request.wants_html)
    }

    /// Rings when the stream is over.
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

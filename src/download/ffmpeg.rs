//! Tracks that ffmpeg joins while they arrive: the downloaders feed it, this thread relays.

use std::sync::Arc;
use std::thread::Scope;
use std::time::Instant;

use super::probe::{self, ProbedTrack};
use super::{DownloadContext, Outcome};
use crate::container::OutputType;
use crate::error::{Error, LimitExceeded};
use crate::ffmpeg::{FeedProgress, FfmpegJob, FfmpegProcess};
use crate::http_server::{BodyWriter, ResponseHead};
use crate::runtime_dir::FifoSet;

/// Sends the tracks as one file.
pub(super) fn serve<'scope, 'c, 'edge>(
    scope: &'scope Scope<'scope, '_>,
    context: &'scope DownloadContext<'c, 'edge, '_>,
    tracks: Vec<ProbedTrack<'scope, '_>>,
    job: &FfmpegJob,
    engine: &str,
) -> Result<Outcome<'c, 'edge>, Error> {
    let DownloadContext { app, cancel, .. } = *context;
    let planned = Instant::now();
    if context.request.head_only {
        return Ok(Outcome::Head(head(context, job, planned, planned, engine)));
    }

    // It goes back when the muxer has ended.
    let patience = app.config.limits.slot_timeout.0;
    let _slot = app
        .ffmpeg_limiter
        .try_acquire(context.client.address(), cancel, patience)
        .map_err(|error| {
            let is_full = matches!(error, Error::LimitExceeded(_));
            if is_full { LimitExceeded::Ffmpeg.into() } else { error }
        })?;
    let kinds = job.inputs.iter().map(|input| input.kind);
    let fifos = app.runtime_dir.fifos(kinds).map_err(|error| {
        log::error!("cannot make the named pipes: {error}");
        // The client need not know where we keep them.
        Error::system("make the named pipes in runtime_dir", &error.kind().into())
    })?;
    // The stream is over before the pipes are gone: a downloader that still waits for its muxer
    // would take it for the work of someone else.
    serve_through(&fifos, scope, context, tracks, job, engine, planned)
        .inspect_err(|error| cancel.cancel_with(error.clone()))
}

fn serve_through<'scope, 'c, 'edge>(
    fifos: &FifoSet,
    scope: &'scope Scope<'scope, '_>,
    context: &'scope DownloadContext<'c, 'edge, '_>,
    tracks: Vec<ProbedTrack<'scope, '_>>,
    job: &FfmpegJob,
    engine: &str,
    planned: Instant,
) -> Result<Outcome<'c, 'edge>, Error> {
    let DownloadContext { app, cancel, started: asked, .. } = *context;
    let mut muxer = FfmpegProcess::start(&app.config.muxer, app.ffmpeg, job, fifos, cancel)?;
    let progress = Arc::new(FeedProgress::default());
    let pipe_len = probe::pipe_len(app.config.upstream.read_ahead.0);
    let downloaders = probe::feed(scope, tracks, fifos, pipe_len, &progress, cancel)?;
    let opening = muxer.read_header(job, &progress).map_err(|error| fifos.explain(error))?;
    app.metrics.first_byte(asked.elapsed());

    let mut body = context.commit(&head(context, job, planned, Instant::now(), engine))?;
    relay(context, &opening, &mut muxer, &mut body, &progress)?;
    // The end of the muxer's output proves nothing by itself: it must have ended well, and
    // every source must have delivered all that it had announced.
    muxer.finish()?;
    // But who wants no more than the beginning does not wait for the rest.
    if job.time_range.end.is_none() {
        downloaders.all_complete()?;
    }
    Ok(Outcome::Body(body))
}

/// From the muxer to the client, until the muxer's output ends.
fn relay(
    context: &DownloadContext<'_, '_, '_>,
    opening: &[u8],
    muxer: &mut FfmpegProcess<'_>,
    body: &mut BodyWriter<'_, '_>,
    progress: &FeedProgress,
) -> Result<(), Error> {
    body.write(opening, context.cancelled())?;
    body.flush(context.cancelled())?;
    loop {
        match muxer.read(body.spare_buffer(), progress)? {
            0 => return Ok(()),
            count => body.commit_buffer(count, context.cancelled())?,
        }
    }
}

/// What the answer's head says of the file.
fn head(
    context: &DownloadContext<'_, '_, '_>,
    job: &FfmpegJob,
    planned: Instant,
    first: Instant,
    engine: &str,
) -> ResponseHead {
    let OutputType { media_type, extension } = job.finished();
    context
        .head(media_type, extension)
        .with("Accept-Ranges", "none")
        .with("Server-Timing", context.server_timing(planned, first, engine))
}

//! Serves tracks that ffmpeg muxes while they arrive: feeders write them into named pipes, and this
//! thread relays the output.

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

/// Muxes the tracks by ffmpeg and sends the output.
pub(super) fn serve<'scope, 'c, 'server>(
    scope: &'scope Scope<'scope, '_>,
    context: &'scope DownloadContext<'c, 'server, '_>,
    tracks: Vec<ProbedTrack<'scope, '_>>,
    job: &FfmpegJob,
    engine: &str,
) -> Result<Outcome<'c, 'server>, Error> {
    let DownloadContext { app, cancel, .. } = *context;
    let planned = Instant::now();
    if context.request.head_only {
        return Ok(Outcome::Head(head(context, job, planned, planned, engine)));
    }

    // Released when ffmpeg has ended.
    let timeout = app.config.limits.slot_timeout.0;
    let _permit = app
        .ffmpeg_limiter
        .try_acquire(context.client.address(), cancel, timeout)
        .map_err(|error| {
            let is_full = matches!(error, Error::LimitExceeded(_));
            if is_full { LimitExceeded::Ffmpeg.into() } else { error }
        })?;
    let kinds = job.inputs.iter().map(|input| input.kind);
    let fifos = app.runtime_dir.fifos(kinds).map_err(|error| {
        log::error!("cannot create the named pipes: {error}");
        // Without the path, which is not for clients.
        Error::system("create the named pipes in runtime_dir", &error.kind().into())
    })?;
    // Cancel before the pipes are removed: a feeder that still waits for ffmpeg to open its pipe would
    // report that another process removed it.
    serve_through(&fifos, scope, context, tracks, job, engine, planned)
        .inspect_err(|error| cancel.cancel_with(error.clone()))
}

/// Muxes the tracks through these pipes.
fn serve_through<'scope, 'c, 'server>(
    fifos: &FifoSet,
    scope: &'scope Scope<'scope, '_>,
    context: &'scope DownloadContext<'c, 'server, '_>,
    tracks: Vec<ProbedTrack<'scope, '_>>,
    job: &FfmpegJob,
    engine: &str,
    planned: Instant,
) -> Result<Outcome<'c, 'server>, Error> {
    let DownloadContext { app, cancel, started, .. } = *context;
    let mut process = FfmpegProcess::start(&app.config.muxer, app.ffmpeg, job, fifos, cancel)?;
    let progress = Arc::new(FeedProgress::default());
    let pipe_len = probe::pipe_len(app.config.upstream.read_ahead.0);
    let feeders = probe::feed(scope, tracks, fifos, pipe_len, &progress, cancel)?;
    let header = process.read_header(job, &progress).map_err(|error| fifos.explain(error))?;
    app.metrics.first_byte(started.elapsed());

    let mut body = context.commit(&head(context, job, planned, Instant::now(), engine))?;
    relay(context, &header, &mut process, &mut body, &progress)?;
    // The end of the output proves nothing by itself: ffmpeg must have exited with success, and every
    // feeder must have delivered its complete track.
    process.finish()?;
    // With an end time, ffmpeg does not read the rest of its inputs.
    if job.time_range.end.is_none() {
        feeders.all_complete()?;
    }
    Ok(Outcome::Body(body))
}

/// Relays the output of ffmpeg to the client until it ends.
fn relay(
    context: &DownloadContext<'_, '_, '_>,
    header: &[u8],
    process: &mut FfmpegProcess<'_>,
    body: &mut BodyWriter<'_, '_>,
    progress: &FeedProgress,
) -> Result<(), Error> {
    body.write(header, context.cancelled())?;
    body.flush(context.cancelled())?;
    loop {
        match process.read(body.spare_buffer(), progress)? {
            0 => return Ok(()),
            count => body.commit_buffer(count, context.cancelled())?,
        }
    }
}

/// Returns the head of the response.
fn head(
    context: &DownloadContext<'_, '_, '_>,
    job: &FfmpegJob,
    planned: Instant,
    first_byte: Instant,
    engine: &str,
) -> ResponseHead {
    let OutputType { media_type, extension } = job.output_type();
    context
        .head(media_type, extension)
        .with("Accept-Ranges", "none")
        .with("Server-Timing", context.server_timing(planned, first_byte, engine))
}

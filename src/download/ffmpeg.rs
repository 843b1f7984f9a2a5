//! Serves tracks that ffmpeg muxes while they arrive: feeders write them into named pipes, and this
//! thread relays the output.

use std::sync::Arc;
use std::time::Instant;

use super::feed::{self, FeedPool};
use super::probe::ProbedTrack;
use super::{DownloadContext, MediaBody, MediaResponse, Prepared, ShortResponse};
use crate::container::OutputType;
use crate::error::Error;
use crate::ffmpeg::{FeedProgress, FfmpegJob, FfmpegProcess};
use crate::http_server::BodyWriter;
use crate::limits::StreamPermit;
use crate::runtime_dir::FifoSet;

/// Starts to mux the tracks by ffmpeg, up to the header of the output.
pub(super) fn prepare<'scope, 'env>(
    context: &DownloadContext<'scope, 'env>,
    tracks: Vec<ProbedTrack<'scope, 'env>>,
    job: &FfmpegJob,
    engine: String,
) -> Result<Prepared<'scope>, Error> {
    let cancel = context.cancel;
    let planned = Instant::now();
    let OutputType { media_type, extension } = job.output_type();
    let head = context.head(media_type, extension).with("Accept-Ranges", "none");
    if context.request.head_only {
        let timing = context.server_timing(planned, planned, &engine);
        return Ok(Prepared::Short(ShortResponse::Head(head.with("Server-Timing", timing))));
    }

    let permit = permit(context, job)?;
    let fifos = fifos(context, job)?;
    // Cancel before the pipes are removed: a feeder that still waits for ffmpeg to open its pipe would
    // report that another process removed it.
    let muxing = Muxing::start(context, tracks, job, &fifos)
        .inspect_err(|error| drop(cancel.cancel_with(error.clone())))?;
    let body = MuxedBody { muxing, fifos, _permit: permit };
    Ok(Prepared::Media(MediaResponse { head, engine, planned, body: Box::new(body) }))
}

/// Acquires the permit for a job. Those that encode are counted apart.
pub(super) fn permit<'scope>(
    context: &DownloadContext<'scope, '_>,
    job: &FfmpegJob,
) -> Result<StreamPermit<'scope>, Error> {
    let DownloadContext { app, cancel, client, .. } = *context;
    let encodes = job.transcode.is_some();
    let limiter = if encodes { &app.encoder_limiter } else { &app.ffmpeg_limiter };
    limiter.try_acquire(client, cancel, app.config.limits.slot_timeout.0)
}

/// Makes the named pipes for a job.
pub(super) fn fifos(context: &DownloadContext<'_, '_>, job: &FfmpegJob) -> Result<FifoSet, Error> {
    context.app.runtime_dir.fifos(job.inputs.len()).map_err(|error| {
        log::error!("cannot create the named pipes: {error}");
        // Without the path, which is not for clients.
        Error::system("create the named pipes in runtime_dir", &error.kind().into())
    })
}

/// The output of ffmpeg. What it needs is released in this order.
struct MuxedBody<'scope, 'env> {
    muxing: Muxing<'scope, 'env>,
    fifos: FifoSet,
    _permit: StreamPermit<'scope>,
}

impl MediaBody for MuxedBody<'_, '_> {
    fn write(self: Box<Self>, body: &mut BodyWriter) -> Result<(), Error> {
        let MuxedBody { muxing, fifos, _permit } = *self;
        let cancel = muxing.context.cancel;
        // As above: before the pipes are removed.
        let relayed =
            muxing.relay(body).inspect_err(|error| drop(cancel.cancel_with(error.clone())));
        fifos.remove();
        relayed
    }
}

/// A running ffmpeg with the feeders of its inputs.
pub(super) struct Muxing<'scope, 'env> {
    pub(super) context: DownloadContext<'scope, 'env>,
    pub(super) process: FfmpegProcess<'scope>,
    feeders: FeedPool,
    pub(super) progress: Arc<FeedProgress>,
    /// The first bytes of the output.
    pub(super) header: Vec<u8>,
    /// Whether ffmpeg must read its inputs to their ends.
    reads_all: bool,
}

impl<'scope, 'env> Muxing<'scope, 'env> {
    /// Starts ffmpeg and its feeders, and reads the first bytes of the output.
    pub(super) fn start(
        context: &DownloadContext<'scope, 'env>,
        tracks: Vec<ProbedTrack<'scope, 'env>>,
        job: &FfmpegJob,
        fifos: &FifoSet,
    ) -> Result<Muxing<'scope, 'env>, Error> {
        let DownloadContext { app, cancel, .. } = *context;
        let mut process =
            FfmpegProcess::start(&app.config, app.ffmpeg_version(), job, fifos, cancel)?;
        let progress = Arc::new(FeedProgress::default());
        let feeders = feed::feed(context, tracks, fifos, &progress)?;
        let header = process.read_header(job, &progress).map_err(|error| fifos.explain(error))?;
        // With an end, ffmpeg does not read the rest of its inputs. Counted samples are a proof by themselves.
        let reads_all = job.time_range.end.is_none() && job.samples.is_none();
        Ok(Muxing { context: *context, process, feeders, progress, header, reads_all })
    }

    /// Relays the output of ffmpeg to the client until it ends.
    fn relay(self, body: &mut BodyWriter) -> Result<(), Error> {
        let Muxing { context, mut process, feeders, progress, header, reads_all } = self;
        let cancelled = context.cancelled();
        body.write(&header, cancelled)?;
        drop(header);
        while body.write_from(cancelled, |buffer| process.read(buffer, &progress))? > 0 {}
        // The end of the output proves nothing by itself: ffmpeg must have exited with success, and every
        // feeder must have delivered its complete track.
        process.finish()?;
        if reads_all { feeders.all_complete() } else { Ok(()) }
    }
}

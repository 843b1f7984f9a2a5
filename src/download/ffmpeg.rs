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
    answering: &'scope DownloadContext<'c, 'edge, '_>,
    tracks: Vec<ProbedTrack<'scope, '_>>,
    joint: &FfmpegJob,
    engine: &str,
) -> Result<Outcome<'c, 'edge>, Error> {
    let DownloadContext { canal, stop, .. } = *answering;
    let planned = Instant::now();
    if answering.request.head_only {
        return Ok(Outcome::Head(head(answering, joint, planned, planned, engine)));
    }

    // It goes back when the muxer has ended.
    let patience = canal.config.limits.slot_timeout.0;
    let _slot = canal
        .ffmpeg_limiter
        .try_acquire(answering.client.address(), stop, patience)
        .map_err(|error| {
            let is_full = matches!(error, Error::LimitExceeded(_));
            if is_full { LimitExceeded::Ffmpeg.into() } else { error }
        })?;
    let kinds = joint.inputs.iter().map(|input| input.kind);
    let pipes = canal.runtime_dir.pipes(kinds).map_err(|error| {
        log::error!("cannot make the named pipes: {error}");
        // The client need not know where we keep them.
        Error::system("make the named pipes in runtime_dir", &error.kind().into())
    })?;
    // The stream is over before the pipes are gone: a downloader that still waits for its muxer
    // would take it for the work of someone else.
    serve_through(&pipes, scope, answering, tracks, joint, engine, planned)
        .inspect_err(|error| stop.cancel_with(error.clone()))
}

fn serve_through<'scope, 'c, 'edge>(
    pipes: &FifoSet,
    scope: &'scope Scope<'scope, '_>,
    answering: &'scope DownloadContext<'c, 'edge, '_>,
    tracks: Vec<ProbedTrack<'scope, '_>>,
    joint: &FfmpegJob,
    engine: &str,
    planned: Instant,
) -> Result<Outcome<'c, 'edge>, Error> {
    let DownloadContext { canal, stop, started: asked, .. } = *answering;
    let mut muxer = FfmpegProcess::start(&canal.config.muxer, canal.ffmpeg, joint, pipes, stop)?;
    let supply = Arc::new(FeedProgress::default());
    let pipe_len = probe::pipe_len(canal.config.upstream.read_ahead.0);
    let downloaders = probe::feed(scope, tracks, pipes, pipe_len, &supply, stop)?;
    let opening = muxer.read_header(joint, &supply).map_err(|error| pipes.blame(error))?;
    canal.metrics.first_byte(asked.elapsed());

    let mut body = answering.commit(&head(answering, joint, planned, Instant::now(), engine))?;
    relay(answering, &opening, &mut muxer, &mut body, &supply)?;
    // The end of the muxer's output proves nothing by itself: it must have ended well, and
    // every source must have delivered all that it had announced.
    muxer.finish()?;
    // But who wants no more than the beginning does not wait for the rest.
    if joint.time_range.end.is_none() {
        downloaders.all_complete()?;
    }
    Ok(Outcome::Body(body))
}

/// From the muxer to the client, until the muxer's output ends.
fn relay(
    answering: &DownloadContext<'_, '_, '_>,
    opening: &[u8],
    muxer: &mut FfmpegProcess<'_>,
    body: &mut BodyWriter<'_, '_>,
    supply: &FeedProgress,
) -> Result<(), Error> {
    body.write(opening, answering.cancelled())?;
    body.flush(answering.cancelled())?;
    loop {
        match muxer.read(body.spare_buffer(), supply)? {
            0 => return Ok(()),
            count => body.commit_buffer(count, answering.cancelled())?,
        }
    }
}

/// What the answer's head says of the file.
fn head(
    answering: &DownloadContext<'_, '_, '_>,
    joint: &FfmpegJob,
    planned: Instant,
    first: Instant,
    engine: &str,
) -> ResponseHead {
    let OutputType { media_type, extension } = joint.finished();
    answering
        .head(media_type, extension)
        .with("Accept-Ranges", "none")
        .with("Server-Timing", answering.server_timing(planned, first, engine))
}

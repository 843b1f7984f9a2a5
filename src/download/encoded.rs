//! Serves audio that ffmpeg encodes while it arrives, where the number of samples tells the length of the file: with
//! ranges, like a static file. A range is made by encoding from the beginning and dropping what precedes it.
//!
//! **Invariant:** a file of another length than was promised is never complete: its last bytes are held back until
//! ffmpeg has ended as it should.

use std::ops::Range;
use std::time::Instant;

use super::ffmpeg::{self, Muxing};
use super::probe::ProbedTrack;
use super::representation::{self, Representation, select_representation};
use super::{DownloadContext, MediaBody, MediaResponse, Prepared, ShortResponse};
use crate::audio::ExactLayout;
use crate::container::OutputType;
use crate::error::{Error, FfmpegError};
use crate::ffmpeg::FfmpegJob;
use crate::http_server::BodyWriter;
use crate::limits::StreamPermit;
use crate::plan_cache::PlanKey;
use crate::runtime_dir::FifoSet;

/// Version of the layouts and of the options of ffmpeg. It changes whenever the same source and options would give
/// other bytes than before.
const VERSION: u32 = 1;
/// Bytes read from ffmpeg per call; so many are held back.
const BUFFER_SIZE: usize = 64 << 10;

/// Prepares the response with a file of this layout.
pub(super) fn prepare<'scope, 'env>(
    context: &DownloadContext<'scope, 'env>,
    key: PlanKey,
    tracks: Vec<ProbedTrack<'scope, 'env>>,
    job: &FfmpegJob,
    layout: ExactLayout,
    engine: String,
) -> Result<Prepared<'scope>, Error> {
    let planned = Instant::now();
    let OutputType { media_type, extension } = job.output_type();
    let head = context.head(media_type, extension);
    let (etag, len) = (etag(context, &tracks, job, &layout), Some(layout.total_len()));
    let target = (context.app, context.request);
    let (head, range) = match select_representation(target, head, etag.as_deref(), len, true) {
        Representation::Short(ShortResponse::Head(head)) => {
            let timing = context.server_timing(planned, planned, &engine);
            return Ok(Prepared::Short(ShortResponse::Head(head.with("Server-Timing", timing))));
        }
        Representation::Short(response) => return Ok(Prepared::Short(response)),
        Representation::Send(head, range) => (head, range.unwrap_or(0..layout.total_len())),
    };
    let encoding = if range.end > layout.head.len() as u64 {
        let permit = ffmpeg::permit(context, job)?;
        let fifos = ffmpeg::fifos(context, job)?;
        // Cancel before the pipes are removed.
        let muxing = Muxing::start(context, tracks, job, &fifos)
            .inspect_err(|error| drop(context.cancel.cancel_with(error.clone())))?;
        Some((muxing, fifos, permit))
    } else {
        None
    };
    let body = EncodedBody { context: *context, key, layout, range, encoding };
    Ok(Prepared::Media(MediaResponse { head, engine, planned, body: Box::new(body) }))
}

/// Returns the strong ETag: the hash of the source, of all that is made of it, and of what makes it. `None` if the
/// upstream sends no validator.
fn etag(
    context: &DownloadContext<'_, '_>,
    tracks: &[ProbedTrack<'_, '_>],
    job: &FfmpegJob,
    layout: &ExactLayout,
) -> Option<String> {
    let identities = tracks.iter().map(|track| {
        let file = track.file.source.file();
        file.validators.best().map(|_| file.identity())
    });
    let identities = identities.collect::<Option<Vec<_>>>()?;
    let encoder = context.app.encoder_identity.get(&context.app.config);
    // By names that no change of the code changes.
    let samples = job.samples?;
    let encoding = format!(
        "{} {:?} {} {} {} {} {}",
        job.transcode?.codec(),
        job.bitrate,
        samples.rate,
        samples.channels,
        samples.start,
        samples.len,
        samples.is_decoded,
    );
    let version = VERSION.to_be_bytes();
    let own = [&b"encoded"[..], &version, &encoder, encoding.as_bytes(), &layout.head];
    Some(representation::etag(own.into_iter().chain(identities.iter().map(Vec::as_slice))))
}

/// A byte range of an encoded file. What it needs is released in this order.
struct EncodedBody<'scope, 'env> {
    context: DownloadContext<'scope, 'env>,
    key: PlanKey,
    layout: ExactLayout,
    range: Range<u64>,
    /// `None` if the range has nothing of the encoded bytes.
    encoding: Option<(Muxing<'scope, 'env>, FifoSet, StreamPermit<'scope>)>,
}

impl MediaBody for EncodedBody<'_, '_> {
    fn write(self: Box<Self>, body: &mut BodyWriter) -> Result<(), Error> {
        let EncodedBody { context, key, layout, range, encoding } = *self;
        let mut window = Window { at: 0, range, body };
        let head = window.write(&layout.head, &context);
        let Some((muxing, fifos, _permit)) = encoding else { return head };
        let relayed = head.and_then(|()| relay(muxing, layout.total_len(), &mut window));
        if let Err(error) = &relayed {
            if let Error::Ffmpeg(FfmpegError::Miscounted { .. }) = error {
                context.app.miscounted.insert(key);
            }
            // Before the pipes are removed.
            context.cancel.cancel_with(error.clone());
        }
        fifos.remove();
        relayed
    }
}

/// Relays the output of ffmpeg. If the range ends before the file, what follows is not awaited.
fn relay(muxing: Muxing<'_, '_>, total_len: u64, window: &mut Window<'_>) -> Result<(), Error> {
    let Muxing { context, mut process, progress, header, .. } = muxing;
    let needs_end = window.range.end == total_len;
    let (mut held, mut buffer) = (header, vec![0; BUFFER_SIZE]);
    loop {
        if !needs_end && window.at + held.len() as u64 >= window.range.end {
            return window.write(&held, &context);
        }
        // The head, too, which need not wait for a range far behind.
        window.body.flush(context.cancelled())?;
        let count = process.read(&mut buffer, &progress)?;
        if count == 0 {
            break;
        }
        window.write(&held, &context)?;
        held.clear();
        held.extend_from_slice(&buffer[..count]);
        // More than was promised: a client would take the file for complete.
        if window.at + held.len() as u64 > total_len {
            return Err(miscounted(window.at + held.len() as u64, total_len));
        }
    }
    process.finish()?;
    let len = window.at + held.len() as u64;
    if len != total_len {
        return Err(miscounted(len, total_len));
    }
    window.write(&held, &context)
}

fn miscounted(len: u64, expected: u64) -> Error {
    Error::Ffmpeg(FfmpegError::Miscounted { len, expected })
}

/// Writes the range of a file that is made from its beginning on.
struct Window<'b> {
    /// The offset of the next byte.
    at: u64,
    range: Range<u64>,
    body: &'b mut BodyWriter,
}

impl Window<'_> {
    fn write(&mut self, bytes: &[u8], context: &DownloadContext<'_, '_>) -> Result<(), Error> {
        let len = bytes.len() as u64;
        let [from, to] = [self.range.start, self.range.end]
            .map(|at| at.saturating_sub(self.at).min(len) as usize);
        self.at += len;
        self.body.write(&bytes[from..to], context.cancelled())
    }
}

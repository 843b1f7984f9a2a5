//! ★ Serves one client, from the tracks to the last byte. Read this first.
//!
//! One thread a track fetches it; this one starts the muxer between them and the client, and
//! relays; a watch looks after the client while all of them are busy. Whatever goes wrong first
//! stops them all. Must never hold logic of its own.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{self, Scope};
use std::time::Instant;

use log::Level;

use crate::canal::Canal;
use crate::disposition::attachment;
use crate::edge::client::Watched;
use crate::edge::{Body, Client, MediaHead, Reply, Request};
use crate::error::{Error, Problem};
use crate::media::Media;
use crate::mux::ffmpeg::Muxer;
use crate::mux::{Joint, Wanted};
use crate::stop::Stop;

mod fetch;

/// Joins the tracks of `media` and sends them to `client`, or an error, or an abort.
pub fn serve(canal: &Canal, media: &Media, wanted: Wanted, request: &Request, client: Client<'_>) {
    let begun = Instant::now();
    // Threads, child, pipes and slot are gone before the client hears that it has everything: a
    // script that asks for the next file at once finds the slot free.
    let outcome = match run(canal, media, wanted, request, &client) {
        Ok(Served::Head(head)) => Ok(Some(head)),
        Ok(Served::Body(body)) => body.finish().map(|()| None).map_err(Arc::new),
        Err(cause) => Err(cause),
    };
    let problem = outcome.as_ref().err().map(|cause| Problem::from(&**cause));
    canal.stats.end(problem.as_ref().map_or("complete", |problem| problem.code));
    // What is the operator's to mend must not drown among what clients and upstreams do.
    let level = match outcome.as_ref().err().map(|cause| &**cause) {
        Some(cause) if cause.is_ours() => Level::Error,
        None | Some(Error::ClientLeft) => Level::Info,
        Some(_) if client.is_committed() => Level::Warn,
        Some(_) => Level::Info,
    };
    log::log!(
        level,
        "{} {:?}: {}, {} bytes in {:.1?}",
        client.address(),
        media.tracks,
        outcome.as_ref().err().map_or_else(|| "complete".into(), ToString::to_string),
        client.sent(),
        begun.elapsed(),
    );
    match (outcome, problem) {
        (Ok(Some(head)), _) => client.reply_head(&head, request),
        (Ok(None), _) => client.close(),
        // After the commit point the reset of the connection is all that can be said.
        (Err(_), Some(problem)) if !client.is_committed() => {
            client.reply(Reply::problem(&problem, request.wants_html), Some(request));
        }
        (Err(_), _) => drop(client),
    }
}

/// What a stream came to.
enum Served<'c, 'edge> {
    /// HEAD: this is all that is to be sent.
    Head(MediaHead),
    /// Everything was sent but the end.
    Body(Body<'c, 'edge>),
}

/// Runs the stream in its slot, and its threads in their scope.
fn run<'c, 'edge>(
    canal: &Canal,
    media: &Media,
    wanted: Wanted,
    request: &Request,
    client: &'c Client<'edge>,
) -> Result<Served<'c, 'edge>, Arc<Error>> {
    let _slot = canal.slots.take(client.address()).map_err(Error::Full)?;
    canal.stats.begin();
    let stop = Arc::new(Stop::new().map_err(|e| Error::system("make an eventfd", &e))?);
    let served = thread::scope(|scope| {
        // Ends the threads of the scope whatever happens in it, a panic included.
        let _end = EndOnDrop(&stop);
        join_tracks(scope, canal, media, wanted, request, client, &stop)
            .inspect_err(|error| stop.fail(error.clone()))
    });
    served.map_err(|error| stop.cause().unwrap_or_else(|| Arc::new(error)))
}

/// The story itself.
fn join_tracks<'scope, 'c, 'edge>(
    scope: &'scope Scope<'scope, '_>,
    canal: &'scope Canal,
    media: &'scope Media,
    wanted: Wanted,
    request: &Request,
    client: &'c Client<'edge>,
    stop: &'scope Arc<Stop>,
) -> Result<Served<'c, 'edge>, Error>
where
    'c: 'scope,
{
    let asked = Instant::now();
    watch(scope, client, stop)?;
    let tracks = fetch::start(scope, &canal.upstream, media, stop)?;
    let joint = Joint::new(tracks.inputs()?, wanted)?;
    let planned = Instant::now();
    if request.head_only {
        return Ok(Served::Head(head(media, &joint, [asked, planned, planned])));
    }

    let pipes =
        canal.runtime.pipes(media.tracks.iter().map(|track| track.kind)).map_err(|error| {
            log::error!("cannot make the named pipes: {error}");
            // The client need not know where we keep them.
            Error::system("make the named pipes in runtime_dir", &error.kind().into())
        })?;
    let mut muxer = Muxer::start(&canal.config.muxer, canal.ffmpeg, &joint, &pipes, stop)?;
    tracks.feed_into(&pipes, &joint.inputs);
    let opening = muxer.opening(&joint, tracks.fed())?;
    canal.stats.first_byte(asked.elapsed());

    let head = head(media, &joint, [asked, planned, Instant::now()]);
    let mut body = Body::commit(client, request, &head, stop.as_fd())?;
    relay(&opening, &mut muxer, &mut body, stop, tracks.fed())?;
    // The end of the muxer's output proves nothing by itself: it must have ended well, and
    // every source must have delivered all that it had announced.
    muxer.finish()?;
    tracks.all_complete()?;
    Ok(Served::Body(body))
}

struct EndOnDrop<'a>(&'a Stop);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Looks after the client on a thread of its own: whoever leaves while nothing is being sent
/// is seen at once.
fn watch<'scope>(
    scope: &'scope Scope<'scope, '_>,
    client: &'scope Client<'_>,
    stop: &'scope Stop,
) -> Result<(), Error> {
    let watch = thread::Builder::new().name("watch".into());
    let watching = watch.spawn_scoped(scope, || match client.watch(stop.as_fd()) {
        Ok(Watched::StreamOver) => {}
        Ok(Watched::ServerAborts) => stop.fail(Error::Draining),
        Ok(Watched::ClientLeft) => stop.fail(Error::ClientLeft),
        Err(error) => stop.fail(Error::system("watch the client", &error)),
    });
    watching.map(drop).map_err(|e| Error::system("start a thread", &e))
}

/// From the muxer to the client, until the muxer's output ends.
fn relay(
    opening: &[u8],
    muxer: &mut Muxer<'_>,
    body: &mut Body<'_, '_>,
    stop: &Stop,
    fed: &AtomicU64,
) -> Result<(), Error> {
    for part in opening.chunks(Body::CHUNK) {
        body.room()[..part.len()].copy_from_slice(part);
        body.send(part.len(), stop.as_fd())?;
    }
    loop {
        match muxer.read(body.room(), fed)? {
            0 => return Ok(()),
            count => body.send(count, stop.as_fd())?,
        }
    }
}

/// What the answer's head says of the file. `times`: asked, planned, first muxed byte.
fn head(media: &Media, joint: &Joint, [asked, planned, first]: [Instant; 3]) -> MediaHead {
    let (media_type, extension) = joint.media_type();
    let millis = |from: Instant, to: Instant| (to - from).as_secs_f64() * 1000.0;
    MediaHead::default()
        .with("Content-Type", media_type)
        .with("Content-Disposition", attachment(media.name.as_deref(), extension))
        .with("Accept-Ranges", "none")
        .with("Cache-Control", "no-store")
        .with("X-Content-Type-Options", "nosniff")
        .with(
            "Server-Timing",
            format!(
                "plan;dur={:.1}, first;dur={:.1}, engine;desc=\"ffmpeg\"",
                millis(asked, planned),
                millis(asked, first),
            ),
        )
}

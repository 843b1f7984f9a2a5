//! The downloader threads: each fetches one track, says what it is, and feeds it to the muxer.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Scope};
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Sender};

use crate::error::{Error, MuxerFault};
use crate::media::{Media, Track};
use crate::mux::Input;
use crate::mux::fifo::{Feed, Pipes, Unfed};
use crate::mux::sniff::{self, Head, Verdict};
use crate::source::{Source, Upstream};
use crate::stop::Stop;

/// How long a downloader may take to see that the muxer has ended.
const END_LIMIT: Duration = Duration::from_secs(2);
/// What a downloader passes on at once.
const PASS_ON: usize = 128 << 10;

/// The downloaders of one stream.
pub(super) struct Downloaders {
    all: Vec<Downloader>,
    fed: Arc<AtomicU64>,
}

struct Downloader {
    /// What the track turned out to be.
    opened: Receiver<Input>,
    /// Where it is to go. Dropped, it sends the thread home.
    pipe: Sender<PathBuf>,
    /// Whether all of the track went into the muxer.
    done: Receiver<bool>,
}

/// Starts a downloader for each track of `media`.
pub(super) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    upstream: &'scope Upstream,
    media: &'scope Media,
    stop: &'scope Arc<Stop>,
) -> Result<Downloaders, Error> {
    let fed = Arc::new(AtomicU64::new(0));
    let mut all = Vec::with_capacity(media.tracks.len());
    for track in &media.tracks {
        let (say, opened) = channel::bounded(1);
        let (pipe, told) = channel::bounded(1);
        let (end, done) = channel::bounded(1);
        let fed = fed.clone();
        thread::Builder::new()
            .name(format!("fetch {}", track.kind))
            .spawn_scoped(scope, move || {
                let downloaded = download(track, upstream, stop, &say, &told, &fed);
                let complete = downloaded.unwrap_or_else(|error| {
                    stop.fail(error);
                    false
                });
                // A stream that has failed already does not listen any more.
                end.send(complete).ok();
            })
            .map_err(|e| Error::system("start a thread", &e))?;
        all.push(Downloader { opened, pipe, done });
    }
    Ok(Downloaders { all, fed })
}

impl Downloaders {
    /// Waits until each track has been recognised.
    pub(super) fn inputs(&self) -> Result<Vec<Input>, Error> {
        // A downloader that ends without a word has failed the stream.
        self.all.iter().map(|one| one.opened.recv().map_err(|_| Error::Stopped)).collect()
    }

    /// Sends each track into its pipe.
    pub(super) fn feed_into(&self, pipes: &Pipes, inputs: &[Input]) {
        for (one, input) in self.all.iter().zip(inputs) {
            // Nobody takes it when the stream is over already; the muxer's end will show it.
            one.pipe.send(pipes.path(input.kind)).ok();
        }
    }

    /// Bytes fed to the muxer so far, all tracks together.
    pub(super) fn fed(&self) -> &AtomicU64 {
        &self.fed
    }

    /// Makes sure that every byte of every track went into the muxer, which has ended.
    pub(super) fn all_complete(&self) -> Result<(), Error> {
        for one in &self.all {
            // The pipe of one that is still at it has no reader any more, or never had one.
            if !matches!(one.done.recv_timeout(END_LIMIT), Ok(true)) {
                let said = "it ended without reading all of a track".into();
                return Err(Error::Muxer(MuxerFault::Failed(said)));
            }
        }
        Ok(())
    }
}

/// The life of a downloader; `false` when the muxer did not take all of the track.
fn download(
    track: &Track,
    upstream: &Upstream,
    stop: &Arc<Stop>,
    say: &Sender<Input>,
    told: &Receiver<PathBuf>,
    fed: &AtomicU64,
) -> Result<bool, Error> {
    let mut source = Source::open(track, upstream, stop)?;
    let head = recognise(&mut source)?;
    // Only a stream that is over does not listen or answer any more.
    if say.send(Input { kind: track.kind, head }).is_err() {
        return Ok(false);
    }
    let Ok(pipe) = told.recv() else { return Ok(false) };
    let mut feed = match Feed::open(&pipe, stop) {
        Ok(feed) => feed,
        Err(unfed) => return unfed.into_result(),
    };
    let passed_on = pass_on(&mut source, &mut feed, fed);
    if let Err(Unfed::Failed(error)) = &passed_on {
        // First the stream, then the pipe: the muxer takes the end of a pipe for the end of
        // the track, and must be dead by then.
        stop.fail(error.clone());
    }
    passed_on.and_then(|()| feed.complete()).map_or_else(Unfed::into_result, |()| Ok(true))
}

impl Unfed {
    /// A muxer that closed its pipe has its reason, which its exit status tells.
    fn into_result(self) -> Result<bool, Error> {
        match self {
            Unfed::Failed(error) => Err(error),
            Unfed::Stopped | Unfed::Closed => Ok(false),
        }
    }
}

/// Looks at the first bytes until they say what this is.
fn recognise(source: &mut Source) -> Result<Head, Error> {
    let mut all = false;
    loop {
        match sniff::sniff(source.head(), source.announced(), all) {
            Verdict::Known(head) => return Ok(head),
            Verdict::Refused(reason) => {
                return Err(Error::Unusable { track: source.track(), reason });
            }
            Verdict::More => all = !source.look_further(sniff::LOOK_AT_MOST)?,
        }
    }
}

fn pass_on(source: &mut Source, feed: &mut Feed<'_>, fed: &AtomicU64) -> Result<(), Unfed> {
    let mut give = |bytes: &[u8]| {
        feed.write(bytes)?;
        fed.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    };
    give(&source.take_head())?;
    let mut buffer = vec![0; PASS_ON];
    loop {
        match source.fetch(&mut buffer).map_err(Unfed::Failed)? {
            0 => return Ok(()),
            count => give(&buffer[..count])?,
        }
    }
}

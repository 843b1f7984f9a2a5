//! Delivers media to whoever receives a file: loads their playlists, and prepares the response. An upstream may turn out to
//! be a playlist only when it is read; then all begins again.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use super::index_reader::SegmentHeads;
use super::{DownloadContext, Prepared, new_token, prepare};
use crate::app::App;
use crate::cancel::CancelToken;
use crate::error::{Error, LimitExceeded, UpstreamError};
use crate::http_server::Request;
use crate::limits::Client;
use crate::media::{Delivery, Media};
use crate::memory_budget::Reservation;
use crate::options::OutputOptions;
use crate::playlist_loader::LoadedMedia;

/// Media that are to be delivered as one file.
pub(super) struct Order<'o> {
    pub(super) app: &'o App,
    pub(super) media: Media,
    /// The memory of their subtitles.
    pub(super) memory: Reservation,
    pub(super) options: OutputOptions,
    pub(super) request: &'o Request,
    pub(super) client: Client,
    pub(super) started: Instant,
}

/// What receives a file once its response is prepared.
pub(super) trait Recipient: Sized {
    /// What became of it.
    type Outcome;

    /// Makes a token for another attempt.
    fn cancel_token(&self) -> io::Result<CancelToken>;

    /// Receives a response; `Playlists` is none.
    fn receive(self, context: &DownloadContext<'_, '_>, response: Prepared<'_>) -> Self::Outcome;

    /// Learns that there is no response.
    fn fail(self, cause: Arc<Error>) -> Self::Outcome;

    /// Returns why a download failed.
    fn cause(outcome: &Self::Outcome) -> Option<&Error>;
}

/// Loads the playlists of media, prepares the response, and hands it to the recipient.
pub(super) fn deliver<R: Recipient>(
    order: Order<'_>,
    cancel: Arc<CancelToken>,
    recipient: R,
) -> R::Outcome {
    let Order { app, media: mut requested, memory: _memory, options, .. } = order;
    let Order { request, client, started, .. } = order;
    let options = OutputOptions { engine: options.engine.or(app.config.muxer.engine), ..options };
    let (mut cancel, mut recipient) = (cancel, recipient);
    loop {
        let is_head = request.head_only;
        let media = app.playlist_loader.load(requested.clone(), &options, is_head, &cancel);
        let LoadedMedia { media, heads } = match media {
            Ok(loaded) => loaded,
            Err(error) => return recipient.fail(cancel.cancel_with(error)),
        };
        let lists = media.tracks.iter().map(|track| track.location.memory_size() as u64).sum();
        let mut memory = app.memory_budget.reservation();
        if !memory.grow(lists) {
            let error = Error::LimitExceeded(LimitExceeded::Memory);
            return recipient.fail(cancel.cancel_with(error));
        }
        let heads = heads.into_iter().map(|(index, heads)| (index, SegmentHeads::new(heads)));
        let heads = Mutex::new(heads.collect());
        let (media, heads, resolved) = (&media, &heads, Instant::now());
        let setup = Setup { app, media, heads, options, request, client, started, resolved };
        let (left, playlists) = match attempt(&setup, recipient, &cancel) {
            Attempt::Ended(ended) => {
                match R::cause(&ended) {
                    Some(Error::Upstream { fault: UpstreamError::IndexMismatch(_), .. }) => {
                        app.playlist_loader.forget_lengths(&requested, &options);
                    }
                    Some(Error::Upstream { .. }) => {
                        app.playlist_loader.forget(&requested, &options);
                    }
                    _ => {}
                }
                return ended;
            }
            Attempt::Playlists(recipient, playlists) => (recipient, playlists),
        };
        recipient = left;
        for index in playlists {
            if let Some(track) = requested.tracks.get_mut(index) {
                track.location.delivery = Delivery::Playlist(Arc::default());
            }
        }
        // That of the first attempt has ended its threads.
        cancel = match new_token(recipient.cancel_token()) {
            Ok(cancel) => cancel,
            Err(error) => return recipient.fail(Arc::new(error)),
        };
    }
}

/// What a download is made from.
struct Setup<'s> {
    app: &'s App,
    media: &'s Media,
    heads: &'s Mutex<Vec<(usize, SegmentHeads)>>,
    options: OutputOptions,
    request: &'s Request,
    client: Client,
    started: Instant,
    resolved: Instant,
}

/// What became of a download.
enum Attempt<R: Recipient> {
    Ended(R::Outcome),
    /// The tracks at these indexes are playlists. Nothing was sent.
    Playlists(R, Vec<usize>),
}

/// Runs a download of media whose locations are known, with its threads in a scope.
fn attempt<R: Recipient>(setup: &Setup<'_>, recipient: R, cancel: &Arc<CancelToken>) -> Attempt<R> {
    let Setup { app, media, heads, options, request, client, started, resolved } = *setup;
    thread::scope(|scope| {
        // Ends the threads of the scope however it is left, by a panic included.
        let _cancel = CancelOnDrop(cancel);
        let context = DownloadContext {
            scope,
            app,
            media,
            options,
            request,
            heads,
            client,
            cancel,
            started,
            resolved,
        };
        Attempt::Ended(match prepare(&context) {
            Ok(Prepared::Playlists(tracks)) => return Attempt::Playlists(recipient, tracks),
            Ok(response) => recipient.receive(&context, response),
            Err(error) => recipient.fail(cancel.cancel_with(error)),
        })
    })
}

/// Cancels the download when its scope is left: without that, a panic would wait for threads that wait.
struct CancelOnDrop<'a>(&'a CancelToken);

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

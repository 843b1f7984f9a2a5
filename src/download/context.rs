//! What the steps of one download have in common.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;
use std::time::Instant;

use super::index_reader::SegmentHeads;
use crate::app::App;
use crate::cancel::CancelToken;
use crate::disposition::attachment;
use crate::http_server::{Request, ResponseHead};
use crate::limits::Client;
use crate::media::Media;
use crate::options::OutputOptions;

/// The context of one download.
#[derive(Clone, Copy)]
pub(super) struct DownloadContext<'scope, 'env> {
    /// Owns the threads of the download.
    pub(super) scope: &'scope Scope<'scope, 'env>,
    pub(super) app: &'scope App,
    pub(super) media: &'scope Media,
    pub(super) options: OutputOptions,
    pub(super) request: &'scope Request,
    /// The first bytes of the segments of each track, until somebody takes them.
    pub(super) heads: &'scope Mutex<Vec<(usize, SegmentHeads)>>,
    pub(super) client: Client,
    pub(super) cancel: &'scope Arc<CancelToken>,
    pub(super) started: Instant,
    /// When the URLs of the tracks were known.
    pub(super) resolved: Instant,
}

/// Returns a head with the fields that the responses of all downloads have.
pub(super) fn file_head(
    name: Option<&str>,
    media_type: &'static str,
    extension: &'static str,
) -> ResponseHead {
    ResponseHead::default()
        .extension(extension)
        .with("Content-Type", media_type)
        .with("Content-Disposition", attachment(name, extension))
        .with("Cache-Control", "no-store")
        .with("X-Content-Type-Options", "nosniff")
        // nginx would buffer the whole file on its disk for a slow client.
        .with("X-Accel-Buffering", "no")
}

impl<'scope> DownloadContext<'scope, '_> {
    /// Returns a head with the fields that all media responses have.
    pub(super) fn head(&self, media_type: &'static str, extension: &'static str) -> ResponseHead {
        file_head(self.media.name.as_deref(), media_type, extension)
    }

    /// Returns the value of Server-Timing: when the media were resolved, when the strategy was chosen,
    /// when the first byte of the body was available, and the engine.
    pub(super) fn server_timing(
        &self,
        planned: Instant,
        first_byte: Instant,
        engine: &str,
    ) -> String {
        let millis = |at: Instant| (at - self.started).as_secs_f64() * 1000.0;
        let [resolved, planned, first] = [self.resolved, planned, first_byte].map(millis);
        format!(
            "resolve;dur={resolved:.1}, plan;dur={planned:.1}, first;dur={first:.1}, \
             engine;desc=\"{engine}\""
        )
    }

    /// Takes the first bytes of the segments of the track at `index`.
    pub(super) fn take_heads(&self, index: usize) -> SegmentHeads {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let found = heads.iter().position(|(of, _)| *of == index);
        found.map(|at| heads.swap_remove(at).1).unwrap_or_default()
    }

    /// Returns the descriptor that becomes readable when the download is cancelled.
    pub(super) fn cancelled(&self) -> BorrowedFd<'scope> {
        self.cancel.as_fd()
    }
}

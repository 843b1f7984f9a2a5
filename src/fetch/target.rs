//! Where a track is requested: its location, how that is refreshed, and where it redirects. Pure.

use std::sync::Arc;

use url::Url;

use crate::media::{RefreshHandle, RemoteLocation, Track, TrackKind};

/// The target of requests.
pub(super) struct Target {
    pub(super) location: Arc<RemoteLocation>,
    pub(super) refresh: Option<RefreshHandle>,
    /// URL of the last response, after all redirects.
    pub(super) effective_url: Option<Url>,
    /// Maximum size of a range request.
    pub(super) chunk: u64,
}

impl Target {
    /// Makes the target of a track.
    pub(super) fn new(track: &Track, chunk: u64) -> Target {
        Target {
            location: Arc::new(track.location.clone()),
            refresh: track.refresh.clone(),
            effective_url: None,
            chunk,
        }
    }

    /// Returns whether the last response came from another URL than that of the location.
    pub(super) fn is_redirected(&self) -> bool {
        self.effective_url.as_ref().is_some_and(|url| *url != self.location.url)
    }

    /// Returns the track at its current location.
    pub(super) fn track(&self, kind: TrackKind) -> Track {
        let location = RemoteLocation::clone(&self.location);
        Track { kind, location, refresh: self.refresh.clone() }
    }
}

//! Fresh lists of segments, where the URLs of one are refused.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{PlaylistLoader, Request, key};
use crate::cancel::CancelToken;
use crate::media::{FreshLocation, LocationRefresher, RemoteLocation, Track, TrackKind};
use crate::options::OutputOptions;

/// Loads a list again, from a fresh location if the page leads to one.
pub(super) struct PlaylistRefresher {
    pub(super) loader: Arc<PlaylistLoader>,
    pub(super) kind: TrackKind,
    pub(super) options: OutputOptions,
    pub(super) is_lone: bool,
    pub(super) cancel: Arc<CancelToken>,
    /// What was requested, at its current location, and the list that was loaded from there.
    pub(super) newest: Mutex<(Track, RemoteLocation)>,
}

impl PlaylistRefresher {
    fn newest(&self) -> MutexGuard<'_, (Track, RemoteLocation)> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocationRefresher for PlaylistRefresher {
    fn refresh(
        &self,
        refused: &RemoteLocation,
        cancel: &CancelToken,
    ) -> Result<FreshLocation, String> {
        let (mut track, location) = self.newest().clone();
        // Another reader of the track has found a newer list than this one started with.
        if !location.is_same_place(refused) {
            return Ok(FreshLocation { location, is_new: false });
        }
        let PlaylistRefresher { loader, kind, options, is_lone, .. } = self;
        // The next request of a client must not begin with the list that has expired.
        loader.lock().remove(&key(&track, *is_lone, options));
        let mut is_new = true;
        if let Some(refresh) = &track.refresh {
            let fresh = refresh.refresh(&track.location, cancel)?;
            (track.location, is_new) = (fresh.location, fresh.is_new);
        }
        let request = Request {
            options,
            length_timeout: Duration::ZERO,
            is_lone: *is_lone,
            cancel: &self.cancel,
        };
        let located = loader.locate(&track, request).map_err(|error| error.to_string())?;
        let located = located.into_iter().find(|located| located.kind == *kind);
        let location = located.ok_or("its playlist no longer names it")?.location;
        *self.newest() = (track, location.clone());
        Ok(FreshLocation { location, is_new })
    }

    fn report_refused_again(&self, _refused: &RemoteLocation) {
        let (track, _) = self.newest().clone();
        if let Some(refresh) = &track.refresh {
            refresh.report_refused_again(&track.location);
        }
    }
}

//! Live streams: how they begin, and their lists as they grow.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::keys::{Keys, LiveInit, fetch_keys};
use super::{Located, PlaylistLoader, Request, unusable};
use crate::cancel::CancelToken;
use crate::error::{Error, InputError, UpstreamError};
use crate::media::live::{begin_at_same_discontinuity, begin_near_end};
use crate::media::segments::SegmentList;
use crate::media::{
    Delivery, FreshLocation, LocationRefresher, PlaylistHints, RefreshHandle, RemoteLocation,
    Track, TrackKind,
};
use crate::options::OutputOptions;
use crate::playlist::Playlist;

/// Leaves out what is before the beginning of the live streams among `located`.
pub(super) fn begin(located: &mut [Located], options: &OutputOptions) -> Result<(), Error> {
    let lists = located.iter_mut().filter_map(|located| {
        let kind = located.kind;
        live_list(&mut located.location).map(|list| (kind, list))
    });
    let mut lists: Vec<(TrackKind, &mut SegmentList)> = lists.collect();
    for (kind, list) in &lists {
        if !options.time_range.is_full() {
            return Err(unusable(*kind, InputError::LiveRange));
        }
        if list.segments.is_empty() {
            let fault = UpstreamError::NotYetAvailable(list.target_duration);
            return Err(Error::Upstream { track: *kind, fault });
        }
    }
    let mut lists: Vec<_> = lists.iter_mut().map(|(_, list)| &mut **list).collect();
    if !options.from_oldest {
        begin_near_end(&mut lists);
    }
    begin_at_same_discontinuity(&mut lists);
    Ok(())
}

fn live_list(location: &mut RemoteLocation) -> Option<&mut SegmentList> {
    match &mut location.delivery {
        Delivery::Segments(list) if list.is_live() => Some(Arc::make_mut(list)),
        _ => None,
    }
}

/// Loads the list of a live stream again and again.
struct LiveRefresher {
    loader: Arc<PlaylistLoader>,
    kind: TrackKind,
    options: OutputOptions,
    is_lone: bool,
    cancel: Arc<CancelToken>,
    stream: Mutex<Stream>,
}

/// What is known of a live stream.
struct Stream {
    /// What was requested, at its current location.
    track: Track,
    /// The list that was loaded last.
    location: RemoteLocation,
    hints: Arc<PlaylistHints>,
    keys: Keys,
    init: LiveInit,
    /// Whether the current location comes from the page, and no list has come from there yet.
    is_refreshed: bool,
}

/// Returns the location of a live stream, with its keys, and what loads its list again.
pub(super) fn follow(
    loader: &Arc<PlaylistLoader>,
    track: &Track,
    located: Located,
    request: Request<'_>,
) -> Result<(RemoteLocation, RefreshHandle), Error> {
    let Located { kind, location, hints } = located;
    let Request { options, is_lone, cancel, .. } = request;
    let (keys, init) = (Keys::new(), LiveInit::default());
    let stream = Stream { track: track.clone(), location, hints, keys, init, is_refreshed: false };
    let refresher = LiveRefresher {
        loader: loader.clone(),
        kind,
        options: *options,
        is_lone,
        cancel: cancel.clone(),
        stream: Mutex::new(stream),
    };
    let location = {
        let mut stream = refresher.stream();
        refresher.complete(&mut stream)?;
        stream.location.clone()
    };
    Ok((location, RefreshHandle::from_refresher(refresher)))
}

impl LiveRefresher {
    fn stream(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches the keys of the list, and compares its initialisation segments.
    fn complete(&self, stream: &mut Stream) -> Result<(), Error> {
        let Stream { location, keys, init, .. } = stream;
        let base = RemoteLocation { delivery: Delivery::File, ..location.clone() };
        let base = RefCell::new(base);
        let read = self.loader.resources(self.kind, &base, &self.cancel);
        if let Some(list) = live_list(location) {
            *keys = fetch_keys(self.kind, list, keys, &read)?;
            init.merge(self.kind, list, &read)?;
        }
        drop(read);
        location.cookies = base.into_inner().cookies;
        Ok(())
    }

    /// Loads the list at its current location, without what is before the sequence number `from`.
    fn load(&self, stream: &mut Stream, from: u64) -> Result<RemoteLocation, Error> {
        let Stream { location, hints, .. } = stream;
        // The page may hold the list as it was; it grows at its URL.
        let hints = PlaylistHints { text: None, ..PlaylistHints::clone(hints) };
        let playlist = self.loader.read(self.kind, location, &hints, &self.cancel)?;
        let Playlist::Media(list) = playlist else {
            let why = "it lists playlists now".into();
            return Err(Error::Playlist { track: self.kind, why });
        };
        self.accept(stream, list, from)?;
        Ok(stream.location.clone())
    }

    /// Takes over a list that was loaded.
    fn accept(&self, stream: &mut Stream, mut list: SegmentList, from: u64) -> Result<(), Error> {
        let is_complete = list.is_complete;
        list.begin_at_sequence(from);
        list.is_complete = false;
        stream.location.delivery = Delivery::Segments(Arc::new(list));
        self.complete(stream)?;
        if let Some(list) = live_list(&mut stream.location) {
            list.is_complete = is_complete;
        }
        Ok(())
    }

    /// Finds the location of the list by the page.
    fn locate_again(&self, stream: &mut Stream, from: u64) -> Result<bool, String> {
        let Some(refresh) = stream.track.refresh.clone() else {
            return Err("nothing leads to a fresh list".into());
        };
        let fresh = refresh.refresh(&stream.track.location, &self.cancel)?;
        stream.track.location = fresh.location;
        let LiveRefresher { loader, kind, options, is_lone, cancel, .. } = self;
        let request =
            Request { options, length_timeout: Duration::ZERO, is_lone: *is_lone, cancel };
        let located = loader.locate(&stream.track, request).map_err(|error| error.to_string())?;
        let located = located.into_iter().find(|found| found.kind == *kind);
        let Located { location, hints, .. } = located.ok_or("its playlist no longer names it")?;
        let Delivery::Segments(list) = &location.delivery else {
            return Err("it is not in segments any more".into());
        };
        let list = SegmentList::clone(list);
        (stream.location, stream.hints) = (location, hints);
        self.accept(stream, list, from).map_err(|error| error.to_string())?;
        Ok(fresh.is_new)
    }
}

impl LocationRefresher for LiveRefresher {
    fn refresh(
        &self,
        refused: &RemoteLocation,
        _cancel: &CancelToken,
    ) -> Result<FreshLocation, String> {
        let mut stream = self.stream();
        // Another reader of the track has found a newer location than this one started with.
        if stream.location.url != refused.url {
            return Ok(FreshLocation { location: stream.location.clone(), is_new: false });
        }
        let from = match &refused.delivery {
            Delivery::Segments(list) => list.media_sequence,
            Delivery::File | Delivery::Playlist(_) => 0,
        };
        let is_new = self.locate_again(&mut stream, from)?;
        Ok(FreshLocation { location: stream.location.clone(), is_new })
    }

    fn report_refused_again(&self, _refused: &RemoteLocation) {
        let track = self.stream().track.clone();
        if let Some(refresh) = &track.refresh {
            refresh.report_refused_again(&track.location);
        }
    }

    fn reload(&self, from: u64) -> Result<RemoteLocation, Error> {
        let mut stream = self.stream();
        let is_gone = |error: &Error| {
            matches!(
                error,
                Error::Upstream { fault: UpstreamError::Status(401 | 403 | 404 | 410), .. }
            )
        };
        let error = match self.load(&mut stream, from) {
            Err(error) if is_gone(&error) && stream.track.refresh.is_some() => error,
            loaded => {
                stream.is_refreshed &= loaded.is_err();
                return loaded;
            }
        };
        // The page leads to one fresh location; if that is refused, too, the stream is not there.
        if std::mem::replace(&mut stream.is_refreshed, true) {
            return Err(error);
        }
        match self.locate_again(&mut stream, from) {
            Ok(_) => Ok(stream.location.clone()),
            Err(why) => {
                log::warn!("cannot refresh location: {} {:?}: {why}", self.kind, stream.location);
                Err(error)
            }
        }
    }
}

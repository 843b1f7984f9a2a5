//! The locations of segments: those of the list, until one of them is refused. Then the list is
//! found again, once for all segments.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use url::Url;

use crate::cancel::CancelToken;
use crate::error::{Error, UpstreamError};
use crate::http_client::request::is_credential;
use crate::media::segments::SegmentList;
use crate::media::{
    Delivery, FreshLocation, LocationRefresher, RefreshHandle, RemoteLocation, Track, TrackKind,
};

/// What was added to a live playlist and removed again before it was loaded.
const SKIPPED: &str = "segments have left the live playlist before they could be read";

/// The location of a track in segments, which all its segments share.
#[derive(Clone)]
pub(super) struct CurrentLocation {
    location: Arc<Mutex<RemoteLocation>>,
    refresh: Option<RefreshHandle>,
}

impl CurrentLocation {
    /// Begins with the location of `track`.
    pub(super) fn new(track: &Track) -> CurrentLocation {
        let location = Arc::new(Mutex::new(track.location.clone()));
        CurrentLocation { location, refresh: track.refresh.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, RemoteLocation> {
        self.location.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the track at its current location.
    pub(super) fn as_track(&self, kind: TrackKind) -> Track {
        Track { kind, location: self.lock().clone(), refresh: self.refresh.clone() }
    }

    /// Returns the list of segments.
    pub(super) fn list(&self) -> Option<Arc<SegmentList>> {
        list(&self.lock()).cloned()
    }

    /// Loads the list of a live stream again, of which the part `next` is needed; returns whether there
    /// is anything new. Earlier segments are forgotten.
    pub(super) fn reload(&self, kind: TrackKind, next: usize) -> Result<bool, Error> {
        let absent = Error::Internal("nothing loads the list of a live stream again");
        let refresh = self.refresh.as_ref().ok_or(absent)?;
        let from = self.list().map_or(0, |list| list.sequence_of(next));
        let fresh = refresh.reload(from)?;
        let mut current = self.lock();
        let (Some(old), Some(new)) = (list(&current), list(&fresh)) else {
            return Err(Error::Internal("a live stream has no list"));
        };
        let grown = old.continued_by(new, next).ok_or_else(|| {
            let fault = UpstreamError::EntityChanged(SKIPPED);
            Error::Upstream { track: kind, fault }
        })?;
        let is_news = grown.part_count() > next || !grown.is_live();
        *current = RemoteLocation { delivery: Delivery::Segments(Arc::new(grown)), ..fresh };
        Ok(is_news)
    }

    /// Returns a segment as a track of its own.
    pub(super) fn track(&self, kind: TrackKind, index: usize) -> Option<Track> {
        let location = part_location(&self.lock(), index)?;
        let refresh = self.refresh.is_some().then(|| {
            RefreshHandle::from_refresher(SegmentRefresher { current: self.clone(), index })
        });
        Some(Track { kind, location, refresh })
    }
}

/// Returns the list of a location.
pub(super) fn list(location: &RemoteLocation) -> Option<&Arc<SegmentList>> {
    match &location.delivery {
        Delivery::Segments(list) => Some(list),
        Delivery::File | Delivery::Playlist(_) => None,
    }
}

/// Returns the location of a part of the file that the segments are.
fn part_location(location: &RemoteLocation, index: usize) -> Option<RemoteLocation> {
    let part = list(location)?.part(index)?;
    Some(resource_location(location, part.location.url.clone()))
}

/// Returns the location of a resource that the track at `location` leads to. What proves who asks
/// stays with the origin that it was meant for.
pub fn resource_location(location: &RemoteLocation, url: Url) -> RemoteLocation {
    let is_elsewhere = url.origin() != location.url.origin();
    let headers = location.headers.iter().filter(|(name, _)| !is_elsewhere || !is_credential(name));
    RemoteLocation {
        headers: headers.cloned().collect(),
        cookies: location.cookies.clone(),
        chunk: location.chunk,
        expects_browser: location.expects_browser,
        ..RemoteLocation::from(url)
    }
}

/// Finds the fresh location of one segment.
struct SegmentRefresher {
    current: CurrentLocation,
    index: usize,
}

impl LocationRefresher for SegmentRefresher {
    fn refresh(
        &self,
        refused: &RemoteLocation,
        cancel: &CancelToken,
    ) -> Result<FreshLocation, String> {
        const GONE: &str = "the list of its segments has another length now";
        let current = self.current.lock().clone();
        let location = part_location(&current, self.index).ok_or(GONE)?;
        // Another segment has found a fresh list since.
        if location.url != refused.url {
            return Ok(FreshLocation { location, is_new: false });
        }
        let refresh = self.current.refresh.as_ref().ok_or("nothing leads to a fresh list")?;
        let FreshLocation { location: mut fresh, is_new } = refresh.refresh(&current, cancel)?;
        let (Some(old), Some(new)) = (list(&current), list(&fresh)) else {
            return Err("it is not in segments any more".into());
        };
        // Of a live stream that has ended, not all segments are listed any more.
        let known = if old.is_live() || old.forgotten > 0 {
            old.continued_by(new, self.index).ok_or(SKIPPED)?
        } else if let Some(known) = same_media(old, new) {
            known
        } else {
            return Err("its playlist now has other segments".into());
        };
        fresh.delivery = Delivery::Segments(Arc::new(known));
        let location = part_location(&fresh, self.index).ok_or(GONE)?;
        *self.current.lock() = fresh;
        Ok(FreshLocation { location, is_new })
    }

    fn report_refused_again(&self, _refused: &RemoteLocation) {
        if let Some(refresh) = &self.current.refresh {
            refresh.report_refused_again(&self.current.lock().clone());
        }
    }
}

/// Returns a new list with what is known of the files of an old one, if both are of the same media, as far
/// as they tell. Each response is then compared with the file of its segment.
fn same_media(old: &SegmentList, new: &SegmentList) -> Option<SegmentList> {
    let mut new = new.clone();
    match &old.files {
        Some(files) => new.set_files(files.clone()),
        None => new.files = None,
    }
    // Where one duration stands for many segments, the last one of a period may have been shortened.
    let apart = if old.may_end_early { old.rounding } else { Duration::ZERO };
    let mut pairs = old.segments.iter().zip(&new.segments);
    let is_same = old.part_count() == new.part_count()
        && old.segments.len() == new.segments.len()
        && pairs.all(|(one, other)| {
            one.duration.abs_diff(other.duration) <= apart
                && one.location.range == other.location.range
        });
    is_same.then_some(new)
}

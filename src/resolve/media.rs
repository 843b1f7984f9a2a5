//! Builds the media of a request from a page: the selected tracks, each with a source of fresh
//! locations.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use url::Url;

use super::classify::ResolveError;
use super::{RequestContext, Resolver};
use crate::cancel::CancelToken;
use crate::error::Error;
use crate::limits::Client;
use crate::media::page_media::{PageMedia, Rendition};
use crate::media::removal::Removal;
use crate::media::selection::{FormatRequest, SelectedTracks, select_tracks};
use crate::media::{
    FreshLocation, LocationRefresher, Media, Metadata, RefreshHandle, RemoteLocation, Track,
    TrackKind,
};

/// Returns the media that `request` selects from `page`.
pub fn media(
    resolver: &Arc<Resolver>,
    page: &Arc<PageMedia>,
    request: &FormatRequest,
    client: Client,
) -> Result<Media, Error> {
    let selected = select_tracks(page, request);
    let selected =
        selected.map_err(|why| Error::Resolve(Box::new(ResolveError::no_format(&why))))?;
    let labels = selected.labels(request);
    let SelectedTracks { video, audios } = selected;
    let video = video.into_iter().map(|rendition| (TrackKind::Video, rendition));
    let tracks = video.chain(audios.into_iter().map(|audio| (TrackKind::Audio, audio)));
    let tracks = tracks.map(|(kind, rendition)| {
        let location = rendition.track_location().map_err(Error::Internal)?;
        let newest = Mutex::new((page.generation, location.clone()));
        let refresh = Some(RefreshHandle::from_refresher(PageRefresher {
            resolver: resolver.clone(),
            page_url: page.page_url.clone(),
            rendition: rendition.clone(),
            client,
            newest,
        }));
        Ok(Track { kind, location, refresh })
    });
    let tracks = tracks.collect::<Result<_, Error>>()?;
    let media = without_tracks(page);
    Ok(Media { tracks, metadata: Metadata { labels, ..media.metadata }, ..media })
}

/// Returns the name and the metadata of a page's media.
pub fn without_tracks(page: &PageMedia) -> Media {
    let metadata = Metadata {
        title: page.title.clone(),
        artist: page.uploader.clone(),
        date: page.date.clone(),
        cover: None,
        labels: Vec::new(),
        chapters: page.chapters.clone(),
        subtitles: Vec::new(),
        removal: Removal::NONE,
    };
    // Falls back to the id, so that two videos without a title have different names.
    let name = page.title.clone().or_else(|| Some(page.id.clone()));
    Media { name, tracks: Vec::new(), metadata }
}

/// Reads the page again, and returns the rendition with the same id if it is the same file.
struct PageRefresher {
    resolver: Arc<Resolver>,
    page_url: Url,
    rendition: Rendition,
    client: Client,
    /// Generation and location of the last reading. Two tracks, or eight byte ranges of one, find
    /// out at the same time that their URLs have expired: the page is read once.
    newest: Mutex<(u64, RemoteLocation)>,
}

impl PageRefresher {
    fn newest(&self) -> MutexGuard<'_, (u64, RemoteLocation)> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocationRefresher for PageRefresher {
    fn refresh(
        &self,
        refused: &RemoteLocation,
        cancel: &CancelToken,
    ) -> Result<FreshLocation, String> {
        let (generation, location) = self.newest().clone();
        // An earlier reader of the track has a newer location than this one started with.
        if !location.is_same_place(refused) {
            return Ok(FreshLocation { location, is_new: false });
        }
        let context = RequestContext { client: self.client, cancel };
        let later = self.resolver.resolve_newer_than(&self.page_url, generation, &context);
        let (page, is_new) = later.map_err(|error| error.to_string())?;
        if page.generation == generation {
            return Ok(FreshLocation { location, is_new: true });
        }
        let fresh = page.rendition(&self.rendition.id).ok_or("its page no longer offers it")?;
        if !self.rendition.is_same_file(fresh) {
            return Err("its page now offers another file under the same id".into());
        }
        let location =
            RemoteLocation { len: self.rendition.location.len, ..fresh.track_location()? };
        *self.newest() = (page.generation, location.clone());
        Ok(FreshLocation { location, is_new })
    }

    fn report_refused_again(&self, refused: &RemoteLocation) {
        let (generation, location) = self.newest().clone();
        if location.is_same_place(refused) {
            self.resolver.mark_stale(&self.page_url, generation, self.client);
        }
    }
}

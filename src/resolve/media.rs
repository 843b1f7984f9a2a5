//! From a film on offer to the tracks that make it, each with a way to a fresh location.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use url::Url;

use super::classify::ResolveError;
use super::{RequestContext, Resolver};
use crate::cancel::CancelToken;
use crate::error::Error;
use crate::media::page_media::{PageMedia, Rendition};
use crate::media::selection::{FormatRequest, NoMatch, SelectedFormats, select_formats};
use crate::media::{
    FreshLocation, LocationRefresher, Media, Metadata, RefreshHandle, RemoteLocation, Track,
    TrackKind,
};

/// What is to be streamed of `offer`.
pub fn media(
    resolver: &Arc<Resolver>,
    offer: &Arc<PageMedia>,
    choice: &FormatRequest,
    client: IpAddr,
) -> Result<Media, Error> {
    let chosen = select_formats(offer, choice);
    let SelectedFormats { video, audio } =
        chosen.map_err(|NoMatch(why)| Error::Resolve(Box::new(ResolveError::no_format(why))))?;
    let chosen = [(TrackKind::Video, video), (TrackKind::Audio, audio)];
    let tracks = chosen.into_iter().filter_map(|(kind, rendition)| {
        let rendition = rendition?;
        let refresh = Some(RefreshHandle::from_refresher(PageRefresher::new(
            resolver, offer, rendition, client,
        )));
        Some(Track { kind, location: rendition.location.clone(), refresh })
    });
    let tags = Metadata {
        title: offer.title.clone(),
        artist: offer.uploader.clone(),
        date: offer.date.clone(),
        cover: None,
    };
    // Two films without a title are not to have one name.
    let name = offer.title.clone().or_else(|| Some(offer.id.clone()));
    Ok(Media { name, tracks: tracks.collect(), metadata: tags })
}

/// Asks for the page anew, and takes the rendition of the same name if it is the same file.
struct PageRefresher {
    resolver: Arc<Resolver>,
    link: Url,
    known: Rendition,
    client: IpAddr,
    /// Two tracks of one film, or eight parts of it, find out at the same time that their URLs
    /// have expired: the page is read once.
    newest: Mutex<(u64, RemoteLocation)>,
}

impl PageRefresher {
    fn new(
        resolver: &Arc<Resolver>,
        offer: &PageMedia,
        rendition: &Rendition,
        client: IpAddr,
    ) -> PageRefresher {
        PageRefresher {
            resolver: resolver.clone(),
            link: offer.link.clone(),
            known: rendition.clone(),
            client,
            newest: Mutex::new((offer.generation, rendition.location.clone())),
        }
    }

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
        let (serial, location) = self.newest().clone();
        // Whoever read of the track before has got a newer one than this source began with.
        if location.url != refused.url {
            return Ok(FreshLocation { location, is_new: false });
        }
        let context = RequestContext { client: self.client, cancel };
        let later = self.resolver.resolve_newer_than(&self.link, serial, &context);
        let (offer, is_new) = later.map_err(|error| error.to_string())?;
        if offer.generation == serial {
            return Ok(FreshLocation { location, is_new: true });
        }
        let fresh = offer.rendition(&self.known.id).ok_or("its page does not offer it any more")?;
        if !self.known.is_same_file(fresh) {
            return Err("its page offers another file in its place".into());
        }
        let location = RemoteLocation { len: self.known.location.len, ..fresh.location.clone() };
        *self.newest() = (offer.generation, location.clone());
        Ok(FreshLocation { location, is_new })
    }

    fn is_in_vain(&self, refused: &RemoteLocation) {
        let (serial, location) = self.newest().clone();
        if location.url == refused.url {
            self.resolver.mark_stale(&self.link, serial);
        }
    }
}

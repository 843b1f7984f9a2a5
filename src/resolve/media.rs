//! From a film on offer to the tracks that make it, each with a way to a fresh location.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use url::Url;

use super::classify::ResolveError;
use super::{RequestContext, Resolver};
use crate::cancel::CancelToken;
use crate::error::Error;
use crate::media::choice::{Choice, Chosen, Nothing, choose};
use crate::media::offer::{Offer, Rendition};
use crate::media::{Fresh, Kind, Location, LocationRefresher, Media, Refresh, Tags, Track};

/// What is to be streamed of `offer`.
pub fn media(
    resolver: &Arc<Resolver>,
    offer: &Arc<Offer>,
    choice: &Choice,
    client: IpAddr,
) -> Result<Media, Error> {
    let chosen = choose(offer, choice);
    let Chosen { video, audio } =
        chosen.map_err(|Nothing(why)| Error::Resolve(Box::new(ResolveError::no_format(why))))?;
    let chosen = [(Kind::Video, video), (Kind::Audio, audio)];
    let tracks = chosen.into_iter().filter_map(|(kind, rendition)| {
        let rendition = rendition?;
        let refresh = Some(Refresh::by(PageRefresher::new(resolver, offer, rendition, client)));
        Some(Track { kind, location: rendition.location.clone(), refresh })
    });
    let tags = Tags {
        title: offer.title.clone(),
        artist: offer.uploader.clone(),
        date: offer.date.clone(),
        cover: None,
    };
    // Two films without a title are not to have one name.
    let name = offer.title.clone().or_else(|| Some(offer.id.clone()));
    Ok(Media { name, tracks: tracks.collect(), tags })
}

/// Asks for the page anew, and takes the rendition of the same name if it is the same file.
struct PageRefresher {
    resolver: Arc<Resolver>,
    link: Url,
    known: Rendition,
    client: IpAddr,
    /// Two tracks of one film, or eight parts of it, find out at the same time that their URLs
    /// have expired: the page is read once.
    newest: Mutex<(u64, Location)>,
}

impl PageRefresher {
    fn new(
        resolver: &Arc<Resolver>,
        offer: &Offer,
        rendition: &Rendition,
        client: IpAddr,
    ) -> PageRefresher {
        PageRefresher {
            resolver: resolver.clone(),
            link: offer.link.clone(),
            known: rendition.clone(),
            client,
            newest: Mutex::new((offer.serial, rendition.location.clone())),
        }
    }

    fn newest(&self) -> MutexGuard<'_, (u64, Location)> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocationRefresher for PageRefresher {
    fn refresh(&self, refused: &Location, stop: &CancelToken) -> Result<Fresh, String> {
        let (serial, location) = self.newest().clone();
        // Whoever read of the track before has got a newer one than this source began with.
        if location.url != refused.url {
            return Ok(Fresh { location, is_new: false });
        }
        let asker = RequestContext { client: self.client, stop };
        let later = self.resolver.resolve_newer_than(&self.link, serial, &asker);
        let (offer, is_new) = later.map_err(|error| error.to_string())?;
        if offer.serial == serial {
            return Ok(Fresh { location, is_new: true });
        }
        let fresh = offer.rendition(&self.known.id).ok_or("its page does not offer it any more")?;
        if !self.known.is_same_file(fresh) {
            return Err("its page offers another file in its place".into());
        }
        let location = Location { len: self.known.location.len, ..fresh.location.clone() };
        *self.newest() = (offer.serial, location.clone());
        Ok(Fresh { location, is_new })
    }

    fn is_in_vain(&self, refused: &Location) {
        let (serial, location) = self.newest().clone();
        if location.url == refused.url {
            self.resolver.mark_stale(&self.link, serial);
        }
    }
}

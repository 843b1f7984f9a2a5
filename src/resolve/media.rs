//! From a film on offer to the tracks that make it, each with a way to a fresh location.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::verdict::Unresolved;
use super::{Asker, Resolver};
use crate::error::Error;
use crate::media::choice::{Choice, Chosen, Nothing, choose};
use crate::media::offer::{Offer, Rendition};
use crate::media::{Kind, Media, Refresh, Tags, Track};

/// What is to be streamed of `offer`.
pub fn media(
    resolver: &Arc<Resolver>,
    offer: &Arc<Offer>,
    choice: &Choice,
    client: IpAddr,
) -> Result<Media, Error> {
    let chosen = choose(offer, choice);
    let Chosen { video, audio } =
        chosen.map_err(|Nothing(why)| Error::Unresolved(Box::new(Unresolved::no_format(why))))?;
    let chosen = [(Kind::Video, video), (Kind::Audio, audio)];
    let tracks = chosen.into_iter().filter_map(|(kind, rendition)| {
        let rendition = rendition?;
        let refresh = Some(refresh(resolver, offer, rendition, client));
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
fn refresh(
    resolver: &Arc<Resolver>,
    offer: &Arc<Offer>,
    rendition: &Rendition,
    client: IpAddr,
) -> Refresh {
    let (resolver, link, known) = (resolver.clone(), offer.link.clone(), rendition.clone());
    // Two tracks of one film, or eight parts of it, find out at the same time that their URLs
    // have expired: the page is read once.
    let newest = Mutex::new((offer.serial, rendition.location.clone()));
    Refresh::new(move |refused, stop| {
        let (serial, location) = newest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Whoever read of the track before has got a newer one than this source began with.
        if location.url != refused.url {
            return Ok(location);
        }
        let offer = resolver
            .later(&link, serial, &Asker { client, stop })
            .map_err(|error| error.to_string())?;
        let fresh = offer.rendition(&known.id).ok_or("its page does not offer it any more")?;
        if !known.is_same_file(fresh) {
            return Err("its page offers another file in its place".into());
        }
        let fresh = (offer.serial, fresh.location.clone());
        newest.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&fresh);
        Ok(fresh.1)
    })
}

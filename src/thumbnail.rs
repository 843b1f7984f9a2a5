//! The picture of a film: for the page that shows it, and as the cover of its file.
//!
//! Must never pass on what is no picture, nor keep more of it than a page needs.

use std::sync::Arc;
use std::thread;

use crate::cancel::CancelToken;
use crate::error::Error;
use crate::fetch::TrackReader;
use crate::http_client::UpstreamClient;
use crate::media::page_media::PageMedia;
use crate::media::{CoverArt, Track, TrackKind};

/// One that is larger is none for a page, nor for the head of a file.
const MAX_SIZE: usize = 2 << 20;

/// A picture.
pub struct Thumbnail {
    /// What it is, by its first bytes; whatever else it claims to be, nobody gets it from us.
    pub media_type: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
}

impl Thumbnail {
    /// The picture of a film that has one.
    pub fn fetch(
        offer: &PageMedia,
        upstream: &UpstreamClient,
        cancel: &Arc<CancelToken>,
    ) -> Result<Thumbnail, Error> {
        let location = offer.thumbnail.clone().ok_or(Error::NoThumbnail)?;
        let track = Track { kind: TrackKind::Video, location, refresh: None };
        let bytes = download(&track, upstream, cancel).map_err(|error| match error {
            // It is no track, so none is to blame.
            Error::Upstream { fault, .. } => {
                log::debug!("the picture of a film, from {:?}: {fault}", track.location);
                Error::NoThumbnail
            }
            error => error,
        })?;
        let media_type = bytes.as_deref().and_then(media_type);
        match (bytes, media_type) {
            (Some(bytes), Some(media_type)) => Ok(Thumbnail { media_type, bytes }),
            _ => Err(Error::NoThumbnail),
        }
    }

    /// The same as a cover, which is of the two kinds that players know.
    pub fn cover(self) -> Result<CoverArt, Error> {
        let is_jpeg = match self.media_type {
            "image/jpeg" => true,
            "image/png" => false,
            _ => return Err(Error::NoThumbnail),
        };
        Ok(CoverArt { is_jpeg, bytes: self.bytes.into() })
    }
}

/// All of a file, if it is not too large.
fn download(
    track: &Track,
    upstream: &UpstreamClient,
    cancel: &Arc<CancelToken>,
) -> Result<Option<Vec<u8>>, Error> {
    thread::scope(|scope| {
        let mut source = TrackReader::open(scope, upstream, track, MAX_SIZE as u64, cancel)?;
        let mut bytes = source.take_peeked();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match source.read(&mut buffer)? {
                0 => return Ok(Some(bytes)),
                count if bytes.len() + count > MAX_SIZE => return Ok(None),
                count => bytes.extend(&buffer[..count]),
            }
        }
    })
}

fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

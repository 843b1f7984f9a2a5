//! Fetches the thumbnail of a page's media, for the web page and as cover art.
//!
//! **Invariant:** passes on images only, of at most `MAX_SIZE`.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::cancel::CancelToken;
use crate::error::Error;
use crate::fetch::TrackReader;
use crate::http_client::UpstreamClient;
use crate::media::page_media::PageMedia;
use crate::media::{CoverArt, Track, TrackKind};
use crate::request_id::carried;

/// The maximum size in bytes: larger images suit neither a web page nor cover art.
const MAX_SIZE: usize = 2 << 20;
/// How long a file waits for a cover that it can do without.
const COVER_TIMEOUT: Duration = Duration::from_secs(5);

/// An image.
pub struct Thumbnail {
    /// The media type by the first bytes; the upstream's Content-Type is ignored.
    pub media_type: &'static str,
    /// The content of the file.
    pub bytes: Vec<u8>,
}

impl Thumbnail {
    /// Fetches the thumbnail of a page's media, if there is one.
    pub fn fetch(
        media: &PageMedia,
        upstream: &UpstreamClient,
        cancel: &Arc<CancelToken>,
    ) -> Result<Thumbnail, Error> {
        let location = media.thumbnail.clone().ok_or(Error::NoThumbnail)?;
        let track = Track { kind: TrackKind::Video, location, refresh: None };
        let bytes = download(&track, upstream, cancel).map_err(|error| match error {
            // The error would name a track, and no track caused it.
            Error::Upstream { fault, .. } => {
                log::debug!("cannot fetch a thumbnail from {:?}: {fault}", track.location);
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

    /// Fetches the thumbnail as cover art, if it can be had soon: `None` if there is none, if it takes too long, or if it
    /// is of no use. Fails only if the download has ended.
    pub fn optional_cover(
        media: &PageMedia,
        upstream: &UpstreamClient,
        cancel: &Arc<CancelToken>,
    ) -> Result<Option<CoverArt>, Error> {
        let own = Arc::new(cancel.child().map_err(|e| Error::system("make an eventfd", &e))?);
        let fetched = thread::scope(|scope| {
            let watch = || {
                if matches!(own.sleep(COVER_TIMEOUT), Ok(false)) {
                    own.cancel();
                }
            };
            let watcher =
                thread::Builder::new().name("cover".into()).spawn_scoped(scope, carried(watch));
            watcher.map_err(|e| Error::system("start a thread", &e))?;
            let fetched = Thumbnail::fetch(media, upstream, &own).and_then(Thumbnail::cover);
            own.cancel();
            fetched
        });
        match fetched {
            Ok(cover) => Ok(Some(cover)),
            Err(_) if cancel.is_cancelled() => Err(Error::Stopped),
            Err(why) => {
                log::info!("a file gets no cover: {why}");
                Ok(None)
            }
        }
    }

    /// Converts the image to cover art: JPEG or PNG, the formats that MP4 and players support.
    pub fn cover(self) -> Result<CoverArt, Error> {
        let is_jpeg = match self.media_type {
            "image/jpeg" => true,
            "image/png" => false,
            _ => return Err(Error::NoThumbnail),
        };
        Ok(CoverArt { is_jpeg, bytes: self.bytes.into() })
    }
}

/// Downloads a file; `None` if it is larger than [`MAX_SIZE`].
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

/// Returns the media type of an image by its first bytes.
fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

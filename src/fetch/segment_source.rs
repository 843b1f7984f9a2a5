//! Opens the segments of a track, each as the file that it is, or as a part of one.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::thread::Scope;

use url::Url;

use crate::cancel::CancelToken;
use crate::error::{Error, UpstreamError};
use crate::fetch::decrypt::{RangeDecryption, encrypted_range};
use crate::fetch::file_reader::FileReader;
use crate::fetch::pending_file::PendingFile;
use crate::fetch::segment_refresh::CurrentLocation;
use crate::http_client::{RemoteFile, UpstreamClient};
use crate::media::segments::{SegmentEncryption, SegmentKey, SegmentList};
use crate::media::{Track, TrackKind};
use crate::sys::SplicePipe;

/// Maximum number of resources that are remembered.
const MAX_RESOURCES: usize = 1000;
/// Bytes that are decrypted at once.
const DECRYPT_SIZE: usize = 64 << 10;

/// What requests for segments are made of.
pub(super) struct SegmentSource<'scope, 'env> {
    pub(super) scope: &'scope Scope<'scope, 'env>,
    pub(super) upstream: &'scope UpstreamClient,
    pub(super) cancel: Arc<CancelToken>,
    pub(super) kind: TrackKind,
    pub(super) location: CurrentLocation,
    /// The resources that hold several segments, as far as responses have described them.
    pub(super) resources: HashMap<Url, RemoteFile>,
    /// Whether segments are labelled as web pages, once one has come. Where they are not, a page that comes
    /// instead of one is a message, such as that its URL has expired.
    pub(super) are_pages: Option<bool>,
}

/// A segment that was requested.
pub(super) struct PendingSegment<'scope, 'env> {
    pub(super) index: usize,
    file: PendingFile<'scope, 'env>,
    decryption: Option<RangeDecryption>,
    /// The resource that this segment is a part of, if it is.
    resource: Option<Url>,
}

/// A segment that is arriving.
pub(super) struct SegmentBody<'scope, 'env> {
    pub(super) index: usize,
    file: FileReader<'scope, 'env>,
    decryption: Option<RangeDecryption>,
}

impl<'scope, 'env> SegmentSource<'scope, 'env> {
    /// Requests `range` of a part of the file that the segments are, or all of it if its length is
    /// unknown.
    pub(super) fn begin(
        &self,
        list: &SegmentList,
        index: usize,
        range: Option<Range<u64>>,
    ) -> Result<PendingSegment<'scope, 'env>, Error> {
        let absent = Error::Internal("a segment is read that the list does not have");
        let part = list.part(index).ok_or(absent)?;
        let track = self
            .location
            .track(self.kind, index)
            .ok_or(Error::Internal("the location of a segment is unknown"))?;
        let known = list.files.as_ref().and_then(|files| files.get(index));
        let shared = part.location.range.as_ref().map(|_| part.location.url.clone());
        let resource = known.and_then(|file| file.resource.clone());
        let resource = resource.or_else(|| self.resources.get(shared.as_ref()?).cloned());
        let len = known.map(|file| file.len);
        let is_to_end = range.as_ref().is_none_or(|range| Some(range.end) == len);
        let (stored, decryption) = match part.encryption {
            None => (range, None),
            Some(encryption) => {
                let start = range.as_ref().map_or(0, |range| range.start);
                let decryption = decryption(encryption, start, is_to_end)?;
                (range.map(|range| encrypted_range(range, is_to_end)), Some(decryption))
            }
        };
        let whole = match (&part.location.range, resource.as_ref().and_then(|file| file.len)) {
            (Some(range), _) => Some(range.clone()),
            (None, len) => len.map(|len| 0..len),
        };
        let stored = match (stored, whole) {
            // The length of what is encrypted follows from the resource.
            (Some(stored), Some(whole)) => Some(
                whole.start + stored.start..whole.end.min(whole.start.saturating_add(stored.end)),
            ),
            (Some(stored), None) => Some(stored),
            (None, whole) => whole,
        };
        let file = self.request(&track, stored, resource.as_ref());
        let file = file.without_pages(self.are_pages == Some(false));
        Ok(PendingSegment { index, file, decryption, resource: shared })
    }

    fn request(
        &self,
        track: &Track,
        range: Option<Range<u64>>,
        resource: Option<&RemoteFile>,
    ) -> PendingFile<'scope, 'env> {
        let (scope, upstream, cancel) = (self.scope, self.upstream, &self.cancel);
        match (range, resource) {
            (Some(range), Some(file)) => {
                let size = range.end - range.start;
                PendingFile::begin_range(scope, upstream, track, range, size, file, cancel)
            }
            // All of a resource of unknown length.
            (Some(range), None) if range.end < u64::MAX => {
                PendingFile::begin_part(scope, upstream, track, range, cancel)
            }
            _ => PendingFile::begin(scope, upstream, track, u64::MAX, cancel),
        }
    }
}

impl<'scope, 'env> PendingSegment<'scope, 'env> {
    /// Waits no longer than others of its track would: it has begun to arrive.
    pub(super) fn patient(self) -> PendingSegment<'scope, 'env> {
        PendingSegment { file: self.file.patient(), ..self }
    }

    /// Likewise, and sends the request now.
    pub(super) fn ahead(self) -> PendingSegment<'scope, 'env> {
        PendingSegment { file: self.file.ahead(), ..self }
    }

    /// Returns the request.
    pub(super) fn file(&self) -> &PendingFile<'scope, 'env> {
        &self.file
    }

    /// Waits for the response. A resource that holds several segments is remembered.
    pub(super) fn wait(
        self,
        source: &mut SegmentSource<'scope, 'env>,
    ) -> Result<SegmentBody<'scope, 'env>, Error> {
        let PendingSegment { index, file, decryption, resource } = self;
        let file = file.wait()?;
        source.are_pages.get_or_insert(file.is_page());
        if let Some(url) = resource {
            // A live stream may have a new one every hour.
            if source.resources.len() == MAX_RESOURCES {
                source.resources.clear();
            }
            source.resources.entry(url).or_insert_with(|| file.file().clone());
        }
        Ok(SegmentBody { index, file, decryption })
    }
}

impl SegmentBody<'_, '_> {
    /// Returns the length of the segment, if that is known before its end.
    pub(super) fn len(&self) -> Option<u64> {
        self.file.file().len.filter(|_| self.decryption.is_none())
    }

    /// Reads the next bytes. Returns 0 only at the end of the range or if `buffer` is empty.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let Some(decryption) = &mut self.decryption else { return self.file.read(buffer) };
        while decryption.needs_more() {
            decrypt(decryption, &mut self.file)?;
        }
        Ok(decryption.take(buffer))
    }

    /// Returns whether the next bytes can be moved by splice(2).
    pub(super) fn can_splice(&self) -> bool {
        self.decryption.is_none() && self.file.can_splice()
    }

    /// Moves up to `max_len` of the next bytes into `pipe`.
    pub(super) fn splice_into(&mut self, pipe: &SplicePipe, max_len: u64) -> Result<usize, Error> {
        if self.can_splice() { self.file.splice_into(pipe, max_len) } else { Ok(0) }
    }

    /// Ends reading; the connection is reused if the response was read to the end.
    pub(super) fn close(self) {
        self.file.close();
    }
}

/// Returns the decryption of a segment from `start` on.
fn decryption(
    encryption: &SegmentEncryption,
    start: u64,
    is_to_end: bool,
) -> Result<RangeDecryption, Error> {
    let SegmentKey::Inline(key) = &*encryption.key else {
        return Err(Error::Internal("a segment is decrypted without its key"));
    };
    Ok(RangeDecryption::new(key, encryption.iv, start, is_to_end))
}

/// Decrypts the next bytes of `file`.
fn decrypt(decryption: &mut RangeDecryption, file: &mut FileReader<'_, '_>) -> Result<(), Error> {
    let mut bytes = vec![0; DECRYPT_SIZE];
    let count = file.read(&mut bytes)?;
    decryption.push(&bytes[..count]).map_err(|why| {
        let fault = UpstreamError::EntityChanged(why);
        Error::Upstream { track: file.track(), fault }
    })
}

//! What is to be joined: tracks, where their bytes are, and what the file is called. Pure.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use ureq::http::{HeaderName, HeaderValue};
use url::Url;

use crate::cancel::CancelToken;

pub use crate::track_kind::TrackKind;

mod cookie;
pub mod format_list;
pub mod page_media;
pub mod selection;
pub mod variant;
pub use cookie::{Cookie, cookie_field};

/// One elementary stream (or one finished file) and where its bytes are.
#[derive(Clone, PartialEq, Eq)]
pub struct Track {
    /// Picture or sound.
    pub kind: TrackKind,
    /// Where to ask for it.
    pub location: RemoteLocation,
    /// What gives another location for the same file, should this one be refused.
    pub refresh: Option<RefreshHandle>,
}

/// Where a track is to be had, and what must be said to get it.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteLocation {
    /// An http or https address. May be signed, hence secret: log only its host.
    pub url: Url,
    /// Header fields that go with each request. Those that say which bytes are wanted, and how
    /// they are to travel, are ours and not taken from here.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Cookies, each for the addresses that it is meant for.
    pub cookies: Vec<Cookie>,
    /// Not to be asked for before then.
    pub available_at: Option<SystemTime>,
    /// No more bytes than this at once, if it is less than `upstream.chunk`.
    pub chunk: Option<u64>,
    /// How long the file is, as its page says: a hint, for when its server does not say it.
    pub len: Option<u64>,
}

impl From<Url> for RemoteLocation {
    /// A URL that needs nothing else.
    fn from(url: Url) -> RemoteLocation {
        let (headers, cookies) = (Vec::new(), Vec::new());
        RemoteLocation { url, headers, cookies, available_at: None, chunk: None, len: None }
    }
}

impl RemoteLocation {
    /// About how many bytes of memory it takes beside its own size.
    pub fn memory_size(&self) -> usize {
        let fields = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        let cookies = self.cookies.iter();
        let cookies = cookies.map(|c| c.pair.len() + c.domain.len() + c.path.len());
        // What each of them takes beside its bytes.
        const EACH: usize = 128;
        let count = self.headers.len() + self.cookies.len();
        self.url.as_str().len() + fields.sum::<usize>() + cookies.sum::<usize>() + count * EACH
    }
}

impl fmt::Debug for RemoteLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.host_str().unwrap_or("nowhere"))
    }
}

impl fmt::Debug for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {:?}", self.kind, self.location)
    }
}

/// What gives fresh locations of a file.
#[derive(Clone)]
pub struct RefreshHandle(Arc<dyn LocationRefresher>);

/// Gives fresh locations of a file.
pub trait LocationRefresher: Send + Sync {
    /// Another location than the one that was refused, or why there is none. It may take its time
    /// but must end with the stream.
    fn refresh(
        &self,
        refused: &RemoteLocation,
        cancel: &CancelToken,
    ) -> Result<FreshLocation, String>;

    /// A fresh one was refused, too, at the same place: to ask for still another one would not help.
    fn is_in_vain(&self, _refused: &RemoteLocation) {}
}

/// A location that was found out after another one had been refused.
pub struct FreshLocation {
    /// Where the file is now.
    pub location: RemoteLocation,
    /// Whether it was found out for this; else it may have expired as well.
    pub is_new: bool,
}

impl<F> LocationRefresher for F
where
    F: Fn(&RemoteLocation, &CancelToken) -> Result<RemoteLocation, String> + Send + Sync,
{
    fn refresh(
        &self,
        refused: &RemoteLocation,
        cancel: &CancelToken,
    ) -> Result<FreshLocation, String> {
        Ok(FreshLocation { location: self(refused, cancel)?, is_new: true })
    }
}

impl RefreshHandle {
    /// With this function.
    pub fn new(
        ask: impl Fn(&RemoteLocation, &CancelToken) -> Result<RemoteLocation, String>
        + Send
        + Sync
        + 'static,
    ) -> RefreshHandle {
        RefreshHandle(Arc::new(ask))
    }

    /// With something that also wants to know what came of it.
    pub fn from_refresher(refresher: impl LocationRefresher + 'static) -> RefreshHandle {
        RefreshHandle(Arc::new(refresher))
    }

    /// Asks for one.
    pub fn refresh(
        &self,
        refused: &RemoteLocation,
        cancel: &CancelToken,
    ) -> Result<FreshLocation, String> {
        self.0.refresh(refused, cancel)
    }

    /// Says that the fresh one was of no use.
    pub fn is_in_vain(&self, refused: &RemoteLocation) {
        self.0.is_in_vain(refused);
    }
}

impl PartialEq for RefreshHandle {
    fn eq(&self, other: &RefreshHandle) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for RefreshHandle {}

/// A film: one or two tracks and what the file is to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// The wish for a file name, as the client gave it: not yet safe for a header.
    pub name: Option<String>,
    /// Video first; never empty, never two of a kind.
    pub tracks: Vec<Track>,
    /// What the file is to say of itself.
    pub metadata: Metadata,
}

/// What a file says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// Title
    pub title: Option<String>,
    /// Artist
    pub artist: Option<String>,
    /// When it came out: a year, or `YYYY-MM-DD`.
    pub date: Option<String>,
    /// A picture of it.
    pub cover: Option<CoverArt>,
}

/// A still picture.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CoverArt {
    /// JPEG, or else PNG.
    pub is_jpeg: bool,
    /// The file.
    pub bytes: Arc<[u8]>,
}

impl fmt::Debug for CoverArt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a cover of {} bytes", self.bytes.len())
    }
}

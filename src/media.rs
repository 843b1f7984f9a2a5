//! The media of a request: tracks, the locations of their bytes, and metadata. Pure.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ureq::http::{HeaderName, HeaderValue};
use url::Url;

use crate::cancel::CancelToken;
use crate::error::Error;

pub use crate::track_kind::TrackKind;

pub mod chapters;
mod cookie;
pub mod extra_query;
pub mod format_list;
pub mod language;
pub mod live;
pub mod packed_segments;
pub mod page_list;
pub mod page_media;
pub mod remote_file;
pub mod removal;
pub mod segments;
pub mod selection;
pub mod sponsorblock;
pub mod subtitles;
pub mod track_label;
pub mod variant;
use chapters::Chapter;
pub use cookie::{Cookie, add_cookies, cookie_field};
use removal::Removal;
use segments::{SegmentKey, SegmentList};
use subtitles::Subtitles;
use track_label::TrackLabel;

/// One elementary stream (or one finished file) and the location of its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Track {
    /// Video or audio.
    pub kind: TrackKind,
    /// Where to fetch it.
    pub location: RemoteLocation,
    /// Provides another location of the same file when this one is refused.
    pub refresh: Option<RefreshHandle>,
}

/// The location of a track, with everything that a request for it must carry.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteLocation {
    /// An http or https URL. It may be signed, hence secret: only its host is logged.
    pub url: Url,
    /// Header fields of each request. Those that select bytes or frame the message are not taken
    /// from here.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Cookies, each with its scope.
    pub cookies: Vec<Cookie>,
    /// Time before which requests are refused.
    pub available_at: Option<SystemTime>,
    /// Maximum size of a request, if it is less than `upstream.chunk`.
    pub chunk: Option<u64>,
    /// Length of the file according to its page: a hint for when its server does not report it.
    pub len: Option<u64>,
    /// Whether its server may refuse clients whose TLS handshake is not that of a browser.
    pub expects_browser: bool,
    /// What the URL leads to.
    pub delivery: Delivery,
}

/// How the bytes of a track are delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Delivery {
    /// In one file, at the URL.
    #[default]
    File,
    /// In segments that a playlist (HLS) at the URL lists.
    Playlist(Arc<PlaylistHints>),
    /// In these segments; the URL is that of their playlist, manifest or page.
    Segments(Arc<SegmentList>),
}

/// What a page tells of a playlist that the playlist itself does not.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PlaylistHints {
    /// The text of the playlist, if the page holds it.
    pub text: Option<String>,
    /// A query to add to the URL of each segment.
    pub segment_query: Option<String>,
    /// A query to add to the URL of each key.
    pub key_query: Option<String>,
    /// A key that replaces those of the playlist.
    pub key: Option<SegmentKey>,
    /// An initialisation vector that replaces those of the playlist.
    pub iv: Option<[u8; 16]>,
    /// Variables that the playlist may import, with their values: those of its master playlist.
    pub variables: Vec<(String, String)>,
}

impl PlaylistHints {
    /// Returns the approximate memory on the heap, in bytes.
    pub fn memory_size(&self) -> usize {
        let texts = [&self.text, &self.segment_query, &self.key_query];
        let texts = texts.into_iter().flatten().map(String::len).sum::<usize>();
        let variables = self.variables.iter().map(|(name, value)| name.len() + value.len());
        size_of::<PlaylistHints>() + texts + variables.sum::<usize>()
    }
}

impl fmt::Debug for PlaylistHints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hints")
    }
}

impl From<Url> for RemoteLocation {
    /// Makes a location that needs nothing but its URL.
    fn from(url: Url) -> RemoteLocation {
        let (headers, cookies) = (Vec::new(), Vec::new());
        RemoteLocation {
            url,
            headers,
            cookies,
            available_at: None,
            chunk: None,
            len: None,
            expects_browser: false,
            delivery: Delivery::File,
        }
    }
}

impl RemoteLocation {
    /// Feeds `add` what distinguishes this location from others. No field may be mistaken for
    /// another, so `add` has to keep them apart.
    pub fn identify(&self, add: &mut dyn FnMut(&[u8])) {
        add(self.url.as_str().as_bytes());
        add(&self.headers.len().to_be_bytes());
        for (name, value) in &self.headers {
            add(name.as_str().as_bytes());
            add(value.as_bytes());
        }
        for cookie in &self.cookies {
            add(cookie.pair.as_bytes());
            add(cookie.domain.as_bytes());
            add(cookie.path.as_bytes());
            add(&[cookie.subdomains.into(), cookie.secure.into()]);
        }
        match &self.delivery {
            Delivery::File => {}
            Delivery::Playlist(hints) => add(hints.text.as_deref().unwrap_or_default().as_bytes()),
            Delivery::Segments(list) => list.identify(add),
        }
    }

    /// Returns the approximate memory on the heap, in bytes.
    pub fn memory_size(&self) -> usize {
        let fields = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        let cookies = self.cookies.iter();
        let cookies = cookies.map(|c| c.pair.len() + c.domain.len() + c.path.len());
        // Overhead of each field and cookie.
        const EACH: usize = 128;
        let count = self.headers.len() + self.cookies.len();
        let segments = match &self.delivery {
            Delivery::Segments(list) => list.memory_size(),
            Delivery::Playlist(hints) => hints.memory_size(),
            Delivery::File => 0,
        };
        self.url.as_str().len()
            + fields.sum::<usize>()
            + cookies.sum::<usize>()
            + count * EACH
            + segments
    }
}

impl RemoteLocation {
    /// Returns whether another location of the same track is this one. A manifest may stay where it is
    /// while the URLs of its segments expire.
    pub fn is_same_place(&self, other: &RemoteLocation) -> bool {
        let is_same_list = match (&self.delivery, &other.delivery) {
            (Delivery::Segments(one), Delivery::Segments(other)) => {
                let first = |list: &SegmentList| list.segments.first().map(|s| s.location.clone());
                first(one) == first(other)
            }
            _ => true,
        };
        self.url == other.url && is_same_list
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

/// A shared [`LocationRefresher`].
#[derive(Clone)]
pub struct RefreshHandle(Arc<dyn LocationRefresher>);

/// Provides fresh locations of a file.
pub trait LocationRefresher: Send + Sync {
    /// Returns another location than the refused one, or why there is none. It may block, but must
    /// end with the stream.
    fn refresh(
        &self,
        refused: &RemoteLocation,
        cancel: &CancelToken,
    ) -> Result<FreshLocation, String>;

    /// Reports that a fresh location was refused at the same offset, so another one would not help.
    fn report_refused_again(&self, _refused: &RemoteLocation) {}

    /// Returns the location of a live stream with its list as it is now. Segments before the sequence
    /// number `from` are not needed.
    fn reload(&self, _from: u64) -> Result<RemoteLocation, Error> {
        Err(Error::Internal("a list that does not grow is loaded again"))
    }
}

/// A location found after another one was refused.
pub struct FreshLocation {
    /// The current location.
    pub location: RemoteLocation,
    /// Whether it was found for this call; otherwise it may have expired as well.
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
    /// Makes a handle from a function.
    pub fn new(
        refresh: impl Fn(&RemoteLocation, &CancelToken) -> Result<RemoteLocation, String>
        + Send
        + Sync
        + 'static,
    ) -> RefreshHandle {
        RefreshHandle(Arc::new(refresh))
    }

    /// Makes a handle from a refresher that also receives
    /// [`report_refused_again`](LocationRefresher::report_refused_again).
    pub fn from_refresher(refresher: impl LocationRefresher + 'static) -> RefreshHandle {
        RefreshHandle(Arc::new(refresher))
    }

    /// Returns a fresh location.
    pub fn refresh(
        &self,
        refused: &RemoteLocation,
        cancel: &CancelToken,
    ) -> Result<FreshLocation, String> {
        self.0.refresh(refused, cancel)
    }

    /// Returns the location of a live stream with its list as it is now, from this sequence number on.
    pub fn reload(&self, from: u64) -> Result<RemoteLocation, Error> {
        self.0.reload(from)
    }

    /// Reports that the fresh location did not help.
    pub fn report_refused_again(&self, refused: &RemoteLocation) {
        self.0.report_refused_again(refused);
    }
}

impl PartialEq for RefreshHandle {
    fn eq(&self, other: &RefreshHandle) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for RefreshHandle {}

/// The tracks of a file, and its name and metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// The requested file name: not yet safe for a header field.
    pub name: Option<String>,
    /// Video first, then audio, the default first; never empty, and never more than one video.
    pub tracks: Vec<Track>,
    /// Metadata of the file.
    pub metadata: Metadata,
}

/// The metadata of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// Title
    pub title: Option<String>,
    /// Artist
    pub artist: Option<String>,
    /// Release date: a year, or `YYYY-MM-DD`.
    pub date: Option<String>,
    /// Cover art.
    pub cover: Option<CoverArt>,
    /// The labels of the tracks, in their order; it may be shorter.
    pub labels: Vec<TrackLabel>,
    /// Chapters.
    pub chapters: Vec<Chapter>,
    /// Subtitles, which become tracks.
    pub subtitles: Vec<Subtitles>,
    /// What is to be left out of the media, in nanoseconds from its beginning.
    pub removal: Removal,
}

impl Metadata {
    /// No metadata.
    pub const NONE: Metadata = Metadata {
        title: None,
        artist: None,
        date: None,
        cover: None,
        labels: Vec::new(),
        chapters: Vec::new(),
        subtitles: Vec::new(),
        removal: Removal::NONE,
    };

    /// Returns whether a file must be written anew to have it.
    pub fn needs_new_file(&self) -> bool {
        self.cover.is_some() || !self.subtitles.is_empty() || !self.removal.is_empty()
    }

    /// Returns the metadata of media of which these intervals are left out, in nanoseconds from its beginning.
    pub fn without(&self, gone: &Removal) -> Metadata {
        let chapters = chapters::without(&self.chapters, gone);
        let subtitles = self.subtitles.iter().map(|one| one.without(gone));
        Metadata { chapters, subtitles: subtitles.collect(), ..self.clone() }
    }

    /// Returns the metadata of a file that begins at `origin` of the media, in nanoseconds, and lasts for `duration`; 0
    /// if that is not known.
    pub fn within(&self, origin: i128, duration: Duration) -> Metadata {
        let chapters = chapters::within(&self.chapters, origin, duration);
        let subtitles = self.subtitles.iter().map(|one| one.within(origin, duration));
        Metadata { chapters, subtitles: subtitles.collect(), ..self.clone() }
    }
}

/// A cover image.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CoverArt {
    /// Whether it is JPEG; otherwise it is PNG.
    pub is_jpeg: bool,
    /// The image file.
    pub bytes: Arc<[u8]>,
}

impl fmt::Debug for CoverArt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a cover of {} bytes", self.bytes.len())
    }
}

//! Loads the segments of tracks that are delivered in segments: playlists, keys, lengths.
//!
//! What was loaded is kept for a while: a client that resumes, or requests several byte ranges, must
//! find the file as it was.
//!
//! **Invariant:** a list that leaves this module has at most one initialisation segment, and the key of
//! each encrypted segment.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use url::Url;

use crate::cancel::CancelToken;
use crate::error::{Error, InputError, UpstreamError};
use crate::fetch::{self, Document, SegmentSizes};
use crate::http_client::UpstreamClient;
use crate::instruments::{CounterSet, Found};
use crate::lru::LruMap;
use crate::media::segments::SegmentList;
use crate::media::selection::{FormatRequest, Quality};
use crate::media::{
    Delivery, Media, PlaylistHints, RefreshHandle, RemoteLocation, Track, TrackKind, add_cookies,
};
use crate::options::{LengthPolicy, OutputOptions};
use crate::playlist::{self, MAX_SIZE, Playlist, PlaylistError, SelectedPlaylists};

mod inexact;
mod keys;
mod live;
mod loaded;
mod parallel;
mod periods;
mod refresh;

use inexact::InexactTracks;
use loaded::{Key, Loaded, Located, key, without_lengths};
use parallel::in_parallel;
use refresh::PlaylistRefresher;

/// How long to look for the lengths of all segments before a download starts without them.
const LENGTH_TIMEOUT: Duration = Duration::from_secs(3);
/// How long loaded lists are kept, and their memory.
const MAX_AGE: Duration = Duration::from_secs(3600);
const CACHE_SIZE: usize = 16 << 20;

/// The loader, with the lists that it keeps.
pub struct PlaylistLoader {
    upstream: Arc<UpstreamClient>,
    /// How long the lengths are looked for if they are waited for.
    plan_timeout: Duration,
    loaded: Mutex<LruMap<Key, Loaded>>,
    lookups: CounterSet<Found>,
    inexact: InexactTracks,
}

/// Media whose segments were loaded.
pub struct LoadedMedia {
    /// The media.
    pub media: Media,
    /// The lengths of the segments of its tracks, by their indexes, and their first bytes, as far as these came just
    /// now.
    pub heads: Vec<(usize, Heads)>,
}

type Heads = Vec<(u64, Vec<u8>)>;

/// What is requested of a playlist.
#[derive(Clone, Copy)]
struct Request<'r> {
    options: &'r OutputOptions,
    /// How long the lengths may be looked for.
    length_timeout: Duration,
    /// Whether the track is the only one: then its playlist may name another one beside it.
    is_lone: bool,
    cancel: &'r Arc<CancelToken>,
}

impl PlaylistLoader {
    /// Makes the loader.
    pub fn new(upstream: &Arc<UpstreamClient>, plan_timeout: Duration) -> PlaylistLoader {
        let loaded = Mutex::new(LruMap::new(CACHE_SIZE));
        PlaylistLoader {
            upstream: upstream.clone(),
            plan_timeout,
            loaded,
            lookups: CounterSet::default(),
            inexact: InexactTracks::default(),
        }
    }

    /// Returns `media` with the segments of all tracks that are in segments. `is_head` says that the
    /// client wants to know the length and nothing else.
    pub fn load(
        self: &Arc<Self>,
        media: Media,
        options: &OutputOptions,
        is_head: bool,
        cancel: &Arc<CancelToken>,
    ) -> Result<LoadedMedia, Error> {
        if media.tracks.iter().all(|track| track.location.delivery == Delivery::File) {
            return Ok(LoadedMedia { media, heads: Vec::new() });
        }
        let length_timeout = match options.length {
            LengthPolicy::None => Duration::ZERO,
            LengthPolicy::Auto if !is_head => LENGTH_TIMEOUT.min(self.plan_timeout),
            LengthPolicy::Auto | LengthPolicy::Wait => self.plan_timeout,
        };
        let is_lone = media.tracks.len() == 1;
        let request = Request { options, length_timeout, is_lone, cancel };
        let loaded = in_parallel(media.tracks, |track| {
            let (loaded, heads) = self.load_track(&track, request)?;
            Ok((track, loaded, heads))
        })?;
        let is_exact = loaded.iter().all(|(_, loaded, _)| loaded.is_exact());
        let (mut located, mut requested, mut all_heads) = (Vec::new(), Vec::new(), Vec::new());
        for (track, loaded, heads) in loaded {
            all_heads.extend((located.len()..).zip(heads));
            requested.extend(loaded.tracks.iter().map(|_| track.clone()));
            located.extend(loaded.tracks);
        }
        live::begin(&mut located, options)?;
        periods::align(&mut located);
        let located = requested.into_iter().zip(located).collect();
        let tracks = in_parallel(located, |(track, located)| {
            self.readable(&track, located, request, is_exact)
        })?;
        let heads = if is_exact { all_heads } else { Vec::new() };
        Ok(LoadedMedia { media: Media { tracks, ..media }, heads })
    }

    /// Returns how often a playlist was found among those that were loaded.
    pub fn lookups(&self) -> &CounterSet<Found> {
        &self.lookups
    }

    /// Returns a track that can be read, with what finds fresh locations of it.
    fn readable(
        self: &Arc<Self>,
        track: &Track,
        located: Located,
        request: Request<'_>,
        is_exact: bool,
    ) -> Result<Track, Error> {
        if located.location.is_live() {
            let kind = located.kind;
            let (location, refresh) = live::follow(self, track, located, request)?;
            return Ok(Track { kind, location, refresh: Some(refresh) });
        }
        let Located { kind, location, .. } = located;
        let location = if is_exact { location } else { without_lengths(location) };
        let refresh = match location.delivery {
            Delivery::File => track.refresh.clone(),
            _ => Some(RefreshHandle::from_refresher(PlaylistRefresher {
                loader: self.clone(),
                kind,
                options: *request.options,
                is_lone: request.is_lone,
                cancel: request.cancel.clone(),
                newest: Mutex::new((track.clone(), location.clone())),
            })),
        };
        Ok(Track { kind, location, refresh })
    }

    /// Forgets what these tracks were loaded as, since an upstream contradicts it.
    pub fn forget(&self, media: &Media, options: &OutputOptions) {
        for track in &media.tracks {
            self.lock().remove(&key(track, media.tracks.len() == 1, options));
        }
    }

    /// Does without the lengths of the segments of these tracks from now on, since what they contain does not
    /// fit in a file that has its length by them.
    pub fn forget_lengths(&self, media: &Media, options: &OutputOptions) {
        for track in &media.tracks {
            self.inexact.add(key(track, media.tracks.len() == 1, options));
        }
        self.forget(media, options);
    }

    fn lock(&self) -> MutexGuard<'_, LruMap<Key, Loaded>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads what a track is, or finds it among what was loaded.
    fn load_track(
        &self,
        track: &Track,
        request: Request<'_>,
    ) -> Result<(Loaded, Vec<Heads>), Error> {
        let Request { options, is_lone, .. } = request;
        if track.location.delivery == Delivery::File {
            let tracks = vec![Located::new(track.kind, track.location.clone())];
            return Ok((Loaded::new(tracks), Vec::new()));
        }
        let key = key(track, is_lone, options);
        let kept = self.lock().get(&key).filter(|kept| kept.since.elapsed() < MAX_AGE).cloned();
        if let Some(kept) = self.lookups.look(kept) {
            return Ok((kept, Vec::new()));
        }
        let located = self.locate(track, request)?;
        let length_timeout =
            if self.inexact.contains(&key) { Duration::ZERO } else { request.length_timeout };
        let sized = in_parallel(located, |located| {
            self.with_lengths(track, located, length_timeout, request.cancel)
        })?;
        let (tracks, heads) = sized.into_iter().unzip();
        let loaded = Loaded::new(tracks);
        if !loaded.tracks.iter().any(|track| track.location.is_live()) {
            if !loaded.is_exact() {
                self.inexact.add(key);
            }
            self.lock().insert(key, loaded.clone(), loaded.memory_size());
        }
        Ok((loaded, heads))
    }

    /// Returns where the segments of a track are, and those of the audio that belongs to it.
    fn locate(&self, track: &Track, request: Request<'_>) -> Result<Vec<Located>, Error> {
        let Track { kind, location, .. } = track;
        let (kind, cancel) = (*kind, request.cancel);
        let mut location = location.clone();
        let hints = match location.delivery.clone() {
            Delivery::Playlist(hints) => hints,
            Delivery::Segments(list) => {
                let list = Arc::unwrap_or_clone(list);
                return Ok(vec![self.complete(kind, location, list, Arc::default(), cancel)?]);
            }
            Delivery::File => return Ok(vec![Located::new(kind, location)]),
        };
        let master = match self.read(kind, &mut location, &hints, cancel)? {
            Playlist::Media(list) => {
                return Ok(vec![self.complete(kind, location, list, hints, cancel)?]);
            }
            Playlist::Master(master) => master,
        };
        let (is_lone, is_audio) = (request.is_lone, kind == TrackKind::Audio);
        let request = FormatRequest {
            quality: if is_audio { Quality::AudioOnly } else { Quality::Best },
            container: request.options.container,
            ..FormatRequest::default()
        };
        let selected = master.select(&request);
        let SelectedPlaylists { video, audio } =
            selected.map_err(|why| Error::Playlist { track: kind, why: why.0.into() })?;
        let hints = Arc::new(master.media_hints(&hints));
        let selected = [(TrackKind::Video, video), (TrackKind::Audio, audio)];
        // Beside other tracks, it is the one that was requested.
        let selected = selected.into_iter().filter(|(own, _)| is_lone || *own == kind);
        let selected = selected.filter_map(|(kind, url)| Some((kind, url?)));
        in_parallel(selected.collect(), |(kind, url)| {
            let mut location = fetch::resource_location(&location, url);
            let Playlist::Media(list) = self.read(kind, &mut location, &hints, cancel)? else {
                let why = "a playlist that lists playlists lists another such one";
                return Err(Error::Playlist { track: kind, why: why.into() });
            };
            self.complete(kind, location, list, hints.clone(), cancel)
        })
    }

    /// Reads the playlist at `location`, which keeps the cookies that come with it.
    fn read(
        &self,
        kind: TrackKind,
        location: &mut RemoteLocation,
        hints: &PlaylistHints,
        cancel: &Arc<CancelToken>,
    ) -> Result<Playlist, Error> {
        let parsed = match &hints.text {
            Some(text) => playlist::parse(text.as_bytes(), &location.url, hints),
            None => {
                let Document { bytes, url, .. } =
                    self.document(kind, location, MAX_SIZE, cancel)?;
                playlist::parse(&bytes, &url, hints)
            }
        };
        parsed.map_err(|error| refused(kind, &error))
    }

    /// Reads a small file at `location`, which keeps the cookies that come with it.
    fn document(
        &self,
        kind: TrackKind,
        location: &mut RemoteLocation,
        limit: usize,
        cancel: &Arc<CancelToken>,
    ) -> Result<Document, Error> {
        let document = fetch::read_document(&self.upstream, location, limit, cancel);
        let mut document = document.map_err(|fault| {
            let fault = fault.of_browsers(location.expects_browser);
            cancelled(cancel, Error::Upstream { track: kind, fault })
        })?;
        add_cookies(&mut location.cookies, std::mem::take(&mut document.cookies));
        Ok(document)
    }

    /// Returns what reads the keys and initialisation segments of the playlist at `base`, which keeps the
    /// cookies that come with them.
    fn resources<'r>(
        &'r self,
        kind: TrackKind,
        base: &'r RefCell<RemoteLocation>,
        cancel: &'r Arc<CancelToken>,
    ) -> impl Fn(Url, usize) -> Result<Vec<u8>, Error> + 'r {
        move |url, limit| {
            let mut location = fetch::resource_location(&base.borrow(), url);
            let document = self.document(kind, &mut location, limit, cancel)?;
            base.borrow_mut().cookies = location.cookies;
            Ok(document.bytes)
        }
    }

    /// Returns the location of a list, with its keys, and with one initialisation segment. Those of a live
    /// stream come later, when it is known where it begins.
    fn complete(
        &self,
        kind: TrackKind,
        location: RemoteLocation,
        mut list: SegmentList,
        hints: Arc<PlaylistHints>,
        cancel: &Arc<CancelToken>,
    ) -> Result<Located, Error> {
        let location = RefCell::new(location);
        if !list.is_live() {
            let read = self.resources(kind, &location, cancel);
            keys::fetch_keys(kind, &mut list, &keys::Keys::new(), &read)?;
            keys::merge_inits(kind, &mut list, &read)?;
        }
        let delivery = Delivery::Segments(Arc::new(list));
        let location = RemoteLocation { delivery, ..location.into_inner() };
        Ok(Located { kind, location, hints })
    }

    /// Returns a location with the lengths of its segments, if they can be found out in time, and their
    /// first bytes.
    fn with_lengths(
        &self,
        track: &Track,
        mut located: Located,
        length_timeout: Duration,
        cancel: &Arc<CancelToken>,
    ) -> Result<(Located, Heads), Error> {
        if length_timeout.is_zero() || located.location.is_live() {
            return Ok((located, Vec::new()));
        }
        let Located { kind, location, .. } = &mut located;
        let (kind, refresh) = (*kind, track.refresh.clone());
        let searched = Track { kind, location: location.clone(), refresh };
        let deadline = Instant::now() + length_timeout;
        let sizes = fetch::find_sizes(&self.upstream, &searched, deadline, cancel);
        let sizes =
            sizes.map_err(|fault| cancelled(cancel, Error::Upstream { track: kind, fault }))?;
        let (Delivery::Segments(list), Some(SegmentSizes { files, heads })) =
            (&mut location.delivery, sizes)
        else {
            return Ok((located, Vec::new()));
        };
        let heads = files.iter().map(|file| file.len).zip(heads).collect();
        Arc::make_mut(list).set_files(files);
        Ok((located, heads))
    }
}

impl fmt::Debug for PlaylistLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the loader of playlists")
    }
}

fn refused(track: TrackKind, error: &PlaylistError) -> Error {
    match error {
        PlaylistError::Drm(_) => unusable(track, InputError::Encrypted),
        PlaylistError::NotPlaylist => {
            unusable(track, InputError::NotMedia("it is no HLS playlist"))
        }
        error => Error::Playlist { track, why: error.to_string() },
    }
}

fn unusable(track: TrackKind, reason: InputError) -> Error {
    Error::Unusable { track, reason }
}

/// Returns the error, unless the download was cancelled, which may have caused it.
fn cancelled(cancel: &CancelToken, error: Error) -> Error {
    match &error {
        Error::Upstream { fault: UpstreamError::AddressRefused(_), .. } => error,
        _ if cancel.is_cancelled() => Error::Stopped,
        _ => error,
    }
}

//! What tracks turned out to be.

use std::sync::Arc;
use std::time::Instant;

use ring::digest::{Context, SHA256};

use crate::media::{Delivery, PlaylistHints, RemoteLocation, Track, TrackKind};
use crate::options::OutputOptions;

/// What a track was loaded for: itself, and how.
pub(super) type Key = [u8; 32];

/// Where the segments of a track are.
#[derive(Clone)]
pub(super) struct Located {
    pub(super) kind: TrackKind,
    pub(super) location: RemoteLocation,
    /// What is known of its playlist.
    pub(super) hints: Arc<PlaylistHints>,
}

/// What a track turned out to be.
#[derive(Clone)]
pub(super) struct Loaded {
    /// It, and the track that its playlist names beside it.
    pub(super) tracks: Vec<Located>,
    pub(super) since: Instant,
}

impl Located {
    pub(super) fn new(kind: TrackKind, location: RemoteLocation) -> Located {
        Located { kind, location, hints: Arc::default() }
    }
}

impl Loaded {
    pub(super) fn new(tracks: Vec<Located>) -> Loaded {
        Loaded { tracks, since: Instant::now() }
    }

    /// Returns whether the lengths of all segments are known.
    pub(super) fn is_exact(&self) -> bool {
        self.tracks.iter().all(|track| match &track.location.delivery {
            Delivery::Segments(list) => list.files.is_some(),
            Delivery::File | Delivery::Playlist(_) => true,
        })
    }

    pub(super) fn memory_size(&self) -> usize {
        self.tracks.iter().map(|track| track.location.memory_size()).sum()
    }
}

/// Returns the key of what a track turns out to be.
pub(super) fn key(track: &Track, is_lone: bool, options: &OutputOptions) -> Key {
    let mut context = Context::new(&SHA256);
    let mut add = |bytes: &[u8]| {
        context.update(&bytes.len().to_be_bytes());
        context.update(bytes);
    };
    add(track.kind.as_str().as_bytes());
    add(&[is_lone.into()]);
    add(format!("{:?} {:?}", options.container, options.length).as_bytes());
    track.location.identify(&mut add);
    let mut key = [0; 32];
    key.copy_from_slice(context.finish().as_ref());
    key
}

/// Returns a location as if nothing were known of the lengths of its segments.
pub(super) fn without_lengths(mut location: RemoteLocation) -> RemoteLocation {
    if let Delivery::Segments(list) = &mut location.delivery {
        Arc::make_mut(list).files = None;
    }
    location
}

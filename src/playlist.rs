//! Playlists of HTTP Live Streaming: RFC 8216, and its second edition (draft-pantos-hls-rfc8216bis) where
//! it defines more. Pure: bytes in, segments or variant streams out.
//!
//! Every tag that decides which bytes are media, or how to decrypt them, is obeyed or refused by name;
//! unknown tags are ignored (§6.3.1).
//!
//! **Invariant:** nothing in a playlist is trusted. Memory is bounded by the limits here and never by a
//! number that a playlist claims; all its URLs are http or https.
//!
//! **API boundary:** [`parse`], and [`MasterPlaylist::select`] for what it returns.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use flate2::read::GzDecoder;
use url::Url;

use crate::media::PlaylistHints;
use crate::media::segments::SegmentList;

mod attributes;
mod context;
mod date;
mod keys;
mod lines;
mod master;
mod media;
mod select;
mod variables;

use context::Context;
pub use keys::{initialisation_vector, inline_data};
use lines::{Line, lines};
pub use master::{AudioRendition, MasterPlaylist, VariantStream};
pub use select::SelectedPlaylists;

/// Maximum size of a playlist, inflated.
pub const MAX_SIZE: usize = 8 << 20;
/// Maximum number of segments.
pub const MAX_SEGMENTS: usize = 20_000;
/// Maximum number of hosts that serve the segments and keys of one playlist.
pub const MAX_HOSTS: usize = 4;

/// A playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Playlist {
    /// Lists playlists.
    Master(MasterPlaylist),
    /// Lists segments.
    Media(SegmentList),
}

/// Why a playlist cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaylistError {
    /// The bytes are no playlist.
    NotPlaylist,
    /// The media is protected, by this method or key format.
    Drm(String),
    /// The playlist lists segments that its server lacks (EXT-X-GAP).
    Gap,
    /// The playlist depends on this, which is not supported.
    Unsupported(String),
    /// The playlist violates the standard, in this way.
    Invalid(String),
    /// The playlist exceeds this limit.
    LimitExceeded(String),
}

/// Parses a playlist that was received from `base`, the URL behind all redirects.
pub fn parse(bytes: &[u8], base: &Url, hints: &PlaylistHints) -> Result<Playlist, PlaylistError> {
    let bytes = inflated(bytes)?;
    if bytes.len() > MAX_SIZE {
        return Err(too_long());
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_start_matches('\u{feff}');
    if !is_playlist(text.as_bytes()) {
        return Err(PlaylistError::NotPlaylist);
    }
    let has = |names: &[&str]| {
        lines(text).any(|line| matches!(line, Line::Tag(name, _) if names.contains(&name)))
    };
    let is_master = has(&["EXT-X-STREAM-INF", "EXT-X-MEDIA"]);
    let is_media = has(&["EXT-X-TARGETDURATION"]);
    let context = Context::new(base, hints);
    match (is_master, is_media) {
        (true, false) => master::read(text, context).map(Playlist::Master),
        (false, true) => media::read(text, context).map(Playlist::Media),
        (true, true) => Err(invalid("it lists both segments and other playlists")),
        // A list of files, such as songs, has no such tag.
        (false, false) => Err(PlaylistError::NotPlaylist),
    }
}

/// Returns whether a resource with these first bytes is a playlist, whatever its media type.
pub fn is_playlist(first_bytes: &[u8]) -> bool {
    let bytes = first_bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first_bytes);
    bytes.strip_prefix(b"#EXTM3U").is_some_and(|rest| {
        rest.first().is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b',')
    })
}

/// Returns whether a resource with these first bytes is compressed, by gzip (RFC 1952 §2.3.1).
pub fn is_gzip(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(&[0x1f, 0x8b, 8])
}

/// Inflates what is compressed. Some servers store playlists compressed, and do not say so.
fn inflated(bytes: &[u8]) -> Result<Cow<'_, [u8]>, PlaylistError> {
    if !is_gzip(bytes) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut output = Vec::new();
    let mut decoder = GzDecoder::new(bytes).take(MAX_SIZE as u64 + 1);
    let inflated = decoder.read_to_end(&mut output);
    inflated.map_err(|_| invalid("its compressed data is damaged"))?;
    Ok(Cow::Owned(output))
}

fn too_long() -> PlaylistError {
    PlaylistError::LimitExceeded(format!("it is longer than {} MiB", MAX_SIZE >> 20))
}

fn invalid(problem: impl Into<String>) -> PlaylistError {
    PlaylistError::Invalid(problem.into())
}

impl fmt::Display for PlaylistError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlaylistError::NotPlaylist => f.write_str("it is no playlist: #EXTM3U is missing"),
            PlaylistError::Drm(system) => write!(f, "the media is protected by DRM ({system})"),
            PlaylistError::Gap => f.write_str("the playlist has missing segments (EXT-X-GAP)"),
            PlaylistError::Unsupported(what) => {
                write!(f, "the playlist needs what is not supported: {what}")
            }
            PlaylistError::Invalid(problem) => write!(f, "the playlist is invalid: {problem}"),
            PlaylistError::LimitExceeded(limit) => {
                write!(f, "the playlist exceeds a limit: {limit}")
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Reads the bytes of one track from its upstream, whatever the network does.
//!
//! A [`PendingReader`] has requested the first bytes of a track. With the first response it becomes
//! a [`TrackReader`]. A track is one file, or segments that are read as if they were one.
//!
//! A file is requested by byte ranges of bounded length; the next one is requested while the last is
//! still arriving. A transfer that breaks is resumed at the exact byte.
//!
//! | part | what it holds |
//! |---|---|
//! | `pending_file`, `file_reader` | reads one file |
//! | `segment_reader`, `segment_source` | reads segments, each as a file, the next one requested ahead |
//! | `decrypt` | decrypts segments |
//! | `segment_starts` | where segments begin in the file that they are |
//! | `segment_refresh` | fresh URLs of segments |
//! | `follow` | when the list of a live stream is loaded again |
//! | `sizes` | finds out how long segments are |
//! | `document` | reads a small file: a playlist, a key |
//! | `target` | where requests go: location, refresh, redirects |
//! | `entity` | which file it is, and what proves that |
//! | `cursor` | which range is read, and how far |
//! | `sizing` | how much is requested, and how early |
//! | `prefetch` | what was requested ahead |
//! | `retry`, `fallback` | what was tried after a fault, and what may be tried yet |
//! | `requester` | these parts together make the requests |
//! | `integrity` | compares bytes where no validator proves the file |
//!
//! **Invariant:** a transfer resumes only if the upstream proves that it still serves the same
//! file; otherwise the track fails.
//!
//! **API boundary:** nothing here knows containers, ffmpeg or the client.

mod begun_segments;
mod cursor;
mod decrypt;
mod document;
mod entity;
mod fallback;
mod file_reader;
mod fingerprint;
mod first_response;
mod follow;
mod integrity;
mod pace;
mod pending_file;
mod prefetch;
mod requester;
mod retry;
mod retry_budget;
mod segment_reader;
mod segment_refresh;
mod segment_source;
mod segment_starts;
mod sizes;
mod sizing;
mod target;
mod throughput;
mod track_reader;

pub use begun_segments::{Discontinuity, SegmentStart};
pub use decrypt::{RangeDecryption, encrypted_range};
pub use document::{Document, read_document};
pub use segment_refresh::resource_location;
pub use sizes::{SegmentSizes, find_sizes};
pub use sizing::first_request_size;
pub use track_reader::{PendingReader, TrackReader};

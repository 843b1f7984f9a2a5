//! Reads the bytes of one track from its upstream, whatever the network does.
//!
//! A [`PendingReader`] has requested the first bytes of a track. With the first response it becomes
//! a [`TrackReader`], which requests byte ranges of bounded length and prefetches the next one
//! while the last is still arriving. A transfer that breaks is resumed at the exact byte.
//!
//! | part | what it holds |
//! |---|---|
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

mod cursor;
mod entity;
mod fallback;
mod fingerprint;
mod first_response;
mod integrity;
mod pending;
mod prefetch;
mod reader;
mod requester;
mod retry;
mod retry_budget;
mod sizing;
mod target;
mod throughput;

pub use pending::PendingReader;
pub use reader::TrackReader;
pub use sizing::FIRST_REQUEST_SIZE;

//! MPEG transport streams (ISO/IEC 13818-1): packets, the tables that list the streams, and the frames of
//! elementary streams. Pure.
//!
//! A [`Demuxer`] takes packets and returns the bytes of the selected streams. [`VideoUnits`] and
//! [`AudioFrames`] find the frames in them, whatever packets they are spread over.
//!
//! **Invariant:** nothing is allocated by a length that a stream claims; a frame that is longer than
//! [`MAX_UNIT`], missing packets, and frames without a known time are errors, never omitted silently.

mod audio;
mod avc;
mod bits;
mod demuxer;
mod hevc;
mod nal;
pub mod packet;
pub mod pes;
pub mod psi;
#[cfg(test)]
mod tests;
mod video;

pub use audio::{AudioConfig, AudioFrame, AudioFrames};
pub use demuxer::{Demuxer, Event};
pub use packet::{PACKET_SIZE, Packet};
pub use pes::PesHeader;
pub use psi::{ElementaryStream, Program, StreamKind, Tables};
pub use video::{Times, VideoConfig, VideoUnit, VideoUnits};

/// The maximum length of a frame.
pub const MAX_UNIT: usize = 8 << 20;

/// The error that a stream is damaged, or is not what was expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl Malformed {
    /// The error that the media is scrambled.
    pub const SCRAMBLED: Malformed = Malformed("the media is scrambled");
}

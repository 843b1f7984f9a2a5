//! MPEG transport streams (ISO/IEC 13818-1): packets, the tables that list the streams, and the frames of
//! elementary streams. Pure.
//!
//! A [`Demuxer`] takes packets and returns the bytes of the selected streams. [`VideoUnits`] and
//! [`AudioFrames`] find the frames in them, whatever packets they are spread over. [`PackedAudio`] is what
//! HLS has of audio without packets.
//!
//! **Invariant:** nothing is allocated by a length that a stream claims; a frame that is longer than
//! [`MAX_UNIT`], missing packets, and frames without a known time are errors, never omitted silently.

mod audio;
mod avc;
mod bits;
mod demuxer;
mod hevc;
mod nal;
mod packed;
pub mod packet;
pub mod pes;
pub mod psi;
#[cfg(test)]
mod tests;
mod video;

use std::time::Duration;

pub use audio::{AudioConfig, AudioFrame, AudioFrames};
pub use demuxer::{Demuxer, Event};
pub use packed::{PackedAudio, timestamp as packed_timestamp};
pub use packet::{PACKET_SIZE, Packet, SYNC_BYTE};
pub use pes::PesHeader;
pub use psi::{ElementaryStream, Program, StreamKind, Tables};
pub use video::{Times, VideoConfig, VideoUnit, VideoUnits};

/// Returns the duration of a number of ticks of a transport stream.
pub fn duration(ticks: u64) -> Duration {
    let (seconds, rest) = (ticks / pes::TICKS_PER_SECOND, ticks % pes::TICKS_PER_SECOND);
    Duration::new(seconds, (rest * 1_000_000_000 / pes::TICKS_PER_SECOND) as u32)
}

/// Returns the number of ticks of a transport stream in a duration, rounded.
pub fn ticks(duration: Duration) -> u64 {
    let nanos = duration.as_nanos() * u128::from(pes::TICKS_PER_SECOND);
    u64::try_from((nanos + 500_000_000) / 1_000_000_000).unwrap_or(u64::MAX >> 1)
}

/// The maximum length of a frame.
pub const MAX_UNIT: usize = 8 << 20;

/// The error that a stream is damaged, or is not what was expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl Malformed {
    /// The error that the media is scrambled.
    pub const SCRAMBLED: Malformed = Malformed("the media is scrambled");
}

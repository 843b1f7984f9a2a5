//! Files of audio alone: what audio is encoded to, how long the encoded file is, and what stands in front of it:
//! headers, tags, a cover. Pure.
//!
//! **Invariant:** a length depends on the number of samples, the encoding and the tags alone.

pub mod encoding;
mod exact;
mod flac;
mod id3;
mod mp3;
mod vorbis_comment;
mod wav;

pub use exact::{ExactLayout, SampleRange};
pub use flac::with_tags as flac_with_tags;
pub use id3::tag as id3_tag;
pub use mp3::Mp3Encoding;
pub use vorbis_comment::metadata_file;
pub use wav::with_tags as wav_with_tags;

//! Puts a tag in front of an MP3 without one: nothing else changes, so that the length is exact.
//!
//! **Invariant:** the end of the file was seen to be that of a frame. A file that may lack its end is passed through,
//! where its frames are followed.

use super::layout::Rewriter;
use super::{Layout, Options, Plan, ReadAt, SurveyError, Unsupported};
use crate::audio;
use crate::container::Container;
use crate::container::probe::mpeg_frame_len;
use crate::options::ContainerChoice;

/// How much of the end is searched for frames: a dozen of the longest ones.
const TAIL: u64 = 16 << 10;
/// The length of an ID3v1 tag, which may stand at the end (id3.org).
const ID3V1_LEN: usize = 128;
/// The number of frames that prove the end.
const FRAMES: usize = 3;

/// An MP3 file without a tag in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frames {
    len: u64,
}

/// Reads the end of an MP3.
pub fn read_frames(reader: &mut dyn ReadAt) -> Result<Frames, SurveyError> {
    let len = reader.len();
    let front = reader.read_at(0..len.min(4))?;
    if mpeg_frame_len(&front).is_none() {
        return Err(Unsupported("the file has a tag of its own").into());
    }
    let tail = reader.read_at(len.saturating_sub(TAIL)..len)?;
    if !ends_with_frames(&tail) {
        return Err(Unsupported("the file does not end with a frame").into());
    }
    Ok(Frames { len })
}

/// Returns whether the bytes end with frames of MPEG audio, one after the other.
fn ends_with_frames(tail: &[u8]) -> bool {
    let before_tag = tail.len().saturating_sub(ID3V1_LEN);
    let tail = if tail[before_tag..].starts_with(b"TAG") { &tail[..before_tag] } else { tail };
    let frames_from = |from: usize| {
        let (mut at, mut count) = (from, 0);
        while let Some(len) = tail.get(at..).and_then(mpeg_frame_len).filter(|len| *len > 0) {
            (at, count) = (at + len, count + 1);
        }
        (at == tail.len()).then_some(count)
    };
    (0..tail.len()).filter(|at| tail[*at] == 0xff).find_map(frames_from) >= Some(FRAMES)
}

pub(super) fn plan(frames: Frames, options: &Options<'_>) -> Result<Plan, Unsupported> {
    if options.container != ContainerChoice::Mp3 {
        return Err(super::OTHER_CONTAINER);
    }
    let mut layout = Layout::with_capacity(1);
    layout.add(0, 0..frames.len);
    let head = audio::id3_tag(options.metadata);
    Ok(layout.plan(head, Container::Mp3, std::time::Duration::ZERO, Rewriter::None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_frames_up_to_the_end_are_the_end() {
        // 128 kbit/s at 44.1 kHz.
        let frame = [&[0xff, 0xfb, 0x90, 0x00][..], &[0x55; 413]].concat();
        let frames = [&[1, 2, 0xff, 3][..], &frame.repeat(4)].concat();
        assert!(ends_with_frames(&frames));
        assert!(!ends_with_frames(&frames[..frames.len() - 1]));
        assert!(!ends_with_frames(&frame.repeat(2)));
        assert!(!ends_with_frames(&[]));
        let tag = [&b"TAG"[..], &[0; 125]].concat();
        assert!(ends_with_frames(&[&frames[..], &tag].concat()));
    }
}

//! Audio without a container: frames that declare their lengths, and the length of all of them, which
//! the first frame of an MP3 file may declare (Xing and VBRI header).

use super::{Structure, Unit};
use crate::container::probe::{self, Format};

/// The number of bytes that suffice to know the length of a frame.
const HEADER: usize = 10;

pub(super) struct Frames {
    frame_len: fn(&[u8]) -> Option<usize>,
    /// Whether the first frame of an MP3 file is still to come.
    is_first: bool,
    min_len: u64,
}

impl Frames {
    pub(super) fn new(format: Format) -> Frames {
        let frame_len = match format {
            Format::Adts => probe::adts_frame_len,
            Format::Ac3 | Format::Eac3 => probe::ac3_frame_len,
            _ => probe::mpeg_frame_len,
        };
        Frames { frame_len, is_first: format == Format::Mp3, min_len: 0 }
    }
}

impl Structure for Frames {
    fn unit(&mut self, offset: u64, bytes: &[u8]) -> Unit {
        let Some(header) = bytes.get(..HEADER) else { return Unit::NeedMore };
        if let Some(len) = id3_len(header) {
            return Unit::Len(len);
        }
        let Some(len) = (self.frame_len)(bytes).filter(|len| *len >= HEADER) else {
            return Unit::Open;
        };
        if self.is_first {
            let Some(frame) = bytes.get(..len.min(SUMMARY_LEN)) else { return Unit::NeedMore };
            self.is_first = false;
            self.min_len = declared_len(frame).map_or(0, |len| offset.saturating_add(len.into()));
        }
        Unit::Len(len as u64)
    }

    fn min_len(&self) -> u64 {
        self.min_len
    }

    fn is_begun(&self, header: &[u8]) -> bool {
        matches!(header.first(), Some(0xff | b'I' | 0x0b))
    }
}

/// Returns the length of an ID3v2 tag (§3.1), header and footer included.
pub(in crate::container) fn id3_len(header: &[u8]) -> Option<u64> {
    let [b'I', b'D', b'3', _, _, flags, size @ ..] = header else { return None };
    let size =
        size.first_chunk::<4>()?.iter().fold(0, |len, byte| len << 7 | u64::from(byte & 127));
    Some(size + if flags & 0x10 == 0 { 10 } else { 20 })
}

/// How much of the first frame may hold a summary: 36 bytes, and the header after them.
const SUMMARY_LEN: usize = 56;

/// Returns the length of all frames, if the first one declares it.
fn declared_len(frame: &[u8]) -> Option<u32> {
    let u32_at = |at: usize| Some(u32::from_be_bytes(*frame.get(at..)?.first_chunk()?));
    if frame.get(36..40) == Some(b"VBRI") {
        return u32_at(46);
    }
    // After the header and the side information, whose length depends on version and channels.
    let at = [13, 21, 36]
        .into_iter()
        .find(|at| matches!(frame.get(*at..at + 4), Some(b"Xing" | b"Info")))?;
    let has = u32_at(at + 4)?;
    if has & 2 == 0 {
        return None;
    }
    u32_at(if has & 1 == 0 { at + 8 } else { at + 12 })
}

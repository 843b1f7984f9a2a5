//! Flash video: tags that declare their lengths (Adobe's specification, annex E).

use super::{Structure, Unit};

#[derive(Debug, Default)]
pub(super) struct Flv {
    is_open: bool,
}

impl Structure for Flv {
    fn unit(&mut self, _: u64, bytes: &[u8]) -> Unit {
        if !self.is_open {
            let Some(len) = bytes.get(5..9).and_then(|len| len.first_chunk()) else {
                return Unit::NeedMore;
            };
            self.is_open = true;
            let len = u64::from(u32::from_be_bytes(*len));
            // The header has nine bytes, and a size of no tag behind it.
            return if len < 9 { Unit::Open } else { Unit::Len(len + 4) };
        }
        // Audio, video or script data; its length; and after the data the length of the tag.
        let Some([kind, a, b, c]) = bytes.first_chunk() else { return Unit::NeedMore };
        match kind & 0x1f {
            8 | 9 | 18 => Unit::Len(u64::from(u32::from_be_bytes([0, *a, *b, *c])) + 11 + 4),
            _ => Unit::Open,
        }
    }
}

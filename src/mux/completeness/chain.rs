//! Files of units that each tell their length and nothing else: the tags of Flash video (Adobe's
//! specification, annex E), and the chunks of AIFF.

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
            return Unit::Len(u64::from(u32::from_be_bytes(*len)).saturating_add(4));
        }
        // Sound, picture or script data; then its length, and behind it that of all of the tag.
        let Some([kind, a, b, c]) = bytes.first_chunk() else { return Unit::NeedMore };
        match kind & 0x1f {
            8 | 9 | 18 => Unit::Len(u64::from(u32::from_be_bytes([0, *a, *b, *c])) + 11 + 4),
            _ => Unit::Open,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Aiff {
    is_open: bool,
    /// A chunk of an odd length is followed by a byte that may be missing at the end.
    pad: bool,
}

impl Structure for Aiff {
    fn unit(&mut self, _: u64, bytes: &[u8]) -> Unit {
        if !self.is_open {
            self.is_open = true;
            return Unit::Len(12);
        }
        if std::mem::take(&mut self.pad) {
            return Unit::Len(1);
        }
        let Some((kind, size)) = bytes.split_first_chunk::<4>() else { return Unit::NeedMore };
        let Some(size) = size.first_chunk() else { return Unit::NeedMore };
        let size = u32::from_be_bytes(*size);
        let is_unknown = kind == b"SSND" && (size == 0 || size >= 0x7fff_f000);
        if is_unknown || !kind.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return Unit::Open;
        }
        self.pad = size % 2 == 1;
        Unit::Len(u64::from(size) + 8)
    }
}

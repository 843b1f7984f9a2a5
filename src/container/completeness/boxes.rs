//! ISO base media files: boxes (ISO/IEC 14496-12 §4.2), and the lengths of fragments in an index
//! (sidx, §8.16.3).

use super::{Incomplete, Structure, Unit};
use crate::container::isobmff::sidx::{REFERENCE_LEN, Reference, SegmentIndex, fixed_len};
use crate::container::isobmff::{Header, header};

#[derive(Debug, Default)]
pub(super) struct Boxes {
    has_moov: bool,
    has_media: bool,
    /// Whether a moof was seen, but not yet its media data.
    awaits_media: bool,
    /// The number of references of a sidx that are still to come, and the end of those before them.
    references: u16,
    referenced: u64,
    min_len: u64,
}

impl Structure for Boxes {
    fn unit(&mut self, offset: u64, bytes: &[u8]) -> Unit {
        if self.references > 0 {
            return self.reference(bytes);
        }
        let Some(Header { kind, header, len }) = header(bytes) else {
            return if bytes.len() < 16 { Unit::NeedMore } else { Unit::Open };
        };
        // Appended data that is no box.
        if !kind.iter().all(|byte| matches!(byte, b' '..=b'~' | 0xa9)) {
            return Unit::Open;
        }
        match &kind {
            b"moov" => self.has_moov = true,
            b"moof" => self.awaits_media = true,
            b"mdat" => (self.has_media, self.awaits_media) = (true, false),
            b"sidx" => return self.sidx(offset, header, len, bytes),
            _ => {}
        }
        len.map_or(Unit::Open, Unit::Len)
    }

    fn min_len(&self) -> u64 {
        self.min_len
    }

    fn end(&self) -> Result<(), Incomplete> {
        match self {
            Boxes { awaits_media: true, .. } => Err(Incomplete("the file ends within a fragment")),
            Boxes { has_moov: true, has_media: false, .. } => {
                Err(Incomplete("the file ends before its media data (mdat)"))
            }
            Boxes { has_moov: false, has_media: true, .. } => {
                Err(Incomplete("the file ends before its index (moov)"))
            }
            _ => Ok(()),
        }
    }
}

impl Boxes {
    /// Parses the fields of a sidx before its references, which are treated as units of their own.
    fn sidx(&mut self, offset: u64, header: usize, len: Option<u64>, bytes: &[u8]) -> Unit {
        let Some(len) = len else { return Unit::Open };
        let payload = &bytes[header..];
        let Some(fixed) = fixed_len(payload).map(|fixed| header + fixed) else {
            return if len == header as u64 { Unit::Len(len) } else { Unit::NeedMore };
        };
        if len < fixed as u64 {
            return Unit::Len(len);
        }
        let Some(index) = SegmentIndex::read(payload) else { return Unit::NeedMore };
        let first = offset.checked_add(len).and_then(|end| end.checked_add(index.first_offset));
        let references_len = u64::from(index.count) * REFERENCE_LEN as u64;
        let Some(first) = first.filter(|_| len == fixed as u64 + references_len) else {
            return Unit::Len(len);
        };
        (self.references, self.referenced) = (index.count, first);
        Unit::Len(fixed as u64)
    }

    fn reference(&mut self, bytes: &[u8]) -> Unit {
        let Some(entry) = bytes.first_chunk() else { return Unit::NeedMore };
        self.referenced = self.referenced.saturating_add(Reference::read(entry).len.into());
        self.references -= 1;
        if self.references == 0 {
            self.min_len = self.min_len.max(self.referenced);
        }
        Unit::Len(REFERENCE_LEN as u64)
    }
}

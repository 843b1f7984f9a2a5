//! ISO base media files: boxes (ISO/IEC 14496-12 §4.2), and the lengths of fragments in an index
//! (sidx, §8.16.3).

use super::{Incomplete, Structure, Unit};
use crate::container::isobmff::{Header, header, u32_at, u64_at};

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
        let before = header + if bytes.get(header) == Some(&0) { 24 } else { 32 };
        if len < before as u64 {
            return Unit::Len(len);
        }
        let Some(fields) = bytes.get(header..before) else { return Unit::NeedMore };
        let count = u16::from_be_bytes([fields[fields.len() - 2], fields[fields.len() - 1]]);
        let first_offset = match fields[0] {
            0 => u32_at(fields, 16).map(u64::from),
            _ => u64_at(fields, 20),
        };
        let first = first_offset.and_then(|first| offset.checked_add(len)?.checked_add(first));
        let Some(first) = first.filter(|_| len == before as u64 + u64::from(count) * 12) else {
            return Unit::Len(len);
        };
        (self.references, self.referenced) = (count, first);
        Unit::Len(before as u64)
    }

    fn reference(&mut self, bytes: &[u8]) -> Unit {
        let Some(entry) = bytes.get(..12) else { return Unit::NeedMore };
        let size = u32_at(entry, 0).unwrap_or(0) & 0x7fff_ffff;
        self.referenced = self.referenced.saturating_add(size.into());
        self.references -= 1;
        if self.references == 0 {
            self.min_len = self.min_len.max(self.referenced);
        }
        Unit::Len(12)
    }
}

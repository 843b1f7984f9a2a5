//! Reads segment indexes (sidx, ISO/IEC 14496-12 §8.16.3).

use super::{u32_at, u64_at};

/// The length of a reference.
pub const REFERENCE_LEN: usize = 12;

/// A segment index, of which possibly only the first references are available.
#[derive(Debug, Clone, Copy)]
pub struct SegmentIndex<'a> {
    /// reference_ID: the track of the segments.
    pub track: u32,
    /// Ticks per second.
    pub timescale: u32,
    /// The earliest presentation time.
    pub earliest: u64,
    /// The distance from the end of the index to the first segment.
    pub first_offset: u64,
    /// The number of references.
    pub count: u16,
    /// The available bytes from the first reference on.
    entries: &'a [u8],
}

/// A reference to a segment or to another index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Whether it refers to another index.
    pub is_index: bool,
    /// The length in bytes.
    pub len: u32,
    /// The duration in ticks.
    pub duration: u32,
    /// Whether decoding can begin at the start of the segment.
    pub is_entry: bool,
}

/// Returns the length of the fields before the references; `None` if the version is not available.
pub fn fixed_len(payload: &[u8]) -> Option<usize> {
    Some(if *payload.first()? == 0 { 24 } else { 32 })
}

impl<'a> SegmentIndex<'a> {
    /// Reads a payload, of which the fields before the references must be available.
    pub fn read(payload: &'a [u8]) -> Option<SegmentIndex<'a>> {
        let (earliest, first_offset) = match payload.first()? {
            0 => (u32_at(payload, 12)?.into(), u32_at(payload, 16)?.into()),
            _ => (u64_at(payload, 12)?, u64_at(payload, 20)?),
        };
        let (fixed, entries) = payload.split_at_checked(fixed_len(payload)?)?;
        Some(SegmentIndex {
            track: u32_at(payload, 4)?,
            timescale: u32_at(payload, 8)?,
            earliest,
            first_offset,
            count: u16::from_be_bytes(*fixed.last_chunk()?),
            entries,
        })
    }

    /// Returns whether the box consists of all its references and nothing else.
    pub fn is_complete(&self) -> bool {
        self.entries.len() == usize::from(self.count) * REFERENCE_LEN
    }

    /// Iterates over the available references.
    pub fn references(&self) -> impl ExactSizeIterator<Item = Reference> + 'a {
        let (entries, _) = self.entries.as_chunks();
        entries.iter().take(self.count.into()).map(Reference::read)
    }
}

impl Reference {
    /// Reads the bytes of a reference.
    pub fn read(bytes: &[u8; REFERENCE_LEN]) -> Reference {
        let [sized, duration, sap] = [0, 4, 8].map(|at| u32_at(bytes, at).unwrap_or_default());
        // Decoding can begin at SAP types 1 to 3 (Annex I).
        let sap = sap >> 28;
        let is_entry = sap & 8 != 0 && (1..=3).contains(&(sap & 7));
        // Some writers leave the type at 0, for "unknown".
        let is_entry = is_entry || sap == 8;
        Reference { is_index: sized >> 31 == 1, len: sized & 0x7fff_ffff, duration, is_entry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_both_widths() {
        let be = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<_>>();
        let rest = be(&[2, 1 << 31 | 400, 2000, 0, 300, 1500, 9 << 28]);
        let narrow = be(&[0, 7, 1000, 5, 6]);
        let wide = be(&[1 << 24, 7, 1000, 0, 5, 0, 6]);
        for fixed in [narrow, wide] {
            let payload = [&fixed[..], &rest].concat();
            let index = SegmentIndex::read(&payload).unwrap();
            let fields = (index.track, index.timescale, index.earliest, index.first_offset);
            assert_eq!((fields, index.count), ((7, 1000, 5, 6), 2));
            assert!(index.is_complete());
            let references: Vec<_> = index.references().collect();
            let first = Reference { is_index: true, len: 400, duration: 2000, is_entry: false };
            let second = Reference { is_index: false, len: 300, duration: 1500, is_entry: true };
            assert_eq!(references, [first, second]);
            let cut = SegmentIndex::read(&payload[..payload.len() - 1]).unwrap();
            assert!(!cut.is_complete());
            assert_eq!(cut.references().len(), 1);
            assert!(SegmentIndex::read(&payload[..fixed_len(&payload).unwrap() - 1]).is_none());
        }
    }
}

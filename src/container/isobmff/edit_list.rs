//! Reads edit lists (elst, ISO/IEC 14496-12 §8.6.6), which map the media of a track to presentation time.

use super::{u32_at, u64_at};

/// One entry of an edit list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edit {
    /// segment_duration, in the movie timescale.
    pub segment: u64,
    /// Start in the media, in the media timescale; -1 for an empty edit.
    pub media_time: i64,
    /// media_rate, as a fixed-point number (16.16).
    pub rate: u32,
}

/// The media_rate 1.0.
pub const NORMAL_RATE: u32 = 0x1_0000;

/// An edit list, of which possibly only the beginning is available.
#[derive(Debug, Clone, Copy)]
pub struct EditList<'a> {
    /// The number of edits.
    pub count: u32,
    is_64_bit: bool,
    entries: &'a [u8],
}

impl<'a> EditList<'a> {
    /// Reads the payload of an elst.
    pub fn read(elst: &'a [u8]) -> Option<EditList<'a>> {
        let is_64_bit = match elst.first()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some(EditList { count: u32_at(elst, 4)?, is_64_bit, entries: &elst[8..] })
    }

    /// Iterates over the available edits.
    pub fn edits(self) -> impl Iterator<Item = Edit> + 'a {
        let entries = self.entries.chunks_exact(if self.is_64_bit { 20 } else { 12 });
        let edit = move |entry| match self.is_64_bit {
            false => Some(Edit {
                segment: u32_at(entry, 0)?.into(),
                media_time: u32_at(entry, 4)?.cast_signed().into(),
                rate: u32_at(entry, 8)?,
            }),
            true => Some(Edit {
                segment: u64_at(entry, 0)?,
                media_time: u64_at(entry, 8)?.cast_signed(),
                rate: u32_at(entry, 16)?,
            }),
        };
        entries.take(usize::try_from(self.count).unwrap_or(usize::MAX)).filter_map(edit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_of_both_widths() {
        let narrow = [0, 2, 600, u32::MAX, NORMAL_RATE, 9000, 1024, NORMAL_RATE, 5];
        let narrow = narrow.map(u32::to_be_bytes).concat();
        let edits = [
            Edit { segment: 600, media_time: -1, rate: NORMAL_RATE },
            Edit { segment: 9000, media_time: 1024, rate: NORMAL_RATE },
        ];
        let list = EditList::read(&narrow).unwrap();
        assert_eq!((list.count, list.edits().collect::<Vec<_>>()), (2, edits.to_vec()));
        assert_eq!(EditList::read(&narrow[..30]).unwrap().edits().count(), 1, "truncated");
        let wide = [1 << 24, 1, 0, 600, u32::MAX, u32::MAX, NORMAL_RATE];
        let wide = wide.map(u32::to_be_bytes).concat();
        assert_eq!(EditList::read(&wide).unwrap().edits().collect::<Vec<_>>(), edits[..1]);
        assert!(EditList::read(&[2; 40]).is_none());
    }
}

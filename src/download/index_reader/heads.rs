//! The first bytes of the segments of a track, which came when their lengths were asked for: the index of
//! each segment is mostly among them, so that it need not be requested again.

use std::ops::Range;

/// Bytes of a file, in the order of their offsets.
#[derive(Debug, Default)]
pub(in crate::download) struct SegmentHeads(Vec<(u64, Vec<u8>)>);

impl SegmentHeads {
    /// Takes the lengths of segments, and their first bytes.
    pub(in crate::download) fn new(segments: Vec<(u64, Vec<u8>)>) -> Self {
        let mut offset = 0;
        let heads = segments.into_iter().map(|(len, head)| {
            offset += len;
            (offset - len, head)
        });
        SegmentHeads(heads.collect())
    }

    /// Returns how many bytes they are.
    pub(super) fn memory_size(&self) -> u64 {
        self.0.iter().map(|(_, head)| head.len() as u64 + 32).sum()
    }

    /// Returns the end of the bytes around `at`; 0 if there are none.
    pub(super) fn end_around(&self, at: u64) -> u64 {
        let head = self.0[..self.0.partition_point(|(offset, _)| *offset <= at)].last();
        let end = head.map(|(offset, head)| offset + head.len() as u64);
        end.filter(|end| *end > at).unwrap_or(0)
    }

    /// Returns the bytes of a range that lies in them.
    pub(super) fn get(&self, range: &Range<u64>) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut at = range.start;
        let first = self.0.partition_point(|(offset, _)| *offset <= at).checked_sub(1)?;
        for (offset, head) in &self.0[first..] {
            let from = usize::try_from(at.checked_sub(*offset)?).ok()?;
            let to = usize::try_from(range.end - offset).ok()?.min(head.len());
            bytes.extend(head.get(from..to).filter(|found| !found.is_empty())?);
            at = offset + to as u64;
            if at == range.end {
                return Some(bytes);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_found_in_one_head_or_in_adjacent_ones() {
        let segments = [(3, "abc"), (10, "defgh"), (10, "ijk")];
        let segments = segments.map(|(len, head)| (len, head.as_bytes().to_vec()));
        let heads = SegmentHeads::new(segments.into());
        let get = |range: Range<u64>| heads.get(&range);
        assert_eq!(get(0..2).as_deref(), Some(&b"ab"[..]));
        assert_eq!(get(1..7).as_deref(), Some(&b"bcdefg"[..]));
        assert_eq!(get(13..16).as_deref(), Some(&b"ijk"[..]));
        let ends = [0, 2, 3, 7, 8, 13, 15, 16].map(|at| heads.end_around(at));
        assert_eq!(ends, [3, 3, 8, 8, 0, 16, 16, 0]);
        for beyond in [0..9, 8..9, 7..14, 15..17, 30..31] {
            assert_eq!(get(beyond.clone()), None, "{beyond:?}");
        }
    }
}

//! Bytes of the joined file that come from no track, between extents that do: subtitles.

use std::ops::Range;

/// The bytes of all inline extents, and which extents these are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Inline {
    bytes: Vec<u8>,
    /// Their indexes among all extents, in ascending order.
    indexes: Vec<u32>,
}

impl Inline {
    /// The number of the track that inline extents seem to be of.
    pub(super) const TRACK: u8 = u8::MAX;

    /// Adds an extent; returns where its bytes begin.
    pub(super) fn add(&mut self, index: usize, bytes: &[u8]) -> u64 {
        let from = self.bytes.len() as u64;
        // The number of extents is limited.
        self.indexes.push(index as u32);
        self.bytes.extend_from_slice(bytes);
        from
    }

    /// Returns the index of an extent among those of tracks.
    pub(super) fn track_index(&self, index: usize) -> usize {
        index - self.indexes.partition_point(|inline| (*inline as usize) < index)
    }

    /// Returns bytes of the extents.
    pub(super) fn bytes(&self, range: Range<u64>) -> &[u8] {
        self.bytes.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn memory_size(&self) -> usize {
        self.bytes.capacity() + self.indexes.capacity() * size_of::<u32>()
    }

    /// Feeds `update` what distinguishes them from others; nothing if there are none.
    pub(super) fn encode(&self, update: &mut dyn FnMut(&[u8])) {
        if !self.indexes.is_empty() {
            update(&(self.bytes.len() as u64).to_be_bytes());
            update(&self.bytes);
        }
    }
}

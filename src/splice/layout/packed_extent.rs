//! An extent in little memory.

use super::Layout;

/// The start of an extent, which ends where the next one begins. Long media has thousands of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackedExtent {
    /// The offset after the header of the joined file.
    pub(super) at: u64,
    /// The offset in the file of the track; the index of the track is in the uppermost bits.
    pub(super) from: u64,
}

impl PackedExtent {
    const TRACK: u32 = Layout::MAX_FILE_LEN.trailing_zeros();

    pub(super) fn new(at: u64, track: u8, from: u64) -> PackedExtent {
        debug_assert!(from < Layout::MAX_FILE_LEN, "{from}");
        PackedExtent { at, from: from | u64::from(track) << PackedExtent::TRACK }
    }

    pub(super) fn track(self) -> u8 {
        (self.from >> PackedExtent::TRACK) as u8
    }

    pub(super) fn from(self) -> u64 {
        self.from & (Layout::MAX_FILE_LEN - 1)
    }
}

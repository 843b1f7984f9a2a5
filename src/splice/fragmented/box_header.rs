//! Reads the headers of boxes that are copied (ISO/IEC 14496-12 §4.2).

use crate::container::isobmff;
use crate::error::Error;
use crate::splice::TrackInput;

/// The header of a box that is being copied.
pub(super) struct BoxHeader {
    pub(super) kind: [u8; 4],
    /// The length of the box, header included.
    pub(super) len: u64,
    raw: [u8; 16],
    is_wide: bool,
}

impl BoxHeader {
    /// Reads the next header from an extent of which `left` bytes remain.
    pub(super) fn take(left: u64, input: &mut TrackInput<'_>) -> Result<BoxHeader, Error> {
        const OUTSIDE: &str = "a box runs past the end of its fragment";
        let mut raw = [0; 16];
        if left < 8 {
            return Err(input.mismatch(OUTSIDE));
        }
        raw[..8].copy_from_slice(input.read_exact(8)?);
        let is_wide = raw[..4] == [0, 0, 0, 1];
        if is_wide {
            if left < 16 {
                return Err(input.mismatch(OUTSIDE));
            }
            raw[8..].copy_from_slice(input.read_exact(8)?);
        }
        let Some(found) = isobmff::header(&raw) else {
            return Err(input.mismatch("a box is shorter than its own header"));
        };
        // A box that extends to the end of its file extends to the end of the last extent.
        let len = found.len.unwrap_or(left);
        if len > left {
            return Err(input.mismatch(OUTSIDE));
        }
        if found.len.is_none() {
            let Ok(len) = u32::try_from(len) else { return Err(input.mismatch(OUTSIDE)) };
            raw[..4].copy_from_slice(&len.to_be_bytes());
        }
        Ok(BoxHeader { kind: found.kind, len, raw, is_wide })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        if self.is_wide { &self.raw } else { &self.raw[..8] }
    }

    pub(super) fn renamed(&self, kind: [u8; 4]) -> Vec<u8> {
        let mut bytes = self.bytes().to_vec();
        bytes[4..8].copy_from_slice(&kind);
        bytes
    }
}

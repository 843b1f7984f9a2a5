//! Memory that is needed for a moment, to receive and decrypt: all connections share it.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Size of one piece: a message of a handshake (64 KiB) with its records.
pub(crate) const SCRATCH_SIZE: usize = 96 << 10;
/// Maximum number of pieces that are kept for later: hardly more threads decrypt at a time.
const MAX_KEPT: usize = 4;

static KEPT: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A piece of memory, with whatever it held before.
pub(crate) struct Scratch(Box<[u8]>);

impl Scratch {
    /// Takes a piece.
    pub(crate) fn take() -> Scratch {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Scratch(kept.unwrap_or_else(|| vec![0; SCRATCH_SIZE].into()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT {
            kept.push(std::mem::take(&mut self.0));
        }
    }
}

impl Deref for Scratch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

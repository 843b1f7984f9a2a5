//! The checksum of a file on its way, as far as it got: a client that resumes needs that of what it has.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crc32fast::Hasher;

/// Distance of the places at which the checksum is remembered.
const STEP: u64 = 8 << 20;
/// How much of a file may be read again for its checksum: what was on its way to a client that left.
const MAX_REREAD: u64 = 2 * STEP;

/// The CRC-32 of a file from its beginning.
#[derive(Debug, Clone, Default)]
pub struct Checksum {
    hasher: Hasher,
    len: u64,
    /// The checksum at each multiple of [`STEP`], from the first one on. All that go on from one another know it.
    marks: Arc<Mutex<Vec<u32>>>,
}

impl Checksum {
    /// Adds the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let left = STEP - self.len % STEP;
            let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.hasher.update(&bytes[..count]);
            self.len += count as u64;
            if self.len.is_multiple_of(STEP) {
                let (number, value) = (self.len / STEP, self.value());
                let mut marks = self.marks();
                if marks.len() as u64 + 1 == number {
                    marks.push(value);
                }
            }
            bytes = &bytes[count..];
        }
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether there were no bytes yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the CRC-32.
    pub fn value(&self) -> u32 {
        self.hasher.clone().finalize()
    }

    /// Returns the checksum at the last place that is remembered, up to `len`; `None` if that is too far from it.
    pub fn back_to(&self, len: u64) -> Option<Checksum> {
        if len == self.len {
            return Some(self.clone());
        }
        let marks = self.marks();
        let count = usize::try_from(len / STEP).unwrap_or(usize::MAX).min(marks.len());
        let (value, at) = (marks[..count].last().copied().unwrap_or(0), count as u64 * STEP);
        let hasher = Hasher::new_with_initial_len(value, at);
        (len - at <= MAX_REREAD).then(|| Checksum { hasher, len: at, marks: self.marks.clone() })
    }

    fn marks(&self) -> MutexGuard<'_, Vec<u32>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

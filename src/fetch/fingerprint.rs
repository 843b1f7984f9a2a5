//! Some bytes of a file, to compare with what its upstream sends later. Pure.

/// Number of trailing bytes that are compared.
pub(super) const OVERLAP: usize = 1 << 10;

/// Some bytes of the file and their offset.
#[derive(Debug, Clone, Default)]
pub(super) struct Fingerprint {
    /// At most [`OVERLAP`] bytes.
    bytes: Vec<u8>,
    /// Offset of their end.
    end: u64,
}

impl Fingerprint {
    /// Appends `bytes`, which end at offset `end`.
    pub(super) fn extend(&mut self, bytes: &[u8], end: u64) {
        let excess = (self.bytes.len() + bytes.len()).saturating_sub(OVERLAP);
        self.bytes.drain(..excess.min(self.bytes.len()));
        self.bytes.extend(&bytes[bytes.len().saturating_sub(OVERLAP)..]);
        self.end = end;
    }

    /// Returns the last `count` bytes, or all of them if they are fewer.
    pub(super) fn last(&self, count: u64) -> &[u8] {
        let from = self.bytes.len().saturating_sub(usize::try_from(count).unwrap_or(OVERLAP));
        &self.bytes[from..]
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Returns the offsets of the first byte and of the end (exclusive).
    pub(super) fn start(&self) -> u64 {
        self.end - self.len()
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_kept() {
        let all: Vec<u8> = (0..3000_u32).map(|at| at as u8).collect();
        for step in [1, 7, 1000, 1024, 2999] {
            let mut fingerprint = Fingerprint::default();
            for (index, bytes) in all.chunks(step).enumerate() {
                fingerprint.extend(bytes, (index * step + bytes.len()) as u64);
            }
            assert_eq!(fingerprint.bytes(), &all[3000 - OVERLAP..], "{step}");
            assert_eq!((fingerprint.start(), fingerprint.end()), (3000 - OVERLAP as u64, 3000));
            assert_eq!(fingerprint.last(2), &all[2998..]);
        }
        assert_eq!(Fingerprint::default().last(5), b"");
    }
}

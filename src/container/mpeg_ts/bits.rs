//! [`Bits`] reads the fields of parameter sets (ISO/IEC 14496-10 §7.2 and §9.1).

/// The maximum length of a parameter set that is parsed.
const MAX_LEN: usize = 1024;

/// The bits of a NAL unit, without the bytes that keep start codes out of it (§7.4.1).
#[derive(Debug, Clone)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    pub(super) fn new(unit: &[u8]) -> Bits {
        let mut bytes = Vec::with_capacity(unit.len().min(MAX_LEN));
        let mut zeros = 0;
        for byte in unit.iter().take(MAX_LEN) {
            if zeros >= 2 && *byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            bytes.push(*byte);
        }
        Bits { bytes, at: 0 }
    }

    /// Returns the bits of bytes that are no NAL unit.
    pub(super) fn raw(bytes: &[u8]) -> Bits {
        Bits { bytes: bytes.to_vec(), at: 0 }
    }

    /// Returns the next `count` bits, at most 32.
    pub(super) fn read(&mut self, count: usize) -> Option<u32> {
        let mut value = 0_u64;
        for _ in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value = value << 1 | u64::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        u32::try_from(value).ok()
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        Some(self.read(1)? == 1)
    }

    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// Returns an unsigned Exp-Golomb number (§9.1).
    pub(super) fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some(self.read(zeros)? + ((1_u32 << zeros) - 1))
    }

    /// Returns a signed Exp-Golomb number (§9.1.1).
    pub(super) fn signed(&mut self) -> Option<i64> {
        let value = i64::from(self.unsigned()?);
        Some(if value % 2 == 0 { -(value / 2) } else { value / 2 + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_across_bytes() {
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let numbers: Vec<_> = (0..5).map_while(|_| bits.unsigned()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        assert_eq!(Bits::new(&[0b0101_1000]).signed(), Some(1));
        assert_eq!(Bits::new(&[0b0111_1000]).signed(), Some(-1));
        assert_eq!(Bits::new(&[0, 0, 3, 1, 0, 0]).read(24), Some(1));
        assert_eq!(Bits::new(&[0; 8]).unsigned(), None);
        assert_eq!(Bits::new(&[1]).skip(9), None);
    }
}

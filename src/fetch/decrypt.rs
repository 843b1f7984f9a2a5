//! Decrypts a segment, or a range of one: AES-128 in CBC mode with PKCS #7 padding (RFC 8216 §4.3.2.4). Pure.
//!
//! **Invariant:** the output does not depend on the pieces in which the bytes arrive, and a segment ends only
//! with its padding.

use std::ops::Range;

use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt, KeyInit};

/// Size of a block in bytes.
pub(super) const BLOCK: usize = 16;

/// The decryption of a range of a segment. More than the range may come out behind it, but nothing before it.
pub struct RangeDecryption {
    decryption: Decryption,
    /// Bytes before the range that come with its first block.
    surplus: usize,
    /// Whether the range ends with the segment, where the padding is.
    is_to_end: bool,
    /// Decrypted bytes, and how many of them were taken.
    output: Vec<u8>,
    used: usize,
    is_over: bool,
}

impl RangeDecryption {
    /// Begins at `start` of the segment, or in fact where [`encrypted_range`] does.
    pub fn new(key: &[u8; BLOCK], iv: [u8; BLOCK], start: u64, is_to_end: bool) -> RangeDecryption {
        let is_first = start < BLOCK as u64;
        let decryption = Decryption::new(key, is_first.then_some(iv));
        let surplus = (start % BLOCK as u64) as usize;
        let output = Vec::new();
        RangeDecryption { decryption, surplus, is_to_end, output, used: 0, is_over: false }
    }

    /// Returns whether more encrypted bytes are needed.
    pub fn needs_more(&self) -> bool {
        self.used == self.output.len() && !self.is_over
    }

    /// Decrypts the next bytes, in place of the output before, which was taken; none are their end. Returns why
    /// the segment is not one of this key.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.output.clear();
        self.used = 0;
        match (bytes.is_empty(), self.is_to_end) {
            (true, true) => self.decryption.finish(&mut self.output)?,
            (true, false) => self.decryption.stop(&mut self.output),
            (false, _) => self.decryption.update(bytes, &mut self.output),
        }
        self.is_over = bytes.is_empty();
        self.used = self.surplus.min(self.output.len());
        self.surplus -= self.used;
        Ok(())
    }

    /// Takes decrypted bytes. Returns how many: 0 only if [more are needed](RangeDecryption::needs_more), at
    /// the end, or if `buffer` is empty.
    pub fn take(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.output.len() - self.used);
        buffer[..count].copy_from_slice(&self.output[self.used..][..count]);
        self.used += count;
        count
    }
}

/// Returns the range of an encrypted segment to decrypt `range` from: whole blocks, and the one
/// before them.
pub fn encrypted_range(range: Range<u64>, is_to_end: bool) -> Range<u64> {
    let block = BLOCK as u64;
    let start = (range.start / block * block).saturating_sub(block);
    let end = if is_to_end { u64::MAX } else { range.end.next_multiple_of(block) };
    start..end
}

/// The decryption of the blocks of one segment, in order.
pub(super) struct Decryption {
    cipher: Aes128,
    /// The block before the next one, encrypted: what the next one is chained to.
    previous: Option<[u8; BLOCK]>,
    /// Bytes of an incomplete block.
    partial: Vec<u8>,
    /// The last block, decrypted, which may be padding.
    last: Option<[u8; BLOCK]>,
}

impl Decryption {
    /// Begins at the first block, with the initialisation vector; or behind a block that comes
    /// first and is not part of the output.
    pub(super) fn new(key: &[u8; BLOCK], iv: Option<[u8; BLOCK]>) -> Decryption {
        let cipher = Aes128::new(&Array::from(*key));
        Decryption { cipher, previous: iv, partial: Vec::new(), last: None }
    }

    /// Decrypts the next bytes and appends the result to `output`, but for the last block.
    pub(super) fn update(&mut self, mut bytes: &[u8], output: &mut Vec<u8>) {
        if !self.partial.is_empty() {
            let count = bytes.len().min(BLOCK - self.partial.len());
            self.partial.extend(&bytes[..count]);
            bytes = &bytes[count..];
            let Ok(block) = <[u8; BLOCK]>::try_from(&*self.partial) else { return };
            self.partial.clear();
            self.decrypt(block, output);
        }
        let mut blocks = bytes.chunks_exact(BLOCK);
        for block in &mut blocks {
            let mut whole = [0; BLOCK];
            whole.copy_from_slice(block);
            self.decrypt(whole, output);
        }
        self.partial.extend(blocks.remainder());
    }

    fn decrypt(&mut self, block: [u8; BLOCK], output: &mut Vec<u8>) {
        if let Some(previous) = self.previous {
            let mut plain = Array::from(block);
            self.cipher.decrypt_block(&mut plain);
            plain.iter_mut().zip(previous).for_each(|(byte, previous)| *byte ^= previous);
            if let Some(last) = self.last.replace(plain.into()) {
                output.extend(last);
            }
        }
        self.previous = Some(block);
    }

    /// Ends within the segment: appends the last block.
    pub(super) fn stop(&mut self, output: &mut Vec<u8>) {
        output.extend(self.last.take().into_iter().flatten());
    }

    /// Ends with the segment: appends the last block without its padding. Returns why the segment
    /// is not one of this key.
    pub(super) fn finish(&mut self, output: &mut Vec<u8>) -> Result<(), &'static str> {
        const WRONG: &str = "a segment cannot be decrypted: its padding is wrong";
        if !self.partial.is_empty() {
            return Err("a segment cannot be decrypted: its length is no multiple of 16");
        }
        let last = self.last.take().ok_or(WRONG)?;
        output.extend(&last[..BLOCK - padding(&last).ok_or(WRONG)?]);
        Ok(())
    }
}

/// Returns the length of the padding in the last block of a segment, 1 to 16.
pub(super) fn padding(last: &[u8; BLOCK]) -> Option<usize> {
    let count = last[BLOCK - 1];
    let len = usize::from(count);
    let is_padding = (1..=BLOCK).contains(&len);
    (is_padding && last[BLOCK - len..].iter().all(|byte| *byte == count)).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes::cipher::BlockCipherEncrypt;

    const KEY: [u8; BLOCK] = *b"0123456789abcdef";
    const IV: [u8; BLOCK] = [7; BLOCK];

    fn encrypt(plain: &[u8]) -> Vec<u8> {
        let cipher = Aes128::new(&Array::from(KEY));
        let pad = BLOCK - plain.len() % BLOCK;
        let padded = [plain, &vec![pad as u8; pad]].concat();
        let (mut previous, mut output) = (IV, Vec::new());
        for block in padded.chunks(BLOCK) {
            let mut block = Array::from(<[u8; BLOCK]>::try_from(block).unwrap());
            block.iter_mut().zip(previous).for_each(|(byte, previous)| *byte ^= previous);
            cipher.encrypt_block(&mut block);
            previous = block.into();
            output.extend(block);
        }
        output
    }

    #[test]
    fn a_segment_is_decrypted_in_steps_of_any_size() {
        for len in [0, 1, 15, 16, 17, 188, 1000] {
            let plain: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let encrypted = encrypt(&plain);
            for step in [1, 7, 16, 33, 5000] {
                let mut decryption = Decryption::new(&KEY, Some(IV));
                let mut output = Vec::new();
                encrypted.chunks(step).for_each(|bytes| decryption.update(bytes, &mut output));
                decryption.finish(&mut output).unwrap();
                assert_eq!(output, plain);
            }
        }
    }

    #[test]
    fn decryption_begins_behind_any_block_and_stops_at_any() {
        let plain: Vec<u8> = (0..=255).collect();
        let encrypted = encrypt(&plain);
        let mut decryption = Decryption::new(&KEY, None);
        let mut output = Vec::new();
        decryption.update(&encrypted[32..128], &mut output);
        decryption.stop(&mut output);
        assert_eq!(output, plain[48..128]);
    }

    #[test]
    fn what_was_not_encrypted_like_this_is_refused() {
        let encrypted = encrypt(b"a segment that is not short");
        let refused = |key: &[u8; BLOCK], bytes: &[u8]| {
            let mut decryption = Decryption::new(key, Some(IV));
            let mut output = Vec::new();
            decryption.update(bytes, &mut output);
            decryption.finish(&mut output).is_err()
        };
        assert!(!refused(&KEY, &encrypted));
        assert!(refused(&KEY, &encrypted[..20]) && refused(&KEY, &encrypted[..16]));
        assert!(refused(&KEY, b"") && refused(b"another key 1234", &encrypted));
    }
}

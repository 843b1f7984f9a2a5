//! Segments that are encrypted as HLS has them (RFC 8216 §4.3.2.4).

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};

/// Encrypts a segment: AES-128 in CBC mode with PKCS #7 padding.
pub(crate) fn encrypt(plain: &[u8], key: [u8; 16], vector: u128) -> Vec<u8> {
    let cipher = Aes128::new(&Array::from(key));
    let padding = 16 - plain.len() % 16;
    let padded = [plain, &vec![padding as u8; padding]].concat();
    let mut previous = vector.to_be_bytes();
    let blocks = padded.chunks(16).flat_map(|block| {
        let mut chained = previous;
        chained.iter_mut().zip(block).for_each(|(byte, plain)| *byte ^= plain);
        let mut block = Array::from(chained);
        cipher.encrypt_block(&mut block);
        previous = block.into();
        previous
    });
    blocks.collect()
}

//! Segments in AES-128: whatever the pieces are and wherever a range is cut, the result is that of one
//! decryption of the whole; and nothing ends cleanly but with its padding.
#![no_main]

use std::ops::Range;

use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use libfuzzer_sys::fuzz_target;
use ytcanal::fetch::{RangeDecryption, encrypted_range};

type Block = [u8; 16];

fuzz_target!(|input: (Block, Block, u16, u16, u8, u8, &[u8])| {
    let (key, iv, start, len, step, room, bytes) = input;
    let (step, room) = (usize::from(step) + 1, usize::from(room) + 1);
    let decrypt = |stored: &[u8], start: u64, is_to_end| {
        let decryption = RangeDecryption::new(&key, iv, start, is_to_end);
        run(decryption, stored, step, room)
    };

    // What is sent may be anything: it is refused, or it is what it is in one go.
    assert_eq!(decrypt(bytes, 0, true), whole(&key, iv, bytes));

    let stored = encrypt(&key, iv, bytes);
    assert_eq!(decrypt(&stored, 0, true).as_deref(), Some(bytes));
    // Its end is missing: the padding is, unless what is left happens to end like padding.
    let cut = &stored[..stored.len() - step.min(stored.len())];
    assert_eq!(decrypt(cut, 0, true), whole(&key, iv, cut));

    let start = u64::from(start) % (bytes.len() as u64 + 1);
    let end = (start + u64::from(len)).min(bytes.len() as u64);
    for (range, is_to_end) in [(start..end, false), (start..bytes.len() as u64, true)] {
        let expected = &bytes[in_memory(&range)];
        let needed = encrypted_range(range.clone(), is_to_end);
        let needed = needed.start..needed.end.min(stored.len() as u64);
        let found = decrypt(&stored[in_memory(&needed)], range.start, is_to_end);
        let found = found.expect("it is a range of the segment");
        // What follows in the last block of a range comes with it.
        assert!(found.starts_with(expected) && found.len() < expected.len() + 17, "{range:?}");
        assert!(!is_to_end || found == expected, "{range:?}");
    }
});

fn in_memory(range: &Range<u64>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// Decrypts bytes that arrive in pieces, into buffers of so many bytes; `None` if they are refused.
fn run(
    mut decryption: RangeDecryption,
    stored: &[u8],
    step: usize,
    room: usize,
) -> Option<Vec<u8>> {
    let mut pieces = stored.chunks(step);
    let (mut output, mut buffer) = (Vec::new(), vec![0; room]);
    loop {
        while decryption.needs_more() {
            if decryption.push(pieces.next().unwrap_or_default()).is_err() {
                // Nor does it end cleanly for those who try again.
                assert!(decryption.needs_more() && decryption.push(&[]).is_err());
                return None;
            }
        }
        match decryption.take(&mut buffer) {
            0 => return Some(output),
            count => output.extend(&buffer[..count]),
        }
    }
}

/// Decrypts all at once, as RFC 5652 §6.3 and NIST SP 800-38A have it.
fn whole(key: &Block, iv: Block, stored: &[u8]) -> Option<Vec<u8>> {
    let cipher = Aes128::new(&Array::from(*key));
    let (mut previous, mut output) = (iv, Vec::new());
    let (blocks, rest) = stored.as_chunks::<16>();
    for block in blocks {
        let mut plain = Array::from(*block);
        cipher.decrypt_block(&mut plain);
        output.extend(plain.iter().zip(previous).map(|(byte, previous)| byte ^ previous));
        previous = *block;
    }
    let count = *output.last()?;
    let len = output.len().checked_sub(usize::from(count))?;
    let is_padding = (1..=16).contains(&count) && output[len..].iter().all(|byte| *byte == count);
    output.truncate(len);
    (is_padding && rest.is_empty()).then_some(output)
}

fn encrypt(key: &Block, iv: Block, plain: &[u8]) -> Vec<u8> {
    let cipher = Aes128::new(&Array::from(*key));
    let count = 16 - plain.len() % 16;
    let padded = [plain, &vec![count as u8; count]].concat();
    let (mut previous, mut output) = (iv, Vec::new());
    for block in padded.as_chunks::<16>().0 {
        let mut block = Array::from(*block);
        block.iter_mut().zip(previous).for_each(|(byte, previous)| *byte ^= previous);
        cipher.encrypt_block(&mut block);
        previous = block.into();
        output.extend(previous);
    }
    output
}

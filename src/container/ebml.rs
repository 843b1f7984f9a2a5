//! Parses and writes EBML elements (RFC 8794), of which Matroska consists. Parsing is strict,
//! except in [`partial`].
//!
//! **Invariant:** nothing is allocated by a size that an element claims, and no byte is read past the
//! given slice.

use crate::error::Unsupported;

pub(crate) mod ids;
pub mod partial;

/// Refusal of bytes that are not a sequence of complete elements.
pub const MALFORMED: Unsupported = Unsupported("the file has malformed EBML elements");

/// The longest header: an ID of 4 bytes (RFC 9559 §3) and a size of 8 (RFC 8794 §6).
pub const MAX_HEADER: usize = 12;

/// The header of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The ID, with the length marker.
    pub id: u32,
    /// The length of the header.
    pub len: usize,
    /// The length of the payload; `None` if it is unknown (RFC 8794 §6.2).
    pub size: Option<u64>,
}

/// A complete element within a byte slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// The ID, with the length marker.
    pub id: u32,
    /// The payload.
    pub payload: &'a [u8],
    /// The bytes of the element, header included.
    pub bytes: &'a [u8],
}

impl Element<'_> {
    /// Returns the payload as an unsigned integer (RFC 8794 §7.2).
    pub fn uint(&self) -> Result<u64, Unsupported> {
        uint_of(self.payload).ok_or(MALFORMED)
    }
}

/// Reads an unsigned integer of at most 8 bytes (RFC 8794 §7.2).
pub fn uint_of(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// Reads a floating-point number of 0, 4 or 8 bytes (RFC 8794 §7.3).
pub fn float_of(bytes: &[u8]) -> Option<f64> {
    match bytes.len() {
        0 => Some(0.0),
        4 => bytes.first_chunk().map(|bytes| f64::from(f32::from_be_bytes(*bytes))),
        8 => bytes.first_chunk().map(|bytes| f64::from_be_bytes(*bytes)),
        _ => None,
    }
}

/// Reads a string, which may be padded with zeros (RFC 8794 §7.4).
pub fn text_of(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0);
    bytes[..end.unwrap_or(bytes.len())].trim_ascii_end()
}

/// Returns the length of a variable-size integer that begins with this byte (RFC 8794 §4.1): 1 to 8, or
/// 9 if the byte is invalid.
pub fn width(first: u8) -> usize {
    first.leading_zeros() as usize + 1
}

/// Reads a complete size field; `None` if the size is unknown.
pub fn size_of_field(bytes: &[u8]) -> Option<u64> {
    let marked = uint_of(bytes)?;
    // At most 8 bytes of 7 bits.
    let mark = 1 << (7 * bytes.len());
    let size = marked ^ mark;
    // All bits set: the size is unknown.
    (size != mark - 1).then_some(size)
}

/// Parses the header at the start of `bytes`; `None` if it is incomplete or invalid.
pub fn header(bytes: &[u8]) -> Option<Header> {
    let id_len = width(*bytes.first()?);
    if id_len > 4 {
        return None;
    }
    let id = u32::try_from(uint_of(bytes.get(..id_len)?)?).ok()?;
    let size_len = width(*bytes.get(id_len)?);
    if size_len > 8 {
        return None;
    }
    let len = id_len + size_len;
    Some(Header { id, len, size: size_of_field(bytes.get(id_len..len)?) })
}

/// Iterates over the elements that `bytes` consist of, up to the first incomplete one.
pub fn children(bytes: &[u8]) -> impl Iterator<Item = Result<Element<'_>, Unsupported>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let element = first(rest);
        rest = element.map_or(&[], |element| &rest[element.bytes.len()..]);
        Some(element.ok_or(MALFORMED))
    })
}

fn first(bytes: &[u8]) -> Option<Element<'_>> {
    let Header { id, len, size } = header(bytes)?;
    let end = usize::try_from(size?).ok()?.checked_add(len)?;
    let bytes = bytes.get(..end)?;
    Some(Element { id, payload: &bytes[len..], bytes })
}

/// Writes an element with the payload `parts` and the shortest possible size field.
pub fn element(id: u32, parts: &[&[u8]]) -> Vec<u8> {
    let size = parts.iter().map(|part| part.len()).sum::<usize>() as u64;
    let width = (1..8).find(|width| size < (1 << (7 * width)) - 1).unwrap_or(8);
    let mut bytes = opening(id, size, width);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// Writes the header of an element with a size field of `width` bytes, which must suffice.
pub fn opening(id: u32, size: u64, width: usize) -> Vec<u8> {
    let mut bytes = shortest(u64::from(id));
    bytes.extend_from_slice(&size_field(size, width));
    bytes
}

/// Writes a size field of `width` bytes, 1 to 8, which must suffice.
pub fn size_field(size: u64, width: usize) -> Vec<u8> {
    fixed(size | 1 << (7 * width), width)
}

/// Writes a number in `width` bytes, at most 8, which must suffice.
pub fn fixed(value: u64, width: usize) -> Vec<u8> {
    value.to_be_bytes()[8 - width..].to_vec()
}

/// Returns the smallest number of bytes, at least one, that hold `value`.
pub fn width_of(value: u64) -> usize {
    8 - (value.leading_zeros() as usize / 8).min(7)
}

fn shortest(value: u64) -> Vec<u8> {
    fixed(value, width_of(value))
}

/// Writes an element with an unsigned integer.
pub fn uint(id: u32, value: u64) -> Vec<u8> {
    element(id, &[&shortest(value)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_of_all_widths() {
        let of = |bytes: &[u8]| header(bytes).map(|h| (h.id, h.len, h.size));
        assert_eq!(of(&[0xa3, 0x85, 9]), Some((0xa3, 2, Some(5))));
        assert_eq!(of(&[0x42, 0x82, 0x40, 0x02]), Some((0x4282, 4, Some(2))));
        assert_eq!(of(&[0xec, 1, 0, 0, 0, 0, 0, 0, 7]), Some((0xec, 9, Some(7))));
        assert_eq!(of(&[0xa3, 0xff]), Some((0xa3, 2, None)), "unknown");
        assert_eq!(
            of(&[0x18, 0x53, 0x80, 0x67, 1, 255, 255, 255, 255, 255, 255, 255]).unwrap().2,
            None
        );
        assert_eq!(of(&[0x08, 0, 0, 0, 0, 0x80]), None, "an ID of five bytes");
        assert_eq!(of(&[0xa3, 0]), None, "a size of nine");
        assert_eq!(of(&[0x42]), None);
    }

    #[test]
    fn what_is_written_is_found() {
        for len in [0, 1, 126, 127, 16_382, 16_383, 70_000] {
            let bytes = element(0x4282, &[&vec![7; len]]);
            let found = children(&bytes).collect::<Result<Vec<_>, _>>().unwrap();
            assert_eq!((found[0].id, found[0].payload.len(), found.len()), (0x4282, len, 1));
        }
        assert_eq!(uint(0xd7, 0), [0xd7, 0x81, 0]);
        assert_eq!(uint(0xd7, 256), [0xd7, 0x82, 1, 0]);
        let opened = opening(0x1853_8067, 5, 8);
        assert_eq!(header(&opened), Some(Header { id: 0x1853_8067, len: 12, size: Some(5) }));
    }

    #[test]
    fn what_is_cut_short_is_malformed() {
        let bytes = [uint(0xd7, 1), element(0x83, &[b"abc"])].concat();
        let all: Vec<_> = children(&bytes[..bytes.len() - 1]).collect();
        assert!(all[0].is_ok());
        assert_eq!(all[1..], [Err(MALFORMED)]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let found: usize = children(&bytes).filter_map(Result::ok).map(|e| e.bytes.len()).sum();
            prop_assert!(found <= bytes.len());
        }
    }
}

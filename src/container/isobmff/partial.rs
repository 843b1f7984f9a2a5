//! Iterates over boxes of which possibly only the beginning is available, as in the first bytes of a
//! file.

use super::{Header, header};

/// A box and its available bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialBox<'a> {
    /// The type of the box.
    pub kind: [u8; 4],
    /// The available bytes of the payload.
    pub payload: &'a [u8],
}

/// Iterates over the boxes at the start of `bytes`, up to the first one that is none or begins beyond
/// them.
pub fn boxes(bytes: &[u8]) -> impl Iterator<Item = PartialBox<'_>> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let Header { kind, header, len } = header(bytes)?;
        // A box without a length extends to the end of the file.
        let len = len.map_or(usize::MAX, |len| usize::try_from(len).unwrap_or(usize::MAX));
        rest = bytes.get(len..);
        Some(PartialBox { kind, payload: &bytes[header..len.min(bytes.len())] })
    })
}

/// Returns the available payload of the first box at `path`.
pub fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, kind| {
        boxes(bytes).find(|found| found.kind == **kind).map(|found| found.payload)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::isobmff::boxed;

    #[test]
    fn the_last_box_may_extend_past_the_available_bytes() {
        let mdia = boxed(b"mdia", &[&boxed(b"mdhd", &[&[1; 20]]), &boxed(b"hdlr", &[&[2; 40]])]);
        let trak = [boxed(b"tkhd", &[&[0; 8]]), mdia].concat();
        let available = &trak[..trak.len() - 10];
        let kinds: Vec<_> = boxes(available).map(|found| found.kind).collect();
        assert_eq!(kinds, [*b"tkhd", *b"mdia"]);
        assert_eq!(find(available, &[b"mdia", b"mdhd"]), Some(&[1; 20][..]));
        assert_eq!(find(available, &[b"mdia", b"hdlr"]), Some(&[2; 30][..]));
        assert_eq!(find(available, &[b"mdia", b"minf"]), None);
    }
}

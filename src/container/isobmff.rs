//! Parses and writes boxes of ISO base media files (ISO/IEC 14496-12 §4.2). Parsing is strict, except in
//! [`partial`].

pub mod edit_list;
pub mod fields;
pub mod partial;
pub mod sidx;

/// A complete box within a byte slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mp4Box<'a> {
    /// The type of the box.
    pub kind: [u8; 4],
    /// The offset in the slice that was parsed.
    pub at: usize,
    /// The length of the header.
    pub header: usize,
    /// The bytes of the box, header included.
    pub bytes: &'a [u8],
}

impl<'a> Mp4Box<'a> {
    /// Returns the payload.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.header..]
    }
}

/// The header of a box: its type, the length of the header, and the length of the box. A length of 0
/// means "to the end of the file".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The type of the box.
    pub kind: [u8; 4],
    /// The length of the header, 8 or 16.
    pub header: usize,
    /// The length of the box, header included; `None` to the end of the file.
    pub len: Option<u64>,
}

/// Parses the header at the start of `bytes`; `None` if it is incomplete, or if the box is shorter than
/// its header.
pub fn header(bytes: &[u8]) -> Option<Header> {
    let kind = *bytes.get(4..)?.first_chunk()?;
    let (header, len) = match u32::from_be_bytes(*bytes.first_chunk()?) {
        0 => return Some(Header { kind, header: 8, len: None }),
        1 => (16, u64::from_be_bytes(*bytes.get(8..)?.first_chunk()?)),
        len => (8, u64::from(len)),
    };
    (len >= header as u64).then_some(Header { kind, header, len: Some(len) })
}

/// The maximum number of children of a box.
const MAX_CHILDREN: usize = 1 << 12;

/// Returns all boxes that `bytes` consist of; `None` if one is incomplete, or if there are too many.
pub fn children(bytes: &[u8]) -> Option<Vec<Mp4Box<'_>>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if found.len() == MAX_CHILDREN {
            return None;
        }
        let rest = &bytes[at..];
        let Header { kind, header, len } = header(rest)?;
        let len = usize::try_from(len?).ok()?;
        found.push(Mp4Box { kind, at, header, bytes: rest.get(..len)? });
        at += len;
    }
    Some(found)
}

/// Returns the payload of the first box at `path`; `None` if a box on the way is malformed.
pub fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, kind| {
        let boxes = children(bytes)?;
        boxes.iter().find(|found| found.kind == **kind).map(Mp4Box::payload)
    })
}

/// Returns the entries of a table: `skip` bytes are followed by the number of entries, and then by the
/// entries, each of `size` bytes. Returns `None` if they are incomplete.
pub fn table<'a>(found: &Mp4Box<'a>, skip: usize, size: usize) -> Option<&'a [u8]> {
    let payload = found.payload();
    let count = usize::try_from(u32_at(payload, skip)?).ok()?;
    payload.get(skip + 4..)?.get(..count.checked_mul(size)?)
}

/// Writes a box of this type with the payload `parts`.
pub fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let len = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(len);
    // No box that is made here comes near 4 GiB.
    bytes.extend(u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(kind);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// Reads the 32-bit number at `at`.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Reads the 64-bit number at `at`.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_of_boxes_is_none() {
        let many = |count| boxed(b"free", &[]).repeat(count);
        assert_eq!(children(&many(MAX_CHILDREN)).map(|found| found.len()), Some(MAX_CHILDREN));
        assert_eq!(children(&many(MAX_CHILDREN + 1)), None);
    }
}

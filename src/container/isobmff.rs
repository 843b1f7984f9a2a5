//! The boxes of ISO base media files (ISO/IEC 14496-12 §4.2): found strictly, written plainly.

/// A box within bytes that are all at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// Its type.
    pub kind: [u8; 4],
    /// Where it begins among the bytes that were looked through.
    pub at: usize,
    /// Length of its header.
    pub header: usize,
    /// All of it, header included.
    pub bytes: &'a [u8],
}

impl<'a> Found<'a> {
    /// What is in it.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.header..]
    }
}

/// The header of a box: its type, and lengths of header and whole. A length of 0 means "to the
/// end of the file".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its type.
    pub kind: [u8; 4],
    /// 8 or 16.
    pub header: usize,
    /// Header included; `None` for all the rest of the file.
    pub len: Option<u64>,
}

/// Reads the header at the beginning of `bytes`; `None` when there is not all of one, or when its
/// length is less than its own.
pub fn header(bytes: &[u8]) -> Option<Header> {
    let kind = *bytes.get(4..)?.first_chunk()?;
    let (header, len) = match u32::from_be_bytes(*bytes.first_chunk()?) {
        0 => return Some(Header { kind, header: 8, len: None }),
        1 => (16, u64::from_be_bytes(*bytes.get(8..)?.first_chunk()?)),
        len => (8, u64::from(len)),
    };
    (len >= header as u64).then_some(Header { kind, header, len: Some(len) })
}

/// More boxes are never in one.
const MOST_CHILDREN: usize = 1 << 12;

/// All boxes that `bytes` consist of; `None` if they do not consist of whole boxes, or of too many.
pub fn children(bytes: &[u8]) -> Option<Vec<Found<'_>>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if found.len() == MOST_CHILDREN {
            return None;
        }
        let rest = &bytes[at..];
        let Header { kind, header, len } = header(rest)?;
        let len = usize::try_from(len?).ok()?;
        found.push(Found { kind, at, header, bytes: rest.get(..len)? });
        at += len;
    }
    Some(found)
}

/// The entries of a table: behind `skip` bytes comes their number, and then they, each of `size`
/// bytes. `None` if they are not all there.
pub fn table<'a>(found: &Found<'a>, skip: usize, size: usize) -> Option<&'a [u8]> {
    let payload = found.payload();
    let count = usize::try_from(u32_at(payload, skip)?).ok()?;
    payload.get(skip + 4..)?.get(..count.checked_mul(size)?)
}

/// A box of this type with this in it.
pub fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let len = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(len);
    // No box that is made here comes near 4 GiB.
    bytes.extend(u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(kind);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// The 32-bit number at `at`.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The 64-bit number at `at`.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_of_boxes_is_none() {
        let many = |count| boxed(b"free", &[]).repeat(count);
        assert_eq!(children(&many(MOST_CHILDREN)).map(|found| found.len()), Some(MOST_CHILDREN));
        assert_eq!(children(&many(MOST_CHILDREN + 1)), None);
    }
}

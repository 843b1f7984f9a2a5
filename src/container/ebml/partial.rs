//! Iterates over elements of which possibly only the beginning is available, as in the first bytes of a
//! file.

use super::{Header, header};

/// An element and its available bytes.
#[derive(Debug, Clone, Copy)]
pub struct PartialElement<'a> {
    /// The ID, with the length marker.
    pub id: u32,
    /// The file offset.
    pub at: u64,
    /// The file offset of the payload.
    pub payload_at: u64,
    /// The end, if the size is known.
    pub end: Option<u64>,
    /// The available bytes of the payload.
    pub payload: &'a [u8],
    /// Whether that is all of it.
    pub is_complete: bool,
    /// Whether the element is longer than the available bytes.
    pub is_truncated: bool,
}

impl<'a> PartialElement<'a> {
    /// Iterates over the children.
    pub fn children(&self) -> PartialElements<'a> {
        PartialElements { bytes: self.payload, at: self.payload_at }
    }

    /// Returns the first child with this ID.
    pub fn child(&self, id: u32) -> Option<PartialElement<'a>> {
        self.children().find(|child| child.id == id)
    }
}

/// An iterator over the elements in bytes that begin at a file offset.
#[derive(Debug, Clone)]
pub struct PartialElements<'a> {
    bytes: &'a [u8],
    at: u64,
}

/// Iterates over the elements in bytes that begin at the file offset `at`.
pub fn elements(bytes: &[u8], at: u64) -> PartialElements<'_> {
    PartialElements { bytes, at }
}

impl<'a> Iterator for PartialElements<'a> {
    type Item = PartialElement<'a>;

    fn next(&mut self) -> Option<PartialElement<'a>> {
        let Header { id, len, size } = header(self.bytes)?;
        let rest = &self.bytes[len..];
        // An element of unknown size extends as far as possible.
        let available = size
            .map_or(rest.len(), |size| usize::try_from(size).unwrap_or(usize::MAX).min(rest.len()));
        let (payload, following) = rest.split_at(available);
        let (at, payload_at) = (self.at, self.at + len as u64);
        *self = PartialElements { bytes: following, at: payload_at + available as u64 };
        let is_complete = size == Some(available as u64);
        let is_truncated = size.is_some() && !is_complete;
        let end = size.and_then(|size| payload_at.checked_add(size));
        Some(PartialElement { id, at, payload_at, end, payload, is_complete, is_truncated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::ebml::{element, ids, opening};

    #[test]
    fn an_element_may_extend_past_the_available_bytes() {
        let whole = element(ids::VOID, &[&[7; 20]]);
        let all = [&whole[..], &element(ids::TAG, &[&[8; 300]])].concat();
        let found: Vec<_> = elements(&all[..100], 1000).collect();
        let [void, tag] = found[..] else { panic!("{found:?}") };
        assert_eq!((void.at, void.end, void.is_complete), (1000, Some(1022), true));
        let available = 100 - whole.len() - 4;
        assert_eq!((tag.id, tag.at, tag.payload.len()), (ids::TAG, 1022, available));
        assert_eq!((tag.end, tag.is_complete, tag.is_truncated), (Some(1326), false, true));
    }

    #[test]
    fn an_unknown_size_is_neither_complete_nor_truncated() {
        let mut bytes = opening(ids::SEGMENT, (1 << 56) - 1, 8);
        bytes.extend(element(ids::INFO, &[&[1, 2, 3]]));
        let segment = elements(&bytes, 0).next().unwrap();
        assert_eq!((segment.end, segment.is_complete, segment.is_truncated), (None, false, false));
        assert_eq!(segment.child(ids::INFO).unwrap().payload, [1, 2, 3]);
        assert_eq!(segment.children().next().unwrap().at, 12);
    }
}

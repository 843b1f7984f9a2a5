//! Matroska and WebM: the Segment, or its children if its size is unknown (RFC 8794, RFC 9559).

use super::{Structure, Unit};
use crate::container::ebml::ids::{CLUSTER, SEGMENT};
use crate::container::ebml::{Header, MAX_HEADER, header};

#[derive(Debug, Default)]
pub(super) struct Elements {
    /// Whether the Segment declared its size, so that nothing more can be learnt.
    is_known: bool,
}

impl Structure for Elements {
    fn unit(&mut self, _: u64, bytes: &[u8]) -> Unit {
        if self.is_known {
            return Unit::Open;
        }
        match header(bytes) {
            None if bytes.len() < MAX_HEADER => Unit::NeedMore,
            None => Unit::Open,
            Some(Header { id, len, size: Some(size) }) => {
                self.is_known = id == SEGMENT;
                Unit::Len(size.saturating_add(len as u64))
            }
            // A live recording: the children are the next units.
            Some(Header { id: SEGMENT | CLUSTER, len, size: None }) => Unit::Len(len as u64),
            Some(_) => Unit::Open,
        }
    }
}

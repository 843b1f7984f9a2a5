//! Ogg: pages, and the marks of the first and the last page of each stream (RFC 3533 §6).

use super::{Incomplete, Structure, Unit};

/// Streams that are followed at a time.
const MAX_STREAMS: usize = 64;
const FIRST_PAGE: u8 = 2;
const LAST_PAGE: u8 = 4;

#[derive(Debug, Default)]
pub(super) struct Pages {
    /// The serial numbers of the streams that have begun and not ended.
    begun: Vec<[u8; 4]>,
}

impl Structure for Pages {
    fn unit(&mut self, _: u64, bytes: &[u8]) -> Unit {
        const HEADER: usize = 27;
        let Some(header) = bytes.get(..HEADER) else { return Unit::NeedMore };
        if !header.starts_with(b"OggS") {
            return Unit::Open;
        }
        let segments = usize::from(header[HEADER - 1]);
        let Some(lens) = bytes.get(HEADER..HEADER + segments) else { return Unit::NeedMore };
        let serial = [header[14], header[15], header[16], header[17]];
        if header[5] & FIRST_PAGE != 0 && self.begun.len() < MAX_STREAMS {
            self.begun.push(serial);
        }
        if header[5] & LAST_PAGE != 0 {
            self.begun.retain(|begun| *begun != serial);
        }
        let payload: u64 = lens.iter().map(|len| u64::from(*len)).sum();
        Unit::Len((HEADER + segments) as u64 + payload)
    }

    fn end(&self) -> Result<(), Incomplete> {
        if self.begun.is_empty() { Ok(()) } else { Err(Incomplete("its last page is missing")) }
    }
}

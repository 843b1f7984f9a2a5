//! Ogg: pages, and the flags of the first and the last page of each stream (RFC 3533 §6).

use super::{Incomplete, Structure, Unit};

/// The maximum number of concurrent streams.
const MAX_STREAMS: usize = 64;
const FIRST_PAGE: u8 = 2;
const LAST_PAGE: u8 = 4;

#[derive(Debug, Default)]
pub(super) struct Pages {
    /// The serial numbers of the streams that have begun and not ended.
    open_streams: Vec<[u8; 4]>,
}

impl Structure for Pages {
    fn unit(&mut self, _: u64, bytes: &[u8]) -> Unit {
        const HEADER: usize = 27;
        // Bytes between pages are skipped (RFC 3533 §6): the next page may begin with the last bytes
        // of the slice.
        if !is_page(bytes) {
            let next = (1..bytes.len()).find(|at| is_page(&bytes[*at..]));
            return Unit::Len(next.unwrap_or(bytes.len()) as u64);
        }
        let Some(header) = bytes.get(..HEADER) else { return Unit::NeedMore };
        let segments = usize::from(header[HEADER - 1]);
        let Some(lens) = bytes.get(HEADER..HEADER + segments) else { return Unit::NeedMore };
        let serial = [header[14], header[15], header[16], header[17]];
        if header[5] & FIRST_PAGE != 0 && self.open_streams.len() < MAX_STREAMS {
            self.open_streams.push(serial);
        }
        if header[5] & LAST_PAGE != 0 {
            self.open_streams.retain(|open_streams| *open_streams != serial);
        }
        let payload: u64 = lens.iter().map(|len| u64::from(*len)).sum();
        Unit::Len((HEADER + segments) as u64 + payload)
    }

    fn is_begun(&self, header: &[u8]) -> bool {
        !header.is_empty() && is_page(header)
    }

    fn end(&self) -> Result<(), Incomplete> {
        if self.open_streams.is_empty() {
            Ok(())
        } else {
            Err(Incomplete("the last page is missing"))
        }
    }
}

/// Returns whether these bytes, as far as there are any, begin a page.
fn is_page(bytes: &[u8]) -> bool {
    let sign = b"OggS";
    let len = bytes.len().min(sign.len());
    bytes[..len] == sign[..len]
}

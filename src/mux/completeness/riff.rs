//! WAVE: the chunks of RIFF, and of RF64, whose sizes of 64 bits stand in a chunk of their own
//! (EBU Tech 3306).

use super::{Structure, Unit};
use crate::mux::sniff::is_placeholder;

#[derive(Debug, Default)]
pub(super) struct Riff {
    is_open: bool,
    /// A chunk of an odd length is followed by a byte that may be missing at the end.
    pad: bool,
    /// The length of the data, where 32 bits do not hold it.
    data: Option<u64>,
}

impl Structure for Riff {
    fn unit(&mut self, _: u64, bytes: &[u8]) -> Unit {
        if !self.is_open {
            self.is_open = true;
            return Unit::Len(12);
        }
        if std::mem::take(&mut self.pad) {
            return Unit::Len(1);
        }
        let Some((kind, size)) = bytes.split_first_chunk::<4>() else { return Unit::NeedMore };
        let Some(size) = size.first_chunk() else { return Unit::NeedMore };
        let size = u32::from_le_bytes(*size);
        let mut len = u64::from(size);
        match kind {
            b"ds64" if len < 16 => return Unit::Open,
            b"ds64" => {
                let Some(sizes) = bytes.get(8..24) else { return Unit::NeedMore };
                self.data = sizes.last_chunk().map(|data| u64::from_le_bytes(*data));
            }
            b"data" if is_placeholder(size.into()) => match self.data {
                Some(data) if (1..u64::MAX >> 1).contains(&data) => len = data,
                _ => return Unit::Open,
            },
            _ if !kind.iter().all(|byte| matches!(byte, b' '..=b'~')) => return Unit::Open,
            _ => {}
        }
        self.pad = len % 2 == 1;
        Unit::Len(len + 8)
    }
}

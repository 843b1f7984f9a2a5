//! What of a file is in sight: a window that moves where something is to be read.
//!
//! Every move may be a request to an upstream, hence their number is limited. Must never know what
//! the bytes mean, but for where an element begins and ends.

use crate::mux::sniff::LOOK_AT_MOST;
use crate::mux::splice::ebml::{self, Header, MALFORMED, MAX_HEADER};
use crate::mux::splice::{Halt, Look, MAX_LOOK, Refusal};

/// What a look at a far place brings at least: an index that ends the file is mostly shorter, and
/// so comes with its header and with what is behind it.
const AHEAD: u64 = 256 << 10;
/// So often may be looked beyond the first bytes.
const MAX_LOOKS: usize = 12;

pub(super) struct Sight<'a> {
    look: &'a mut dyn Look,
    /// The first bytes, which are at hand anyway.
    head: Vec<u8>,
    at: u64,
    bytes: Vec<u8>,
    looks: usize,
}

impl<'a> Sight<'a> {
    pub(super) fn new(look: &'a mut dyn Look) -> Result<Sight<'a>, Halt> {
        let head = look.look(0..look.len().min(LOOK_AT_MOST as u64))?;
        Ok(Sight { look, head, at: 0, bytes: Vec::new(), looks: 0 })
    }

    /// The length of the file.
    pub(super) fn len(&self) -> u64 {
        self.look.len()
    }

    /// The bytes from `at` on: `count` of them, or fewer if the file ends.
    pub(super) fn bytes(&mut self, at: u64, count: u64) -> Result<&[u8], Halt> {
        let end = at.saturating_add(count).min(self.len());
        if at > end || count > MAX_LOOK {
            return Err(MALFORMED.into());
        }
        if end <= self.head.len() as u64 {
            // Both are within a slice.
            return Ok(&self.head[at as usize..end as usize]);
        }
        if at < self.at || end > self.at + self.bytes.len() as u64 {
            self.looks += 1;
            if self.looks > MAX_LOOKS {
                return Err(Refusal("its index is spread over too many places").into());
            }
            let to = end.max(at.saturating_add(AHEAD).min(self.len()));
            self.bytes = self.look.look(at..to)?;
            self.at = at;
        }
        let from = (at - self.at) as usize;
        self.bytes.get(from..from + (end - at) as usize).ok_or(MALFORMED.into())
    }

    /// The header of the element at `at`.
    pub(super) fn header(&mut self, at: u64) -> Result<Header, Halt> {
        let bytes = self.bytes(at, MAX_HEADER as u64)?;
        ebml::header(bytes).ok_or(MALFORMED.into())
    }

    /// What is in the element at `at`, which must not be longer than `most`.
    pub(super) fn payload(&mut self, at: u64, header: Header, most: u64) -> Result<&[u8], Halt> {
        let size = header.size.ok_or(MALFORMED)?;
        if size > most {
            return Err(Refusal("an element of its head is too large").into());
        }
        let bytes = self.bytes(at + header.len as u64, size)?;
        if bytes.len() as u64 == size { Ok(bytes) } else { Err(MALFORMED.into()) }
    }
}

//! What is seen of a file while it is being recognised: its front, and places further on.
//!
//! Pure: a parser that needs bytes that are not here says which, and is asked again when they are.

use super::Probe;

/// How many of a file's first bytes come by themselves; what is further on is asked for.
pub const PROBE_SIZE: usize = 64 << 10;

/// What is seen of a file.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Its first bytes.
    pub front: &'a [u8],
    /// Its length, if that is known.
    pub len: Option<u64>,
    /// Whether no more of the front will come.
    pub all: bool,
    /// Bytes from elsewhere, each with its offset.
    pub far: &'a [(u64, Vec<u8>)],
    /// Whether other places than the front can be seen at all: else what is there stays unknown.
    pub may_look: bool,
    /// Whether they are worth it for whatever makes a fuller picture, and not only for what the file
    /// is.
    pub is_thorough: bool,
}

impl<'a> View<'a> {
    /// The front alone.
    pub fn front(front: &'a [u8], len: Option<u64>, all: bool) -> View<'a> {
        View { front, len, all, far: &[], may_look: false, is_thorough: false }
    }

    /// Bytes at `at`: at least `count` of them, or fewer where the file ends or no more can be seen.
    /// The verdict that asks for them, if they may still come.
    pub(super) fn need(&self, at: u64, count: usize) -> Result<&'a [u8], Probe> {
        let here = self.here(at);
        let ends = self.len.is_some_and(|len| at.saturating_add(here.len() as u64) >= len);
        if here.len() >= count || ends {
            return Ok(here);
        }
        if at.saturating_add(count as u64) <= PROBE_SIZE as u64 {
            return if self.all { Ok(here) } else { Err(Probe::NeedMore) };
        }
        let was_looked_at = self.far.iter().any(|(from, _)| *from == at);
        if self.may_look && !was_looked_at { Err(Probe::At(at)) } else { Ok(here) }
    }

    /// The same, of what is further on than the front only if this look is a thorough one.
    pub(super) fn want(&self, at: u64, count: usize) -> Result<&'a [u8], Probe> {
        View { may_look: self.may_look && self.is_thorough, ..*self }.need(at, count)
    }

    /// The most of the bytes at `at` that are here.
    fn here(&self, at: u64) -> &'a [u8] {
        let of = |(from, bytes): (u64, &'a [u8])| {
            let from = usize::try_from(at.checked_sub(from)?).ok()?;
            bytes.get(from..)
        };
        let far = self.far.iter().map(|(from, bytes)| (*from, &bytes[..]));
        let all = std::iter::once((0, self.front)).chain(far).filter_map(of);
        all.max_by_key(|bytes| bytes.len()).unwrap_or(&[])
    }
}

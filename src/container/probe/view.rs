//! [`View`] holds the bytes of a file that are available to the probe: the first ones, and some at other
//! offsets. Pure: a parser that needs other bytes returns their offset, and runs again when they are
//! there.

use super::Probe;

/// The number of first bytes that every probe gets; bytes at other offsets are requested.
pub const PROBE_SIZE: usize = 64 << 10;

/// The available bytes of a file.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The first bytes.
    pub front: &'a [u8],
    /// The length of the file, if known.
    pub len: Option<u64>,
    /// Whether no more of the first bytes will arrive.
    pub all: bool,
    /// Bytes at other offsets, each with its offset.
    pub far: &'a [(u64, Vec<u8>)],
    /// Whether bytes at other offsets can be requested; otherwise they stay unknown.
    pub may_look: bool,
    /// Whether they are worth a request for details, too, and not only for recognising the format.
    pub is_thorough: bool,
}

impl<'a> View<'a> {
    /// Returns a view of the first bytes only.
    pub fn front(front: &'a [u8], len: Option<u64>, all: bool) -> View<'a> {
        View { front, len, all, far: &[], may_look: false, is_thorough: false }
    }

    /// Returns the bytes at `at`: at least `count` of them, or fewer where the file ends or no more can
    /// be had. Returns the [`Probe`] that requests them, if they may still arrive.
    pub(super) fn need(&self, at: u64, count: usize) -> Result<&'a [u8], Probe> {
        let available = self.available(at);
        let ends = self.len.is_some_and(|len| at.saturating_add(available.len() as u64) >= len);
        if available.len() >= count || ends {
            return Ok(available);
        }
        if at.saturating_add(count as u64) <= PROBE_SIZE as u64 {
            return if self.all { Ok(available) } else { Err(Probe::NeedMore) };
        }
        let was_requested = self.far.iter().any(|(from, _)| *from == at);
        if self.may_look && !was_requested { Err(Probe::At(at)) } else { Ok(available) }
    }

    /// Like [`need`](View::need), but requests bytes at other offsets only if the view is thorough.
    pub(super) fn want(&self, at: u64, count: usize) -> Result<&'a [u8], Probe> {
        View { may_look: self.may_look && self.is_thorough, ..*self }.need(at, count)
    }

    /// Returns the longest available run of bytes at `at`.
    fn available(&self, at: u64) -> &'a [u8] {
        let of = |(from, bytes): (u64, &'a [u8])| {
            let from = usize::try_from(at.checked_sub(from)?).ok()?;
            bytes.get(from..)
        };
        let far = self.far.iter().map(|(from, bytes)| (*from, &bytes[..]));
        let all = std::iter::once((0, self.front)).chain(far).filter_map(of);
        all.max_by_key(|bytes| bytes.len()).unwrap_or(&[])
    }
}

//! Checks and rewrites the headers of blocks (RFC 9559 §10): their track and time must be those that
//! the cues announced. Pure.

use super::cut::TimeWindow;
use super::{MAX_TICKS, ids};
use crate::container::ebml;
use crate::media::removal::Removal;

/// The decision about a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockAction {
    Keep,
    /// The block is outside the requested time range, or left out.
    Drop,
}

/// The state for the blocks of one run, in their order.
pub(super) struct Blocks<'r> {
    /// The track number in the input and in the joined file, encoded as in a block: one byte, with
    /// the length marker.
    from: u8,
    to: u8,
    cut: Option<TimeWindow>,
    removal: &'r Removal,
    /// The time that a block of the first cluster must have; `None` once that block was seen.
    expected_time: Option<i64>,
    /// The timestamp of the current cluster.
    time: Option<i64>,
    /// The time of the last block.
    last_time: i64,
}

const WRONG_TIME: &str = "a cluster does not begin at the time of its cue";
const NOT_ONE_BLOCK: &str = "a BlockGroup does not have exactly one Block";

impl<'r> Blocks<'r> {
    /// The length of a block header: track, time, flags.
    pub(super) const HEAD: usize = 4;

    pub(super) fn new(
        (from, to): (u8, u8),
        expected_time: Option<u64>,
        cut: Option<TimeWindow>,
        removal: &'r Removal,
    ) -> Blocks<'r> {
        let expected_time = expected_time.and_then(|time| i64::try_from(time).ok());
        let (from, to) = (from | 0x80, to | 0x80);
        Blocks { from, to, cut, removal, expected_time, time: None, last_time: 0 }
    }

    /// Returns the time of the last block, in ticks of the input.
    pub(super) fn last_time(&self) -> i64 {
        self.last_time
    }

    /// Begins a cluster.
    pub(super) fn cluster(&mut self) {
        self.time = None;
    }

    /// Ends a cluster.
    pub(super) fn end(&mut self) -> Result<(), &'static str> {
        if self.expected_time.is_none() { Ok(()) } else { Err(WRONG_TIME) }
    }

    /// Checks the timestamp of a cluster and returns the one to write, which is never larger.
    pub(super) fn timestamp(&mut self, time: u64) -> Result<u64, &'static str> {
        let signed = i64::try_from(time).ok().filter(|_| time < MAX_TICKS);
        let signed = signed.ok_or("a cluster timestamp is out of range")?;
        if self.time.replace(signed).is_some() {
            return Err("a cluster has two timestamps");
        }
        // The relative time of a block has 16 bits.
        match self.expected_time {
            Some(expected_time) if i16::try_from(expected_time - signed).is_err() => {
                Err(WRONG_TIME)
            }
            _ => Ok(self.moved(time)),
        }
    }

    /// Checks and rewrites the header of a block.
    pub(super) fn block(&mut self, head: &mut [u8]) -> Result<BlockAction, &'static str> {
        let [track, high, low, _] = head else { return Err("a block is too short") };
        if *track != self.from {
            return Err("a block belongs to another track");
        }
        *track = self.to;
        let cluster = self.time.ok_or("a block comes before the timestamp of its cluster")?;
        let time = cluster + i64::from(i16::from_be_bytes([*high, *low]));
        self.last_time = time;
        match self.expected_time {
            Some(expected_time) if time > expected_time => return Err(WRONG_TIME),
            Some(expected_time) if time == expected_time => self.expected_time = None,
            _ => {}
        }
        if self.cut.is_none() && self.removal.is_empty() {
            return Ok(BlockAction::Keep);
        }
        let TimeWindow { zero, until } =
            self.cut.unwrap_or(TimeWindow { zero: 0, until: u64::MAX });
        let Ok(time) = u64::try_from(time) else { return Ok(BlockAction::Drop) };
        if time >= until || time < zero || self.removal.contains(time) {
            return Ok(BlockAction::Drop);
        }
        // Between a cluster and its blocks there is at most as much time as before: their relative time cannot overflow.
        let cluster = self.moved(u64::try_from(cluster).unwrap_or(0));
        let relative = self.moved(time).checked_signed_diff(cluster);
        let relative = relative.and_then(|relative| i16::try_from(relative).ok());
        let relative = relative.ok_or("a block is too far from its cluster timestamp")?;
        [*high, *low] = relative.to_be_bytes();
        Ok(BlockAction::Keep)
    }

    /// Returns the time in the joined file; the beginning of that if it is before it.
    fn moved(&self, time: u64) -> u64 {
        let zero = self.cut.map_or(0, |cut| self.removal.moved(cut.zero));
        self.removal.moved(time).saturating_sub(zero)
    }

    /// Checks the payload of a BlockGroup and rewrites the header of its block.
    pub(super) fn group(&mut self, bytes: &mut [u8]) -> Result<BlockAction, &'static str> {
        let (mut at, mut action) = (0, None);
        while at < bytes.len() {
            let header = ebml::header(&bytes[at..]).ok_or("a BlockGroup is malformed")?;
            let size = header.size.and_then(|size| usize::try_from(size).ok());
            let start = at + header.len;
            let end = size.and_then(|size| start.checked_add(size));
            let end = end.filter(|end| *end <= bytes.len()).ok_or("a BlockGroup is malformed")?;
            match header.id {
                ids::BLOCK => {
                    let head = bytes[start..end].first_chunk_mut::<{ Blocks::HEAD }>();
                    let of = self.block(head.ok_or("a block is too short")?)?;
                    if action.replace(of).is_some() {
                        return Err(NOT_ONE_BLOCK);
                    }
                }
                // The checksum would be wrong after the rewrite.
                ids::CRC_32 => bytes[at] = ids::VOID as u8,
                _ => {}
            }
            at = end;
        }
        action.ok_or(NOT_ONE_BLOCK)
    }
}

//! The blocks of a piece (RFC 9559 §10): are they of the track and the time that were announced, and
//! what becomes of them? Pure.

use super::cut::TimeWindow;
use super::{MAX_TICKS, ids};
use crate::container::ebml;

/// What becomes of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockAction {
    Kept,
    /// It is not in the part that is wanted.
    Left,
}

/// The blocks of one piece, in their order.
pub(super) struct Blocks {
    /// Their track's number in their own file and in the joined one, as in a block: one byte,
    /// with the length mark.
    from: u8,
    to: u8,
    cut: Option<TimeWindow>,
    /// When a block of the first cluster must play, until it was there.
    due: Option<i64>,
    /// The time of their cluster.
    time: Option<i64>,
}

const OTHER_TIME: &str = "a cluster does not begin at the time of its cue";
const OTHER_BLOCK: &str = "a BlockGroup does not have exactly one Block";

impl Blocks {
    /// The head of a block: track, time, flags.
    pub(super) const HEAD: usize = 4;

    pub(super) fn new(from: u8, to: u8, due: Option<u64>, cut: Option<TimeWindow>) -> Blocks {
        let due = due.and_then(|due| i64::try_from(due).ok());
        Blocks { from: from | 0x80, to: to | 0x80, cut, due, time: None }
    }

    /// A cluster begins.
    pub(super) fn cluster(&mut self) {
        self.time = None;
    }

    /// A cluster ends.
    pub(super) fn end(&mut self) -> Result<(), &'static str> {
        if self.due.is_none() { Ok(()) } else { Err(OTHER_TIME) }
    }

    /// The time of the cluster; gives what is to stand there instead, never more.
    pub(super) fn timestamp(&mut self, time: u64) -> Result<u64, &'static str> {
        let signed = i64::try_from(time).ok().filter(|_| time < MAX_TICKS);
        let signed = signed.ok_or("a cluster timestamp is out of range")?;
        if self.time.replace(signed).is_some() {
            return Err("a cluster has two timestamps");
        }
        // No block is further away from its cluster than its own time reaches.
        match self.due {
            Some(due) if i16::try_from(due - signed).is_err() => Err(OTHER_TIME),
            _ => Ok(self.cut.map_or(time, |cut| time.saturating_sub(cut.zero))),
        }
    }

    /// The head of a block, which is changed.
    pub(super) fn block(&mut self, head: &mut [u8]) -> Result<BlockAction, &'static str> {
        let [track, high, low, _] = head else { return Err("a block is too short") };
        if *track != self.from {
            return Err("a block belongs to another track");
        }
        *track = self.to;
        let cluster = self.time.ok_or("a block comes before the timestamp of its cluster")?;
        let time = cluster + i64::from(i16::from_be_bytes([*high, *low]));
        match self.due {
            Some(due) if time > due => return Err(OTHER_TIME),
            Some(due) if time == due => self.due = None,
            _ => {}
        }
        let Some(TimeWindow { zero, until }) = self.cut else { return Ok(BlockAction::Kept) };
        let (Ok(zero), Ok(time)) = (i64::try_from(zero), u64::try_from(time)) else {
            return Ok(BlockAction::Left);
        };
        if time >= until || time < zero as u64 {
            return Ok(BlockAction::Left);
        }
        // A cluster that begins before 0 begins at 0 now, and its blocks are nearer to it by as
        // much: what is left of them cannot overflow.
        let nearer = (zero - cluster).max(0);
        let relative = i64::from(i16::from_be_bytes([*high, *low])) - nearer;
        let relative =
            i16::try_from(relative).map_err(|_| "a block is too far from its cluster timestamp")?;
        [*high, *low] = relative.to_be_bytes();
        Ok(BlockAction::Kept)
    }

    /// What is in a group, where the head of its block is changed.
    pub(super) fn group(&mut self, bytes: &mut [u8]) -> Result<BlockAction, &'static str> {
        let (mut at, mut fate) = (0, None);
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
                    if fate.replace(of).is_some() {
                        return Err(OTHER_BLOCK);
                    }
                }
                // A sum of what was changed.
                ids::CRC_32 => bytes[at] = ids::VOID as u8,
                _ => {}
            }
            at = end;
        }
        fate.ok_or(OTHER_BLOCK)
    }
}

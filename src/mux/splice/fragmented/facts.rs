//! What one movie fragment (ISO/IEC 14496-12 §8.8.4) says of its times. Only reads; must never take a
//! time for sane that could not be added to another.

use super::MOST_TICKS;
use super::init::{Init, header_at};
use crate::mux::completeness::Incomplete;
use crate::mux::splice::boxes::{Found, children, u32_at, u64_at};
use crate::mux::splice::{Halt, Look, MAX_ELEMENT, Refusal};

/// What a fragment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// The decoding time of its first sample.
    pub(super) time: u64,
    /// The earliest composition time of its samples.
    pub(super) earliest: u64,
    /// How long its samples last together.
    pub(super) duration: u64,
    /// Whether its first sample can be decoded alone.
    pub(super) is_entry: bool,
    /// The length of moof and mdat, with what stands in front of them.
    pub(super) len: u64,
}

/// Boxes in front of a moof that belong to its fragment.
const MOST_IN_FRONT: usize = 8;
const STRANGE: Refusal = Refusal("a fragment is malformed");
const SHORT: Incomplete = Incomplete("it is shorter than its fragments say");

/// Reads the fragment that begins at `at`.
pub(super) fn facts_at(look: &mut dyn Look, at: u64, init: &Init) -> Result<Facts, Halt> {
    let mut moof_at = at;
    for _ in 0..MOST_IN_FRONT {
        let header = header_at(look, moof_at)?.ok_or(STRANGE)?;
        let len = header.len.ok_or(STRANGE)?;
        if len > look.len() - moof_at {
            return Err(SHORT.into());
        }
        match &header.kind {
            b"moof" if len <= MAX_ELEMENT as u64 => {
                let moof = look.look(moof_at..moof_at + len)?;
                let mut facts = read(&moof[header.header..], init).ok_or(STRANGE)?;
                let mdat = header_at(look, moof_at + len)?.filter(|next| next.kind == *b"mdat");
                let rest = look.len() - moof_at - len;
                let mdat = mdat.ok_or(STRANGE)?.len.unwrap_or(rest);
                if mdat > rest {
                    return Err(SHORT.into());
                }
                facts.len = (moof_at - at) + len + mdat;
                return Ok(facts);
            }
            b"styp" | b"sidx" | b"ssix" | b"free" | b"skip" | b"emsg" | b"prft" | b"uuid" => {
                moof_at += len;
            }
            _ => break,
        }
    }
    Err(STRANGE.into())
}

/// Which optional fields there are (§8.8.7, §8.8.8).
pub(super) mod flags {
    pub(in crate::mux::splice::fragmented) const BASE_DATA_OFFSET: u32 = 0x1;
    pub(in crate::mux::splice::fragmented) const DESCRIPTION: u32 = 0x2;
    pub(in crate::mux::splice::fragmented) const DEFAULT_DURATION: u32 = 0x8;
    pub(in crate::mux::splice::fragmented) const DEFAULT_SIZE: u32 = 0x10;
    pub(in crate::mux::splice::fragmented) const DEFAULT_FLAGS: u32 = 0x20;
    pub(in crate::mux::splice::fragmented) const BASE_IS_MOOF: u32 = 0x2_0000;
    pub(in crate::mux::splice::fragmented) const DATA_OFFSET: u32 = 0x1;
    pub(in crate::mux::splice::fragmented) const FIRST_FLAGS: u32 = 0x4;
    pub(in crate::mux::splice::fragmented) const DURATION: u32 = 0x100;
    pub(in crate::mux::splice::fragmented) const SIZE: u32 = 0x200;
    pub(in crate::mux::splice::fragmented) const FLAGS: u32 = 0x400;
    pub(in crate::mux::splice::fragmented) const OFFSET: u32 = 0x800;
    /// In the flags of a sample: it needs others (§8.8.3.1).
    pub(in crate::mux::splice::fragmented) const IS_NO_SYNC: u32 = 0x1_0000;
}

/// Reads numbers one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn next(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*first))
    }

    fn next_if(&mut self, there: bool) -> Option<Option<u32>> {
        if there { self.next().map(Some) } else { Some(None) }
    }
}

fn read(moof: &[u8], init: &Init) -> Option<Facts> {
    let (mut facts, mut has_others) = (None, false);
    for traf in children(moof)?.iter().filter(|found| found.kind == *b"traf") {
        let boxes = children(traf.payload())?;
        let tfhd = boxes.iter().find(|found| found.kind == *b"tfhd")?.payload();
        if u32_at(tfhd, 4)? != init.id {
            has_others = true;
            continue;
        }
        if has_others && !has_base(tfhd) {
            return None;
        }
        // A second one of the same track goes on without telling the time again.
        if facts.is_some() {
            return None;
        }
        facts = Some(read_traf(&boxes, tfhd, init)?);
    }
    facts
}

/// Whether the place of its media is told without a look at the tracks in front of it.
pub(super) fn has_base(tfhd: &[u8]) -> bool {
    u32_at(tfhd, 0).is_some_and(|has| has & (flags::BASE_DATA_OFFSET | flags::BASE_IS_MOOF) != 0)
}

fn read_traf(boxes: &[Found<'_>], tfhd: &[u8], init: &Init) -> Option<Facts> {
    let tfdt = boxes.iter().find(|found| found.kind == *b"tfdt")?.payload();
    let time = match tfdt.first()? {
        0 => u64::from(u32_at(tfdt, 4)?),
        _ => u64_at(tfdt, 4)?,
    };
    let has = u32_at(tfhd, 0)?;
    let mut fields = Fields(tfhd.get(8..)?);
    if has & flags::BASE_DATA_OFFSET != 0 {
        fields.next()?;
        fields.next()?;
    }
    fields.next_if(has & flags::DESCRIPTION != 0)?;
    let of_all = |at| u32_at(&init.trex, at);
    let duration = fields.next_if(has & flags::DEFAULT_DURATION != 0)?.or(of_all(12))?;
    fields.next_if(has & flags::DEFAULT_SIZE != 0)?;
    let sample_flags = fields.next_if(has & flags::DEFAULT_FLAGS != 0)?.or(of_all(20))?;
    let mut samples = Samples { at: time, earliest: u64::MAX, is_entry: None };
    for trun in boxes.iter().filter(|found| found.kind == *b"trun") {
        samples.read(trun.payload(), duration, sample_flags)?;
    }
    let Samples { at, earliest, is_entry } = samples;
    let is_sane = at < MOST_TICKS && earliest < MOST_TICKS;
    Some(Facts { time, earliest, duration: at - time, is_entry: is_entry?, len: 0 })
        .filter(|_| is_sane)
}

/// What the samples read so far come to.
struct Samples {
    at: u64,
    earliest: u64,
    /// `None` before the first.
    is_entry: Option<bool>,
}

impl Samples {
    /// Reads a trun (§8.8.8). The bytes that are there bound the number of its samples, unless
    /// they say nothing of themselves.
    fn read(&mut self, trun: &[u8], duration: u32, sample_flags: u32) -> Option<()> {
        let has = u32_at(trun, 0)?;
        let signed = trun.first()? & 1 == 1;
        let mut fields = Fields(trun.get(4..)?);
        let count = fields.next()?;
        fields.next_if(has & flags::DATA_OFFSET != 0)?;
        let first_flags = fields.next_if(has & flags::FIRST_FLAGS != 0)?;
        let each = flags::DURATION | flags::SIZE | flags::FLAGS | flags::OFFSET;
        if has & each == 0 {
            if count > 0 {
                self.is_entry.get_or_insert(is_sync(first_flags.unwrap_or(sample_flags)));
                self.earliest = self.earliest.min(self.at);
                self.at = self.at.checked_add(u64::from(count) * u64::from(duration))?;
            }
            return Some(());
        }
        for index in 0..count {
            let lasts = fields.next_if(has & flags::DURATION != 0)?.unwrap_or(duration);
            fields.next_if(has & flags::SIZE != 0)?;
            let own = fields.next_if(has & flags::FLAGS != 0)?;
            let offset = fields.next_if(has & flags::OFFSET != 0)?.unwrap_or(0);
            let first = first_flags.filter(|_| index == 0);
            self.is_entry.get_or_insert(is_sync(first.or(own).unwrap_or(sample_flags)));
            let shown = if signed {
                self.at.saturating_add_signed(i64::from(offset.cast_signed()))
            } else {
                self.at.checked_add(u64::from(offset))?
            };
            self.earliest = self.earliest.min(shown);
            self.at = self.at.checked_add(u64::from(lasts))?;
        }
        Some(())
    }
}

fn is_sync(sample_flags: u32) -> bool {
    sample_flags & flags::IS_NO_SYNC == 0
}

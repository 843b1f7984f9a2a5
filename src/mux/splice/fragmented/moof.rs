//! One movie fragment (ISO/IEC 14496-12 §8.8.4): what it says of its times, and how it is changed
//! on its way.
//!
//! All that changes has a fixed width. Must never let through what the plan did not know of.

use super::MOST_TICKS;
use super::init::{Init, header_at};
use crate::error::Error;
use crate::mux::splice::boxes::{self, Found, children, u32_at, u64_at};
use crate::mux::splice::{Halt, Input, Look, MAX_ELEMENT, Refusal, Window};

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

/// Reads the fragment that begins at `at`.
pub(super) fn facts_at(look: &mut dyn Look, at: u64, init: &Init) -> Result<Facts, Halt> {
    let mut moof_at = at;
    for _ in 0..MOST_IN_FRONT {
        let header = header_at(look, moof_at)?.ok_or(STRANGE)?;
        let len = header.len.filter(|len| *len <= look.len() - moof_at).ok_or(STRANGE)?;
        match &header.kind {
            b"moof" if len <= MAX_ELEMENT as u64 => {
                let moof = look.look(moof_at..moof_at + len)?;
                let mut facts = read(&moof[header.header..], init).ok_or(STRANGE)?;
                let mdat = header_at(look, moof_at + len)?.filter(|next| next.kind == *b"mdat");
                let rest = look.len() - moof_at - len;
                let mdat = mdat.ok_or(STRANGE)?.len.unwrap_or(rest);
                if mdat > rest {
                    return Err(Refusal("it is shorter than its fragments say").into());
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
mod flags {
    pub(super) const BASE_DATA_OFFSET: u32 = 0x1;
    pub(super) const DESCRIPTION: u32 = 0x2;
    pub(super) const DEFAULT_DURATION: u32 = 0x8;
    pub(super) const DEFAULT_SIZE: u32 = 0x10;
    pub(super) const DEFAULT_FLAGS: u32 = 0x20;
    pub(super) const BASE_IS_MOOF: u32 = 0x2_0000;
    pub(super) const DATA_OFFSET: u32 = 0x1;
    pub(super) const FIRST_FLAGS: u32 = 0x4;
    pub(super) const DURATION: u32 = 0x100;
    pub(super) const SIZE: u32 = 0x200;
    pub(super) const FLAGS: u32 = 0x400;
    pub(super) const OFFSET: u32 = 0x800;
    /// In the flags of a sample: it needs others (§8.8.3.1).
    pub(super) const IS_NO_SYNC: u32 = 0x1_0000;
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
fn has_base(tfhd: &[u8]) -> bool {
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

/// How the fragments of each track are changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules(pub(super) Vec<Rule>);

/// How the fragments of a track are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) old_id: u32,
    pub(super) new_id: u32,
    /// Taken from the decoding time.
    pub(super) shift: u64,
}

impl Rules {
    /// Makes the piece of `track` whose `len` bytes come next from `input`; its fragments are
    /// numbered from `number` on.
    pub(in crate::mux::splice) fn emit(
        &self,
        track: u8,
        number: u32,
        len: u64,
        input: &mut Input<'_>,
        window: &mut Window<'_>,
    ) -> Result<(), Error> {
        let rule = self.0[usize::from(track)];
        // Both sides advance alike; a difference that wraps around still adds up.
        let moved = window.at().wrapping_sub(input.at());
        let (mut left, mut fragments, mut has_media) = (len, 0, true);
        while left > 0 && !window.is_over() {
            let head = Head::take(left, input)?;
            let payload = head.len - head.bytes().len() as u64;
            match &head.kind {
                b"moof" => {
                    if !has_media {
                        return Err(input.contradiction("a fragment has no media"));
                    }
                    has_media = false;
                    let count = usize::try_from(payload).unwrap_or(usize::MAX);
                    let moof = input.take(count)?;
                    if let Err(why) = rule.patch(moof, number.wrapping_add(fragments), moved) {
                        return Err(input.contradiction(why));
                    }
                    window.write(head.bytes())?;
                    window.write(moof)?;
                    fragments += 1;
                }
                b"mdat" => {
                    if fragments == 0 {
                        return Err(input.contradiction("its media begins before its fragment"));
                    }
                    has_media = true;
                    window.write(head.bytes())?;
                    pass(input, window, payload)?;
                }
                b"prft" => {
                    let count = usize::try_from(payload).unwrap_or(usize::MAX);
                    let prft = input.take(count)?;
                    if !put(prft, 4, rule.new_id) {
                        return Err(input.contradiction("a producer's time (prft) is malformed"));
                    }
                    window.write(head.bytes())?;
                    window.write(prft)?;
                }
                b"styp" | b"emsg" | b"free" | b"skip" | b"uuid" => {
                    window.write(head.bytes())?;
                    pass(input, window, payload)?;
                }
                // They speak of the file that they come from.
                b"sidx" | b"ssix" | b"mfra" | b"moov" | b"ftyp" => {
                    window.write(&head.renamed(*b"free"))?;
                    pass(input, window, payload)?;
                }
                _ => return Err(input.contradiction("an unknown box is among its fragments")),
            }
            left -= head.len;
        }
        if left == 0 && (fragments == 0 || !has_media) {
            return Err(input.contradiction("where a fragment should be is none"));
        }
        Ok(())
    }
}

/// How many of these bytes from the beginning of a piece there are up to the media that `target`
/// is in: everything between the two can be passed over.
pub(in crate::mux::splice) fn way_in(bytes: &[u8], target: u64) -> Option<usize> {
    let mut at = 0;
    loop {
        let found = boxes::header(bytes.get(at..)?)?;
        let (inside, end) = (at + found.header, (at as u64).saturating_add(found.len?));
        if target < end {
            let is_media = found.kind == *b"mdat" && inside as u64 <= target;
            return is_media.then_some(inside);
        }
        at = usize::try_from(end).ok()?;
    }
}

/// The next bytes, those not looked at that are not wanted.
fn pass(input: &mut Input<'_>, window: &mut Window<'_>, len: u64) -> Result<(), Error> {
    let ahead = window.skip_ahead(len);
    input.skip_to(input.at() + ahead)?;
    window.copy(input, len - ahead)
}

/// The header of a box on its way.
struct Head {
    kind: [u8; 4],
    /// Header included.
    len: u64,
    raw: [u8; 16],
    wide: bool,
}

impl Head {
    /// Takes the next one from a piece of which `left` bytes are left.
    fn take(left: u64, input: &mut Input<'_>) -> Result<Head, Error> {
        const OUTSIDE: &str = "a box is larger than the fragment that it is in";
        let mut raw = [0; 16];
        if left < 8 {
            return Err(input.contradiction(OUTSIDE));
        }
        raw[..8].copy_from_slice(input.take(8)?);
        let wide = raw[..4] == [0, 0, 0, 1];
        if wide {
            if left < 16 {
                return Err(input.contradiction(OUTSIDE));
            }
            raw[8..].copy_from_slice(input.take(8)?);
        }
        let Some(found) = boxes::header(&raw) else {
            return Err(input.contradiction("a box has no room for its own header"));
        };
        // What goes on to the end of its file goes on to the end of the last piece.
        let len = found.len.unwrap_or(left);
        if len > left {
            return Err(input.contradiction(OUTSIDE));
        }
        if found.len.is_none() {
            let Ok(len) = u32::try_from(len) else { return Err(input.contradiction(OUTSIDE)) };
            raw[..4].copy_from_slice(&len.to_be_bytes());
        }
        Ok(Head { kind: found.kind, len, raw, wide })
    }

    fn bytes(&self) -> &[u8] {
        if self.wide { &self.raw } else { &self.raw[..8] }
    }

    fn renamed(&self, kind: [u8; 4]) -> Vec<u8> {
        let mut bytes = self.bytes().to_vec();
        bytes[4..8].copy_from_slice(&kind);
        bytes
    }
}

impl Rule {
    /// Changes a moof (without its header), which moves by `moved` bytes.
    fn patch(&self, moof: &mut [u8], number: u32, moved: u64) -> Result<(), &'static str> {
        const MALFORMED: &str = "a fragment's head (moof) is malformed";
        let (mut has_number, mut has_track, mut has_others) = (false, false, false);
        for found in places(moof).ok_or(MALFORMED)? {
            let payload = &mut moof[found.payload.clone()];
            match &found.kind {
                b"mfhd" => has_number = put(payload, 4, number),
                b"traf" => match self.patch_traf(payload, moved, has_others) {
                    Some(Ok(())) => has_track = true,
                    // Of another track, which is not in the joined file.
                    None => {
                        moof[found.at + 4..found.at + 8].copy_from_slice(b"free");
                        has_others = true;
                    }
                    Some(Err(why)) => return Err(why),
                },
                _ => {}
            }
        }
        if !has_number {
            return Err(MALFORMED);
        }
        if has_track { Ok(()) } else { Err("a fragment is of another track") }
    }

    /// `None` if it is of another track, as one in front of it is if it `has_others`.
    fn patch_traf(
        &self,
        traf: &mut [u8],
        moved: u64,
        has_others: bool,
    ) -> Option<Result<(), &'static str>> {
        const MALFORMED: Option<Result<(), &str>> = Some(Err("a fragment of a track is malformed"));
        let Some(boxes) = places(traf) else { return MALFORMED };
        let Some(tfhd) = boxes.iter().find(|found| found.kind == *b"tfhd") else {
            return MALFORMED;
        };
        let payload = &mut traf[tfhd.payload.clone()];
        match u32_at(payload, 4) {
            Some(id) if id == self.old_id => put(payload, 4, self.new_id),
            Some(_) => return None,
            None => return MALFORMED,
        };
        if has_others && !has_base(payload) {
            return Some(Err("the media of a fragment are behind those of another track"));
        }
        if u32_at(payload, 0).is_some_and(|has| has & flags::BASE_DATA_OFFSET != 0) {
            let Some(base) = u64_at(payload, 8) else { return MALFORMED };
            payload[8..16].copy_from_slice(&base.wrapping_add(moved).to_be_bytes());
        }
        let Some(tfdt) = boxes.iter().find(|found| found.kind == *b"tfdt") else {
            let missing = Some(Err("a fragment does not tell its time"));
            return if self.shift == 0 { Some(Ok(())) } else { missing };
        };
        let payload = &mut traf[tfdt.payload.clone()];
        let wide = payload.first() != Some(&0);
        let time = if wide { u64_at(payload, 4) } else { u32_at(payload, 4).map(u64::from) };
        let Some(time) = time else { return MALFORMED };
        let Some(time) = time.checked_sub(self.shift) else {
            return Some(Err("a fragment is earlier than its index says"));
        };
        if wide {
            payload[4..12].copy_from_slice(&time.to_be_bytes());
        } else {
            // What is less than a number of 32 bits has no more.
            put(payload, 4, time as u32);
        }
        Some(Ok(()))
    }
}

/// A box among bytes that are to be changed.
struct Place {
    kind: [u8; 4],
    at: usize,
    payload: std::ops::Range<usize>,
}

fn places(bytes: &[u8]) -> Option<Vec<Place>> {
    let found = children(bytes)?.into_iter().map(|found| Place {
        kind: found.kind,
        at: found.at,
        payload: found.at + found.header..found.at + found.bytes.len(),
    });
    Some(found.collect())
}

fn put(bytes: &mut [u8], at: usize, number: u32) -> bool {
    let Some(field) = bytes.get_mut(at..at + 4) else { return false };
    field.copy_from_slice(&number.to_be_bytes());
    true
}

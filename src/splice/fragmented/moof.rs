//! One movie fragment (ISO/IEC 14496-12 §8.8.4) on its way: how it is changed.
//!
//! All that changes has a fixed width. Must never let through what the plan did not know of.

use std::ops::Range;

use super::fragment::{flags, has_base};
use crate::container::isobmff::{self, Header, children, u32_at, u64_at};
use crate::error::Error;
use crate::splice::{RangeWriter, TrackInput};

/// How the fragments of each track are changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentRewriter {
    pub(super) tracks: Vec<TrackPatch>,
}

/// How many numbers there are for the fragments of a piece; gaps are allowed (§8.8.5).
pub(super) const NUMBERS: u32 = 1 << 12;

/// How the fragments of a track are changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TrackPatch {
    pub(super) old_id: u32,
    pub(super) new_id: u32,
    /// Added to the decoding time, and then taken from it.
    pub(super) lead: u64,
    pub(super) shift: u64,
    /// Where there must be no more than an index, behind the last fragment; empty if that was seen.
    pub(super) unseen: Range<u64>,
}

impl FragmentRewriter {
    /// Gives `update` an unambiguous encoding, for a digest.
    pub(in crate::splice) fn encode(&self, update: &mut dyn FnMut(&[u8])) {
        for TrackPatch { old_id, new_id, lead, shift, unseen } in &self.tracks {
            update(&old_id.to_be_bytes());
            update(&new_id.to_be_bytes());
            for number in [*lead, *shift, unseen.start, unseen.end] {
                update(&number.to_be_bytes());
            }
        }
    }

    /// How many bytes behind a piece of `track` that ends at `end` are needed to finish it.
    pub(in crate::splice) fn lookahead(&self, track: u8, end: u64) -> u64 {
        let is_last = self.tracks.get(usize::from(track)).is_some_and(|rule| rule.is_last(end));
        if is_last { TrackPatch::PEEK as u64 } else { 0 }
    }

    /// Makes the piece of `track` whose `len` bytes come next from `input`; `place` is its own
    /// among all pieces.
    pub(in crate::splice) fn rewrite(
        &self,
        track: u8,
        place: usize,
        len: u64,
        input: &mut TrackInput<'_>,
        window: &mut RangeWriter<'_>,
    ) -> Result<(), Error> {
        let rule = &self.tracks[usize::from(track)];
        // There are never so many that they would not fit.
        let number = (place as u32).wrapping_mul(NUMBERS).wrapping_add(1);
        // Both sides advance alike; a difference that wraps around still adds up.
        let moved = window.at().wrapping_sub(input.at());
        let (mut left, mut fragments, mut has_media) = (len, 0, true);
        while left > 0 && !window.is_over() {
            let head = Head::take(left, input)?;
            let payload = head.len - head.bytes().len() as u64;
            if payload == 0 && rule.is_last(input.at()) && window.reaches(head.bytes().len() as u64)
            {
                rule.see_what_is_left(0, input)?;
            }
            match &head.kind {
                b"moof" => {
                    if !has_media {
                        return Err(input.mismatch("a fragment has no media data (mdat)"));
                    }
                    has_media = false;
                    let count = usize::try_from(payload).unwrap_or(usize::MAX);
                    let moof = input.read_exact(count)?;
                    if let Err(why) = rule.patch(moof, number.wrapping_add(fragments), moved) {
                        return Err(input.mismatch(why));
                    }
                    window.write(head.bytes())?;
                    window.write(moof)?;
                    fragments += 1;
                }
                b"mdat" => {
                    if fragments == 0 {
                        return Err(
                            input.mismatch("media data (mdat) precedes its fragment (moof)")
                        );
                    }
                    has_media = true;
                    window.write(head.bytes())?;
                    rule.pass(input, window, payload)?;
                }
                // They tell of times as they were.
                b"prft" | b"emsg" if rule.shift > 0 => {
                    window.write(&head.renamed(*b"free"))?;
                    rule.pass(input, window, payload)?;
                }
                b"prft" => {
                    let count = usize::try_from(payload).unwrap_or(usize::MAX);
                    let prft = input.read_exact(count)?;
                    if !put(prft, 4, rule.new_id) {
                        return Err(input.mismatch("a prft box is malformed"));
                    }
                    window.write(head.bytes())?;
                    window.write(prft)?;
                }
                b"styp" | b"emsg" | b"free" | b"skip" | b"uuid" => {
                    window.write(head.bytes())?;
                    rule.pass(input, window, payload)?;
                }
                // They speak of the file that they come from.
                b"sidx" | b"ssix" | b"mfra" | b"moov" | b"ftyp" => {
                    window.write(&head.renamed(*b"free"))?;
                    rule.pass(input, window, payload)?;
                }
                _ => return Err(input.mismatch("an unknown box lies between the fragments")),
            }
            left -= head.len;
        }
        if left == 0 && (fragments == 0 || !has_media) {
            return Err(input.mismatch("expected a fragment (moof)"));
        }
        Ok(())
    }
}

/// How many of these bytes from the beginning of a piece there are up to the media that `target`
/// is in: everything between the two can be passed over.
pub(in crate::splice) fn media_start(bytes: &[u8], target: u64) -> Option<usize> {
    let mut at = 0;
    loop {
        let found = isobmff::header(bytes.get(at..)?)?;
        let (inside, end) = (at + found.header, (at as u64).saturating_add(found.len?));
        if target < end {
            let is_media = found.kind == *b"mdat" && inside as u64 <= target;
            return is_media.then_some(inside);
        }
        at = usize::try_from(end).ok()?;
    }
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
    fn take(left: u64, input: &mut TrackInput<'_>) -> Result<Head, Error> {
        const OUTSIDE: &str = "a box runs past the end of its fragment";
        let mut raw = [0; 16];
        if left < 8 {
            return Err(input.mismatch(OUTSIDE));
        }
        raw[..8].copy_from_slice(input.read_exact(8)?);
        let wide = raw[..4] == [0, 0, 0, 1];
        if wide {
            if left < 16 {
                return Err(input.mismatch(OUTSIDE));
            }
            raw[8..].copy_from_slice(input.read_exact(8)?);
        }
        let Some(found) = isobmff::header(&raw) else {
            return Err(input.mismatch("a box is shorter than its own header"));
        };
        // What goes on to the end of its file goes on to the end of the last piece.
        let len = found.len.unwrap_or(left);
        if len > left {
            return Err(input.mismatch(OUTSIDE));
        }
        if found.len.is_none() {
            let Ok(len) = u32::try_from(len) else { return Err(input.mismatch(OUTSIDE)) };
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

impl TrackPatch {
    /// What is looked at of what is behind the last fragment: the header of a box.
    const PEEK: usize = 8;

    /// Whether there must be no more of the film from here on, and that was not seen yet.
    fn is_last(&self, at: u64) -> bool {
        !self.unseen.is_empty() && self.unseen.start == at
    }

    /// The next bytes, those not looked at that are not wanted. The very last one of the track goes out
    /// when what is behind it has been seen: behind that, nothing could be shown to be wrong.
    fn pass(
        &self,
        input: &mut TrackInput<'_>,
        window: &mut RangeWriter<'_>,
        len: u64,
    ) -> Result<(), Error> {
        let ahead = window.skip_ahead(len);
        input.skip_to(input.at() + ahead)?;
        let len = len - ahead;
        if len == 0 || !self.is_last(input.at() + len) {
            return window.copy(input, len);
        }
        window.copy(input, len - 1)?;
        if window.is_over() {
            return Ok(());
        }
        let last = self.see_what_is_left(1, input)?;
        window.write(&last)
    }

    /// Takes the next `count` bytes, behind which there must be an index and no more.
    fn see_what_is_left(&self, count: usize, input: &mut TrackInput<'_>) -> Result<Vec<u8>, Error> {
        let mut bytes = input.read_exact(count + Self::PEEK)?.to_vec();
        let found = isobmff::header(&bytes[count..]);
        let len = self.unseen.end - self.unseen.start;
        let is_index = |found: &Header| matches!(&found.kind, b"mfra" | b"free" | b"skip");
        if found.filter(is_index).and_then(|found| found.len) != Some(len) {
            return Err(input.mismatch("there are fragments that the index omits"));
        }
        bytes.truncate(count);
        Ok(bytes)
    }

    /// Changes a moof (without its header), which moves by `moved` bytes.
    fn patch(&self, moof: &mut [u8], number: u32, moved: u64) -> Result<(), &'static str> {
        const MALFORMED: &str = "a moof box is malformed";
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
        if has_track { Ok(()) } else { Err("a fragment belongs to another track") }
    }

    /// `None` if it is of another track, as one in front of it is if it `has_others`.
    fn patch_traf(
        &self,
        traf: &mut [u8],
        moved: u64,
        has_others: bool,
    ) -> Option<Result<(), &'static str>> {
        const MALFORMED: Option<Result<(), &str>> = Some(Err("a traf box is malformed"));
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
            return Some(Err("a fragment stores its media after that of another track"));
        }
        if u32_at(payload, 0).is_some_and(|has| has & flags::BASE_DATA_OFFSET != 0) {
            let Some(base) = u64_at(payload, 8) else { return MALFORMED };
            payload[8..16].copy_from_slice(&base.wrapping_add(moved).to_be_bytes());
        }
        let Some(tfdt) = boxes.iter().find(|found| found.kind == *b"tfdt") else {
            let missing = Some(Err("a fragment has no decode time (tfdt)"));
            return if self.shift == self.lead { Some(Ok(())) } else { missing };
        };
        let payload = &mut traf[tfdt.payload.clone()];
        let wide = payload.first() != Some(&0);
        let time = if wide { u64_at(payload, 4) } else { u32_at(payload, 4).map(u64::from) };
        let Some(time) = time else { return MALFORMED };
        // In front of 0 is what would be behind all that 64 bits can tell.
        let Some(time) = time.wrapping_add(self.lead).checked_sub(self.shift) else {
            return Some(Err("a fragment begins earlier than the index declares"));
        };
        if wide {
            payload[4..12].copy_from_slice(&time.to_be_bytes());
        } else {
            let Ok(time) = u32::try_from(time) else {
                return Some(Err("a fragment's decode time does not fit in its field"));
            };
            put(payload, 4, time);
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

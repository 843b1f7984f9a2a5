//! Rewrites movie fragments (ISO/IEC 14496-12 §8.8.4) while they are copied: sequence number, track_ID,
//! decode time and offsets, all in fields of fixed width.
//!
//! **Invariant:** bytes that the plan did not know of never get into the joined file.

use std::ops::Range;
use std::slice;

use super::box_header::BoxHeader;
use super::fragment::{flags, has_base};
use super::parts::Later;
use super::thin::Thinner;
use crate::container::isobmff::{self, Header, children, u32_at, u64_at};
use crate::error::Error;
use crate::splice::{RangeWriter, TrackInput};

/// The rewrite rules for the fragments of all tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentRewriter {
    pub(super) tracks: Vec<TrackPatch>,
}

/// The number of sequence numbers reserved for the fragments of one extent; gaps are allowed (§8.8.5).
pub(super) const SEQUENCE_NUMBERS: u32 = 1 << 12;

/// The rewrite rules for the fragments of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TrackPatch {
    pub(super) old_id: u32,
    pub(super) new_id: u32,
    /// Added to the decode time, and `shift` subtracted from the sum.
    pub(super) lead: u64,
    pub(super) shift: u64,
    /// The bytes after the last fragment, which must be no more than an index; empty if they were
    /// checked already.
    pub(super) unverified: Range<u64>,
    /// From where on the decode time is later than it tells, beside the lead.
    pub(super) later: Vec<Later>,
    /// What is left out of its fragments.
    pub(super) thinner: Option<Thinner>,
}

impl FragmentRewriter {
    /// Feeds `update` an unambiguous encoding, for a digest.
    pub(in crate::splice) fn encode(&self, update: &mut dyn FnMut(&[u8])) {
        for TrackPatch { old_id, new_id, lead, shift, unverified, later, thinner } in &self.tracks {
            update(&old_id.to_be_bytes());
            update(&new_id.to_be_bytes());
            for number in [*lead, *shift, unverified.start, unverified.end] {
                update(&number.to_be_bytes());
            }
            for Later { from, by } in later {
                update(&from.to_be_bytes());
                update(&by.to_be_bytes());
            }
            if let Some(thinner) = thinner {
                thinner.encode(update);
            }
        }
    }

    /// Returns how many bytes after an extent of `track` that ends at `end` are needed to complete
    /// it.
    pub(in crate::splice) fn lookahead(&self, track: u8, end: u64) -> u64 {
        let is_last = self.tracks.get(usize::from(track)).is_some_and(|patch| patch.is_last(end));
        if is_last { TrackPatch::PEEK as u64 } else { 0 }
    }

    /// Rewrites the extent of `track` whose `len` bytes come next from `input`; `extent_index` is
    /// its index among all extents.
    pub(in crate::splice) fn rewrite(
        &self,
        track: u8,
        extent_index: usize,
        len: u64,
        input: &mut TrackInput<'_>,
        writer: &mut RangeWriter<'_>,
    ) -> Result<(), Error> {
        let patch = &self.tracks[usize::from(track)].at(input.at());
        // The number of extents is limited, so that this never wraps around.
        let number = (extent_index as u32).wrapping_mul(SEQUENCE_NUMBERS).wrapping_add(1);
        // Both offsets advance alike; a difference that wraps around still adds up.
        let displacement = writer.at().wrapping_sub(input.at());
        let (mut left, mut fragments, mut has_media) = (len, 0, true);
        while left > 0 && !writer.is_over() {
            let header = BoxHeader::take(left, input)?;
            let payload = header.len - header.bytes().len() as u64;
            let ends = payload == 0 && patch.is_last(input.at());
            if ends && writer.reaches(header.bytes().len() as u64) {
                patch.check_rest(0, input)?;
            }
            match BoxAction::of(&header.kind, patch.moves()) {
                BoxAction::RewriteMoof if !has_media => {
                    return Err(input.mismatch("a fragment has no media data (mdat)"));
                }
                BoxAction::RewriteMoof => {
                    let number = number.wrapping_add(fragments);
                    let moof = read_payload(input, payload)?;
                    let thinned =
                        patch.thinner.as_ref().map_or(Ok(()), |t| t.thin(moof, patch.old_id));
                    if let Err(why) = thinned.and_then(|()| {
                        rewrite_moof(slice::from_ref(patch), moof, Some(number), displacement)
                    }) {
                        return Err(input.mismatch(why));
                    }
                    writer.write(header.bytes())?;
                    writer.write(moof)?;
                    (fragments, has_media) = (fragments + 1, false);
                }
                BoxAction::CopyMedia if fragments == 0 => {
                    return Err(input.mismatch("media data (mdat) precedes its fragment (moof)"));
                }
                BoxAction::RewritePrft => patch.rewrite_prft(&header, payload, input, writer)?,
                BoxAction::Hide => {
                    writer.write(&header.renamed(*b"free"))?;
                    patch.copy(input, writer, payload)?;
                }
                action @ (BoxAction::CopyMedia | BoxAction::Copy) => {
                    has_media |= action == BoxAction::CopyMedia;
                    writer.write(header.bytes())?;
                    patch.copy(input, writer, payload)?;
                }
                BoxAction::Refuse => {
                    return Err(input.mismatch("an unknown box lies between the fragments"));
                }
            }
            left -= header.len;
        }
        if left == 0 && (fragments == 0 || !has_media) {
            return Err(input.mismatch("expected a fragment (moof)"));
        }
        Ok(())
    }
}

fn read_payload<'i>(input: &'i mut TrackInput<'_>, len: u64) -> Result<&'i mut [u8], Error> {
    input.read_exact(usize::try_from(len).unwrap_or(usize::MAX))
}

/// What becomes of a box between fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BoxAction {
    RewriteMoof,
    CopyMedia,
    RewritePrft,
    Copy,
    /// Its type becomes "free".
    Hide,
    Refuse,
}

impl BoxAction {
    /// Returns the action for a box of this type. `is_shifted` tells whether timestamps change.
    fn of(kind: &[u8; 4], is_shifted: bool) -> BoxAction {
        match kind {
            b"moof" => BoxAction::RewriteMoof,
            b"mdat" => BoxAction::CopyMedia,
            // These boxes refer to timestamps before the shift.
            b"prft" | b"emsg" if is_shifted => BoxAction::Hide,
            b"prft" => BoxAction::RewritePrft,
            b"styp" | b"emsg" | b"free" | b"skip" | b"uuid" => BoxAction::Copy,
            // These boxes describe the input file.
            b"sidx" | b"ssix" | b"mfra" | b"moov" | b"ftyp" => BoxAction::Hide,
            _ => BoxAction::Refuse,
        }
    }
}

/// Returns the offset, from the start of an extent, of the media data that contains `target`:
/// everything between the two can be skipped. `bytes` are the first bytes of the extent.
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

impl TrackPatch {
    /// Copies a prft (§8.16.5) with the new track_ID.
    fn rewrite_prft(
        &self,
        header: &BoxHeader,
        len: u64,
        input: &mut TrackInput<'_>,
        writer: &mut RangeWriter<'_>,
    ) -> Result<(), Error> {
        let prft = read_payload(input, len)?;
        if !write_u32(prft, 4, self.new_id) {
            return Err(input.mismatch("a prft box is malformed"));
        }
        writer.write(header.bytes())?;
        writer.write(prft)
    }

    /// The number of bytes to read after the last fragment: the header of a box.
    const PEEK: usize = 8;

    /// Returns whether timestamps change.
    fn moves(&self) -> bool {
        self.shift != self.lead || self.thinner.is_some()
    }

    /// Returns whether the media must end at `at`, and that was not checked yet.
    fn is_last(&self, at: u64) -> bool {
        !self.unverified.is_empty() && self.unverified.start == at
    }

    /// Copies the next `len` bytes, and skips those before the requested range. The very last byte
    /// of the track is sent only after the bytes that follow it were checked: later, an error could
    /// not be reported any more.
    fn copy(
        &self,
        input: &mut TrackInput<'_>,
        writer: &mut RangeWriter<'_>,
        len: u64,
    ) -> Result<(), Error> {
        let skipped = writer.skip_ahead(len);
        input.skip_to(input.at() + skipped)?;
        let len = len - skipped;
        if len == 0 || !self.is_last(input.at() + len) {
            return writer.copy(input, len);
        }
        writer.copy(input, len - 1)?;
        if writer.is_over() {
            return Ok(());
        }
        let last = self.check_rest(1, input)?;
        writer.write(&last)
    }

    /// Reads the next `count` bytes, and checks that only an index follows them.
    fn check_rest(&self, count: usize, input: &mut TrackInput<'_>) -> Result<Vec<u8>, Error> {
        let mut bytes = input.read_exact(count + Self::PEEK)?.to_vec();
        let found = isobmff::header(&bytes[count..]);
        let len = self.unverified.end - self.unverified.start;
        let is_index = |found: &Header| matches!(&found.kind, b"mfra" | b"free" | b"skip");
        if found.filter(is_index).and_then(|found| found.len) != Some(len) {
            return Err(input.mismatch("there are fragments that the index omits"));
        }
        bytes.truncate(count);
        Ok(bytes)
    }

    /// Rewrites a traf. Returns `None` if it is of another track; `has_others` says that an earlier
    /// one was.
    fn patch_traf(
        &self,
        traf: &mut [u8],
        displacement: u64,
        has_others: bool,
    ) -> Option<Result<(), &'static str>> {
        const MALFORMED: Option<Result<(), &str>> = Some(Err("a traf box is malformed"));
        let Some(boxes) = child_ranges(traf) else { return MALFORMED };
        let Some(tfhd) = boxes.iter().find(|found| found.kind == *b"tfhd") else {
            return MALFORMED;
        };
        let payload = &mut traf[tfhd.payload.clone()];
        match u32_at(payload, 4) {
            Some(id) if id == self.old_id => write_u32(payload, 4, self.new_id),
            Some(_) => return None,
            None => return MALFORMED,
        };
        if has_others && !has_base(payload) {
            return Some(Err("a fragment stores its media after that of another track"));
        }
        if u32_at(payload, 0).is_some_and(|has| has & flags::BASE_DATA_OFFSET != 0) {
            let Some(base) = u64_at(payload, 8) else { return MALFORMED };
            payload[8..16].copy_from_slice(&base.wrapping_add(displacement).to_be_bytes());
        }
        let Some(tfdt) = boxes.iter().find(|found| found.kind == *b"tfdt") else {
            let missing = Some(Err("a fragment has no decode time (tfdt)"));
            return if self.shift == self.lead { Some(Ok(())) } else { missing };
        };
        let payload = &mut traf[tfdt.payload.clone()];
        let is_wide = payload.first() != Some(&0);
        let time = if is_wide { u64_at(payload, 4) } else { u32_at(payload, 4).map(u64::from) };
        let Some(time) = time else { return MALFORMED };
        // A negative time is stored as a very large one.
        let Some(time) = time.wrapping_add(self.lead).checked_sub(self.shift) else {
            return Some(Err("a fragment begins earlier than the index declares"));
        };
        if is_wide {
            payload[4..12].copy_from_slice(&time.to_be_bytes());
        } else {
            let Ok(time) = u32::try_from(time) else {
                return Some(Err("a fragment's decode time does not fit in its field"));
            };
            write_u32(payload, 4, time);
        }
        Some(Ok(()))
    }
}

/// Rewrites the payload of a moof, which moves by `displacement` bytes, by the rules of its tracks, and gives it a
/// `number`, if there is one.
pub(super) fn rewrite_moof(
    tracks: &[TrackPatch],
    moof: &mut [u8],
    number: Option<u32>,
    displacement: u64,
) -> Result<(), &'static str> {
    const MALFORMED: &str = "a moof box is malformed";
    let (mut has_number, mut has_track, mut has_others) = (false, false, false);
    for found in child_ranges(moof).ok_or(MALFORMED)? {
        let payload = &mut moof[found.payload.clone()];
        match &found.kind {
            b"mfhd" => has_number = number.is_none_or(|number| write_u32(payload, 4, number)),
            b"traf" => {
                let mut tracks = tracks.iter();
                match tracks.find_map(|track| track.patch_traf(payload, displacement, has_others)) {
                    Some(result) => {
                        result?;
                        has_track = true;
                    }
                    // A traf of another track, which is not in the joined file.
                    None => {
                        moof[found.at + 4..found.at + 8].copy_from_slice(b"free");
                        has_others = true;
                    }
                }
            }
            _ => {}
        }
    }
    if !has_number {
        return Err(MALFORMED);
    }
    if has_track { Ok(()) } else { Err("a fragment belongs to another track") }
}

/// A box within bytes that are being rewritten.
struct ChildRange {
    kind: [u8; 4],
    at: usize,
    payload: std::ops::Range<usize>,
}

fn child_ranges(bytes: &[u8]) -> Option<Vec<ChildRange>> {
    let found = children(bytes)?.into_iter().map(|found| ChildRange {
        kind: found.kind,
        at: found.at,
        payload: found.at + found.header..found.at + found.bytes.len(),
    });
    Some(found.collect())
}

fn write_u32(bytes: &mut [u8], at: usize, number: u32) -> bool {
    let Some(field) = bytes.get_mut(at..at + 4) else { return false };
    field.copy_from_slice(&number.to_be_bytes());
    true
}

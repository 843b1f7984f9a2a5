//! Reads the facts of one movie fragment (moof, ISO/IEC 14496-12 §8.8.4): times, sync samples, sizes.
//!
//! **Invariant:** no timestamp is accepted that cannot be added to another without overflow.

use super::MAX_TICKS;
use super::init::{InitSegment, header_at};
use super::table::Table;
use crate::container::completeness::Incomplete;
use crate::container::isobmff::fields::decode_time;
use crate::container::isobmff::{Mp4Box, children, u32_at};
use crate::error::Unsupported;
use crate::splice::{MAX_ELEMENT, ReadAt, SurveyError};

/// The facts of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FragmentInfo {
    /// The decode time of the first sample, and whether the fragment has it (tfdt); otherwise the
    /// fragment begins where the one before it ends.
    pub(super) time: u64,
    pub(super) is_timed: bool,
    /// The earliest composition time of the samples, and that of the first sample.
    pub(super) earliest: u64,
    pub(super) composed: u64,
    /// The total duration of the samples.
    pub(super) duration: u64,
    /// Whether the first sample is a sync sample.
    pub(super) is_entry: bool,
    /// Whether any sample is a sync sample.
    pub(super) has_sync: bool,
    /// Whether fragments look cut at sync samples only: no later sample is one, and together they are
    /// presented without a gap.
    pub(super) is_closed: bool,
    /// The offsets of the moof and of the media data, from the start of the fragment.
    pub(super) moof: u64,
    pub(super) media: u64,
    /// The length of moof and mdat, with the boxes before them.
    pub(super) len: u64,
}

/// The maximum number of boxes before a moof that belong to its fragment.
const MAX_BOXES_IN_FRONT: usize = 8;
const MALFORMED: Unsupported = Unsupported("a fragment is malformed");
const PAST_END: Incomplete = Incomplete("the file is shorter than its fragments declare");
const NO_MOOF: Unsupported = Unsupported("expected a fragment (moof)");
const TWO_PARTS: Unsupported = Unsupported("a fragment has two parts (traf) of one track");

/// Reads the info of the fragment at `at`.
pub(super) fn info_at(
    reader: &mut dyn ReadAt,
    at: u64,
    init: &InitSegment,
) -> Result<FragmentInfo, SurveyError> {
    fragment_at(reader, at, init, None)
}

/// Reads the info of the fragment at `at`, and records its samples in `table`.
pub(super) fn fragment_at(
    reader: &mut dyn ReadAt,
    at: u64,
    init: &InitSegment,
    mut table: Option<&mut Table>,
) -> Result<FragmentInfo, SurveyError> {
    let mut moof_at = at;
    for _ in 0..MAX_BOXES_IN_FRONT {
        let header = header_at(reader, moof_at)?.ok_or(NO_MOOF)?;
        let known: [&[u8; 4]; 9] =
            [b"moof", b"styp", b"sidx", b"ssix", b"free", b"skip", b"emsg", b"prft", b"uuid"];
        if !known.contains(&&header.kind) {
            return Err(NO_MOOF.into());
        }
        let len = header.len.ok_or(MALFORMED)?;
        if len > reader.len() - moof_at {
            return Err(PAST_END.into());
        }
        match &header.kind {
            b"moof" if len <= MAX_ELEMENT as u64 => {
                let media_at = moof_at + len;
                let mdat = header_at(reader, media_at)?.filter(|next| next.kind == *b"mdat");
                let mdat =
                    mdat.ok_or(Unsupported("a fragment is not followed by its media data (mdat)"))?;
                let rest = reader.len() - media_at;
                let mdat_len = mdat.len.unwrap_or(rest);
                if mdat_len > rest {
                    return Err(PAST_END.into());
                }
                let moof = reader.read_at(moof_at..media_at)?;
                let table = table.as_mut().map(|table| (&mut **table, moof_at));
                let info = read(&moof[header.header..], init, table)?;
                return Ok(FragmentInfo {
                    moof: moof_at - at,
                    media: media_at - at + mdat.header as u64,
                    len: media_at - at + mdat_len,
                    ..info
                });
            }
            b"moof" => break,
            _ => moof_at += len,
        }
    }
    Err(NO_MOOF.into())
}

/// Returns by how much the fragment at `at` begins before time 0. Encoder priming lies there, and
/// some writers store its negative time in an unsigned field.
pub(super) fn lead_at(
    reader: &mut dyn ReadAt,
    at: u64,
    init: &InitSegment,
) -> Result<u64, SurveyError> {
    /// More than any encoder needs.
    const SECONDS: u64 = 10;
    let max_lead = SECONDS * u64::from(init.timescale);
    let info = info_at(reader, at, &InitSegment { lead: max_lead, ..init.clone() });
    match info {
        Ok(info) if info.is_timed => Ok(max_lead.saturating_sub(info.time)),
        Ok(_) | Err(SurveyError::Refused(_)) => Ok(0),
        Err(halt) => Err(halt),
    }
}

/// The flags for optional fields (§8.8.7, §8.8.8).
pub(super) mod flags {
    pub(in crate::splice::fragmented) const BASE_DATA_OFFSET: u32 = 0x1;
    pub(in crate::splice::fragmented) const DESCRIPTION: u32 = 0x2;
    pub(in crate::splice::fragmented) const DEFAULT_DURATION: u32 = 0x8;
    pub(in crate::splice::fragmented) const DEFAULT_SIZE: u32 = 0x10;
    pub(in crate::splice::fragmented) const DEFAULT_FLAGS: u32 = 0x20;
    pub(in crate::splice::fragmented) const BASE_IS_MOOF: u32 = 0x2_0000;
    pub(in crate::splice::fragmented) const DATA_OFFSET: u32 = 0x1;
    pub(in crate::splice::fragmented) const FIRST_FLAGS: u32 = 0x4;
    pub(in crate::splice::fragmented) const DURATION: u32 = 0x100;
    pub(in crate::splice::fragmented) const SIZE: u32 = 0x200;
    pub(in crate::splice::fragmented) const FLAGS: u32 = 0x400;
    pub(in crate::splice::fragmented) const OFFSET: u32 = 0x800;
    /// Sample flags (§8.8.3.1): sample_is_non_sync_sample, and the field `sample_depends_on`.
    pub(in crate::splice::fragmented) const IS_NO_SYNC: u32 = 0x1_0000;
    pub(in crate::splice::fragmented) const DEPENDS: u32 = 0x300_0000;
    pub(in crate::splice::fragmented) const DOES_DEPEND: u32 = 0x100_0000;
}

/// Reads 32-bit numbers one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn next(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*first))
    }

    fn next_if(&mut self, is_present: bool) -> Option<Option<u32>> {
        if is_present { self.next().map(Some) } else { Some(None) }
    }
}

/// The table that samples are recorded in, and the offset of their moof.
pub(super) type Recorder<'t> = Option<(&'t mut Table, u64)>;

/// Reads the times of a track from the payload of a moof, if that has any of it, wherever its media is.
pub(super) fn times(moof: &[u8], init: &InitSegment) -> Result<Option<FragmentInfo>, Unsupported> {
    let mut info = None;
    for traf in children(moof).ok_or(MALFORMED)?.iter().filter(|found| found.kind == *b"traf") {
        let boxes = children(traf.payload()).ok_or(MALFORMED)?;
        let tfhd = boxes.iter().find(|found| found.kind == *b"tfhd").ok_or(MALFORMED)?.payload();
        if u32_at(tfhd, 4).ok_or(MALFORMED)? == init.id {
            let own = read_traf(&boxes, tfhd, init, None).ok_or(MALFORMED)?;
            if info.replace(own).is_some() {
                return Err(TWO_PARTS);
            }
        }
    }
    Ok(info)
}

/// Reads the info of a fragment from the payload of its moof.
pub(super) fn read(
    moof: &[u8],
    init: &InitSegment,
    mut recorder: Recorder<'_>,
) -> Result<FragmentInfo, Unsupported> {
    let (mut info, mut has_others) = (None, false);
    for traf in children(moof).ok_or(MALFORMED)?.iter().filter(|found| found.kind == *b"traf") {
        let boxes = children(traf.payload()).ok_or(MALFORMED)?;
        let tfhd = boxes.iter().find(|found| found.kind == *b"tfhd").ok_or(MALFORMED)?.payload();
        if u32_at(tfhd, 4).ok_or(MALFORMED)? != init.id {
            has_others = true;
            continue;
        }
        if has_others && !has_base(tfhd) {
            return Err(Unsupported("a fragment stores its media after that of another track"));
        }
        // A second traf of the same track would continue without a decode time of its own.
        if info.is_some() {
            return Err(TWO_PARTS);
        }
        let recorder = recorder.as_mut().map(|(table, at)| (&mut **table, *at));
        info = Some(read_traf(&boxes, tfhd, init, recorder).ok_or(MALFORMED)?);
    }
    info.ok_or(Unsupported("a fragment belongs to another track"))
}

/// Returns whether the offset of the media data does not depend on the trafs before this one.
pub(super) fn has_base(tfhd: &[u8]) -> bool {
    u32_at(tfhd, 0).is_some_and(|flags_field| {
        flags_field & (flags::BASE_DATA_OFFSET | flags::BASE_IS_MOOF) != 0
    })
}

fn read_traf(
    boxes: &[Mp4Box<'_>],
    tfhd: &[u8],
    init: &InitSegment,
    mut recorder: Recorder<'_>,
) -> Option<FragmentInfo> {
    let tfdt = boxes.iter().find(|found| found.kind == *b"tfdt").map(Mp4Box::payload);
    let time = match tfdt {
        None => 0,
        Some(tfdt) => decode_time(tfdt)?.wrapping_add(init.lead),
    };
    let flags_field = u32_at(tfhd, 0)?;
    let mut fields = Fields(tfhd.get(8..)?);
    let default = |at| u32_at(&init.trex, at);
    if flags_field & flags::BASE_DATA_OFFSET != 0 {
        let base = u64::from(fields.next()?) << 32 | u64::from(fields.next()?);
        recorder = recorder.map(|(table, _)| (table, base));
    }
    let description = fields.next_if(flags_field & flags::DESCRIPTION != 0)?.or(default(8))?;
    let defaults = Defaults {
        duration: fields.next_if(flags_field & flags::DEFAULT_DURATION != 0)?.or(default(12))?,
        size: fields.next_if(flags_field & flags::DEFAULT_SIZE != 0)?.or(default(16))?,
        flags: fields.next_if(flags_field & flags::DEFAULT_FLAGS != 0)?.or(default(20))?,
    };
    if let Some((table, base)) = &mut recorder {
        table.begin_fragment(*base, description);
    }
    let mut samples = Samples { at: time, presentation: None, syncs: 0, is_entry: false, recorder };
    for trun in boxes.iter().filter(|found| found.kind == *b"trun") {
        samples.read(trun.payload(), defaults)?;
    }
    let Samples { at, presentation, syncs, is_entry, .. } = samples;
    let Presentation { first, earliest, latest } = presentation?;
    let is_sane = at < MAX_TICKS && latest < MAX_TICKS;
    let info = FragmentInfo {
        time,
        is_timed: tfdt.is_some(),
        earliest,
        composed: first,
        duration: at - time,
        is_entry,
        has_sync: syncs > 0,
        is_closed: syncs <= 1 && latest - earliest == at - time,
        moof: 0,
        media: 0,
        len: 0,
    };
    is_sane.then_some(info)
}

/// The values of samples that have none of their own.
#[derive(Clone, Copy)]
struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

/// Presentation times: of the first sample, of the earliest one, and the end of the latest one.
#[derive(Clone, Copy)]
struct Presentation {
    first: u64,
    earliest: u64,
    latest: u64,
}

/// The sums over the samples read so far.
struct Samples<'t> {
    at: u64,
    /// `None` before the first sample.
    presentation: Option<Presentation>,
    /// The number of sync samples, as far as it matters (none, one, more), and whether the first
    /// sample is one.
    syncs: u32,
    is_entry: bool,
    recorder: Recorder<'t>,
}

impl Samples<'_> {
    /// Reads a trun (§8.8.8). The length of the box bounds the number of samples, unless they have
    /// no fields of their own.
    fn read(&mut self, trun: &[u8], defaults: Defaults) -> Option<()> {
        let flags_field = u32_at(trun, 0)?;
        let signed = trun.first()? & 1 == 1;
        let mut fields = Fields(trun.get(4..)?);
        let count = fields.next()?;
        let offset = fields.next_if(flags_field & flags::DATA_OFFSET != 0)?;
        let first_flags = fields.next_if(flags_field & flags::FIRST_FLAGS != 0)?;
        if let Some((table, base)) = &mut self.recorder {
            table.begin_run(*base, offset.map(u32::cast_signed))?;
        }
        let each = flags::DURATION | flags::SIZE | flags::FLAGS | flags::OFFSET;
        if flags_field & each == 0 {
            if count > 0 {
                let Defaults { duration, size, flags } = defaults;
                self.is_sync(first_flags.unwrap_or(flags));
                self.syncs += u32::from(count > 1 && is_sync(flags) && first_flags.is_some());
                let until = self.at.checked_add(u64::from(count) * u64::from(duration))?;
                self.present(self.at, until);
                self.at = until;
                if let Some((table, _)) = &mut self.recorder {
                    let first = first_flags.unwrap_or(flags);
                    table.push_samples(1, size, duration, 0, is_sync(first))?;
                    table.push_samples(count - 1, size, duration, 0, is_sync(flags))?;
                }
            }
            return Some(());
        }
        for index in 0..count {
            let lasts =
                fields.next_if(flags_field & flags::DURATION != 0)?.unwrap_or(defaults.duration);
            let size = fields.next_if(flags_field & flags::SIZE != 0)?.unwrap_or(defaults.size);
            let own = fields.next_if(flags_field & flags::FLAGS != 0)?;
            let offset = fields.next_if(flags_field & flags::OFFSET != 0)?.unwrap_or(0);
            let first = first_flags.filter(|_| index == 0);
            let flags = first.or(own).unwrap_or(defaults.flags);
            self.is_sync(flags);
            // A signed offset may put presentation before decoding.
            let offset = if signed { i64::from(offset.cast_signed()) } else { i64::from(offset) };
            let presentation = self.at.saturating_add_signed(offset);
            self.present(presentation, presentation.checked_add(u64::from(lasts))?);
            self.at = self.at.checked_add(u64::from(lasts))?;
            if let Some((table, _)) = &mut self.recorder {
                table.push_samples(1, size, lasts, offset, is_sync(flags))?;
            }
        }
        Some(())
    }

    fn is_sync(&mut self, flags: u32) {
        let is_sync = is_sync(flags);
        self.syncs = self.syncs.saturating_add(u32::from(is_sync));
        self.is_entry |= is_sync && self.presentation.is_none();
    }

    fn present(&mut self, from: u64, until: u64) {
        let new = Presentation { first: from, earliest: from, latest: until };
        let presentation = self.presentation.get_or_insert(new);
        presentation.earliest = presentation.earliest.min(from);
        presentation.latest = presentation.latest.max(until);
    }
}

/// Returns whether a sample with these flags is a sync sample. Some writers leave the non-sync bit at
/// 0 for all samples, and set only `sample_depends_on`.
fn is_sync(sample_flags: u32) -> bool {
    sample_flags & flags::IS_NO_SYNC == 0 && sample_flags & flags::DEPENDS != flags::DOES_DEPEND
}

//! What one movie fragment (ISO/IEC 14496-12 §8.8.4) says of its samples. Only reads; must never take
//! a time for sane that could not be added to another.

use super::MAX_TICKS;
use super::init::{InitSegment, header_at};
use super::table::Table;
use crate::container::completeness::Incomplete;
use crate::container::isobmff::{Found, children, u32_at, u64_at};
use crate::error::Unsupported;
use crate::splice::{MAX_ELEMENT, ReadAt, SurveyError};

/// What a fragment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FragmentInfo {
    /// The decoding time of its first sample, if it tells it (tfdt); else it goes on where the
    /// fragment in front of it ends.
    pub(super) time: u64,
    pub(super) is_timed: bool,
    /// The earliest composition time of its samples, and that of the first one.
    pub(super) earliest: u64,
    pub(super) composed: u64,
    /// How long its samples last together.
    pub(super) duration: u64,
    /// Whether its first sample can be decoded alone.
    pub(super) is_entry: bool,
    /// Whether any can.
    pub(super) has_sync: bool,
    /// Whether it looks cut where pictures begin that can be decoded alone, and nowhere else: none of
    /// the others is such a one, and together they are shown without a gap.
    pub(super) is_closed: bool,
    /// Where its moof begins, and its media, counted from its own beginning.
    pub(super) moof: u64,
    pub(super) media: u64,
    /// The length of moof and mdat, with what stands in front of them.
    pub(super) len: u64,
}

/// Boxes in front of a moof that belong to its fragment.
const MAX_BOXES_IN_FRONT: usize = 8;
const MALFORMED: Unsupported = Unsupported("a fragment is malformed");
const PAST_END: Incomplete = Incomplete("the file is shorter than its fragments declare");
const NO_MOOF: Unsupported = Unsupported("expected a fragment (moof)");

/// Reads the fragment that begins at `at`.
pub(super) fn info_at(
    reader: &mut dyn ReadAt,
    at: u64,
    init: &InitSegment,
) -> Result<FragmentInfo, SurveyError> {
    fragment_at(reader, at, init, None)
}

/// The same; its samples are noted in `table`.
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

/// By how much the fragment at `at` is in front of 0. What a coder needs to begin with is, and some
/// writers say so in a field that has no sign.
pub(super) fn lead_at(
    reader: &mut dyn ReadAt,
    at: u64,
    init: &InitSegment,
) -> Result<u64, SurveyError> {
    /// More than any coder needs.
    const SECONDS: u64 = 10;
    let most = SECONDS * u64::from(init.timescale);
    let info = info_at(reader, at, &InitSegment { lead: most, ..init.clone() });
    match info {
        Ok(info) if info.is_timed => Ok(most.saturating_sub(info.time)),
        Ok(_) | Err(SurveyError::Refused(_)) => Ok(0),
        Err(halt) => Err(halt),
    }
}

/// Which optional fields there are (§8.8.7, §8.8.8).
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
    /// In the flags of a sample: it needs others (§8.8.3.1); and in what `sample_depends_on` says.
    pub(in crate::splice::fragmented) const IS_NO_SYNC: u32 = 0x1_0000;
    pub(in crate::splice::fragmented) const DEPENDS: u32 = 0x300_0000;
    pub(in crate::splice::fragmented) const DOES_DEPEND: u32 = 0x100_0000;
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

/// Where samples are noted, and where the moof that tells of them begins.
type Noted<'t> = Option<(&'t mut Table, u64)>;

fn read(
    moof: &[u8],
    init: &InitSegment,
    mut noted: Noted<'_>,
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
        // A second one of the same track goes on without telling the time again.
        if info.is_some() {
            return Err(Unsupported("a fragment has two parts (traf) of one track"));
        }
        let noted = noted.as_mut().map(|(table, at)| (&mut **table, *at));
        info = Some(read_traf(&boxes, tfhd, init, noted).ok_or(MALFORMED)?);
    }
    info.ok_or(Unsupported("a fragment belongs to another track"))
}

/// Whether the place of its media is told without a look at the tracks in front of it.
pub(super) fn has_base(tfhd: &[u8]) -> bool {
    u32_at(tfhd, 0).is_some_and(|has| has & (flags::BASE_DATA_OFFSET | flags::BASE_IS_MOOF) != 0)
}

fn read_traf(
    boxes: &[Found<'_>],
    tfhd: &[u8],
    init: &InitSegment,
    mut noted: Noted<'_>,
) -> Option<FragmentInfo> {
    let tfdt = boxes.iter().find(|found| found.kind == *b"tfdt").map(Found::payload);
    let time = match tfdt {
        None => 0,
        Some(tfdt) if *tfdt.first()? == 0 => init.lead + u64::from(u32_at(tfdt, 4)?),
        Some(tfdt) => u64_at(tfdt, 4)?.wrapping_add(init.lead),
    };
    let has = u32_at(tfhd, 0)?;
    let mut fields = Fields(tfhd.get(8..)?);
    let of_all = |at| u32_at(&init.trex, at);
    if has & flags::BASE_DATA_OFFSET != 0 {
        let base = u64::from(fields.next()?) << 32 | u64::from(fields.next()?);
        noted = noted.map(|(table, _)| (table, base));
    }
    let description = fields.next_if(has & flags::DESCRIPTION != 0)?.or(of_all(8))?;
    let defaults = Defaults {
        duration: fields.next_if(has & flags::DEFAULT_DURATION != 0)?.or(of_all(12))?,
        size: fields.next_if(has & flags::DEFAULT_SIZE != 0)?.or(of_all(16))?,
        flags: fields.next_if(has & flags::DEFAULT_FLAGS != 0)?.or(of_all(20))?,
    };
    if let Some((table, base)) = &mut noted {
        table.begin(*base, description);
    }
    let mut samples = Samples { at: time, shown: None, syncs: 0, is_entry: false, noted };
    for trun in boxes.iter().filter(|found| found.kind == *b"trun") {
        samples.read(trun.payload(), defaults)?;
    }
    let Samples { at, shown, syncs, is_entry, .. } = samples;
    let Shown { first, earliest, latest } = shown?;
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

/// What holds of samples that say nothing else.
#[derive(Clone, Copy)]
struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

/// When samples are shown: the first one, the earliest one, and until when the latest one.
#[derive(Clone, Copy)]
struct Shown {
    first: u64,
    earliest: u64,
    latest: u64,
}

/// What the samples read so far come to.
struct Samples<'t> {
    at: u64,
    /// `None` before the first.
    shown: Option<Shown>,
    /// How many can be decoded alone, if not all; and whether the first can.
    syncs: u32,
    is_entry: bool,
    noted: Noted<'t>,
}

impl Samples<'_> {
    /// Reads a trun (§8.8.8). The bytes that are there bound the number of its samples, unless
    /// they say nothing of themselves.
    fn read(&mut self, trun: &[u8], defaults: Defaults) -> Option<()> {
        let has = u32_at(trun, 0)?;
        let signed = trun.first()? & 1 == 1;
        let mut fields = Fields(trun.get(4..)?);
        let count = fields.next()?;
        let offset = fields.next_if(has & flags::DATA_OFFSET != 0)?;
        let first_flags = fields.next_if(has & flags::FIRST_FLAGS != 0)?;
        if let Some((table, base)) = &mut self.noted {
            table.run(*base, offset.map(u32::cast_signed))?;
        }
        let each = flags::DURATION | flags::SIZE | flags::FLAGS | flags::OFFSET;
        if has & each == 0 {
            if count > 0 {
                let Defaults { duration, size, flags } = defaults;
                self.is_sync(first_flags.unwrap_or(flags));
                self.syncs += u32::from(count > 1 && is_sync(flags) && first_flags.is_some());
                let until = self.at.checked_add(u64::from(count) * u64::from(duration))?;
                self.show(self.at, until);
                self.at = until;
                if let Some((table, _)) = &mut self.noted {
                    let first = first_flags.unwrap_or(flags);
                    table.samples(1, size, duration, 0, is_sync(first))?;
                    table.samples(count - 1, size, duration, 0, is_sync(flags))?;
                }
            }
            return Some(());
        }
        for index in 0..count {
            let lasts = fields.next_if(has & flags::DURATION != 0)?.unwrap_or(defaults.duration);
            let size = fields.next_if(has & flags::SIZE != 0)?.unwrap_or(defaults.size);
            let own = fields.next_if(has & flags::FLAGS != 0)?;
            let offset = fields.next_if(has & flags::OFFSET != 0)?.unwrap_or(0);
            let first = first_flags.filter(|_| index == 0);
            let flags = first.or(own).unwrap_or(defaults.flags);
            self.is_sync(flags);
            // What says so is shown before it is decoded.
            let offset = if signed { i64::from(offset.cast_signed()) } else { i64::from(offset) };
            let shown = self.at.saturating_add_signed(offset);
            self.show(shown, shown.checked_add(u64::from(lasts))?);
            self.at = self.at.checked_add(u64::from(lasts))?;
            if let Some((table, _)) = &mut self.noted {
                table.samples(1, size, lasts, offset, is_sync(flags))?;
            }
        }
        Some(())
    }

    fn is_sync(&mut self, flags: u32) {
        let is_sync = is_sync(flags);
        self.syncs = self.syncs.saturating_add(u32::from(is_sync));
        self.is_entry |= is_sync && self.shown.is_none();
    }

    fn show(&mut self, from: u64, until: u64) {
        let new = Shown { first: from, earliest: from, latest: until };
        let shown = self.shown.get_or_insert(new);
        shown.earliest = shown.earliest.min(from);
        shown.latest = shown.latest.max(until);
    }
}

/// Whether a sample of these flags can be decoded alone. Some writers leave the one bit at 0 for all,
/// and tell it in the other field only.
fn is_sync(sample_flags: u32) -> bool {
    sample_flags & flags::IS_NO_SYNC == 0 && sample_flags & flags::DEPENDS != flags::DOES_DEPEND
}

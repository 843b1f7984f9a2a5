//! Finds the fragments: by the segment index (sidx, ISO/IEC 14496-12 §8.16.3), else by the random
//! access index at the end (mfra, §8.8.9), else by a walk over the fragments.
//!
//! **Invariant:** an index is used only if it reaches from the first fragment to the end of the file.
//! Its times and sync flags are claims, which are checked against the fragments that are read.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Fragment;
use super::fragment;
use super::init::{InitSegment, header_at};
use super::parts::{self, Parts};
use super::walk::{MAX_FRAGMENTS, Step, Walk};
use crate::container::completeness::Incomplete;
use crate::container::isobmff::sidx::SegmentIndex;
use crate::container::isobmff::{children, header, u32_at, u64_at};
use crate::error::Unsupported;
use crate::splice::{ReadAt, SurveyError};

/// The largest index that is read, in bytes.
const MAX_INDEX: u64 = 4 << 20;
/// The maximum depth of nested indexes.
const MAX_DEPTH: usize = 4;
/// The maximum number of boxes between moov and media data, or after it.
const MAX_BOXES_BETWEEN: usize = 32;

const NO_INDEX: Unsupported = Unsupported("the file has no fragment index (sidx, mfra)");

/// The fragments of a file.
pub(super) struct Index {
    pub(super) fragments: Vec<Fragment>,
    /// The end of the last fragment.
    pub(super) end: u64,
    /// The bytes after the last fragment, if they were not read because they are as long as an mfra
    /// would be. They are verified before the last byte of the last fragment is sent. Mostly empty.
    pub(super) unverified: Range<u64>,
    /// Whether each fragment was read, so that nothing here is a mere claim.
    pub(super) is_verified: bool,
    /// The fragments that have a key frame but do not begin with one, as far as known.
    pub(super) within: BTreeSet<usize>,
}

impl Index {
    /// Returns fragments that an index claims and that were not read.
    fn claimed(fragments: Vec<Fragment>, end: u64) -> Index {
        Index { fragments, end, unverified: 0..0, is_verified: false, within: BTreeSet::new() }
    }

    /// Returns all fragments, each of which was read by a walk. They begin with their moof: what precedes
    /// it (styp, the index of a segment) is left out. libavformat reads a fragment twice if an index
    /// refers to anything else than its moof, and then loses its way when it seeks back.
    pub(super) fn of(steps: &[Step]) -> Result<Index, Unsupported> {
        let fragments = steps.iter().map(|step| {
            let len = u32::try_from(step.end() - step.moof());
            let len = len.map_err(|_| Unsupported("a fragment is too long"))?;
            let (time, is_entry) = (step.info.earliest, step.info.is_entry);
            Ok(Fragment { from: step.moof(), time, len, is_entry })
        });
        let fragments = fragments.collect::<Result<Vec<_>, Unsupported>>()?;
        let end = steps.last().map(|step| step.info.earliest.saturating_add(step.info.duration));
        let within = steps.iter().enumerate();
        let within = within.filter(|(_, step)| step.info.has_sync && !step.info.is_entry);
        let within = within.map(|(index, _)| index).collect();
        Ok(Index { is_verified: true, within, ..Index::claimed(fragments, end.unwrap_or(0)) })
    }
}

/// Finds all fragments after the moov, which ends at `moov_end`, and the parts between discontinuities.
pub(super) fn read(
    reader: &mut dyn ReadAt,
    init: &InitSegment,
    moov_end: u64,
) -> Result<(Index, Parts), SurveyError> {
    let begins = parts::begins(reader)?;
    let first = match claimed(reader, init, moov_end)? {
        (_, Some(index)) if begins.is_empty() => return Ok((index, Parts::default())),
        (first, _) => first,
    };
    let steps = Walk::new(init, first, &[]).steps(reader)?;
    parts::check_places(reader, &steps, init)?;
    Ok((Index::of(&steps)?, Parts::of(&begins, &steps, init)?))
}

/// Returns the offset of the first fragment, and what an index claims of all fragments, if there is
/// one.
pub(super) fn claimed(
    reader: &mut dyn ReadAt,
    init: &InitSegment,
    moov_end: u64,
) -> Result<(u64, Option<Index>), SurveyError> {
    let Front { first, sidx } = front(reader, init, moov_end)?;
    if let Some((at, len)) = sidx
        && let Some(index) = from_sidx(reader, init, at, len)?
    {
        return Ok((index.fragments.first().map_or(first, |begin| begin.from), Some(index)));
    }
    Ok((first, from_mfra(reader, init, first)?))
}

/// Returns the offset of the first fragment, and the time and offset of the fragments that an index
/// lists for the track of `init` (also among other tracks): only entries, if the index flags them.
/// The list is empty if there is no index.
pub(super) fn listed(
    reader: &mut dyn ReadAt,
    init: &InitSegment,
    moov_end: u64,
) -> Result<(u64, Entries), SurveyError> {
    let Front { first, sidx } = front(reader, init, moov_end)?;
    if let Some((at, len)) = sidx
        && let Some(mut index) = from_sidx(reader, init, at, len)?
    {
        if index.fragments.iter().any(|fragment| fragment.is_entry) {
            index.fragments.retain(|fragment| fragment.is_entry);
        }
        let fragments = index.fragments.iter().map(|fragment| (fragment.time, fragment.from));
        return Ok((first, fragments.collect()));
    }
    Ok((first, mfra(reader, init, first)?.map_or(Vec::new(), |(_, entries)| entries)))
}

/// The boxes between the moov and the first fragment.
pub(super) struct Front {
    /// The offset of the first box that belongs to the media or indexes it.
    pub(super) first: u64,
    /// Offset and length of the index of the track.
    sidx: Option<(u64, u64)>,
}

/// Reads the headers of the boxes after the moov. With several indexes, each is of another track; a
/// single one may have the wrong reference_ID.
pub(super) fn front(
    reader: &mut dyn ReadAt,
    init: &InitSegment,
    moov_end: u64,
) -> Result<Front, SurveyError> {
    let (mut at, mut first) = (moov_end, None);
    let (mut own, mut others) = (None, Vec::new());
    for _ in 0..MAX_BOXES_BETWEEN {
        let Some(header) = header_at(reader, at)? else { break };
        match (&header.kind, header.len) {
            (b"free" | b"skip" | b"wide" | b"uuid", Some(len)) => at = at.saturating_add(len),
            (b"sidx", Some(len)) => {
                first.get_or_insert(at);
                let id = at + header.header as u64 + 4;
                if id + 4 <= reader.len()
                    && u32_at(&reader.read_at(id..id + 4)?, 0) == Some(init.id)
                {
                    own.get_or_insert((at, len));
                } else {
                    others.push((at, len));
                }
                at = at.saturating_add(len);
            }
            (b"sidx" | b"styp" | b"emsg" | b"prft" | b"moof", _) => {
                first.get_or_insert(at);
                break;
            }
            _ if first.is_some() => break,
            _ => return Err(Unsupported("the file has an unknown box before its fragments").into()),
        }
    }
    let single = if let [other] = others[..] { Some(other) } else { None };
    match first {
        Some(first) => Ok(Front { first, sidx: own.or(single) }),
        None if header_at(reader, at)?.is_some() => Err(NO_INDEX.into()),
        None => Ok(Front { first: at, sidx: None }),
    }
}

/// Reads the sidx at `at`; `None` if it cannot be used.
fn from_sidx(
    reader: &mut dyn ReadAt,
    init: &InitSegment,
    at: u64,
    len: u64,
) -> Result<Option<Index>, SurveyError> {
    let mut index = Index::claimed(Vec::new(), 0);
    let Some(end) = expand(reader, init, at, len, 0, &mut index)? else { return Ok(None) };
    if index.fragments.is_empty() {
        return Ok(None);
    }
    // Reading there would take one more request while the client waits.
    if may_be_mfra(reader.len() - end, index.fragments.len() as u64) {
        return Ok(Some(Index { unverified: end..reader.len(), ..index }));
    }
    Ok(is_all(reader, end)?.then_some(index))
}

/// Returns whether an mfra (§8.8.9) with this many fragments of one track may have the length `len`.
fn may_be_mfra(len: u64, fragments: u64) -> bool {
    /// mfra, tfra and mfro without entries.
    const EMPTY: u64 = 8 + 24 + 16;
    /// Time and offset have 32 or 64 bits each, the three numbers after them 1 to 4 bytes.
    const ENTRY: std::ops::RangeInclusive<u64> = 4 + 4 + 3..=8 + 8 + 12;
    let entries_len = len.checked_sub(EMPTY).filter(|len| len % fragments == 0);
    entries_len.is_some_and(|len| ENTRY.contains(&(len / fragments)))
}

/// Adds the fragments that a sidx refers to and returns where they end; `None` if it cannot be used.
fn expand(
    reader: &mut dyn ReadAt,
    init: &InitSegment,
    at: u64,
    len: u64,
    depth: usize,
    index: &mut Index,
) -> Result<Option<u64>, SurveyError> {
    let file_len = reader.len();
    if len > MAX_INDEX || len > file_len - at || depth > MAX_DEPTH {
        return Ok(None);
    }
    let bytes = reader.read_at(at..at + len)?.into_owned();
    let sidx = header(&bytes).and_then(|header| SegmentIndex::read(&bytes[header.header..]));
    let Some(sidx) = sidx.filter(|sidx| sidx.timescale > 0 && sidx.is_complete()) else {
        return Ok(None);
    };
    let Some(mut from) = (at + len).checked_add(sidx.first_offset) else { return Ok(None) };
    if !is_padding(reader, at + len, from)? {
        return Ok(None);
    }
    let ticks = |ticks: u64| in_timescale(ticks, sidx.timescale, init.timescale);
    let mut time = sidx.earliest;
    let Some(mut begins) = ticks(time) else { return Ok(None) };
    index.fragments.reserve(sidx.references().len());
    for reference in sidx.references() {
        let end = from.checked_add(reference.len.into()).filter(|_| reference.len > 0);
        let Some(end) = end else { return Ok(None) };
        if end > file_len {
            return Err(Incomplete("the file is shorter than its index (sidx) declares").into());
        }
        time = time.saturating_add(reference.duration.into());
        let Some(ends) = ticks(time) else { return Ok(None) };
        if reference.is_index {
            let header = header_at(reader, from)?.filter(|header| header.kind == *b"sidx");
            let Some(inner) = header.and_then(|header| header.len) else { return Ok(None) };
            let reached = expand(reader, init, from, inner, depth + 1, index)?;
            // A nested index covers itself and what follows it, up to the next one.
            if reached != Some(end) {
                return Ok(None);
            }
        } else {
            if index.fragments.len() == MAX_FRAGMENTS {
                return Ok(None);
            }
            let (len, is_entry) = (reference.len, reference.is_entry);
            index.fragments.push(Fragment { from, time: begins, len, is_entry });
            index.end = ends;
        }
        (begins, from) = (ends, end);
    }
    Ok(Some(from))
}

fn in_timescale(ticks: u64, from: u32, to: u32) -> Option<u64> {
    if from == to {
        return Some(ticks);
    }
    u64::try_from(u128::from(ticks) * u128::from(to) / u128::from(from)).ok()
}

/// Returns whether only indexes and padding follow `end`.
pub(super) fn is_all(reader: &mut dyn ReadAt, end: u64) -> Result<bool, SurveyError> {
    let mut at = end;
    for _ in 0..MAX_BOXES_BETWEEN {
        if at == reader.len() {
            return Ok(true);
        }
        let Some(header) = header_at(reader, at)? else { return Ok(false) };
        match (&header.kind, header.len) {
            (b"free" | b"skip" | b"mfra", Some(len)) if len <= reader.len() - at => at += len,
            _ => return Ok(false),
        }
    }
    Ok(false)
}

/// Returns whether no media lies between an index and its first reference.
fn is_padding(reader: &mut dyn ReadAt, from: u64, to: u64) -> Result<bool, SurveyError> {
    let mut at = from;
    for _ in 0..MAX_BOXES_BETWEEN {
        if at >= to {
            return Ok(at == to);
        }
        let Some(header) = header_at(reader, at)? else { return Ok(false) };
        match (&header.kind, header.len) {
            (b"free" | b"skip" | b"wide" | b"uuid" | b"styp" | b"sidx" | b"ssix", Some(len)) => {
                at = at.saturating_add(len);
            }
            _ => return Ok(false),
        }
    }
    Ok(false)
}

fn from_mfra(
    reader: &mut dyn ReadAt,
    init: &InitSegment,
    first: u64,
) -> Result<Option<Index>, SurveyError> {
    match mfra(reader, init, first)? {
        Some((at, entries)) => fragments_from_tfra(reader, init, first, at, &entries),
        None => Ok(None),
    }
}

/// Time and offset of each entry of the track.
type Entries = Vec<(u64, u64)>;

/// Reads the mfra at the end of the file, whose length is in the last 16 bytes (mfro, §8.8.11).
/// Returns its offset and its entries.
fn mfra(
    reader: &mut dyn ReadAt,
    init: &InitSegment,
    first: u64,
) -> Result<Option<(u64, Entries)>, SurveyError> {
    let len = reader.len();
    let Some(last) = len.checked_sub(16).filter(|at| *at > first) else { return Ok(None) };
    let mfro = reader.read_at(last..len)?;
    if mfro.get(4..8) != Some(b"mfro") {
        return Ok(None);
    }
    let size = u32_at(&mfro, 12).map_or(0, u64::from);
    let Some(at) = len.checked_sub(size).filter(|at| *at > first && size <= MAX_INDEX) else {
        return Ok(None);
    };
    let mfra = reader.read_at(at..len)?;
    let entries = header(&mfra)
        .filter(|header| header.kind == *b"mfra" && header.len == Some(size))
        .and_then(|header| tfra_entries(&mfra[header.header..], init.id))
        .filter(|entries| !entries.is_empty() && entries.len() <= MAX_FRAGMENTS);
    Ok(entries.map(|entries| (at, entries)))
}

/// Returns time and offset of each entry of this track (tfra, §8.8.10).
fn tfra_entries(mfra: &[u8], id: u32) -> Option<Entries> {
    let boxes = children(mfra)?;
    let mut tfras = boxes.iter().filter(|found| found.kind == *b"tfra");
    let tfra = tfras.find(|found| u32_at(found.payload(), 4) == Some(id))?.payload();
    let wide = *tfra.first()? == 1;
    let widths = u32_at(tfra, 8)?;
    let numbers = [4, 2, 0].map(|shift| ((widths >> shift) & 3) as usize + 1);
    let size = if wide { 16 } else { 8 } + numbers.iter().sum::<usize>();
    let count = u32_at(tfra, 12)? as usize;
    let rest = tfra.get(16..).filter(|rest| Some(rest.len()) == count.checked_mul(size))?;
    let numbers_at = size - numbers[1] - numbers[2];
    let entry = |entry: &[u8]| {
        // The numbers of trun and sample: each entry must point to the first sample of its fragment.
        let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |n, byte| n << 8 | u32::from(*byte));
        let (trun, sample) = entry.get(numbers_at..)?.split_at_checked(numbers[1])?;
        if number(trun) != 1 || number(sample) != 1 {
            return None;
        }
        Some(if wide {
            (u64_at(entry, 0)?, u64_at(entry, 8)?)
        } else {
            (u32_at(entry, 0)?.into(), u32_at(entry, 4)?.into())
        })
    };
    rest.chunks_exact(size).map(entry).collect()
}

/// Returns the byte ranges between the entries, from the first fragment at `first` to `end`.
fn fragments_from_tfra(
    reader: &mut dyn ReadAt,
    init: &InitSegment,
    first: u64,
    end: u64,
    entries: &[(u64, u64)],
) -> Result<Option<Index>, SurveyError> {
    let is_rising = entries.windows(2).all(|pair| pair[0].1 < pair[1].1 && pair[0].0 < pair[1].0);
    let Some(((_, begin), (_, last))) = entries.first().zip(entries.last()) else {
        return Ok(None);
    };
    // Boxes before the first entry must belong to it: styp, sidx.
    let info = fragment::info_at(reader, first, init)?;
    if !is_rising || *begin < first || first + info.len <= *begin || *last >= end {
        return Ok(None);
    }
    let tail = match fragment::info_at(reader, *last, init) {
        Ok(tail) => tail,
        Err(SurveyError::Refused(_) | SurveyError::Incomplete(_)) => return Ok(None),
        Err(halt) => return Err(halt),
    };
    // The last byte range may have more fragments than the indexed one.
    if last + tail.len != end {
        return Ok(None);
    }
    let late = entries[0].0;
    let mut fragments: Vec<Fragment> = Vec::with_capacity(entries.len());
    for (at, (time, from)) in entries.iter().enumerate() {
        let from = if at == 0 { first } else { *from };
        let to = entries.get(at + 1).map_or(end, |next| next.1);
        let Ok(len) = u32::try_from(to - from) else { return Ok(None) };
        fragments.push(Fragment { from, time: time - late, len, is_entry: true });
    }
    let ends = fragments.last().map_or(0, |last| last.time.saturating_add(tail.duration));
    Ok(Some(Index::claimed(fragments, ends)))
}

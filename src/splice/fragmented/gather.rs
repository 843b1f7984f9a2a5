//! Gathers a fragmented audio file into a progressive one: Apple's players take a file of fragments
//! alone for twice as long as it is, and many players do not know its duration at all.
//!
//! The moofs of all fragments are read, and a moov is made of them; the samples stay where they are.
//! **Invariant:** every sample in the moov was checked to lie within media data.

use std::ops::Range;

use super::fragment::FragmentInfo;
use super::init::InitSegment;
use super::table::{Extent, Run, Table};
use super::walk::{Step, Walk};
use super::{index, seconds_late, with_lead};
use crate::container::isobmff::boxed;
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::splice::edits::{self, Edit, NORMAL_RATE, Rescale, SimpleEdit};
use crate::splice::headers::{mdhd, mvhd};
use crate::splice::trak::Trak;
use crate::splice::{ReadAt, SurveyError};

/// The payload of a moov that describes all samples, and the byte ranges of the media data.
pub(in crate::splice) struct Gathered {
    pub(in crate::splice) moov: Vec<u8>,
    pub(in crate::splice) media: Vec<Range<u64>>,
}

/// Reads the fragments after the moov, which ends at `moov_end`.
pub(in crate::splice) fn gather(
    reader: &mut dyn ReadAt,
    moov: &[u8],
    moov_end: u64,
) -> Result<Gathered, SurveyError> {
    let init = with_lead(reader, InitSegment::read(moov)?, moov_end)?;
    if init.kind != TrackKind::Audio {
        return Err(Unsupported("the file is not audio").into());
    }
    let (first, known) = index::claimed(reader, &init, moov_end)?;
    let known = known.map_or(Vec::new(), |known| known.fragments);
    let steps = Walk::new(&init, first, &known).with_samples().steps(reader)?;
    let first = steps.first().ok_or(Unsupported("the file has no fragments"))?.info;
    let media = steps.iter().map(|Step { from, info, .. }| from + info.media..from + info.len);
    let media = media.collect();
    let table = join_tables(steps)?;
    Ok(Gathered { moov: moov_of(&init, &first, &table)?, media })
}

/// Joins the samples of all fragments to one table.
fn join_tables(steps: Vec<Step>) -> Result<Table, Unsupported> {
    let mut all = Table::default();
    let mut ends = steps.first().map_or(0, |first| first.info.time);
    for Step { info, table, .. } in steps {
        all.append(*table.unwrap_or_default(), ends, info.time)?;
        ends = info.time.saturating_add(info.duration);
    }
    if !all.is_all_sync() {
        return Err(Unsupported("some samples are not sync samples"));
    }
    Ok(all)
}

/// Returns the payload of the moov, whose movie timescale is that of the track.
fn moov_of(
    init: &InitSegment,
    first: &FragmentInfo,
    table: &Table,
) -> Result<Vec<u8>, Unsupported> {
    let media = table.duration();
    let edits = edits_of(init, first, media)?;
    let presented =
        if edits.is_empty() { media } else { edits.iter().map(|edit| edit.segment).sum() };
    let trak = Trak::read(&init.trak)?;
    let mut parts = Vec::new();
    for found in &trak.boxes {
        match &found.kind {
            b"tkhd" => parts.extend([found.bytes.to_vec(), edits::edts(&edits)]),
            b"edts" => {}
            b"mdia" => parts.push(mdia(&trak, table, media)?),
            _ => parts.push(found.bytes.to_vec()),
        }
    }
    let trak = boxed(b"trak", &[&parts.concat()]);
    Ok([mvhd(init.timescale, presented, init.id.saturating_add(1)), trak].concat())
}

/// Returns the edit list for samples whose timestamps begin at 0 now. Full seconds by which they began
/// late are dropped, as everywhere.
fn edits_of(
    init: &InitSegment,
    first: &FragmentInfo,
    media: u64,
) -> Result<Vec<Edit>, Unsupported> {
    let simple =
        edits::simple(&init.edits).ok_or(Unsupported("the edit list is not a single edit"))?;
    let SimpleEdit { empty, media_time, segment } = simple;
    let scale = Rescale { from: init.movie_scale, to: init.timescale };
    let late_ticks = first.time - seconds_late(init, first.time) * u64::from(init.timescale);
    let media_time = u64::try_from(media_time).unwrap_or(0).saturating_add(init.lead);
    let empty = scale.round(empty)?.saturating_add(late_ticks.saturating_sub(media_time));
    let begin = media_time.saturating_sub(late_ticks);
    let rest = media.checked_sub(begin).filter(|rest| *rest > 0).ok_or(edits::TOO_LONG)?;
    // Encoder padding at the end should not be heard; but some writers store only the duration of
    // the first fragment.
    let padding = |segment: &u64| rest.saturating_sub(*segment) < u64::from(init.timescale);
    let segment = segment.map(|segment| scale.round(segment)).transpose()?;
    let segment = segment.filter(padding).unwrap_or(rest).min(rest);
    let empty_edit = Edit { segment: empty, media_time: -1, rate: NORMAL_RATE };
    let media_time = i64::try_from(begin).map_err(|_| edits::TOO_LONG)?;
    let presented = Edit { segment, media_time, rate: NORMAL_RATE };
    Ok(match (empty, begin) {
        (0, 0) if segment == media => Vec::new(),
        (0, _) => vec![presented],
        _ => vec![empty_edit, presented],
    })
}

fn mdia(trak: &Trak<'_>, table: &Table, media: u64) -> Result<Vec<u8>, Unsupported> {
    let mut parts = Vec::new();
    for found in &trak.mdia {
        parts.push(match &found.kind {
            b"mdhd" => mdhd(found, media)?,
            b"minf" => {
                let minf = trak.minf.iter().map(|found| match &found.kind {
                    b"stbl" => stbl(trak, table),
                    _ => found.bytes.to_vec(),
                });
                boxed(b"minf", &[&minf.collect::<Vec<_>>().concat()])
            }
            _ => found.bytes.to_vec(),
        });
    }
    Ok(boxed(b"mdia", &[&parts.concat()]))
}

/// Returns the sample tables (§8.5 to §8.7); of the old ones only the sample descriptions stay.
fn stbl(trak: &Trak<'_>, table: &Table) -> Vec<u8> {
    let stsd = trak.stbl.iter().filter(|found| found.kind == *b"stsd");
    let stsd: Vec<u8> = stsd.flat_map(|found| found.bytes).copied().collect();
    let runs = |runs: &mut dyn Iterator<Item = Run<u32>>| {
        let runs: Vec<_> = runs.map(|(count, value)| [count, value]).collect();
        let numbers = runs.as_flattened().iter().flat_map(|number| number.to_be_bytes());
        [be(runs.len()).to_vec(), numbers.collect::<Vec<_>>()].concat()
    };
    let stts = runs(&mut table.durations.iter().copied());
    let stts = boxed(b"stts", &[&[0; 4], &stts]);
    let ctts = if table.offsets.iter().any(|(_, offset)| *offset != 0) {
        let offsets = table.offsets.iter().map(|(count, offset)| (*count, offset.cast_unsigned()));
        let version = u8::from(table.offsets.iter().any(|(_, offset)| *offset < 0));
        boxed(b"ctts", &[&[version, 0, 0, 0], &runs(&mut { offsets })])
    } else {
        Vec::new()
    };
    let sizes: Vec<u8> = table.sizes.iter().flat_map(|size| size.to_be_bytes()).collect();
    let stsz = boxed(b"stsz", &[&[0; 8], &be(table.sizes.len()), &sizes]);
    let places: Vec<u8> = table.extents.iter().flat_map(|extent| extent.at.to_be_bytes()).collect();
    let co64 = boxed(b"co64", &[&[0; 4], &be(table.extents.len()), &places]);
    boxed(b"stbl", &[&stsd, &stts, &ctts, &stsc(&table.extents), &stsz, &co64])
}

/// Returns the stsc: number of samples and sample description of each extent.
fn stsc(extents: &[Extent]) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut before = None;
    for (number, extent) in (1u32..).zip(extents) {
        let key = Some((extent.samples, extent.description));
        if before != key {
            entries.push([number, extent.samples, extent.description].map(u32::to_be_bytes));
            before = key;
        }
    }
    let bytes = entries.as_flattened().as_flattened();
    boxed(b"stsc", &[&[0; 4], &be(entries.len()), bytes])
}

/// Encodes a number of entries, which always fits in 32 bits.
fn be(count: usize) -> [u8; 4] {
    (count as u32).to_be_bytes()
}

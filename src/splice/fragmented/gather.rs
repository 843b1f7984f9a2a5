//! Sound in fragments, told of as if all of it stood in its moov: players of Apple take a file of
//! fragments alone for twice as long as it is, and many do not know how long it is at all.
//!
//! The heads of all fragments are read for that, and a moov is made of them; the samples stay where
//! they are. Must never tell of a sample that was not seen to lie within media.

use std::ops::Range;

use super::fragment::FragmentInfo;
use super::init::InitSegment;
use super::table::{Extent, Run, Table};
use super::walk::{Step, Walk};
use super::{index, seconds_late, with_lead};
use crate::container::isobmff::boxed;
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::splice::edits::{self, Edit, NORMAL, Rescale, SimpleEdit};
use crate::splice::headers::{mdhd, mvhd};
use crate::splice::trak::Trak;
use crate::splice::{ReadAt, SurveyError};

/// A moov that tells of all samples, and where the media lie.
pub(in crate::splice) struct Gathered {
    pub(in crate::splice) moov: Vec<u8>,
    pub(in crate::splice) media: Vec<Range<u64>>,
}

/// Reads the fragments behind a moov, which ends at `behind`.
pub(in crate::splice) fn gather(
    reader: &mut dyn ReadAt,
    moov: &[u8],
    behind: u64,
) -> Result<Gathered, SurveyError> {
    let init = with_lead(reader, InitSegment::read(moov)?, behind)?;
    if init.kind != TrackKind::Audio {
        return Err(Unsupported("the file is not audio").into());
    }
    let (first, known) = index::claimed(reader, &init, behind)?;
    let known = known.map_or(Vec::new(), |known| known.fragments);
    let steps = Walk::new(&init, first, &known).with_samples().steps(reader)?;
    let first = steps.first().ok_or(Unsupported("the file has no fragments"))?.info;
    let media = steps.iter().map(|Step { from, info, .. }| from + info.media..from + info.len);
    let media = media.collect();
    let table = joined(steps)?;
    Ok(Gathered { moov: moov_of(&init, &first, &table)?, media })
}

/// The samples of all fragments.
fn joined(steps: Vec<Step>) -> Result<Table, Unsupported> {
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

/// What stands in the moov, which counts in ticks of the track.
fn moov_of(
    init: &InitSegment,
    first: &FragmentInfo,
    table: &Table,
) -> Result<Vec<u8>, Unsupported> {
    let media = table.duration();
    let edits = edits_of(init, first, media)?;
    let shown = if edits.is_empty() { media } else { edits.iter().map(|edit| edit.segment).sum() };
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
    Ok([mvhd(init.timescale, shown, init.id.saturating_add(1)), trak].concat())
}

/// When the samples are shown that begin at 0 now: whole seconds that they begin late are left out, as
/// always.
fn edits_of(
    init: &InitSegment,
    first: &FragmentInfo,
    media: u64,
) -> Result<Vec<Edit>, Unsupported> {
    let simple =
        edits::simple(&init.edits).ok_or(Unsupported("the edit list is not a single edit"))?;
    let SimpleEdit { empty, media_time, segment } = simple;
    let scale = Rescale { from: init.movie_scale, to: init.timescale };
    let late = first.time - seconds_late(init, first.time) * u64::from(init.timescale);
    let media_time = u64::try_from(media_time).unwrap_or(0).saturating_add(init.lead);
    let empty = scale.round(empty)?.saturating_add(late.saturating_sub(media_time));
    let begin = media_time.saturating_sub(late);
    let rest = media.checked_sub(begin).filter(|rest| *rest > 0).ok_or(edits::TOO_LONG)?;
    // What a coder has padded its last samples with is not to be heard; but some say only how long
    // the first fragment is.
    let padding = |segment: &u64| rest.saturating_sub(*segment) < u64::from(init.timescale);
    let segment = segment.map(|segment| scale.round(segment)).transpose()?;
    let segment = segment.filter(padding).unwrap_or(rest).min(rest);
    let nothing = Edit { segment: empty, media_time: -1, rate: NORMAL };
    let media_time = i64::try_from(begin).map_err(|_| edits::TOO_LONG)?;
    let shown = Edit { segment, media_time, rate: NORMAL };
    Ok(match (empty, begin) {
        (0, 0) if segment == media => Vec::new(),
        (0, _) => vec![shown],
        _ => vec![nothing, shown],
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

/// The tables of all samples (§8.5 to §8.7). Of those that were there, what describes samples stays.
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

/// How many samples each extent has, and what describes them.
fn stsc(extents: &[Extent]) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut before = None;
    for (number, extent) in (1u32..).zip(extents) {
        let alike = Some((extent.samples, extent.description));
        if before != alike {
            entries.push([number, extent.samples, extent.description].map(u32::to_be_bytes));
            before = alike;
        }
    }
    let bytes = entries.as_flattened().as_flattened();
    boxed(b"stsc", &[&[0; 4], &be(entries.len()), bytes])
}

/// A number of entries: there are never more than 32 bits can tell.
fn be(count: usize) -> [u8; 4] {
    (count as u32).to_be_bytes()
}

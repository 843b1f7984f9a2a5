//! Trims sample tables to the selected samples. A table that cannot be trimmed is omitted if it is only
//! a hint, and refused if omitting it would be wrong.

use std::ops::Range;

use super::head::BoxWriter;
use super::tables::{Tables, table};
use crate::container::isobmff::{Mp4Box, boxed, u32_at};
use crate::error::Unsupported;

const SHORT: Unsupported = Unsupported("a sample table is too short to be trimmed");

/// Writes a box of the sample table, trimmed to `samples`.
pub(super) fn trim(
    out: &mut BoxWriter,
    found: &Mp4Box<'_>,
    samples: &Range<u32>,
    tables: &Tables<'_>,
) -> Result<(), Unsupported> {
    match &found.kind {
        // Descriptions, which do not refer to single samples.
        b"stsd" | b"sgpd" => out.bytes.extend(found.bytes),
        b"stts" | b"ctts" => out.bytes.extend(runs(found, 4, samples)?),
        b"sbgp" => {
            let skip = if found.payload().first() == Some(&0) { 8 } else { 12 };
            out.bytes.extend(runs(found, skip, samples)?);
        }
        b"stss" | b"stps" => out.bytes.extend(numbers(found, samples)?),
        b"stsz" | b"stz2" => out.bytes.extend(stsz(tables, samples)?),
        b"sdtp" => {
            let each = found.payload().get(4..).ok_or(SHORT)?;
            let each = each.get(samples.start as usize..samples.end as usize).ok_or(SHORT)?;
            out.bytes.extend(boxed(b"sdtp", &[&found.payload()[..4], each]));
        }
        // Bounds of composition offsets (§8.6.1.4), sub-samples (§8.7.7), shadow sync samples
        // (§8.6.3), padding bits (§8.7.6) and degradation priorities (§8.5.3): players do without.
        b"cslg" | b"subs" | b"stsh" | b"padb" | b"stdp" | b"free" | b"skip" => {}
        _ => return Err(Unsupported("the index has a table that cannot be trimmed")),
    }
    Ok(())
}

/// Returns a run-length table, which follows `skip` bytes, trimmed to `samples`.
fn runs(found: &Mp4Box<'_>, skip: usize, samples: &Range<u32>) -> Result<Vec<u8>, Unsupported> {
    let entries = table(found, skip, 8)?;
    let (mut trimmed, mut at) = (Vec::new(), 0u64);
    let (start, end) = (u64::from(samples.start), u64::from(samples.end));
    for run in entries.chunks_exact(8) {
        let next = at + u64::from(u32_at(run, 0).ok_or(SHORT)?);
        let within = next.min(end).saturating_sub(at.max(start));
        if within > 0 {
            // The number is at most the old one, hence fits.
            trimmed.extend((within as u32).to_be_bytes());
            trimmed.extend(&run[4..]);
        }
        at = next;
    }
    let count = (trimmed.len() / 8) as u32;
    Ok(boxed(&found.kind, &[&found.payload()[..skip], &count.to_be_bytes(), &trimmed]))
}

/// Returns a table of sample numbers, counted from 1, trimmed to `samples`.
fn numbers(found: &Mp4Box<'_>, samples: &Range<u32>) -> Result<Vec<u8>, Unsupported> {
    let mut trimmed = Vec::new();
    for number in table(found, 4, 4)?.chunks_exact(4).filter_map(|number| u32_at(number, 0)) {
        if number.checked_sub(1).is_some_and(|sample| samples.contains(&sample)) {
            trimmed.extend((number - samples.start).to_be_bytes());
        }
    }
    let count = (trimmed.len() / 4) as u32;
    Ok(boxed(&found.kind, &[&found.payload()[..4], &count.to_be_bytes(), &trimmed]))
}

/// Returns the stsz for `samples`.
fn stsz(tables: &Tables<'_>, samples: &Range<u32>) -> Result<Vec<u8>, Unsupported> {
    use super::samples::Sizes;
    let count = samples.end - samples.start;
    let (same, each) = match tables.sizes {
        Sizes::Same { size, .. } => (size, Vec::new()),
        Sizes::Each { .. } => {
            let sizes = samples.clone().map(|sample| tables.sizes.of(sample));
            let sizes = sizes.map(|size| Some(size?.to_be_bytes()));
            (0, sizes.collect::<Option<Vec<_>>>().ok_or(SHORT)?)
        }
    };
    let head = [0, same, count].map(u32::to_be_bytes);
    Ok(boxed(b"stsz", &[head.as_flattened(), each.as_flattened()]))
}

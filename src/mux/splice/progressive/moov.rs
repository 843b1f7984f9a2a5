//! A moov for two tracks: theirs, copied box by box but for what differs in the joined file.

use super::chunks::Chunks;
use super::cut;
use super::head::{Film, Out};
use crate::mux::splice::Refusal;
use crate::mux::splice::boxes::boxed;
use crate::mux::splice::edits;
use crate::mux::splice::headers::{mdhd, tkhd};
use crate::mux::splice::trak::MALFORMED;

/// Writes the track at this place of the film; where in `out` the offsets of its chunks are.
pub(super) fn trak(
    out: &mut Out,
    film: &Film<'_>,
    place: usize,
    duration: u64,
    wide: bool,
) -> Result<usize, Refusal> {
    let (trak, selection) = (&film.tracks[place].trak, &film.selections[place]);
    out.within(b"trak", |out| {
        let mut offsets = None;
        for found in &trak.boxes {
            match &found.kind {
                b"tkhd" => {
                    out.bytes.extend(tkhd(found, place as u32 + 1, duration)?);
                    out.bytes.extend(edits::edts(&selection.edits));
                }
                // Other tracks are not there any more; what the file said of itself, it says anew.
                b"edts" | b"tref" | b"udta" | b"meta" => {}
                b"mdia" => offsets = Some(mdia(out, film, place, wide)?),
                _ => out.bytes.extend(found.bytes),
            }
        }
        offsets.ok_or(MALFORMED)
    })
}

fn mdia(out: &mut Out, film: &Film<'_>, place: usize, wide: bool) -> Result<usize, Refusal> {
    let (trak, selection) = (&film.tracks[place].trak, &film.selections[place]);
    out.within(b"mdia", |out| {
        let mut offsets = None;
        for found in &trak.mdia {
            match &found.kind {
                b"mdhd" if selection.is_cut => out.bytes.extend(mdhd(found, selection.media)?),
                b"minf" => {
                    offsets = Some(out.within(b"minf", |out| minf(out, film, place, wide))?);
                }
                _ => out.bytes.extend(found.bytes),
            }
        }
        offsets.ok_or(MALFORMED)
    })
}

fn minf(out: &mut Out, film: &Film<'_>, place: usize, wide: bool) -> Result<usize, Refusal> {
    let mut offsets = None;
    for found in &film.tracks[place].trak.minf {
        match &found.kind {
            b"stbl" => offsets = Some(out.within(b"stbl", |out| stbl(out, film, place, wide))?),
            _ => out.bytes.extend(found.bytes),
        }
    }
    offsets.ok_or(MALFORMED)
}

fn stbl(out: &mut Out, film: &Film<'_>, place: usize, wide: bool) -> Result<usize, Refusal> {
    let (track, selection) = (&film.tracks[place], &film.selections[place]);
    let chunks = &film.chunks[place];
    let mut offsets = None;
    for found in &track.trak.stbl {
        match &found.kind {
            b"stsc" => out.bytes.extend(stsc(chunks)),
            b"stco" | b"co64" => {
                let kind = if wide { b"co64" } else { b"stco" };
                offsets = Some(out.within(kind, |out| {
                    out.bytes.extend([0; 4]);
                    let count = chunks.offsets.len();
                    out.bytes.extend((count as u32).to_be_bytes());
                    let at = out.bytes.len();
                    out.bytes.resize(at + count * if wide { 8 } else { 4 }, 0);
                    Ok(at)
                })?);
            }
            _ if selection.is_cut => cut::cut(out, found, &selection.samples, &track.tables)?,
            _ => out.bytes.extend(found.bytes),
        }
    }
    offsets.ok_or(MALFORMED)
}

/// How many samples the chunks have, and what describes them (§8.7.4).
fn stsc(chunks: &Chunks) -> Vec<u8> {
    let entries = chunks.alike.iter();
    let entries = entries.flat_map(|alike| [alike.first, alike.samples, alike.description]);
    let entries: Vec<[u8; 4]> = entries.map(u32::to_be_bytes).collect();
    let count = chunks.alike.len() as u32;
    boxed(b"stsc", &[&[0; 4], &count.to_be_bytes(), entries.as_flattened()])
}

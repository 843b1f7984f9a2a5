//! Writes the traks of the joined file, copied box by box from the inputs except for what differs.

use super::chunks::Chunks;
use super::head::{BoxWriter, MovieBuilder};
use super::subset;
use crate::container::isobmff::boxed;
use crate::error::Unsupported;
use crate::splice::headers::{mdhd, tkhd};
use crate::splice::trak::MALFORMED;
use crate::splice::{edits, entry};

/// Writes the track with this index and a `reference` to another one, and returns the position in `out` of its chunk offsets.
pub(super) fn trak(
    out: &mut BoxWriter,
    builder: &MovieBuilder<'_>,
    index: usize,
    duration: u64,
    reference: &[u8],
    is_64_bit: bool,
) -> Result<usize, Unsupported> {
    let (trak, selection) = (&builder.tracks[index].trak, &builder.selections[index]);
    out.nest(b"trak", |out| {
        let mut offsets = None;
        for found in &trak.boxes {
            match &found.kind {
                b"tkhd" => {
                    let tkhd = tkhd(found, index as u32 + 1, duration)?;
                    out.bytes.extend(builder.labels[index].tkhd(tkhd));
                    out.bytes.extend(edits::edts(&selection.edits));
                    out.bytes.extend(reference);
                }
                // References to tracks that are not in the joined file, and metadata, which is written anew.
                b"edts" | b"tref" | b"udta" | b"meta" => {}
                b"mdia" => offsets = Some(mdia(out, builder, index, is_64_bit)?),
                // QuickTime's settings for display and loading.
                _ if builder.tracks[index].is_quicktime => {}
                _ => out.bytes.extend(found.bytes),
            }
        }
        out.bytes.extend(builder.labels[index].udta());
        offsets.ok_or(MALFORMED)
    })
}

fn mdia(
    out: &mut BoxWriter,
    builder: &MovieBuilder<'_>,
    index: usize,
    is_64_bit: bool,
) -> Result<usize, Unsupported> {
    let (track, selection) = (&builder.tracks[index], &builder.selections[index]);
    let label = &builder.labels[index];
    out.nest(b"mdia", |out| {
        let mut offsets = None;
        for found in &track.trak.mdia {
            match &found.kind {
                b"mdhd" => out.bytes.extend(label.mdhd(match track.is_quicktime {
                    true => without_macintosh_language(mdhd(found, selection.media)?),
                    false if selection.is_cut => mdhd(found, selection.media)?,
                    false => found.bytes.to_vec(),
                })),
                b"elng" if label.replaces_language() => {}
                b"hdlr" => out.bytes.extend(label.hdlr(match track.is_quicktime {
                    true => hdlr(&track.trak.handler),
                    false => found.bytes.to_vec(),
                })),
                b"minf" => {
                    offsets = Some(out.nest(b"minf", |out| minf(out, builder, index, is_64_bit))?);
                }
                _ => out.bytes.extend(found.bytes),
            }
        }
        offsets.ok_or(MALFORMED)
    })
}

fn minf(
    out: &mut BoxWriter,
    builder: &MovieBuilder<'_>,
    index: usize,
    is_64_bit: bool,
) -> Result<usize, Unsupported> {
    let mut offsets = None;
    let is_quicktime = builder.tracks[index].is_quicktime;
    for found in &builder.tracks[index].trak.minf {
        match &found.kind {
            b"stbl" => {
                offsets = Some(out.nest(b"stbl", |out| stbl(out, builder, index, is_64_bit))?);
            }
            // QuickTime's own form of the data reference, and a second handler.
            b"dinf" if is_quicktime => out.bytes.extend(dinf()),
            b"hdlr" if is_quicktime => {}
            _ => out.bytes.extend(found.bytes),
        }
    }
    offsets.ok_or(MALFORMED)
}

fn stbl(
    out: &mut BoxWriter,
    builder: &MovieBuilder<'_>,
    index: usize,
    is_64_bit: bool,
) -> Result<usize, Unsupported> {
    let (track, selection) = (&builder.tracks[index], &builder.selections[index]);
    let chunks = &builder.chunks[index];
    let mut offsets = None;
    for found in &track.trak.stbl {
        match &found.kind {
            b"stsc" => out.bytes.extend(stsc(chunks)),
            b"stco" | b"co64" => {
                let kind = if is_64_bit { b"co64" } else { b"stco" };
                offsets = Some(out.nest(kind, |out| {
                    out.bytes.extend([0; 4]);
                    let count = chunks.offsets.len();
                    out.bytes.extend((count as u32).to_be_bytes());
                    let at = out.bytes.len();
                    out.bytes.resize(at + count * if is_64_bit { 8 } else { 4 }, 0);
                    Ok(at)
                })?);
            }
            b"stsd" => {
                let stsd = entry::stsd(found, &track.trak.handler, track.is_quicktime)?;
                out.bytes.extend(stsd);
            }
            // Partial sync samples, which MP4 does not have.
            b"stps" if track.is_quicktime => {}
            _ if selection.is_cut => subset::trim(out, found, &selection.samples, &track.tables)?,
            _ => out.bytes.extend(found.bytes),
        }
    }
    offsets.ok_or(MALFORMED)
}

/// Returns the handler of the media (§8.4.3). QuickTime has two handlers, with a name that begins with
/// its length.
fn hdlr(handler: &[u8; 4]) -> Vec<u8> {
    let name: &[u8] = if handler == b"vide" { b"VideoHandler\0" } else { b"SoundHandler\0" };
    boxed(b"hdlr", &[&[0; 8], handler, &[0; 12], name])
}

/// Returns the data reference to the file itself (§8.7.2).
fn dinf() -> Vec<u8> {
    let url = boxed(b"url ", &[&[0, 0, 0, 1]]);
    boxed(b"dinf", &[&boxed(b"dref", &[&[0, 0, 0, 0, 0, 0, 0, 1], &url])])
}

/// Replaces the language of a mdhd (§8.4.2) by "undetermined", if it is a Macintosh language code.
fn without_macintosh_language(mut mdhd: Vec<u8>) -> Vec<u8> {
    const UNDETERMINED: [u8; 2] = 0x55c4u16.to_be_bytes();
    if let Some([first, second, _, _]) = mdhd.last_chunk_mut::<4>()
        && (*first < 4 || [*first, *second] == [0x7f, 0xff])
    {
        [*first, *second] = UNDETERMINED;
    }
    mdhd
}

/// Returns the stsc: number of samples and sample description of the chunks (§8.7.4).
fn stsc(chunks: &Chunks) -> Vec<u8> {
    let entries = chunks.runs.iter();
    let entries = entries.flat_map(|run| [run.first, run.samples, run.description]);
    let entries: Vec<[u8; 4]> = entries.map(u32::to_be_bytes).collect();
    let count = chunks.runs.len() as u32;
    boxed(b"stsc", &[&[0; 4], &count.to_be_bytes(), entries.as_flattened()])
}

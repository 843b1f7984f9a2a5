//! A moov for two tracks: theirs, copied box by box but for what differs in the joined file.

use super::chunks::Chunks;
use super::head::{BoxWriter, MovieBuilder};
use super::subset;
use crate::container::isobmff::boxed;
use crate::error::Unsupported;
use crate::splice::headers::{mdhd, tkhd};
use crate::splice::trak::MALFORMED;
use crate::splice::{edits, entry};

/// Writes the track at this place of the film; where in `out` the offsets of its chunks are.
pub(super) fn trak(
    out: &mut BoxWriter,
    film: &MovieBuilder<'_>,
    place: usize,
    duration: u64,
    wide: bool,
) -> Result<usize, Unsupported> {
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
                // How QuickTime shows it, and when it loads it.
                _ if film.tracks[place].is_quicktime => {}
                _ => out.bytes.extend(found.bytes),
            }
        }
        offsets.ok_or(MALFORMED)
    })
}

fn mdia(
    out: &mut BoxWriter,
    film: &MovieBuilder<'_>,
    place: usize,
    wide: bool,
) -> Result<usize, Unsupported> {
    let (track, selection) = (&film.tracks[place], &film.selections[place]);
    out.within(b"mdia", |out| {
        let mut offsets = None;
        for found in &track.trak.mdia {
            match &found.kind {
                b"mdhd" if selection.is_cut || track.is_quicktime => {
                    let mdhd = mdhd(found, selection.media)?;
                    out.bytes.extend(if track.is_quicktime { in_no_language(mdhd) } else { mdhd });
                }
                b"hdlr" if track.is_quicktime => out.bytes.extend(hdlr(&track.trak.handler)),
                b"minf" => {
                    offsets = Some(out.within(b"minf", |out| minf(out, film, place, wide))?);
                }
                _ => out.bytes.extend(found.bytes),
            }
        }
        offsets.ok_or(MALFORMED)
    })
}

fn minf(
    out: &mut BoxWriter,
    film: &MovieBuilder<'_>,
    place: usize,
    wide: bool,
) -> Result<usize, Unsupported> {
    let mut offsets = None;
    let is_quicktime = film.tracks[place].is_quicktime;
    for found in &film.tracks[place].trak.minf {
        match &found.kind {
            b"stbl" => offsets = Some(out.within(b"stbl", |out| stbl(out, film, place, wide))?),
            // It says in a way of the Macintosh that media are in the file itself, and who reads them.
            b"dinf" if is_quicktime => out.bytes.extend(dinf()),
            b"hdlr" if is_quicktime => {}
            _ => out.bytes.extend(found.bytes),
        }
    }
    offsets.ok_or(MALFORMED)
}

fn stbl(
    out: &mut BoxWriter,
    film: &MovieBuilder<'_>,
    place: usize,
    wide: bool,
) -> Result<usize, Unsupported> {
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
            b"stsd" => {
                let stsd = entry::stsd(found, &track.trak.handler, track.is_quicktime)?;
                out.bytes.extend(stsd);
            }
            // Partial ones, of which MP4 does not know.
            b"stps" if track.is_quicktime => {}
            _ if selection.is_cut => subset::cut(out, found, &selection.samples, &track.tables)?,
            _ => out.bytes.extend(found.bytes),
        }
    }
    offsets.ok_or(MALFORMED)
}

/// What handles the media (§8.4.3): QuickTime has two of these, with a name that begins with its
/// length.
fn hdlr(handler: &[u8; 4]) -> Vec<u8> {
    let name: &[u8] = if handler == b"vide" { b"VideoHandler\0" } else { b"SoundHandler\0" };
    boxed(b"hdlr", &[&[0; 8], handler, &[0; 12], name])
}

/// All media are in the file itself (§8.7.2).
fn dinf() -> Vec<u8> {
    let url = boxed(b"url ", &[&[0, 0, 0, 1]]);
    boxed(b"dinf", &[&boxed(b"dref", &[&[0, 0, 0, 0, 0, 0, 0, 1], &url])])
}

/// The same mdhd (§8.4.2) without its language, where that is a number of the Macintosh.
fn in_no_language(mut mdhd: Vec<u8>) -> Vec<u8> {
    const UNDETERMINED: [u8; 2] = 0x55c4u16.to_be_bytes();
    if let Some([first, second, _, _]) = mdhd.last_chunk_mut::<4>()
        && (*first < 4 || [*first, *second] == [0x7f, 0xff])
    {
        [*first, *second] = UNDETERMINED;
    }
    mdhd
}

/// How many samples the chunks have, and what describes them (§8.7.4).
fn stsc(chunks: &Chunks) -> Vec<u8> {
    let entries = chunks.alike.iter();
    let entries = entries.flat_map(|alike| [alike.first, alike.samples, alike.description]);
    let entries: Vec<[u8; 4]> = entries.map(u32::to_be_bytes).collect();
    let count = chunks.alike.len() as u32;
    boxed(b"stsc", &[&[0; 4], &count.to_be_bytes(), entries.as_flattened()])
}

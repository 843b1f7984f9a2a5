//! A moov for two tracks: theirs, copied box by box but for what differs in the joined file.

use super::chunks::Chunk;
use super::head::{Film, Out};
use super::{cut, edits};
use crate::mux::splice::Refusal;
use crate::mux::splice::boxes::{Found, boxed, u32_at, u64_at};

const MALFORMED: Refusal = Refusal("its index is malformed");

/// The matrix that changes nothing.
const UNITY: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// The header of a film (§8.2.2) that is made at no time in particular: it must not differ from one
/// making to the next.
pub(super) fn mvhd(scale: u32, duration: u64, next_track: u32) -> Vec<u8> {
    let times = times([0, 0], &scale.to_be_bytes(), duration);
    let rate_and_volume = [0x1_0000u32, 0x100_0000, 0, 0].map(u32::to_be_bytes);
    let matrix = UNITY.map(u32::to_be_bytes);
    let rest = [matrix.as_flattened(), &[0; 24], &next_track.to_be_bytes()].concat();
    boxed(b"mvhd", &[&version(duration, 0), &times, rate_and_volume.as_flattened(), &rest])
}

/// Version and flags of a header with this duration. A duration of all ones would be an unknown
/// one, hence takes 64 bits.
fn version(duration: u64, flags: u32) -> [u8; 4] {
    let version = if duration < u64::from(u32::MAX) { 0 } else { 1 << 24 };
    (version | flags).to_be_bytes()
}

/// When it was made and modified, something of the header's own, and a duration.
fn times(made: [u64; 2], own: &[u8], duration: u64) -> Vec<u8> {
    let is_wide = duration >= u64::from(u32::MAX);
    let time = |time: u64| match u32::try_from(time) {
        _ if is_wide => time.to_be_bytes().to_vec(),
        // Only a time beyond 2040 is none.
        narrow => narrow.unwrap_or(0).to_be_bytes().to_vec(),
    };
    [time(made[0]), time(made[1]), own.to_vec(), time(duration)].concat()
}

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

/// The header of a track (§8.3.2): enabled and in the film, without an alternative.
fn tkhd(found: &Found<'_>, id: u32, duration: u64) -> Result<Vec<u8>, Refusal> {
    let payload = found.payload();
    let head = u32_at(payload, 0).ok_or(MALFORMED)?;
    let (made, rest) = match head >> 24 {
        0 => ([u32_at(payload, 4), u32_at(payload, 8)].map(|time| time.map(u64::from)), 24),
        1 => ([u64_at(payload, 4), u64_at(payload, 12)], 36),
        _ => return Err(MALFORMED),
    };
    let mut rest =
        *payload.get(rest..).and_then(|rest| rest.first_chunk::<60>()).ok_or(MALFORMED)?;
    rest[10..12].fill(0);
    let made = made.map(Option::unwrap_or_default);
    let own = [id.to_be_bytes(), [0; 4]];
    let times = times(made, own.as_flattened(), duration);
    Ok(boxed(b"tkhd", &[&version(duration, (head & 0xff_ffff) | 3), &times, &rest]))
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

/// The header of media (§8.4.2) with another duration.
fn mdhd(found: &Found<'_>, duration: u64) -> Result<Vec<u8>, Refusal> {
    let mut mdhd = found.bytes.to_vec();
    let payload = &mut mdhd[found.header..];
    let wide = payload.first() != Some(&0);
    let narrow = u32::try_from(duration).ok().map(u32::to_be_bytes);
    let (at, duration) = match (wide, &narrow) {
        (true, _) => (24, &duration.to_be_bytes()[..]),
        (false, Some(narrow)) => (16, &narrow[..]),
        (false, None) => return Err(Refusal("its times are too large")),
    };
    payload.get_mut(at..at + duration.len()).ok_or(MALFORMED)?.copy_from_slice(duration);
    Ok(mdhd)
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
    let chunks = &film.chunked[place].chunks;
    let mut offsets = None;
    for found in &track.trak.stbl {
        match &found.kind {
            b"stsc" => out.bytes.extend(stsc(chunks)),
            b"stco" | b"co64" => {
                let kind = if wide { b"co64" } else { b"stco" };
                offsets = Some(out.within(kind, |out| {
                    out.bytes.extend([0; 4]);
                    out.bytes.extend((chunks.len() as u32).to_be_bytes());
                    let at = out.bytes.len();
                    out.bytes.resize(at + chunks.len() * if wide { 8 } else { 4 }, 0);
                    Ok(at)
                })?);
            }
            _ if selection.is_cut => cut::cut(out, found, &selection.samples, &track.tables)?,
            _ => out.bytes.extend(found.bytes),
        }
    }
    offsets.ok_or(MALFORMED)
}

/// How many samples the chunks have, and what describes them (§8.7.4): an entry for each run of
/// chunks that are alike.
fn stsc(chunks: &[Chunk]) -> Vec<u8> {
    let mut entries: Vec<[u8; 4]> = Vec::new();
    let mut before = None;
    for (number, chunk) in (1u32..).zip(chunks) {
        let alike = Some((chunk.samples, chunk.description));
        if before != alike {
            entries.extend([number, chunk.samples, chunk.description].map(u32::to_be_bytes));
            before = alike;
        }
    }
    let count = (entries.len() / 3) as u32;
    boxed(b"stsc", &[&[0; 4], &count.to_be_bytes(), entries.as_flattened()])
}

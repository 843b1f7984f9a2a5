//! Writes the header of the joined file: ftyp and moov (ISO/IEC 14496-12 §4.3, §8.2, §8.8.1).

use std::time::Duration;

use super::SelectedTrack;
use super::init::{Timeline, ticks};
use crate::container::isobmff::boxed;
use crate::error::Unsupported;
use crate::media::Metadata;
use crate::splice::edits::{self, Edit, NANOS, NORMAL_RATE, Rescale};
use crate::splice::headers::{mdhd, mvhd, tkhd};
use crate::splice::labels::{HeaderLabel, header_labels};
use crate::splice::trak::Trak;
use crate::splice::{entry, tags};

/// Returns everything that precedes the indexes.
pub(super) fn head(
    chosen: &[SelectedTrack<'_>],
    duration: Duration,
    tags: &Metadata,
) -> Result<Vec<u8>, Unsupported> {
    let scale = edits::common_timescale(chosen.iter().map(|chosen| chosen.track.init.movie_scale));
    let movie_ticks = |duration: Duration| {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Rescale { from: NANOS, to: scale }.round(nanos)
    };
    let mut parts = vec![mvhd(scale, movie_ticks(duration)?, chosen.len() as u32 + 1)];
    // Without a duration here, some players take the file for a live stream, which it may be.
    let mehd = boxed(b"mehd", &[&[1, 0, 0, 0], &movie_ticks(duration)?.to_be_bytes()]);
    let mut mvex = if duration.is_zero() { Vec::new() } else { vec![mehd] };
    let files = chosen.iter().enumerate().map(|(file, chosen)| (chosen.track.init.kind, file));
    let labels = header_labels(files, &tags.labels);
    for (index, (chosen, label)) in chosen.iter().zip(&labels).enumerate() {
        let (trex, id) = (&chosen.track.init.trex, index as u32 + 1);
        parts.push(trak(chosen, label, (id, scale), movie_ticks(chosen.duration())?)?);
        mvex.push(boxed(b"trex", &[&trex[..4], &id.to_be_bytes(), &trex[8..]]));
    }
    parts.push(boxed(b"mvex", &[&mvex.concat()]));
    parts.push(tags::udta(tags));
    let ftyp = boxed(b"ftyp", &[b"iso6", &512_u32.to_be_bytes(), b"iso6isommp41"]);
    Ok([ftyp, boxed(b"moov", &[&parts.concat()])].concat())
}

/// Returns the trak of the input with a new track_ID and durations and, if it was trimmed, a new edit
/// list.
fn trak(
    chosen: &SelectedTrack<'_>,
    label: &HeaderLabel<'_>,
    (id, scale): (u32, u32),
    duration: u64,
) -> Result<Vec<u8>, Unsupported> {
    let init = &chosen.track.init;
    let edits = if chosen.is_cut {
        of_timeline(&chosen.timeline, scale)?
    } else {
        edits::rescaled(&init.edits, Rescale { from: init.movie_scale, to: scale })?
    };
    let trak = Trak::read(&init.trak)?;
    let mut parts = Vec::new();
    for found in &trak.boxes {
        match &found.kind {
            b"tkhd" => {
                parts.extend([label.tkhd(tkhd(found, id, duration)?), edits::edts(&edits)]);
            }
            // References to tracks that are not in the joined file, and metadata, which is written anew.
            b"edts" | b"tref" | b"udta" | b"meta" => {}
            b"mdia" => parts.push(mdia(&trak, chosen, label)?),
            _ => parts.push(found.bytes.to_vec()),
        }
    }
    parts.push(label.udta());
    Ok(boxed(b"trak", &[&parts.concat()]))
}

/// Returns the edit list of a timeline; empty if everything is presented from the beginning on.
fn of_timeline(timeline: &Timeline, scale: u32) -> Result<Vec<Edit>, Unsupported> {
    let media_time = i64::try_from(timeline.media_time).map_err(|_| edits::TOO_LONG)?;
    let empty_edit =
        Edit { segment: ticks(timeline.delay(), scale), media_time: -1, rate: NORMAL_RATE };
    // A duration of 0 means to the end of all fragments, including later ones (§8.6.6.1).
    let edit = Edit { segment: 0, media_time, rate: NORMAL_RATE };
    Ok(match (empty_edit.segment, media_time) {
        (0, 0) => Vec::new(),
        (0, _) => vec![edit],
        _ => vec![empty_edit, edit],
    })
}

/// Returns the mdia with the duration of the media, which players use that cannot seek.
fn mdia(
    trak: &Trak<'_>,
    chosen: &SelectedTrack<'_>,
    label: &HeaderLabel<'_>,
) -> Result<Vec<u8>, Unsupported> {
    let begin = chosen.fragments.first().map_or(0, |first| first.time);
    let duration = chosen.end.saturating_sub(begin);
    let mut parts = Vec::new();
    for found in &trak.mdia {
        parts.push(match &found.kind {
            b"mdhd" => label.mdhd(mdhd(found, duration)?),
            b"elng" if label.replaces_language() => continue,
            b"hdlr" => label.hdlr(found.bytes.to_vec()),
            b"minf" => minf(trak)?,
            _ => found.bytes.to_vec(),
        });
    }
    Ok(boxed(b"mdia", &[&parts.concat()]))
}

/// Returns the minf; only the type of the sample descriptions may change.
fn minf(trak: &Trak<'_>) -> Result<Vec<u8>, Unsupported> {
    let mut parts = Vec::new();
    for found in &trak.minf {
        if found.kind != *b"stbl" {
            parts.push(found.bytes.to_vec());
            continue;
        }
        let stbl = trak.stbl.iter().map(|found| match &found.kind {
            b"stsd" => entry::stsd(found, &trak.handler, false),
            _ => Ok(found.bytes.to_vec()),
        });
        parts.push(boxed(b"stbl", &[&stbl.collect::<Result<Vec<_>, _>>()?.concat()]));
    }
    Ok(boxed(b"minf", &[&parts.concat()]))
}

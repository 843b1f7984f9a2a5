//! Parser of moov and trak (ISO/IEC 14496-12 §8.2, §8.3): finds the boxes of a track and refuses
//! what cannot be spliced. It only finds boxes and never changes any.

use super::{ENCRYPTED, Unsupported};
use crate::container::isobmff::fields::{TimeHeader, TrackHeader, handler_type};
use crate::container::isobmff::{Mp4Box, children, u32_at};
use crate::media::TrackKind;

mod choice;

/// A parsed trak, down to the boxes that splice rewrites.
pub(super) struct Trak<'a> {
    /// The children of the trak.
    pub(super) boxes: Vec<Mp4Box<'a>>,
    /// The children of its mdia.
    pub(super) mdia: Vec<Mp4Box<'a>>,
    /// The children of its minf.
    pub(super) minf: Vec<Mp4Box<'a>>,
    /// The children of its stbl.
    pub(super) stbl: Vec<Mp4Box<'a>>,
    /// The handler type (§8.4.3): video, audio or something else.
    pub(super) handler: [u8; 4],
    /// The media timescale.
    pub(super) scale: u32,
    /// The number of sample descriptions.
    pub(super) descriptions: u32,
}

/// A parsed moov.
pub(super) struct Moov<'a> {
    /// The movie timescale.
    pub(super) scale: u32,
    /// The duration in that timescale, if it is known.
    pub(super) duration: Option<u64>,
    /// The payloads of its traks.
    pub(super) traks: Vec<&'a [u8]>,
    /// The mvex box, which a fragmented file has.
    pub(super) mvex: Option<Mp4Box<'a>>,
}

impl<'a> Moov<'a> {
    /// Parses the payload of a moov.
    pub(super) fn read(moov: &'a [u8]) -> Result<Moov<'a>, Unsupported> {
        let boxes = boxes_of(moov)?;
        if boxes.iter().any(|found| found.kind == *b"cmov") {
            return Err(Unsupported("the index (moov) is compressed"));
        }
        let TimeHeader { timescale: scale, duration } = time_header(one(&boxes, b"mvhd")?)?;
        let duration = duration.filter(|duration| *duration > 0);
        let mvex = at_most_one(&boxes, b"mvex")?;
        let traks = boxes.iter().filter(|found| found.kind == *b"trak");
        let traks: Vec<_> = traks.map(Mp4Box::payload).collect();
        if traks.is_empty() {
            return Err(Unsupported("the file has no track"));
        }
        Ok(Moov { scale, duration, traks, mvex })
    }

    /// Returns the only track.
    pub(super) fn only_track(&self) -> Result<&'a [u8], Unsupported> {
        match self.traks[..] {
            [trak] => Ok(trak),
            _ => Err(Unsupported("the file has more than one track")),
        }
    }

    /// Returns the track of this kind that a player would select, if there is one.
    pub(super) fn track_of_kind(&self, kind: TrackKind) -> Option<&'a [u8]> {
        choice::select(&self.traks, handler(kind))
    }

    /// Returns whether there is any track of this kind, even one that players ignore.
    pub(super) fn has(&self, kind: TrackKind) -> bool {
        self.traks.iter().any(|trak| choice::handler_of(trak) == Some(handler(kind)))
    }
}

/// Returns the handler type of a kind of track (§8.4.3).
pub(super) fn handler(kind: TrackKind) -> &'static [u8; 4] {
    match kind {
        TrackKind::Video => b"vide",
        TrackKind::Audio => b"soun",
    }
}

impl<'a> Trak<'a> {
    /// Parses the payload of a trak.
    pub(super) fn read(trak: &'a [u8]) -> Result<Trak<'a>, Unsupported> {
        let boxes = boxes_of(trak)?;
        one(&boxes, b"tkhd")?;
        let mdia = boxes_of(one(&boxes, b"mdia")?.payload())?;
        let minf = boxes_of(one(&mdia, b"minf")?.payload())?;
        let stbl = boxes_of(one(&minf, b"stbl")?.payload())?;
        let scale = time_header(one(&mdia, b"mdhd")?)?.timescale;
        let handler = *handler_type(one(&mdia, b"hdlr")?.payload()).ok_or(MALFORMED)?;
        check_references(one(&minf, b"dinf")?.payload())?;
        let descriptions = check_descriptions(one(&stbl, b"stsd")?.payload())?;
        for found in &stbl {
            // These boxes refer to further data about each sample by its file offset (§8.7.9).
            if matches!(&found.kind, b"saiz" | b"saio" | b"senc") {
                return Err(Unsupported(
                    "the samples have auxiliary information (saiz, saio, senc)",
                ));
            }
        }
        Ok(Trak { boxes, mdia, minf, stbl, handler, scale, descriptions })
    }

    /// Returns the track_ID (§8.3.2).
    pub(super) fn id(&self) -> Result<u32, Unsupported> {
        let tkhd = one(&self.boxes, b"tkhd")?.payload();
        let id = TrackHeader::read(tkhd).map(|header| header.id);
        id.filter(|id| *id != 0).ok_or(MALFORMED)
    }
}

pub(super) const MALFORMED: Unsupported = Unsupported("the index (moov) is malformed");

/// Returns the boxes that `bytes` consist of.
pub(super) fn boxes_of(bytes: &[u8]) -> Result<Vec<Mp4Box<'_>>, Unsupported> {
    children(bytes).ok_or(MALFORMED)
}

/// Returns the only box of this type.
pub(super) fn one<'a>(boxes: &[Mp4Box<'a>], kind: &[u8; 4]) -> Result<Mp4Box<'a>, Unsupported> {
    at_most_one(boxes, kind)?.ok_or(Unsupported("the index (moov) lacks a required box"))
}

/// Returns the only box of this type, if there is one.
pub(super) fn at_most_one<'a>(
    boxes: &[Mp4Box<'a>],
    kind: &[u8; 4],
) -> Result<Option<Mp4Box<'a>>, Unsupported> {
    let mut track_of_kind = boxes.iter().filter(|found| found.kind == *kind);
    match (track_of_kind.next(), track_of_kind.next()) {
        (found, None) => Ok(found.copied()),
        _ => Err(Unsupported("the index (moov) has a box twice")),
    }
}

/// Reads a mvhd or mdhd, which must have a timescale.
fn time_header(found: Mp4Box<'_>) -> Result<TimeHeader, Unsupported> {
    TimeHeader::read(found.payload()).filter(|header| header.timescale > 0).ok_or(MALFORMED)
}

/// Refuses data references to other files (§8.7.2): flag 1 of each must be set.
fn check_references(dinf: &[u8]) -> Result<(), Unsupported> {
    let dref = one(&boxes_of(dinf)?, b"dref")?.payload();
    let references = boxes_of(dref.get(8..).ok_or(MALFORMED)?)?;
    let own = |found: &Mp4Box<'_>| found.payload().get(3).is_some_and(|flags| flags & 1 == 1);
    match references.iter().all(own) {
        true if !references.is_empty() => Ok(()),
        _ => Err(Unsupported("the media data is in another file")),
    }
}

/// Returns the number of sample descriptions (§8.5.2); refuses those of encrypted samples, of common
/// encryption as well as of FairPlay.
fn check_descriptions(stsd: &[u8]) -> Result<u32, Unsupported> {
    let entries = boxes_of(stsd.get(8..).ok_or(MALFORMED)?)?;
    let encrypted =
        |found: &Mp4Box<'_>| found.kind.starts_with(b"enc") || found.kind.starts_with(b"drm");
    if entries.iter().any(encrypted) {
        return Err(ENCRYPTED);
    }
    let count = u32::try_from(entries.len()).map_err(|_| MALFORMED)?;
    if count == 0 || u32_at(stsd, 4) != Some(count) {
        return Err(MALFORMED);
    }
    Ok(count)
}

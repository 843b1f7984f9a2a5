//! The tracks of a moov, which of them is meant, and what of it forbids to splice it. Only finds
//! boxes; must never change any.

use super::{ENCRYPTED, Unsupported};
use crate::container::isobmff::{Found, children, u32_at, u64_at};
use crate::media::TrackKind;

mod choice;

/// A track, taken apart as far as it is changed.
pub(super) struct Trak<'a> {
    /// What it consists of.
    pub(super) boxes: Vec<Found<'a>>,
    /// What its mdia consists of.
    pub(super) mdia: Vec<Found<'a>>,
    /// What its minf consists of.
    pub(super) minf: Vec<Found<'a>>,
    /// What its stbl consists of.
    pub(super) stbl: Vec<Found<'a>>,
    /// Picture, sound or something else.
    pub(super) handler: [u8; 4],
    /// Of its media.
    pub(super) scale: u32,
    /// How many sample descriptions it has.
    pub(super) descriptions: u32,
}

/// A moov, as far as it matters.
pub(super) struct Moov<'a> {
    /// The time scale of the film.
    pub(super) scale: u32,
    /// How long the film is, in that time scale, if it is said.
    pub(super) duration: Option<u64>,
    /// Its tracks, each without its header.
    pub(super) traks: Vec<&'a [u8]>,
    /// What it says of fragments, if there are any.
    pub(super) mvex: Option<Found<'a>>,
}

impl<'a> Moov<'a> {
    /// Takes it apart.
    pub(super) fn read(moov: &'a [u8]) -> Result<Moov<'a>, Unsupported> {
        let boxes = whole(moov)?;
        if boxes.iter().any(|found| found.kind == *b"cmov") {
            return Err(Unsupported("its index is compressed"));
        }
        let mvhd = one(&boxes, b"mvhd")?.payload();
        let (scale, duration) = (time_scale(mvhd)?, duration(mvhd));
        let mvex = at_most_one(&boxes, b"mvex")?;
        let traks = boxes.iter().filter(|found| found.kind == *b"trak");
        let traks: Vec<_> = traks.map(Found::payload).collect();
        if traks.is_empty() {
            return Err(Unsupported("it has no track"));
        }
        Ok(Moov { scale, duration, traks, mvex })
    }

    /// The only track in it.
    pub(super) fn lone(&self) -> Result<&'a [u8], Unsupported> {
        match self.traks[..] {
            [trak] => Ok(trak),
            _ => Err(Unsupported("it has more than one track")),
        }
    }

    /// The track of this kind that a player would take, if there is one of this kind.
    pub(super) fn of_kind(&self, kind: TrackKind) -> Option<&'a [u8]> {
        choice::choose(&self.traks, handler(kind))
    }

    /// Whether there is a track of this kind, whether or not anybody would play it.
    pub(super) fn has(&self, kind: TrackKind) -> bool {
        self.traks.iter().any(|trak| choice::handler_of(trak) == Some(handler(kind)))
    }
}

/// The handler of a kind of track (§8.4.3).
pub(super) fn handler(kind: TrackKind) -> &'static [u8; 4] {
    match kind {
        TrackKind::Video => b"vide",
        TrackKind::Audio => b"soun",
    }
}

impl<'a> Trak<'a> {
    /// Takes a track apart.
    pub(super) fn read(trak: &'a [u8]) -> Result<Trak<'a>, Unsupported> {
        let boxes = whole(trak)?;
        one(&boxes, b"tkhd")?;
        let mdia = whole(one(&boxes, b"mdia")?.payload())?;
        let minf = whole(one(&mdia, b"minf")?.payload())?;
        let stbl = whole(one(&minf, b"stbl")?.payload())?;
        let scale = time_scale(one(&mdia, b"mdhd")?.payload())?;
        let handler = one(&mdia, b"hdlr")?.payload().get(8..).and_then(|rest| rest.first_chunk());
        let handler = *handler.ok_or(MALFORMED)?;
        check_references(one(&minf, b"dinf")?.payload())?;
        let descriptions = check_descriptions(one(&stbl, b"stsd")?.payload())?;
        for found in &stbl {
            // They say where in the file more is to be found about each sample (§8.7.9).
            if matches!(&found.kind, b"saiz" | b"saio" | b"senc") {
                return Err(Unsupported("its samples have auxiliary information"));
            }
        }
        Ok(Trak { boxes, mdia, minf, stbl, handler, scale, descriptions })
    }

    /// Its number (§8.3.2).
    pub(super) fn id(&self) -> Result<u32, Unsupported> {
        let tkhd = one(&self.boxes, b"tkhd")?.payload();
        let id = u32_at(tkhd, if tkhd.first() == Some(&0) { 12 } else { 20 });
        id.filter(|id| *id != 0).ok_or(MALFORMED)
    }
}

pub(super) const MALFORMED: Unsupported = Unsupported("its index is malformed");

/// The boxes that these bytes consist of.
pub(super) fn whole(bytes: &[u8]) -> Result<Vec<Found<'_>>, Unsupported> {
    children(bytes).ok_or(MALFORMED)
}

/// The only box of this type.
pub(super) fn one<'a>(boxes: &[Found<'a>], kind: &[u8; 4]) -> Result<Found<'a>, Unsupported> {
    at_most_one(boxes, kind)?.ok_or(Unsupported("its index lacks a box"))
}

/// The only box of this type, if there is one.
pub(super) fn at_most_one<'a>(
    boxes: &[Found<'a>],
    kind: &[u8; 4],
) -> Result<Option<Found<'a>>, Unsupported> {
    let mut of_kind = boxes.iter().filter(|found| found.kind == *kind);
    match (of_kind.next(), of_kind.next()) {
        (found, None) => Ok(found.copied()),
        _ => Err(Unsupported("its index has a box twice")),
    }
}

/// The time scale of a mvhd (§8.2.2) or of a mdhd (§8.4.2), which begin alike.
fn time_scale(header: &[u8]) -> Result<u32, Unsupported> {
    let at = match header.first() {
        Some(0) => 12,
        Some(1) => 20,
        _ => return Err(MALFORMED),
    };
    u32_at(header, at).filter(|scale| *scale > 0).ok_or(MALFORMED)
}

/// The duration of a mvhd, unless it is none: all ones mean that nobody knows it.
fn duration(mvhd: &[u8]) -> Option<u64> {
    match mvhd.first()? {
        0 => u32_at(mvhd, 16).filter(|duration| *duration != u32::MAX).map(u64::from),
        _ => u64_at(mvhd, 24).filter(|duration| *duration != u64::MAX),
    }
    .filter(|duration| *duration > 0)
}

/// All media must be in the file itself (§8.7.2): flag 1 of each reference.
fn check_references(dinf: &[u8]) -> Result<(), Unsupported> {
    let dref = one(&whole(dinf)?, b"dref")?.payload();
    let references = whole(dref.get(8..).ok_or(MALFORMED)?)?;
    let own = |found: &Found<'_>| found.payload().get(3).is_some_and(|flags| flags & 1 == 1);
    match references.iter().all(own) {
        true if !references.is_empty() => Ok(()),
        _ => Err(Unsupported("its media are in another file")),
    }
}

/// How many sample descriptions there are (§8.5.2); refuses those of encrypted samples, be it
/// common encryption or FairPlay.
fn check_descriptions(stsd: &[u8]) -> Result<u32, Unsupported> {
    let entries = whole(stsd.get(8..).ok_or(MALFORMED)?)?;
    let encrypted =
        |found: &Found<'_>| found.kind.starts_with(b"enc") || found.kind.starts_with(b"drm");
    if entries.iter().any(encrypted) {
        return Err(ENCRYPTED);
    }
    let count = u32::try_from(entries.len()).map_err(|_| MALFORMED)?;
    if count == 0 || u32_at(stsd, 4) != Some(count) {
        return Err(MALFORMED);
    }
    Ok(count)
}

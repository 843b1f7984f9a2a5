//! The moov of a fragmented file (ISO/IEC 14496-12 §8.2): its one track, and how its times are
//! shown. Must never take more of it than can be understood.

use std::time::Duration;

use crate::media::Kind;
use crate::mux::splice::boxes::{self, Found, Header, children, u32_at, u64_at};
use crate::mux::splice::moov::{self, MALFORMED};
use crate::mux::splice::{Halt, Look, MAX_LOOK, Refusal};

/// Boxes in front of the first fragment, at most.
const MAX_BOXES: usize = 32;

/// What the moov says of the track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Init {
    pub(super) kind: Kind,
    pub(super) id: u32,
    pub(super) timescale: u32,
    pub(super) movie_timescale: u32,
    /// The trak, header included.
    pub(super) trak: Vec<u8>,
    /// What a sample is like of which its fragment says nothing (trex, without its header).
    pub(super) trex: Vec<u8>,
    /// Its edit list, unless that is more than an offset.
    pub(super) edits: Option<Timeline>,
}

/// How composition times of a track become times of the film (elst, §8.6.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timeline {
    timescale: u32,
    /// Shown later by this, in ticks of the track.
    delay: u64,
    /// What comes before this time is not shown.
    pub(super) media_time: u64,
}

impl Init {
    /// Finds and reads the moov; says where it ends, too. `None` if this is no fragmented file.
    pub(super) fn read(look: &mut dyn Look) -> Result<Option<(Init, u64)>, Halt> {
        let mut at = 0;
        for _ in 0..MAX_BOXES {
            let Some(Header { kind, header, len }) = header_at(look, at)? else { return Ok(None) };
            let Some(len) = len.filter(|len| *len <= look.len() - at) else { return Ok(None) };
            match &kind {
                b"ftyp" | b"styp" | b"free" | b"skip" | b"wide" | b"pdin" | b"uuid" => at += len,
                b"moov" if len <= MAX_LOOK => {
                    let moov = look.look(at..at + len)?;
                    let init = Init::of(&moov[header..])?;
                    return Ok(init.map(|init| (init, at + len)));
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn of(moov: &[u8]) -> Result<Option<Init>, Refusal> {
        let boxes = children(moov).ok_or(MALFORMED)?;
        let one = |kind: &[u8; 4]| boxes.iter().find(|found| found.kind == *kind);
        let Some(mvex) = one(b"mvex") else { return Ok(None) };
        if boxes.iter().filter(|found| found.kind == *b"trak").count() != 1 {
            return Err(Refusal("it has not exactly one track"));
        }
        let trak = one(b"trak").ok_or(MALFORMED)?;
        let movie_timescale =
            mvhd_timescale(one(b"mvhd").ok_or(MALFORMED)?.payload()).ok_or(MALFORMED)?;
        let id = tkhd_id(&descend(trak, &[b"tkhd"]).ok_or(MALFORMED)?).ok_or(MALFORMED)?;
        let mdhd = descend(trak, &[b"mdia", b"mdhd"]).ok_or(MALFORMED)?;
        let timescale = mvhd_timescale(mdhd.payload()).ok_or(MALFORMED)?;
        let hdlr = descend(trak, &[b"mdia", b"hdlr"]).ok_or(MALFORMED)?;
        let kind = match hdlr.payload().get(8..12) {
            Some(b"vide") => Kind::Video,
            Some(b"soun") => Kind::Audio,
            _ => return Err(Refusal("its track is neither picture nor sound")),
        };
        let stbl = descend(trak, &[b"mdia", b"minf", b"stbl"]).ok_or(MALFORMED)?;
        check_samples(&stbl)?;
        let dref = descend(trak, &[b"mdia", b"minf", b"dinf", b"dref"]).ok_or(MALFORMED)?;
        check_references(dref.payload())?;
        let trex = children(mvex.payload())
            .ok_or(MALFORMED)?
            .into_iter()
            .find(|found| found.kind == *b"trex" && u32_at(found.payload(), 4) == Some(id));
        let trex = trex.map(|trex| trex.payload().to_vec()).filter(|trex| trex.len() == 24);
        if timescale == 0 || movie_timescale == 0 {
            return Err(MALFORMED);
        }
        Ok(Some(Init {
            kind,
            id,
            timescale,
            movie_timescale,
            trak: trak.bytes.to_vec(),
            trex: trex.ok_or(MALFORMED)?,
            edits: Timeline::of(trak, timescale, movie_timescale),
        }))
    }

    /// Its edit list, if that can be told anew for a part of the film.
    pub(super) fn timeline(&self) -> Result<Timeline, Refusal> {
        self.edits.ok_or(Refusal("it has an edit list that cannot be cut"))
    }
}

/// The header of the box at `at`; `None` at the end of the file, or where there is none.
pub(super) fn header_at(look: &mut dyn Look, at: u64) -> Result<Option<Header>, Halt> {
    let end = look.len().min(at.saturating_add(16));
    if at >= end {
        return Ok(None);
    }
    Ok(boxes::header(&look.look(at..end)?))
}

/// The box at the end of this way down.
pub(super) fn descend<'a>(from: &Found<'a>, way: &[&[u8; 4]]) -> Option<Found<'a>> {
    way.iter().try_fold(*from, |parent, kind| {
        children(parent.payload())?.into_iter().find(|found| found.kind == **kind)
    })
}

/// The timescale of mvhd (§8.2.2) and mdhd (§8.4.2) alike.
fn mvhd_timescale(payload: &[u8]) -> Option<u32> {
    u32_at(payload, if *payload.first()? == 0 { 12 } else { 20 })
}

/// §8.3.2
fn tkhd_id(tkhd: &Found<'_>) -> Option<u32> {
    let payload = tkhd.payload();
    u32_at(payload, if *payload.first()? == 0 { 12 } else { 20 }).filter(|id| *id != 0)
}

/// The moov must have no samples itself (§8.7.3), and none that are encrypted (§8.12).
fn check_samples(stbl: &Found<'_>) -> Result<(), Refusal> {
    for found in children(stbl.payload()).ok_or(MALFORMED)? {
        let payload = found.payload();
        match &found.kind {
            b"stsz" | b"stz2" if u32_at(payload, 8) != Some(0) => {
                return Err(Refusal("it has samples both in its moov and in fragments"));
            }
            b"stsd" => {
                let entries = payload.get(8..).and_then(children).ok_or(MALFORMED)?;
                if entries.iter().any(|entry| matches!(&entry.kind, b"encv" | b"enca")) {
                    return Err(Refusal("it is encrypted"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// All media must be in the file itself (§8.7.2).
fn check_references(dref: &[u8]) -> Result<(), Refusal> {
    let entries = dref.get(8..).and_then(children).ok_or(MALFORMED)?;
    let here = |entry: &Found<'_>| u32_at(entry.payload(), 0).is_some_and(|flags| flags & 1 == 1);
    if entries.iter().all(here) { Ok(()) } else { Err(Refusal("its media is in another file")) }
}

impl Timeline {
    /// Everything is shown when it is composed.
    pub(super) fn plain(timescale: u32) -> Timeline {
        Timeline { timescale, delay: 0, media_time: 0 }
    }

    /// `None` if the edit list is more than a delay and a beginning.
    fn of(trak: &Found<'_>, timescale: u32, movie_timescale: u32) -> Option<Timeline> {
        let plain = Timeline::plain(timescale);
        let Some(elst) = descend(trak, &[b"edts", b"elst"]) else { return Some(plain) };
        match edits(elst.payload())?[..] {
            [] => Some(plain),
            [Edit { media_time: Some(media_time), .. }] => Some(Timeline { media_time, ..plain }),
            [Edit { duration, media_time: None }, Edit { media_time: Some(media_time), .. }] => {
                let ticks = u128::from(duration) * u128::from(timescale);
                let delay = u64::try_from(ticks / u128::from(movie_timescale)).ok()?;
                Some(Timeline { timescale, delay, media_time })
            }
            _ => None,
        }
    }

    /// What is added to composition times, in ticks of the track.
    pub(super) fn offset(&self) -> i128 {
        i128::from(self.delay) - i128::from(self.media_time)
    }

    /// How long nothing is shown at first.
    pub(super) fn delay(&self) -> Duration {
        seconds(self.delay, self.timescale)
    }

    /// The composition time, in ticks of the track, of what is shown at this time of the film.
    pub(super) fn media_time(&self, at: Duration) -> u64 {
        let ticks = moov::ticks(at, self.timescale).saturating_add(self.media_time);
        ticks.saturating_sub(self.delay)
    }

    /// That of a film that begins at `zero` of this one, if `shift` is taken from all times, which
    /// is no more than what is shown then.
    pub(super) fn from(&self, zero: Duration, shift: u64) -> Timeline {
        let (timescale, gone) = (self.timescale, self.media_time(zero));
        // Where this is more than 0, nothing is shown yet.
        let delay = self.delay.saturating_sub(self.media_time);
        let delay = delay.saturating_sub(moov::ticks(zero, timescale));
        Timeline { timescale, delay, media_time: gone.saturating_sub(shift) }
    }

    /// When something of this composition time is shown.
    pub(super) fn shown(&self, ticks: u64) -> Duration {
        let ticks = ticks.saturating_add(self.delay).saturating_sub(self.media_time);
        seconds(ticks, self.timescale)
    }
}

/// Ticks as a duration.
pub(super) fn seconds(ticks: u64, timescale: u32) -> Duration {
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(timescale.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

struct Edit {
    duration: u64,
    /// `None` where nothing is shown.
    media_time: Option<u64>,
}

/// At most a few edits, all at the usual speed; `None` for anything else.
fn edits(elst: &[u8]) -> Option<Vec<Edit>> {
    const MOST: usize = 8;
    let wide = *elst.first()? == 1;
    let (size, count) = (if wide { 20 } else { 12 }, u32_at(elst, 4)? as usize);
    let entries = elst.get(8..).filter(|rest| count <= MOST && rest.len() == count * size)?;
    let edit = |entry: &[u8]| {
        let (duration, media_time, rate) = if wide {
            let time = u64_at(entry, 8)?;
            (u64_at(entry, 0)?, (time != u64::MAX).then_some(time), u32_at(entry, 16)?)
        } else {
            let time = u32_at(entry, 4)?;
            let time = (time != u32::MAX).then_some(u64::from(time));
            (u64::from(u32_at(entry, 0)?), time, u32_at(entry, 8)?)
        };
        (rate == 1 << 16).then_some(Edit { duration, media_time })
    };
    entries.chunks_exact(size).map(edit).collect()
}

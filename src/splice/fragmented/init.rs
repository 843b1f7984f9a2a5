//! The moov of a fragmented file (ISO/IEC 14496-12 §8.2): its one track, and how its times are
//! shown. Must never take more of it than can be understood.

use std::time::Duration;

use crate::container::isobmff::{self, Header, u32_at};
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::splice::edits::{self, Edit, NANOS, Rescale, SimpleEdit};
use crate::splice::trak::{MALFORMED, Moov, Trak, boxes_of};
use crate::splice::{ReadAt, SurveyError};

/// What the moov says of the track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InitSegment {
    pub(super) kind: TrackKind,
    pub(super) id: u32,
    pub(super) timescale: u32,
    pub(super) movie_scale: u32,
    /// What the trak consists of.
    pub(super) trak: Vec<u8>,
    /// What a sample is like of which its fragment says nothing (trex, without its header).
    pub(super) trex: Vec<u8>,
    pub(super) edits: Vec<Edit>,
    /// How much earlier than 0 its fragments begin, which has no place in a file: added to all times.
    pub(super) lead: u64,
}

/// How composition times of a track become times of the film (elst, §8.6.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timeline {
    pub(super) timescale: u32,
    /// Shown later by this, in ticks of the track.
    pub(super) delay: u64,
    /// What comes before this time is not shown.
    pub(super) media_time: u64,
}

impl InitSegment {
    /// Reads what is in a moov, of the only track.
    pub(super) fn read(moov: &[u8]) -> Result<InitSegment, Unsupported> {
        let moov = Moov::read(moov)?;
        InitSegment::of(&moov, moov.only_track()?)
    }

    /// The same of the track of this kind that a player would take, if there are others.
    pub(super) fn of_kind(moov: &[u8], kind: TrackKind) -> Result<InitSegment, Unsupported> {
        let moov = Moov::read(moov)?;
        InitSegment::of(
            &moov,
            moov.track_of_kind(kind)
                .ok_or(Unsupported("the file has no track of the expected kind"))?,
        )
    }

    fn of(moov: &Moov<'_>, trak: &[u8]) -> Result<InitSegment, Unsupported> {
        let mvex = moov.mvex.as_ref().ok_or(Unsupported("the file has no fragments"))?;
        let bytes = trak;
        let trak = Trak::read(trak)?;
        let kind = match &trak.handler {
            b"vide" => TrackKind::Video,
            b"soun" => TrackKind::Audio,
            _ => return Err(Unsupported("the track is neither video nor audio")),
        };
        let counts = trak.stbl.iter().filter(|found| matches!(&found.kind, b"stsz" | b"stz2"));
        if counts.into_iter().any(|found| u32_at(found.payload(), 8) != Some(0)) {
            return Err(Unsupported(
                "the file has samples both in its index (moov) and in fragments",
            ));
        }
        let id = trak.id()?;
        let trex = boxes_of(mvex.payload())?
            .into_iter()
            .find(|found| found.kind == *b"trex" && u32_at(found.payload(), 4) == Some(id));
        let trex = trex.map(|trex| trex.payload().to_vec()).filter(|trex| trex.len() == 24);
        Ok(InitSegment {
            kind,
            id,
            timescale: trak.scale,
            movie_scale: moov.scale,
            trak: bytes.to_vec(),
            trex: trex.ok_or(MALFORMED)?,
            edits: edits::read(&trak)?,
            lead: 0,
        })
    }

    /// Its time line; refused if its edit list is more than a delay and a beginning.
    pub(super) fn timeline(&self) -> Result<Timeline, Unsupported> {
        let uncuttable = Unsupported("the edit list is not a single edit and cannot be trimmed");
        self.simple_timeline().ok_or(uncuttable)
    }

    /// Its time line, if its edit list is no more than a delay and a beginning.
    pub(super) fn simple_timeline(&self) -> Option<Timeline> {
        let SimpleEdit { empty, media_time, .. } = edits::simple(&self.edits)?;
        let scale = Rescale { from: self.movie_scale, to: self.timescale };
        let (timescale, delay) = (self.timescale, scale.round(empty).ok()?);
        let media_time = u64::try_from(media_time).ok()?.checked_add(self.lead)?;
        Some(Timeline { timescale, delay, media_time })
    }
}

/// The header of the box at `at`; `None` at the end of the file, or where there is none.
pub(super) fn header_at(reader: &mut dyn ReadAt, at: u64) -> Result<Option<Header>, SurveyError> {
    let end = reader.len().min(at.saturating_add(16));
    if at >= end {
        return Ok(None);
    }
    Ok(isobmff::header(&reader.read_at(at..end)?))
}

impl Timeline {
    /// Everything is shown when it is composed.
    pub(super) fn identity(timescale: u32) -> Timeline {
        Timeline { timescale, delay: 0, media_time: 0 }
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
        ticks(at, self.timescale).saturating_add(self.media_time).saturating_sub(self.delay)
    }

    /// That of a film that begins at `zero` of this one, if `shift` is taken from all times, which
    /// is no more than what is shown then.
    pub(super) fn rebase(&self, zero: Duration, shift: u64) -> Timeline {
        let (timescale, zero) = (self.timescale, ticks(zero, self.timescale));
        // Where this is more than 0, nothing is shown yet.
        let delay = self.delay.saturating_sub(zero);
        let gone = self.media_time.saturating_add(zero.saturating_sub(self.delay));
        Timeline { timescale, delay, media_time: gone.saturating_sub(shift) }
    }

    /// When something of this composition time is shown.
    pub(super) fn presentation_time(&self, ticks: u64) -> Duration {
        let ticks = ticks.saturating_add(self.delay).saturating_sub(self.media_time);
        seconds(ticks, self.timescale)
    }
}

/// A duration in ticks, to the nearest.
pub(super) fn ticks(duration: Duration, timescale: u32) -> u64 {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Rescale { from: NANOS, to: timescale }.round(nanos).unwrap_or(u64::MAX)
}

/// Ticks as a duration.
pub(super) fn seconds(ticks: u64, timescale: u32) -> Duration {
    let nanos = Rescale { from: timescale, to: NANOS }.floor(ticks);
    Duration::from_nanos(nanos.unwrap_or(u64::MAX))
}

//! Reads the moov of a fragmented file (the initialization segment, ISO/IEC 14496-12 §8.2): its one
//! track, and the mapping of its timestamps to presentation time.

use std::time::Duration;

use crate::container::isobmff::{self, Header, u32_at};
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::splice::edits::{self, Edit, NANOS, Rescale, SimpleEdit};
use crate::splice::trak::{MALFORMED, Moov, Trak, boxes_of};
use crate::splice::{ReadAt, SurveyError};

/// The moov of a fragmented file, as far as splice uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InitSegment {
    pub(super) kind: TrackKind,
    pub(super) id: u32,
    pub(super) timescale: u32,
    pub(super) movie_scale: u32,
    /// The payload of the trak.
    pub(super) trak: Vec<u8>,
    /// The payload of the trex: defaults for samples.
    pub(super) trex: Vec<u8>,
    pub(super) edits: Vec<Edit>,
    /// By how much the fragments begin before time 0, which no file can express: added to all times.
    pub(super) lead: u64,
}

/// The mapping of composition times of a track to presentation time (elst, §8.6.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timeline {
    pub(super) timescale: u32,
    /// The delay of the presentation, in ticks of the track.
    pub(super) delay: u64,
    /// Samples before this time are not presented.
    pub(super) media_time: u64,
}

impl InitSegment {
    /// Reads the payload of a moov with only one track.
    pub(super) fn read(moov: &[u8]) -> Result<InitSegment, Unsupported> {
        let moov = Moov::read(moov)?;
        InitSegment::of(&moov, moov.only_track()?)
    }

    /// Reads the payload of a moov and selects the track of this kind that a player would take.
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

    /// Returns the timeline; refuses an edit list that is not simple.
    pub(super) fn timeline(&self) -> Result<Timeline, Unsupported> {
        let uncuttable = Unsupported("the edit list is not a single edit and cannot be trimmed");
        self.simple_timeline().ok_or(uncuttable)
    }

    /// Returns the timeline, if the edit list is simple: at most an empty edit and one edit.
    pub(super) fn simple_timeline(&self) -> Option<Timeline> {
        let SimpleEdit { empty, media_time, .. } = edits::simple(&self.edits)?;
        let scale = Rescale { from: self.movie_scale, to: self.timescale };
        let (timescale, delay) = (self.timescale, scale.round(empty).ok()?);
        let media_time = u64::try_from(media_time).ok()?.checked_add(self.lead)?;
        Some(Timeline { timescale, delay, media_time })
    }
}

/// Reads the header of the box at `at`; `None` at the end of the file, or if it is malformed.
pub(super) fn header_at(reader: &mut dyn ReadAt, at: u64) -> Result<Option<Header>, SurveyError> {
    let end = reader.len().min(at.saturating_add(16));
    if at >= end {
        return Ok(None);
    }
    Ok(isobmff::header(&reader.read_at(at..end)?))
}

impl Timeline {
    /// Returns the timeline on which presentation time is composition time.
    pub(super) fn identity(timescale: u32) -> Timeline {
        Timeline { timescale, delay: 0, media_time: 0 }
    }

    /// Returns what is added to composition times, in ticks of the track.
    pub(super) fn offset(&self) -> i128 {
        i128::from(self.delay) - i128::from(self.media_time)
    }

    /// Returns the delay of the presentation.
    pub(super) fn delay(&self) -> Duration {
        seconds(self.delay, self.timescale)
    }

    /// Returns the composition time, in ticks of the track, of the presentation time `at`.
    pub(super) fn media_time(&self, at: Duration) -> u64 {
        ticks(at, self.timescale).saturating_add(self.media_time).saturating_sub(self.delay)
    }

    /// Returns the timeline of a file that begins at presentation time `zero` of this one, with `shift`
    /// subtracted from all timestamps. `shift` is at most the composition time at `zero`.
    pub(super) fn rebase(&self, zero: Duration, shift: u64) -> Timeline {
        let (timescale, zero) = (self.timescale, ticks(zero, self.timescale));
        // The rest of the delay.
        let delay = self.delay.saturating_sub(zero);
        let skipped = self.media_time.saturating_add(zero.saturating_sub(self.delay));
        Timeline { timescale, delay, media_time: skipped.saturating_sub(shift) }
    }

    /// Returns the presentation time of the composition time `ticks`.
    pub(super) fn presentation_time(&self, ticks: u64) -> Duration {
        let ticks = ticks.saturating_add(self.delay).saturating_sub(self.media_time);
        seconds(ticks, self.timescale)
    }
}

/// Converts a duration to ticks, rounding to the nearest.
pub(super) fn ticks(duration: Duration, timescale: u32) -> u64 {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Rescale { from: NANOS, to: timescale }.round(nanos).unwrap_or(u64::MAX)
}

/// Converts ticks to a duration.
pub(super) fn seconds(ticks: u64, timescale: u32) -> Duration {
    let nanos = Rescale { from: timescale, to: NANOS }.floor(ticks);
    Duration::from_nanos(nanos.unwrap_or(u64::MAX))
}

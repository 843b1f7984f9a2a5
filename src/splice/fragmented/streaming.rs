//! Fragments that are joined while they arrive, with one track in each file.

use std::sync::Arc;
use std::time::Duration;

use super::fragment::{self, FragmentInfo, info_at};
use super::init::{InitSegment, ticks};
use super::moof::TrackPatch;
use super::muxed::is_relative;
use super::{Fragment, Track, moov, seconds_late, untrimmed, with_lead};
use crate::container::isobmff::{Header, header};
use crate::container::mpeg_ts::pes::TICKS_PER_SECOND;
use crate::container::retime::{LiveClock, Restart, Shift};
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::splice::read_at::FrontReader;
use crate::splice::streaming::{FileMuxer, FileRules, Output, StreamingPlan};
use crate::splice::top_level::TopLevelBoxes;
use crate::splice::{MAX_ELEMENT, Options, SurveyError};

/// Reads the initialisation and the first fragment from the first bytes of a file, which lasts for `duration`
/// if that is known. `None` if more of them are needed; there are none if they are `is_all`.
pub(in crate::splice) fn read_front(
    front: &[u8],
    is_all: bool,
    duration: Option<Duration>,
) -> Result<Option<Track>, Unsupported> {
    let mut reader = FrontReader::whole(front);
    let mut top = TopLevelBoxes::new(&mut reader);
    let moov = top.moov();
    let moov_end = top.at();
    let moov = match moov {
        Err(SurveyError::Incomplete(_) | SurveyError::Refused(_)) if !is_all => return Ok(None),
        moov => moov.map_err(|error| refusal(&error))?,
    };
    top.refuse_quicktime()?;
    let init = InitSegment::read(&moov)?;
    let mut reader = FrontReader::of_more(front);
    let found = with_lead(&mut reader, init, moov_end).and_then(|init| {
        let from = super::index::front(&mut reader, &init, moov_end)?.first;
        let first = info_at(&mut reader, from, &init)?;
        Ok((init, from, first))
    });
    if reader.is_short && !is_all {
        return Ok(None);
    }
    let (init, from, first) = found.map_err(|error| refusal(&error))?;
    let late_seconds = seconds_late(&init, first.time);
    let end = duration.map_or(0, |duration| first.earliest + ticks(duration, init.timescale));
    // Its length is not known.
    let FragmentInfo { earliest: time, is_entry, .. } = first;
    let fragments = vec![Fragment { from, time, len: 0, is_entry }];
    let (unverified, is_verified, selected) = (0..0, true, (0, first));
    Ok(Some(Track { init, fragments, end, unverified, is_verified, first, selected, late_seconds }))
}

fn refusal(error: &SurveyError) -> Unsupported {
    match error {
        SurveyError::Refused(why) => *why,
        SurveyError::Incomplete(_) | SurveyError::Failed(_) => {
            Unsupported("the first segment is incomplete")
        }
    }
}

/// How a file becomes fragments of the joined file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::splice) struct StreamingRules {
    init: InitSegment,
    patch: TrackPatch,
    /// Added to times in the joined file, in ticks of the track, to have the time of their presentation.
    offset: i128,
}

/// Plans to join files of which the beginning was read.
pub(in crate::splice) fn plan(
    tracks: &[(TrackKind, &Track)],
    options: &Options<'_>,
) -> Result<StreamingPlan, Unsupported> {
    super::check_kinds(tracks)?;
    let chosen = untrimmed(tracks);
    // That of a live stream is not known.
    let ends = chosen.iter().filter(|chosen| chosen.end > 0);
    let duration = ends.map(|chosen| chosen.duration()).max().unwrap_or_default();
    let files = chosen.iter().zip(1..).map(|(chosen, number)| {
        let init = chosen.track.init.clone();
        let patch = TrackPatch {
            old_id: init.id,
            lead: init.lead,
            new_id: number,
            shift: chosen.shift,
            unverified: 0..0,
        };
        FileRules::Fragments(StreamingRules { init, patch, offset: chosen.timeline.offset() })
    });
    let head = moov::head(&chosen, duration, options.metadata)?;
    Ok(StreamingPlan { head, files: files.collect() })
}

impl StreamingRules {
    pub(in crate::splice) fn start(&self, clock: &Arc<LiveClock>) -> FragmentMuxer<'_> {
        FragmentMuxer {
            rules: self,
            shift: Shift::new(clock),
            partial: Vec::new(),
            left: 0,
            is_copied: false,
            awaits_media: false,
            lacks_fragment: false,
            reached: 0,
        }
    }
}

/// Passes the fragments of a file on.
pub(in crate::splice) struct FragmentMuxer<'p> {
    rules: &'p StreamingRules,
    shift: Shift,
    /// A header, or a moof, that is not complete.
    partial: Vec<u8>,
    /// How much is left of the current box, and what becomes of it.
    left: u64,
    is_copied: bool,
    /// Whether the media of a moof has not come yet.
    awaits_media: bool,
    /// Whether a segment has begun, and no fragment of it.
    lacks_fragment: bool,
    /// The time that the fragments have reached, in ticks of the track.
    reached: u64,
}

impl FileMuxer for FragmentMuxer<'_> {
    fn reached(&self) -> u64 {
        let ticks = (i128::from(self.reached) + self.rules.offset).max(0);
        let ticks =
            ticks * i128::from(TICKS_PER_SECOND) / i128::from(self.rules.init.timescale.max(1));
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    fn is_within_fragment(&self) -> bool {
        self.awaits_media || self.left > 0 && self.is_copied
    }

    fn begin_segment(
        &mut self,
        restart: Option<Restart>,
        _: &mut Output,
    ) -> Result<(), &'static str> {
        self.end_segment()?;
        self.lacks_fragment = true;
        restart.into_iter().for_each(|restart| self.shift.restart(restart));
        Ok(())
    }

    fn push(&mut self, bytes: &[u8], output: &mut Output) -> Result<usize, &'static str> {
        if self.left > 0 {
            let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            if self.is_copied {
                output.pieces.push(bytes[..count].to_vec());
            }
            self.left -= count as u64;
            return Ok(count);
        }
        let count = (self.needed()? - self.partial.len()).min(bytes.len());
        self.partial.extend_from_slice(&bytes[..count]);
        if self.partial.len() == self.needed()? {
            self.begin_box(output)?;
        }
        Ok(count)
    }

    fn end(&mut self, _: &mut Output) -> Result<(), &'static str> {
        self.end_segment()
    }
}

impl FragmentMuxer<'_> {
    fn end_segment(&self) -> Result<(), &'static str> {
        let is_cut = self.awaits_media || self.left > 0 || !self.partial.is_empty();
        match () {
            () if is_cut => Err("a segment is cut"),
            () if self.lacks_fragment => Err("a segment has no media"),
            () => Ok(()),
        }
    }

    /// Returns how many bytes of a box are held: its header, or all of a moof.
    fn needed(&self) -> Result<usize, &'static str> {
        let is_long = self.partial.starts_with(&[0, 0, 0, 1]);
        let head = if is_long { 16 } else { 8 };
        let found = if self.partial.len() < head { None } else { header(&self.partial) };
        match found {
            Some(Header { kind: [b'm', b'o', b'o', b'f'], len, .. }) => {
                let len = len.and_then(|len| usize::try_from(len).ok());
                len.filter(|len| *len <= MAX_ELEMENT).ok_or("a fragment is too long")
            }
            _ => Ok(head),
        }
    }

    /// Takes a moof, or the header of another box.
    fn begin_box(&mut self, output: &mut Output) -> Result<(), &'static str> {
        let mut bytes = std::mem::take(&mut self.partial);
        let found = header(&bytes).ok_or("a segment does not consist of boxes")?;
        let content = found.len.and_then(|len| len.checked_sub(found.header as u64));
        let content = content.ok_or("a box has no length")?;
        match &found.kind {
            b"moof" if self.awaits_media => return Err("a fragment has no media data (mdat)"),
            b"moof" => {
                self.take_moof(&mut bytes[found.header..], output)?;
                output.pieces.push(bytes);
                return Ok(());
            }
            b"mdat" if !self.awaits_media => {
                return Err("media data (mdat) precedes its fragment (moof)");
            }
            b"mdat" => self.awaits_media = false,
            // The offsets of the samples count from the moof.
            kind if KNOWN.contains(&kind) && self.awaits_media => {
                bytes[4..8].copy_from_slice(b"free");
            }
            kind if KNOWN.contains(&kind) => {
                (self.left, self.is_copied) = (content, false);
                return Ok(());
            }
            _ => return Err("an unknown box lies between the fragments"),
        }
        output.pieces.push(bytes);
        (self.left, self.is_copied) = (content, true);
        Ok(())
    }

    fn take_moof(&mut self, moof: &mut [u8], output: &mut Output) -> Result<(), &'static str> {
        let StreamingRules { init, patch, .. } = self.rules;
        let info = fragment::read(moof, init, None).map_err(|Unsupported(why)| why)?;
        if !is_relative(moof) {
            return Err("a fragment has offsets in its file");
        }
        let later = if info.is_timed { self.later(info.time)? } else { 0 };
        let shifted = i128::from(info.time) + i128::from(later) - i128::from(patch.shift);
        if info.is_timed && shifted < 0 {
            return Err("a fragment begins before the first one");
        }
        let patch = TrackPatch { lead: patch.lead.wrapping_add_signed(later), ..patch.clone() };
        patch.patch(moof, output.next_sequence(), 0)?;
        let time =
            if info.is_timed { u64::try_from(shifted).unwrap_or(u64::MAX) } else { self.reached };
        self.reached = time.saturating_add(info.duration);
        (self.awaits_media, self.lacks_fragment) = (true, false);
        Ok(())
    }

    /// Returns by how much a fragment is later than its decode time tells, in ticks of the track: behind a
    /// discontinuity.
    fn later(&mut self, time: u64) -> Result<i64, &'static str> {
        let (scale, ticks) =
            (i128::from(self.rules.init.timescale.max(1)), i128::from(TICKS_PER_SECOND));
        let in_ticks = i64::try_from(i128::from(time) * ticks / scale).map_err(|_| TOO_LATE)?;
        let by = i128::from(self.shift.at(in_ticks)?);
        i64::try_from((by * scale * 2 + ticks).div_euclid(ticks * 2)).map_err(|_| TOO_LATE)
    }
}

const TOO_LATE: &str = "a fragment has a decode time that is too large";

/// Boxes beside the fragments, which are no media.
const KNOWN: [&[u8; 4]; 11] = [
    b"ftyp", b"moov", b"styp", b"sidx", b"ssix", b"emsg", b"prft", b"free", b"skip", b"uuid",
    b"mfra",
];

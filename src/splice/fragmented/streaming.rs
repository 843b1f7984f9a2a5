//! Fragments that are joined while they arrive, with one track in each file, or with video and audio in one.

use std::sync::Arc;
use std::time::Duration;

use super::fragment::{self, FragmentInfo, info_at};
use super::init::{InitSegment, Timeline, ticks};
use super::moof::{TrackPatch, rewrite_moof};
use super::muxed::{self, Muxed};
use super::parts::{Parts, from_clock, on_clock};
use super::segments::is_relative;
use super::{Fragment, Track, moov, seconds_late, untrimmed, with_lead};
use crate::container::isobmff::{Header, header};
use crate::container::mpeg_ts::pes::TICKS_PER_SECOND;
use crate::container::retime::{LiveClock, Restart, Shift};
use crate::error::Unsupported;
use crate::media::TrackKind;
use crate::media::segments::Declared;
use crate::splice::place::Places;
use crate::splice::read_at::FrontReader;
use crate::splice::streaming::{FileMuxer, FileRules, Output, StreamingPlan};
use crate::splice::top_level::TopLevelBoxes;
use crate::splice::trak::Moov;
use crate::splice::{MAX_ELEMENT, Options, SurveyError, TrackIndex};

/// Reads the initialisation and the first fragment from the first bytes of a file, which lasts for `duration`
/// if that is known. `None` if more of them are needed; there are none if they are `is_all`.
pub(in crate::splice) fn read_front(
    front: &[u8],
    is_all: bool,
    duration: Option<Duration>,
) -> Result<Option<TrackIndex>, Unsupported> {
    let mut reader = FrontReader::whole(front);
    let mut top = TopLevelBoxes::new(&mut reader);
    let moov = top.moov();
    let moov_end = top.at();
    let moov = match moov {
        Err(SurveyError::Incomplete(_) | SurveyError::Refused(_)) if !is_all => return Ok(None),
        moov => moov.map_err(|error| refusal(&error))?,
    };
    top.refuse_quicktime()?;
    let mut reader = FrontReader::of_more(front);
    let found = if Moov::read(&moov)?.traks.len() > 1 {
        let muxed = muxed::read_front(&mut reader, &moov, moov_end, duration);
        muxed.map(|muxed| TrackIndex::Muxed(Box::new(muxed)))
    } else {
        let track = read_first(&mut reader, &moov, moov_end, duration);
        track.map(|track| TrackIndex::Fragmented(Box::new(track)))
    };
    if reader.is_short && !is_all {
        return Ok(None);
    }
    found.map(Some).map_err(|error| refusal(&error))
}

/// Reads the first fragment of a file with one track.
fn read_first(
    reader: &mut FrontReader<'_>,
    moov: &[u8],
    moov_end: u64,
    duration: Option<Duration>,
) -> Result<Track, SurveyError> {
    let init = with_lead(reader, InitSegment::read(moov)?, moov_end)?;
    let from = super::index::front(reader, &init, moov_end)?.first;
    let first = info_at(reader, from, &init)?;
    let late_seconds = seconds_late(&init, first.time);
    let end = duration.map_or(0, |duration| first.earliest + ticks(duration, init.timescale));
    // Its length is not known.
    let FragmentInfo { earliest: time, is_entry, .. } = first;
    let fragments = vec![Fragment { from, time, len: 0, is_entry }];
    let (unverified, is_verified, selected) = (0..0, true, (0, first));
    Ok(Track {
        init,
        fragments,
        end,
        unverified,
        is_verified,
        first,
        selected,
        late_seconds,
        parts: Parts::default(),
        cuts: Vec::new(),
    })
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
    tracks: Vec<TrackRules>,
    patches: Vec<TrackPatch>,
}

/// The times of a track of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TrackRules {
    init: InitSegment,
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
            later: Vec::new(),
            thinner: None,
        };
        let tracks = vec![TrackRules { init, offset: chosen.timeline.offset() }];
        FileRules::Fragments(StreamingRules { tracks, patches: vec![patch] })
    });
    let head = moov::head(&chosen, duration, options.metadata)?;
    Ok(StreamingPlan { head, files: files.collect() })
}

/// Plans to pass on a file with video and audio, of which the beginning was read.
pub(in crate::splice) fn plan_muxed(
    muxed: &Muxed,
    options: &Options<'_>,
) -> Result<StreamingPlan, Unsupported> {
    let seconds = muxed.late_seconds();
    let patches = muxed.tracks.iter().map(|track| TrackPatch {
        old_id: track.init.id,
        lead: 0,
        new_id: track.init.id,
        shift: seconds * u64::from(track.init.timescale),
        unverified: 0..0,
        later: Vec::new(),
        thinner: None,
    });
    let tracks = muxed.tracks.iter().map(|track| TrackRules {
        init: track.init.clone(),
        offset: track.init.simple_timeline().as_ref().map_or(0, Timeline::offset),
    });
    let rules = StreamingRules { tracks: tracks.collect(), patches: patches.collect() };
    let head = muxed::head(muxed, options.metadata)?;
    Ok(StreamingPlan { head, files: vec![FileRules::Fragments(rules)] })
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
            reached: vec![0; self.tracks.len()],
            places: Places::default(),
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
    /// The time that the fragments of each track have reached, in ticks of the track.
    reached: Vec<u64>,
    /// Where the segments are in time.
    places: Places,
}

impl FileMuxer for FragmentMuxer<'_> {
    fn reached(&self) -> u64 {
        let tracks = self.rules.tracks.iter().zip(&self.reached);
        let times = tracks.map(|(track, reached)| track.presented(*reached));
        times.max().unwrap_or_default()
    }

    fn is_within_fragment(&self) -> bool {
        self.awaits_media || self.left > 0 && self.is_copied
    }

    fn begin_segment(
        &mut self,
        declared: Option<Declared>,
        restart: Option<Restart>,
        _: &mut Output,
    ) -> Result<(), &'static str> {
        self.end_segment()?;
        self.places.begin(declared, restart.is_some())?;
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
        self.end_segment()?;
        self.places.verify(true)
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
        let StreamingRules { tracks, patches } = self.rules;
        let infos = tracks.iter().map(|track| fragment::times(moof, &track.init));
        let infos = infos.collect::<Result<Vec<_>, _>>().map_err(why)?;
        if !is_relative(moof) {
            return Err("a fragment has offsets in its file");
        }
        let later = self.later(&infos)?;
        let mut patches = patches.clone();
        for (index, (track, patch)) in tracks.iter().zip(&mut patches).enumerate() {
            let Some(info) = infos[index] else { continue };
            let mut time = self.reached[index];
            if info.is_timed {
                let later = from_clock(later, track.init.timescale).map_err(why)?;
                let shifted = i128::from(info.time) + i128::from(later) - i128::from(patch.shift);
                time =
                    u64::try_from(shifted).map_err(|_| "a fragment begins before the first one")?;
                patch.lead = patch.lead.wrapping_add_signed(later);
            }
            self.reached[index] = time.saturating_add(info.duration);
            let on_clock = |time| on_clock(time, track.init.timescale).map_err(why);
            self.places.add(index, on_clock(time)?, Some(on_clock(info.duration)?));
        }
        rewrite_moof(&patches, moof, Some(output.next_sequence()), 0)?;
        (self.awaits_media, self.lacks_fragment) = (true, false);
        Ok(())
    }

    /// Returns by how much a fragment is later than its decode times tell, in ticks of 1/90000 s: behind a
    /// discontinuity. All tracks of the file are in one part of it.
    fn later(&mut self, infos: &[Option<FragmentInfo>]) -> Result<i64, &'static str> {
        let timed = self.rules.tracks.iter().zip(infos);
        let timed = timed.filter_map(|(track, info)| Some((track, (*info)?)));
        let timed: Vec<_> = timed.filter(|(_, info)| info.is_timed).collect();
        let on_clock = |time: fn(&FragmentInfo) -> u64| {
            let times =
                timed.iter().map(move |(track, info)| on_clock(time(info), track.init.timescale));
            times.collect::<Result<Vec<_>, _>>().map_err(why)
        };
        let Some(begin) = on_clock(|info| info.time)?.into_iter().min() else { return Ok(0) };
        let later = self.shift.at(begin)?;
        let ends = on_clock(|info| info.time.saturating_add(info.duration))?;
        ends.into_iter().for_each(|end| self.shift.reach(end));
        Ok(later)
    }
}

impl TrackRules {
    /// Returns when a time in the joined file is presented, in ticks of 1/90000 s.
    fn presented(&self, time: u64) -> u64 {
        let ticks = (i128::from(time) + self.offset).max(0) * i128::from(TICKS_PER_SECOND);
        let scale = i128::from(self.init.timescale.max(1));
        u64::try_from(ticks / scale).unwrap_or(u64::MAX)
    }
}

fn why(Unsupported(why): Unsupported) -> &'static str {
    why
}

/// Boxes beside the fragments, which are no media.
const KNOWN: [&[u8; 4]; 11] = [
    b"ftyp", b"moov", b"styp", b"sidx", b"ssix", b"emsg", b"prft", b"free", b"skip", b"uuid",
    b"mfra",
];

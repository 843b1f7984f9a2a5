//! Splices segments of fragments that have video and audio in one (HLS with EXT-X-MAP, RFC 8216 §3.3): the
//! segments as they are, behind a moov that knows their duration, and a segment index for each track.
//!
//! The segments keep their lengths, but have nothing but fragments: indexes in them would mislead players, and
//! fragments must follow each other without a gap. What is left out is made up for at the end of the last mdat.

use std::time::Duration;

use super::fragment::{FragmentInfo, info_at};
use super::init::InitSegment;
use super::moof::TrackPatch;
use super::parts::{self, Parts};
use super::seconds_late;
use super::segments::SegmentRewriter;
use crate::container::Container;
use crate::container::completeness::Incomplete;
use crate::container::isobmff::boxed;
use crate::container::mpeg_ts::pes::TICKS_PER_SECOND;
use crate::container::mpeg_ts::ticks;
use crate::media::{Metadata, TrackKind};
use crate::splice::edits::{self, NANOS, Rescale};
use crate::splice::headers::{mdhd, mvhd, tkhd};
use crate::splice::layout::Rewriter;
use crate::splice::sidx::{self, SegmentIndex};
use crate::splice::text_track::TextTracks;
use crate::splice::trak::{Moov, Trak};
use crate::splice::{
    Layout, Options, Plan, ReadAt, SourceSegment, SurveyError, UNKNOWN_LENGTHS, Unsupported, tags,
};

/// The maximum number of segments.
const MAX_SEGMENTS: usize = 1 << 16;
/// The longest duration, so that sums of times fit.
const MAX_DURATION: Duration = Duration::from_secs(1000 * 24 * 3600);

/// The index of such segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Muxed {
    /// Video and audio.
    pub(super) tracks: [MuxedTrack; 2],
    /// There are none if their lengths are not known.
    segments: Vec<SourceSegment>,
    /// Zero if it is not known.
    duration: Duration,
    /// Where the timestamps begin again.
    parts: Parts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MuxedTrack {
    pub(super) init: InitSegment,
    /// The decode time of the first fragment, and its earliest composition time.
    pub(super) first: u64,
    earliest: u64,
}

impl Muxed {
    /// Returns the sum of the durations of the segments, if it is known.
    pub(in crate::splice) fn duration(&self) -> Option<Duration> {
        Some(self.duration).filter(|duration| !duration.is_zero())
    }

    /// Returns by how many full seconds the timestamps begin late.
    pub(super) fn late_seconds(&self) -> u64 {
        let late = self.tracks.iter().map(|track| seconds_late(&track.init, track.first));
        late.min().unwrap_or(0)
    }

    /// Returns whether the lengths of the segments are not known.
    pub(in crate::splice) fn is_open(&self) -> bool {
        self.segments.is_empty()
    }
}

/// Returns whether a file is delivered in segments that have several tracks in one.
pub(in crate::splice) fn is_muxed(reader: &dyn ReadAt, moov: &[u8]) -> bool {
    reader.segments().is_some() && Moov::read(moov).is_ok_and(|moov| moov.traks.len() > 1)
}

/// Reads the index of segments after a moov, which ends at `moov_end`.
pub(in crate::splice) fn read_index(
    reader: &mut dyn ReadAt,
    moov: &[u8],
    moov_end: u64,
) -> Result<Muxed, SurveyError> {
    let segments = reader.segments().map(<[_]>::to_vec).unwrap_or_default();
    let first = segments.first().map_or(0, |segment| segment.offset);
    let mut next = first;
    let mut duration = Duration::ZERO;
    for segment in &segments {
        if segment.len == 0 {
            return Err(Incomplete("a segment is empty").into());
        }
        if segment.offset != next {
            return Err(Unsupported("the segments do not follow one another").into());
        }
        next += segment.len;
        duration = duration.saturating_add(segment.duration);
    }
    if segments.is_empty() || segments.len() > MAX_SEGMENTS || next != reader.len() {
        return Err(Unsupported("the segments are not the whole file").into());
    }
    if moov_end > first || duration > MAX_DURATION {
        return Err(Unsupported("the segments are not what their list declares").into());
    }
    let tracks = read_tracks(reader, moov, first)?;
    let begins = parts::begins(reader)?;
    let parts = Parts::read(&begins, first, |from| {
        let times = tracks.each_ref().map(|MuxedTrack { init, .. }| {
            let info = info_at(reader, from, init)?;
            Ok::<_, SurveyError>(parts::on_clock(info.time, init.timescale)?)
        });
        let [video, audio] = times;
        Ok::<_, SurveyError>(video?.min(audio?))
    })?;
    Ok(Muxed { tracks, segments, duration, parts })
}

/// Reads the beginning of segments of unknown length after a moov, which ends at `moov_end`.
pub(super) fn read_front(
    reader: &mut dyn ReadAt,
    moov: &[u8],
    moov_end: u64,
    duration: Option<Duration>,
) -> Result<Muxed, SurveyError> {
    let duration = duration.unwrap_or_default();
    if duration > MAX_DURATION {
        return Err(Unsupported("the segments are not what their list declares").into());
    }
    let tracks = read_tracks(reader, moov, moov_end)?;
    Ok(Muxed { tracks, segments: Vec::new(), duration, parts: Parts::default() })
}

/// Reads video and audio from the moov, and from the first fragment, which begins at `first`.
fn read_tracks(
    reader: &mut dyn ReadAt,
    moov: &[u8],
    first: u64,
) -> Result<[MuxedTrack; 2], SurveyError> {
    if Moov::read(moov)?.traks.len() != 2 {
        return Err(
            Unsupported("the file has more tracks than one of video and one of audio").into()
        );
    }
    let mut track = |kind| {
        let init = InitSegment::of_kind(moov, kind)?;
        let FragmentInfo { time, earliest, .. } = info_at(reader, first, &init)?;
        Ok::<_, SurveyError>(MuxedTrack { init, first: time, earliest })
    };
    Ok([track(TrackKind::Video)?, track(TrackKind::Audio)?])
}

pub(in crate::splice) fn plan(muxed: &Muxed, options: &Options<'_>) -> Result<Plan, Unsupported> {
    if muxed.is_open() {
        return Err(UNKNOWN_LENGTHS);
    }
    if !options.time_range.is_full() {
        return Err(Unsupported("segments with video and audio in one are not trimmed"));
    }
    let Muxed { tracks, segments, duration, parts } = muxed;
    let mut layout = Layout::with_capacity(segments.len());
    for SourceSegment { offset, len, .. } in segments {
        layout.add(0, *offset..offset + len);
    }
    let metadata = options.metadata.within(0, *duration);
    let mut head = head(muxed, &metadata)?;
    let mut begins = vec![Duration::ZERO];
    begins.extend(segments.iter().scan(Duration::ZERO, |time, segment| {
        *time += segment.duration;
        Some(*time)
    }));
    let begins: Vec<u64> =
        begins[..segments.len()].iter().map(|time| time.as_millis() as u64).collect();
    let texts = TextTracks::new(&metadata.subtitles)?;
    let (layout, offsets) = texts.add_to(&mut head, layout, &begins)?;
    let (mut starts, mut time) = (Vec::with_capacity(segments.len()), Duration::ZERO);
    for (segment, at) in segments.iter().zip(layout.track_offsets(0)) {
        starts.push((ticks(time), at));
        time += segment.duration;
    }
    let end = (ticks(*duration), layout.len());
    let seconds = muxed.late_seconds();
    let presented = tracks.iter().map(MuxedTrack::presented).min().unwrap_or_default();
    let indexes = tracks.iter().map(|track @ MuxedTrack { init, earliest, .. }| {
        let scale = Rescale { from: TICKS_PER_SECOND as u32, to: init.timescale };
        // A player that is led to a key frame by the index of the video must find the same segment in that of
        // the audio, which may begin a little later.
        let later = u64::try_from(track.presented() - presented).unwrap_or_default();
        let late = seconds * u64::from(init.timescale);
        let earliest = earliest.saturating_sub(late).saturating_sub(scale.round(later).ok()?);
        let sap = if init.kind == TrackKind::Video { sidx::UNKNOWN } else { sidx::FIRST_ENTRY };
        let (begin, references) = sidx::by_declared_times(&starts, end, scale, sap)?;
        let (track, timescale) = (init.id, init.timescale);
        Some(SegmentIndex { track, timescale, earliest, begin, references })
    });
    if let Some(indexes) = indexes.collect::<Option<Vec<_>>>() {
        sidx::add(&mut head, &indexes);
    }
    offsets.write(&mut head);
    let shifts = parts.shifts();
    let inits =
        tracks.each_ref().map(|track| InitSegment { trak: Vec::new(), ..track.init.clone() });
    let tracks = tracks.iter().map(|MuxedTrack { init, .. }| {
        let later = parts.by(&shifts, init.timescale)?;
        let (lead, shift, unverified) = (0, seconds * u64::from(init.timescale), 0..0);
        let (old_id, new_id, thinner) = (init.id, init.id, None);
        Ok(TrackPatch { old_id, new_id, lead, shift, unverified, later, thinner })
    });
    let tracks = tracks.collect::<Result<_, Unsupported>>()?;
    let segments = segments.iter().map(|segment| (segment.declared(), segment.is_discontinuous));
    let rules = SegmentRewriter { tracks, inits: inits.to_vec(), segments: segments.collect() };
    Ok(layout.plan(head, Container::Mp4, *duration, Rewriter::Muxed(rules)))
}

impl MuxedTrack {
    /// Returns when the presentation begins, in ticks of 1/90000 s.
    fn presented(&self) -> i128 {
        let offset = self.init.simple_timeline().map_or(0, |timeline| timeline.offset());
        let ticks = (i128::from(self.earliest) + offset) * i128::from(TICKS_PER_SECOND);
        ticks / i128::from(self.init.timescale.max(1))
    }
}

/// Returns ftyp and moov.
pub(super) fn head(muxed: &Muxed, tags: &Metadata) -> Result<Vec<u8>, Unsupported> {
    let Muxed { tracks, duration, .. } = muxed;
    let scale = tracks[0].init.movie_scale;
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let in_scale = |to: u32| Rescale { from: NANOS, to }.round(nanos);
    let end = in_scale(scale)?;
    let last_id = tracks.iter().map(|track| track.init.id).max().unwrap_or_default();
    let mut parts = vec![mvhd(scale, end, last_id.saturating_add(1))];
    // Without a duration here, some players take the file for a live stream, which it may be.
    let mehd = boxed(b"mehd", &[&[1, 0, 0, 0], &end.to_be_bytes()]);
    let mut mvex = if duration.is_zero() { Vec::new() } else { vec![mehd] };
    for MuxedTrack { init, .. } in tracks {
        let trak = Trak::read(&init.trak)?;
        let mut boxes = Vec::new();
        for found in &trak.boxes {
            boxes.push(match &found.kind {
                b"tkhd" => tkhd(found, init.id, end)?,
                b"edts" => edits::edts(&init.edits),
                b"mdia" => {
                    let media = trak.mdia.iter().map(|found| match &found.kind {
                        b"mdhd" => mdhd(found, in_scale(init.timescale)?),
                        _ => Ok(found.bytes.to_vec()),
                    });
                    boxed(b"mdia", &[&media.collect::<Result<Vec<_>, _>>()?.concat()])
                }
                _ => found.bytes.to_vec(),
            });
        }
        parts.push(boxed(b"trak", &[&boxes.concat()]));
        mvex.push(boxed(b"trex", &[&init.trex]));
    }
    parts.push(boxed(b"mvex", &[&mvex.concat()]));
    parts.push(tags::udta(tags));
    let ftyp = boxed(b"ftyp", &[b"iso6", &512_u32.to_be_bytes(), b"iso6isommp41"]);
    Ok([ftyp, boxed(b"moov", &[&parts.concat()])].concat())
}

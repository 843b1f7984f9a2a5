//! Splices MPEG transport streams in segments, and packed audio, as HLS has them (RFC 8216 §3.2 and §3.4),
//! into fragmented MP4.
//!
//! The frames of each segment take a region of the joined file: fragments, the last of which fills it
//! up. **A region is [`PADDING`] longer than its segment**, so that all offsets follow from the lengths of
//! the segments, before any media was read. That suffices, because a transport stream has more overhead
//! than fragments: 4 bytes of each 188, and a header for each frame that is longer than its entry in a
//! fragment. Media that does not fit all the same is an error, and never shortened.
//!
//! **Packed audio** is a tag and frames. A sample of AAC leaves out the header of its frame, of 7 bytes or
//! more, and its entry in a fragment takes 4. So [`PADDING`] is left for the rest of the fragment, which has
//! some 130 bytes. The frames of other codecs remain as they are, so that the entry adds to them: regions
//! are longer by as many entries as there are frames in the duration of the segment.
//!
//! A region holds the frames that begin in its segment, so that it is made from that segment and what the
//! next one begins with. Timestamps have 33 bits; what precedes them follows from the durations of the
//! segments.

use std::time::Duration;

use super::layout::Rewriter;
use super::sidx::{self, LATER};
use super::text_track::TextTracks;
use super::{Options, Plan, UNKNOWN_LENGTHS, Unsupported};
use crate::container::Container;
use crate::container::mpeg_ts::pes::{TICKS_PER_SECOND, WRAP};
use crate::container::mpeg_ts::{AudioConfig, Times, VideoConfig, duration};
use crate::container::probe::Codec;
use crate::media::segments::Declared;
use crate::media::{Metadata, TrackKind};
use crate::options::{ContainerChoice, TimeRange};

mod fragment;
mod head;
mod index;
mod interleave;
mod region;
mod remux;
mod scan;
mod selection;
mod stream_state;
mod streaming;
#[cfg(test)]
mod tests;
mod timing;

pub(super) use index::{read_front, read_index};
use interleave::{index_of, interleave};
pub(super) use region::RegionRewriter;
use region::{FileRules, Region};
use remux::{Stream, StreamConfig};
use selection::{Cut, SelectedFile, Selection, Timeline, earliest};
pub(super) use streaming::StreamingRules;
pub(super) use streaming::plan as plan_streaming;
use timing::Clock;

/// By how much a region is longer than its segment.
pub(super) const PADDING: u64 = 4096;
/// By how much video is decoded earlier, in ticks, if its first frame is presented when it is decoded
/// although others may be presented in another order: 100 ms. Then later frames are presented before they
/// are decoded, which MP4 can express, but not all players understand.
const LEAD: u64 = 9000;
/// The length of the entry of an audio frame in a fragment, and the minimum length of a frame: that of
/// MPEG audio of 8 kbit/s (ISO/IEC 13818-3).
const ENTRY_LEN: u64 = 4;
const MIN_FRAME: u64 = 24;
/// The timescale of transport streams.
const SCALE: u32 = TICKS_PER_SECOND as u32;

/// The index of a transport stream, or of packed audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    video: Option<VideoTrack>,
    audio: Option<AudioTrack>,
    /// Whether the segments are packed audio.
    is_packed: bool,
    /// There are none if their lengths are not known.
    segments: Vec<Segment>,
    /// The end of the last segment, in ticks; 0 if it is not known.
    end: u64,
    /// The parts between discontinuities, each with a clock of its own.
    parts: Vec<Part>,
    /// The key frame with which the requested time range begins, if that is not the first one.
    entry: Option<Entry>,
}

/// A key frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// The index of its segment.
    segment: usize,
    times: Times,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    /// The index of the first segment.
    segment: usize,
    firsts: Firsts,
}

impl Firsts {
    /// Returns when the presentation begins.
    fn earliest(&self) -> Option<u64> {
        let video = self.video.map(|times| times.pts);
        let any = video.or(self.audio)?;
        Some(earliest([video, self.audio].into_iter().map(|first| first.unwrap_or(any))))
    }
}

/// The first timestamps of the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Firsts {
    video: Option<Times>,
    audio: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct VideoTrack {
    pid: u16,
    codec: Codec,
    config: VideoConfig,
    /// The timestamps of the first frame.
    first: Times,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct AudioTrack {
    pid: u16,
    codec: Codec,
    config: AudioConfig,
    /// The timestamp of the first frame, which packed audio may lack.
    first: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    from: u64,
    len: u64,
    /// The sum of the durations of the segments before, in ticks.
    time: u64,
    declared: Declared,
}

impl Track {
    /// Returns the presentation time of the end: the first timestamp, and the duration that the list of the
    /// segments declares; `None` if it is not known.
    pub(super) fn presentation_end(&self) -> Option<Duration> {
        let first = self.parts.first().and_then(|part| part.firsts.earliest());
        (self.end > 0).then(|| duration(first.unwrap_or_default() + self.end))
    }

    /// Returns the decode time of the key frame with which the requested time range begins, if the clock is
    /// the first one.
    pub(super) fn entry(&self) -> Option<Duration> {
        let first = self.video.as_ref()?.first;
        let Some(entry) = self.entry else { return Some(duration(first.dts)) };
        let (part, _) = self.presentation(entry.segment, entry.times.pts);
        let origin = Some(first.pts).filter(|_| part == 0)?;
        let ticks = Clock { origin }.ticks(entry.times.dts, self.begins(entry.segment));
        Some(duration(origin.checked_add_signed(ticks)?))
    }

    /// Returns whether the lengths of the segments are not known.
    pub(super) fn is_open(&self) -> bool {
        self.segments.is_empty()
    }

    /// Returns whether there is video in the streams.
    pub(super) fn has_video(&self) -> bool {
        self.video.is_some()
    }

    /// Returns the timestamps of the first frame of video, and its stream.
    fn video(&self, cut: Option<&Cut>) -> Result<(Times, Stream), Unsupported> {
        let video = self.video.as_ref().ok_or(OTHER_KIND)?;
        let Times { pts, dts } = video.first;
        let lead = if video.config.may_reorder() && pts == dts { LEAD } else { 0 };
        let config = StreamConfig::Video(video.config.clone());
        let stream = Stream { pid: video.pid, codec: video.codec, config, id: 0, lead, base: 0 };
        let Times { pts, dts } = cut.map_or(video.first, |cut| cut.times);
        Ok((Times { pts, dts: dts.wrapping_sub(lead) % WRAP }, stream))
    }

    /// Returns the timestamp of the first frame of audio, and its stream. The frame is presented at `begin`
    /// if it has no timestamp; of a time range, it is the one that is presented when that begins.
    fn audio(&self, cut: Option<&Cut>, begin: u64) -> Result<(Times, Stream), Unsupported> {
        let audio = self.audio.as_ref().ok_or(OTHER_KIND)?;
        let config = StreamConfig::Audio(audio.config.clone());
        let stream = Stream { pid: audio.pid, codec: audio.codec, config, id: 0, lead: 0, base: 0 };
        let frame = u64::from(SCALE) * u64::from(audio.config.samples());
        let frame = frame.div_ceil(u64::from(audio.config.rate()).max(1));
        let pts = match cut {
            None => audio.first.unwrap_or(begin),
            Some(cut) => cut.times.pts.wrapping_sub(frame) % WRAP,
        };
        Ok((Times { pts, dts: pts }, stream))
    }

    /// Returns by how much the region of the segment at `index` is longer than that.
    fn padding(&self, index: usize) -> u64 {
        let audio = self.audio.as_ref().filter(|_| self.is_packed);
        let Some(audio) = audio.filter(|audio| audio.codec != Codec::Aac) else { return PADDING };
        let Segment { time, len, .. } = self.segments[index];
        let ticks = self.begins(index + 1) - time;
        let samples = ticks.saturating_mul(audio.config.rate().into()) / u64::from(SCALE);
        let frames = samples / u64::from(audio.config.samples()).max(1) + 1;
        PADDING + ENTRY_LEN * frames.min(len / MIN_FRAME)
    }

    /// Returns when a segment begins, or the end of the last one if `index` is past it.
    fn begins(&self, index: usize) -> u64 {
        self.segments.get(index).map_or(self.end, |segment| segment.time)
    }
}

const OTHER_KIND: Unsupported = Unsupported("the file has another kind of track than expected");

/// A track of the joined file.
struct OutputTrack<'t> {
    /// The index of the file that it comes from.
    file: u8,
    track: &'t Track,
    /// The timestamps of the first frame, about.
    first: Times,
    stream: Stream,
    /// The end, in ticks.
    end: u64,
}

impl OutputTrack<'_> {
    /// Returns the timescale in the joined file: samples per second for audio, so that durations of
    /// frames are exact.
    fn scale(&self) -> u32 {
        self.stream.config.scale()
    }

    fn is_audio(&self) -> bool {
        self.kind() == TrackKind::Audio
    }

    fn kind(&self) -> TrackKind {
        match self.stream.config {
            StreamConfig::Video(_) => TrackKind::Video,
            StreamConfig::Audio(_) => TrackKind::Audio,
        }
    }

    /// Returns when the first frame is presented, on the clock with this origin.
    fn begin(&self, origin: u64) -> u64 {
        Clock { origin }.ticks(self.first.pts, 0).max(0).cast_unsigned()
    }
}

pub(super) fn plan(
    files: &[(TrackKind, &Track)],
    options: &Options<'_>,
) -> Result<Plan, Unsupported> {
    if files.iter().any(|(_, track)| track.is_open()) {
        return Err(UNKNOWN_LENGTHS);
    }
    let selection = Selection::new(files, options.time_range)?;
    let mut tracks = output_tracks(&selection, files.len() == 1)?;
    check_container(options.container, &tracks)?;
    let timeline = selection.timeline(&tracks)?;
    with_bases(&mut tracks, &timeline);
    let (layout, regions) = interleave(&selection, &timeline);
    let end = tracks.iter().map(|track| track.end).max().unwrap_or_default();

    let metadata = options.metadata.within(timeline.origin_nanos(), duration(end));
    let mut head = head::head(&tracks, timeline.begin, end, &metadata)?;
    let texts = TextTracks::new(&metadata.subtitles)?;
    let starts = selection.starts(&timeline);
    let (layout, offsets) = texts.add_to(&mut head, layout, &starts)?;
    let indexes = tracks.iter().map(|track| {
        let file = &selection.files[usize::from(track.file)];
        index_of(track, file, &timeline, &layout)
    });
    if let Some(indexes) = indexes.collect::<Option<Vec<_>>>() {
        sidx::add(&mut head, &indexes);
    }
    offsets.write(&mut head);
    let rules = rules(&selection, &tracks, &timeline, regions);
    Ok(layout.plan(head, Container::Mp4, duration(end), rules))
}

fn check_container(
    container: ContainerChoice,
    tracks: &[OutputTrack<'_>],
) -> Result<(), Unsupported> {
    let is_aac = |track: &OutputTrack<'_>| track.stream.codec == Codec::Aac;
    if container == ContainerChoice::M4a && !tracks.iter().all(is_aac) {
        return Err(Unsupported("the audio is not AAC"));
    }
    Ok(())
}

/// Lets the audio begin at 0, so that its edit list is left to skip what is not presented: since version 6,
/// ffmpeg drops as much of the audio as the edit list skips, even if that begins later.
fn with_bases(tracks: &mut [OutputTrack<'_>], timeline: &Timeline) {
    for track in tracks.iter_mut().filter(|track| track.is_audio()) {
        track.stream.base = track.begin(timeline.origin).min(timeline.begin);
    }
}

/// Lays out a file as ffmpeg reads it, with its timestamps as they are. `alone` says that no other file is
/// joined with it. `None` if the file has no timestamps, or its segments no known lengths.
pub(super) fn for_streaming(
    (kind, file): (TrackKind, &Track),
    alone: bool,
    time_range: TimeRange,
) -> Option<Result<Plan, Unsupported>> {
    let first = file.parts.first()?.firsts.earliest().filter(|_| !file.is_open())?;
    // The range is on the clock of the file.
    let earlier = |time: Duration| time.saturating_sub(duration(first));
    let TimeRange { start, end } = time_range;
    let time_range = TimeRange { start: earlier(start), end: end.map(earlier) };
    let lay_out = || {
        let selection = Selection::new(&[(kind, file)], time_range)?;
        let tracks = output_tracks(&selection, alone)?;
        let timeline = selection.timeline(&tracks)?.with_timestamps();
        let (layout, regions) = interleave(&selection, &timeline);
        let end = tracks.iter().map(|track| track.end).max().unwrap_or_default();
        let head = head::head(&tracks, 0, end, &Metadata::default())?;
        let rules = rules(&selection, &tracks, &timeline, regions);
        Ok(layout.plan(head, Container::Mp4, duration(end), rules))
    };
    Some(lay_out())
}

fn rules(
    selection: &Selection<'_>,
    tracks: &[OutputTrack<'_>],
    timeline: &Timeline,
    regions: Vec<Region>,
) -> Rewriter {
    Rewriter::Regions(RegionRewriter {
        files: file_rules(selection, tracks),
        regions,
        begin: timeline.begin,
        is_cut: selection.cut.is_some(),
    })
}

fn file_rules(selection: &Selection<'_>, tracks: &[OutputTrack<'_>]) -> Vec<FileRules> {
    let files = (0..).zip(&selection.files).map(|(number, file)| {
        let of_file = tracks.iter().filter(|track| track.file == number);
        let streams = of_file.map(|track| track.stream.clone()).collect();
        FileRules { streams, is_packed: file.track.is_packed }
    });
    files.collect()
}

/// Returns the tracks of the joined file, video first. A lone video has its audio in it.
fn output_tracks<'t>(
    selection: &Selection<'t>,
    lone: bool,
) -> Result<Vec<OutputTrack<'t>>, Unsupported> {
    let (mut tracks, mut begin): (Vec<OutputTrack<'t>>, u64) = (Vec::new(), 0);
    for (file, number) in selection.files.iter().zip(0_u8..) {
        let SelectedFile { kind, track, .. } = *file;
        let mut add = |first: Times, stream: Stream| {
            let end = selection.duration(file);
            let stream = Stream { id: tracks.len() as u32 + 1, ..stream };
            tracks.push(OutputTrack { file: number, track, first, stream, end });
            first.pts
        };
        if kind == TrackKind::Video {
            let (first, stream) = track.video(selection.cut.as_ref())?;
            begin = add(first, stream);
        }
        if kind == TrackKind::Audio || lone && track.audio.is_some() {
            let (first, stream) = track.audio(selection.cut.as_ref(), begin)?;
            add(first, stream);
        }
    }
    Ok(tracks)
}

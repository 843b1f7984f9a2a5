//! Splices MPEG transport streams in segments, and packed audio, as HLS has them (RFC 8216 §3.2 and §3.4),
//! into fragmented MP4.
//!
//! The frames of each segment take a region of the joined file: fragments, and a `free` box that fills it
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
use super::sidx::{self, SegmentIndex};
use super::{Layout, Options, Plan, Unsupported};
use crate::container::Container;
use crate::container::mpeg_ts::pes::{TICKS_PER_SECOND, WRAP};
use crate::container::mpeg_ts::{AudioConfig, Times, VideoConfig, duration};
use crate::container::probe::Codec;
use crate::media::TrackKind;
use crate::options::ContainerChoice;
use crate::splice::edits::Rescale;

mod fragment;
mod head;
mod index;
mod region;
mod remux;
mod scan;
#[cfg(test)]
mod tests;
mod timing;

pub(super) use index::read_index;
pub(super) use region::RegionRewriter;
use region::{FileRules, Region};
use remux::{Stream, StreamConfig};
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
    segments: Vec<Segment>,
    /// The end of the last segment, in ticks.
    end: u64,
    /// The parts between discontinuities, each with a clock of its own.
    parts: Vec<Part>,
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
        let clock = Clock { origin: any };
        let firsts = [video, self.audio].into_iter().flatten();
        let earliest = firsts.map(|first| clock.ticks(first, 0)).min().unwrap_or_default();
        Some(any.wrapping_add_signed(earliest) % WRAP)
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
}

impl Track {
    /// Returns the presentation time of the end: the first timestamp, and the duration that the list of the
    /// segments declares.
    pub(super) fn presentation_end(&self) -> Duration {
        let first = self.parts.first().and_then(|part| part.firsts.earliest());
        duration(first.unwrap_or_default() + self.end)
    }

    /// Returns whether there is video in the streams.
    pub(super) fn has_video(&self) -> bool {
        self.video.is_some()
    }

    fn video(&self, file: u8) -> Result<OutputTrack<'_>, Unsupported> {
        let video = self.video.as_ref().ok_or(OTHER_KIND)?;
        let Times { pts, dts } = video.first;
        let lead = if video.config.may_reorder() && pts == dts { LEAD } else { 0 };
        let config = StreamConfig::Video(video.config.clone());
        let stream = Stream { pid: video.pid, codec: video.codec, config, id: 0, lead };
        let first = Times { pts, dts: dts.wrapping_sub(lead) % WRAP };
        Ok(OutputTrack { file, segments: self, first, stream })
    }

    /// Returns the track of the audio, which begins at `begin` if it has no timestamps.
    fn audio(&self, file: u8, begin: u64) -> Result<OutputTrack<'_>, Unsupported> {
        let audio = self.audio.as_ref().ok_or(OTHER_KIND)?;
        let config = StreamConfig::Audio(audio.config.clone());
        let stream = Stream { pid: audio.pid, codec: audio.codec, config, id: 0, lead: 0 };
        let first = audio.first.unwrap_or(begin);
        let first = Times { pts: first, dts: first };
        Ok(OutputTrack { file, segments: self, first, stream })
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
    segments: &'t Track,
    first: Times,
    stream: Stream,
}

impl OutputTrack<'_> {
    /// Returns the timescale in the joined file: samples per second for audio, so that durations of
    /// frames are exact.
    fn scale(&self) -> u32 {
        self.stream.config.scale()
    }
}

pub(super) fn plan(
    files: &[(TrackKind, &Track)],
    options: &Options<'_>,
) -> Result<Plan, Unsupported> {
    if !options.time_range.is_full() {
        return Err(Unsupported("a transport stream is not trimmed without ffmpeg"));
    }
    let mut tracks = output_tracks(files)?;
    let is_aac = |track: &OutputTrack<'_>| track.stream.codec == Codec::Aac;
    if options.container == ContainerChoice::M4a && !tracks.iter().all(is_aac) {
        return Err(Unsupported("the audio is not AAC"));
    }
    for (track, id) in tracks.iter_mut().zip(1..) {
        track.stream.id = id;
    }
    let origin = origin(&tracks);
    let clocks = clocks(files, &tracks, origin)?;
    let (layout, regions) = interleave(files, &clocks);
    let end = files.iter().map(|(_, file)| file.end).max().unwrap_or_default();

    let mut head = head::head(&tracks, origin, end, options.metadata)?;
    let indexes = tracks.iter().map(|track| index_of(track, origin, &layout));
    if let Some(indexes) = indexes.collect::<Option<Vec<_>>>() {
        sidx::add(&mut head, &indexes);
    }
    let rules = (0..).zip(files).map(|(number, (_, file))| {
        let of_file = tracks.iter().filter(|track| track.file == number);
        let streams = of_file.map(|track| track.stream.clone()).collect();
        FileRules { streams, is_packed: file.is_packed }
    });
    let begin = presentation_begin(&tracks, origin);
    let rules = RegionRewriter { files: rules.collect(), regions, begin };
    Ok(layout.plan(head, Container::Mp4, duration(end), Rewriter::Regions(rules)))
}

/// Returns the tracks of the joined file, video first. A lone video has its audio in it.
fn output_tracks<'t>(
    files: &[(TrackKind, &'t Track)],
) -> Result<Vec<OutputTrack<'t>>, Unsupported> {
    let lone = files.len() == 1;
    let mut tracks = Vec::new();
    for ((kind, file), number) in files.iter().zip(0..) {
        if *kind == TrackKind::Video {
            tracks.push(file.video(number)?);
        }
        if *kind == TrackKind::Audio || lone && file.audio.is_some() {
            let begin = tracks.first().map_or(0, |video| video.first.pts);
            tracks.push(file.audio(number, begin)?);
        }
    }
    Ok(tracks)
}

/// Returns the earliest timestamp of all tracks, which is 0 in the joined file.
fn origin(tracks: &[OutputTrack<'_>]) -> u64 {
    let any = tracks.first().map_or(0, |track| track.first.dts);
    let earliest = tracks.iter().map(|track| Clock { origin: any }.ticks(track.first.dts, 0)).min();
    any.wrapping_add_signed(earliest.unwrap_or_default()) % WRAP
}

/// Returns by how much the presentation of the first frame of all tracks is later than the origin.
fn presentation_begin(tracks: &[OutputTrack<'_>], origin: u64) -> u64 {
    let clock = Clock { origin };
    let begins = tracks.iter().map(|track| clock.ticks(track.first.pts, 0).max(0));
    begins.min().map_or(0, i64::cast_unsigned)
}

/// Returns the clock of each part. After a discontinuity the presentation goes on when the segments before
/// have ended, as their list declares it; all files have the same discontinuities.
fn clocks(
    files: &[(TrackKind, &Track)],
    tracks: &[OutputTrack<'_>],
    origin: u64,
) -> Result<Vec<Clock>, Unsupported> {
    let begin = presentation_begin(tracks, origin);
    let parts = files.first().map_or(0, |(_, file)| file.parts.len());
    if files.iter().any(|(_, file)| file.parts.len() != parts) {
        return Err(OTHER_PARTS);
    }
    let mut clocks = vec![Clock { origin }];
    for number in 1..parts {
        let times = files.iter().map(|(_, file)| file.segments[file.parts[number].segment].time);
        let time = times.clone().min().unwrap_or_default();
        if times.max().is_some_and(|latest| latest - time > MAX_APART) {
            return Err(OTHER_PARTS);
        }
        let firsts = tracks.iter().filter_map(|track| {
            let firsts = track.segments.parts[number].firsts;
            match track.stream.config {
                StreamConfig::Video(_) => firsts.video.map(|times| times.pts),
                StreamConfig::Audio(_) => firsts.audio,
            }
        });
        let any = firsts.clone().next().unwrap_or_default();
        let earliest = firsts.map(|first| Clock { origin: any }.ticks(first, 0)).min();
        let earliest = any.wrapping_add_signed(earliest.unwrap_or_default());
        clocks.push(Clock { origin: earliest.wrapping_sub(begin).wrapping_sub(time) % WRAP });
    }
    Ok(clocks)
}

/// The maximum difference of the times at which two files have the same discontinuity: a second.
const MAX_APART: u64 = TICKS_PER_SECOND;
const OTHER_PARTS: Unsupported = Unsupported("video and audio have other discontinuities");

/// Interleaves the regions of the files by time. The audio of the time at which a region of video begins
/// follows that: a player that seeks finds the video first, then this audio, and reads on from there; with
/// the video behind the audio, it reads the video twice, and loses its way (libavformat).
fn interleave(files: &[(TrackKind, &Track)], clocks: &[Clock]) -> (Layout, Vec<Region>) {
    let count = files.iter().map(|(_, file)| file.segments.len()).sum();
    let mut order = Vec::with_capacity(count);
    for ((kind, file), number) in files.iter().zip(0_u8..) {
        for (index, segment) in file.segments.iter().enumerate() {
            let part = file.parts.partition_point(|part| part.segment <= index);
            let is_last = file.parts.get(part).is_some_and(|next| next.segment == index + 1);
            let next = file.segments.get(index + 1).filter(|_| !is_last);
            let next_len = next.map_or(0, |next| next.len);
            let clock = clocks[part.saturating_sub(1)];
            // Audio goes behind the video that begins while it lasts.
            let time = match kind {
                TrackKind::Video => segment.time,
                TrackKind::Audio => file.begins(index + 1),
            };
            let rank = (time, *kind == TrackKind::Audio);
            let padding = file.padding(index);
            let region = Region { time: segment.time, clock, next_len, padding };
            order.push((rank, number, segment.from..segment.from + segment.len, region));
        }
    }
    order.sort_by_key(|(rank, ..)| *rank);
    let mut layout = Layout::with_capacity(count);
    let mut regions = Vec::with_capacity(count);
    for (_, file, range, region) in order {
        layout.add_padded(file, range, region.padding);
        regions.push(region);
    }
    (layout, regions)
}

/// By how much later than declared a region is said to begin, in ticks: 100 ms. Declared times are not
/// exact. A player that is led to a region whose frames are all later than what it looks for goes on with
/// whatever it has from elsewhere; from a region that begins earlier it finds its way.
const LATER: u64 = TICKS_PER_SECOND / 10;

/// Returns the segment index of a track, by the declared times of its regions.
fn index_of(track: &OutputTrack<'_>, origin: u64, layout: &Layout) -> Option<SegmentIndex> {
    let scale = Rescale { from: SCALE, to: track.scale() };
    let own = track.segments.segments.iter().zip(layout.track_offsets(track.file));
    let mut starts: Vec<(u64, u64)> = Vec::new();
    for (segment, at) in own {
        // A segment without a duration belongs to the one before.
        if starts.last().is_none_or(|(time, _)| *time < segment.time) {
            starts.push((segment.time, at));
        }
    }
    starts.retain(|(time, _)| *time < track.segments.end);
    let begin = starts.first()?.1;
    let each = starts.len().div_ceil(sidx::MAX_REFERENCES);
    let starts: Vec<_> = starts.into_iter().step_by(each.max(1)).collect();
    let later = |(time, at)| (time + LATER, at);
    let ends = starts.iter().skip(1).copied().map(later);
    let ends = ends.chain([(track.segments.end, layout.len())]);
    let mut references = Vec::with_capacity(starts.len());
    let mut begun = scale.round(starts.first()?.0).ok()?;
    for ((_, at), (end, next)) in starts.iter().zip(ends) {
        let len = u32::try_from(next - at).ok().filter(|len| *len < 1 << 31)?;
        let end = scale.round(end).ok()?.max(begun);
        let ticks = end - std::mem::replace(&mut begun, end);
        // Of video it is not known which frames are key frames.
        let sap = match track.stream.config {
            StreamConfig::Video(_) => sidx::UNKNOWN,
            StreamConfig::Audio(_) => sidx::FIRST_ENTRY,
        };
        references.push([len, u32::try_from(ticks).ok()?, sap]);
    }
    let clock = Clock { origin };
    let earliest = clock.ticks(track.first.pts, 0).max(0).cast_unsigned();
    Some(SegmentIndex {
        track: track.stream.id,
        timescale: track.scale(),
        earliest: scale.round(earliest).ok()?,
        begin,
        references,
    })
}

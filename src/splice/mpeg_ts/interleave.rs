//! Puts the regions of all files in order, and writes the segment indexes of the tracks.

use super::region::Region;
use super::remux::StreamConfig;
use super::selection::{SelectedFile, Selection, Timeline};
use super::{OutputTrack, SCALE};
use crate::media::TrackKind;
use crate::splice::Layout;
use crate::splice::edits::Rescale;
use crate::splice::sidx::{self, SegmentIndex};

/// Interleaves the regions of the files by time, video first where two begin together: players that seek read
/// the region of the video, then that of the audio, and go on from there.
pub(super) fn interleave(selection: &Selection<'_>, timeline: &Timeline) -> (Layout, Vec<Region>) {
    let count = selection.files.iter().map(|file| file.segments.len()).sum();
    let mut order = Vec::with_capacity(count);
    for (file, number) in selection.files.iter().zip(0_u8..) {
        let SelectedFile { kind, track, segments } = file;
        for index in segments.clone() {
            let segment = track.segments[index];
            let is_last = track.parts.iter().any(|part| part.segment == index + 1);
            let next = track.segments.get(index + 1).filter(|_| !is_last);
            let (clock, time) = timeline.of(track, index);
            let rank = (segment.time, *kind == TrackKind::Audio);
            let region = Region {
                time,
                clock,
                next_len: next.map_or(0, |next| next.len),
                padding: track.padding(index),
                declared: segment.declared,
                is_entry: selection.cut.is_some() && index == segments.start,
            };
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

/// Returns the segment index of a track of this file, by the declared times of its regions.
pub(super) fn index_of(
    track: &OutputTrack<'_>,
    file: &SelectedFile<'_>,
    timeline: &Timeline,
    layout: &Layout,
) -> Option<SegmentIndex> {
    let scale = Rescale { from: SCALE, to: track.scale() };
    let times = file.segments.clone().map(|index| timeline.of(file.track, index).1.max(0));
    let starts = times.map(i64::cast_unsigned).zip(layout.track_offsets(track.file));
    let starts: Vec<(u64, u64)> = starts.collect();
    // Of video it is not known which frames are key frames.
    let sap = match track.stream.config {
        StreamConfig::Video(_) => sidx::UNKNOWN,
        StreamConfig::Audio(_) => sidx::FIRST_ENTRY,
    };
    let (begin, references) =
        sidx::by_declared_times(&starts, (track.end, layout.len()), scale, sap)?;
    // That of the presentation: a player that is led to a key frame by the index of the video must find the same
    // region in that of the audio, which may begin a little later.
    let earliest = timeline.begin.saturating_sub(track.stream.base);
    Some(SegmentIndex {
        track: track.stream.id,
        timescale: track.scale(),
        earliest: scale.round(earliest).ok()?,
        begin,
        references,
    })
}

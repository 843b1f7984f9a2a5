//! Splices WebM (RFC 9559): the clusters of all files in the order of their timestamps.
//!
//! A file is known from its header and its cues, or from the list of its segments. The clusters from one cue to the next, mostly one
//! cluster, are an [`Extent`](crate::splice::Extent): they go into the joined file in their own
//! length, except that track number, position and, in a trimmed file, timestamps are rewritten.
//!
//! **Invariant:** no byte is copied that was not parsed: whatever the cues did not announce is an
//! index mismatch.

use std::time::Duration;

use super::{Options, Plan, ReadAt, SurveyError, Unsupported};
use crate::container::ebml::ids;
use crate::media::TrackKind;
use crate::media::segments::Declared;

mod block;
mod chapters;
mod cluster;
mod cues;
mod cut;
mod entry;
mod head;
mod index;
mod interleave;
mod key_frame;
mod reader;
mod removal;
mod segments;
mod tags;
#[cfg(test)]
mod tests;
mod text_file;
mod texts;

pub(super) use cluster::ClusterRewriteRules;
pub(super) use key_frame::key_frame;
pub(super) use text_file::text_file;

/// The exclusive upper limit of timestamps in ticks, so that sums of them, and floats, are exact.
const MAX_TICKS: u64 = 1 << 53;

/// The index of a WebM file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    info: entry::Info,
    entry: entry::TrackEntry,
    /// The cluster runs in file order, each up to the next; never empty.
    runs: Vec<ClusterRun>,
    /// The end of the last run.
    end: u64,
    /// What is declared of each run, if the file is in segments.
    declared: Vec<Declared>,
}

/// A run of clusters that begins where a cue points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ClusterRun {
    /// The offset in the file.
    at: u64,
    /// The time in ticks: that of its cue, or of its first block if it has no cue.
    time: u64,
    /// Whether a cue points here, so that playback may begin here.
    is_cue: bool,
    /// Whether the block that the cue points to may have earlier ones before it in its cluster.
    is_inside: bool,
}

impl Track {
    /// Returns the time of the last cue at or before `start`.
    pub(super) fn entry(&self, start: Duration) -> Option<Duration> {
        cut::entry(self, start)
    }

    /// Returns the offset of a run, or the end of the last one if `number` is past it.
    fn at(&self, number: usize) -> u64 {
        self.runs.get(number).map_or(self.end, |run| run.at)
    }
}

pub(super) fn read_index(reader: &mut dyn ReadAt) -> Result<Track, SurveyError> {
    index::read_index(reader)
}

pub(super) fn plan(
    tracks: &[(TrackKind, &Track)],
    options: &Options<'_>,
) -> Result<Plan, Unsupported> {
    if tracks.iter().any(|(kind, track)| track.entry.kind != *kind) {
        return Err(Unsupported(
            "the file has a video track where an audio track is expected, or the reverse",
        ));
    }
    let tracks: Vec<&Track> = tracks.iter().map(|(_, track)| *track).collect();
    let same = |pair: &[&Track]| pair[0].info.scale == pair[1].info.scale;
    if !tracks.windows(2).all(same) {
        return Err(Unsupported("the files have different timescales (TimestampScale)"));
    }
    interleave::plan(&tracks, options)
}

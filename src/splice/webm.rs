//! WebM: the clusters of both files, in the order of their times (RFC 9559).
//!
//! A file is known from its head and its cues. What lies between the clusters that two cues lead
//! to, mostly one cluster, is a [`Extent`](crate::splice::Extent): it goes into the joined file as a whole, at its own
//! length, but for what names its track, its place or, in a part of a film, its time. Must never
//! copy a byte that was not understood: whatever the cues did not announce is a contradiction.

use std::time::Duration;

use super::{Options, Plan, ReadAt, SurveyError, Unsupported};
use crate::media::TrackKind;

mod block;
mod cluster;
mod cues;
mod cut;
mod entry;
mod head;
mod ids;
mod index;
mod interleave;
mod key_frame;
mod reader;
mod tags;
#[cfg(test)]
mod tests;

pub(super) use cluster::ClusterRewriteRules;
pub(super) use key_frame::key_frame;

/// Times are less than this many ticks, so that sums of them, and floats, are exact.
const MAX_TICKS: u64 = 1 << 53;

/// What is known of a WebM file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    info: entry::Info,
    entry: entry::TrackEntry,
    /// In the order of the file, each up to the next; never empty.
    runs: Vec<ClusterRun>,
    /// Where the last piece ends.
    end: u64,
}

/// A run of clusters that begins where a cue leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ClusterRun {
    /// Where it begins in the file.
    at: u64,
    /// When it plays, in ticks: the time of its cue, or of its first block if it has none.
    time: u64,
    /// Whether a player may begin here.
    is_cue: bool,
    /// Whether the block that the cue leads to may have earlier ones in front of it in its cluster.
    is_inside: bool,
}

impl Track {
    /// When a player may begin that is to play from `start` on.
    pub(super) fn entry(&self, start: Duration) -> Option<Duration> {
        cut::entry(self, start)
    }

    /// Where the piece of this number begins, or the last one ends.
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

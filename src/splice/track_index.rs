//! [`TrackIndex`], what the index of a file tells, whatever its kind.

use std::ops::Range;
use std::time::Duration;

use super::progressive::{self, CountedAudio};
use super::{Plan, Unsupported, fragmented, mpeg_ts, tagged, webm};
use crate::media::TrackKind;

/// The index of one input file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrackIndex {
    /// Fragmented MP4: an index, and fragments that carry their own timestamps.
    Fragmented(Box<fragmented::Track>),
    /// Segments of fragments that have video and audio in one.
    Muxed(Box<fragmented::Muxed>),
    /// Progressive MP4: the moov describes all samples.
    Progressive(progressive::Movie),
    /// WebM: cues that point to clusters.
    Webm(webm::Track),
    /// MPEG transport stream, or packed audio: a list of segments, or how they begin.
    MpegTs(Box<mpeg_ts::Track>),
    /// MP3, which gets a tag.
    Mp3(tagged::Frames),
}

impl TrackIndex {
    /// Returns the presentation time at which the file declares to end, if its index was read that far.
    pub fn end(&self) -> Option<Duration> {
        match self {
            TrackIndex::Progressive(movie) => movie.duration(),
            TrackIndex::Fragmented(track) => track.presentation_end(),
            TrackIndex::Muxed(muxed) => muxed.duration(),
            TrackIndex::Webm(_) | TrackIndex::Mp3(_) => None,
            TrackIndex::MpegTs(track) => track.presentation_end(),
        }
    }

    /// Returns the presentation time at which the file begins, if its index was read that far.
    pub fn begin(&self) -> Option<Duration> {
        match self {
            TrackIndex::Progressive(movie) => Some(movie.begin()),
            _ => None,
        }
    }

    /// Returns the decode time of the key frame from which decoding must start to show the video
    /// at `start` (a presentation time of the file), if the index has it.
    pub fn entry(&self, start: Duration) -> Option<Duration> {
        let entry = match self {
            TrackIndex::Progressive(movie) => movie.entry(start),
            TrackIndex::Fragmented(track) => track.entry(),
            TrackIndex::Webm(track) => track.entry(start),
            TrackIndex::MpegTs(track) => track.entry(),
            TrackIndex::Muxed(_) | TrackIndex::Mp3(_) => None,
        };
        entry.filter(|entry| *entry <= start)
    }

    /// Returns whether the file has a video track (even of a still image), if its index was read
    /// that far.
    pub fn has_video(&self) -> Option<bool> {
        match self {
            TrackIndex::Progressive(movie) => Some(movie.has(TrackKind::Video)),
            TrackIndex::MpegTs(track) => Some(track.has_video()),
            TrackIndex::Muxed(_) => Some(true),
            TrackIndex::Mp3(_) => Some(false),
            TrackIndex::Fragmented(_) | TrackIndex::Webm(_) => None,
        }
    }

    /// Returns the number of samples of the audio, if the index proves it.
    pub fn counted_audio(&self) -> Option<CountedAudio> {
        let TrackIndex::Progressive(movie) = self else { return None };
        let counted = movie.counted_audio();
        counted.inspect_err(|Unsupported(why)| log::debug!("samples not counted: {why}")).ok()
    }

    /// Lays out the file for a decoder that has to give these samples of its audio, counted from the first that is
    /// decoded. Returns the number of samples that it lacks in front of them, too.
    pub fn decodable(&self, samples: &Range<u64>, rate: u32) -> Option<(Plan, u64)> {
        let TrackIndex::Progressive(movie) = self else { return None };
        movie.decodable(samples, rate).ok()
    }
}

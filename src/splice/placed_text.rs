//! Subtitles that have their places in an MP4 file: their samples are described in the moov, also where those of other
//! tracks are in fragments. Not all players know how long a text in a fragment is shown.

use std::ops::Range;

use super::chapter_track::PlacedTrak;
use super::text_track::{Sample, TextTrack, samples};
use crate::container::isobmff::boxed;

/// Takes the texts of a track piece by piece.
pub(super) struct TextCursor<'t> {
    track: &'t TextTrack,
    placed: PlacedText,
    /// When the last sample ends, in milliseconds.
    end: u64,
}

/// A text track of which all samples have their places.
#[derive(Default)]
pub(super) struct PlacedText {
    /// The offset of each chunk, from the first byte behind the header.
    pub(super) offsets: Vec<u64>,
    /// The number of samples of each chunk.
    counts: Vec<u32>,
    /// Durations and sizes of all samples.
    samples: Vec<[u32; 2]>,
}

impl<'t> TextCursor<'t> {
    pub(super) fn new(track: &'t TextTrack) -> TextCursor<'t> {
        TextCursor { track, placed: PlacedText::default(), end: 0 }
    }

    /// Returns whether something appears from `time` on, in milliseconds.
    pub(super) fn has_more(&self, time: u64) -> bool {
        !self.track.cues(&(time..u64::MAX)).is_empty()
    }

    /// Returns the bytes of what appears within `span`, in milliseconds, and places them at `offset`.
    pub(super) fn take(&mut self, span: &Range<u64>, offset: u64) -> Vec<u8> {
        let cues = self.track.cues(span);
        let Some(last) = cues.last() else { return Vec::new() };
        let mut samples = samples(cues, self.end);
        self.end = last.end.as_millis() as u64;
        if !self.has_more(span.end) {
            // For some players the last sample lasts until the end of the file.
            samples.push(Sample { bytes: vec![0, 0], duration: 1 });
        }
        self.placed.offsets.push(offset);
        self.placed.counts.push(samples.len() as u32);
        let entry = |sample: &Sample| [sample.duration, sample.bytes.len() as u32];
        self.placed.samples.extend(samples.iter().map(entry));
        samples.into_iter().flat_map(|sample| sample.bytes).collect()
    }

    pub(super) fn finish(self) -> PlacedText {
        self.placed
    }
}

impl PlacedText {
    /// Returns the trak of this track with this track_ID, in a movie with this timescale. Its offsets are 0.
    pub(super) fn trak(&self, track: &TextTrack, id: u32, movie_scale: u32) -> PlacedTrak {
        let media: u64 = self.samples.iter().map(|[duration, _]| u64::from(*duration)).sum();
        let duration = media * u64::from(movie_scale) / 1000;
        let numbers = |numbers: Vec<u32>| -> Vec<u8> {
            numbers.into_iter().flat_map(u32::to_be_bytes).collect()
        };
        let table = |kind: &[u8; 4], count: usize, entries: Vec<u32>| {
            boxed(kind, &[&[0; 4], &(count as u32).to_be_bytes(), &numbers(entries)])
        };
        let count = self.samples.len();
        let durations = self.samples.iter().flat_map(|[duration, _]| [1, *duration]).collect();
        let chunks =
            (1..).zip(&self.counts).flat_map(|(chunk, count)| [chunk, *count, 1]).collect();
        let sizes = numbers(self.samples.iter().map(|[_, size]| *size).collect());
        let len = self.offsets.len();
        let zeros = vec![0; 8 * len];
        // The offsets are at the end of the trak.
        let tables = [
            table(b"stts", count, durations),
            table(b"stsc", self.counts.len(), chunks),
            boxed(b"stsz", &[&[0; 8], &(count as u32).to_be_bytes(), &sizes]),
            boxed(b"co64", &[&[0; 4], &(len as u32).to_be_bytes(), &zeros]),
        ];
        let bytes = track.trak(id, duration, media, &tables.concat());
        PlacedTrak { offset_at: bytes.len() - 8 * len, bytes }
    }
}

/// The offsets of texts, which are to be written into a header that is complete.
#[derive(Default)]
pub(super) struct TextOffsets(pub(super) Vec<(usize, PlacedText)>);

impl TextOffsets {
    /// Writes the offsets into the header.
    pub(super) fn write(&self, head: &mut [u8]) {
        let len = head.len() as u64;
        for (at, placed) in &self.0 {
            let fields = head.get_mut(*at..).unwrap_or_default().as_chunks_mut::<8>().0;
            for (field, offset) in fields.iter_mut().zip(&placed.offsets) {
                *field = (len + offset).to_be_bytes();
            }
        }
    }
}

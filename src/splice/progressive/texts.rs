//! Interleaves subtitles with the samples of a progressive file: those of some seconds lie before the media of that
//! time.

use super::chunks::ExtentMerger;
use crate::container::isobmff::boxed;
use crate::error::Unsupported;
use crate::splice::chapter_track::PlacedTrak;
use crate::splice::text_track::{Sample, TextTrack, TextTracks, check_total, samples};

/// How many milliseconds of subtitles lie together.
const STEP_MILLIS: u64 = 5000;

/// The subtitles while the file is laid out.
pub(super) struct TextCursors<'t> {
    cursors: Vec<TextCursor<'t>>,
    /// Up to when the subtitles are in the file, in milliseconds.
    until: u64,
    len: usize,
}

struct TextCursor<'t> {
    track: &'t TextTrack,
    placed: PlacedText,
    /// When the last sample ends, in milliseconds.
    end: u64,
}

/// A text track of which all samples have their places.
#[derive(Default)]
pub(super) struct PlacedText {
    /// The offset of each chunk, from the first byte of the media data.
    pub(super) offsets: Vec<u64>,
    /// The number of samples of each chunk.
    counts: Vec<u32>,
    /// Durations and sizes of all samples.
    samples: Vec<[u32; 2]>,
}

impl<'t> TextCursors<'t> {
    pub(super) fn new(texts: &'t TextTracks) -> TextCursors<'t> {
        let cursor = |track| TextCursor { track, placed: PlacedText::default(), end: 0 };
        TextCursors { cursors: texts.iter().map(cursor).collect(), until: 0, len: 0 }
    }

    /// Adds what appears soon after `time`, in milliseconds, unless it is there.
    pub(super) fn advance(
        &mut self,
        time: u64,
        extents: &mut ExtentMerger,
    ) -> Result<(), Unsupported> {
        if self.cursors.is_empty() || time < self.until {
            return Ok(());
        }
        let until = (time / STEP_MILLIS).saturating_add(1).saturating_mul(STEP_MILLIS);
        let span = std::mem::replace(&mut self.until, until)..until;
        for cursor in &mut self.cursors {
            let cues = cursor.track.cues(&span);
            let Some(last) = cues.last() else { continue };
            let samples = samples(cues, cursor.end);
            cursor.end = last.end.as_millis() as u64;
            cursor.placed.offsets.push(extents.len());
            cursor.placed.counts.push(samples.len() as u32);
            let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.bytes.clone()).collect();
            let entry = |sample: &Sample| [sample.duration, sample.bytes.len() as u32];
            cursor.placed.samples.extend(samples.iter().map(entry));
            self.len += bytes.len();
            extents.add_inline(&bytes);
        }
        check_total(self.len)
    }

    /// Adds what is left, and returns the tracks.
    pub(super) fn finish(
        mut self,
        extents: &mut ExtentMerger,
    ) -> Result<Vec<PlacedText>, Unsupported> {
        while self
            .cursors
            .iter()
            .any(|cursor| !cursor.track.cues(&(self.until..u64::MAX)).is_empty())
        {
            self.advance(self.until, extents)?;
        }
        Ok(self.cursors.into_iter().map(|cursor| cursor.placed).collect())
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
        let offsets = boxed(
            b"co64",
            &[
                &[0; 4],
                &(self.offsets.len() as u32).to_be_bytes(),
                &vec![0; 8 * self.offsets.len()],
            ],
        );
        // The offsets are at the end of the trak.
        let tables = [
            table(b"stts", count, durations),
            table(b"stsc", self.counts.len(), chunks),
            boxed(b"stsz", &[&[0; 8], &(count as u32).to_be_bytes(), &sizes]),
            offsets,
        ];
        let bytes = track.trak(id, duration, media, &tables.concat());
        PlacedTrak { offset_at: bytes.len() - 8 * self.offsets.len(), bytes }
    }
}

//! Writes chapters as a text track (QuickTime File Format, "Chapter lists"), to which the first track refers: for
//! players that do not read the list in the `udta`. It is laid out as ffmpeg writes it.
//!
//! Its few samples lie at the beginning of the media data, where they are read with the header.

use std::time::Duration;

use super::edits::{Edit, NORMAL_RATE, edts};
use super::headers::{UNITY, header_times, header_version};
use crate::container::isobmff::boxed;
use crate::media::chapters::Chapter;

/// The media timescale: chapters begin at full milliseconds.
const SCALE: u32 = 1000;
/// Says that the text of a sample is UTF-8.
const UTF_8: [u8; 12] = [0, 0, 0, 12, b'e', b'n', b'c', b'd', 0, 0, 1, 0];
/// The language is not determined (ISO 639-2).
const UNDETERMINED: [u8; 4] = [0x55, 0xc4, 0, 0];

/// A text track that has a sample for each chapter.
pub(super) struct ChapterTrack {
    /// The bytes of all samples.
    pub(super) samples: Vec<u8>,
    sizes: Vec<u32>,
    /// The duration of each sample, and of what precedes the first one, in milliseconds.
    durations: Vec<u32>,
    gap: u32,
}

/// A trak, with the position of the 64-bit offset of its samples in it.
pub(super) struct PlacedTrak {
    pub(super) bytes: Vec<u8>,
    pub(super) offset_at: usize,
}

impl ChapterTrack {
    /// Returns the track of a file of this duration; `None` if there are no chapters, or if they are too long to be
    /// told.
    pub(super) fn new(chapters: &[Chapter], duration: Duration) -> Option<ChapterTrack> {
        let millis = |time: Duration| u32::try_from(time.as_millis()).ok();
        let starts = chapters.iter().map(|chapter| millis(chapter.start));
        let starts = starts.collect::<Option<Vec<_>>>()?;
        let (gap, last) = (*starts.first()?, *starts.last()?);
        let ends = starts[1..].iter().copied().chain([millis(duration)?.max(last + 1)]);
        let durations = starts.iter().zip(ends).map(|(start, end)| end - start).collect();
        let (mut samples, mut sizes) = (Vec::new(), Vec::new());
        for chapter in chapters {
            let begin = samples.len();
            // Titles have at most 255 bytes.
            samples.extend((chapter.title.len() as u16).to_be_bytes());
            samples.extend(chapter.title.as_bytes());
            samples.extend(UTF_8);
            sizes.push((samples.len() - begin) as u32);
        }
        Some(ChapterTrack { samples, sizes, durations, gap })
    }

    /// Returns what the first track says of this one, which has this track_ID.
    pub(super) fn reference(id: u32) -> Vec<u8> {
        boxed(b"tref", &[&boxed(b"chap", &[&id.to_be_bytes()])])
    }

    /// Returns the trak with this track_ID in a movie with this timescale.
    pub(super) fn trak(&self, id: u32, movie_scale: u32) -> PlacedTrak {
        let media: u64 = self.durations.iter().copied().map(u64::from).sum();
        let in_movie = |millis: u64| millis * u64::from(movie_scale) / u64::from(SCALE);
        let (gap, shown) = (in_movie(self.gap.into()), in_movie(media));
        let edit = Edit { segment: shown, media_time: 0, rate: NORMAL_RATE };
        let empty = Edit { segment: gap, media_time: -1, rate: NORMAL_RATE };
        let edits = if gap > 0 { vec![empty, edit] } else { vec![edit] };
        // In the movie, but not enabled: it is not shown over the video.
        let own = [id.to_be_bytes(), [0; 4]];
        let times = header_times([0, 0], own.as_flattened(), gap + shown);
        let matrix = UNITY.map(u32::to_be_bytes);
        let version = header_version(gap + shown, 2);
        let tkhd = boxed(b"tkhd", &[&version, &times, &[0; 16], matrix.as_flattened(), &[0; 8]]);
        let times = header_times([0, 0], &SCALE.to_be_bytes(), media);
        let mdhd = boxed(b"mdhd", &[&header_version(media, 0), &times, &UNDETERMINED]);
        let hdlr = boxed(b"hdlr", &[&[0; 8], b"text", &[0; 12], b"Chapters\0"]);
        let dref = boxed(b"url ", &[&[0, 0, 0, 1]]);
        let dref = boxed(b"dref", &[&[0; 4], &1u32.to_be_bytes(), &dref]);
        // The offset is the last field of the trak.
        let stbl = self.stbl();
        let minf = boxed(b"minf", &[&gmhd(), &boxed(b"dinf", &[&dref]), &stbl]);
        let mdia = boxed(b"mdia", &[&mdhd, &hdlr, &minf]);
        let bytes = boxed(b"trak", &[&tkhd, &edts(&edits), &mdia]);
        PlacedTrak { offset_at: bytes.len() - 8, bytes }
    }

    /// Returns the sample table, with one chunk of all samples, whose offset is 0 and its last field.
    fn stbl(&self) -> Vec<u8> {
        let count = (self.sizes.len() as u32).to_be_bytes();
        let stsd = boxed(b"stsd", &[&[0; 4], &1u32.to_be_bytes(), &entry()]);
        let runs: Vec<_> = self
            .durations
            .iter()
            .flat_map(|duration| [1, *duration])
            .map(u32::to_be_bytes)
            .collect();
        let stts = boxed(b"stts", &[&[0; 4], &count, runs.as_flattened()]);
        let one = 1u32.to_be_bytes();
        let stsc = boxed(b"stsc", &[&[0; 4], &one, &one, &count, &one]);
        let sizes: Vec<_> = self.sizes.iter().copied().map(u32::to_be_bytes).collect();
        let stsz = boxed(b"stsz", &[&[0; 8], &count, sizes.as_flattened()]);
        let co64 = boxed(b"co64", &[&[0; 4], &one, &[0; 8]]);
        boxed(b"stbl", &[&stsd, &stts, &stsc, &stsz, &co64])
    }
}

/// Returns the description of the samples: text, of which nothing is told.
fn entry() -> Vec<u8> {
    // Display flags, colours, and the box of the text; then the style: font 1, of which the name is empty.
    let style = [&[0, 0, 0, 1][..], &[0; 18], &[0, 1], &[0; 6]].concat();
    let font = boxed(b"ftab", &[&[0, 1, 0, 1, 0]]);
    boxed(b"text", &[&[0, 0, 0, 0, 0, 0, 0, 1], &style, &font])
}

/// Returns the header of media that is neither video nor audio, and the matrix of the text in its movie.
fn gmhd() -> Vec<u8> {
    let gmin = boxed(b"gmin", &[&[0; 4], &[0, 0x40, 0x80, 0, 0x80, 0, 0x80, 0], &[0; 4]]);
    let text = boxed(b"text", &[&[0, 1], &[0; 14], &[0, 1], &[0; 14], &[0x40, 0, 0, 0]]);
    boxed(b"gmhd", &[&gmin, &text])
}

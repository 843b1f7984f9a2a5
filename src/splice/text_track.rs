//! Subtitles as tracks of an MP4 file: timed text of 3GPP (TS 26.245, `tx3g`), which most players show.
//!
//! A track is in memory. It goes into the joined file in pieces, each beside the media of its time, so that a player
//! that reads the file in order finds it there. A text is in the piece of the time at which it appears.

use std::ops::Range;
use std::time::Duration;

use super::Layout;
use super::chapter_track::PlacedTrak;
use super::headers::{UNITY, header_times, header_version};
use super::placed_text::{PlacedText, TextCursor, TextOffsets};
use super::trak::{MALFORMED, boxes_of, one};
use crate::container::isobmff::boxed;
use crate::container::isobmff::fields::TimeHeader;
use crate::error::Unsupported;
use crate::media::language::Language;
use crate::media::subtitles::{Cue, Subtitles};
use crate::timed_text::flatten;
use crate::timed_text::markup::{Style, pieces};

/// The media timescale: cues begin at full milliseconds.
pub(super) const SCALE: u32 = 1000;
/// The group of tracks of which a player shows one at a time.
const ALTERNATE_GROUP: u16 = 3;
/// The length of the header of a box of media data.
const MDAT_HEADER: u64 = 8;
/// The maximum length of a text, whose length has 16 bits.
const MAX_TEXT: usize = u16::MAX as usize;
/// The maximum length of all that is made of subtitles: it is kept with the plan.
const MAX_TOTAL: usize = 16 << 20;

/// The subtitles of a file.
#[derive(Default)]
pub(super) struct TextTracks(Vec<TextTrack>);

/// Subtitles in one language.
pub(super) struct TextTrack {
    pub(super) language: String,
    pub(super) name: String,
    /// What is shown, one after the other.
    pub(super) cues: Vec<Cue>,
}

/// A sample: its bytes, empty where nothing is shown, and its duration in milliseconds.
pub(super) struct Sample {
    pub(super) bytes: Vec<u8>,
    pub(super) duration: u32,
}

impl TextTracks {
    /// Returns the tracks of these subtitles, with one text at a time. Those without a cue get none.
    pub(super) fn new(subtitles: &[Subtitles]) -> Result<TextTracks, Unsupported> {
        const TOO_LONG: Unsupported = Unsupported("the subtitles are too long");
        let tracks = subtitles.iter().filter(|subtitles| !subtitles.cues.is_empty());
        let tracks = tracks.map(|subtitles| {
            let cues = flatten(&subtitles.cues).ok_or(TOO_LONG)?;
            let is_late = |cue: &Cue| cue.end.as_millis() >= u128::from(u32::MAX);
            if cues.iter().any(is_late) {
                return Err(TOO_LONG);
            }
            let (language, name) = (subtitles.language.clone(), subtitles.name.clone());
            Ok(TextTrack { language, name, cues })
        });
        Ok(TextTracks(tracks.collect::<Result<_, _>>()?))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TextTrack> {
        self.0.iter()
    }

    /// Adds the tracks to a fragmented file: to its header, which consists of ftyp and moov, and between the fragments of
    /// the others in `layout`. `starts` has the times at which the fragments of the first track are presented, in
    /// milliseconds. The offsets are to be written when the header is complete.
    pub(super) fn add_to(
        &self,
        head: &mut Vec<u8>,
        layout: Layout,
        starts: &[u64],
    ) -> Result<(Layout, TextOffsets), Unsupported> {
        if self.0.is_empty() {
            return Ok((layout, TextOffsets::default()));
        }
        let mut cursors: Vec<_> = self.0.iter().map(TextCursor::new).collect();
        let mut from = 0;
        let mut spans = (1..=starts.len()).map(|next| {
            let until = starts.get(next).copied().unwrap_or(u64::MAX).max(from);
            std::mem::replace(&mut from, until)..until
        });
        let layout = layout.with_inline(|at| {
            let span = spans.next().unwrap_or(u64::MAX..u64::MAX);
            let mut media = Vec::new();
            for cursor in &mut cursors {
                media.extend(cursor.take(&span, at + MDAT_HEADER + media.len() as u64));
            }
            if media.is_empty() { media } else { boxed(b"mdat", &[&media]) }
        });
        check_total(layout.inline_len())?;
        let placed = cursors.into_iter().map(TextCursor::finish).collect();
        Ok((layout, self.add_to_moov(head, placed)?))
    }

    /// Adds the tracks to a moov; returns the positions of their offsets in it.
    fn add_to_moov(
        &self,
        head: &mut Vec<u8>,
        placed: Vec<PlacedText>,
    ) -> Result<TextOffsets, Unsupported> {
        const NEXT_TRACK_ID: usize = 4;
        let top = boxes_of(head)?;
        let moov = one(&top, b"moov")?;
        let boxes = boxes_of(moov.payload())?;
        let mvhd = one(&boxes, b"mvhd")?;
        let scale = TimeHeader::read(mvhd.payload()).ok_or(MALFORMED)?.timescale;
        let (fields, next) = mvhd.bytes.split_last_chunk::<NEXT_TRACK_ID>().ok_or(MALFORMED)?;
        let first_id = u32::from_be_bytes(*next);
        let next = first_id.saturating_add(self.0.len() as u32);
        let (mut moov_bytes, mut positions, mut trexs) = (Vec::new(), Vec::new(), Vec::new());
        for found in &boxes {
            match &found.kind {
                b"mvhd" => moov_bytes.extend([fields, &next.to_be_bytes()].concat()),
                b"mvex" => {
                    for ((track, placed), id) in self.0.iter().zip(&placed).zip(first_id..) {
                        let PlacedTrak { bytes, offset_at } = placed.trak(track, id, scale);
                        positions.push(moov.at + moov.header + moov_bytes.len() + offset_at);
                        moov_bytes.extend(bytes);
                        let fields = [id, 1, 0, 0, 0].map(u32::to_be_bytes);
                        trexs.extend(boxed(b"trex", &[&[0; 4], fields.as_flattened()]));
                    }
                    moov_bytes.extend(boxed(b"mvex", &[found.payload(), &trexs]));
                }
                _ => moov_bytes.extend(found.bytes),
            }
        }
        *head = [&head[..moov.at], &boxed(b"moov", &[&moov_bytes])].concat();
        Ok(TextOffsets(positions.into_iter().zip(placed).collect()))
    }
}

/// Fails if the subtitles of a file would be too long.
pub(super) fn check_total(len: usize) -> Result<(), Unsupported> {
    if len > MAX_TOTAL { Err(Unsupported("the subtitles are too long")) } else { Ok(()) }
}

impl TextTrack {
    /// Returns the cues that appear within `span`, in milliseconds.
    pub(super) fn cues(&self, span: &Range<u64>) -> &[Cue] {
        let [from, to] = [span.start, span.end]
            .map(|time| self.cues.partition_point(|cue| millis(cue.start) < time));
        &self.cues[from..to.max(from)]
    }

    /// Returns the trak with this track_ID, and with these tables of samples. It lasts for `duration` in the movie
    /// timescale, and for `media` milliseconds.
    pub(super) fn trak(&self, id: u32, duration: u64, media: u64, tables: &[u8]) -> Vec<u8> {
        let own = [id.to_be_bytes(), [0; 4]];
        let times = header_times([0, 0], own.as_flattened(), duration);
        let matrix = UNITY.map(u32::to_be_bytes);
        let group = [&[0; 10][..], &ALTERNATE_GROUP.to_be_bytes(), &[0; 4]].concat();
        // In the movie, but not enabled: a player shows it when its user says so.
        let version = header_version(duration, 2);
        let tkhd = boxed(b"tkhd", &[&version, &times, &group, matrix.as_flattened(), &[0; 8]]);
        let times = header_times([0, 0], &SCALE.to_be_bytes(), media);
        let mdhd =
            boxed(b"mdhd", &[&header_version(media, 0), &times, &packed(&self.language), &[0; 2]]);
        let elng = boxed(b"elng", &[&[0; 4], self.language.as_bytes(), b"\0"]);
        let name = if self.name.is_empty() { "Subtitles" } else { &self.name };
        let hdlr = boxed(b"hdlr", &[&[0; 8], b"sbtl", &[0; 12], name.as_bytes(), b"\0"]);
        let url = boxed(b"url ", &[&[0, 0, 0, 1]]);
        let dinf = boxed(b"dinf", &[&boxed(b"dref", &[&[0, 0, 0, 0, 0, 0, 0, 1], &url])]);
        let stsd = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], &entry()]);
        let stbl = boxed(b"stbl", &[&stsd, tables]);
        let minf = boxed(b"minf", &[&boxed(b"nmhd", &[&[0; 4]]), &dinf, &stbl]);
        let mdia = boxed(b"mdia", &[&mdhd, &hdlr, &elng, &minf]);
        boxed(b"trak", &[&tkhd, &mdia])
    }
}

/// Returns the samples of cues that follow one another, from `begin` on, in milliseconds.
pub(super) fn samples(cues: &[Cue], begin: u64) -> Vec<Sample> {
    let (mut samples, mut at) = (Vec::with_capacity(2 * cues.len()), begin);
    for cue in cues {
        let (start, end) = (millis(cue.start), millis(cue.end));
        if start > at {
            samples.push(Sample { bytes: vec![0, 0], duration: (start - at) as u32 });
        }
        samples.push(Sample { bytes: sample(&cue.text), duration: (end - start) as u32 });
        at = end;
    }
    samples
}

/// Returns a language in three times five bits (ISO/IEC 14496-12 §8.4.2).
fn packed(language: &str) -> [u8; 2] {
    let code = Language::from_tag(language).map_or(*b"und", |language| language.terminologic());
    let packed = code.iter().fold(0_u16, |packed, letter| packed << 5 | u16::from(letter - 0x60));
    packed.to_be_bytes()
}

fn millis(time: Duration) -> u64 {
    time.as_millis() as u64
}

/// Returns the description of the samples (TS 26.245 §5.16): white text in the middle of the bottom, on nothing.
fn entry() -> Vec<u8> {
    let place = [[0, 0, 0, 0], [1, 0xff, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]];
    // Font 1 in size 16, in white.
    let style = [&[0; 5][..], &[1, 0, 16], &[0xff; 4]].concat();
    let font = boxed(b"ftab", &[&[0, 1, 0, 1, 10], b"Sans-Serif"]);
    let head = [0, 0, 0, 0, 0, 0, 0, 1];
    let place = &place.as_flattened()[..18];
    boxed(b"tx3g", &[&head, place, &style, &font])
}

/// Returns the sample of a text (TS 26.245 §5.17): its length, the text, and the styles of its characters.
fn sample(text: &str) -> Vec<u8> {
    let (mut plain, mut styles, mut at, mut count) = (String::new(), Vec::new(), 0_u16, 0_u16);
    for (piece, Style { bold, italic, underlined }) in pieces(text) {
        if plain.len() + piece.len() > MAX_TEXT {
            break;
        }
        // A text has fewer bytes than fit.
        let end = at + piece.chars().count() as u16;
        let face = u8::from(bold) | u8::from(italic) << 1 | u8::from(underlined) << 2;
        if face != 0 && end > at {
            styles.extend([at.to_be_bytes(), end.to_be_bytes(), [0, 1], [face, 16]].concat());
            styles.extend([0xff; 4]);
            count += 1;
        }
        plain.push_str(&piece);
        at = end;
    }
    let mut sample = (plain.len() as u16).to_be_bytes().to_vec();
    sample.extend(plain.as_bytes());
    if count > 0 {
        sample.extend(boxed(b"styl", &[&count.to_be_bytes(), &styles]));
    }
    sample
}

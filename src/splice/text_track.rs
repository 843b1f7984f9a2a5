//! Subtitles as tracks of an MP4 file: timed text of 3GPP (TS 26.245, `tx3g`), which most players show.
//!
//! A track is in memory. It goes into the joined file in pieces, each beside the media of its time, so that a player
//! that reads the file in order finds it there. A text is in the piece of the time at which it appears.

use std::ops::Range;
use std::time::Duration;

use super::Layout;
use super::fragmented::SEQUENCE_NUMBERS;
use super::headers::{UNITY, header_times, header_version};
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
/// How long nothing is shown at the end of a fragment, in milliseconds.
const END: u32 = 1;
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

    pub(super) fn len(&self) -> u32 {
        self.0.len() as u32
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TextTrack> {
        self.0.iter()
    }

    /// Adds the tracks to a fragmented file: to its header, which consists of ftyp and moov, and to the fragments of
    /// the others in `layout`. `starts` has the times at which the fragments of the first track are presented, in
    /// milliseconds.
    pub(super) fn add_to(
        &self,
        head: &mut Vec<u8>,
        layout: Layout,
        starts: &[u64],
    ) -> Result<Layout, Unsupported> {
        if self.0.is_empty() {
            return Ok(layout);
        }
        let first_id = self.add_to_moov(head)?;
        let mut from = 0;
        let mut spans = (1..=starts.len()).map(|next| {
            let until = starts.get(next).copied().unwrap_or(u64::MAX).max(from);
            std::mem::replace(&mut from, until)..until
        });
        let layout = layout.with_inline(|number| {
            let span = spans.next().unwrap_or(u64::MAX..u64::MAX);
            self.fragment(first_id, &span, number.wrapping_mul(SEQUENCE_NUMBERS))
        });
        check_total(layout.inline_len())?;
        Ok(layout)
    }

    /// Adds the tracks to a moov; returns the track_ID of the first one.
    fn add_to_moov(&self, head: &mut Vec<u8>) -> Result<u32, Unsupported> {
        const NEXT_TRACK_ID: usize = 4;
        let top = boxes_of(head)?;
        let moov = one(&top, b"moov")?;
        let boxes = boxes_of(moov.payload())?;
        let mvhd = one(&boxes, b"mvhd")?;
        let duration = TimeHeader::read(mvhd.payload()).and_then(|header| header.duration);
        let (fields, next) = mvhd.bytes.split_last_chunk::<NEXT_TRACK_ID>().ok_or(MALFORMED)?;
        let first_id = u32::from_be_bytes(*next);
        let next = first_id.saturating_add(self.len());
        let (traks, trexs) = self.boxes(first_id, duration.unwrap_or(0));
        let mut parts = Vec::new();
        for found in &boxes {
            match &found.kind {
                b"mvhd" => parts.push([fields, &next.to_be_bytes()].concat()),
                b"mvex" => {
                    parts.extend([traks.clone(), boxed(b"mvex", &[found.payload(), &trexs])]);
                }
                _ => parts.push(found.bytes.to_vec()),
            }
        }
        *head = [&head[..moov.at], &boxed(b"moov", &[&parts.concat()])].concat();
        Ok(first_id)
    }

    /// Returns the boxes of a fragmented file for these tracks, which have track_IDs from `first_id` on: the traks, and
    /// the trex of each. The file has this duration in the movie timescale.
    fn boxes(&self, first_id: u32, duration: u64) -> (Vec<u8>, Vec<u8>) {
        let empty = |kind: &[u8; 4]| boxed(kind, &[&[0; 8]]);
        let stsz = boxed(b"stsz", &[&[0; 12]]);
        let tables = [empty(b"stts"), empty(b"stsc"), stsz, empty(b"stco")].concat();
        let (mut traks, mut trexs) = (Vec::new(), Vec::new());
        for (track, id) in self.0.iter().zip(first_id..) {
            traks.extend(track.trak(id, duration, 0, &tables));
            trexs.extend(boxed(b"trex", &[&[0; 4], &id.to_be_bytes(), &[0, 0, 0, 1], &[0; 12]]));
        }
        (traks, trexs)
    }

    /// Returns a fragment of what appears within `span`, in milliseconds, with this number; no bytes if nothing does.
    fn fragment(&self, first_id: u32, span: &Range<u64>, number: u32) -> Vec<u8> {
        let runs = self.0.iter().zip(first_id..).filter_map(|(track, id)| {
            let (begin, samples) = track.samples(span)?;
            Some((id, begin, samples))
        });
        let runs: Vec<_> = runs.collect();
        if runs.is_empty() {
            return Vec::new();
        }
        // The offsets of the samples depend on the length of the moof, which does not depend on them.
        let moof = |mut offset: u32| {
            let mut parts = vec![boxed(b"mfhd", &[&[0; 4], &number.to_be_bytes()])];
            for (id, begin, samples) in &runs {
                parts.push(traf(*id, *begin, samples, offset));
                offset += samples.iter().map(|sample| sample.bytes.len() as u32).sum::<u32>();
            }
            boxed(b"moof", &[&parts.concat()])
        };
        let len = moof(0).len() as u32;
        let media: Vec<u8> = runs
            .iter()
            .flat_map(|(_, _, samples)| samples.iter().flat_map(|sample| sample.bytes.clone()))
            .collect();
        [moof(len + 8), boxed(b"mdat", &[&media])].concat()
    }
}

/// Fails if the subtitles of a file would be too long.
pub(super) fn check_total(len: usize) -> Result<(), Unsupported> {
    if len > MAX_TOTAL { Err(Unsupported("the subtitles are too long")) } else { Ok(()) }
}

/// Returns the part of a fragment that is of one track (ISO/IEC 14496-12 §8.8.6 to §8.8.8, §8.8.12).
fn traf(id: u32, begin: u64, samples: &[Sample], offset: u32) -> Vec<u8> {
    // Offsets are relative to the moof.
    let tfhd = boxed(b"tfhd", &[&[0, 2, 0, 0], &id.to_be_bytes()]);
    let tfdt = boxed(b"tfdt", &[&[1, 0, 0, 0], &begin.to_be_bytes()]);
    let fields = samples.iter().flat_map(|sample| [sample.duration, sample.bytes.len() as u32]);
    let fields: Vec<_> = fields.map(u32::to_be_bytes).collect();
    let count = (samples.len() as u32).to_be_bytes();
    // Durations and sizes of the samples follow.
    let head = [&[0, 0, 3, 1][..], &count, &offset.to_be_bytes()].concat();
    boxed(b"traf", &[&tfhd, &tfdt, &boxed(b"trun", &[&head, fields.as_flattened()])])
}

impl TextTrack {
    /// Returns the cues that appear within `span`, in milliseconds.
    pub(super) fn cues(&self, span: &Range<u64>) -> &[Cue] {
        let [from, to] = [span.start, span.end]
            .map(|time| self.cues.partition_point(|cue| millis(cue.start) < time));
        &self.cues[from..to.max(from)]
    }

    /// Returns the samples of what appears within `span`, and when the first one begins, in milliseconds; `None` if
    /// there are none.
    fn samples(&self, span: &Range<u64>) -> Option<(u64, Vec<Sample>)> {
        let cues = self.cues(span);
        let (begin, end) = (millis(cues.first()?.start), millis(cues.last()?.end));
        let mut samples = samples(cues, begin);
        // For some players a sample lasts until the next one in its fragment.
        let is_followed = self.cues(&(end..end + 1)).first().is_some();
        if let Some(last) = samples.last_mut().filter(|last| is_followed && last.duration > END) {
            last.duration -= END;
        }
        samples.push(Sample { bytes: vec![0, 0], duration: END });
        Some((begin, samples))
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

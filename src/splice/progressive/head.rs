//! Writes the header of the joined file: ftyp, moov, and the header of the mdat. The offset of each chunk
//! is known, as the length of the header does not depend on it.

use super::chunks::Chunks;
use super::{ParsedTrack, Selection, moov};
use crate::container::isobmff::boxed;
use crate::error::Unsupported;
use crate::splice::chapter_track::{ChapterTrack, PlacedTrak};
use crate::splice::edits::{Edit, Rescale};
use crate::splice::headers::mvhd;
use crate::splice::labels::HeaderLabel;
use crate::splice::placed_text::PlacedText;
use crate::splice::text_track::TextTrack;

/// A brand: a specification that a file conforms to (§4.3).
pub(super) type Brand = [u8; 4];

/// The brands of every joined file.
const BRANDS: [&Brand; 4] = [b"isom", b"iso2", b"mp41", b"mp42"];
/// The brands that are copied from the inputs, because they concern samples and not the layout.
const COPIED_BRANDS: [&Brand; 6] = [b"iso4", b"iso5", b"iso6", b"avc1", b"av01", b"dby1"];

/// Returns the ftyp for inputs with these brands.
pub(super) fn ftyp(inputs: &[&[Brand]]) -> Vec<u8> {
    let copied =
        COPIED_BRANDS.into_iter().filter(|copied| inputs.iter().any(|of| of.contains(copied)));
    let brands: Vec<Brand> = BRANDS.into_iter().chain(copied).copied().collect();
    boxed(b"ftyp", &[b"isom", &0x200u32.to_be_bytes(), brands.as_flattened()])
}

/// Returns the ftyp of a QuickTime file.
pub(super) fn quicktime() -> Vec<u8> {
    boxed(b"ftyp", &[QUICKTIME, &0x200u32.to_be_bytes(), QUICKTIME])
}

/// The brand of QuickTime files.
pub(super) const QUICKTIME: &Brand = b"qt  ";

/// What is in the joined file beside its tracks.
pub(super) struct Contents<'a> {
    pub(super) udta: &'a [u8],
    /// The subtitles.
    pub(super) texts: Vec<(&'a TextTrack, &'a PlacedText)>,
    pub(super) chapters: Option<ChapterTrack>,
    /// The length of the media data behind the header.
    pub(super) media: u64,
}

/// The tracks of the joined file.
pub(super) struct MovieBuilder<'a> {
    pub(super) tracks: &'a [ParsedTrack<'a>],
    pub(super) selections: &'a [Selection],
    pub(super) chunks: &'a [Chunks],
    pub(super) labels: &'a [HeaderLabel<'a>],
    /// The movie timescale.
    pub(super) scale: u32,
}

/// A buffer to which nested boxes are written.
#[derive(Default)]
pub(super) struct BoxWriter {
    pub(super) bytes: Vec<u8>,
}

impl BoxWriter {
    /// Writes a box of this type whose payload `fill` writes.
    pub(super) fn nest<T>(
        &mut self,
        kind: &[u8; 4],
        fill: impl FnOnce(&mut BoxWriter) -> Result<T, Unsupported>,
    ) -> Result<T, Unsupported> {
        let at = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind);
        let filled = fill(self)?;
        let len = u32::try_from(self.bytes.len() - at);
        let len = len.map_err(|_| Unsupported("the index of the joined file would be too long"))?;
        self.bytes[at..at + 4].copy_from_slice(&len.to_be_bytes());
        Ok(filled)
    }
}

/// Returns the presentation durations of the tracks in the joined file, in its movie timescale.
pub(super) fn durations(
    tracks: &[ParsedTrack<'_>],
    selections: &[Selection],
    scale: u32,
) -> Result<Vec<u64>, Unsupported> {
    let durations = tracks.iter().zip(selections);
    durations.map(|(track, selection)| duration(track, selection, scale)).collect()
}

/// Returns the presentation duration of a track.
fn duration(
    track: &ParsedTrack<'_>,
    selection: &Selection,
    scale: u32,
) -> Result<u64, Unsupported> {
    let scale = Rescale { from: track.trak.scale, to: scale };
    let edit_duration = |edit: &Edit| match edit {
        // A duration of 0 lasts to the end of the media.
        Edit { segment: 0, media_time, .. } => {
            let from = u64::try_from(*media_time).unwrap_or(selection.media);
            scale.ceil(selection.media.saturating_sub(from))
        }
        Edit { segment, .. } => Ok(*segment),
    };
    if selection.edits.is_empty() {
        return scale.ceil(selection.media);
    }
    selection.edits.iter().try_fold(0u64, |sum, edit| {
        sum.checked_add(edit_duration(edit)?)
            .ok_or(Unsupported("the file has timestamps that are too large"))
    })
}

impl MovieBuilder<'_> {
    /// Returns the header before the media data, with the samples of the chapters.
    pub(super) fn head(
        &self,
        ftyp: &[u8],
        contents: &Contents<'_>,
        durations: &[u64],
    ) -> Result<Vec<u8>, Unsupported> {
        let mut head = self.with_zero_offsets(ftyp, contents, durations, false)?;
        if u32::try_from(head.0.len() as u64 + contents.media).is_err() {
            head = self.with_zero_offsets(ftyp, contents, durations, true)?;
        }
        let (mut bytes, mut offsets) = head;
        let media = bytes.len() as u64;
        if let Some(chapters) = &contents.chapters
            && let Some(own) = offsets.pop()
        {
            own.write(&mut bytes, [media - chapters.samples.len() as u64].into_iter());
        }
        let chunks = self.chunks.iter().map(|chunks| &chunks.offsets);
        let chunks = chunks.chain(contents.texts.iter().map(|(_, placed)| &placed.offsets));
        for (offsets, chunks) in offsets.into_iter().zip(chunks) {
            offsets.write(&mut bytes, chunks.iter().map(|offset| media + offset));
        }
        Ok(bytes)
    }

    /// Returns the header with all chunk offsets 0, and their positions in it.
    fn with_zero_offsets(
        &self,
        ftyp: &[u8],
        contents: &Contents<'_>,
        durations: &[u64],
        is_64_bit: bool,
    ) -> Result<(Vec<u8>, Vec<Offsets>), Unsupported> {
        let mut out = BoxWriter { bytes: ftyp.to_vec() };
        let offsets = out.nest(b"moov", |out| {
            let longest = durations.iter().copied().max().unwrap_or(0);
            let texts_id = self.tracks.len() as u32 + 1;
            let chapters_id = texts_id + contents.texts.len() as u32;
            let next = chapters_id + u32::from(contents.chapters.is_some());
            out.bytes.extend(mvhd(self.scale, longest, next));
            let mut offsets = Vec::new();
            for (index, duration) in durations.iter().enumerate() {
                let is_first = index == 0 && contents.chapters.is_some();
                let reference = is_first.then(|| ChapterTrack::reference(chapters_id));
                let reference = reference.unwrap_or_default();
                let at = moov::trak(out, self, index, *duration, &reference, is_64_bit)?;
                offsets.push(Offsets { at, is_64_bit });
            }
            let texts = contents.texts.iter().zip(texts_id..);
            let texts = texts.map(|((track, placed), id)| placed.trak(track, id, self.scale));
            let chapters = contents.chapters.as_ref();
            let chapters = chapters.map(|chapters| chapters.trak(chapters_id, self.scale));
            for PlacedTrak { bytes, offset_at } in texts.chain(chapters) {
                offsets.push(Offsets { at: out.bytes.len() + offset_at, is_64_bit: true });
                out.bytes.extend(bytes);
            }
            out.bytes.extend(contents.udta);
            Ok(offsets)
        })?;
        let samples = contents.chapters.as_ref().map_or(&[][..], |chapters| &chapters.samples);
        let media = contents.media + samples.len() as u64;
        match u32::try_from(media + 8) {
            Ok(len) => out.bytes.extend([len.to_be_bytes(), *b"mdat"].as_flattened()),
            Err(_) => {
                out.bytes.extend([1u32.to_be_bytes(), *b"mdat"].as_flattened());
                out.bytes.extend((media + 16).to_be_bytes());
            }
        }
        out.bytes.extend(samples);
        Ok((out.bytes, offsets))
    }
}

/// The position of the chunk offsets of a track in the header.
struct Offsets {
    at: usize,
    is_64_bit: bool,
}

impl Offsets {
    fn write(mut self, head: &mut [u8], offsets: impl Iterator<Item = u64>) {
        for offset in offsets {
            let bytes = offset.to_be_bytes();
            let bytes = if self.is_64_bit { &bytes[..] } else { &bytes[4..] };
            head[self.at..self.at + bytes.len()].copy_from_slice(bytes);
            self.at += bytes.len();
        }
    }
}

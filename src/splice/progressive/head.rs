//! The head of the joined file: its ftyp, its moov, and the header of its mdat. Knows where each
//! chunk will be, as the head's own length does not depend on it.

use super::chunks::Chunks;
use super::{ParsedTrack, Selection, moov};
use crate::container::isobmff::boxed;
use crate::error::Unsupported;
use crate::splice::edits::{Edit, Rescale};
use crate::splice::headers::mvhd;

/// A brand: which rules a file follows (§4.3).
pub(super) type Brand = [u8; 4];

/// What the joined file follows in any case.
const BRANDS: [&Brand; 4] = [b"isom", b"iso2", b"mp41", b"mp42"];
/// What it follows if one of the inputs does: rules for what is copied, not for the layout.
const KEPT: [&Brand; 6] = [b"iso4", b"iso5", b"iso6", b"avc1", b"av01", b"dby1"];

/// The ftyp for inputs of these brands.
pub(super) fn ftyp(inputs: &[&[Brand]]) -> Vec<u8> {
    let kept = KEPT.into_iter().filter(|kept| inputs.iter().any(|of| of.contains(kept)));
    let brands: Vec<Brand> = BRANDS.into_iter().chain(kept).copied().collect();
    boxed(b"ftyp", &[b"isom", &0x200u32.to_be_bytes(), brands.as_flattened()])
}

/// The ftyp of a QuickTime file.
pub(super) fn quicktime() -> Vec<u8> {
    boxed(b"ftyp", &[QUICKTIME, &0x200u32.to_be_bytes(), QUICKTIME])
}

/// What QuickTime files call themselves.
pub(super) const QUICKTIME: &Brand = b"qt  ";

/// All that the joined file is made of.
pub(super) struct MovieBuilder<'a> {
    pub(super) tracks: &'a [ParsedTrack<'a>],
    pub(super) selections: &'a [Selection],
    pub(super) chunks: &'a [Chunks],
    /// Its time scale.
    pub(super) scale: u32,
}

/// Boxes that are being written.
#[derive(Default)]
pub(super) struct BoxWriter {
    pub(super) bytes: Vec<u8>,
}

impl BoxWriter {
    /// A box of this type in which there will be what `fill` writes.
    pub(super) fn within<T>(
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

impl MovieBuilder<'_> {
    /// Everything in front of the first of `media` bytes, and how long the film is in its time scale.
    pub(super) fn head(
        &self,
        ftyp: &[u8],
        udta: &[u8],
        media: u64,
    ) -> Result<(Vec<u8>, u64), Unsupported> {
        let durations = self.tracks.iter().zip(self.selections);
        let durations = durations.map(|(track, selection)| self.duration(track, selection));
        let durations = durations.collect::<Result<Vec<_>, _>>()?;
        let longest = durations.iter().copied().max().unwrap_or(0);
        let mut head = self.written(ftyp, udta, &durations, media, false)?;
        if u32::try_from(head.0.len() as u64 + media).is_err() {
            head = self.written(ftyp, udta, &durations, media, true)?;
        }
        let (mut bytes, offsets) = head;
        let media = bytes.len() as u64;
        for (offsets, chunks) in offsets.into_iter().zip(self.chunks) {
            offsets.write(&mut bytes, chunks.offsets.iter().map(|offset| media + offset));
        }
        Ok((bytes, longest))
    }

    /// How long a track is shown.
    fn duration(&self, track: &ParsedTrack<'_>, selection: &Selection) -> Result<u64, Unsupported> {
        let scale = Rescale { from: track.trak.scale, to: self.scale };
        let shown = |edit: &Edit| match edit {
            // It lasts to the end of the media.
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
            sum.checked_add(shown(edit)?)
                .ok_or(Unsupported("the file has timestamps that are too large"))
        })
    }

    /// The head with all offsets 0, and where they are in it.
    fn written(
        &self,
        ftyp: &[u8],
        udta: &[u8],
        durations: &[u64],
        media: u64,
        wide: bool,
    ) -> Result<(Vec<u8>, Vec<Offsets>), Unsupported> {
        let mut out = BoxWriter { bytes: ftyp.to_vec() };
        let offsets = out.within(b"moov", |out| {
            let longest = durations.iter().copied().max().unwrap_or(0);
            let next = self.tracks.len() as u32 + 1;
            out.bytes.extend(mvhd(self.scale, longest, next));
            let mut offsets = Vec::new();
            for (place, duration) in durations.iter().enumerate() {
                let at = moov::trak(out, self, place, *duration, wide)?;
                offsets.push(Offsets { at, wide });
            }
            out.bytes.extend(udta);
            Ok(offsets)
        })?;
        match u32::try_from(media + 8) {
            Ok(len) => out.bytes.extend([len.to_be_bytes(), *b"mdat"].as_flattened()),
            Err(_) => {
                out.bytes.extend([1u32.to_be_bytes(), *b"mdat"].as_flattened());
                out.bytes.extend((media + 16).to_be_bytes());
            }
        }
        Ok((out.bytes, offsets))
    }
}

/// Where the offsets of the chunks of a track are to be written.
struct Offsets {
    at: usize,
    wide: bool,
}

impl Offsets {
    fn write(mut self, head: &mut [u8], offsets: impl Iterator<Item = u64>) {
        for offset in offsets {
            let bytes = offset.to_be_bytes();
            let bytes = if self.wide { &bytes[..] } else { &bytes[4..] };
            head[self.at..self.at + bytes.len()].copy_from_slice(bytes);
            self.at += bytes.len();
        }
    }
}

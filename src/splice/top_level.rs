//! The boxes that a file consists of: where its moov is, and where its media. Reads headers, and the
//! moov whole; must never read media to get past it.

use std::ops::Range;

use super::{MAX_READ, ReadAt, SurveyError, Unsupported};
use crate::container::completeness::Incomplete;
use crate::container::isobmff::{Header, header};
use crate::container::probe::PROBE_SIZE;

/// The longest moov: one of five hours has some 9 MiB.
const MAX_MOOV: u64 = 32 << 20;
/// How many boxes are passed by until what is looked for has come.
const MOST_BOXES: usize = 64;
/// How much is looked at where a box begins far from the front. Whatever is small is all in it.
const AHEAD: u64 = 64 << 10;

const PAST_END: Incomplete = Incomplete("a box runs past the end of the file");

/// A walk along the boxes of a file.
pub(super) struct TopLevelBoxes<'a> {
    look: &'a mut dyn ReadAt,
    /// What was looked at last, and where it begins.
    window: (u64, Vec<u8>),
    /// Where the next box begins.
    at: u64,
    boxes: usize,
    media: Vec<Range<u64>>,
    brands: Vec<[u8; 4]>,
}

/// A box of the file.
struct Passed {
    kind: [u8; 4],
    /// Without its header.
    payload: Range<u64>,
}

impl<'a> TopLevelBoxes<'a> {
    pub(super) fn new(look: &'a mut dyn ReadAt) -> TopLevelBoxes<'a> {
        let window = (0, Vec::new());
        TopLevelBoxes { look, window, at: 0, boxes: 0, media: Vec::new(), brands: Vec::new() }
    }

    /// What the file calls itself: its major brand and those it is compatible with.
    pub(super) fn brands(&self) -> &[[u8; 4]] {
        &self.brands
    }

    /// Refuses QuickTime: its sample descriptions have other fields, and only the brand says so.
    pub(super) fn refuse_quicktime(&self) -> Result<(), Unsupported> {
        let is_quicktime = self.brands.contains(b"qt  ");
        if is_quicktime { Err(Unsupported("it is a QuickTime file")) } else { Ok(()) }
    }

    /// Where the next box begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// What is in the moov.
    pub(super) fn moov(&mut self) -> Result<Vec<u8>, SurveyError> {
        loop {
            let Some(Passed { kind, payload }) = self.next_box()? else {
                return Err(Unsupported("it has no index (moov)").into());
            };
            if kind == *b"moov" {
                return self.read(payload, MAX_MOOV, "its index is too long");
            }
        }
    }

    /// Where the media are, as far as they begin in front of `end`.
    pub(super) fn media_up_to(mut self, end: u64) -> Result<Vec<Range<u64>>, SurveyError> {
        while self.at < end && self.next_box()?.is_some() {}
        if end > self.look.len() {
            return Err(Incomplete("samples are behind its end").into());
        }
        Ok(self.media)
    }

    /// Passes by all boxes.
    pub(super) fn check_all(&mut self) -> Result<(), SurveyError> {
        while self.next_box()?.is_some() {}
        Ok(())
    }

    /// Passes by the next box; notes what it tells of the file.
    fn next_box(&mut self) -> Result<Option<Passed>, SurveyError> {
        let left = self.look.len().saturating_sub(self.at);
        if left < 8 {
            return Ok(None);
        }
        self.boxes += 1;
        if self.boxes > MOST_BOXES {
            return Err(Unsupported("it consists of too many boxes").into());
        }
        let bytes = self.bytes(self.at, 16, AHEAD)?;
        let Some(Header { kind, header, len }) = header(bytes) else {
            return Err(Unsupported("a box is malformed").into());
        };
        let len = len.unwrap_or(left);
        if len > left {
            return Err(PAST_END.into());
        }
        let payload = self.at + header as u64..self.at + len;
        self.at = payload.end;
        match &kind {
            b"mdat" => self.media.push(payload.clone()),
            b"moof" => return Err(Unsupported("it has fragments").into()),
            b"ftyp" if self.brands.is_empty() => {
                let ftyp = self.read(payload.clone(), 1024, "its ftyp is too long")?;
                let brands = ftyp.chunks_exact(4).enumerate().filter(|(place, _)| *place != 1);
                self.brands = brands.filter_map(|(_, brand)| brand.try_into().ok()).collect();
            }
            _ => {}
        }
        Ok(Some(Passed { kind, payload }))
    }

    /// All of this range, and a look at what is behind it, so that the next header costs nothing.
    fn read(
        &mut self,
        range: Range<u64>,
        most: u64,
        too_long: &'static str,
    ) -> Result<Vec<u8>, SurveyError> {
        let len = range.end - range.start;
        if len > most {
            return Err(Unsupported(too_long).into());
        }
        let mut read = Vec::new();
        while (read.len() as u64) < len {
            let at = range.start + read.len() as u64;
            let left = range.end - at;
            let bytes = self.bytes(at, left.min(MAX_READ), left + 4096)?;
            let some = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            read.extend_from_slice(&bytes[..some]);
        }
        Ok(read)
    }

    /// The bytes at `at`: as many as are at hand, if they are at least `least` or all there are.
    /// Otherwise `most` of them are looked at; near the front, where every byte is waited for, no
    /// more than must be.
    fn bytes(&mut self, at: u64, least: u64, most: u64) -> Result<&[u8], SurveyError> {
        let len = self.look.len();
        let (start, window) = &self.window;
        let end = start + window.len() as u64;
        if at < *start || at.saturating_add(least).min(len) > end {
            let [least, most] =
                [least, most.clamp(least, MAX_READ)].map(|count| at.saturating_add(count).min(len));
            let is_near = least <= PROBE_SIZE as u64;
            let end = if is_near { least.max(self.look.buffered_len().min(most)) } else { most };
            self.window = (at, self.look.read_at(at..end)?.into_owned());
        }
        let from = usize::try_from(at - self.window.0).unwrap_or(usize::MAX);
        match self.window.1.get(from..) {
            Some(bytes) if !bytes.is_empty() => Ok(bytes),
            _ => Err(PAST_END.into()),
        }
    }
}

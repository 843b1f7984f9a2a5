//! [`TopLevelBoxes`] walks along the top-level boxes of an MP4 file to find its moov and its media
//! data. It reads box headers and the moov. **Invariant:** it never reads media data to get past it.

use std::ops::Range;

use super::{MAX_READ, ReadAt, SurveyError, Unsupported};
use crate::container::completeness::Incomplete;
use crate::container::isobmff::{Header, header};
use crate::container::probe::PROBE_SIZE;

/// The longest moov: five hours of media need some 9 MiB.
const MAX_MOOV: u64 = 32 << 20;
/// The maximum number of boxes to walk over.
const MAX_BOXES: usize = 64;
/// How much is read at a box header beyond the buffered start. Small boxes fit in it completely.
const HEADER_READ: u64 = 64 << 10;

const PAST_END: Incomplete = Incomplete("a box runs past the end of the file");

/// A walk along the top-level boxes of a file.
pub(super) struct TopLevelBoxes<'a> {
    reader: &'a mut dyn ReadAt,
    /// The offset and the bytes of the last read.
    window: (u64, Vec<u8>),
    /// The offset of the next box.
    at: u64,
    boxes: usize,
    media: Vec<Range<u64>>,
    brands: Vec<[u8; 4]>,
}

/// A top-level box.
struct TopLevelBox {
    kind: [u8; 4],
    /// The byte range of the payload, without the header.
    payload: Range<u64>,
}

impl<'a> TopLevelBoxes<'a> {
    pub(super) fn new(reader: &'a mut dyn ReadAt) -> TopLevelBoxes<'a> {
        let window = (0, Vec::new());
        TopLevelBoxes { reader, window, at: 0, boxes: 0, media: Vec::new(), brands: Vec::new() }
    }

    /// Returns the major brand and the compatible brands of the file (ftyp, §4.3).
    pub(super) fn brands(&self) -> &[[u8; 4]] {
        &self.brands
    }

    /// Refuses QuickTime: its sample descriptions have other fields, and only the brand tells.
    pub(super) fn refuse_quicktime(&self) -> Result<(), Unsupported> {
        let is_quicktime = self.brands.contains(b"qt  ");
        if is_quicktime { Err(Unsupported("the file is QuickTime")) } else { Ok(()) }
    }

    /// Returns the offset of the next box.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Walks to the moov and returns its payload.
    pub(super) fn moov(&mut self) -> Result<Vec<u8>, SurveyError> {
        loop {
            let Some(TopLevelBox { kind, payload }) = self.next_box()? else {
                return Err(Unsupported("the file has no index (moov)").into());
            };
            if kind == *b"moov" {
                return self.read(payload, MAX_MOOV, "the index (moov) is too long");
            }
        }
    }

    /// Returns the byte ranges of the media data (mdat) that begins before `end`.
    pub(super) fn media_up_to(mut self, end: u64) -> Result<Vec<Range<u64>>, SurveyError> {
        while self.at < end && self.next_box()?.is_some() {}
        if end > self.reader.len() {
            return Err(Incomplete("samples lie past the end of the file").into());
        }
        Ok(self.media)
    }

    /// Walks over all boxes.
    pub(super) fn check_all(&mut self) -> Result<(), SurveyError> {
        while self.next_box()?.is_some() {}
        Ok(())
    }

    /// Walks over the next box and records its brands or media data.
    fn next_box(&mut self) -> Result<Option<TopLevelBox>, SurveyError> {
        let left = self.reader.len().saturating_sub(self.at);
        if left < 8 {
            return Ok(None);
        }
        self.boxes += 1;
        if self.boxes > MAX_BOXES {
            return Err(Unsupported("the file has too many top-level boxes").into());
        }
        let bytes = self.bytes(self.at, 16, HEADER_READ)?;
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
            b"moof" => {
                return Err(Unsupported(
                    "the file has fragments (moof) without declaring them (mvex)",
                )
                .into());
            }
            b"ftyp" if self.brands.is_empty() => {
                let ftyp = self.read(payload.clone(), 1024, "the ftyp box is too long")?;
                let brands = ftyp.chunks_exact(4).enumerate().filter(|(index, _)| *index != 1);
                self.brands = brands.filter_map(|(_, brand)| brand.try_into().ok()).collect();
            }
            _ => {}
        }
        Ok(Some(TopLevelBox { kind, payload }))
    }

    /// Returns all of `range`, and buffers some bytes after it so that the next header needs no
    /// further request.
    fn read(
        &mut self,
        range: Range<u64>,
        max: u64,
        too_long: &'static str,
    ) -> Result<Vec<u8>, SurveyError> {
        let len = range.end - range.start;
        if len > max {
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

    /// Returns the buffered bytes at `at`, if they are at least `min` or reach the end of the file.
    /// Otherwise reads `max` bytes; within the prefetched start, where every byte is awaited, only
    /// as many as necessary.
    fn bytes(&mut self, at: u64, min: u64, max: u64) -> Result<&[u8], SurveyError> {
        let len = self.reader.len();
        let (start, window) = &self.window;
        let end = start + window.len() as u64;
        if at < *start || at.saturating_add(min).min(len) > end {
            let [min, max] =
                [min, max.clamp(min, MAX_READ)].map(|count| at.saturating_add(count).min(len));
            let is_near = min <= PROBE_SIZE as u64;
            let end = if is_near { min.max(self.reader.buffered_len().min(max)) } else { max };
            self.window = (at, self.reader.read_at(at..end)?.into_owned());
        }
        let from = usize::try_from(at - self.window.0).unwrap_or(usize::MAX);
        match self.window.1.get(from..) {
            Some(bytes) if !bytes.is_empty() => Ok(bytes),
            _ => Err(PAST_END.into()),
        }
    }
}

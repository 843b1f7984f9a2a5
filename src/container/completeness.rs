//! [`Completeness`] checks whether a file is complete by its own structure: its boxes, elements, pages,
//! chunks or frames declare their lengths. A file that was truncated before it was put on a server
//! arrives without any network error, so that nothing else reveals the missing end. Pure.
//!
//! **Invariant:** what is buffered is bounded by the length of a header, never by a length that a file
//! claims.

use std::fmt;

use crate::container::probe::Format;

mod boxes;
mod chunks;
mod elements;
mod flac;
mod flv;
mod frames;
mod packets;
mod pages;
#[cfg(test)]
mod tests;

pub(super) use frames::id3_len;

/// The error that the end of a file is missing; with the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incomplete(pub &'static str);

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The maximum length of a unit's header.
const MAX_HEADER: usize = 512;

/// Checks the bytes of a file as they arrive.
pub struct Completeness {
    structure: Box<dyn Structure>,
    /// The length of the file, if it is known.
    len: Option<u64>,
    offset: u64,
    /// The end of the current unit; `None` once the structure tells nothing more.
    unit_end: Option<u64>,
    /// The first bytes of a unit whose header is still incomplete.
    header: Vec<u8>,
}

/// A unit of a file, by its header.
#[derive(Debug, PartialEq, Eq)]
enum Unit {
    /// More of the header is needed.
    NeedMore,
    /// The unit has this length, which is not 0.
    Len(u64),
    /// The unit extends to the end of the file, or is unknown.
    Open,
}

/// The structure of files of one format.
trait Structure: Send {
    /// Parses the unit at `offset`, which begins with `bytes`; these may extend past it.
    fn unit(&mut self, offset: u64, bytes: &[u8]) -> Unit;

    /// Returns the minimum length of the file, by what was read so far.
    fn min_len(&self) -> u64 {
        0
    }

    /// Returns whether an incomplete header at the end is the start of a unit rather than padding.
    fn is_begun(&self, header: &[u8]) -> bool {
        header.iter().any(|byte| *byte != 0)
    }

    /// Checks whether the file may end after a complete unit.
    fn end(&self) -> Result<(), Incomplete> {
        Ok(())
    }
}

impl Completeness {
    /// Returns a check for a file of `format`, of `len` bytes if that is known.
    pub fn new(format: Format, len: Option<u64>) -> Completeness {
        let structure: Box<dyn Structure> = match format {
            Format::Mp4 => Box::new(boxes::Boxes::default()),
            Format::Webm | Format::Matroska => Box::new(elements::Elements::default()),
            Format::Ogg => Box::new(pages::Pages::default()),
            Format::Wav => Box::new(chunks::Chunks::riff()),
            Format::Flac => Box::new(flac::Flac::default()),
            Format::Flv => Box::new(flv::Flv::default()),
            Format::MpegTs => Box::new(packets::Packets),
            Format::Aiff => Box::new(chunks::Chunks::aiff()),
            Format::Wave64 => Box::new(chunks::Chunks::wave64()),
            Format::Au => Box::new(chunks::Chunks::au()),
            Format::Mp3 | Format::Adts | Format::Ac3 | Format::Eac3 => {
                Box::new(frames::Frames::new(format))
            }
        };
        Completeness { structure, len, offset: 0, unit_end: Some(0), header: Vec::new() }
    }

    /// Checks the next bytes. An error is reported as soon as it is certain, at the latest with the last
    /// byte of a file of known length.
    pub fn see(&mut self, mut bytes: &[u8]) -> Result<(), Incomplete> {
        while !bytes.is_empty() {
            let within = usize::try_from(self.unread()).unwrap_or(usize::MAX).min(bytes.len());
            if within > 0 {
                self.skip(within as u64)?;
                bytes = &bytes[within..];
            } else {
                bytes = self.read_header(bytes)?;
            }
        }
        Ok(())
    }

    /// Returns how many of the next bytes may be sent without being [seen](Completeness::see): payload,
    /// except the last byte of the file.
    pub fn skippable(&self) -> u64 {
        let before_last = self.len.map_or(u64::MAX, |len| len.saturating_sub(self.offset + 1));
        self.unread().min(before_last)
    }

    /// Returns how many bytes are left of the current unit.
    fn unread(&self) -> u64 {
        self.unit_end.map_or(u64::MAX, |end| end.saturating_sub(self.offset))
    }

    /// Skips payload bytes.
    pub fn skip(&mut self, count: u64) -> Result<(), Incomplete> {
        self.offset += count;
        if self.len == Some(self.offset) { self.end() } else { Ok(()) }
    }

    /// Checks the end of a file whose length was not known; it must be called there.
    pub fn end(&self) -> Result<(), Incomplete> {
        let is_within = self.unit_end.is_some_and(|end| self.offset < end);
        if is_within || self.structure.is_begun(&self.header) {
            return Err(PAST_END);
        }
        self.holds(self.structure.min_len(), Some(self.offset))?;
        self.structure.end()
    }

    /// Parses a header and returns the bytes after it.
    fn read_header<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Incomplete> {
        let begin = self.offset - self.header.len() as u64;
        let unit = if self.header.is_empty() {
            self.structure.unit(begin, bytes)
        } else {
            let used = bytes.len().min(MAX_HEADER.saturating_sub(self.header.len()));
            let header = [&self.header, &bytes[..used]].concat();
            self.structure.unit(begin, &header)
        };
        match unit {
            Unit::NeedMore if self.header.len() + bytes.len() <= MAX_HEADER => {
                self.header.extend_from_slice(bytes);
                self.skip(bytes.len() as u64)?;
                return Ok(&[]);
            }
            // A unit is at least as long as the bytes that were too few for its header.
            Unit::Len(len) if len > 0 && len >= self.header.len() as u64 => {
                let end = begin.checked_add(len).ok_or(PAST_END)?;
                self.holds(end, self.len)?;
                self.unit_end = Some(end);
            }
            _ => self.unit_end = None,
        }
        self.header.clear();
        self.holds(self.structure.min_len(), self.len)?;
        Ok(bytes)
    }

    fn holds(&self, needed: u64, len: Option<u64>) -> Result<(), Incomplete> {
        if len.is_some_and(|len| needed > len) { Err(PAST_END) } else { Ok(()) }
    }
}

const PAST_END: Incomplete = Incomplete("the file is shorter than it declares");

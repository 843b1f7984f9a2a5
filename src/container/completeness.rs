//! Whether a file is complete, as far as it tells itself: its boxes, elements, pages, chunks or
//! frames say how long they are. A file that was cut before it was put on a server arrives without
//! any error, so that nothing else shows that its end is missing. Pure.
//!
//! **Invariant:** what is held is bounded by a header's length, never by a length that a file claims.

use std::fmt;

use crate::container::probe::Format;

mod boxes;
mod chunks;
mod elements;
mod flac;
mod flv;
mod frames;
mod pages;
#[cfg(test)]
mod tests;

/// A file lacks its end; how that shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incomplete(pub &'static str);

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// No header of a unit is longer.
const MAX_HEADER: usize = 512;

/// Follows the bytes of a file from the first one on.
pub struct Completeness {
    structure: Box<dyn Structure>,
    /// The length of the file, if it is known.
    len: Option<u64>,
    offset: u64,
    /// Where the current unit ends; `None` once nothing says more about the end of the file.
    unit_end: Option<u64>,
    /// The beginning of a unit whose header is not here yet.
    header: Vec<u8>,
}

/// A unit that a file consists of, as its header tells.
#[derive(Debug, PartialEq, Eq)]
enum Unit {
    /// More of its header is needed.
    NeedMore,
    /// It has this length, which is not 0.
    Len(u64),
    /// It reaches to the end of the file, or nothing is known of what comes here.
    Open,
}

/// How files of one format are made of units.
trait Structure: Send {
    /// Reads the unit at `offset`, which begins with `bytes`; these may go on behind it.
    fn unit(&mut self, offset: u64, bytes: &[u8]) -> Unit;

    /// The least length of the file, as what was read so far tells.
    fn min_len(&self) -> u64 {
        0
    }

    /// Whether bytes that are no whole header are the beginning of a unit rather than padding.
    fn is_begun(&self, header: &[u8]) -> bool {
        header.iter().any(|byte| *byte != 0)
    }

    /// What is missing when the file ends behind a whole unit.
    fn end(&self) -> Result<(), Incomplete> {
        Ok(())
    }
}

impl Completeness {
    /// Follows a file of `format`, of `len` bytes if that is known.
    pub fn new(format: Format, len: Option<u64>) -> Completeness {
        let structure: Box<dyn Structure> = match format {
            Format::Mp4 => Box::new(boxes::Boxes::default()),
            Format::Webm | Format::Matroska => Box::new(elements::Elements::default()),
            Format::Ogg => Box::new(pages::Pages::default()),
            Format::Wav => Box::new(chunks::Chunks::riff()),
            Format::Flac => Box::new(flac::Flac::default()),
            Format::Flv => Box::new(flv::Flv::default()),
            Format::Aiff => Box::new(chunks::Chunks::aiff()),
            Format::Wave64 => Box::new(chunks::Chunks::wave64()),
            Format::Au => Box::new(chunks::Chunks::au()),
            Format::Mp3 | Format::Adts | Format::Ac3 | Format::Eac3 => {
                Box::new(frames::Frames::new(format))
            }
        };
        Completeness { structure, len, offset: 0, unit_end: Some(0), header: Vec::new() }
    }

    /// Reads the next bytes. An error comes as soon as it is certain, at the latest with the last
    /// byte of a file whose length is known.
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

    /// How many of the next bytes may be sent on without being [seen](Completeness::see): those that
    /// tell nothing, but for the last byte of the file.
    pub fn skippable(&self) -> u64 {
        let before_last = self.len.map_or(u64::MAX, |len| len.saturating_sub(self.offset + 1));
        self.unread().min(before_last)
    }

    /// How much is left of the current unit.
    fn unread(&self) -> u64 {
        self.unit_end.map_or(u64::MAX, |end| end.saturating_sub(self.offset))
    }

    /// Passes over bytes that tell nothing.
    pub fn skip(&mut self, count: u64) -> Result<(), Incomplete> {
        self.offset += count;
        if self.len == Some(self.offset) { self.end() } else { Ok(()) }
    }

    /// Must be called at the end of a file whose length was not known.
    pub fn end(&self) -> Result<(), Incomplete> {
        let is_within = self.unit_end.is_some_and(|end| self.offset < end);
        if is_within || self.structure.is_begun(&self.header) {
            return Err(PAST_END);
        }
        self.holds(self.structure.min_len(), Some(self.offset))?;
        self.structure.end()
    }

    /// Reads a header; what follows the bytes that were taken for it.
    fn read_header<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Incomplete> {
        let begin = self.offset - self.header.len() as u64;
        let unit = if self.header.is_empty() {
            self.structure.unit(begin, bytes)
        } else {
            let taken = bytes.len().min(MAX_HEADER.saturating_sub(self.header.len()));
            let header = [&self.header, &bytes[..taken]].concat();
            self.structure.unit(begin, &header)
        };
        match unit {
            Unit::NeedMore if self.header.len() + bytes.len() <= MAX_HEADER => {
                self.header.extend_from_slice(bytes);
                self.skip(bytes.len() as u64)?;
                return Ok(&[]);
            }
            // What its first bytes were not enough for is at least as long as they are.
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

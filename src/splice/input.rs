//! The input and output of [`Plan::write_range`](super::Plan::write_range): [`TrackInput`] reads the
//! bytes of one track, [`RangeWriter`] lets one byte range of the joined file through.

use std::ops::Range;

use crate::error::{Error, UpstreamError};
use crate::media::TrackKind;

/// Below this length the zero-copy path is not faster than copying.
const MIN_ZERO_COPY: u64 = 32 << 10;

/// The bytes of one track, read in order.
pub struct TrackInput<'a> {
    track: TrackKind,
    source: Box<dyn ChunkSource + 'a>,
    chunk: Vec<u8>,
    filled: usize,
    used: usize,
    /// The offset of the next byte in the file of the track.
    at: u64,
    /// Bytes that are never read, and that the source does not deliver.
    gap: Range<u64>,
    joined: Vec<u8>,
    /// Buffers for media that is collected, which are used again: to allocate them takes longer than to fill
    /// them.
    pub(super) buffers: Vec<Vec<u8>>,
}

/// A source of the bytes of one track.
pub trait ChunkSource {
    /// Returns a buffer with the next bytes and their count, and takes back the buffer `room` of
    /// the chunk before.
    fn next_chunk(&mut self, room: Vec<u8>) -> Result<(Vec<u8>, usize), Error>;

    /// Sends up to `max` of the next bytes to the sink of the joined file without copying them to
    /// user space. Returns how many; 0 if they have to be read instead.
    fn splice_to_sink(&mut self, max: u64) -> Result<u64, Error> {
        let _ = max;
        Ok(0)
    }

    /// Announces that the next `max` bytes are not needed. Returns how many of them the source
    /// omits; 0 if it delivers them anyway.
    fn skip(&mut self, max: u64) -> Result<u64, Error> {
        let _ = max;
        Ok(0)
    }
}

impl<F: FnMut(Vec<u8>) -> Result<(Vec<u8>, usize), Error>> ChunkSource for F {
    fn next_chunk(&mut self, room: Vec<u8>) -> Result<(Vec<u8>, usize), Error> {
        self(room)
    }
}

impl<'a> TrackInput<'a> {
    /// Returns the bytes of `track` from offset `at` on.
    pub fn new(track: TrackKind, at: u64, source: impl ChunkSource + 'a) -> TrackInput<'a> {
        let (chunk, joined) = (Vec::new(), Vec::new());
        TrackInput {
            track,
            source: Box::new(source),
            chunk,
            filled: 0,
            used: 0,
            at,
            gap: 0..0,
            joined,
            buffers: Vec::new(),
        }
    }

    /// Omits the bytes `gap`, which must begin at the end of a chunk.
    pub fn without(self, gap: Range<u64>) -> TrackInput<'a> {
        TrackInput { gap, ..self }
    }

    /// Returns the offset of the next byte in the file of the track.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Returns the error that the bytes contradict the index of their own file.
    pub fn mismatch(&self, why: &'static str) -> Error {
        Error::Upstream { track: self.track, fault: UpstreamError::IndexMismatch(why) }
    }

    fn fill(&mut self) -> Result<(), Error> {
        if self.gap.contains(&self.at) {
            return Err(self.mismatch("the file layout changed since its index was read"));
        }
        while self.used == self.filled {
            (self.chunk, self.filled) = self.source.next_chunk(std::mem::take(&mut self.chunk))?;
            self.used = 0;
        }
        Ok(())
    }

    /// Returns the next bytes as far as they are buffered: at least one, at most `max`, which must
    /// not be 0.
    pub fn read_some(&mut self, max: u64) -> Result<&mut [u8], Error> {
        self.fill()?;
        let from = self.used;
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        self.used += max.min(self.filled - from);
        self.at += (self.used - from) as u64;
        Ok(&mut self.chunk[from..self.used])
    }

    /// Sends up to `max` of the next bytes to the sink without copying; returns how many.
    fn splice_to_sink(&mut self, max: u64) -> Result<u64, Error> {
        // Buffered bytes precede those.
        if self.used < self.filled || self.gap.contains(&self.at) {
            return Ok(0);
        }
        let before = self.gap.start.checked_sub(self.at).filter(|before| *before > 0);
        let max = max.min(before.unwrap_or(u64::MAX));
        let count = if max < MIN_ZERO_COPY { 0 } else { self.source.splice_to_sink(max)? };
        self.at += count;
        Ok(count)
    }

    /// Returns exactly the next `count` bytes, at most [`MAX_ELEMENT`](super::MAX_ELEMENT).
    pub fn read_exact(&mut self, count: usize) -> Result<&mut [u8], Error> {
        if count > super::MAX_ELEMENT {
            return Err(self.mismatch("an element is too large"));
        }
        if count == 0 {
            return Ok(&mut []);
        }
        if self.used + count <= self.filled {
            return self.read_some(count as u64);
        }
        let mut joined = std::mem::take(&mut self.joined);
        joined.clear();
        while joined.len() < count {
            let left = (count - joined.len()) as u64;
            joined.extend_from_slice(self.read_some(left)?);
        }
        self.joined = joined;
        Ok(&mut self.joined)
    }

    /// Returns at least the next `count` bytes, which the source must have, and reads them again later.
    pub fn peek(&mut self, count: usize) -> Result<&[u8], Error> {
        while self.filled - self.used < count {
            let (chunk, filled) = self.source.next_chunk(Vec::new())?;
            self.chunk.truncate(self.filled);
            self.chunk.drain(..self.used);
            self.chunk.extend_from_slice(&chunk[..filled]);
            (self.used, self.filled) = (0, self.chunk.len());
        }
        Ok(&self.chunk[self.used..self.filled])
    }

    /// Skips everything before offset `at`.
    pub fn skip_to(&mut self, at: u64) -> Result<(), Error> {
        if at < self.at {
            return Err(self.mismatch("the planned byte ranges are not in file order"));
        }
        while self.at < at {
            if self.gap.contains(&self.at) && at >= self.gap.end {
                self.at = self.gap.end;
                continue;
            }
            let left = at - self.at;
            if self.used == self.filled {
                let count = self.source.skip(left)?;
                if count > left {
                    return Err(self.mismatch("the planned byte ranges are not in file order"));
                }
                if count > 0 {
                    self.at += count;
                    continue;
                }
            }
            let before = self.gap.start.saturating_sub(self.at);
            self.read_some(if before > 0 { left.min(before) } else { left })?;
        }
        Ok(())
    }
}

/// Lets the requested byte range through: all bytes of an extent are written to it, and those
/// outside the range are dropped.
pub struct RangeWriter<'a> {
    at: u64,
    range: Range<u64>,
    send: &'a mut dyn FnMut(&[u8]) -> Result<(), Error>,
}

impl<'a> RangeWriter<'a> {
    /// Lets `range` through, of bytes that begin at offset `at` of the joined file.
    pub fn new(
        at: u64,
        range: Range<u64>,
        send: &'a mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> RangeWriter<'a> {
        RangeWriter { at, range, send }
    }

    /// Returns the offset of the next byte in the joined file.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Returns whether the range is complete.
    pub fn is_over(&self) -> bool {
        self.at >= self.range.end
    }

    /// Returns whether the range does not end before the next `len` bytes do.
    pub fn reaches(&self, len: u64) -> bool {
        self.at + len <= self.range.end
    }

    /// Writes the next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let len = bytes.len() as u64;
        let clip = |at: u64| at.saturating_sub(self.at).min(len);
        // Both are at most the length of a slice.
        let (from, to) = (clip(self.range.start) as usize, clip(self.range.end) as usize);
        self.at += len;
        if from < to { (self.send)(&bytes[from..to]) } else { Ok(()) }
    }

    /// Copies the next `len` bytes from `input`.
    pub fn copy(&mut self, input: &mut TrackInput<'_>, len: u64) -> Result<(), Error> {
        let mut left = len;
        while left > 0 && !self.is_over() {
            if self.at >= self.range.start {
                let sent = input.splice_to_sink(left.min(self.range.end - self.at))?;
                (self.at, left) = (self.at + sent, left - sent);
                if sent > 0 {
                    continue;
                }
            }
            let run = input.read_some(left)?;
            left -= run.len() as u64;
            self.write(run)?;
        }
        Ok(())
    }

    /// Writes `len` zeros.
    pub fn write_zeros(&mut self, len: u64) -> Result<(), Error> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let mut left = len - self.skip_ahead(len);
        while left > 0 && !self.is_over() {
            let count = left.min(ZEROS.len() as u64);
            self.write(&ZEROS[..count as usize])?;
            left -= count;
        }
        Ok(())
    }

    /// Skips up to `max` bytes that precede the range; returns how many.
    pub fn skip_ahead(&mut self, max: u64) -> u64 {
        let ahead = self.range.start.saturating_sub(self.at).min(max);
        self.at += ahead;
        ahead
    }
}

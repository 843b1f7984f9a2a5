//! Where the bytes of a plan come from, and where they go.

use std::ops::Range;

use crate::error::{Error, UpstreamError};
use crate::media::TrackKind;

/// Fewer bytes than these are sent on no quicker unseen.
const WORTH_IT: u64 = 32 << 10;

/// The bytes of one track, in their order. Whoever makes a piece pulls what it needs.
pub struct TrackInput<'a> {
    track: TrackKind,
    flow: Box<dyn ChunkSource + 'a>,
    chunk: Vec<u8>,
    filled: usize,
    used: usize,
    /// Where the next byte is in the track's file.
    at: u64,
    /// Bytes that will not be asked for, and are not brought.
    gap: Range<u64>,
    gathered: Vec<u8>,
}

/// Where the bytes of one track come from.
pub trait ChunkSource {
    /// The next ones: room, and how much of it is filled. Takes back the room of those before.
    fn next_chunk(&mut self, room: Vec<u8>) -> Result<(Vec<u8>, usize), Error>;

    /// Sends up to `most` of the next ones on to where the joined file goes, without a look at them:
    /// how many, none if they must be looked at.
    fn splice_to_sink(&mut self, most: u64) -> Result<u64, Error> {
        let _ = most;
        Ok(0)
    }

    /// The next `most` bytes are not wanted: how many of them will not be brought. None, if they come
    /// anyway.
    fn skip(&mut self, most: u64) -> Result<u64, Error> {
        let _ = most;
        Ok(0)
    }
}

impl<F: FnMut(Vec<u8>) -> Result<(Vec<u8>, usize), Error>> ChunkSource for F {
    fn next_chunk(&mut self, room: Vec<u8>) -> Result<(Vec<u8>, usize), Error> {
        self(room)
    }
}

impl<'a> TrackInput<'a> {
    /// The bytes of `track` from the one at `at` on.
    pub fn new(track: TrackKind, at: u64, flow: impl ChunkSource + 'a) -> TrackInput<'a> {
        let (chunk, gathered) = (Vec::new(), Vec::new());
        TrackInput {
            track,
            flow: Box::new(flow),
            chunk,
            filled: 0,
            used: 0,
            at,
            gap: 0..0,
            gathered,
        }
    }

    /// The same, without these bytes, which must begin at the end of a chunk.
    pub fn without(self, gap: Range<u64>) -> TrackInput<'a> {
        TrackInput { gap, ..self }
    }

    /// Where the next byte is in the track's file.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// These bytes are not what the index of their own file says.
    pub fn mismatch(&self, why: &'static str) -> Error {
        Error::Upstream { track: self.track, fault: UpstreamError::IndexMismatch(why) }
    }

    fn fill(&mut self) -> Result<(), Error> {
        if self.gap.contains(&self.at) {
            return Err(self.mismatch("it is not laid out as it was"));
        }
        while self.used == self.filled {
            (self.chunk, self.filled) = self.flow.next_chunk(std::mem::take(&mut self.chunk))?;
            self.used = 0;
        }
        Ok(())
    }

    /// The next bytes, as many as are at hand: at least one, at most `most` (which must not be 0).
    pub fn read_some(&mut self, most: u64) -> Result<&mut [u8], Error> {
        self.fill()?;
        let from = self.used;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        self.used += most.min(self.filled - from);
        self.at += (self.used - from) as u64;
        Ok(&mut self.chunk[from..self.used])
    }

    /// Sends up to `most` of the next bytes on, unseen; how many.
    fn send_on(&mut self, most: u64) -> Result<u64, Error> {
        // Those that are here are before them.
        if self.used < self.filled || self.gap.contains(&self.at) {
            return Ok(0);
        }
        let before = self.gap.start.checked_sub(self.at).filter(|before| *before > 0);
        let most = most.min(before.unwrap_or(u64::MAX));
        let count = if most < WORTH_IT { 0 } else { self.flow.splice_to_sink(most)? };
        self.at += count;
        Ok(count)
    }

    /// Exactly the next `count` bytes, which must not be more than
    /// [`MAX_ELEMENT`](super::MAX_ELEMENT).
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
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.clear();
        while gathered.len() < count {
            let left = (count - gathered.len()) as u64;
            gathered.extend_from_slice(self.read_some(left)?);
        }
        self.gathered = gathered;
        Ok(&mut self.gathered)
    }

    /// Passes over everything before the byte at `at`.
    pub fn skip_to(&mut self, at: u64) -> Result<(), Error> {
        if at < self.at {
            return Err(self.mismatch("its pieces are not in the order of its file"));
        }
        while self.at < at {
            if self.gap.contains(&self.at) && at >= self.gap.end {
                self.at = self.gap.end;
                continue;
            }
            let left = at - self.at;
            if self.used == self.filled {
                let count = self.flow.skip(left)?;
                if count > left {
                    return Err(self.mismatch("its pieces are not in the order of its file"));
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

/// What of a piece is wanted. Everything is written to it; the rest does not get through.
pub struct RangeWriter<'a> {
    at: u64,
    part: Range<u64>,
    send: &'a mut dyn FnMut(&[u8]) -> Result<(), Error>,
}

impl<'a> RangeWriter<'a> {
    /// Lets `part` through, of bytes that begin at `at`.
    pub fn new(
        at: u64,
        part: Range<u64>,
        send: &'a mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> RangeWriter<'a> {
        RangeWriter { at, part, send }
    }

    /// Where the next byte will be in the joined file.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Whether nothing that is still to come is wanted.
    pub fn is_over(&self) -> bool {
        self.at >= self.part.end
    }

    /// Whether the last of the next `len` bytes is wanted, or something behind it.
    pub fn wants(&self, len: u64) -> bool {
        self.at + len <= self.part.end
    }

    /// The next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let len = bytes.len() as u64;
        let clip = |at: u64| at.saturating_sub(self.at).min(len);
        // Both are at most the length of a slice.
        let (from, to) = (clip(self.part.start) as usize, clip(self.part.end) as usize);
        self.at += len;
        if from < to { (self.send)(&bytes[from..to]) } else { Ok(()) }
    }

    /// The next `len` bytes, as they come from `input`.
    pub fn copy(&mut self, input: &mut TrackInput<'_>, len: u64) -> Result<(), Error> {
        let mut left = len;
        while left > 0 && !self.is_over() {
            if self.at >= self.part.start {
                let sent = input.send_on(left.min(self.part.end - self.at))?;
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

    /// Leaves out up to `most` bytes in front of the first one that is wanted; how many it were.
    pub fn skip_ahead(&mut self, most: u64) -> u64 {
        let ahead = self.part.start.saturating_sub(self.at).min(most);
        self.at += ahead;
        ahead
    }
}

//! Rewrites clusters (RFC 9559 §5.1.3) while they are copied: track number, timestamps in a trimmed
//! file, and elements that would no longer be true. Every change keeps the length.
//!
//! **Invariant:** a SimpleBlock is never buffered, only its header; and no unknown element is let
//! through.

use super::block::{BlockAction, Blocks};
use super::cut::{self, TimeWindow};
use super::entry::TrackEntry;
use super::ids;
use crate::container::ebml::{self, MAX_HEADER};
use crate::error::Error;
use crate::media::removal::Removal;
use crate::media::segments::Declared;
use crate::splice::place::Places;
use crate::splice::{RangeWriter, TrackInput};

/// The rewrite rules for clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRewriteRules {
    /// The number of each track in its input file.
    numbers: Vec<u8>,
    cut: Option<TimeWindow>,
    /// What is left out, in ticks of the input.
    removal: Removal,
    /// The time of each extent, in ticks.
    times: Vec<u64>,
    /// Nanoseconds per tick.
    scale: u64,
    /// What is declared of each extent that is a segment, and whether it is the last one of its track. Empty if no
    /// file is in segments.
    declared: Vec<Option<(Declared, bool)>>,
}

impl ClusterRewriteRules {
    /// Feeds `update` an unambiguous encoding, for a digest.
    pub(in crate::splice) fn encode(&self, update: &mut dyn FnMut(&[u8])) {
        // What segments are compared with changes no byte.
        let ClusterRewriteRules { numbers, cut, removal, times, .. } = self;
        update(&[numbers.len() as u8]);
        update(numbers);
        update(&[u8::from(cut.is_some())]);
        if let Some(TimeWindow { zero, until }) = cut {
            update(&zero.to_be_bytes());
            update(&until.to_be_bytes());
        }
        for time in times {
            update(&time.to_be_bytes());
        }
        for interval in removal.intervals() {
            update(&interval.start.to_be_bytes());
            update(&interval.end.to_be_bytes());
        }
    }

    /// Returns how many bytes of memory the rules occupy.
    pub(in crate::splice) fn memory_size(&self) -> usize {
        self.times.capacity() * size_of::<u64>()
            + self.declared.capacity() * size_of::<Option<(Declared, bool)>>()
    }

    pub(super) fn new(
        entries: &[&TrackEntry],
        (cut, removal): (Option<TimeWindow>, Removal),
        scale: u64,
    ) -> ClusterRewriteRules {
        let numbers = entries.iter().map(|entry| entry.number).collect();
        let (times, declared) = (Vec::new(), Vec::new());
        ClusterRewriteRules { numbers, cut, removal, times, scale, declared }
    }

    /// Records the time of the next extent, and what is declared of it if it is a segment.
    pub(super) fn push(&mut self, time: u64, declared: Option<(Declared, bool)>) {
        self.times.push(time);
        if declared.is_some() || !self.declared.is_empty() {
            self.declared.resize(self.times.len() - 1, None);
            self.declared.push(declared);
        }
    }

    /// Rewrites the extent of `track` whose `len` bytes come next from `input`; `index` is its index
    /// among all extents. `places` compares the segments of the track with their list.
    pub(in crate::splice) fn rewrite(
        &self,
        track: u8,
        index: usize,
        len: u64,
        input: &mut TrackInput<'_>,
        writer: &mut RangeWriter<'_>,
        places: &mut Places,
    ) -> Result<(), Error> {
        let expected_time = self.times.get(index).copied();
        let from = self.numbers.get(usize::from(track)).copied().unwrap_or(0);
        let blocks = Blocks::new((from, track + 1), expected_time, self.cut, &self.removal);
        let segment = match self.declared.get(index) {
            Some(Some((declared, is_last))) => {
                places.begin(Some(*declared), false).map_err(|why| input.mismatch(why))?;
                Some(PlacedSegment { places, scale: self.scale, is_last: *is_last })
            }
            _ => None,
        };
        ClusterRewriter { input, writer, blocks, segment, is_end: false }.run(len)
    }
}

/// A segment that is compared with its list while it is rewritten.
struct PlacedSegment<'p> {
    places: &'p mut Places,
    /// Nanoseconds per tick.
    scale: u64,
    /// Whether it is the last one.
    is_last: bool,
}

impl PlacedSegment<'_> {
    /// Adds a block, which is the end of the segment or not: once that is written, an error cannot be reported any
    /// more.
    fn add(&mut self, time: i64, is_end: bool) -> Result<(), &'static str> {
        let ticks = u64::try_from(time).unwrap_or(0);
        self.places.add(0, cut::on_clock(ticks, self.scale), None);
        if is_end { self.verify() } else { Ok(()) }
    }

    fn verify(&self) -> Result<(), &'static str> {
        self.places.verify(self.is_last)
    }
}

/// The header of an element, with room for the header of a block.
struct ElementHeader {
    id: u32,
    bytes: [u8; MAX_HEADER + Blocks::HEAD],
    len: usize,
    size: u64,
}

impl ElementHeader {
    /// Turns an element with an ID of one byte into a Void of the same length.
    fn void(&mut self) {
        self.bytes[0] = ids::VOID as u8;
    }

    fn len(&self) -> u64 {
        self.len as u64 + self.size
    }
}

struct ClusterRewriter<'p, 'i, 'w> {
    input: &'p mut TrackInput<'i>,
    writer: &'p mut RangeWriter<'w>,
    blocks: Blocks<'p>,
    segment: Option<PlacedSegment<'p>>,
    /// Whether the extent ends with the current element.
    is_end: bool,
}

impl ClusterRewriter<'_, '_, '_> {
    fn run(&mut self, len: u64) -> Result<(), Error> {
        let (mut left, mut is_first) = (len, true);
        while left > 0 && !self.writer.is_over() {
            let header = self.header(left)?;
            left -= header.len();
            self.is_end = left == 0 && header.id != ids::CLUSTER;
            match header.id {
                ids::CLUSTER => self.cluster(&header, left == 0)?,
                _ if is_first => return Err(self.mismatch("a cue does not point to a cluster")),
                ids::VOID => self.copy(&header)?,
                ids::CUES | ids::TAGS | ids::SEEK_HEAD | ids::ATTACHMENTS | ids::CHAPTERS => {
                    self.copy_as_void(&header)?;
                }
                _ => return Err(self.mismatch("an unexpected element lies between clusters")),
            }
            is_first = false;
        }
        Ok(())
    }

    /// Copies a cluster, with which the extent ends if it `is_last`.
    fn cluster(&mut self, cluster: &ElementHeader, is_last: bool) -> Result<(), Error> {
        self.writer.write(&cluster.bytes[..cluster.len])?;
        self.blocks.cluster();
        let mut left = cluster.size;
        while left > 0 && !self.writer.is_over() {
            let mut header = self.header(left)?;
            left -= header.len();
            self.is_end = is_last && left == 0;
            match header.id {
                ids::SIMPLE_BLOCK => self.block(header)?,
                ids::BLOCK_GROUP => self.group(header)?,
                ids::TIMESTAMP => self.timestamp(&header)?,
                ids::VOID => self.copy(&header)?,
                // These elements describe the position and the bytes of the cluster in the input.
                ids::POSITION | ids::PREV_SIZE | ids::CRC_32 => {
                    header.void();
                    self.copy(&header)?;
                }
                _ => return Err(self.mismatch("an unexpected element lies in a cluster")),
            }
        }
        if self.writer.is_over() { Ok(()) } else { self.check(|blocks| blocks.end()) }
    }

    fn timestamp(&mut self, header: &ElementHeader) -> Result<(), Error> {
        if header.size > 8 {
            return Err(self.mismatch("a cluster has a malformed timestamp"));
        }
        let mut bytes = [0; 8];
        let field = &mut bytes[8 - header.size as usize..];
        if !field.is_empty() {
            field.copy_from_slice(self.input.read_exact(field.len())?);
        }
        let time = u64::from_be_bytes(bytes);
        let time = self.check(|blocks| blocks.timestamp(time))?;
        // The new time is at most the old one, hence fits.
        self.writer.write(&header.bytes[..header.len])?;
        self.writer.write(&time.to_be_bytes()[8 - header.size as usize..])
    }

    fn block(&mut self, mut header: ElementHeader) -> Result<(), Error> {
        let Some(rest) = header.size.checked_sub(Blocks::HEAD as u64) else {
            return Err(self.mismatch("a block is too short"));
        };
        let end = header.len + Blocks::HEAD;
        header.bytes[header.len..end].copy_from_slice(self.input.read_exact(Blocks::HEAD)?);
        if self.check(|blocks| blocks.block(&mut header.bytes[header.len..end]))?
            == BlockAction::Drop
        {
            header.void();
        }
        if let Some(segment) = &mut self.segment {
            let placed = segment.add(self.blocks.last_time(), self.is_end);
            placed.map_err(|why| self.input.mismatch(why))?;
        }
        self.writer.write(&header.bytes[..end])?;
        self.writer.copy(self.input, rest)
    }

    /// Compares the segment with its list, if it ends with the current element, which is no block.
    fn verify_at_end(&self) -> Result<(), Error> {
        let Some(segment) = self.segment.as_ref().filter(|_| self.is_end) else { return Ok(()) };
        segment.verify().map_err(|why| self.input.mismatch(why))
    }

    /// Copies a BlockGroup, which is buffered completely: the block in it decides whether it is
    /// dropped, and groups are rare.
    fn group(&mut self, mut header: ElementHeader) -> Result<(), Error> {
        let size = usize::try_from(header.size).unwrap_or(usize::MAX);
        if size == 0 {
            return Err(self.mismatch("a BlockGroup has no Block"));
        }
        let bytes = self.input.read_exact(size)?;
        let action = self.blocks.group(bytes);
        if action == Ok(BlockAction::Drop) {
            header.void();
        }
        let placed = action.and_then(|_| match &mut self.segment {
            Some(segment) => segment.add(self.blocks.last_time(), self.is_end),
            None => Ok(()),
        });
        if placed.is_ok() {
            self.writer.write(&header.bytes[..header.len])?;
            self.writer.write(bytes)?;
        }
        placed.map_err(|why| self.mismatch(why))
    }

    /// Copies an element with its header as it is now.
    fn copy(&mut self, header: &ElementHeader) -> Result<(), Error> {
        self.verify_at_end()?;
        self.writer.write(&header.bytes[..header.len])?;
        self.writer.copy(self.input, header.size)
    }

    /// Turns an element with a longer ID into a Void of the same length.
    fn copy_as_void(&mut self, header: &ElementHeader) -> Result<(), Error> {
        self.verify_at_end()?;
        // The header may be longer than that of a Void can be; the rest of it goes into the Void.
        let width = (header.len - 1).min(8);
        let opening = ebml::opening(ids::VOID, header.len() - 1 - width as u64, width);
        self.writer.write(&opening)?;
        self.writer.write(&[0; MAX_HEADER][..header.len - opening.len()])?;
        self.writer.copy(self.input, header.size)
    }

    /// Reads the next header; its element must end within the `left` bytes of its parent.
    fn header(&mut self, left: u64) -> Result<ElementHeader, Error> {
        let mut header =
            ElementHeader { id: 0, bytes: [0; MAX_HEADER + Blocks::HEAD], len: 0, size: 0 };
        self.field(&mut header, 4, left)?;
        let id_len = header.len;
        self.field(&mut header, 8, left)?;
        let field = &header.bytes[..header.len];
        header.id =
            ebml::uint_of(&field[..id_len]).and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
        let Some(size) = ebml::size_of_field(&field[id_len..]) else {
            return Err(self.mismatch("a cluster or an element in it has an unknown size"));
        };
        header.size = size;
        if size > left - header.len as u64 {
            return Err(self.mismatch("the element sizes in a cluster do not add up"));
        }
        Ok(header)
    }

    /// Reads a variable-size integer and appends it to `header`.
    fn field(
        &mut self,
        header: &mut ElementHeader,
        max_width: usize,
        left: u64,
    ) -> Result<(), Error> {
        let room = usize::try_from(left).unwrap_or(usize::MAX) - header.len;
        if room == 0 {
            return Err(self.mismatch("the element sizes in a cluster do not add up"));
        }
        let first = self.input.read_exact(1)?[0];
        header.bytes[header.len] = first;
        let width = ebml::width(first);
        if width > max_width.min(room) {
            return Err(self.mismatch("expected an EBML element"));
        }
        if width > 1 {
            let rest = self.input.read_exact(width - 1)?;
            header.bytes[header.len + 1..header.len + width].copy_from_slice(rest);
        }
        header.len += width;
        Ok(())
    }

    fn check<T>(
        &mut self,
        by: impl FnOnce(&mut Blocks<'_>) -> Result<T, &'static str>,
    ) -> Result<T, Error> {
        by(&mut self.blocks).map_err(|why| self.input.mismatch(why))
    }

    fn mismatch(&self, why: &'static str) -> Error {
        self.input.mismatch(why)
    }
}

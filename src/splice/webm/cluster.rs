//! How clusters are changed on their way (RFC 9559 §5.1.3): the number of their track, their times
//! in a part of a film, and what would not be true any more. Every change keeps the width of what
//! it changes. Must never hold a block, only its head, nor let through what it does not know.

use super::block::{BlockAction, Blocks};
use super::cut::TimeWindow;
use super::entry::TrackEntry;
use super::ids;
use crate::container::ebml::{self, MAX_HEADER};
use crate::error::Error;
use crate::splice::{RangeWriter, TrackInput};

/// How clusters are changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRewriteRules {
    /// The number of each track in its own file.
    numbers: Vec<u8>,
    cut: Option<TimeWindow>,
    /// When each piece plays, in ticks of the film.
    times: Vec<u64>,
}

impl ClusterRewriteRules {
    /// Gives `update` an unambiguous encoding, for a digest.
    pub(in crate::splice) fn encode(&self, update: &mut dyn FnMut(&[u8])) {
        let ClusterRewriteRules { numbers, cut, times } = self;
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
    }

    /// What it takes to keep them in memory.
    pub(in crate::splice) fn memory_size(&self) -> usize {
        self.times.capacity() * size_of::<u64>()
    }

    pub(super) fn new(entries: &[&TrackEntry], cut: Option<TimeWindow>) -> ClusterRewriteRules {
        let numbers = entries.iter().map(|entry| entry.number).collect();
        ClusterRewriteRules { numbers, cut, times: Vec::new() }
    }

    /// Takes note of the next piece.
    pub(super) fn expect(&mut self, time: u64) {
        self.times.push(time);
    }

    /// Makes the piece of `track` whose `len` bytes come next from `input`; `place` is its own
    /// among all pieces.
    pub(in crate::splice) fn rewrite(
        &self,
        track: u8,
        place: usize,
        len: u64,
        input: &mut TrackInput<'_>,
        window: &mut RangeWriter<'_>,
    ) -> Result<(), Error> {
        let due = self.times.get(place).copied();
        let from = self.numbers.get(usize::from(track)).copied().unwrap_or(0);
        let blocks = Blocks::new(from, track + 1, due, self.cut);
        ClusterRewriter { input, window, blocks }.run(len)
    }
}

/// The header of an element, with room for the head of a block.
struct Head {
    id: u32,
    bytes: [u8; MAX_HEADER + Blocks::HEAD],
    len: usize,
    size: u64,
}

impl Head {
    /// An element with an ID of one byte becomes one that says nothing, of the same length.
    fn void(&mut self) {
        self.bytes[0] = ids::VOID as u8;
    }

    fn len(&self) -> u64 {
        self.len as u64 + self.size
    }
}

struct ClusterRewriter<'p, 'i, 'w> {
    input: &'p mut TrackInput<'i>,
    window: &'p mut RangeWriter<'w>,
    blocks: Blocks,
}

impl ClusterRewriter<'_, '_, '_> {
    fn run(&mut self, len: u64) -> Result<(), Error> {
        let (mut left, mut is_first) = (len, true);
        while left > 0 && !self.window.is_over() {
            let head = self.head(left)?;
            left -= head.len();
            match head.id {
                ids::CLUSTER => self.cluster(&head)?,
                _ if is_first => return Err(self.wrong("a cue does not point to a cluster")),
                ids::VOID => self.copy(&head)?,
                ids::CUES | ids::TAGS | ids::SEEK_HEAD | ids::ATTACHMENTS | ids::CHAPTERS => {
                    self.leave_out(&head)?;
                }
                _ => return Err(self.wrong("an unexpected element lies between clusters")),
            }
            is_first = false;
        }
        Ok(())
    }

    fn cluster(&mut self, cluster: &Head) -> Result<(), Error> {
        self.window.write(&cluster.bytes[..cluster.len])?;
        self.blocks.cluster();
        let mut left = cluster.size;
        while left > 0 && !self.window.is_over() {
            let mut head = self.head(left)?;
            left -= head.len();
            match head.id {
                ids::SIMPLE_BLOCK => self.block(head)?,
                ids::BLOCK_GROUP => self.group(head)?,
                ids::TIMESTAMP => self.timestamp(&head)?,
                ids::VOID => self.copy(&head)?,
                // They speak of the place and the bytes of the cluster in its own file.
                ids::POSITION | ids::PREV_SIZE | ids::CRC_32 => {
                    head.void();
                    self.copy(&head)?;
                }
                _ => return Err(self.wrong("an unexpected element lies in a cluster")),
            }
        }
        if self.window.is_over() { Ok(()) } else { self.check(Blocks::end) }
    }

    fn timestamp(&mut self, head: &Head) -> Result<(), Error> {
        if head.size > 8 {
            return Err(self.wrong("a cluster has a malformed timestamp"));
        }
        let mut bytes = [0; 8];
        let field = &mut bytes[8 - head.size as usize..];
        if !field.is_empty() {
            field.copy_from_slice(self.input.read_exact(field.len())?);
        }
        let time = u64::from_be_bytes(bytes);
        let time = self.check(|blocks| blocks.timestamp(time))?;
        // It is not more than before: it fits.
        self.window.write(&head.bytes[..head.len])?;
        self.window.write(&time.to_be_bytes()[8 - head.size as usize..])
    }

    fn block(&mut self, mut head: Head) -> Result<(), Error> {
        let Some(rest) = head.size.checked_sub(Blocks::HEAD as u64) else {
            return Err(self.wrong("a block is too short"));
        };
        let end = head.len + Blocks::HEAD;
        head.bytes[head.len..end].copy_from_slice(self.input.read_exact(Blocks::HEAD)?);
        if self.check(|blocks| blocks.block(&mut head.bytes[head.len..end]))? == BlockAction::Left {
            head.void();
        }
        self.window.write(&head.bytes[..end])?;
        self.window.copy(self.input, rest)
    }

    /// A group is held whole: whether it is left out says the block in it, and there are few.
    fn group(&mut self, mut head: Head) -> Result<(), Error> {
        let size = usize::try_from(head.size).unwrap_or(usize::MAX);
        if size == 0 {
            return Err(self.wrong("a BlockGroup has no Block"));
        }
        let bytes = self.input.read_exact(size)?;
        let fate = self.blocks.group(bytes);
        if fate == Ok(BlockAction::Left) {
            head.void();
        }
        if fate.is_ok() {
            self.window.write(&head.bytes[..head.len])?;
            self.window.write(bytes)?;
        }
        fate.map(|_| ()).map_err(|why| self.wrong(why))
    }

    /// An element as it is, but for what was changed in its header.
    fn copy(&mut self, head: &Head) -> Result<(), Error> {
        self.window.write(&head.bytes[..head.len])?;
        self.window.copy(self.input, head.size)
    }

    /// An element of an ID longer than a byte becomes one that says nothing, of the same length.
    fn leave_out(&mut self, head: &Head) -> Result<(), Error> {
        // Its header may be longer than that of a Void can be; what is over is in the Void then.
        let width = (head.len - 1).min(8);
        let opening = ebml::opening(ids::VOID, head.len() - 1 - width as u64, width);
        self.window.write(&opening)?;
        self.window.write(&[0; MAX_HEADER][..head.len - opening.len()])?;
        self.window.copy(self.input, head.size)
    }

    /// The next header; what it opens must end with the `left` bytes that it is in.
    fn head(&mut self, left: u64) -> Result<Head, Error> {
        let mut head = Head { id: 0, bytes: [0; MAX_HEADER + Blocks::HEAD], len: 0, size: 0 };
        self.field(&mut head, 4, left)?;
        let id_len = head.len;
        self.field(&mut head, 8, left)?;
        let field = &head.bytes[..head.len];
        head.id =
            ebml::uint_of(&field[..id_len]).and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
        let Some(size) = ebml::size_of_field(&field[id_len..]) else {
            return Err(self.wrong("a cluster or an element in it has an unknown size"));
        };
        head.size = size;
        if size > left - head.len as u64 {
            return Err(self.wrong("the element sizes in a cluster do not add up"));
        }
        Ok(head)
    }

    /// A field of variable size behind those that `head` has.
    fn field(&mut self, head: &mut Head, longest: usize, left: u64) -> Result<(), Error> {
        let room = usize::try_from(left).unwrap_or(usize::MAX) - head.len;
        if room == 0 {
            return Err(self.wrong("the element sizes in a cluster do not add up"));
        }
        let first = self.input.read_exact(1)?[0];
        head.bytes[head.len] = first;
        let width = ebml::width(first);
        if width > longest.min(room) {
            return Err(self.wrong("expected an EBML element"));
        }
        if width > 1 {
            let rest = self.input.read_exact(width - 1)?;
            head.bytes[head.len + 1..head.len + width].copy_from_slice(rest);
        }
        head.len += width;
        Ok(())
    }

    fn check<T>(
        &mut self,
        by: impl FnOnce(&mut Blocks) -> Result<T, &'static str>,
    ) -> Result<T, Error> {
        by(&mut self.blocks).map_err(|why| self.input.mismatch(why))
    }

    fn wrong(&self, why: &'static str) -> Error {
        self.input.mismatch(why)
    }
}

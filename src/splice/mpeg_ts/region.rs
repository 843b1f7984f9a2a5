//! [`RegionRewriter`] makes the region of a segment in the joined file.

use super::fragment::Fragment;
use super::remux::{FRAGMENT_SIZE, MAX_FRAGMENTS, Remuxer, Stream, StreamConfig};
use super::timing::{Clock, Timing};
use crate::container::mpeg_ts::Malformed;
use crate::container::mpeg_ts::packet::{PACKET_SIZE, SYNC_BYTE, count_synced};
use crate::container::mpeg_ts::pes::WRAP;
use crate::container::probe::is_image;
use crate::error::Error;
use crate::media::segments::Declared;
use crate::splice::{RangeWriter, TrackInput};

/// The maximum number of bytes of the next segment that are read for frames that end there.
const MAX_LOOKAHEAD: u64 = 256 << 10;
/// The number of bytes of the next segment that are read at once.
const LOOKAHEAD_STEP: u64 = 8 << 10;
/// The maximum length of an image in front of the packets of a segment.
pub(super) const MAX_DISGUISE: u64 = 64 << 10;
/// The number of packets by which the first one is recognised.
const MIN_PACKETS: usize = 4;
const SYNC_LEN: u64 = (MIN_PACKETS as u64 - 1) * PACKET_SIZE as u64 + 1;

/// How regions are made of segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionRewriter {
    pub(super) files: Vec<FileRules>,
    /// The region of each extent.
    pub(super) regions: Vec<Region>,
    /// When the presentation begins, in ticks.
    pub(super) begin: u64,
    /// Whether a time range begins there: what is earlier is left out.
    pub(super) is_cut: bool,
}

/// The streams of a file that become tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileRules {
    pub(super) streams: Vec<Stream>,
    /// Whether the segments are packed audio, without packets.
    pub(super) is_packed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    /// When the segment begins, in ticks from the begin of the presentation, as the list declares it.
    pub(super) time: i64,
    pub(super) clock: Clock,
    /// The length of the next segment of the file; 0 if there is none, or if its clock is another.
    pub(super) next_len: u64,
    /// By how much the region is longer than its segment.
    pub(super) padding: u64,
    /// What the list declares of the segment.
    pub(super) declared: Declared,
    /// Whether the time range begins here: video begins with its first key frame.
    pub(super) is_entry: bool,
}

impl RegionRewriter {
    /// Returns the number of files.
    pub(in crate::splice) fn file_count(&self) -> u8 {
        u8::try_from(self.files.len()).unwrap_or(u8::MAX)
    }

    /// Returns the length of the segment of the extent at `index`, which has this length.
    pub(in crate::splice) fn source_len(&self, index: usize, len: u64) -> u64 {
        len - self.regions[index].padding
    }

    /// Returns how many bytes of the next segment the extent at `index` may need.
    pub(in crate::splice) fn lookahead(&self, index: usize) -> u64 {
        self.regions[index].next_len.min(MAX_LOOKAHEAD)
    }

    /// Feeds `update` an unambiguous encoding, for a digest. The configurations of decoders are in the
    /// header.
    pub(in crate::splice) fn encode(&self, update: &mut dyn FnMut(&[u8])) {
        let RegionRewriter { files, regions, begin, is_cut } = self;
        update(&begin.to_be_bytes());
        update(&[u8::from(*is_cut)]);
        for FileRules { streams, is_packed } in files {
            update(&[streams.len() as u8, u8::from(*is_packed)]);
            for Stream { pid, codec: _, config, id, lead, base } in streams {
                let is_video = matches!(config, StreamConfig::Video(_));
                update(&[u8::from(is_video)]);
                update(&pid.to_be_bytes());
                update(&id.to_be_bytes());
                update(&lead.to_be_bytes());
                update(&base.to_be_bytes());
            }
        }
        for Region { time, clock: Clock { origin }, next_len, padding, declared: _, is_entry } in
            regions
        {
            for number in [&time.cast_unsigned(), origin, next_len, padding] {
                update(&number.to_be_bytes());
            }
            update(&[u8::from(*is_entry)]);
        }
    }

    /// Returns how many bytes of a region of this length are in memory while it is made, about: a fragment
    /// begins with the lengths of all its samples.
    pub(in crate::splice) fn buffer_len(&self, len: u64) -> u64 {
        len.min(FRAGMENT_SIZE as u64)
    }

    /// Returns how many bytes of memory the rules occupy, about.
    pub(in crate::splice) fn memory_size(&self) -> usize {
        self.regions.capacity() * size_of::<Region>()
    }

    /// Makes the region of the extent of `track` whose bytes come next from `input`; `index` is its index
    /// among all extents, `len` its length in the joined file.
    pub(in crate::splice) fn rewrite(
        &self,
        track: u8,
        index: usize,
        len: u64,
        input: &mut TrackInput<'_>,
        window: &mut RangeWriter<'_>,
    ) -> Result<(), Error> {
        let Region { time, clock, next_len, padding, declared, is_entry } = self.regions[index];
        let sequence = u32::try_from(index).unwrap_or(u32::MAX).wrapping_mul(MAX_FRAGMENTS);
        let FileRules { streams, is_packed } = &self.files[usize::from(track)];
        let expected = self.begin.saturating_add_signed(time);
        let mut timing = Timing::new(clock, expected);
        (timing.is_cut, timing.awaits_key_frame) = (self.is_cut, is_entry);
        let mut remuxer = Remuxer::new(streams, timing, sequence.wrapping_add(1));
        remuxer.use_buffers(&mut input.buffers);
        // By the list of the segments, where they have no timestamps.
        let time = clock.origin.wrapping_add(self.begin).wrapping_add_signed(time) % WRAP;
        let mut remuxer = SegmentRemuxer { remuxer, packed: is_packed.then_some(time) };
        let mut region = RegionWriter { end: window.at() + len, window };
        if !remuxer.read_segment(len - padding, input, &mut region)? {
            return Ok(());
        }
        remuxer.read_behind(next_len, input)?;
        let placed = remuxer.remuxer.check_place(declared, next_len > 0);
        placed.map_err(|Malformed(why)| input.mismatch(why))?;
        region.finish(remuxer.remuxer.take_output(), input)
    }
}

/// Writes a region, which ends at `end` of the joined file.
struct RegionWriter<'w, 'r> {
    window: &'w mut RangeWriter<'r>,
    end: u64,
}

impl RegionWriter<'_, '_> {
    fn left(&self) -> u64 {
        self.end - self.window.at()
    }

    /// Writes complete fragments.
    fn write(&mut self, fragments: &[Fragment], input: &TrackInput<'_>) -> Result<(), Error> {
        if fragments.iter().map(Fragment::len).sum::<u64>() > self.left() {
            return Err(input.mismatch("a segment has more frames than fit in its place"));
        }
        fragments.iter().flat_map(Fragment::pieces).try_for_each(|piece| self.window.write(piece))
    }

    /// Writes the last fragments and fills the rest, which becomes part of the last mdat: libavformat reads a
    /// fragment twice if it does not begin where the one before ends, and then loses its way when it seeks.
    fn finish(
        &mut self,
        mut fragments: Vec<Fragment>,
        input: &mut TrackInput<'_>,
    ) -> Result<(), Error> {
        if fragments.is_empty() && self.left() > 0 {
            fragments.push(Fragment::free());
        }
        let len: u64 = fragments.iter().map(Fragment::len).sum();
        if let Some(last) = fragments.last_mut()
            && !last.extend(self.left().saturating_sub(len))
        {
            return Err(input.mismatch("a segment is too long"));
        }
        self.write(&fragments, input)?;
        self.window.write_zeros(self.left())?;
        input.buffers = fragments.pop().map(Fragment::into_buffers).unwrap_or_default();
        Ok(())
    }
}

/// Reads a segment, and what the next one has of its frames.
struct SegmentRemuxer<'s> {
    remuxer: Remuxer<'s>,
    /// The timestamp by the list of the segments, if they are packed audio.
    packed: Option<u64>,
}

impl SegmentRemuxer<'_> {
    /// Reads a segment of `len` bytes and writes the fragments. Returns whether the range is still
    /// incomplete.
    fn read_segment(
        &mut self,
        len: u64,
        input: &mut TrackInput<'_>,
        region: &mut RegionWriter<'_, '_>,
    ) -> Result<bool, Error> {
        let skipped = match self.packed {
            None => disguise(len, len, input)?,
            Some(_) => Some(0),
        };
        let skipped = skipped.ok_or_else(|| input.mismatch("a segment is no transport stream"))?;
        input.skip_to(input.at() + skipped)?;
        let mut left = len - skipped;
        let mut packet = PartialPacket::default();
        while left > 0 {
            let chunk = &*input.read_some(left)?;
            left -= chunk.len() as u64;
            self.push(chunk, &mut packet).map_err(|Malformed(why)| input.mismatch(why))?;
            region.write(&self.remuxer.take_output(), input)?;
            if region.window.is_over() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes the next bytes of the segment.
    fn push(&mut self, chunk: &[u8], packet: &mut PartialPacket) -> Result<(), Malformed> {
        if let Some(time) = self.packed {
            return self.remuxer.push_packed(chunk, Some(time));
        }
        packet.split(chunk, |packet| self.remuxer.push(packet))
    }

    /// Reads as much of the next segment of `len` bytes as is needed, and ends the frames.
    fn read_behind(&mut self, len: u64, input: &mut TrackInput<'_>) -> Result<(), Error> {
        let mismatch = |Malformed(why), input: &TrackInput<'_>| input.mismatch(why);
        self.remuxer.end_segment().map_err(|error| mismatch(error, input))?;
        let max = len.min(MAX_LOOKAHEAD);
        let mut is_all = max == len;
        if self.remuxer.needs_more() && max > 0 {
            let begin = match self.packed {
                None => disguise(len, max, input)?,
                Some(_) => Some(0),
            };
            match begin {
                Some(begin) => {
                    let mut at = begin;
                    while let Some(until) = self.next_behind(at, max) {
                        let bytes = &input.peek(until as usize)?[at as usize..until as usize];
                        let result = self.push_behind(bytes);
                        at += result.map_err(|error| mismatch(error, input))?;
                    }
                }
                // Its own region tells that it is no transport stream.
                None => is_all = true,
            }
        }
        self.remuxer.finish(is_all).map_err(|error| mismatch(error, input))
    }

    /// Returns how far the next segment is read after the bytes up to `at`, of at most `max`.
    fn next_behind(&self, at: u64, max: u64) -> Option<u64> {
        let min = if self.packed.is_some() { 1 } else { PACKET_SIZE as u64 };
        let is_left = at + min <= max && self.remuxer.needs_more();
        is_left.then(|| (at + LOOKAHEAD_STEP).min(max))
    }

    /// Takes the next bytes of the next segment; returns how many of them.
    fn push_behind(&mut self, bytes: &[u8]) -> Result<u64, Malformed> {
        if self.packed.is_some() {
            self.remuxer.push_packed(bytes, None)?;
            return Ok(bytes.len() as u64);
        }
        let (packets, _) = bytes.as_chunks();
        for packet in packets {
            if self.remuxer.needs_more() {
                self.remuxer.push(packet)?;
            }
        }
        Ok((packets.len() * PACKET_SIZE) as u64)
    }
}

/// Returns the length of what precedes the packets of a segment of `len` bytes that comes next from
/// `input`, of which at most `max` bytes are read: mostly nothing, sometimes an image that disguises them.
fn disguise(len: u64, max: u64, input: &mut TrackInput<'_>) -> Result<Option<u64>, Error> {
    for needed in [SYNC_LEN, MAX_DISGUISE].map(|needed| needed.min(max) as usize) {
        let front = input.peek(needed)?;
        let front = front.get(..needed).unwrap_or(front);
        let begin = packets_begin(front, len);
        if begin.is_some() || !is_image(front) {
            return Ok(begin.map(|begin| begin as u64));
        }
    }
    Ok(None)
}

/// Returns where the packets of a segment of `len` bytes begin, of which these are the first.
pub(super) fn packets_begin(front: &[u8], len: u64) -> Option<usize> {
    // All packets have the same length.
    let first = (len % PACKET_SIZE as u64) as usize;
    let is_synced = |at: &usize| {
        let bytes = front[*at..].get(..SYNC_LEN as usize).unwrap_or(&front[*at..]);
        !bytes.is_empty() && count_synced(bytes) == bytes.len().div_ceil(PACKET_SIZE)
    };
    if first == 0 && is_synced(&0) {
        return Some(0);
    }
    // A GIF begins with the same byte as packets.
    let mut candidates = (first..front.len()).step_by(PACKET_SIZE);
    if is_image(front) { candidates.find(is_synced) } else { None }
}

/// Returns where packets begin in the first bytes of a segment of unknown length, if enough of them are there.
pub(super) fn find_packets(front: &[u8]) -> Option<usize> {
    let is_synced = |at: &usize| {
        let bytes = front.get(*at..*at + SYNC_LEN as usize);
        bytes.is_some_and(|bytes| count_synced(bytes) == MIN_PACKETS)
    };
    let searched = if is_image(front) { front.len() } else { 1 };
    (0..searched).find(is_synced)
}

/// Returns whether a segment with these first bytes begins with packets: a short one has fewer than are
/// [found](find_packets). What might be a GIF, which begins with the same byte, does not.
pub(super) fn begins_with_packet(front: &[u8]) -> bool {
    let gif = b"GIF8";
    front.first() == Some(&SYNC_BYTE) && front.iter().zip(gif).any(|(byte, own)| byte != own)
}

/// A packet that arrives in several pieces.
pub(super) struct PartialPacket {
    bytes: [u8; PACKET_SIZE],
    len: usize,
}

impl Default for PartialPacket {
    fn default() -> PartialPacket {
        PartialPacket { bytes: [0; PACKET_SIZE], len: 0 }
    }
}

impl PartialPacket {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns how many bytes are missing of the packet.
    pub(super) fn missing(&self) -> usize {
        PACKET_SIZE - self.len
    }

    /// Passes the packets that end in the next bytes to `sink`.
    pub(super) fn split(
        &mut self,
        mut chunk: &[u8],
        mut sink: impl FnMut(&[u8; PACKET_SIZE]) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if let Some(packet) = self.complete(&mut chunk) {
            sink(packet)?;
        }
        let (packets, rest) = chunk.as_chunks();
        packets.iter().try_for_each(sink)?;
        self.begin(rest);
        Ok(())
    }

    /// Returns the packet that has begun, if `chunk` completes it, and removes its bytes from that.
    fn complete(&mut self, chunk: &mut &[u8]) -> Option<&[u8; PACKET_SIZE]> {
        if self.len == 0 {
            return None;
        }
        let count = (PACKET_SIZE - self.len).min(chunk.len());
        let (head, rest) = chunk.split_at(count);
        self.bytes[self.len..self.len + count].copy_from_slice(head);
        *chunk = rest;
        self.len += count;
        if self.len < PACKET_SIZE {
            return None;
        }
        self.len = 0;
        Some(&self.bytes)
    }

    /// Begins with the first bytes of a packet.
    fn begin(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        self.bytes[self.len..end].copy_from_slice(bytes);
        self.len = end;
    }
}

//! [`Plan`], the layout of a joined file: a new header followed by byte ranges of the tracks. It
//! writes any byte range of that file.

use std::ops::Range;
use std::time::Duration;

use ring::digest::{Context, SHA256};

use super::inline::Inline;
use super::place::Places;
use super::{RangeWriter, Runs, TrackInput, fragmented, mpeg_ts, webm};
use crate::container::Container;
use crate::error::Error;

mod packed_extent;

use packed_extent::PackedExtent;

/// The computed layout of a joined file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The container of the joined file.
    pub container: Container,
    /// The duration of the joined file.
    pub duration: Duration,
    head: Vec<u8>,
    layout: Layout,
    rewriter: Rewriter,
}

/// A byte range of a track's file, placed in the joined file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The index of the track.
    pub track: u8,
    /// The offset in the file of the track.
    pub from: u64,
    /// The offset in the joined file.
    pub at: u64,
    /// The length in bytes.
    pub len: u64,
}

/// How the bytes of extents are rewritten, in fields of fixed width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewriter {
    /// Bytes are copied unchanged.
    None,
    /// Fragments of an MP4 are renumbered and shifted.
    Fragments(fragmented::FragmentRewriter),
    /// Segments of fragments lose what is no fragment.
    Muxed(fragmented::SegmentRewriter),
    /// Clusters of a WebM are renumbered and shifted.
    Clusters(webm::ClusterRewriteRules),
    /// Segments of a transport stream become regions of an MP4.
    Regions(mpeg_ts::RegionRewriter),
}

impl Rewriter {
    /// Returns how many bytes after the extent number `index`, of `track`, that ends at `end` are needed
    /// to complete it.
    fn lookahead(&self, track: u8, index: usize, end: u64) -> u64 {
        match self {
            Rewriter::Fragments(rules) => rules.lookahead(track, end),
            Rewriter::Regions(rules) => rules.lookahead(index),
            Rewriter::None | Rewriter::Muxed(_) | Rewriter::Clusters(_) => 0,
        }
    }

    /// Returns how many bytes of its track the extent number `index`, of this length, is made of.
    fn source_len(&self, index: usize, len: u64) -> u64 {
        match self {
            Rewriter::Regions(rules) => rules.source_len(index, len),
            _ => len,
        }
    }

    /// Feeds `update` an unambiguous encoding of the rewrite rules, free of names in the code: the
    /// digest of a plan is part of the ETag that a client resumes with.
    fn encode(&self, update: &mut dyn FnMut(&[u8])) {
        match self {
            Rewriter::None => update(&[0]),
            Rewriter::Fragments(rules) => {
                update(&[1]);
                rules.encode(update);
            }
            Rewriter::Clusters(rules) => {
                update(&[2]);
                rules.encode(update);
            }
            Rewriter::Regions(rules) => {
                update(&[3]);
                rules.encode(update);
            }
            Rewriter::Muxed(rules) => {
                update(&[4]);
                rules.encode(update);
            }
        }
    }
}

/// The extents that follow the header, in the order of the joined file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    extents: Vec<PackedExtent>,
    /// The length of all extents.
    len: u64,
    /// What is of no track.
    inline: Inline,
}

impl Layout {
    /// The exclusive upper limit of offsets in the file of a track.
    pub const MAX_FILE_LEN: u64 = 1 << 56;

    /// Returns an empty layout with room for `count` extents.
    pub fn with_capacity(count: usize) -> Layout {
        Layout { extents: Vec::with_capacity(count), ..Layout::default() }
    }

    /// Appends the bytes `range` of a track, which must not be empty.
    pub fn add(&mut self, track: u8, range: Range<u64>) {
        debug_assert!(range.start < range.end, "{range:?}");
        self.extents.push(PackedExtent::new(self.len, track, range.start));
        self.len += range.end - range.start;
    }

    /// Appends what is made of the bytes `range` of a track, which takes `padding` bytes more than they.
    pub fn add_padded(&mut self, track: u8, range: Range<u64>, padding: u64) {
        self.add(track, range);
        self.len += padding;
    }

    /// Appends these bytes, which are of no track; nothing if there are none.
    pub fn add_inline(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let from = self.inline.add(self.extents.len(), bytes);
            self.add(Inline::TRACK, from..from + bytes.len() as u64);
        }
    }

    /// Returns the layout with bytes of no track behind each extent of the first one: those that `make` returns for their
    /// offset.
    pub fn with_inline(self, mut make: impl FnMut(u64) -> Vec<u8>) -> Layout {
        let mut woven = Layout::with_capacity(2 * self.extents.len());
        for (index, extent) in self.extents.iter().enumerate() {
            let end = self.extents.get(index + 1).map_or(self.len, |next| next.at);
            woven.extents.push(PackedExtent { at: woven.len, from: extent.from });
            woven.len += end - extent.at;
            if extent.track() == 0 {
                let at = woven.len;
                woven.add_inline(&make(at));
            }
        }
        woven
    }

    /// Returns the length of all that is of no track.
    pub fn inline_len(&self) -> usize {
        self.inline.len()
    }

    /// Returns the length of all extents.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether there are no extents.
    pub fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }

    /// Returns the offset of each extent of a track, counted from the end of the header.
    pub fn track_offsets(&self, track: u8) -> impl Iterator<Item = u64> {
        self.extents.iter().filter(move |extent| extent.track() == track).map(|extent| extent.at)
    }

    /// Completes the layout with the header `head`.
    pub fn plan(
        self,
        head: Vec<u8>,
        container: Container,
        duration: Duration,
        rules: Rewriter,
    ) -> Plan {
        Plan { container, duration, head, layout: self, rewriter: rules }
    }
}

impl Plan {
    /// Returns the length of the joined file.
    pub fn len(&self) -> u64 {
        self.head.len() as u64 + self.layout.len
    }

    /// Returns whether the joined file is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the header, which precedes the extents.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Returns how many bytes of memory the plan occupies.
    pub fn memory_size(&self) -> usize {
        let rules = match &self.rewriter {
            Rewriter::Clusters(rules) => rules.memory_size(),
            Rewriter::Regions(rules) => rules.memory_size(),
            // A few words per track.
            Rewriter::Muxed(rules) => rules.memory_size(),
            Rewriter::None | Rewriter::Fragments(_) => 0,
        };
        let extents = self.layout.extents.capacity() * size_of::<PackedExtent>();
        let inline = self.layout.inline.memory_size();
        size_of::<Plan>() + self.head.capacity() + extents + inline + rules
    }

    /// Returns how many bytes of the joined file are in memory while it is written, about, beside the small
    /// buffers that every download has.
    pub fn buffer_len(&self) -> u64 {
        let Rewriter::Regions(rules) = &self.rewriter else { return 0 };
        let longest = |track| {
            let extents = self.extents().filter(|extent| extent.track == track);
            extents.map(|extent| rules.buffer_len(extent.len)).max().unwrap_or_default()
        };
        (0..rules.file_count()).map(longest).sum()
    }

    /// Returns a digest of everything that was computed from the inputs, by which plans differ.
    pub fn digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(&(self.head.len() as u64).to_be_bytes());
        context.update(&self.head);
        for extents in self.layout.extents.chunks(64) {
            let mut encoded = [[0; 16]; 64];
            for (encoded, extent) in encoded.iter_mut().zip(extents) {
                encoded[..8].copy_from_slice(&extent.at.to_be_bytes());
                encoded[8..].copy_from_slice(&extent.from.to_be_bytes());
            }
            context.update(encoded[..extents.len()].as_flattened());
        }
        context.update(&self.len().to_be_bytes());
        self.rewriter.encode(&mut |bytes| context.update(bytes));
        self.layout.inline.encode(&mut |bytes| context.update(bytes));
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }

    /// Returns the extents in the order of the joined file.
    pub fn extents(&self) -> impl DoubleEndedIterator<Item = Extent> + ExactSizeIterator {
        (0..self.layout.extents.len()).map(|index| self.extent(index))
    }

    fn extent(&self, index: usize) -> Extent {
        let Layout { extents, len, .. } = &self.layout;
        let extent = extents[index];
        let end = extents.get(index + 1).map_or(*len, |next| next.at);
        let at = self.head.len() as u64 + extent.at;
        Extent { track: extent.track(), from: extent.from(), at, len: end - extent.at }
    }

    /// Returns the indexes of the extents that overlap `range`.
    fn overlapping(&self, range: &Range<u64>) -> Range<usize> {
        let extents = &self.layout.extents;
        let [start, end] =
            [range.start, range.end].map(|at| at.saturating_sub(self.head.len() as u64));
        let first = extents.partition_point(|extent| extent.at <= start).saturating_sub(1);
        first..extents.partition_point(|extent| extent.at < end)
    }

    /// Returns the bytes of track number `track` that are needed to produce `range`, if any.
    pub fn source_range(&self, track: usize, range: &Range<u64>) -> Option<Range<u64>> {
        // The extents of a track are in the order of its file.
        let first = self.overlapping(range).find_map(|index| self.needed(track, index, range))?;
        let last =
            self.overlapping(range).rev().find_map(|index| self.needed(track, index, range))?;
        Some(first.start..last.end)
    }

    /// Returns [`source_range`](Plan::source_range) split into runs: between two runs, more than
    /// `gap` bytes are not needed.
    pub fn runs(&self, track: usize, range: &Range<u64>, gap: u64) -> Runs<'_> {
        Runs { plan: self, indexes: self.overlapping(range), track, range: range.clone(), gap }
    }

    /// Returns the bytes of the extent at `index` that are needed to produce `range`, if it is an
    /// extent of this track.
    pub(super) fn needed(
        &self,
        track: usize,
        index: usize,
        range: &Range<u64>,
    ) -> Option<Range<u64>> {
        let Extent { track: of, from, at, len } = self.extent(index);
        if usize::from(of) != track {
            return None;
        }
        let index = self.layout.inline.track_index(index);
        let (start, end) = (range.start.saturating_sub(at), len.min(range.end - at.min(range.end)));
        Some(match &self.rewriter {
            Rewriter::None => from + start..from + end,
            // The fields to rewrite are found by parsing the extent from its start.
            rules => {
                // The last frames of a region precede its padding.
                let is_finished = end == len || matches!(rules, Rewriter::Regions(_));
                let end = from + rules.source_len(index, len);
                from..end + if is_finished { rules.lookahead(of, index, end) } else { 0 }
            }
        })
    }

    /// Returns the offset in the file of track number `track` of the first byte of `range`, if that
    /// byte lies inside an extent that has to be parsed from its start.
    pub fn seek_target(&self, track: usize, range: &Range<u64>) -> Option<u64> {
        let extent = self.extent(self.overlapping(range).next()?);
        let is_inside = usize::from(extent.track) == track && range.start > extent.at;
        let can_seek = matches!(self.rewriter, Rewriter::Fragments(_) | Rewriter::Clusters(_));
        (is_inside && can_seek).then(|| extent.from + (range.start - extent.at))
    }

    /// Returns how many of the first bytes of an extent have to be read so that everything up to
    /// `target` (also counted from the start of the extent) can be skipped; `None` if `bytes` are
    /// too few to know.
    pub fn media_start(&self, bytes: &[u8], target: u64) -> Option<usize> {
        match &self.rewriter {
            Rewriter::Fragments(_) => fragmented::media_start(bytes, target),
            _ => None,
        }
    }

    /// Writes the bytes of `range`, in order, to `send`. `inputs` deliver what each track
    /// [needs](Plan::source_range), in the order of the tracks.
    pub fn write_range(
        &self,
        range: &Range<u64>,
        inputs: &mut [TrackInput<'_>],
        send: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        RangeWriter::new(0, range.clone(), send).write(&self.head)?;
        // Segments with both tracks are compared as such, others by their own track.
        let mut places: Vec<_> = inputs.iter().map(|_| Places::default()).collect();
        for index in self.overlapping(range) {
            let Extent { track, from, at, len } = self.extent(index);
            let mut window = RangeWriter::new(at, range.clone(), send);
            if track == Inline::TRACK {
                window.write(self.layout.inline.bytes(from..from + len))?;
                continue;
            }
            let index = self.layout.inline.track_index(index);
            let input = &mut inputs[usize::from(track)];
            match &self.rewriter {
                Rewriter::None => {
                    let skipped = window.skip_ahead(len);
                    input.skip_to(from + skipped)?;
                    window.copy(input, len - skipped)?;
                }
                Rewriter::Fragments(rules) => {
                    input.skip_to(from)?;
                    rules.rewrite(track, index, len, input, &mut window)?;
                }
                Rewriter::Muxed(rules) => {
                    input.skip_to(from)?;
                    rules.rewrite(index, len, input, &mut window, &mut places[0])?;
                }
                Rewriter::Clusters(rules) => {
                    input.skip_to(from)?;
                    let places = &mut places[usize::from(track)];
                    rules.rewrite(track, index, len, input, &mut window, places)?;
                }
                Rewriter::Regions(rules) => {
                    input.skip_to(from)?;
                    rules.rewrite(track, index, len, input, &mut window)?;
                }
            }
        }
        Ok(())
    }
}

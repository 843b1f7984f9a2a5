//! Writes segment indexes (sidx, ISO/IEC 14496-12 §8.16.3): one for each track, that of the video last.
//!
//! With both, a player opens the file and seeks to any time in it with one request each. Players
//! trust an index only if the media follows it immediately, hence the order.

/// The length of header, version, IDs, times and count, in version 1.
const FIXED: u64 = 8 + 4 + 8 + 16 + 4;
const REFERENCE: u64 = 12;
/// The maximum number of references: reference_count has 16 bits.
pub(super) const MAX_REFERENCES: usize = u16::MAX as usize;

/// The stream access point of a reference: unknown; decoding can begin there; decoding can begin
/// there with the sample that is presented first (SAP type 1, Annex I).
pub(super) const UNKNOWN: u32 = 0;
pub(super) const ENTRY: u32 = 1 << 31;
pub(super) const FIRST_ENTRY: u32 = 1 << 31 | 1 << 28;

/// The index of one track.
pub(super) struct SegmentIndex {
    pub(super) track: u32,
    pub(super) timescale: u32,
    /// The earliest presentation time.
    pub(super) earliest: u64,
    /// The offset of the first fragment, after all indexes.
    pub(super) begin: u64,
    /// Length, duration and SAP of each reference; at most [`MAX_REFERENCES`].
    pub(super) references: Vec<[u32; 3]>,
}

impl SegmentIndex {
    fn len(&self) -> u64 {
        FIXED + REFERENCE * self.references.len() as u64
    }
}

/// Appends the indexes to `head`. They are those of the video, if there is one, and of the audio.
pub(super) fn add(head: &mut Vec<u8>, indexes: &[SegmentIndex]) {
    let lens: Vec<_> = indexes.iter().map(SegmentIndex::len).collect();
    head.reserve_exact(lens.iter().sum::<u64>() as usize);
    // Audio first: only the index of the video follows that of the audio.
    for (track, index) in indexes.iter().enumerate().rev() {
        let gap: u64 = lens[..track].iter().sum();
        write(head, index, gap);
    }
}

/// Writes an index that is `gap` bytes away from the end of all indexes.
fn write(head: &mut Vec<u8>, index: &SegmentIndex, gap: u64) {
    // There are no more references than 16 bits can number.
    let (len, count) = (index.len() as u32, index.references.len() as u16);
    let fixed: [&[u8]; 9] = [
        &len.to_be_bytes(),
        b"sidx",
        &[1, 0, 0, 0],
        &index.track.to_be_bytes(),
        &index.timescale.to_be_bytes(),
        &index.earliest.to_be_bytes(),
        &(gap + index.begin).to_be_bytes(),
        &[0, 0],
        &count.to_be_bytes(),
    ];
    fixed.iter().for_each(|field| head.extend_from_slice(field));
    for reference in &index.references {
        head.extend_from_slice(reference.map(u32::to_be_bytes).as_flattened());
    }
}

//! Writes segment indexes (sidx, ISO/IEC 14496-12 §8.16.3): one for each track, that of the video last.
//!
//! With both, a player opens the file and seeks to any time in it with one request each. Players
//! trust an index only if the media follows it immediately, hence the order.

use super::edits::Rescale;

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

/// By how much later than declared a segment is said to begin, in ticks of 1/90000 s: 100 ms. Declared
/// times are not exact. A player that is led to a segment whose frames are all later than what it looks for
/// goes on with whatever it has from elsewhere; from a segment that begins earlier it finds its way.
pub(super) const LATER: u64 = 9000;

/// Returns the begin of the first of the segments that begin at these times and offsets, and a reference to
/// each. Times are those that the list of the segments declares; `end` is that of the last one. `None` if an
/// index cannot express it.
pub(super) fn by_declared_times(
    segments: &[(u64, u64)],
    end: (u64, u64),
    scale: Rescale,
    sap: u32,
) -> Option<(u64, Vec<[u32; 3]>)> {
    let mut starts: Vec<(u64, u64)> = Vec::with_capacity(segments.len());
    for (time, at) in segments {
        // A segment without a duration belongs to the one before.
        if starts.last().is_none_or(|(before, _)| before < time) && *time < end.0 {
            starts.push((*time, *at));
        }
    }
    let begin = starts.first()?.1;
    let each = starts.len().div_ceil(MAX_REFERENCES);
    let starts: Vec<_> = starts.into_iter().step_by(each.max(1)).collect();
    let later = |(time, at)| (time + LATER, at);
    let ends = starts.iter().skip(1).copied().map(later).chain([end]);
    let mut references = Vec::with_capacity(starts.len());
    let mut begun = scale.round(starts.first()?.0).ok()?;
    for ((_, at), (end, next)) in starts.iter().zip(ends) {
        let len = u32::try_from(next - at).ok().filter(|len| *len < 1 << 31)?;
        let end = scale.round(end).ok()?.max(begun);
        let ticks = end - std::mem::replace(&mut begun, end);
        references.push([len, u32::try_from(ticks).ok()?, sap]);
    }
    Some((begin, references))
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

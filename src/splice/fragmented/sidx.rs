//! Writes the segment indexes of the joined file (sidx, ISO/IEC 14496-12 §8.16.3): one for each track,
//! that of the video last.
//!
//! With both, a player opens the file and seeks to any time in it with one request each. Players
//! trust an index only if the media follows it immediately, hence the order. A reference points to a
//! fragment at which decoding can begin, and covers the following ones at which it cannot.
//!
//! **Invariant:** an index claims nothing unverified: of fragments that were not read, it has no
//! stream access points.

use super::SelectedTrack;
use crate::media::TrackKind;
use crate::splice::Layout;

/// The length of header, version, IDs, times and count, in version 1.
const FIXED: u64 = 8 + 4 + 8 + 16 + 4;
const REFERENCE: u64 = 12;
/// The maximum number of references: reference_count has 16 bits.
const MAX_REFERENCES: usize = u16::MAX as usize;

/// The stream access point of a reference: unknown; decoding can begin there; decoding can begin
/// there with the sample that is presented first (SAP type 1, Annex I).
const UNKNOWN: u32 = 0;
const ENTRY: u32 = 1 << 31;
const FIRST_ENTRY: u32 = 1 << 31 | 1 << 28;

/// The index of one track.
struct Index {
    track: u32,
    timescale: u32,
    earliest: u64,
    /// The offset of the first fragment, after all indexes.
    begin: u64,
    /// Length, duration and SAP of each reference.
    references: Vec<[u32; 3]>,
}

impl Index {
    fn len(&self) -> u64 {
        FIXED + REFERENCE * self.references.len() as u64
    }
}

/// Appends all indexes to `head`, or none if one of them is impossible.
pub(super) fn add_indexes(head: &mut Vec<u8>, chosen: &[SelectedTrack<'_>], layout: &Layout) {
    let of = |(track, chosen)| index(track, chosen, layout);
    let indexes = chosen.iter().enumerate().map(of).collect::<Option<Vec<_>>>();
    let Some(indexes) = indexes else { return };
    let lens: Vec<_> = indexes.iter().map(Index::len).collect();
    head.reserve_exact(lens.iter().sum::<u64>() as usize);
    // Audio first: only the index of the video follows that of the audio.
    for (track, index) in indexes.iter().enumerate().rev() {
        let gap: u64 = lens[..track].iter().sum();
        write(head, index, gap);
    }
}

/// Returns the index of one track; `None` if its values do not fit.
fn index(track: usize, chosen: &SelectedTrack<'_>, layout: &Layout) -> Option<Index> {
    let fragments = chosen.fragments;
    let earliest = chosen.presentation_ticks(fragments.first()?.time);
    // All entries if they fit; otherwise every second, every third and so on.
    let mut each = 1;
    let references = loop {
        let references = references(track, chosen, layout, each)?;
        if references.len() <= MAX_REFERENCES {
            break references;
        }
        each += 1;
    };
    Some(Index {
        track: track as u32 + 1,
        timescale: chosen.timescale(),
        earliest: u64::try_from(earliest.max(0)).ok()?,
        begin: layout.track_offsets(track as u8).next()?,
        references,
    })
}

/// Returns the references. Each one extends to the fragment of the next one, the last one to the end
/// of the file. Only every `each`-th possible fragment gets a reference.
fn references(
    track: usize,
    chosen: &SelectedTrack<'_>,
    layout: &Layout,
    each: usize,
) -> Option<Vec<[u32; 3]>> {
    let mut references = Vec::with_capacity(chosen.fragments.len().div_ceil(each));
    let mut fragments = chosen.fragments.iter().zip(layout.track_offsets(track as u8));
    let (mut last, mut offset) = fragments.next()?;
    let mut add = |last: &super::Fragment, len: u64, until: u64| {
        let len = u32::try_from(len).ok().filter(|len| *len < 1 << 31)?;
        let duration = u32::try_from(until.checked_sub(last.time)?).ok()?;
        references.push([len, duration, sap(chosen, last.is_entry)]);
        (duration > 0).then_some(())
    };
    let mut passed = 0;
    for (fragment, at) in fragments {
        // A fragment that does not advance in time, or is past the end, belongs to the one before it.
        let advances = fragment.time > last.time && fragment.time < chosen.end;
        if !fragment.is_entry || !advances {
            continue;
        }
        passed += 1;
        if passed < each {
            continue;
        }
        add(last, at - offset, fragment.time)?;
        (last, offset, passed) = (fragment, at, 0);
    }
    add(last, layout.len() - offset, chosen.end)?;
    Some(references)
}

fn sap(chosen: &SelectedTrack<'_>, is_entry: bool) -> u32 {
    match (chosen.track.init.kind, is_entry && chosen.track.is_verified) {
        (_, false) => UNKNOWN,
        // Frames that follow the key frame in the file may be presented before it.
        (TrackKind::Video, true) => ENTRY,
        (TrackKind::Audio, true) => FIRST_ENTRY,
    }
}

/// Writes an index that is `gap` bytes away from the end of all indexes.
fn write(head: &mut Vec<u8>, index: &Index, gap: u64) {
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

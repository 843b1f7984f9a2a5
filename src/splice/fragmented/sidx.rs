//! Makes the segment indexes of the joined file (sidx, ISO/IEC 14496-12 §8.16.3). A reference points to a
//! fragment at which decoding can begin, and covers the following ones at which it cannot.
//!
//! **Invariant:** an index claims nothing unverified: of fragments that were not read, it has no
//! stream access points.

use super::SelectedTrack;
use crate::media::TrackKind;
use crate::splice::Layout;
use crate::splice::sidx::{self, ENTRY, FIRST_ENTRY, MAX_REFERENCES, SegmentIndex, UNKNOWN};

/// Appends all indexes to `head`, or none if one of them is impossible.
pub(super) fn add_indexes(head: &mut Vec<u8>, chosen: &[SelectedTrack<'_>], layout: &Layout) {
    let of = |(track, chosen)| index(track, chosen, layout);
    let indexes = chosen.iter().enumerate().map(of).collect::<Option<Vec<_>>>();
    let Some(indexes) = indexes else { return };
    sidx::add(head, &indexes);
}

/// Returns the index of one track; `None` if its values do not fit.
fn index(track: usize, chosen: &SelectedTrack<'_>, layout: &Layout) -> Option<SegmentIndex> {
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
    Some(SegmentIndex {
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

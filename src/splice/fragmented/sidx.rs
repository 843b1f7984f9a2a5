//! The indexes of the joined file (ISO/IEC 14496-12 §8.16.3): one for each track, the picture's
//! last.
//!
//! With both, a player opens the file and finds any offset in it with one request each. Players
//! trust an index only if the media follows right behind it, hence the order. A reference leads to a
//! fragment with which decoding can begin, and goes on over those with which it cannot. Must never
//! promise what is not so: of fragments that nobody has looked at, it says nothing of key frames.

use super::SelectedTrack;
use crate::media::TrackKind;
use crate::splice::Layout;

/// Header, version, identity, times and count, for version 1.
const FIXED: u64 = 8 + 4 + 8 + 16 + 4;
const REFERENCE: u64 = 12;
/// References of one index: their number has 16 bits.
const MAX_REFERENCES: usize = u16::MAX as usize;

/// What a reference says of where it leads to: nothing at all; that decoding can begin there; that it
/// can with what is shown first (a stream access point of type 1, Annex I).
const UNKNOWN: u32 = 0;
const ENTRY: u32 = 1 << 31;
const FIRST_ENTRY: u32 = 1 << 31 | 1 << 28;

/// The index of one track.
struct Index {
    track: u32,
    timescale: u32,
    earliest: u64,
    /// Where its first fragment is, behind all indexes.
    begin: u64,
    /// Length, duration and kind.
    references: Vec<[u32; 3]>,
}

impl Index {
    fn len(&self) -> u64 {
        FIXED + REFERENCE * self.references.len() as u64
    }
}

/// Adds all indexes to what is in front of the first fragment, or none where there can be none.
pub(super) fn add_indexes(head: &mut Vec<u8>, chosen: &[SelectedTrack<'_>], layout: &Layout) {
    let of = |(track, chosen)| index(track, chosen, layout);
    let indexes = chosen.iter().enumerate().map(of).collect::<Option<Vec<_>>>();
    let Some(indexes) = indexes else { return };
    let lens: Vec<_> = indexes.iter().map(Index::len).collect();
    head.reserve_exact(lens.iter().sum::<u64>() as usize);
    // In the order sound, picture: what stands behind the index of the sound is that of the picture.
    for (track, index) in indexes.iter().enumerate().rev() {
        let between: u64 = lens[..track].iter().sum();
        write(head, index, between);
    }
}

/// The index of one track; `None` if there can be none.
fn index(track: usize, chosen: &SelectedTrack<'_>, layout: &Layout) -> Option<Index> {
    let fragments = chosen.fragments;
    let earliest = chosen.shown(fragments.first()?.time);
    // All of them where there are not too many; else of as many as must be one.
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

/// Each reference runs to the next one's fragment of its track, the last one to the end of the file.
/// Of `each` fragments that could have one, the first has.
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
        references.push([len, duration, kind(chosen, last.is_entry)]);
        (duration > 0).then_some(())
    };
    let mut passed = 0;
    for (fragment, at) in fragments {
        // One that does not advance, or not before the end, belongs to the one in front of it.
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

fn kind(chosen: &SelectedTrack<'_>, is_entry: bool) -> u32 {
    match (chosen.track.init.kind, is_entry && chosen.track.is_proven) {
        (_, false) => UNKNOWN,
        // Pictures may be shown before the key frame in front of which they do not stand.
        (TrackKind::Video, true) => ENTRY,
        (TrackKind::Audio, true) => FIRST_ENTRY,
    }
}

/// Writes an index, `between` which and the first fragment are so many bytes.
fn write(head: &mut Vec<u8>, index: &Index, between: u64) {
    // There are no more references than 16 bits can number.
    let (len, count) = (index.len() as u32, index.references.len() as u16);
    let fixed: [&[u8]; 9] = [
        &len.to_be_bytes(),
        b"sidx",
        &[1, 0, 0, 0],
        &index.track.to_be_bytes(),
        &index.timescale.to_be_bytes(),
        &index.earliest.to_be_bytes(),
        &(between + index.begin).to_be_bytes(),
        &[0, 0],
        &count.to_be_bytes(),
    ];
    fixed.iter().for_each(|field| head.extend_from_slice(field));
    for reference in &index.references {
        head.extend_from_slice(reference.map(u32::to_be_bytes).as_flattened());
    }
}

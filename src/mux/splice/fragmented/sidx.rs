//! The indexes of the joined file (ISO/IEC 14496-12 §8.16.3): one for each track, the picture's
//! last.
//!
//! With both, a player opens the file and finds any place in it with one request each. Players
//! trust an index only if the media follows right behind it, hence the order. Must never promise
//! what is not so: without entries that advance there is no index.

use super::Chosen;
use crate::mux::splice::Layout;

/// Header, version, identity, times and count, for version 1.
const FIXED: u64 = 8 + 4 + 8 + 16 + 4;
const REFERENCE: u64 = 12;

/// Adds all indexes to what is in front of the first fragment, or none where there can be none.
pub(super) fn add_indexes(head: &mut Vec<u8>, chosen: &[Chosen<'_>], layout: &Layout) {
    let lens = chosen.iter().map(|chosen| FIXED + REFERENCE * chosen.fragments.len() as u64);
    let lens: Vec<u64> = lens.collect();
    let begin = head.len();
    head.reserve_exact(lens.iter().sum::<u64>() as usize);
    // In the order sound, picture: what stands behind the index of the sound is that of the picture.
    for track in (0..chosen.len()).rev() {
        let between: u64 = lens[..track].iter().sum();
        if add_index(head, track, &chosen[track], layout, between).is_none() {
            return head.truncate(begin);
        }
    }
}

/// Adds the index of one track, `between` which and the first fragment are so many bytes.
fn add_index(
    head: &mut Vec<u8>,
    track: usize,
    chosen: &Chosen<'_>,
    layout: &Layout,
    between: u64,
) -> Option<()> {
    let fragments = chosen.fragments;
    let mut places = layout.places(track as u8);
    let mut place = places.next()?;
    let earliest = chosen.shown(fragments.first()?.time);
    let count = u16::try_from(fragments.len()).ok()?;
    let fixed: [&[u8]; 9] = [
        &u32::try_from(FIXED + REFERENCE * u64::from(count)).ok()?.to_be_bytes(),
        b"sidx",
        &[1, 0, 0, 0],
        &(track as u32 + 1).to_be_bytes(),
        &chosen.timescale().to_be_bytes(),
        &u64::try_from(earliest.max(0)).ok()?.to_be_bytes(),
        &(between + place).to_be_bytes(),
        &[0, 0],
        &count.to_be_bytes(),
    ];
    fixed.iter().for_each(|field| head.extend_from_slice(field));
    // Each reference runs to the next fragment of its track, the last one to the end of the file.
    for (at, fragment) in fragments.iter().enumerate() {
        let next = places.next().unwrap_or(layout.len());
        let len = u32::try_from(next - place).ok().filter(|len| *len < 1 << 31)?;
        place = next;
        let end = fragments.get(at + 1).map_or(chosen.end, |next| next.time);
        let duration = end.checked_sub(fragment.time)?;
        let duration = u32::try_from(duration).ok().filter(|duration| *duration > 0)?;
        if !fragment.is_entry {
            return None;
        }
        // It starts with a place where decoding can begin, of type 1, at its first picture.
        const ENTRY: u32 = 1 << 31 | 1 << 28;
        let reference = [len, duration, ENTRY].map(u32::to_be_bytes);
        head.extend_from_slice(reference.as_flattened());
    }
    Some(())
}

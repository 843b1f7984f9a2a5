//! The indexes of the joined file (ISO/IEC 14496-12 §8.16.3): one for each track, the picture's
//! last.
//!
//! With both, a player opens the file and finds any place in it with one request each. Players
//! trust an index only if the media follows right behind it, hence the order. Must never promise
//! what is not so: without entries that advance there is no index.

use super::Chosen;
use crate::mux::splice::boxes::boxed;

/// Header, version, identity, times and count, for version 1.
const FIXED: u64 = 8 + 4 + 8 + 16 + 4;
const REFERENCE: u64 = 12;

/// All indexes, to be put right in front of the first fragment; `None` where there can be none.
pub(super) fn indexes(chosen: &[Chosen<'_>], order: &[(usize, usize)]) -> Option<Vec<u8>> {
    let lens = chosen.iter().map(|chosen| FIXED + REFERENCE * chosen.fragments.len() as u64);
    let lens: Vec<u64> = lens.collect();
    // Where each fragment begins, counted from the first.
    let mut begins: Vec<Vec<u64>> = chosen.iter().map(|_| Vec::new()).collect();
    let mut end = 0;
    for (track, index) in order {
        begins[*track].push(end);
        end += chosen[*track].fragments[*index].len;
    }
    let mut bytes = Vec::new();
    // In the order sound, picture: what stands behind the index of the sound is that of the picture.
    for track in (0..chosen.len()).rev() {
        let between: u64 = lens[..track].iter().sum();
        let sidx = index(track, &chosen[track], &begins[track], end, between)?;
        debug_assert_eq!(sidx.len() as u64, lens[track]);
        bytes.extend(sidx);
    }
    Some(bytes)
}

fn index(
    track: usize,
    chosen: &Chosen<'_>,
    begins: &[u64],
    end: u64,
    between: u64,
) -> Option<Vec<u8>> {
    let fragments = chosen.fragments;
    let first = fragments.first()?;
    let count = u16::try_from(fragments.len()).ok()?;
    let mut references = Vec::with_capacity(fragments.len() * 12);
    for (at, fragment) in fragments.iter().enumerate() {
        let next = begins.get(at + 1).copied().unwrap_or(end);
        let len = u32::try_from(next - begins[at]).ok().filter(|len| *len < 1 << 31)?;
        let duration = match fragments.get(at + 1) {
            Some(next) => next.time.checked_sub(fragment.time)?,
            None => fragment.duration,
        };
        let duration = u32::try_from(duration).ok().filter(|duration| *duration > 0)?;
        if !fragment.is_entry {
            return None;
        }
        // It starts with a place where decoding can begin, of type 1, at its first picture.
        const ENTRY: u32 = 1 << 31 | 1 << 28;
        [len, duration, ENTRY].iter().for_each(|field| references.extend(field.to_be_bytes()));
    }
    let earliest = u64::try_from(chosen.shown(first.time).max(0)).ok()?;
    Some(boxed(
        b"sidx",
        &[
            &[1, 0, 0, 0],
            &(track as u32 + 1).to_be_bytes(),
            &chosen.timescale().to_be_bytes(),
            &earliest.to_be_bytes(),
            &(between + begins.first()?).to_be_bytes(),
            &[0, 0],
            &count.to_be_bytes(),
            &references,
        ],
    ))
}

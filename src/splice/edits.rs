//! Edit lists (§8.6.6): when which part of a track is shown. And the time scales that they are in.

use super::Unsupported;
use super::trak::{MALFORMED, Trak, at_most_one, one, whole};
use crate::container::isobmff::{boxed, table, u32_at, u64_at};

/// A time scale of its own.
pub(super) const NANOS: u32 = 1_000_000_000;
/// A time scale that is at least that fine holds milliseconds.
const COARSEST: u32 = 1000;
/// The finest that is made up so that every time of both files stays exact.
const FINEST: u32 = 1_000_000;

pub(super) const TOO_LONG: Unsupported = Unsupported("its times are too large");

/// A part of the film.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    /// How long it is, in the time scale of the film.
    pub(super) segment: u64,
    /// Where it begins in the media, in their time scale; -1 if nothing is shown.
    pub(super) media_time: i64,
    /// How fast it goes.
    pub(super) rate: u32,
}

/// At the speed of the media.
pub(super) const NORMAL: u32 = 0x1_0000;

/// The edits of a track; none if all of it is shown from the beginning on.
pub(super) fn read(trak: &Trak<'_>) -> Result<Vec<Edit>, Unsupported> {
    let Some(edts) = at_most_one(&trak.boxes, b"edts")? else { return Ok(Vec::new()) };
    let elst = one(&whole(edts.payload())?, b"elst")?;
    let (wide, size) = match elst.payload().first() {
        Some(0) => (false, 12),
        Some(1) => (true, 20),
        _ => return Err(Unsupported("its edit list is malformed")),
    };
    let entries = table(&elst, 4, size).ok_or(MALFORMED)?.chunks_exact(size);
    let edit = |entry: &[u8]| match wide {
        false => Some(Edit {
            segment: u32_at(entry, 0)?.into(),
            media_time: u32_at(entry, 4)?.cast_signed().into(),
            rate: u32_at(entry, 8)?,
        }),
        true => Some(Edit {
            segment: u64_at(entry, 0)?,
            media_time: u64_at(entry, 8)?.cast_signed(),
            rate: u32_at(entry, 16)?,
        }),
    };
    entries.map(|entry| edit(entry).ok_or(TOO_LONG)).collect()
}

/// The edts of these edits; nothing if there are none.
pub(super) fn edts(edits: &[Edit]) -> Vec<u8> {
    if edits.is_empty() {
        return Vec::new();
    }
    let narrow =
        |edit: &Edit| u32::try_from(edit.segment).is_ok() && i32::try_from(edit.media_time).is_ok();
    let narrow = edits.iter().all(narrow);
    let mut elst = vec![u8::from(!narrow), 0, 0, 0];
    // They came from a box, whose length has 32 bits.
    elst.extend((edits.len() as u32).to_be_bytes());
    for edit in edits {
        match narrow {
            true => {
                // The lower halves say all, as was made sure of.
                elst.extend((edit.segment as u32).to_be_bytes());
                elst.extend((edit.media_time as i32).to_be_bytes());
            }
            false => {
                elst.extend(edit.segment.to_be_bytes());
                elst.extend(edit.media_time.to_be_bytes());
            }
        }
        elst.extend(edit.rate.to_be_bytes());
    }
    boxed(b"edts", &[&boxed(b"elst", &[&elst])])
}

/// What nearly all edit lists say: from when on the media are shown, and from where on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SimpleEdit {
    /// How long nothing is shown at first, in the time scale of the film.
    pub(super) empty: u64,
    /// Where the media begin.
    pub(super) media_time: i64,
    /// How long they are shown, in the time scale of the film; to their end if it is not said.
    pub(super) segment: Option<u64>,
}

/// These edits, if they say no more.
pub(super) fn plain(edits: &[Edit]) -> Option<SimpleEdit> {
    let (empty, shown) = match edits {
        [] => return Some(SimpleEdit { empty: 0, media_time: 0, segment: None }),
        [shown] => (0, shown),
        [empty, shown] if empty.media_time == -1 => (empty.segment, shown),
        _ => return None,
    };
    let segment = Some(shown.segment).filter(|segment| *segment > 0);
    let Edit { media_time, rate, .. } = *shown;
    (media_time >= 0 && rate == NORMAL).then_some(SimpleEdit { empty, media_time, segment })
}

/// The time scale of a film that is made of files of these: one in which all their times are whole
/// numbers, if it is not absurdly fine, else the finest of them.
pub(super) fn common(scales: impl Iterator<Item = u32> + Clone) -> u32 {
    let exact = scales.clone().try_fold(COARSEST, |common, scale| {
        let common = common.checked_mul(scale / greatest_divisor(common, scale))?;
        (common <= FINEST).then_some(common)
    });
    exact.unwrap_or_else(|| scales.fold(COARSEST, u32::max))
}

fn greatest_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

/// From one time scale to another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rescale {
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Rescale {
    /// Rounds down.
    pub(super) fn floor(self, ticks: u64) -> Result<u64, Unsupported> {
        let ticks = u128::from(ticks) * u128::from(self.to) / u128::from(self.from);
        u64::try_from(ticks).map_err(|_| TOO_LONG)
    }

    /// Rounds up: what lasts to the end of a sample must not end before it.
    pub(super) fn ceil(self, ticks: u64) -> Result<u64, Unsupported> {
        let ticks = (u128::from(ticks) * u128::from(self.to)).div_ceil(u128::from(self.from));
        u64::try_from(ticks).map_err(|_| TOO_LONG)
    }

    /// Rounds to the nearest.
    pub(super) fn round(self, ticks: u64) -> Result<u64, Unsupported> {
        let half = u128::from(self.from) / 2;
        let ticks = (u128::from(ticks) * u128::from(self.to) + half) / u128::from(self.from);
        u64::try_from(ticks).map_err(|_| TOO_LONG)
    }
}

/// The edits in another time scale of the film.
pub(super) fn rescaled(edits: &[Edit], scale: Rescale) -> Result<Vec<Edit>, Unsupported> {
    let rescaled = |edit: &Edit| {
        let shown = edit.media_time >= 0;
        let segment = if shown { scale.ceil(edit.segment) } else { scale.round(edit.segment) };
        Ok(Edit { segment: segment?, ..*edit })
    };
    edits.iter().map(rescaled).collect()
}

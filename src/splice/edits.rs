//! Edit lists (ISO/IEC 14496-12 §8.6.6), which map the media of a track to presentation time, and
//! conversion between timescales.

use super::Unsupported;
use super::trak::{MALFORMED, Trak, at_most_one, boxes_of, one};
use crate::container::isobmff::boxed;
use crate::container::isobmff::edit_list::EditList;
pub(super) use crate::container::isobmff::edit_list::{Edit, NORMAL_RATE};

/// The timescale of nanoseconds.
pub(super) const NANOS: u32 = 1_000_000_000;
/// The coarsest movie timescale that is written: it holds milliseconds.
const MIN_TIMESCALE: u32 = 1000;
/// The finest movie timescale that is made up to keep every time of both files exact.
const MAX_COMMON: u32 = 1_000_000;

pub(super) const TOO_LONG: Unsupported = Unsupported("the file has timestamps that are too large");

/// Reads the edits of a track; returns none if it has no edit list.
pub(super) fn read(trak: &Trak<'_>) -> Result<Vec<Edit>, Unsupported> {
    let Some(edts) = at_most_one(&trak.boxes, b"edts")? else { return Ok(Vec::new()) };
    let elst = one(&boxes_of(edts.payload())?, b"elst")?;
    let list = EditList::read(elst.payload()).ok_or(Unsupported("the edit list is malformed"))?;
    let edits: Vec<Edit> = list.edits().collect();
    if edits.len() as u64 == u64::from(list.count) { Ok(edits) } else { Err(MALFORMED) }
}

/// Writes the edts box of these edits; returns no bytes if there are none.
pub(super) fn edts(edits: &[Edit]) -> Vec<u8> {
    if edits.is_empty() {
        return Vec::new();
    }
    let fits_32_bits =
        |edit: &Edit| u32::try_from(edit.segment).is_ok() && i32::try_from(edit.media_time).is_ok();
    let fits_32_bits = edits.iter().all(fits_32_bits);
    let mut elst = vec![u8::from(!fits_32_bits), 0, 0, 0];
    // The edits came from a box, whose length has 32 bits.
    elst.extend((edits.len() as u32).to_be_bytes());
    for edit in edits {
        match fits_32_bits {
            true => {
                // `fits_32_bits` holds for all edits.
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

/// The form of nearly all edit lists: an optional empty edit, and one edit of the media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SimpleEdit {
    /// Duration of the empty edit, in the movie timescale.
    pub(super) empty: u64,
    /// Start in the media, in the media timescale.
    pub(super) media_time: i64,
    /// Duration of the edit, in the movie timescale; `None` if it lasts to the end of the media.
    pub(super) segment: Option<u64>,
}

/// Returns the edits as a [`SimpleEdit`], if they have that form.
pub(super) fn simple(edits: &[Edit]) -> Option<SimpleEdit> {
    let (empty, shown) = match edits {
        [] => return Some(SimpleEdit { empty: 0, media_time: 0, segment: None }),
        [shown] => (0, shown),
        [empty, shown] if empty.media_time == -1 => (empty.segment, shown),
        _ => return None,
    };
    let segment = Some(shown.segment).filter(|segment| *segment > 0);
    let Edit { media_time, rate, .. } = *shown;
    (media_time >= 0 && rate == NORMAL_RATE).then_some(SimpleEdit { empty, media_time, segment })
}

/// Returns the movie timescale of a file joined from files with these timescales: one in which all
/// their times are integers, if it is not finer than [`MAX_COMMON`], else the finest of them.
pub(super) fn common_timescale(scales: impl Iterator<Item = u32> + Clone) -> u32 {
    let exact = scales.clone().try_fold(MIN_TIMESCALE, |common, scale| {
        let common = common.checked_mul(scale / greatest_divisor(common, scale))?;
        (common <= MAX_COMMON).then_some(common)
    });
    exact.unwrap_or_else(|| scales.fold(MIN_TIMESCALE, u32::max))
}

fn greatest_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

/// Conversion from one timescale to another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rescale {
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Rescale {
    /// Converts, rounding down.
    pub(super) fn floor(self, ticks: u64) -> Result<u64, Unsupported> {
        let ticks = u128::from(ticks) * u128::from(self.to) / u128::from(self.from);
        u64::try_from(ticks).map_err(|_| TOO_LONG)
    }

    /// Converts, rounding up: an edit that lasts to the end of a sample must not end before it.
    pub(super) fn ceil(self, ticks: u64) -> Result<u64, Unsupported> {
        let ticks = (u128::from(ticks) * u128::from(self.to)).div_ceil(u128::from(self.from));
        u64::try_from(ticks).map_err(|_| TOO_LONG)
    }

    /// Converts, rounding to the nearest.
    pub(super) fn round(self, ticks: u64) -> Result<u64, Unsupported> {
        let half = u128::from(self.from) / 2;
        let ticks = (u128::from(ticks) * u128::from(self.to) + half) / u128::from(self.from);
        u64::try_from(ticks).map_err(|_| TOO_LONG)
    }
}

/// Converts the edits to another movie timescale.
pub(super) fn rescaled(edits: &[Edit], scale: Rescale) -> Result<Vec<Edit>, Unsupported> {
    let rescaled = |edit: &Edit| {
        let shown = edit.media_time >= 0;
        let segment = if shown { scale.ceil(edit.segment) } else { scale.round(edit.segment) };
        Ok(Edit { segment: segment?, ..*edit })
    };
    edits.iter().map(rescaled).collect()
}

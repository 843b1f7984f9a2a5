//! Parameter sets of AVC, and the decoder configuration record that MP4 has instead of them (ISO/IEC
//! 14496-10 §7.3.2.1, annex E; ISO/IEC 14496-15 §5.3.3.1).

use super::bits::Bits;
use super::video::PictureFormat;

pub(super) const SEI: u8 = 6;
pub(super) const SPS: u8 = 7;
pub(super) const PPS: u8 = 8;
pub(super) const IDR: u8 = 5;

/// The profiles whose sets describe the chroma format.
const HIGH_PROFILES: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// Parses a sequence parameter set.
pub(super) fn picture_format(sps: &[u8]) -> Option<PictureFormat> {
    let profile = *sps.get(1)?;
    let mut bits = Bits::new(sps.get(4..)?);
    bits.unsigned()?;
    let (mut chroma, mut depths, mut is_separate) = (1, [8, 8], false);
    if HIGH_PROFILES.contains(&profile) {
        chroma = bits.unsigned()?;
        is_separate = chroma == 3 && bits.flag()?;
        depths = [bits.unsigned()? + 8, bits.unsigned()? + 8];
        bits.flag()?;
        if bits.flag()? {
            skip_scaling_matrix(&mut bits, if chroma == 3 { 12 } else { 8 })?;
        }
    }
    bits.unsigned()?;
    let order_type = skip_picture_order(&mut bits)?;
    bits.unsigned()?;
    bits.flag()?;
    let width = bits.unsigned()?.checked_add(1)?.checked_mul(16)?;
    let map_units = bits.unsigned()?.checked_add(1)?;
    let is_progressive = bits.flag()?;
    if !is_progressive {
        bits.flag()?;
    }
    let fields = if is_progressive { 1 } else { 2 };
    let height = map_units.checked_mul(16 * fields)?;
    bits.flag()?;
    let crop = crop(&mut bits)?;
    let has_chroma = !is_separate && chroma != 0;
    let unit_x = if has_chroma && chroma < 3 { 2 } else { 1 };
    let unit_y = if has_chroma && chroma == 1 { 2 } else { 1 } * fields;
    let [left, right, top, bottom] = crop;
    let cropped = |size: u32, a: u32, b: u32, unit: u32| {
        let size = size.checked_sub(a.checked_add(b)?.checked_mul(unit)?)?;
        u16::try_from(size).ok().filter(|size| *size > 0)
    };
    Some(PictureFormat {
        profile,
        width: cropped(width, left, right, unit_x)?,
        height: cropped(height, top, bottom, unit_y)?,
        chroma: u8::try_from(chroma).ok().filter(|chroma| *chroma <= 3)?,
        depths: [narrow_depth(depths[0])?, narrow_depth(depths[1])?],
        is_progressive,
        // In the type 2 the order of output is that of decoding (§8.2.1).
        may_reorder: order_type != 2,
        pixel_aspect: pixel_aspect(&mut bits).unwrap_or([1, 1]),
    })
}

/// Returns a bit depth, of which 14 is the greatest.
pub(super) fn narrow_depth(depth: u32) -> Option<u8> {
    u8::try_from(depth).ok().filter(|depth| *depth <= 16)
}

fn skip_scaling_matrix(bits: &mut Bits, lists: usize) -> Option<()> {
    for list in 0..lists {
        if !bits.flag()? {
            continue;
        }
        let (mut last, mut next) = (8_i64, 8_i64);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = (last + bits.signed()?).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

/// Returns the type of the picture order count.
fn skip_picture_order(bits: &mut Bits) -> Option<u32> {
    let order_type = bits.unsigned()?;
    match order_type {
        0 => bits.unsigned().map(drop)?,
        1 => {
            bits.flag()?;
            bits.signed()?;
            bits.signed()?;
            let cycle = bits.unsigned().filter(|count| *count <= 255)?;
            (0..cycle).try_for_each(|_| bits.signed().map(drop))?;
        }
        2 => {}
        _ => return None,
    }
    Some(order_type)
}

/// Returns by how much the picture is cropped: left, right, top, bottom.
pub(super) fn crop(bits: &mut Bits) -> Option<[u32; 4]> {
    if !bits.flag()? {
        return Some([0; 4]);
    }
    Some([bits.unsigned()?, bits.unsigned()?, bits.unsigned()?, bits.unsigned()?])
}

/// Returns the aspect ratio of a pixel, if the set has it (table E-1).
fn pixel_aspect(bits: &mut Bits) -> Option<[u16; 2]> {
    const RATIOS: [[u16; 2]; 17] = [
        [1, 1],
        [1, 1],
        [12, 11],
        [10, 11],
        [16, 11],
        [40, 33],
        [24, 11],
        [20, 11],
        [32, 11],
        [80, 33],
        [18, 11],
        [15, 11],
        [64, 33],
        [160, 99],
        [4, 3],
        [3, 2],
        [2, 1],
    ];
    if !bits.flag()? || !bits.flag()? {
        return None;
    }
    let ratio = match bits.read(8)? {
        255 => [bits.read(16)? as u16, bits.read(16)? as u16],
        index => *RATIOS.get(index as usize)?,
    };
    (!ratio.contains(&0)).then_some(ratio)
}

/// Returns the configuration record of these parameter sets.
pub(super) fn record(sets: &[Vec<u8>], format: &PictureFormat) -> Option<Vec<u8>> {
    let of = |kind: u8| sets.iter().filter(move |set| set[0] & 0x1f == kind);
    let profile = of(SPS).next()?.get(1..4)?;
    let list = |kind: u8, mask: u8| {
        let units = of(kind).flat_map(|set| [&(set.len() as u16).to_be_bytes()[..], set].concat());
        [vec![of(kind).count() as u8 | mask], units.collect()].concat()
    };
    let mut record = [&[1][..], profile, &[0xff], &list(SPS, 0xe0), &list(PPS, 0)].concat();
    if HIGH_PROFILES[..4].contains(&format.profile) {
        let depths = format.depths.map(|depth| 0xf8 | (depth - 8));
        record.extend([0xfc | format.chroma, depths[0], depths[1], 0]);
    }
    Some(record)
}

/// Returns whether a message says that decoding can begin here with a picture that is exact at once
/// (D.2.8, recovery point).
pub(super) fn is_recovery_point(sei: &[u8]) -> bool {
    const RECOVERY_POINT: usize = 6;
    let mut bytes = sei.get(1..).unwrap_or_default();
    let number = |bytes: &mut &[u8]| {
        let long = bytes.iter().take_while(|byte| **byte == 0xff).count();
        let last = usize::from(*bytes.get(long)?);
        *bytes = &bytes[long + 1..];
        Some(long * 255 + last)
    };
    while bytes.len() > 2 {
        let Some(kind) = number(&mut bytes) else { return false };
        let Some(len) = number(&mut bytes) else { return false };
        let Some((message, rest)) = bytes.split_at_checked(len) else { return false };
        if kind == RECOVERY_POINT {
            return Bits::new(message).unsigned() == Some(0);
        }
        bytes = rest;
    }
    false
}

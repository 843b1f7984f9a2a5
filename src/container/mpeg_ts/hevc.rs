//! Parameter sets of HEVC, and the decoder configuration record that MP4 has in addition to them (ISO/IEC
//! 23008-2 §7.3.2.2, §7.3.3; ISO/IEC 14496-15 §8.3.3.1).

use super::avc::{crop, narrow_depth};
use super::bits::Bits;
use super::video::PictureFormat;

pub(super) const VPS: u8 = 32;
pub(super) const SPS: u8 = 33;
pub(super) const PPS: u8 = 34;
/// The types of pictures at which decoding can begin.
pub(super) const RANDOM_ACCESS: std::ops::RangeInclusive<u8> = 16..=23;

/// The length of the general part of profile, tier and level.
const PROFILE_LEN: usize = 12;

/// Parses a sequence parameter set.
pub(super) fn picture_format(sps: &[u8]) -> Option<PictureFormat> {
    let mut bits = Bits::new(sps.get(2..)?);
    bits.read(4)?;
    let sub_layers = bits.read(3)? as usize;
    bits.flag()?;
    bits.skip(3)?;
    let profile = bits.read(5)? as u8;
    bits.skip((PROFILE_LEN - 1) * 8)?;
    skip_sub_layers(&mut bits, sub_layers)?;
    bits.unsigned()?;
    let chroma = bits.unsigned()?;
    let is_separate = chroma == 3 && bits.flag()?;
    let (width, height) = (bits.unsigned()?, bits.unsigned()?);
    let [left, right, top, bottom] = crop(&mut bits)?;
    let depths = [bits.unsigned()?.checked_add(8)?, bits.unsigned()?.checked_add(8)?];
    let has_chroma = !is_separate && chroma != 0;
    let unit_x = if has_chroma && chroma < 3 { 2 } else { 1 };
    let unit_y = if has_chroma && chroma == 1 { 2 } else { 1 };
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
        may_reorder: may_reorder(&mut bits, sub_layers)?,
        // Each field has its own timestamp.
        is_progressive: true,
        pixel_aspect: [1, 1],
    })
}

/// Returns whether pictures may be output in another order than they are decoded.
fn may_reorder(bits: &mut Bits, sub_layers: usize) -> Option<bool> {
    bits.unsigned()?;
    let count = if bits.flag()? { sub_layers + 1 } else { 1 };
    let mut may_reorder = false;
    for _ in 0..count {
        bits.unsigned()?;
        may_reorder |= bits.unsigned()? > 0;
        bits.unsigned()?;
    }
    Some(may_reorder)
}

fn skip_sub_layers(bits: &mut Bits, count: usize) -> Option<()> {
    let mut present = [[false; 2]; 8];
    for flags in present.iter_mut().take(count) {
        *flags = [bits.flag()?, bits.flag()?];
    }
    if count > 0 {
        bits.skip((8 - count) * 2)?;
    }
    for [has_profile, has_level] in present {
        bits.skip(if has_profile { 88 } else { 0 } + if has_level { 8 } else { 0 })?;
    }
    Some(())
}

/// Returns the configuration record of these parameter sets.
pub(super) fn record(sets: &[Vec<u8>], format: &PictureFormat) -> Option<Vec<u8>> {
    let of = |kind: u8| sets.iter().filter(move |set| set[0] >> 1 & 0x3f == kind);
    let mut bits = Bits::new(of(SPS).next()?.get(2..)?);
    bits.read(4)?;
    let (sub_layers, is_nested) = (bits.read(3)? as u8, bits.read(1)? as u8);
    let mut record = vec![1];
    for _ in 0..PROFILE_LEN {
        record.push(bits.read(8)? as u8);
    }
    let depths = format.depths.map(|depth| 0xf8 | (depth - 8));
    record.extend([0xf0, 0, 0xfc, 0xfc | format.chroma, depths[0], depths[1], 0, 0]);
    // The lengths of units have four bytes.
    record.extend([(sub_layers + 1) << 3 | is_nested << 2 | 3, 3]);
    for kind in [VPS, SPS, PPS] {
        record.push(0x80 | kind);
        record.extend((of(kind).count() as u16).to_be_bytes());
        for set in of(kind) {
            record.extend((set.len() as u16).to_be_bytes());
            record.extend(set);
        }
    }
    Some(record)
}

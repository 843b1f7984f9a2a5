//! NAL units in the byte stream format (ISO/IEC 14496-10 annex B, ISO/IEC 23008-2 annex B).

use std::sync::LazyLock;

use memchr::memmem;

use crate::container::probe::Codec;

/// The number of bytes from a start code on by which a unit is recognised.
pub(super) const START_LEN: usize = 6;

/// The codecs whose video consists of NAL units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NalCodec {
    Avc,
    Hevc,
}

impl NalCodec {
    pub(super) fn of(codec: Codec) -> Option<NalCodec> {
        match codec {
            Codec::H264 => Some(NalCodec::Avc),
            Codec::Hevc => Some(NalCodec::Hevc),
            _ => None,
        }
    }
}

/// The role of a NAL unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NalKind {
    /// The type in the header.
    pub(super) unit_type: u8,
    /// Whether the unit is a part of a picture.
    pub(super) is_picture: bool,
    /// Whether an access unit begins here, if the one before has a picture (§7.4.1.2.3; §7.4.2.4.4).
    pub(super) may_begin: bool,
}

/// Returns the role of a unit, by its first bytes.
pub(super) fn kind(codec: NalCodec, unit: &[u8]) -> NalKind {
    let first = unit.first().copied().unwrap_or_default();
    // The first bit after the header: the first slice of a picture has it set.
    let is_first_slice = |at: usize| unit.get(at).is_some_and(|byte| byte & 0x80 != 0);
    match codec {
        NalCodec::Avc => {
            let unit_type = first & 0x1f;
            let is_picture = matches!(unit_type, 1..=5);
            let may_begin = match unit_type {
                1 | 2 | 5 => is_first_slice(1),
                6..=9 | 14..=18 => true,
                _ => false,
            };
            NalKind { unit_type, is_picture, may_begin }
        }
        NalCodec::Hevc => {
            let unit_type = first >> 1 & 0x3f;
            let is_picture = unit_type < 32;
            let may_begin = match unit_type {
                0..=31 => is_first_slice(2),
                32..=35 | 39 | 41..=44 | 48..=55 => true,
                _ => false,
            };
            NalKind { unit_type, is_picture, may_begin }
        }
    }
}

/// Returns the offset of the first start code (`00 00 01`) from `from` on.
pub(super) fn find_start(bytes: &[u8], from: usize) -> Option<usize> {
    // To prepare the search takes longer than to search the payload of a packet.
    static FINDER: LazyLock<memmem::Finder<'static>> =
        LazyLock::new(|| memmem::Finder::new(&[0, 0, 1]));
    FINDER.find(bytes.get(from..)?).map(|at| from + at)
}

/// Iterates over the units, without start codes and without the zeros after a unit.
pub(super) fn units(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut next = find_start(bytes, 0);
    std::iter::from_fn(move || {
        let begin = next? + 3;
        next = find_start(bytes, begin);
        let unit = &bytes[begin..next.unwrap_or(bytes.len())];
        let len = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Some(&unit[..len])
    })
    .filter(|unit| !unit.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_end_before_zeros_and_start_codes() {
        let stream = [0, 0, 0, 1, 9, 0x10, 0, 0, 1, 0x65, 0x80, 0, 3, 0, 0, 0, 0, 1, 0, 0, 1, 6];
        let found: Vec<_> = units(&stream).collect();
        assert_eq!(found, [&[9, 0x10][..], &[0x65, 0x80, 0, 3], &[6]]);
        assert_eq!(units(&[0, 0, 1]).count() + units(&[]).count() + units(&[0; 9]).count(), 0);
        assert_eq!(find_start(&[1, 0, 0, 1], 0), Some(1));
        assert_eq!(find_start(&[0, 2, 0, 0, 1], 0), Some(2));
        assert_eq!(find_start(&[0, 0, 0, 0, 2, 0, 0, 1], 0), Some(5));
    }

    #[test]
    fn the_first_slice_of_a_picture_may_begin_a_unit() {
        let kind = |codec, unit: &[u8]| {
            let NalKind { is_picture, may_begin, .. } = kind(codec, unit);
            (is_picture, may_begin)
        };
        assert_eq!(kind(NalCodec::Avc, &[0x65, 0x88]), (true, true));
        assert_eq!(kind(NalCodec::Avc, &[0x41, 0x1a]), (true, false));
        assert_eq!(kind(NalCodec::Avc, &[0x67, 0x64]), (false, true));
        assert_eq!(kind(NalCodec::Avc, &[0x0c]), (false, false));
        assert_eq!(kind(NalCodec::Hevc, &[0x26, 1, 0x80]), (true, true));
        assert_eq!(kind(NalCodec::Hevc, &[0x02, 1, 0x40]), (true, false));
        assert_eq!(kind(NalCodec::Hevc, &[0x46, 1]), (false, true));
    }
}

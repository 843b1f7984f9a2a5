//! Parses the headers of AC-3 and Enhanced AC-3 frames (ETSI TS 102 366 §4.3 and §E.1.2).

use super::Codec;
use super::frames::Frame;

/// Parses the frame header at the start of `bytes`. Both kinds have `bsid` at the same offset.
pub(super) fn frame(bytes: &[u8]) -> Option<Frame> {
    let [0x0b, 0x77, b2, b3, b4, b5, ..] = *bytes else { return None };
    match b5 >> 3 {
        bsid @ 0..=10 => plain(b4, bsid),
        11..=16 => enhanced(b2, b3, b4),
        _ => None,
    }
}

const RATES: [u32; 3] = [48_000, 44_100, 32_000];

fn plain(b4: u8, bsid: u8) -> Option<Frame> {
    const KILOBITS: [u32; 19] =
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
    let code = usize::from(b4 & 0x3f);
    let (full, bits) = (*RATES.get(usize::from(b4 >> 6))?, *KILOBITS.get(code / 2)? * 1000);
    // The length is in 16-bit words; at 44.1 kHz every other frame has one more.
    let extra = if full == 44_100 { code as u32 & 1 } else { 0 };
    let len = (bits * 96 / full + extra) as usize * 2;
    // A `bsid` of 9 or 10 halves or quarters the rate.
    let rate = full >> bsid.saturating_sub(8);
    Some(Frame { codec: Codec::Ac3, len, samples: 1536, rate, same: u32::from(b4 >> 6), bits })
}

fn enhanced(b2: u8, b3: u8, b4: u8) -> Option<Frame> {
    let len = (usize::from(b2 & 7) << 8 | usize::from(b3)) * 2 + 2;
    let code = usize::from(b4 >> 6);
    let (rate, blocks) = match code {
        3 => (*RATES.get(usize::from(b4 >> 4 & 3))? / 2, 6),
        _ => (RATES[code], [1, 2, 3, 6][usize::from(b4 >> 4 & 3)]),
    };
    // A dependent substream adds channels to the frame before it; another programme is not played.
    let (kind, substream) = (b2 >> 6, b2 >> 3 & 7);
    let is_own = matches!(kind, 0 | 2) && substream == 0;
    let samples = if is_own { blocks * 256 } else { 0 };
    let is_frame = kind != 3 && len >= 8;
    let bits = len as u32;
    is_frame.then_some(Frame { codec: Codec::Eac3, len, samples, rate, same: code as u32, bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_have_their_lengths() {
        let of = |bytes: &[u8]| frame(bytes).map(|frame| (frame.codec, frame.len, frame.samples));
        let plain = |code| of(&[0x0b, 0x77, 0, 0, code, 0x40]);
        assert_eq!(plain(0x14), Some((Codec::Ac3, 768, 1536)));
        assert_eq!(plain(0x40 | 0x14), Some((Codec::Ac3, 834, 1536)));
        assert_eq!(plain(0x40 | 0x15), Some((Codec::Ac3, 836, 1536)));
        assert_eq!(plain(0x80 | 0x24), Some((Codec::Ac3, 3840, 1536)));
        assert_eq!(plain(0x26), None, "no such bit rate");
        assert_eq!(of(&[0x0b, 0x77, 0x01, 0x7f, 0x34, 0x87]), Some((Codec::Eac3, 768, 1536)));
        assert_eq!(of(&[0x0b, 0x77, 0x41, 0x7f, 0x34, 0x87]), Some((Codec::Eac3, 768, 0)));
    }
}

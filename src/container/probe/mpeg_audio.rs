//! Parses the headers of MPEG audio frames, and of AAC frames in ADTS.

use super::Codec;
use super::frames::Frame;

/// Parses an ADTS header (ISO/IEC 13818-7 §6.2), which has the frame length in 13 bits.
pub(super) fn adts(bytes: &[u8]) -> Option<Frame> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8000, 7350,
    ];
    let [0xff, b1, b2, b3, b4, b5, b6, ..] = *bytes else { return None };
    let len = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5 >> 5);
    let rate = *RATES.get(usize::from(b2 >> 2 & 0xf))?;
    let samples = 1024 * (u32::from(b6 & 3) + 1);
    // MPEG version, profile, sampling rate and channels.
    let same = u32::from(b1 & 0xf8) << 16 | u32::from(b2 & 0xfd) << 8 | u32::from(b3 & 0xc0);
    let is_frame = b1 & 0xf6 == 0xf0 && len > 7;
    is_frame.then_some(Frame { codec: Codec::Aac, len, samples, rate, same, bits: 0 })
}

/// Parses an MPEG audio header (ISO/IEC 11172-3 §2.4.1.3 and 13818-3): the length follows from bit rate
/// and sample rate.
pub(super) fn frame(bytes: &[u8]) -> Option<Frame> {
    let [0xff, b1, b2, ..] = *bytes else { return None };
    let (version, layer) = (b1 >> 3 & 3, b1 >> 1 & 3);
    // From here on `layer` is the layer's usual number minus one.
    let (codec, layer) = match layer {
        3 => (Codec::Mp1, 0),
        2 => (Codec::Mp2, 1),
        1 => (Codec::Mp3, 2),
        _ => return None,
    };
    let base = match version {
        3 => [44_100, 48_000, 32_000],
        2 => [22_050, 24_000, 16_000],
        0 => [11_025, 12_000, 8000],
        _ => return None,
    };
    let kilobits = match version {
        3 => FULL_RATES[layer],
        _ => HALF_RATES[layer],
    };
    let bits = *kilobits.get(usize::from(b2 >> 4)).filter(|rate| **rate > 0)? * 1000;
    let rate = *base.get(usize::from(b2 >> 2 & 3))?;
    let padding = u32::from(b2 >> 1 & 1);
    let samples = match (codec, version) {
        (Codec::Mp1, _) => 384,
        (Codec::Mp3, 0 | 2) => 576,
        _ => 1152,
    };
    // A slot of layer I has four bytes.
    let len = match codec {
        Codec::Mp1 => (12 * bits / rate + padding) * 4,
        _ => samples / 8 * bits / rate + padding,
    };
    let same = u32::from(b1 & 0xfe) << 8 | u32::from(b2 & 0x0c);
    let is_frame = b1 & 0xe0 == 0xe0;
    is_frame.then_some(Frame { codec, len: len as usize, samples, rate, same, bits })
}

/// Kilobits per second in MPEG-1, by layer.
const FULL_RATES: [[u32; 15]; 3] = [
    [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
];
/// Kilobits per second in MPEG-2 and 2.5, by layer.
const HALF_RATES: [[u32; 15]; 3] = [
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// Returns the number of frames that the first one declares, if it is a summary instead of audio: that
/// of Xing and LAME, after the side information, or that of Fraunhofer (VBRI), at a fixed offset.
pub(super) fn declared_frames(bytes: &[u8], codec: Codec) -> Option<u32> {
    let [_, b1, _, b3, ..] = *bytes else { return None };
    if codec != Codec::Mp3 {
        return None;
    }
    let is_full = b1 >> 3 & 3 == 3;
    let is_mono = b3 >> 6 == 3;
    let side_info = match (is_full, is_mono) {
        (true, false) => 32,
        (true, true) | (false, false) => 17,
        (false, true) => 9,
    };
    // A checksum may precede the side information.
    let checksum = if b1 & 1 == 0 { 2 } else { 0 };
    let number = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let xing = [4 + side_info, 4 + checksum + side_info]
        .into_iter()
        .find(|at| bytes.get(*at..*at + 4).is_some_and(|mark| mark == b"Xing" || mark == b"Info"));
    let declared = match xing {
        Some(at) if number(at + 4)? & 1 == 1 => number(at + 8),
        Some(_) => None,
        None if bytes.get(36..40)? == b"VBRI" => number(36 + 14),
        None => None,
    };
    declared.filter(|frames| *frames > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_all_layers_have_their_lengths() {
        let of = |bytes: &[u8]| frame(bytes).map(|frame| (frame.codec, frame.len, frame.samples));
        assert_eq!(of(&[0xff, 0xfb, 0x90, 0]), Some((Codec::Mp3, 417, 1152)));
        assert_eq!(of(&[0xff, 0xf3, 0x50, 0]), Some((Codec::Mp3, 130, 576)));
        assert_eq!(of(&[0xff, 0xfd, 0xa4, 0]), Some((Codec::Mp2, 576, 1152)));
        assert_eq!(of(&[0xff, 0xff, 0xc2, 0]), Some((Codec::Mp1, 420, 384)));
        assert_eq!(of(&[0xff, 0xfb, 0x00, 0]), None, "a length of its own");
        assert_eq!(of(&[0xff, 0xeb, 0x90, 0]), None, "a version that there is not");
    }
}

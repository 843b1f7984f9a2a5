//! Headers of PES packets, which hold the bytes of an elementary stream and their times (ISO/IEC 13818-1
//! §2.4.3.6).

/// Ticks per second of the timestamps.
pub const TICKS_PER_SECOND: u64 = 90_000;
/// The number of different timestamps, which have 33 bits.
pub const WRAP: u64 = 1 << 33;

/// The header of a PES packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PesHeader {
    /// The length of the header.
    pub len: usize,
    /// The length of the payload, if the header has it.
    pub payload_len: Option<usize>,
    /// Presentation timestamp of the first frame that begins in the payload, modulo [`WRAP`].
    pub pts: Option<u64>,
    /// Decoding timestamp of that frame, where it differs.
    pub dts: Option<u64>,
    /// Whether the payload is scrambled.
    pub is_scrambled: bool,
}

impl PesHeader {
    /// The maximum length of a header.
    pub const MAX_LEN: usize = 9 + 255;

    /// Parses the header at the start of `bytes`; `None` if it is malformed or cut.
    pub fn parse(bytes: &[u8]) -> Option<PesHeader> {
        let [0, 0, 1, _, a, b, flags, has, optional_len, rest @ ..] = bytes else { return None };
        if flags & 0xc0 != 0x80 {
            return None;
        }
        let optional = rest.get(..usize::from(*optional_len))?;
        let len = 9 + optional.len();
        let (pts, dts) = match has >> 6 {
            2 => (Some(timestamp(optional)?), None),
            3 => (Some(timestamp(optional)?), Some(timestamp(optional.get(5..)?)?)),
            _ => (None, None),
        };
        let payload_len = match u16::from_be_bytes([*a, *b]) {
            0 => None,
            packet_len => Some(usize::from(packet_len).checked_sub(len - 6)?),
        };
        Some(PesHeader { len, payload_len, pts, dts, is_scrambled: flags & 0x30 != 0 })
    }
}

/// Parses a timestamp of 33 bits in 5 bytes, whose marker bits must be set.
fn timestamp(bytes: &[u8]) -> Option<u64> {
    let [a, b, c, d, e] = bytes.first_chunk::<5>()?.map(u64::from);
    let is_marked = a & c & e & 1 == 1;
    is_marked.then_some((a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_33_bits() {
        let pts = [0x3f, 0xff, 0xff, 0xff, 0xff];
        let dts = [0x11, 0, 1, 0, 3];
        let of = |has: u8, times: &[u8], len: [u8; 2]| {
            let head = [&[0, 0, 1, 0xe0][..], &len, &[0x80, has, times.len() as u8], times];
            PesHeader::parse(&head.concat())
        };
        let both = of(0xc0, &[pts, dts].concat(), [0, 0]).unwrap();
        assert_eq!((both.pts, both.dts), (Some(WRAP - 1), Some(1)));
        assert_eq!((both.len, both.payload_len), (19, None));
        let one = of(0x80, &pts, [0, 20]).unwrap();
        assert_eq!((one.pts, one.dts, one.payload_len), (Some(WRAP - 1), None, Some(12)));
        assert_eq!(of(0, &[], [0, 3]).unwrap().payload_len, Some(0));
        assert_eq!(of(0, &[], [0, 2]), None, "shorter than its header");
        assert_eq!(of(0xc0, &pts, [0, 0]), None, "no room for a timestamp");
        assert_eq!(of(0x80, &[0; 5], [0, 0]), None, "no marker bits");
    }
}

//! Transport packets of 188 bytes (ISO/IEC 13818-1 §2.4.3.2).

/// The length of a packet.
pub const PACKET_SIZE: usize = 188;
/// The first byte of each packet.
pub const SYNC_BYTE: u8 = 0x47;
/// The PID of packets without content.
pub const NULL_PID: u16 = 0x1fff;

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Identifies the stream.
    pub pid: u16,
    /// Whether a PES packet or a section begins in the payload.
    pub is_start: bool,
    /// Whether the packet was damaged before it was stored.
    pub is_damaged: bool,
    /// Whether the payload is scrambled.
    pub is_scrambled: bool,
    /// Whether the continuity counter may restart here.
    pub is_discontinuous: bool,
    /// Counts the packets of the stream that have a payload, modulo 16.
    pub counter: u8,
    /// The payload, if the packet has any.
    pub payload: Option<&'a [u8]>,
}

impl<'a> Packet<'a> {
    /// Parses a packet; `None` if it is malformed.
    pub fn parse(bytes: &'a [u8; PACKET_SIZE]) -> Option<Packet<'a>> {
        let [SYNC_BYTE, b1, b2, b3, rest @ ..] = bytes else { return None };
        let (mut payload, mut is_discontinuous) = (&rest[..], false);
        let has_adaptation_field = b3 & 0x20 != 0;
        if has_adaptation_field {
            let (len, field) = payload.split_first()?;
            let (field, behind) = field.split_at_checked(usize::from(*len))?;
            is_discontinuous = field.first().is_some_and(|flags| flags & 0x80 != 0);
            payload = behind;
        }
        let has_payload = b3 & 0x10 != 0;
        Some(Packet {
            pid: u16::from_be_bytes([b1 & 0x1f, *b2]),
            is_start: b1 & 0x40 != 0,
            is_damaged: b1 & 0x80 != 0,
            is_scrambled: b3 & 0xc0 != 0,
            is_discontinuous,
            counter: b3 & 0xf,
            payload: has_payload.then_some(payload),
        })
    }
}

/// Returns the number of consecutive packets at the start of `bytes`, by their first bytes; the last one
/// may be cut.
pub fn count_synced(bytes: &[u8]) -> usize {
    bytes.iter().step_by(PACKET_SIZE).take_while(|byte| **byte == SYNC_BYTE).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_has_a_payload_after_its_adaptation_field() {
        let mut bytes = [0xaa; PACKET_SIZE];
        bytes[..7].copy_from_slice(&[0x47, 0x41, 0x02, 0x37, 2, 0x80, 0]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!((packet.pid, packet.is_start, packet.counter), (0x102, true, 7));
        assert!(packet.is_discontinuous && !packet.is_scrambled && !packet.is_damaged);
        assert_eq!(packet.payload.unwrap().len(), PACKET_SIZE - 7);
        bytes[4] = 183;
        assert_eq!(Packet::parse(&bytes).unwrap().payload, Some(&[][..]));
        bytes[4] = 184;
        assert_eq!(Packet::parse(&bytes), None, "longer than the packet");
        bytes[..4].copy_from_slice(&[0x47, 0, 0, 0]);
        assert_eq!(Packet::parse(&bytes).unwrap().payload, None);
        bytes[0] = 0x48;
        assert_eq!(Packet::parse(&bytes), None);
    }

    #[test]
    fn packets_are_counted_by_their_first_bytes() {
        let packets = [[0x47; 1].as_slice(), &[0; 187]].concat().repeat(3);
        assert_eq!(count_synced(&packets), 3);
        assert_eq!(count_synced(&packets[..2 * PACKET_SIZE + 1]), 3);
        assert_eq!(count_synced(&packets[1..]), 0);
        assert_eq!(count_synced(&[]), 0);
    }
}

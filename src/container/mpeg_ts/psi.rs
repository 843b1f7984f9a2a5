//! The tables that list the streams of a program (ISO/IEC 13818-1 §2.4.4): the association table names
//! the PID of a program's map, which names the streams.

use super::Packet;
use crate::container::probe::Codec;

/// The PID of the program association table.
const PAT_PID: u16 = 0;
const PAT_ID: u8 = 0;
const PMT_ID: u8 = 2;
/// The maximum length of a section of these tables.
const MAX_SECTION: usize = 1024;
/// The maximum number of streams of a program that are listed.
const MAX_STREAMS: usize = 32;

/// A stream of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElementaryStream {
    /// The PID of its packets.
    pub pid: u16,
    /// The content.
    pub kind: StreamKind,
}

/// The content of a stream, by its type and its descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// Video of this codec.
    Video(Codec),
    /// Audio of this codec; [`Codec::Mp3`] stands for MPEG audio of any layer.
    Audio(Codec),
    /// Video or audio with encrypted samples.
    Encrypted,
    /// Anything else: metadata, subtitles, splice points.
    Other,
}

/// The first program of a transport stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// The streams, in the order of the table.
    pub streams: Vec<ElementaryStream>,
}

impl Program {
    /// Returns the first stream with video of a known or unknown codec.
    pub fn video(&self) -> Option<(u16, Codec)> {
        self.streams.iter().find_map(|stream| match stream.kind {
            StreamKind::Video(codec) => Some((stream.pid, codec)),
            _ => None,
        })
    }

    /// Returns the first stream with audio.
    pub fn audio(&self) -> Option<(u16, Codec)> {
        self.streams.iter().find_map(|stream| match stream.kind {
            StreamKind::Audio(codec) => Some((stream.pid, codec)),
            _ => None,
        })
    }

    /// Returns whether any stream is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.streams.iter().any(|stream| stream.kind == StreamKind::Encrypted)
    }
}

/// Collects the tables from the packets of a stream.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    association: Section,
    map: Section,
    map_pid: Option<u16>,
}

impl Tables {
    /// Takes a packet; returns the program if its map ends in it. Damaged tables are ignored: they are
    /// repeated.
    pub fn push(&mut self, packet: &Packet<'_>) -> Option<Program> {
        if packet.pid == PAT_PID {
            let section = self.association.push(packet)?;
            self.map_pid = program_map_pid(section).or(self.map_pid);
            return None;
        }
        if self.map_pid != Some(packet.pid) {
            return None;
        }
        self.map.push(packet).and_then(program)
    }

    /// Returns whether packets of this PID hold tables.
    pub fn holds(&self, pid: u16) -> bool {
        pid == PAT_PID || self.map_pid == Some(pid)
    }
}

/// A section that is being collected.
#[derive(Debug, Clone, Default)]
struct Section {
    bytes: Vec<u8>,
}

impl Section {
    /// Takes a packet; returns the section if it is complete with it.
    fn push(&mut self, packet: &Packet<'_>) -> Option<&[u8]> {
        let mut payload = packet.payload.filter(|_| !packet.is_damaged && !packet.is_scrambled)?;
        if packet.is_start {
            // The offset of the section that begins here.
            let (pointer, rest) = payload.split_first()?;
            payload = rest.get(usize::from(*pointer)..)?;
            self.bytes.clear();
        } else if self.bytes.is_empty() {
            return None;
        }
        let room = MAX_SECTION.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(payload.get(..room).unwrap_or(payload));
        let [_, a, b, ..] = self.bytes[..] else { return None };
        let len = 3 + usize::from(u16::from_be_bytes([a & 0xf, b]));
        if len > self.bytes.len() {
            return None;
        }
        self.bytes.truncate(len);
        (crc_32(&self.bytes) == 0).then_some(&self.bytes)
    }
}

/// Returns the content of a section between its header and its checksum, if it has this table ID and is
/// in force.
fn content(section: &[u8], table_id: u8) -> Option<&[u8]> {
    let is_current = section.get(5)? & 1 == 1;
    let content = section.get(8..section.len().checked_sub(4)?)?;
    (section.first() == Some(&table_id) && is_current).then_some(content)
}

/// Returns the PID of the map of the first program.
fn program_map_pid(section: &[u8]) -> Option<u16> {
    // Program 0 is the network information table.
    let mut programs = content(section, PAT_ID)?.chunks_exact(4);
    programs.find_map(|program| match *program {
        [0, 0, ..] => None,
        [_, _, a, b] => Some(u16::from_be_bytes([a & 0x1f, b])),
        _ => None,
    })
}

/// Parses a program map.
fn program(section: &[u8]) -> Option<Program> {
    let len = |a: u8, b: u8| usize::from(u16::from_be_bytes([a & 0xf, b]));
    let [_, _, a, b, rest @ ..] = content(section, PMT_ID)? else { return None };
    let mut rest = rest.get(len(*a, *b)..)?;
    let mut streams = Vec::new();
    while let [stream_type, a, b, c, d, behind @ ..] = rest {
        let descriptors = behind.get(..len(*c, *d))?;
        if streams.len() < MAX_STREAMS {
            let pid = u16::from_be_bytes([a & 0x1f, *b]);
            streams.push(ElementaryStream { pid, kind: stream_kind(*stream_type, descriptors) });
        }
        rest = &behind[descriptors.len()..];
    }
    Some(Program { streams })
}

/// Returns the content of a stream: by its type (ISO/IEC 13818-1 table 2-34, ATSC A/53, and Apple's "MPEG-2
/// stream encryption format for HTTP Live Streaming"), or by descriptors if that is private.
fn stream_kind(stream_type: u8, descriptors: &[u8]) -> StreamKind {
    use StreamKind::*;
    match stream_type {
        0x01 | 0x02 => Video(Codec::Mpeg2),
        0x10 => Video(Codec::Mpeg4),
        0x1b => Video(Codec::H264),
        0x24 => Video(Codec::Hevc),
        0x33 => Video(Codec::Vvc),
        0x20..=0x23 | 0x25..=0x2b | 0x42 | 0xd1 | 0xea => Video(Codec::Other),
        0x03 | 0x04 => Audio(Codec::Mp3),
        0x0f => Audio(Codec::Aac),
        0x81 => Audio(Codec::Ac3),
        0x87 => Audio(Codec::Eac3),
        0x82 | 0x85 | 0x8a => Audio(Codec::Dts),
        // AAC in LATM is not what MP4 and ADTS have.
        0x11 | 0x1c | 0x2d | 0x2e | 0x80 | 0x83 | 0x84 | 0xa1 => Audio(Codec::Other),
        0xdb | 0xcf | 0xc1 | 0xc2 => Encrypted,
        0x06 => described_kind(descriptors),
        _ => Other,
    }
}

/// Returns the content of a private stream, by its descriptors (ETSI EN 300 468 annexes D and H; SMPTE
/// registrations).
fn described_kind(mut descriptors: &[u8]) -> StreamKind {
    use StreamKind::*;
    while let [tag, len, rest @ ..] = descriptors {
        let Some((descriptor, behind)) = rest.split_at_checked(usize::from(*len)) else { break };
        match (tag, descriptor) {
            (0x6a, _) | (0x05, [b'A', b'C', b'-', b'3', ..]) => return Audio(Codec::Ac3),
            (0x7a, _) | (0x05, [b'E', b'A', b'C', b'3', ..]) => return Audio(Codec::Eac3),
            (0x7b, _) | (0x05, [b'D', b'T', b'S', b'1'..=b'3', ..]) => return Audio(Codec::Dts),
            (0x05, [b'O', b'p', b'u', b's', ..]) => return Audio(Codec::Opus),
            (0x05, [b'H', b'E', b'V', b'C', ..]) => return Video(Codec::Hevc),
            (0x05, [b'A', b'V', b'0', b'1', ..]) => return Video(Codec::Av1),
            // AC-4, which only its extension names.
            (0x7f, [0x15, ..]) | (0x7c, _) => return Audio(Codec::Other),
            _ => {}
        }
        descriptors = behind;
    }
    Other
}

/// Returns the checksum of a section (annex A), which is 0 if the section ends with its own.
fn crc_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            let is_odd = crc & 0x8000_0000 != 0;
            crc << 1 ^ if is_odd { 0x04c1_1db7 } else { 0 }
        })
    })
}

#[cfg(test)]
pub(in crate::container) mod tests {
    use super::super::PACKET_SIZE;
    use super::*;

    /// A packet with this payload, which its adaptation field pads.
    pub(in crate::container) fn packet(
        pid: u16,
        is_start: bool,
        counter: u8,
        payload: &[u8],
    ) -> Vec<u8> {
        let [a, b] = pid.to_be_bytes();
        let head = [0x47, a | if is_start { 0x40 } else { 0 }, b, 0x30 | counter & 0xf];
        let padding = PACKET_SIZE - 5 - payload.len();
        let field = vec![0xff; padding.saturating_sub(1)];
        let flags = if padding > 0 { &[0][..] } else { &[] };
        [&head[..], &[padding as u8], flags, &field, payload].concat()
    }

    /// A section with its checksum.
    fn section(table_id: u8, content: &[u8]) -> Vec<u8> {
        let len = (content.len() + 9) as u16;
        let [a, b] = (0xb000 | len).to_be_bytes();
        let section = [&[table_id, a, b, 0, 1, 0xc1, 0, 0][..], content].concat();
        let crc = crc_32(&section).to_be_bytes();
        [&section[..], &crc].concat()
    }

    /// The packets of both tables, for streams of these types, PIDs and descriptors.
    pub(in crate::container) fn tables(streams: &[(u8, u16, &[u8])]) -> Vec<u8> {
        let pat = section(PAT_ID, &[0, 0, 0xe0, 0x10, 0, 1, 0xf0, 0]);
        let entries = streams.iter().flat_map(|(kind, pid, descriptors)| {
            let [a, b] = pid.to_be_bytes();
            [&[*kind, 0xe0 | a, b, 0xf0, descriptors.len() as u8], *descriptors].concat()
        });
        let map = [vec![0xe1, 0, 0xf0, 0], entries.collect()].concat();
        let map = section(PMT_ID, &map);
        [
            packet(0, true, 0, &[&[0][..], &pat].concat()),
            packet(0x1000, true, 0, &[&[0][..], &map].concat()),
        ]
        .concat()
    }

    fn read(packets: &[u8]) -> Option<Program> {
        let mut tables = Tables::default();
        packets.as_chunks().0.iter().find_map(|bytes| tables.push(&Packet::parse(bytes).unwrap()))
    }

    #[test]
    fn tables_list_the_streams_of_the_first_program() {
        let ac3 = &[0x0a, 4, b'e', b'n', b'g', 0, 0x6a, 1, 0][..];
        let packets =
            tables(&[(0x15, 0x102, &[]), (0x1b, 0x100, &[]), (0x0f, 0x101, &[]), (6, 0x103, ac3)]);
        let program = read(&packets).unwrap();
        assert_eq!(program.video(), Some((0x100, Codec::H264)));
        assert_eq!(program.audio(), Some((0x101, Codec::Aac)));
        assert_eq!(program.streams[0].kind, StreamKind::Other);
        assert_eq!(program.streams[3].kind, StreamKind::Audio(Codec::Ac3));
        assert!(!program.is_encrypted());
        assert!(read(&tables(&[(0xdb, 0x100, &[])])).unwrap().is_encrypted());
        for at in PACKET_SIZE * 2 - 30..PACKET_SIZE * 2 {
            let mut damaged = packets.clone();
            damaged[at] ^= 4;
            assert_eq!(read(&damaged), None, "the checksum of byte {at}");
        }
    }

    #[test]
    fn a_section_may_need_several_packets() {
        let long = [&[5, 250][..], &[b'x'; 250]].concat();
        let map = [vec![0xe1, 0, 0xf0, 0, 0x24, 0xe1, 0, 0xf0, 252], long].concat();
        let map = section(PMT_ID, &map);
        let (first, rest) = map.split_at(100);
        let (second, third) = rest.split_at(100);
        let mut packets = tables(&[])[..PACKET_SIZE].to_vec();
        packets.extend(packet(0x1000, false, 0, second));
        packets.extend(packet(0x1000, true, 1, &[&[2, 9, 9], first].concat()));
        packets.extend(packet(0x1000, false, 2, second));
        assert_eq!(read(&packets), None);
        packets.extend(packet(0x1000, false, 3, third));
        assert_eq!(read(&packets).unwrap().video(), Some((0x100, Codec::Hevc)));
    }
}
